//! AddPartitionsToTxn: partitions join a transaction. Up to version 3 clients ask, of one transaction; later versions are for
//! brokers and ask of several, perhaps without adding anything.

use super::{
    Answer, Call, array, int_list,
    transactions::{as_known, coordinated},
};
use crate::{
    errors::{INVALID_REQUEST, NONE, OPERATION_NOT_ATTEMPTED, UNKNOWN_TOPIC_OR_PARTITION},
    transactions::{Partition, Producer, Protocol},
    world::now_ms,
};
use pointsman_wire::Struct;

/// The first version that asks of several transactions.
const BATCHED: i16 = 4;
/// From this version on clients know PRODUCER_FENCED.
const KNOWS_FENCED: i16 = 2;

/// What is asked of one transaction.
struct Asked<'a> {
    id: &'a str,
    producer: Producer,
    verify_only: bool,
    topics: Vec<&'a Struct>,
}

pub(super) async fn handle(call: Call<'_>) -> Answer {
    if call.version < BATCHED {
        let asked = Asked {
            id: call.request.str("V3AndBelowTransactionalId"),
            producer: (call.request.int("V3AndBelowProducerId"), call.request.i16("V3AndBelowProducerEpoch")),
            verify_only: false,
            topics: call.request.structs("V3AndBelowTopics").collect(),
        };
        let results = ask(&call, &asked).await;
        return Answer::Body(Struct::new().with("ResultsByTopicV3AndBelow", array(results)));
    }
    let mut answers = Vec::new();
    for of in call.request.structs("Transactions") {
        let asked = Asked {
            id: of.str("TransactionalId"),
            producer: (of.int("ProducerId"), of.i16("ProducerEpoch")),
            verify_only: of.bool("VerifyOnly"),
            topics: of.structs("Topics").collect(),
        };
        let results = ask(&call, &asked).await;
        answers.push(Struct::new().with("TransactionalId", asked.id).with("TopicResults", array(results)));
    }
    Answer::Body(Struct::new().with("ResultsByTransaction", array(answers)))
}

/// The answers by topic.
async fn ask(call: &Call<'_>, asked: &Asked<'_>) -> Vec<Struct> {
    let partitions: Vec<Partition> = asked
        .topics
        .iter()
        .flat_map(|t| int_list(t.array("Partitions")).map(|index| (t.str("Name").to_owned(), index)))
        .collect();
    let mut codes = codes(call, asked, &partitions).await.into_iter();
    let by_topic = asked.topics.iter().map(|topic| {
        let results = int_list(topic.array("Partitions")).map(|index| {
            let code = codes.next().unwrap_or(NONE);
            Struct::new().with("PartitionIndex", index).with("PartitionErrorCode", code)
        });
        let results: Vec<Struct> = results.collect();
        Struct::new().with("Name", topic.str("Name")).with("ResultsByPartition", array(results))
    });
    by_topic.collect()
}

/// One code for each partition. One that does not exist keeps the others out.
async fn codes(call: &Call<'_>, asked: &Asked<'_>, partitions: &[Partition]) -> Vec<i16> {
    let known: Vec<bool> = {
        let view = &call.shared.lock().brokers[call.broker].view;
        partitions.iter().map(|(topic, index)| view.partition(topic, *index).is_some()).collect()
    };
    if known.contains(&false) {
        let code = |known| if known { OPERATION_NOT_ATTEMPTED } else { UNKNOWN_TOPIC_OR_PARTITION };
        return known.into_iter().map(code).collect();
    }
    let result =
        if asked.id.is_empty() { Err(INVALID_REQUEST) } else { decide(call, asked, partitions).await };
    match result {
        Ok(codes) => codes,
        Err(error) => vec![as_known(error, call.version >= KNOWS_FENCED); partitions.len()],
    }
}

async fn decide(call: &Call<'_>, asked: &Asked<'_>, partitions: &[Partition]) -> Result<Vec<i16>, i16> {
    let protocol = if call.version < BATCHED { Protocol::V1 } else { Protocol::V2 };
    coordinated(call, asked.id, |world| {
        if asked.verify_only {
            let each = world.transactions.verify(asked.id, asked.producer, partitions)?;
            return Ok(each.into_iter().map(|result| result.err().unwrap_or(NONE)).collect());
        }
        let added = partitions.iter().cloned();
        world.transactions.add(asked.id, asked.producer, added, protocol, now_ms())?;
        Ok(vec![NONE; partitions.len()])
    })
    .await
}

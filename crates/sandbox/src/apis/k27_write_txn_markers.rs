//! WriteTxnMarkers: ends a transaction in single partitions. Administrators use it for transactions that hang (KIP-664).

use super::{Answer, Call, array, int_list};
use crate::{
    errors::NONE,
    log::Marker,
    world::{World, now_ms},
};
use pointsman_wire::Struct;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let answer = call.shared.change(|world| {
        let markers: Vec<Struct> =
            call.request.structs("Markers").map(|marker| write(call, world, marker)).collect();
        Struct::new().with("Markers", array(markers))
    });
    Answer::Body(answer)
}

fn write(call: &Call<'_>, world: &mut World, asked: &Struct) -> Struct {
    let producer = (asked.int("ProducerId"), asked.i16("ProducerEpoch"));
    let marker =
        Marker { commit: asked.bool("TransactionResult"), coordinator_epoch: asked.i32("CoordinatorEpoch") };
    let now = now_ms();
    let topics: Vec<Struct> = asked
        .structs("Topics")
        .map(|topic| {
            let name = topic.str("Name");
            let partitions = int_list(topic.array("PartitionIndexes")).map(|index| {
                let of = (name.to_owned(), index);
                let result = world.end_transaction(call.broker, &of, producer, marker, now);
                let code = result.err().unwrap_or(NONE);
                Struct::new().with("PartitionIndex", index).with("ErrorCode", code)
            });
            let partitions: Vec<Struct> = partitions.collect();
            Struct::new().with("Name", name).with("Partitions", array(partitions))
        })
        .collect();
    Struct::new().with("ProducerId", producer.0).with("Topics", array(topics))
}

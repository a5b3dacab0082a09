//! DescribeTransactions: transactional ids that this broker coordinates, with what is in their transactions.

use super::{Answer, Call, array, ints};
use crate::{
    errors::INVALID_REQUEST,
    transactions::Description,
    world::{Coordinated, World},
};
use pointsman_wire::{Struct, Value};
use std::collections::BTreeMap;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let world = call.shared.lock();
    let ids = call.request.array("TransactionalIds").iter().filter_map(Value::as_str);
    let described: Vec<Struct> = ids.map(|id| describe(call, &world, id)).collect();
    Answer::Body(Struct::new().with("TransactionStates", array(described)))
}

fn describe(call: &Call<'_>, world: &World, id: &str) -> Struct {
    let found = match world.serves(call.broker, Coordinated::Transactions, id, false) {
        _ if id.is_empty() => Err(INVALID_REQUEST),
        Ok(()) => world.transactions.describe(id),
        Err(code) => Err(code),
    };
    match found {
        Ok(found) => told(&found),
        Err(code) => Struct::new().with("TransactionalId", id).with("ErrorCode", code),
    }
}

fn told(of: &Description) -> Struct {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, index) in &of.partitions {
        by_topic.entry(topic).or_default().push(*index);
    }
    let topics = by_topic
        .into_iter()
        .map(|(topic, indexes)| Struct::new().with("Topic", topic).with("Partitions", ints(indexes)));
    Struct::new()
        .with("TransactionalId", of.id.as_str())
        .with("TransactionState", of.state.name())
        .with("TransactionTimeoutMs", of.timeout_ms)
        .with("TransactionStartTimeMs", of.started_ms)
        .with("ProducerId", of.producer.0)
        .with("ProducerEpoch", of.producer.1)
        .with("Topics", array(topics))
}

//! DescribeTopicPartitions: topics in pages.

use super::{Answer, Call, array, ints, k03_metadata};
use crate::{
    errors::{NONE, UNKNOWN_TOPIC_OR_PARTITION},
    world::Coordinated,
};
use pointsman_wire::{Struct, Value};
use std::collections::BTreeSet;

/// `max.request.partition.size.limit`.
const LIMIT: usize = 2000;
const OPERATIONS: i64 = 0x0df8;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let world = call.shared.lock();
    let view = &world.brokers[call.broker].view;
    let asked: BTreeSet<&str> = call.request.structs("Topics").map(|t| t.str("Name")).collect();
    let names: Vec<&str> = if asked.is_empty() {
        view.topics.keys().map(|n| &**n).collect()
    } else {
        asked.into_iter().collect()
    };
    let cursor = call.request.nested("Cursor").map(|c| (c.str("TopicName"), c.i32("PartitionIndex")));
    let mut room = usize::try_from(call.request.i32("ResponsePartitionLimit")).unwrap_or(0).clamp(1, LIMIT);
    let mut topics = Vec::new();
    let mut next = Value::Null;
    for name in names.into_iter().filter(|name| cursor.is_none_or(|(at, _)| *name >= at)) {
        let first = cursor.filter(|(at, _)| *at == name).map_or(0, |(_, index)| index);
        if room == 0 {
            next = Value::Struct(Struct::new().with("TopicName", name).with("PartitionIndex", first));
            break;
        }
        let Some(topic) = view.topics.get(name) else {
            topics.push(unknown(name));
            continue;
        };
        let skipped = usize::try_from(first).unwrap_or(0);
        let rest = (0..).zip(&topic.partitions).skip(skipped);
        let told: Vec<Struct> = rest
            .take(room)
            .map(|(index, p)| {
                k03_metadata::partition(&world, view, index, p)
                    .with("EligibleLeaderReplicas", ints([]))
                    .with("LastKnownElr", ints([]))
            })
            .collect();
        room -= told.len();
        let end = skipped + told.len();
        topics.push(
            Struct::new()
                .with("ErrorCode", NONE)
                .with("Name", name)
                .with("TopicId", Value::Uuid(topic.id.into_bytes()))
                .with("IsInternal", Coordinated::ALL.iter().any(|kind| kind.topic() == name))
                .with("Partitions", array(told))
                .with("TopicAuthorizedOperations", OPERATIONS),
        );
        if end < topic.partitions.len() {
            let index = i64::try_from(end).unwrap_or(0);
            next = Value::Struct(Struct::new().with("TopicName", name).with("PartitionIndex", index));
            break;
        }
    }
    Answer::Body(Struct::new().with("Topics", array(topics)).with("NextCursor", next))
}

fn unknown(name: &str) -> Struct {
    Struct::new()
        .with("ErrorCode", UNKNOWN_TOPIC_OR_PARTITION)
        .with("Name", name)
        .with("TopicId", Value::Uuid([0; 16]))
        .with("IsInternal", false)
        .with("Partitions", array([]))
        .with("TopicAuthorizedOperations", i64::from(i32::MIN))
}

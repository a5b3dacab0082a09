//! Puts several brokers' answers together into the one that a single broker would have given.

use crate::rules::{
    Keys, Partitions,
    request::{Scan, TopicRef},
};
use pointsman_wire::value::{Struct, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// A topic as a response names it.
#[derive(PartialEq, Eq, Hash, Clone)]
enum TopicKey {
    Name(String),
    Id(Uuid),
}

fn key_of(topic: &Struct, name: &'static str) -> TopicKey {
    match topic.get("TopicId") {
        Value::Uuid(id) if *id != [0; 16] => TopicKey::Id(Uuid::from_bytes(*id)),
        _ => TopicKey::Name(topic.str(name).to_owned()),
    }
}

fn key_of_request(topic: &TopicRef) -> TopicKey {
    if topic.virtual_id.is_nil() {
        TopicKey::Name(topic.name.as_deref().unwrap_or_default().to_owned())
    } else {
        TopicKey::Id(topic.virtual_id)
    }
}

/// A response with one topic entry of the request, without partitions.
pub(super) fn topic_entry(shape: &Partitions, topic: &TopicRef) -> Struct {
    let entry = Struct::new().with("TopicId", topic.virtual_id.into_bytes());
    match (&topic.name, shape.response_name) {
        (Some(name), field) if !field.is_empty() => entry.with(field, &**name),
        _ => entry,
    }
}

/// Merges answers by topic and partition, in the order of the request; `missing` makes the entry of a partition that
/// nobody answered.
pub(super) fn by_partition(
    shape: &Partitions,
    scan: &Scan,
    parts: Vec<Struct>,
    missing: impl Fn(i32) -> Struct,
) -> Struct {
    let mut found: HashMap<TopicKey, HashMap<i32, Struct>> = HashMap::new();
    let mut merged = head(parts, |part| {
        let Some(Value::Array(topics)) = part.remove(shape.response_topics) else { return };
        for topic in topics {
            let Value::Struct(mut topic) = topic else { continue };
            let Some(Value::Array(partitions)) = topic.remove(shape.response_partitions) else { continue };
            let answered = found.entry(key_of(&topic, shape.response_name)).or_default();
            for partition in partitions {
                if let Value::Struct(partition) = partition {
                    answered.insert(partition.i32(shape.response_index), partition);
                }
            }
        }
    });
    let mut topics: Vec<Struct> = Vec::with_capacity(scan.topics.len());
    for (topic, numbers) in scan.by_topic() {
        let mut answered = found.get_mut(&key_of_request(topic));
        let partitions: Vec<Struct> = numbers
            .map(|i| scan.partitions[i].index)
            .map(|i| answered.as_mut().and_then(|a| a.remove(&i)).unwrap_or_else(|| missing(i)))
            .collect();
        topics.push(topic_entry(shape, topic).with(shape.response_partitions, partitions));
    }
    merged.set(shape.response_topics, topics);
    merged
}

/// Merges answers whose results stand in one array.
pub(super) fn by_array(array: &'static str, parts: Vec<Struct>) -> Struct {
    let mut all: Vec<Value> = Vec::new();
    let mut merged = head(parts, |part| {
        if let Some(Value::Array(items)) = part.remove(array) {
            all.extend(items);
        }
    });
    merged.set(array, all);
    merged
}

/// Merges answers by key.
pub(super) fn by_key(keys: &Keys, parts: Vec<Struct>) -> Struct {
    by_array(keys.results, parts)
}

/// What stands outside the arrays: the longest throttle, the first error, every node endpoint once.
fn head(parts: Vec<Struct>, mut take: impl FnMut(&mut Struct)) -> Struct {
    let mut merged: Option<Struct> = None;
    let mut endpoints: Vec<Value> = Vec::new();
    for mut part in parts {
        take(&mut part);
        if let Some(Value::Array(items)) = part.remove("NodeEndpoints") {
            for item in items {
                if !endpoints.contains(&item) {
                    endpoints.push(item);
                }
            }
        }
        let Some(so_far) = &mut merged else {
            merged = Some(part);
            continue;
        };
        if part.int("ThrottleTimeMs") > so_far.int("ThrottleTimeMs") {
            so_far.set("ThrottleTimeMs", part.int("ThrottleTimeMs"));
        }
        if so_far.int("ErrorCode") == 0 && part.int("ErrorCode") != 0 {
            so_far.set("ErrorCode", part.int("ErrorCode"));
        }
    }
    let mut merged = merged.unwrap_or_default();
    if !endpoints.is_empty() {
        merged.set("NodeEndpoints", endpoints);
    }
    merged
}

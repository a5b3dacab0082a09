//! Bodies of requests and answers, and what tests look at in them.

use crate::harness::Sent;
use bytes::Bytes;
use pointsman_core::rules;
use pointsman_wire::{
    sample::record_batch,
    value::{Struct, Value},
};

/// Partitions of topics.
pub(crate) type Places<'a> = &'a [(&'a str, &'a [i32])];

fn topics(
    places: Places<'_>,
    topic: impl Fn(&str) -> Struct,
    partitions: &'static str,
    partition: impl Fn(&str, i32) -> Struct,
) -> Vec<Struct> {
    let one = |(name, indices): &(&str, &[i32])| {
        topic(name).with(partitions, indices.iter().map(|i| partition(name, *i)).collect::<Vec<_>>())
    };
    places.iter().map(one).collect()
}

/// A batch of an idempotent producer; `producer` is (id, epoch, sequence).
pub(crate) fn batch(producer: Option<(i64, i16, i32)>) -> Bytes {
    let mut batch = record_batch(0, -1).to_vec();
    if let Some((id, epoch, sequence)) = producer {
        batch[43..51].copy_from_slice(&id.to_be_bytes());
        batch[51..53].copy_from_slice(&epoch.to_be_bytes());
        batch[53..57].copy_from_slice(&sequence.to_be_bytes());
    }
    batch.into()
}

pub(crate) fn produce(places: Places<'_>, acks: i16, producer: Option<(i64, i16, i32)>) -> Struct {
    let partition = |_: &str, i| Struct::new().with("Index", i).with("Records", batch(producer));
    Struct::new().with("TransactionalId", Value::Null).with("Acks", acks).with("TimeoutMs", 30_000).with(
        "TopicData",
        topics(places, |name| Struct::new().with("Name", name), "PartitionData", partition),
    )
}

pub(crate) fn fetch(places: Places<'_>) -> Struct {
    let partition =
        |_: &str, i| Struct::new().with("Partition", i).with("CurrentLeaderEpoch", -1).with("FetchOffset", 7);
    Struct::new()
        .with("ReplicaId", -1)
        .with("MaxWaitMs", 500)
        .with("MinBytes", 1)
        .with("MaxBytes", 50 << 20)
        .with("SessionId", 0)
        .with("SessionEpoch", -1)
        .with("Topics", topics(places, |name| Struct::new().with("Topic", name), "Partitions", partition))
}

pub(crate) fn list_offsets(places: Places<'_>) -> Struct {
    let partition = |_: &str, i| {
        Struct::new().with("PartitionIndex", i).with("CurrentLeaderEpoch", -1).with("Timestamp", -1)
    };
    Struct::new()
        .with("ReplicaId", -1)
        .with("Topics", topics(places, |name| Struct::new().with("Name", name), "Partitions", partition))
}

pub(crate) fn offset_for_leader_epoch(places: Places<'_>, current: i32, epoch: i32) -> Struct {
    let partition = |_: &str, i| {
        Struct::new().with("Partition", i).with("CurrentLeaderEpoch", current).with("LeaderEpoch", epoch)
    };
    Struct::new()
        .with("ReplicaId", -1)
        .with("Topics", topics(places, |name| Struct::new().with("Topic", name), "Partitions", partition))
}

pub(crate) fn metadata() -> Struct {
    Struct::new().with("Topics", Value::Null)
}

/// What a sound broker answers: every partition without error, marked by node and partition; a Fetch finds no data.
pub(crate) fn good(sent: &Sent) -> Struct {
    match sent.key {
        0 => echo(
            sent,
            ["TopicData", "Name", "PartitionData", "Index"],
            ["Responses", "Name", "PartitionResponses", "Index"],
            |p| p.with("BaseOffset", i64::from(sent.node) * 1000).with("LogAppendTimeMs", -1),
        ),
        1 => echo(
            sent,
            ["Topics", "Topic", "Partitions", "Partition"],
            ["Responses", "Topic", "Partitions", "PartitionIndex"],
            |p| {
                p.with("HighWatermark", sent.node)
                    .with("Records", Bytes::new())
                    .with("PreferredReadReplica", -1)
            },
        ),
        2 => echo(
            sent,
            ["Topics", "Name", "Partitions", "PartitionIndex"],
            ["Topics", "Name", "Partitions", "PartitionIndex"],
            |p| p.with("Offset", sent.node).with("LeaderEpoch", 3),
        ),
        23 => echo(
            sent,
            ["Topics", "Topic", "Partitions", "Partition"],
            ["Topics", "Topic", "Partitions", "Partition"],
            |p| p.with("EndOffset", sent.node).with("LeaderEpoch", 3),
        ),
        _ => Struct::new(),
    }
}

/// A Fetch answer in which each partition has one batch.
pub(crate) fn with_data(sent: &Sent, epoch: i32) -> Struct {
    let mut body = good(sent);
    for topic in body.structs_mut("Responses") {
        for partition in topic.structs_mut("Partitions") {
            partition.set("Records", record_batch(7, epoch));
        }
    }
    body
}

fn echo(
    sent: &Sent,
    [topics, name, partitions, index]: [&'static str; 4],
    [to_topics, to_name, to_partitions, to_index]: [&'static str; 4],
    fill: impl Fn(Struct) -> Struct,
) -> Struct {
    let partition = |p: &Struct| fill(Struct::new().with(to_index, p.i32(index)));
    let topic = |t: &Struct| {
        let by_name = !t.str(name).is_empty();
        let head = if by_name {
            Struct::new().with(to_name, t.str(name))
        } else {
            Struct::new().with("TopicId", t.uuid("TopicId"))
        };
        head.with(to_partitions, t.structs(partitions).map(partition).collect::<Vec<_>>())
    };
    Struct::new().with(to_topics, sent.body.structs(topics).map(topic).collect::<Vec<_>>())
}

/// (topic, partition, error) of a response, in its order.
pub(crate) fn errors(key: i16, body: &Struct) -> Vec<(String, i32, i16)> {
    each(key, body, "ErrorCode")
        .into_iter()
        .map(|(t, p, v)| (t, p, i16::try_from(v).expect("a code")))
        .collect()
}

/// (topic, partition, field) of a response, in its order.
pub(crate) fn each(key: i16, body: &Struct, field: &str) -> Vec<(String, i32, i64)> {
    let (topics, name, partitions, index) = match key {
        0 => ("Responses", "Name", "PartitionResponses", "Index"),
        1 => ("Responses", "Topic", "Partitions", "PartitionIndex"),
        2 => ("Topics", "Name", "Partitions", "PartitionIndex"),
        8 => ("Topics", "Name", "Partitions", "PartitionIndex"),
        _ => ("Topics", "Topic", "Partitions", "Partition"),
    };
    let one = |t: &Struct| {
        let name = t.str(name).to_owned();
        t.structs(partitions).map(|p| (name.clone(), p.i32(index), p.int(field))).collect::<Vec<_>>()
    };
    body.structs(topics).flat_map(one).collect()
}

/// (topic, partition) of a request that left, in its order.
pub(crate) fn places(sent: &Sent) -> Vec<(String, i32)> {
    let (topics, name, partitions, index) = match sent.key {
        0 => ("TopicData", "Name", "PartitionData", "Index"),
        2 => ("Topics", "Name", "Partitions", "PartitionIndex"),
        _ => ("Topics", "Topic", "Partitions", "Partition"),
    };
    let one = |t: &Struct| {
        let name = t.str(name).to_owned();
        t.structs(partitions).map(|p| (name.clone(), p.i32(index))).collect::<Vec<_>>()
    };
    sent.body.structs(topics).flat_map(one).collect()
}

pub(crate) fn at(topic: &str, partition: i32) -> (String, i32) {
    (topic.to_owned(), partition)
}

pub(crate) fn of(topic: &str, partition: i32, value: i64) -> (String, i32, i64) {
    (topic.to_owned(), partition, value)
}

pub(crate) fn code(topic: &str, partition: i32, code: i16) -> (String, i32, i16) {
    (topic.to_owned(), partition, code)
}

/// The highest version of an api that is offered.
pub(crate) fn newest(key: i16) -> i16 {
    rules::ours().apis[&key].1
}

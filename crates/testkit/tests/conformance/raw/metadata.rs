//! Metadata in every version: all topics, none, unknown ones, and by id.

use std::collections::BTreeSet;

use pointsman_wire::{Struct, Value};

use super::{Case, Context, check, each, only, same};

pub(crate) const CASES: &[Case] = &[
    ("metadata_all_topics", all_topics),
    ("metadata_no_topics", no_topics),
    ("metadata_unknown_topic", unknown_topic),
    ("metadata_invalid_topic", invalid_topic),
    ("metadata_by_id", by_id),
    ("metadata_same_everywhere", same_everywhere),
    ("create_topics_refused", create_topics_refused),
];

fn all_topics(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("metadata-all", 2, 3, &[])?;
    each(context.versions(3), |version| {
        // v0 has no null: there an empty list means all.
        let all = if version == 0 { Value::Array(Vec::new()) } else { Value::Null };
        let request = Struct::new().with("Topics", all).with("AllowAutoTopicCreation", false);
        let answer = context.broker(0)?.call(3, version, &request)?;
        same("brokers", answer.array("Brokers").len(), 3)?;
        let mut topics = answer.structs("Topics");
        let found = topics.find(|t| t.str("Name") == topic.name).ok_or("the topic is missing")?;
        same("error", found.i16("ErrorCode"), 0)?;
        if version >= 10 {
            same("topic id", found.uuid("TopicId"), topic.id)?;
        }
        if version >= 2 {
            check(!answer.str("ClusterId").is_empty(), || "no cluster id".to_owned())?;
        }
        same("partitions", found.array("Partitions").len(), 2)?;
        found.structs("Partitions").try_for_each(|partition| whole(&answer, partition, version))
    })
}

fn whole(answer: &Struct, partition: &Struct, version: i16) -> Result<(), String> {
    same("partition's error", partition.i16("ErrorCode"), 0)?;
    same("replicas", partition.array("ReplicaNodes").len(), 3)?;
    same("in sync", partition.array("IsrNodes").len(), 3)?;
    let leader = partition.i32("LeaderId");
    check(answer.structs("Brokers").any(|b| b.i32("NodeId") == leader), || format!("leader {leader}?"))?;
    // The preferred leader is the first replica.
    same("first replica", partition.array("ReplicaNodes")[0].as_int(), Some(leader.into()))?;
    let epoch = partition.i32("LeaderEpoch");
    check(version < 7 || epoch >= 0, || format!("leader epoch {epoch}"))
}

fn no_topics(context: &Context<'_>) -> Result<(), String> {
    each(1..=context.newest(3), |version| {
        let request = Struct::new().with("Topics", Vec::<Value>::new());
        let answer = context.broker(0)?.call(3, version, &request)?;
        same("topics", answer.array("Topics").len(), 0)?;
        same("brokers", answer.array("Brokers").len(), 3)
    })
}

fn unknown_topic(context: &Context<'_>) -> Result<(), String> {
    each(context.versions(3), |version| {
        let request = Struct::new()
            .with("Topics", vec![Struct::new().with("Name", "raw-none")])
            .with("AllowAutoTopicCreation", true);
        let answer = context.broker(0)?.call(3, version, &request)?;
        let topic = only("topics", answer.structs("Topics"))?;
        same("name", topic.str("Name"), "raw-none")?;
        same("error", topic.i16("ErrorCode"), 3)?;
        same("partitions", topic.array("Partitions").len(), 0)
    })
}

/// A name that can never be a topic's is invalid (17), not unknown (3), even when nothing is to be created.
fn invalid_topic(context: &Context<'_>) -> Result<(), String> {
    each(4..=context.newest(3), |version| {
        let request = Struct::new()
            .with("Topics", vec![Struct::new().with("Name", "no spaces")])
            .with("AllowAutoTopicCreation", false);
        let answer = context.broker(0)?.call(3, version, &request)?;
        same("error", only("topics", answer.structs("Topics"))?.i16("ErrorCode"), 17)
    })
}

/// By id from v12 on. An unknown id is answered with 100, and the id is repeated.
fn by_id(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("metadata-id", 1, 3, &[])?;
    each(12..=context.newest(3), |version| {
        let by = |id: [u8; 16]| {
            let wanted = Struct::new().with("TopicId", id).with("Name", Value::Null);
            let request = Struct::new().with("Topics", vec![wanted]).with("AllowAutoTopicCreation", false);
            context.broker(0)?.call(3, version, &request)
        };
        let answer = by(topic.id)?;
        let found = only("topics", answer.structs("Topics"))?;
        same("known", (found.i16("ErrorCode"), found.str("Name")), (0, topic.name.as_str()))?;
        let answer = by([7; 16])?;
        let found = only("topics", answer.structs("Topics"))?;
        same("unknown", (found.i16("ErrorCode"), found.uuid("TopicId")), (100, [7; 16]))?;
        check(found.get("Name").is_null(), || format!("name {:?}", found.get("Name")))
    })
}

fn same_everywhere(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("metadata-everywhere", 6, 3, &[])?;
    let seen: BTreeSet<String> = (0..context.servers().len())
        .map(|broker| {
            super::eventually(|| {
                let answer = context.metadata(broker, &topic.name)?;
                let places: Result<Vec<_>, String> =
                    (0..6).map(|p| super::topic::place(&answer, p)).collect();
                Ok(format!("{} {:?}", answer.str("ClusterId"), places?))
            })
        })
        .collect::<Result<_, _>>()?;
    same("different answers", seen.len(), 1)?;
    let leaders: Result<BTreeSet<i32>, _> =
        (0..6).map(|p| context.place(&topic, p).map(|place| place.leader)).collect();
    same("brokers that lead", leaders?.len(), 3)
}

/// Topics that cannot be made: each with its own error, the others are made.
fn create_topics_refused(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("refused", 1, 1, &[])?;
    let new = |name: &str, partitions: i32, replicas: i16, config: Option<(&str, &str)>| {
        let configs: Vec<Struct> = config
            .map(|(name, value)| Struct::new().with("Name", name).with("Value", value))
            .into_iter()
            .collect();
        Struct::new()
            .with("Name", name)
            .with("NumPartitions", partitions)
            .with("ReplicationFactor", replicas)
            .with("Configs", configs)
    };
    each(context.versions(19), |version| {
        let good = format!("raw-refused-not-{version}");
        let cases = [
            (new(&topic.name, 1, 1, None), 36),
            (new("no spaces", 1, 1, None), 17),
            (new("raw-no-partitions", 0, 1, None), 37),
            (new("raw-too-many-replicas", 1, 4, None), 38),
            (new("raw-unknown-config", 1, 1, Some(("no.such.config", "1"))), 40),
            (new("raw-bad-config", 1, 1, Some(("retention.ms", "soon"))), 40),
            (new(&good, 1, 1, None), 0),
        ];
        let topics: Vec<Struct> = cases.iter().map(|(topic, _)| topic.clone()).collect();
        let request = Struct::new().with("Topics", topics).with("timeoutMs", 30_000);
        let answer = context.broker(0)?.call(19, version, &request)?;
        for (topic, error) in &cases {
            let name = topic.str("Name");
            let found =
                answer.structs("Topics").find(|t| t.str("Name") == name).ok_or("a topic is missing")?;
            same(name, found.i16("ErrorCode"), *error)?;
        }
        Ok(())
    })
}

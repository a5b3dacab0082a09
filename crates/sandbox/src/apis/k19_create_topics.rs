//! CreateTopics.

use super::{Answer, Call, array, int_list, k03_metadata::valid_name};
use crate::{
    configs,
    errors::{
        INVALID_CONFIG, INVALID_PARTITIONS, INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR,
        INVALID_TOPIC, NONE, REQUEST_TIMED_OUT, TOPIC_ALREADY_EXISTS,
    },
    world::{Partition, Topic, World},
};
use pointsman_wire::{Struct, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// More partitions than this in one topic are taken for a slip.
const MAX_PARTITIONS: i32 = 10_000;

pub(super) async fn handle(call: Call<'_>) -> Answer {
    let ready = call.controller(call.deadline("timeoutMs")).await;
    call.shared.change(|world| {
        let topics = call.request.structs("Topics");
        let told = topics.map(|asked| {
            let made = if ready {
                create(&call, world, asked)
            } else {
                Err((REQUEST_TIMED_OUT, "no controller".into()))
            };
            answer(asked, made)
        });
        let told: Vec<Struct> = told.collect();
        Answer::Body(Struct::new().with("Topics", array(told)))
    })
}

fn create(call: &Call<'_>, world: &mut World, asked: &Struct) -> Result<Topic, (i16, String)> {
    let name = asked.str("Name");
    if !valid_name(name) {
        return Err((INVALID_TOPIC, format!("Topic name is invalid: '{name}'")));
    }
    if world.image.topics.contains_key(name) {
        return Err((TOPIC_ALREADY_EXISTS, format!("Topic '{name}' already exists.")));
    }
    let configs: BTreeMap<String, String> = asked
        .structs("Configs")
        .filter_map(|c| Some((c.str("Name").to_owned(), c.opt_str("Value")?.to_owned())))
        .collect();
    for (key, value) in &configs {
        configs::check_topic(key, value).map_err(|message| (INVALID_CONFIG, message))?;
    }
    let topic = Topic { id: Uuid::new_v4(), partitions: partitions(world, asked)?, configs };
    if !call.request.bool("validateOnly") {
        world.add_topic(name, topic.clone());
    }
    Ok(topic)
}

fn partitions(world: &World, asked: &Struct) -> Result<Vec<Partition>, (i16, String)> {
    if !asked.array("Assignments").is_empty() {
        return assigned(world, asked.structs("Assignments").map(|a| (a.i32("PartitionIndex"), a)));
    }
    let count = match asked.i32("NumPartitions") {
        -1 => 1,
        count if (1..=MAX_PARTITIONS).contains(&count) => usize::try_from(count).unwrap_or(1),
        _ => {
            return Err((
                INVALID_PARTITIONS,
                "Number of partitions was set to an invalid non-positive value.".into(),
            ));
        }
    };
    let factor = match asked.i16("ReplicationFactor") {
        -1 => world.spec.replication(),
        factor => usize::try_from(factor).unwrap_or(0),
    };
    let first = world.image.topics.len();
    let placed = world.place(first, count, factor);
    placed.ok_or_else(|| {
        let live = world.image.live().count();
        (INVALID_REPLICATION_FACTOR, format!("Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be reached because only {live} broker(s) are registered."))
    })
}

/// Partitions with the replicas that the client chose.
pub(super) fn assigned<'a>(
    world: &World,
    given: impl Iterator<Item = (i32, &'a Struct)>,
) -> Result<Vec<Partition>, (i16, String)> {
    let mut given: Vec<(i32, &Struct)> = given.collect();
    given.sort_by_key(|(index, _)| *index);
    let wrong = |message: &str| Err((INVALID_REPLICA_ASSIGNMENT, message.to_owned()));
    let mut partitions = Vec::new();
    for (expected, (index, assignment)) in (given.first().map_or(0, |(i, _)| *i)..).zip(given) {
        if index != expected {
            return wrong("partitions should be a consecutive 0-based integer sequence");
        }
        let nodes: Vec<i32> = int_list(assignment.array("BrokerIds")).collect();
        let replicas: Option<Vec<usize>> = nodes.iter().map(|n| world.broker_of(*n)).collect();
        let Some(replicas) = replicas.filter(|r| !r.is_empty()) else { return wrong("unknown broker") };
        let mut distinct = replicas.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < replicas.len() {
            return wrong("a broker is named twice");
        }
        partitions.push(Partition::new(replicas));
    }
    Ok(partitions)
}

fn answer(asked: &Struct, made: Result<Topic, (i16, String)>) -> Struct {
    let told = Struct::new().with("Name", asked.str("Name"));
    match made {
        Err((code, message)) => told
            .with("ErrorCode", code)
            .with("ErrorMessage", message)
            .with("NumPartitions", -1)
            .with("ReplicationFactor", -1),
        Ok(topic) => {
            let config = |(name, value, source): (&str, String, i8)| {
                Struct::new()
                    .with("Name", name)
                    .with("Value", value)
                    .with("ReadOnly", false)
                    .with("ConfigSource", source)
                    .with("IsSensitive", false)
            };
            let count = |n: usize| i64::try_from(n).unwrap_or(-1);
            told.with("ErrorCode", NONE)
                .with("ErrorMessage", Value::Null)
                .with("TopicId", Value::Uuid(topic.id.into_bytes()))
                .with("NumPartitions", count(topic.partitions.len()))
                .with("ReplicationFactor", count(topic.partitions.first().map_or(0, |p| p.replicas.len())))
                .with("Configs", array(configs::of_topic(&topic.configs).map(config)))
        }
    }
}

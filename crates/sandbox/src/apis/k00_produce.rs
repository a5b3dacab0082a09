//! Produce: append at the leader, and for acks=all wait until all in-sync replicas have it. Batches of a transaction need their
//! coordinator's word first (KIP-890).

use super::{Answer, Call, array, current_leader, node_endpoints, topic_name};
use crate::{
    errors::{
        INVALID_REQUIRED_ACKS, NONE, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        NOT_LEADER_OR_FOLLOWER, OUT_OF_ORDER_SEQUENCE_NUMBER, REQUEST_TIMED_OUT,
        TRANSACTIONAL_ID_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION,
    },
    log::{Appended, Batch, TimestampType},
    world::{Joins, LogKey, World, now_ms},
};
use bytes::Bytes;
use pointsman_wire::{Struct, Value};
use std::sync::Arc;

/// `message.max.bytes`, with the overhead of a batch.
const MAX_MESSAGE_BYTES: usize = 1_048_588;
const ALL: i16 = -1;
/// From this version on clients know TRANSACTION_ABORTABLE.
const KNOWS_ABORTABLE: i16 = 11;
/// From this version on a partition joins a transaction with its first batch.
const ADDS: i16 = 12;

/// One partition of the request, and what became of it.
struct Part {
    topic: Option<Arc<str>>,
    index: i32,
    outcome: Outcome,
}

enum Outcome {
    Done { code: i16, base: i64, append_time: i64, start: i64 },
    Waiting { appended: Appended, leader_epoch: i32 },
}

pub(super) async fn handle(call: Call<'_>) -> Answer {
    let acks = call.request.i16("Acks");
    let deadline = call.deadline("TimeoutMs");
    let mut topics = call.shared.change(|world| append_all(&call, world, acks));
    let settle_all = |world: &mut World| {
        let mut waiting = 0;
        for part in topics.iter_mut().flat_map(|(_, parts)| parts) {
            waiting += usize::from(!settle(&call, world, part));
        }
        (waiting == 0).then_some(())
    };
    call.shared.wait(deadline, settle_all).await;
    if acks == 0 {
        let failed = topics
            .iter()
            .flat_map(|(_, parts)| parts)
            .any(|p| !matches!(p.outcome, Outcome::Done { code: NONE, .. }));
        // The client learns of an error by losing its connection.
        return if failed { Answer::Close } else { Answer::Nothing };
    }
    Answer::Body(answer(&call, &topics))
}

fn append_all<'a>(call: &Call<'a>, world: &mut World, acks: i16) -> Vec<(&'a Struct, Vec<Part>)> {
    let topics = call.request.structs("TopicData");
    let topic = |topic: &'a Struct| {
        let name = topic_name(world, call.broker, topic, "Name");
        let part = |partition: &Struct| {
            let index = partition.i32("Index");
            let records = partition.bytes("Records").cloned().unwrap_or_default();
            let outcome = append(call, world, name.as_deref(), index, &records, acks);
            Part { topic: name.clone(), index, outcome: outcome.unwrap_or_else(failed) }
        };
        (topic, topic.structs("PartitionData").map(part).collect())
    };
    topics.map(topic).collect()
}

fn failed(code: i16) -> Outcome {
    Outcome::Done { code, base: -1, append_time: -1, start: -1 }
}

fn append(
    call: &Call<'_>,
    world: &mut World,
    topic: Option<&str>,
    index: i32,
    records: &Bytes,
    acks: i16,
) -> Result<Outcome, i16> {
    let by_id = call.version >= 13;
    let topic = topic.ok_or(if by_id { UNKNOWN_TOPIC_ID } else { UNKNOWN_TOPIC_OR_PARTITION })?;
    if !(-1..=1).contains(&acks) {
        return Err(INVALID_REQUIRED_ACKS);
    }
    let led = world.led(call.broker, topic, index, -1)?;
    let settings = &world.brokers[call.broker].view.topics[topic];
    let max = settings.config("max.message.bytes", MAX_MESSAGE_BYTES);
    let min_isr = world.min_isr(settings, &led.partition);
    let timestamps = match settings.configs.get("message.timestamp.type").map(String::as_str) {
        Some("LogAppendTime") => TimestampType::Append(now_ms()),
        _ => TimestampType::Create,
    };
    let batch = Batch::produced(records, max, timestamps)?;
    if acks == ALL && led.partition.isr.len() < min_isr {
        return Err(NOT_ENOUGH_REPLICAS);
    }
    if batch.header.is_transactional() {
        join(call, world, led.key, (topic, index), &batch)?;
    }
    let log = world.log(call.broker, led.key);
    let appended = log.append(batch, led.partition.leader_epoch)?;
    let start = log.start();
    world.replicate(call.broker, led.key, &led.partition);
    Ok(if acks == ALL {
        Outcome::Waiting { appended, leader_epoch: led.partition.leader_epoch }
    } else {
        Outcome::Done { code: NONE, base: appended.base, append_time: appended.append_time, start }
    })
}

/// May this batch be part of its transaction? With transaction version 2 nothing of it can be older than what the log has seen,
/// so a producer's first batch is the first of its epoch.
fn join(
    call: &Call<'_>,
    world: &mut World,
    key: LogKey,
    (topic, index): (&str, i32),
    batch: &Batch,
) -> Result<(), i16> {
    let id = call.request.opt_str("TransactionalId").ok_or(TRANSACTIONAL_ID_AUTHORIZATION_FAILED)?;
    let joins = match call.version {
        ADDS.. => Joins::Adds,
        KNOWS_ABORTABLE.. => Joins::Abortable,
        _ => Joins::Older,
    };
    let header = &batch.header;
    let partition = (topic.to_owned(), index);
    let producer = (header.producer_id, header.producer_epoch);
    world.join_transaction(call.broker, id, producer, key, &partition, joins)?;
    let begins = header.base_sequence == 0 || world.log(call.broker, key).knows(header.producer_id);
    if joins != Joins::Adds || begins { Ok(()) } else { Err(OUT_OF_ORDER_SEQUENCE_NUMBER) }
}

/// Whether the partition's outcome is known.
fn settle(call: &Call<'_>, world: &mut World, part: &mut Part) -> bool {
    let Outcome::Waiting { appended, leader_epoch } = &part.outcome else { return true };
    let topic = part.topic.as_deref().unwrap_or_default();
    let led = match world.led(call.broker, topic, part.index, -1) {
        Ok(led) if led.partition.leader_epoch == *leader_epoch => led,
        _ => {
            part.outcome = failed(NOT_LEADER_OR_FOLLOWER);
            return true;
        }
    };
    let min_isr =
        world.brokers[call.broker].view.topics.get(topic).map_or(1, |t| world.min_isr(t, &led.partition));
    let log = world.log(call.broker, led.key);
    if log.high_watermark < appended.end {
        return false;
    }
    let code = if led.partition.isr.len() < min_isr { NOT_ENOUGH_REPLICAS_AFTER_APPEND } else { NONE };
    part.outcome =
        Outcome::Done { code, base: appended.base, append_time: appended.append_time, start: log.start() };
    true
}

fn answer(call: &Call<'_>, topics: &[(&Struct, Vec<Part>)]) -> Struct {
    let world = call.shared.lock();
    let mut leaders = Vec::new();
    let mut partition = |part: &Part| {
        let (code, base, append_time, start) = match part.outcome {
            Outcome::Done { code, base, append_time, start } => (code, base, append_time, start),
            Outcome::Waiting { .. } => (REQUEST_TIMED_OUT, -1, -1, -1),
        };
        let mut told = Struct::new()
            .with("Index", part.index)
            .with("ErrorCode", code)
            .with("BaseOffset", base)
            .with("LogAppendTimeMs", append_time)
            .with("LogStartOffset", start);
        let topic = part.topic.as_deref().filter(|_| code == NOT_LEADER_OR_FOLLOWER);
        if let Some((leader, broker)) = topic.and_then(|t| current_leader(&world, call.broker, t, part.index))
        {
            told.set("CurrentLeader", Value::Struct(leader));
            leaders.extend(broker);
        }
        told
    };
    let responses = topics.iter().map(|(topic, parts)| {
        Struct::new()
            .with("Name", topic.get("Name").clone())
            .with("TopicId", topic.get("TopicId").clone())
            .with("PartitionResponses", array(parts.iter().map(&mut partition)))
    });
    let responses = array(responses.collect::<Vec<_>>());
    Struct::new().with("Responses", responses).with("NodeEndpoints", node_endpoints(&world, &leaders))
}

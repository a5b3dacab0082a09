//! Fetch: long poll over the partitions of a session, up to the high watermark or, for readers of committed records, up to
//! the last stable offset.

use super::{Answer, Call, array, current_leader, int_list, millis, node_endpoints};
use crate::{
    errors::{
        FENCED_LEADER_EPOCH, NONE, NOT_LEADER_OR_FOLLOWER, OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_ID,
        UNKNOWN_TOPIC_OR_PARTITION,
    },
    log::{Aborted, ReplicaLog},
    sessions::{Named, Opened, Wanted},
    world::World,
};
use bytes::Bytes;
use pointsman_wire::{Struct, Value};
use std::{sync::Arc, time::Instant};
use uuid::Uuid;

/// From this version on a client that asks the wrong broker is told the right one.
const TELLS_LEADER: i16 = 12;

/// From this version on followers serve consumers too (KIP-392).
const FOLLOWERS_SERVE: i16 = 11;

/// `IsolationLevel` of who wants only what is committed.
const READ_COMMITTED: i64 = 1;

/// What is told of one partition.
struct Found {
    code: i16,
    high_watermark: i64,
    stable: i64,
    /// Set for readers of committed records.
    aborted: Option<Vec<Aborted>>,
    start: i64,
    records: Bytes,
    diverging: Option<(i32, i64)>,
    leader: Option<(Struct, Option<usize>)>,
}

pub(super) async fn handle(call: Call<'_>) -> Answer {
    let request = call.request;
    let (session, epoch) = (request.i32("SessionId"), session_epoch(&call));
    let opened = {
        let mut world = call.shared.lock();
        let (wanted, forgotten) = asked(&call);
        world.brokers[call.broker].sessions.open(session, epoch, wanted, &forgotten)
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(code) => return Answer::Body(Struct::new().with("ErrorCode", code).with("Responses", array([]))),
    };
    let deadline = Instant::now() + millis(request.int("MaxWaitMs"));
    let min_bytes = usize::try_from(request.int("MinBytes")).unwrap_or(0);
    if !opened.wanted.is_empty() && min_bytes > 0 {
        let enough = |world: &mut World| has_enough(&call, world, &opened.wanted, min_bytes).then_some(());
        call.shared.wait(deadline, enough).await;
    }
    Answer::Body(answer(&call, &opened))
}

/// Before version 7 there are no sessions: each request stands for itself.
fn session_epoch(call: &Call<'_>) -> i32 {
    if call.version < 7 { -1 } else { call.request.i32("SessionEpoch") }
}

fn asked(call: &Call<'_>) -> (Vec<Wanted>, Vec<(Named, i32)>) {
    let mut wanted = Vec::new();
    for topic in call.request.structs("Topics") {
        for p in topic.structs("Partitions") {
            wanted.push(Wanted {
                topic: named(call, topic),
                index: p.i32("Partition"),
                offset: p.int("FetchOffset"),
                max_bytes: usize::try_from(p.int("PartitionMaxBytes")).unwrap_or(0),
                leader_epoch: if call.version >= 9 { p.i32("CurrentLeaderEpoch") } else { -1 },
                last_epoch: if call.version >= 12 { p.i32("LastFetchedEpoch") } else { -1 },
                told: None,
            });
        }
    }
    let forgotten = call.request.structs("ForgottenTopicsData");
    let forgotten = forgotten.flat_map(|t| int_list(t.array("Partitions")).map(|i| (named(call, t), i)));
    (wanted, forgotten.collect())
}

fn named(call: &Call<'_>, topic: &Struct) -> Named {
    if call.version >= 13 {
        Named::Id(Uuid::from_bytes(topic.uuid("TopicId")))
    } else {
        Named::Name(topic.str("Topic").into())
    }
}

/// The log that is asked for, or the code of why not.
fn locate(call: &Call<'_>, world: &World, wanted: &Wanted) -> Result<(Arc<str>, crate::world::LogKey), i16> {
    let view = &world.brokers[call.broker].view;
    let name = match &wanted.topic {
        Named::Name(name) => {
            view.topics.get_key_value(name).map(|(n, _)| n).ok_or(UNKNOWN_TOPIC_OR_PARTITION)?
        }
        Named::Id(id) => view.name_of(*id).ok_or(UNKNOWN_TOPIC_ID)?,
    };
    let from = if call.version >= FOLLOWERS_SERVE { World::replica } else { World::led };
    let led = from(world, call.broker, name, wanted.index, wanted.leader_epoch)?;
    Ok((Arc::clone(name), led.key))
}

/// Is there something that must not wait: enough bytes, an error, a diverging epoch?
fn has_enough(call: &Call<'_>, world: &mut World, wanted: &[Wanted], min_bytes: usize) -> bool {
    let mut bytes = 0;
    for w in wanted {
        let Ok((_, key)) = locate(call, world, w) else { return true };
        let log = world.log(call.broker, key);
        if w.offset < log.start() || w.offset > log.end() || diverging(log, w).is_some() {
            return true;
        }
        bytes += log.bytes_between(w.offset, readable(call, log)).min(w.max_bytes.max(1));
        if bytes >= min_bytes {
            return true;
        }
    }
    false
}

/// From the fourth version on a client says whether it wants only what is committed.
fn reads_committed(call: &Call<'_>) -> bool {
    call.request.int("IsolationLevel") == READ_COMMITTED
}

/// Where this reader must stop.
fn readable(call: &Call<'_>, log: &ReplicaLog) -> i64 {
    if reads_committed(call) { log.last_stable() } else { log.high_watermark }
}

/// The client's last epoch ended before its offset: the log was cut since.
fn diverging(log: &ReplicaLog, wanted: &Wanted) -> Option<Result<(i32, i64), i16>> {
    if wanted.last_epoch < 0 {
        return None;
    }
    match log.end_of_epoch(wanted.last_epoch) {
        (_, end) if end < 0 => Some(Err(OFFSET_OUT_OF_RANGE)),
        (epoch, end) if epoch < wanted.last_epoch || end < wanted.offset => Some(Ok((epoch, end))),
        _ => None,
    }
}

fn find(call: &Call<'_>, world: &mut World, wanted: &Wanted, room: usize, first: bool) -> Found {
    let failed = |code, leader| Found {
        code,
        high_watermark: -1,
        stable: -1,
        aborted: None,
        start: -1,
        records: Bytes::new(),
        diverging: None,
        leader,
    };
    let key = match locate(call, world, wanted) {
        Ok((_, key)) => key,
        Err(code) => {
            let tells =
                matches!(code, NOT_LEADER_OR_FOLLOWER | FENCED_LEADER_EPOCH) && call.version >= TELLS_LEADER;
            let name = match &wanted.topic {
                Named::Name(name) => Some(Arc::clone(name)),
                Named::Id(id) => world.brokers[call.broker].view.name_of(*id).cloned(),
            };
            let name = name.filter(|_| tells);
            return failed(code, name.and_then(|n| current_leader(world, call.broker, &n, wanted.index)));
        }
    };
    let log = world.log(call.broker, key);
    let mut found = failed(NONE, None);
    (found.high_watermark, found.stable, found.start) = (log.high_watermark, log.last_stable(), log.start());
    match diverging(log, wanted) {
        Some(Ok(at)) => {
            found.diverging = Some(at);
            return found;
        }
        Some(Err(code)) => return failed(code, None),
        None => {}
    }
    match log.read(wanted.offset, readable(call, log), wanted.max_bytes.min(room), first) {
        Ok(records) => found.records = records,
        Err(code) => return Found { start: log.start(), ..failed(code, None) },
    }
    if reads_committed(call) {
        let end = log.end_of_read(wanted.offset, found.records.len());
        found.aborted = Some(log.aborted(wanted.offset, end).collect());
    }
    found
}

fn answer(call: &Call<'_>, opened: &Opened) -> Struct {
    let mut world = call.shared.lock();
    let mut room = usize::try_from(call.request.int("MaxBytes")).unwrap_or(0);
    let mut first = true;
    let mut leaders = Vec::new();
    let mut topics: Vec<(Named, Vec<Struct>)> = Vec::new();
    for wanted in &opened.wanted {
        let found = find(call, &mut world, wanted, room, first);
        let had_data = !found.records.is_empty();
        if had_data {
            first = false;
            room = room.saturating_sub(found.records.len());
        }
        let told = (found.code == NONE).then_some((found.high_watermark, found.start));
        let news = had_data || found.code != NONE || found.diverging.is_some() || told != wanted.told;
        let sessions = &mut world.brokers[call.broker].sessions;
        sessions.told(opened.id, &wanted.topic, wanted.index, told, had_data);
        if opened.incremental && !news {
            continue;
        }
        leaders.extend(found.leader.as_ref().and_then(|(_, broker)| *broker));
        let partition = told_partition(wanted.index, found);
        match topics.last_mut().filter(|(topic, _)| *topic == wanted.topic) {
            Some((_, partitions)) => partitions.push(partition),
            None => topics.push((wanted.topic.clone(), vec![partition])),
        }
    }
    let topic = |(topic, partitions): (Named, Vec<Struct>)| {
        let told = match topic {
            Named::Name(name) => Struct::new().with("Topic", name.to_string()),
            Named::Id(id) => Struct::new().with("TopicId", Value::Uuid(id.into_bytes())),
        };
        told.with("Partitions", array(partitions))
    };
    Struct::new()
        .with("SessionId", opened.id)
        .with("Responses", array(topics.into_iter().map(topic)))
        .with("NodeEndpoints", node_endpoints(&world, &leaders))
}

fn aborted(transactions: Vec<Aborted>) -> Value {
    let told = |of: Aborted| Struct::new().with("ProducerId", of.producer).with("FirstOffset", of.first);
    array(transactions.into_iter().map(told))
}

fn told_partition(index: i32, found: Found) -> Struct {
    let mut told = Struct::new()
        .with("PartitionIndex", index)
        .with("ErrorCode", found.code)
        .with("HighWatermark", found.high_watermark)
        .with("LastStableOffset", found.stable)
        .with("LogStartOffset", found.start)
        .with("AbortedTransactions", found.aborted.map_or(Value::Null, aborted))
        .with("PreferredReadReplica", -1)
        .with("Records", Value::Bytes(found.records));
    if let Some((epoch, end)) = found.diverging {
        let at = Struct::new().with("Epoch", epoch).with("EndOffset", end);
        told.set("DivergingEpoch", Value::Struct(at));
    }
    if let Some((leader, _)) = found.leader {
        told.set("CurrentLeader", Value::Struct(leader));
    }
    told
}

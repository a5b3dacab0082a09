//! Answers that Pointsman gives when no broker does: the error that makes each client try again at once.

use crate::rules::{Context, Fail, Keys, Partitions, Rule, error, request::Scan};
use pointsman_wire::{schema::Field, tables, value::Struct};

use super::{dispatch::is_chosen, merge};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The chain has another active cluster now, or none.
    Switch,
    /// The broker could not be reached.
    Broker,
}

/// The response that says so, or `None` when the api has no error that does: then the connection is closed.
pub(super) fn response(
    rule: &Rule,
    version: i16,
    scan: &Scan,
    cause: Cause,
    cx: Option<&Context<'_>>,
) -> Option<Struct> {
    match rule.fail {
        Fail::Partitions(..) if scan.fetch.in_session() => {
            Some(Struct::new().with("ErrorCode", error::FETCH_SESSION_ID_NOT_FOUND))
        }
        // AddPartitionsToTxn of several transactions.
        Fail::Partitions(_, code) if !scan.keys.is_empty() && scan.partitions.is_empty() => {
            Some(Struct::new().with("ErrorCode", code))
        }
        Fail::Partitions(shape, code) => Some(partitions(shape, scan, None, code, cx)),
        Fail::Keys(keys, code) => by_keys(version, keys, scan, None, code),
        Fail::TopLevel(broker, switch) => {
            // While no cluster serves there is nothing that a member could join; it looks for a coordinator, at its own pace.
            let code = if cause == Cause::Switch && cx.is_some() { switch } else { broker };
            tables::response(rule.key, version)?
                .fields
                .iter()
                .find(|f| f.name == "ErrorCode" && f.in_sequence(version))?;
            Some(no_member(Struct::new().with("ErrorCode", code)))
        }
        Fail::Replay | Fail::Close => None,
    }
}

/// The same for the chosen partitions or keys of a split request.
pub(super) fn part(
    rule: &Rule,
    version: i16,
    scan: &Scan,
    chosen: &[usize],
    cx: Option<&Context<'_>>,
) -> Option<Struct> {
    match rule.fail {
        Fail::Partitions(shape, code) => Some(partitions(shape, scan, Some(chosen), code, cx)),
        Fail::Keys(keys, code) => by_keys(version, keys, scan, Some(chosen), code),
        _ => None,
    }
}

/// `code` at the chosen partitions, or at all; where the leader is known, the answer names it, so that clients need not ask.
pub(super) fn partitions(
    shape: &Partitions,
    scan: &Scan,
    chosen: Option<&[usize]>,
    code: i16,
    cx: Option<&Context<'_>>,
) -> Struct {
    let mut topics = Vec::with_capacity(scan.topics.len());
    let mut named: Vec<i32> = Vec::new();
    // Clients take a new leader from these two (KIP-951).
    let moved = matches!(code, error::NOT_LEADER_OR_FOLLOWER | error::FENCED_LEADER_EPOCH);
    let cx = cx.filter(|_| moved);
    for (topic, numbers) in scan.by_topic() {
        let mine = numbers.filter(|i| is_chosen(chosen, *i));
        let entries: Vec<Struct> = mine
            .map(|i| {
                let index = scan.partitions[i].index;
                let leader =
                    cx.zip(topic.name.as_deref()).and_then(|(cx, name)| current_leader(cx, name, index));
                let entry = partition(shape, index, code);
                let Some((slot, leader)) = leader else { return entry };
                named.push(slot);
                entry.with("CurrentLeader", leader)
            })
            .collect();
        if !entries.is_empty() {
            topics.push(merge::topic_entry(shape, topic).with(shape.response_partitions, entries));
        }
    }
    let response = Struct::new().with(shape.response_topics, topics);
    match cx {
        Some(cx) if !named.is_empty() => response.with("NodeEndpoints", endpoints(cx, named)),
        _ => response,
    }
}

/// One partition's entry with an error, and "unknown" wherever the schema's default would claim something.
pub(super) fn partition(shape: &Partitions, index: i32, code: i16) -> Struct {
    Struct::new()
        .with(shape.response_index, index)
        .with(shape.response_error, code)
        .with("BaseOffset", -1)
        .with("LogAppendTimeMs", -1)
        .with("LogStartOffset", -1)
        .with("HighWatermark", -1)
        .with("LastStableOffset", -1)
        .with("Offset", -1)
        .with("Timestamp", -1)
        .with("LeaderEpoch", -1)
        .with("EndOffset", -1)
        .with("LowWatermark", -1)
        .with("PreferredReadReplica", -1)
}

fn current_leader(cx: &Context<'_>, topic: &str, partition: i32) -> Option<(i32, Struct)> {
    let known = cx.topology.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)?;
    if known.leader < 0 || known.epoch < 0 {
        return None;
    }
    let slot = cx.slot(known.leader);
    let leader = Struct::new().with("LeaderId", slot).with("LeaderEpoch", cx.virtual_epoch(known.epoch));
    Some((slot, leader))
}

fn endpoints(cx: &Context<'_>, mut slots: Vec<i32>) -> Vec<Struct> {
    slots.sort_unstable();
    slots.dedup();
    let address = |slot: &i32| usize::try_from(*slot).ok().and_then(|s| cx.virtual_cluster.slots.get(s));
    let endpoint = |slot: &i32| {
        let address = address(slot)?;
        let port = i32::from(address.port);
        Some(Struct::new().with("NodeId", *slot).with("Host", &*address.host).with("Port", port))
    };
    slots.iter().filter_map(endpoint).collect()
}

fn by_keys(version: i16, keys: &Keys, scan: &Scan, chosen: Option<&[usize]>, code: i16) -> Option<Struct> {
    if version < keys.error_since {
        return None;
    }
    let result = |key: &str| Struct::new().with(keys.result_key, key).with("ErrorCode", code);
    let failed = scan.keys.iter().enumerate().filter(|(i, _)| is_chosen(chosen, *i));
    let results: Vec<Struct> = failed.map(|(_, key)| result(key)).collect();
    Some(Struct::new().with(keys.results, results).with("ErrorCode", code))
}

/// Group responses with an error name no generation, producer or member.
pub(super) fn no_member(response: Struct) -> Struct {
    response.with("GenerationId", -1).with("ProducerId", -1).with("ProducerEpoch", -1)
}

/// Takes out what the api's response does not have, so that one builder serves all apis of a shape.
pub(super) fn fit(fields: &'static [Field], value: &mut Struct) {
    let strangers: Vec<&'static str> =
        value.fields().map(|(name, _)| name).filter(|name| !fields.iter().any(|f| f.name == *name)).collect();
    for name in strangers {
        value.remove(name);
    }
    for field in fields {
        let inner = field.ty.fields();
        if inner.is_empty() {
            continue;
        }
        value.structs_mut(field.name).for_each(|item| fit(inner, item));
        if let Some(nested) = value.get_mut(field.name).and_then(|v| v.as_struct_mut()) {
            fit(inner, nested);
        }
    }
}

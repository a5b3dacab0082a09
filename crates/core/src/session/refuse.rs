//! Answers that Pointsman gives when no broker does: the error that makes each client try again at once.

use crate::rules::{
    Context, Fail, Keys, Partitions, Rule, error,
    request::{Scan, TopicRef},
};
use pointsman_wire::{
    tables,
    value::{Pieces, Struct},
};
use std::collections::BTreeSet;

use super::{dispatch::is_chosen, merge::Answer, tell};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The chain has another active cluster now, or none.
    Switch,
    /// The broker could not be reached.
    Broker,
}

/// The response of an api and version that says so, or `None` when it has no error that does: then the connection is closed.
/// `soften` says an error in the words that the client's library keeps to itself.
pub(super) fn response(
    rule: &Rule,
    api: (i16, i16),
    scan: &Scan,
    cause: Cause,
    cx: Option<&Context<'_>>,
    soften: impl Fn(i16) -> i16,
) -> Option<Answer> {
    match rule.fail {
        Fail::Partitions(..) if scan.fetch.in_session() => {
            short(api, &Struct::new().with("ErrorCode", error::FETCH_SESSION_ID_NOT_FOUND))
        }
        // AddPartitionsToTxn of several transactions.
        Fail::Partitions(_, code) if !scan.keys.is_empty() && scan.partitions.is_empty() => {
            short(api, &Struct::new().with("ErrorCode", code))
        }
        Fail::Partitions(shape, code) => partitions(api, shape, scan, None, code, cx),
        Fail::Keys(keys, code) => by_keys(api, keys, scan, None, code),
        Fail::TopLevel(broker, switch) => {
            // While no cluster serves there is nothing that a member could join; it looks for a coordinator, at its own pace.
            let code = if cause == Cause::Switch && cx.is_some() { switch } else { broker };
            tables::response(api.0, api.1)?
                .fields
                .iter()
                .find(|f| f.name == "ErrorCode" && f.in_sequence(api.1))?;
            short(api, &no_member(Struct::new().with("ErrorCode", soften(code))))
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
) -> Option<Answer> {
    let api = (rule.key, version);
    match rule.fail {
        Fail::Partitions(shape, code) => partitions(api, shape, scan, Some(chosen), code, cx),
        Fail::Keys(keys, code) => by_keys(api, keys, scan, Some(chosen), code),
        _ => None,
    }
}

/// A body that is short, whatever the request asks.
fn short((key, version): (i16, i16), body: &Struct) -> Option<Answer> {
    Pieces::new(tables::response(key, version)?, version).whole(body).ok().map(Into::into)
}

/// `code` at the chosen partitions, or at all; where the leader is known, the answer names it, so that clients need not ask.
pub(super) fn partitions(
    api: (i16, i16),
    shape: &Partitions,
    scan: &Scan,
    chosen: Option<&[usize]>,
    code: i16,
    cx: Option<&Context<'_>>,
) -> Option<Answer> {
    // Clients take a new leader from these two (KIP-951).
    let moved = matches!(code, error::NOT_LEADER_OR_FOLLOWER | error::FENCED_LEADER_EPOCH);
    let cx = cx.filter(|_| moved);
    let leader = |topic: &TopicRef, number: usize| {
        let (cx, name) = cx.zip(topic.name.as_deref())?;
        current_leader(cx, name, scan.partitions[number].index)
    };
    let mut root = Struct::new();
    if let Some(cx) = cx {
        let each = scan.by_topic().flat_map(|(topic, numbers)| numbers.map(move |number| (topic, number)));
        let each = each.filter(|(_, number)| is_chosen(chosen, *number));
        let named: BTreeSet<i32> =
            each.filter_map(|(topic, number)| Some(leader(topic, number)?.0)).collect();
        if !named.is_empty() {
            root.set("NodeEndpoints", endpoints(cx, &named));
        }
    }
    by_partition(api, shape, scan, chosen, &root, |topic, number| {
        let entry = partition(shape, scan.partitions[number].index, code);
        match leader(topic, number) {
            Some((slot, epoch)) => {
                let leader = Struct::new().with("LeaderId", slot).with("LeaderEpoch", epoch);
                entry.with("CurrentLeader", leader)
            }
            None => entry,
        }
    })
}

/// An answer for the chosen partitions, or for all, made and written one by one.
pub(super) fn by_partition(
    (key, version): (i16, i16),
    shape: &Partitions,
    scan: &Scan,
    chosen: Option<&[usize]>,
    root: &Struct,
    mut entry: impl FnMut(&TopicRef, usize) -> Struct,
) -> Option<Answer> {
    let pieces = Pieces::new(tables::response(key, version)?, version);
    let is_told = |number| is_chosen(chosen, number);
    let body = tell::write(&pieces, shape, scan, root, false, &is_told, &mut |topic, number, fields, out| {
        pieces.element(fields, &entry(topic, number), out)
    });
    body.ok().map(Into::into)
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

/// The slot that leads a partition, and its epoch.
fn current_leader(cx: &Context<'_>, topic: &str, partition: i32) -> Option<(i32, i32)> {
    let known = cx.topology.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)?;
    let is_known = known.leader >= 0 && known.epoch >= 0;
    is_known.then(|| (cx.slot(known.leader), cx.virtual_epoch(known.epoch)))
}

fn endpoints(cx: &Context<'_>, slots: &BTreeSet<i32>) -> Vec<Struct> {
    let address = |slot: &i32| usize::try_from(*slot).ok().and_then(|s| cx.virtual_cluster.slots.get(s));
    let endpoint = |slot: &i32| {
        let address = address(slot)?;
        let port = i32::from(address.port);
        Some(Struct::new().with("NodeId", *slot).with("Host", &*address.host).with("Port", port))
    };
    slots.iter().filter_map(endpoint).collect()
}

fn by_keys(
    (key, version): (i16, i16),
    keys: &Keys,
    scan: &Scan,
    chosen: Option<&[usize]>,
    code: i16,
) -> Option<Answer> {
    if version < keys.error_since {
        return None;
    }
    let failed = || scan.keys.iter().enumerate().filter(|(number, _)| is_chosen(chosen, *number));
    let pieces = Pieces::new(tables::response(key, version)?, version);
    let root = Struct::new().with("ErrorCode", code);
    let body = pieces.root(&root, (keys.results, failed().count()), &mut |fields, out| {
        failed().try_for_each(|(_, key)| {
            let result = Struct::new().with(keys.result_key, key).with("ErrorCode", code);
            pieces.element(fields, &result, out)
        })
    });
    body.ok().map(Into::into)
}

/// Group responses with an error name no generation, producer or member.
pub(super) fn no_member(response: Struct) -> Struct {
    response.with("GenerationId", -1).with("ProducerId", -1).with("ProducerEpoch", -1)
}

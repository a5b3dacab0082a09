//! Where groups are, from what passes: commits and fetched offsets are noted, and a group that was on another cluster is told where to
//! begin on this one.

use super::{exchange::Exchange, merge::Answer, refuse};
use crate::{
    offsets::{self, Stay},
    rules::{Context, Partitions, k23_offset_for_leader_epoch, request::Scan},
    signal::Moved,
    snapshot::VirtualCluster,
};
use pointsman_wire::value::{Struct, Value};
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;

const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;
const TXN_OFFSET_COMMIT: i16 = 28;
const DELETE_GROUPS: i16 = 42;
const OFFSET_DELETE: i16 = 47;

/// Whether answers of this api say where a group is.
pub(super) fn concern(key: i16) -> bool {
    matches!(key, OFFSET_COMMIT | OFFSET_FETCH | TXN_OFFSET_COMMIT | DELETE_GROUPS | OFFSET_DELETE)
}

/// Notes what an answer (already in virtual identifiers) says of groups, and fills in the positions that the cluster does not have.
/// Returns those.
pub(super) fn look(exchange: &Exchange, body: &mut Struct, cx: &Context<'_>) -> Option<Moved> {
    let group = exchange.scan.keys.first().unwrap_or_default();
    match exchange.rule.key {
        OFFSET_COMMIT => note_commits(&exchange.scan, body, cx, |topic, index, offset| {
            saw(group, topic, index, offset, cx);
        }),
        TXN_OFFSET_COMMIT => note_commits(&exchange.scan, body, cx, |topic, index, offset| {
            let (cluster, since) = (&cx.active.cluster.name, cx.active.since);
            cx.virtual_cluster.groups.saw_pending(group, topic, index, cluster, since, offset);
        }),
        OFFSET_FETCH if body.has("Groups") => {
            let mut given = None;
            for answer in body.structs_mut("Groups").filter(|g| g.i16("ErrorCode") == 0) {
                let group = answer.str("GroupId").to_owned();
                fetched(&group, answer, cx, &mut given);
            }
            return given;
        }
        OFFSET_FETCH if body.i16("ErrorCode") == 0 => {
            let mut given = None;
            fetched(group, body, cx, &mut given);
            return given;
        }
        DELETE_GROUPS => {
            let deleted = body.structs("Results").filter(|r| r.i16("ErrorCode") == 0);
            deleted.for_each(|r| cx.virtual_cluster.groups.forget(r.str("GroupId")));
        }
        OFFSET_DELETE => {
            for topic in body.structs("Topics") {
                for partition in topic.structs("Partitions").filter(|p| p.i16("ErrorCode") == 0) {
                    let index = partition.i32("PartitionIndex");
                    cx.virtual_cluster.groups.forget_partition(group, topic.str("Name"), index);
                }
            }
        }
        _ => {}
    }
    None
}

fn note_commits(scan: &Scan, body: &Struct, cx: &Context<'_>, mut note: impl FnMut(&str, i32, i64)) {
    let mut offsets: HashMap<(&str, i32), i64> = HashMap::new();
    for (partition, offset) in scan.partitions.iter().zip(&scan.commits) {
        if let Some(topic) = scan.topics.get(partition.topic).and_then(|t| t.name.as_deref()) {
            offsets.insert((topic, partition.index), *offset);
        }
    }
    for topic in body.structs("Topics") {
        let Some(name) = name(topic, cx) else { continue };
        for partition in topic.structs("Partitions").filter(|p| p.i16("ErrorCode") == 0) {
            let index = partition.i32("PartitionIndex");
            if let Some(offset) = offsets.get(&(&*name, index)).filter(|o| **o >= 0) {
                note(&name, index, *offset);
            }
        }
    }
}

fn saw(group: &str, topic: &str, partition: i32, offset: i64, cx: &Context<'_>) {
    let (cluster, since) = (&cx.active.cluster.name, cx.active.since);
    cx.virtual_cluster.groups.saw(group, topic, partition, cluster, since, offset);
}

/// The topics of one group in an answer to OffsetFetch.
fn fetched(group: &str, answer: &mut Struct, cx: &Context<'_>, given: &mut Option<Moved>) {
    let keeps_offsets = cx.virtual_cluster.replication.keeps_offsets();
    for topic in answer.structs_mut("Topics") {
        let Some(name) = name(topic, cx) else { continue };
        for partition in topic.structs_mut("Partitions").filter(|p| p.i16("ErrorCode") == 0) {
            let (index, offset) = (partition.i32("PartitionIndex"), partition.int("CommittedOffset"));
            let better = match offset {
                _ if keeps_offsets => not_copied(group, &name, index, offset, cx),
                ..0 => beginning(group, &name, index, cx),
                0.. => None,
            };
            if offset >= 0 && keeps_offsets {
                // It may have come with the copy, and be another cluster's: a client would wait for such an epoch for ever.
                partition.set("CommittedLeaderEpoch", -1);
            }
            if let Some(begin) = better {
                partition.set("CommittedOffset", begin);
                partition.set("CommittedLeaderEpoch", -1);
                if offset < 0 {
                    partition.set("Metadata", "");
                }
                let (group, topic) = (Some(group.into()), name.clone());
                Moved::add(given, Moved { group, topic, partition: index, offset: begin, partitions: 1 });
            } else if offset >= 0 {
                saw(group, &name, index, offset, cx);
            }
        }
    }
}

/// Where a group without a committed offset begins, unless that is its own affair.
fn beginning(group: &str, topic: &str, partition: i32, cx: &Context<'_>) -> Option<i64> {
    let active = cx.active;
    let (cluster, since) = (&active.cluster.name, active.since);
    let stay = Stay { cluster, since, point: &active.switch_point, ends: &active.cluster.ends };
    let VirtualCluster { groups, positions, .. } = cx.virtual_cluster;
    offsets::beginning(groups, *positions, &stay, group, topic, partition)
}

/// Between clusters that hold the same logs: the commit that was seen on the other one and has not been copied yet. A log that was not
/// copied as far ends before it, and what is written there since was not read.
fn not_copied(group: &str, topic: &str, partition: i32, copied: i64, cx: &Context<'_>) -> Option<i64> {
    let VirtualCluster { groups, .. } = cx.virtual_cluster;
    let active = cx.active;
    let last = groups.committed_lately(group, topic, partition, &active.cluster.name, active.since)?;
    let end = active.switch_point.ends.get(topic, partition)?;
    Some(last.min(end)).filter(|offset| *offset > copied)
}

/// The name of a topic in an answer that has its name or its virtual id.
fn name(topic: &Struct, cx: &Context<'_>) -> Option<Arc<str>> {
    match (topic.opt_str("Name").filter(|n| !n.is_empty()), topic.get("TopicId")) {
        (Some(name), _) => Some(name.into()),
        (None, Value::Uuid(id)) => cx.virtual_cluster.topic_ids.name(Uuid::from_bytes(*id)),
        _ => None,
    }
}

/// The answer for the partitions of OffsetForLeaderEpoch whose epoch is of an older generation, and which of them have an end.
pub(super) fn ends_of_older(
    api: (i16, i16),
    shape: &Partitions,
    scan: &Scan,
    chosen: &[usize],
    cx: &Context<'_>,
) -> (Option<Answer>, Option<Moved>) {
    let mut moved = None;
    let answer = refuse::by_partition(api, shape, scan, Some(chosen), &Struct::new(), |topic, number| {
        let partition = scan.partitions[number];
        let Some((name, epoch)) = topic.name.as_ref().zip(partition.older) else { return Struct::new() };
        let answer = k23_offset_for_leader_epoch::end_of_older(name, partition.index, epoch, cx);
        let (topic, partition, offset) = (name.clone(), partition.index, answer.int("EndOffset"));
        if offset < i64::MAX {
            Moved::add(&mut moved, Moved { group: None, topic, partition, offset, partitions: 1 });
        }
        answer
    });
    (answer, moved)
}

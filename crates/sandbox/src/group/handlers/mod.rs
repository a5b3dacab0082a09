//! The requests that a group coordinator serves, from DOM to DOM: one file per api key.

mod k08_offset_commit;
mod k09_offset_fetch;
mod k11_join_group;
mod k12_heartbeat;
mod k13_leave_group;
mod k14_sync_group;
mod k15_describe_groups;
mod k16_list_groups;
mod k28_txn_offset_commit;
mod k42_delete_groups;
mod k47_offset_delete;
mod k68_consumer_group_heartbeat;
mod k69_consumer_group_describe;

use super::{
    Answer, Groups, Outcome, Ticket,
    consumer::{Held, TopicId},
};
use bytes::Bytes;
use pointsman_wire::{Struct, Value};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// What the broker that got the request knows of its cluster.
pub(crate) trait View {
    fn topic_name(&self, id: [u8; 16]) -> Option<String>;

    fn topic_id(&self, name: &str) -> Option<[u8; 16]>;

    /// The names of all topics.
    fn topic_names(&self) -> Vec<String>;

    /// How many partitions a topic has; `None`: it does not exist.
    fn partitions(&self, name: &str) -> Option<i32>;

    /// Is this broker the group's coordinator? If not, the error says what it is: 14, 15 or 16.
    fn coordinates(&self, group: &str) -> Result<(), i16>;

    fn has_partition(&self, topic: &str, index: i32) -> bool {
        self.partitions(topic).is_some_and(|count| (0..count).contains(&index))
    }
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) now: Instant,
    pub(crate) version: i16,
    pub(crate) client_id: &'a str,
    pub(crate) client_host: IpAddr,
    pub(crate) view: &'a dyn View,
    /// Whether a commit in a transaction belongs to it; the code of why not.
    pub(crate) transaction: Result<(), i16>,
    pub(crate) request: &'a Struct,
}

/// A response, or the ticket of one that waits for other members.
#[derive(Debug)]
pub(crate) enum Reply {
    Ready(Struct),
    Later(Ticket),
}

/// Answers a request; `None`: the api is not one of these.
pub(crate) fn handle(key: i16, groups: &mut Groups, call: &Call<'_>) -> Option<Reply> {
    let body = match key {
        8 => k08_offset_commit::handle(groups, call),
        9 => k09_offset_fetch::handle(groups, call),
        11 => return Some(k11_join_group::handle(groups, call)),
        12 => k12_heartbeat::handle(groups, call),
        13 => k13_leave_group::handle(groups, call),
        14 => return Some(k14_sync_group::handle(groups, call)),
        15 => k15_describe_groups::handle(groups, call),
        16 => k16_list_groups::handle(groups, call),
        28 => k28_txn_offset_commit::handle(groups, call),
        42 => k42_delete_groups::handle(groups, call),
        47 => k47_offset_delete::handle(groups, call),
        68 => k68_consumer_group_heartbeat::handle(groups, call),
        69 => k69_consumer_group_describe::handle(groups, call),
        _ => return None,
    };
    Some(Reply::Ready(body))
}

/// The response of a request that waited, in the version in which it was asked.
pub(crate) fn finish(version: i16, answer: &Answer) -> Struct {
    match answer {
        Answer::Join(reply) => k11_join_group::response(version, reply),
        Answer::Sync(reply) => k14_sync_group::response(reply),
    }
}

fn reply<T>(outcome: Outcome<T>, response: impl FnOnce(&T) -> Struct) -> Reply {
    match outcome {
        Outcome::Ready(done) => Reply::Ready(response(&done)),
        Outcome::Later(ticket) => Reply::Later(ticket),
    }
}

/// The integer; `default` when the version does not have it.
fn i32_or(fields: &Struct, name: &str, default: i32) -> i32 {
    if fields.has(name) { fields.i32(name) } else { default }
}

/// The string, if there is one.
fn text(fields: &Struct, name: &str) -> Option<String> {
    fields.opt_str(name).map(str::to_owned)
}

/// The bytes; none when null.
fn bytes(fields: &Struct, name: &str) -> Bytes {
    fields.bytes(name).cloned().unwrap_or_default()
}

/// Milliseconds; below zero they are zero.
fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}

/// The integers of an array, as far as they have 32 bits.
fn i32s(fields: &Struct, name: &str) -> impl Iterator<Item = i32> {
    fields.array(name).iter().filter_map(Value::as_int).filter_map(|value| i32::try_from(value).ok())
}

/// The strings of an array.
fn strings<'a>(fields: &'a Struct, name: &str) -> impl Iterator<Item = &'a str> {
    fields.array(name).iter().filter_map(Value::as_str)
}

/// Partitions by their topics.
fn by_topic(held: &Held) -> BTreeMap<TopicId, Vec<i32>> {
    let mut by_topic: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for (topic, index) in held {
        by_topic.entry(*topic).or_default().push(*index);
    }
    by_topic
}

/// A partition and its error code.
fn partition_error(index: i32, error: i16) -> Struct {
    Struct::new().with("PartitionIndex", index).with("ErrorCode", error)
}

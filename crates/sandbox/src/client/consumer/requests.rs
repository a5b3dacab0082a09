//! The requests of the group protocol, and what is read from their answers.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use pointsman_wire::Struct;

use super::{
    ConsumerConfig,
    assignor::RANGE,
    fetch::Position,
    protocol::{Partitions, encode_assignment, encode_subscription},
};

pub(super) const OFFSET_COMMIT: i16 = 8;
/// The last version that names topics; later ones need their ids.
pub(super) const OFFSET_COMMIT_MAX: i16 = 9;
pub(super) const JOIN_GROUP: i16 = 11;
pub(super) const HEARTBEAT: i16 = 12;
pub(super) const LEAVE_GROUP: i16 = 13;
pub(super) const SYNC_GROUP: i16 = 14;
const PROTOCOL_TYPE: &str = "consumer";

/// Who we are in the group.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    /// Empty until the coordinator gives one.
    pub(super) id: String,
    /// −1 when in none.
    pub(super) generation: i32,
}

impl Membership {
    pub(super) const NONE: Self = Self { id: String::new(), generation: -1 };
}

/// What came of a join.
pub(super) struct Joined {
    pub(super) protocol: String,
    /// Subscriptions of all members, when we are the leader and have to assign.
    pub(super) members: Option<BTreeMap<String, Bytes>>,
}

pub(super) fn join(config: &ConsumerConfig, me: &Membership) -> Struct {
    let topics = std::slice::from_ref(&config.topic);
    let range = Struct::new().with("Name", RANGE).with("Metadata", encode_subscription(topics));
    Struct::new()
        .with("GroupId", config.group.as_str())
        .with("SessionTimeoutMs", millis(config.session_timeout))
        .with("RebalanceTimeoutMs", millis(config.rebalance_timeout))
        .with("MemberId", me.id.as_str())
        .with("GroupInstanceId", config.instance.clone())
        .with("ProtocolType", PROTOCOL_TYPE)
        .with("Protocols", vec![range])
}

pub(super) fn joined(answer: &Struct) -> Joined {
    let leads = answer.str("Leader") == answer.str("MemberId") && !answer.bool("SkipAssignment");
    let member =
        |m: &Struct| (m.str("MemberId").to_owned(), m.bytes("Metadata").cloned().unwrap_or_default());
    Joined {
        protocol: answer.str("ProtocolName").to_owned(),
        members: leads.then(|| answer.structs("Members").map(member).collect()),
    }
}

pub(super) fn sync(
    config: &ConsumerConfig,
    me: &Membership,
    protocol: &str,
    assignments: &BTreeMap<String, Partitions>,
) -> Struct {
    let assignment = |(member, partitions): (&String, &Partitions)| {
        Struct::new().with("MemberId", member.as_str()).with("Assignment", encode_assignment(partitions))
    };
    in_group(config, me)
        .with("ProtocolType", PROTOCOL_TYPE)
        .with("ProtocolName", protocol)
        .with("Assignments", assignments.iter().map(assignment).collect::<Vec<_>>())
}

pub(super) fn heartbeat(config: &ConsumerConfig, me: &Membership) -> Struct {
    in_group(config, me)
}

fn in_group(config: &ConsumerConfig, me: &Membership) -> Struct {
    Struct::new()
        .with("GroupId", config.group.as_str())
        .with("GenerationId", me.generation)
        .with("MemberId", me.id.as_str())
        .with("GroupInstanceId", config.instance.clone())
}

pub(super) fn leave(config: &ConsumerConfig, me: &Membership, version: i16) -> Struct {
    let body = Struct::new().with("GroupId", config.group.as_str());
    if version < 3 {
        return body.with("MemberId", me.id.as_str());
    }
    let member = Struct::new()
        .with("MemberId", me.id.as_str())
        .with("GroupInstanceId", config.instance.clone())
        .with("Reason", "the consumer was closed");
    body.with("Members", vec![member])
}

pub(super) fn commit(
    config: &ConsumerConfig,
    me: &Membership,
    positions: &BTreeMap<i32, Position>,
) -> Struct {
    let partition = |(index, position): (&i32, &Position)| {
        Struct::new()
            .with("PartitionIndex", *index)
            .with("CommittedOffset", position.offset)
            .with("CommittedLeaderEpoch", position.epoch)
            .with("CommittedMetadata", "")
    };
    let partitions: Vec<Struct> = positions.iter().map(partition).collect();
    let topic = Struct::new().with("Name", config.topic.as_str()).with("Partitions", partitions);
    Struct::new()
        .with("GroupId", config.group.as_str())
        .with("GenerationIdOrMemberEpoch", me.generation)
        .with("MemberId", me.id.as_str())
        .with("GroupInstanceId", config.instance.clone())
        .with("Topics", vec![topic])
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

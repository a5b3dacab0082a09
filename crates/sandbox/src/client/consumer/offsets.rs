//! Offsets that clusters keep: those that a group committed, and the first and the last of a partition.

use std::collections::BTreeMap;

use pointsman_wire::{Struct, Value};

use super::{Reset, fetch::Position};
use crate::client::{ClientError, cluster::Cluster, codes, connection::Connection};

const LIST_OFFSETS: i16 = 2;
const OFFSET_COMMIT: i16 = 8;
/// The last version that names topics.
const OFFSET_COMMIT_MAX: i16 = 9;
const OFFSET_FETCH: i16 = 9;
const LEAVE_GROUP: i16 = 13;
const DESCRIBE_GROUPS: i16 = 15;
/// Up to here a group that does not exist is told as one without members.
const DESCRIBE_GROUPS_MAX: i16 = 5;
/// The last version that names topics; later ones need their ids.
const OFFSET_FETCH_MAX: i16 = 9;
/// From this version on a request is about several groups.
const OFFSET_FETCH_GROUPS: i16 = 8;

/// What a group has committed of a topic; a partition without a commit is left out.
pub(crate) async fn committed(
    connection: &Connection,
    group: &str,
    topic: &str,
    partitions: &[i32],
) -> Result<BTreeMap<i32, Position>, ClientError> {
    let version = connection.version(OFFSET_FETCH, OFFSET_FETCH_MAX)?;
    let indexes: Vec<Value> = partitions.iter().map(|p| Value::from(*p)).collect();
    let topics = vec![Struct::new().with("Name", topic).with("PartitionIndexes", indexes)];
    let group = Struct::new().with("GroupId", group).with("Topics", topics);
    let grouped = version >= OFFSET_FETCH_GROUPS;
    let body = if grouped { Struct::new().with("Groups", vec![group]) } else { group };
    let answer = connection.call(OFFSET_FETCH, version, &body.with("RequireStable", true)).await?;
    let told = answer.structs("Groups").next().unwrap_or(&answer);
    ClientError::check("OffsetFetch", told.i16("ErrorCode"))?;
    let mut found = BTreeMap::new();
    for partition in told.structs("Topics").flat_map(|t| t.structs("Partitions")) {
        ClientError::check("OffsetFetch", partition.i16("ErrorCode"))?;
        let epoch =
            if partition.has("CommittedLeaderEpoch") { partition.i32("CommittedLeaderEpoch") } else { -1 };
        let position = Position { offset: partition.int("CommittedOffset"), epoch };
        if position.offset >= 0 {
            found.insert(partition.i32("PartitionIndex"), position);
        }
    }
    Ok(found)
}

/// Commits offsets for a group that has no members, without epochs: those of another cluster say nothing here.
pub(crate) async fn commit_simple(
    connection: &Connection,
    group: &str,
    topic: &str,
    offsets: &BTreeMap<i32, Position>,
) -> Result<(), ClientError> {
    let version = connection.version(OFFSET_COMMIT, OFFSET_COMMIT_MAX)?;
    let partition = |(index, position): (&i32, &Position)| {
        Struct::new()
            .with("PartitionIndex", *index)
            .with("CommittedOffset", position.offset)
            .with("CommittedLeaderEpoch", -1)
            .with("CommittedMetadata", "")
    };
    let partitions: Vec<Struct> = offsets.iter().map(partition).collect();
    let topics = vec![Struct::new().with("Name", topic).with("Partitions", partitions)];
    let body = Struct::new()
        .with("GroupId", group)
        .with("GenerationIdOrMemberEpoch", -1)
        .with("GroupInstanceId", Value::Null)
        .with("Topics", topics);
    let answer = connection.call(OFFSET_COMMIT, version, &body).await?;
    let mut told = answer.structs("Topics").flat_map(|t| t.structs("Partitions"));
    told.try_for_each(|p| ClientError::check("OffsetCommit", p.i16("ErrorCode")))
}

/// Takes every member out of a group.
pub(crate) async fn empty_group(connection: &Connection, group: &str) -> Result<(), ClientError> {
    let version = connection.version(DESCRIBE_GROUPS, DESCRIBE_GROUPS_MAX)?;
    let body = Struct::new().with("Groups", Value::Array(vec![group.into()]));
    let answer = connection.call(DESCRIBE_GROUPS, version, &body).await?;
    let members: Vec<Struct> = answer
        .structs("Groups")
        .flat_map(|g| g.structs("Members"))
        .map(|m| {
            let instance = m.opt_str("GroupInstanceId").map(str::to_owned);
            Struct::new().with("MemberId", m.str("MemberId")).with("GroupInstanceId", instance)
        })
        .collect();
    if members.is_empty() {
        return Ok(());
    }
    let version = connection.version(LEAVE_GROUP, i16::MAX)?;
    let body = Struct::new().with("GroupId", group).with("Members", members);
    let answer = connection.call(LEAVE_GROUP, version, &body).await?;
    ClientError::check("LeaveGroup", answer.i16("ErrorCode"))
}

/// The first or the last offset of partitions, asked of the broker that should lead them. Each has its own answer.
pub(crate) async fn list(
    cluster: &Cluster,
    connection: &Connection,
    topic: &str,
    partitions: &[i32],
    which: Reset,
) -> Result<BTreeMap<i32, Result<Position, ClientError>>, ClientError> {
    let version = connection.version(LIST_OFFSETS, i16::MAX)?;
    let timestamp = match which {
        Reset::Earliest => -2i64,
        Reset::Latest => -1,
    };
    let partition = |index: &i32| {
        let epoch = cluster.metadata(|m| m.leader(topic, *index)).map_or(-1, |leader| leader.epoch);
        Struct::new()
            .with("PartitionIndex", *index)
            .with("CurrentLeaderEpoch", epoch)
            .with("Timestamp", timestamp)
    };
    let asked: Vec<Struct> = partitions.iter().map(partition).collect();
    let topics = vec![Struct::new().with("Name", topic).with("Partitions", asked)];
    let body = Struct::new().with("ReplicaId", -1).with("Topics", topics);
    let answer = connection.call(LIST_OFFSETS, version, &body).await?;
    let told = answer.structs("Topics").flat_map(|t| t.structs("Partitions"));
    let mut found: BTreeMap<_, _> = told.map(|p| (p.i32("PartitionIndex"), position(p))).collect();
    for index in partitions {
        let missing = || Err(ClientError::code("ListOffsets", codes::UNKNOWN_TOPIC_OR_PARTITION));
        found.entry(*index).or_insert_with(missing);
    }
    Ok(found)
}

fn position(told: &Struct) -> Result<Position, ClientError> {
    ClientError::check("ListOffsets", told.i16("ErrorCode"))?;
    // Version 0 has a list of offsets instead.
    let old = told.array("OldStyleOffsets").first().and_then(Value::as_int);
    let epoch = if told.has("LeaderEpoch") { told.i32("LeaderEpoch") } else { -1 };
    Ok(Position { offset: old.unwrap_or_else(|| told.int("Offset")), epoch })
}

//! Whose identifier a field holds, where the JSON's `entityType` does not say.
//!
//! The JSON marks broker ids, topic names, producer ids, transactional ids and group ids, most of the time. Hosts,
//! ports, racks, topic ids, epochs and offsets it never marks. A test of `pointsman-wire` compares the outcome with
//! the reviewed list of all such fields.

use super::schema::{Definition, Direction, Field};

/// Paths (without `[]`) of broker ids that the JSON leaves unmarked.
const BROKER_IDS: &[(i16, Direction, &str)] = &[
    (18, Direction::Request, "NodeId"),
    (64, Direction::Request, "BrokerId"),
    (78, Direction::Response, "Responses.Partitions.CurrentLeader.LeaderId"),
    (79, Direction::Response, "Responses.Partitions.CurrentLeader.LeaderId"),
    (80, Direction::Request, "VoterId"),
    (81, Direction::Request, "VoterId"),
    (94, Direction::Request, "ControllerId"),
];

/// Paths of topic names that the JSON leaves unmarked.
const TOPIC_NAMES: &[(i16, Direction, &str)] =
    &[(89, Direction::Response, "Groups.Members.SubscribedTopicNames")];

/// Paths of partition leader epochs that are not named after it.
const LEADER_EPOCHS: &[(i16, Direction, &str)] = &[
    (1, Direction::Response, "Responses.Partitions.DivergingEpoch.Epoch"),
    (1, Direction::Response, "Responses.Partitions.SnapshotId.Epoch"),
];

/// Apis with offsets that are no offsets in a topic's partition: the metadata log, and Streams task offsets.
const OTHER_OFFSETS: &[i16] = &[55, 59, 88, 89];

/// The variant of `Entity` for the field at `path` (dotted, without `[]`).
pub(super) fn of(definition: &Definition, path: &str, field: &Field) -> &'static str {
    let here = |list: &[(i16, Direction, &str)]| list.contains(&(definition.key, definition.direction, path));
    match field.entity.as_deref() {
        Some("brokerId") => return "BrokerId",
        Some("topicName") => return "TopicName",
        Some("producerId") => return "ProducerId",
        Some("transactionalId") => return "TransactionalId",
        Some("groupId") => return "GroupId",
        Some(_) | None => {}
    }
    if here(BROKER_IDS) {
        return "BrokerId";
    }
    if here(TOPIC_NAMES) {
        return "TopicName";
    }
    if here(LEADER_EPOCHS) {
        return "LeaderEpoch";
    }
    by_name(definition.key, path, field)
}

fn by_name(key: i16, path: &str, field: &Field) -> &'static str {
    match (field.ty.plain(), field.name.as_str()) {
        ("uuid", "TopicId") => "TopicId",
        ("uuid", name) if name.ends_with("DirectoryId") => "DirectoryId",
        ("string", "ClusterId") => "ClusterId",
        ("string", "Rack" | "RackId") => "Rack",
        ("string", "Host") if is_address(path) => "Host",
        ("int32" | "uint16", "Port") if is_address(path) => "Port",
        ("string", "GroupId" | "GroupIds" | "GroupsNames") => "GroupId",
        ("string", "TransactionalId" | "TransactionalIds" | "V3AndBelowTransactionalId") => "TransactionalId",
        ("int64", "ProducerIdFilters") => "ProducerId",
        ("int64", name) if name.ends_with("ProducerId") => "ProducerId",
        ("int32", "LeaderEpoch" | "CurrentLeaderEpoch" | "CommittedLeaderEpoch" | "LastFetchedEpoch") => {
            "LeaderEpoch"
        }
        ("int64", name) if is_offset(name) && !OTHER_OFFSETS.contains(&key) => "Offset",
        _ => "None",
    }
}

/// A broker's or controller's address: not an ACL's host, not a Streams application's endpoint.
fn is_address(path: &str) -> bool {
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let holder = parent.rsplit_once('.').map_or(parent, |(_, holder)| holder);
    matches!(
        holder,
        "" | "NodeEndpoints" | "Brokers" | "Coordinators" | "Listeners" | "LiveBrokers" | "Endpoints"
    )
}

fn is_offset(name: &str) -> bool {
    matches!(
        name,
        "BaseOffset"
            | "LogStartOffset"
            | "FetchOffset"
            | "HighWatermark"
            | "LastStableOffset"
            | "EndOffset"
            | "FirstOffset"
            | "LastOffset"
            | "Offset"
            | "OldStyleOffsets"
            | "CommittedOffset"
            | "LowWatermark"
            | "CurrentTxnStartOffset"
            | "StartOffset"
    )
}

//! OffsetCommit: to the group's coordinator.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use crate::topology::CoordinatorKind::Group;
use pointsman_wire::tables::offset_commit_request as ids;

const IDS: PartitionIds = PartitionIds {
    name: ids::TOPICS_NAME,
    topic_id: ids::TOPICS_TOPIC_ID,
    index: ids::TOPICS_PARTITIONS_PARTITION_INDEX,
    ..PartitionIds::NOTHING
};
const PARTITIONS: Partitions = Partitions::alike("Name", "PartitionIndex", IDS);

pub(super) const RULE: Rule =
    Rule::new(8, Route::Coordinator(Group), Fail::Partitions(&PARTITIONS, error::NOT_COORDINATOR));

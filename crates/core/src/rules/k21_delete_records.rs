//! DeleteRecords: to the leader of each partition.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::delete_records_request as ids;

const IDS: PartitionIds = PartitionIds {
    name: ids::TOPICS_NAME,
    index: ids::TOPICS_PARTITIONS_PARTITION_INDEX,
    ..PartitionIds::NOTHING
};
const PARTITIONS: Partitions = Partitions::alike("Name", "PartitionIndex", IDS);

pub(super) const RULE: Rule =
    Rule::new(21, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

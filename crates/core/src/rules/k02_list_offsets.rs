//! ListOffsets: to the leader of each partition.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::list_offsets_request as ids;

const IDS: PartitionIds = PartitionIds {
    name: ids::TOPICS_NAME,
    index: ids::TOPICS_PARTITIONS_PARTITION_INDEX,
    current_epoch: ids::TOPICS_PARTITIONS_CURRENT_LEADER_EPOCH,
    ..PartitionIds::NOTHING
};
const PARTITIONS: Partitions = Partitions::alike("Name", "PartitionIndex", IDS);

pub(super) const RULE: Rule =
    Rule::new(2, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

//! OffsetForLeaderEpoch: to the leader of each partition.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::offset_for_leader_epoch_request as ids;

const IDS: PartitionIds = PartitionIds {
    name: ids::TOPICS_TOPIC,
    index: ids::TOPICS_PARTITIONS_PARTITION,
    current_epoch: ids::TOPICS_PARTITIONS_CURRENT_LEADER_EPOCH,
    ..PartitionIds::NOTHING
};
const PARTITIONS: Partitions = Partitions::alike("Topic", "Partition", IDS);

pub(super) const RULE: Rule =
    Rule::new(23, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

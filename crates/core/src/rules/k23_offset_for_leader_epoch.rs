//! OffsetForLeaderEpoch: to the leader of each partition.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::offset_for_leader_epoch_request as ids;

const PARTITIONS: Partitions = Partitions {
    topics: "Topics",
    name: "Topic",
    partitions: "Partitions",
    index: "Partition",
    response_topics: "Topics",
    response_name: "Topic",
    response_partitions: "Partitions",
    response_index: "Partition",
    response_error: "ErrorCode",
    ids: PartitionIds {
        name: ids::TOPICS_TOPIC,
        topic_id: PartitionIds::NONE,
        index: ids::TOPICS_PARTITIONS_PARTITION,
        records: PartitionIds::NONE,
        current_epoch: ids::TOPICS_PARTITIONS_CURRENT_LEADER_EPOCH,
    },
};

pub(super) const RULE: Rule =
    Rule::new(23, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

//! TxnOffsetCommit: to the group's coordinator.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use crate::topology::CoordinatorKind::Group;
use pointsman_wire::tables::txn_offset_commit_request as ids;

const PARTITIONS: Partitions = Partitions {
    topics: "Topics",
    name: "Name",
    partitions: "Partitions",
    index: "PartitionIndex",
    response_topics: "Topics",
    response_name: "Name",
    response_partitions: "Partitions",
    response_index: "PartitionIndex",
    response_error: "ErrorCode",
    ids: PartitionIds {
        name: ids::TOPICS_NAME,
        topic_id: PartitionIds::NONE,
        index: ids::TOPICS_PARTITIONS_PARTITION_INDEX,
        records: PartitionIds::NONE,
        current_epoch: PartitionIds::NONE,
    },
};

pub(super) const RULE: Rule =
    Rule::new(28, Route::Coordinator(Group), Fail::Partitions(&PARTITIONS, error::NOT_COORDINATOR));

//! DeleteRecords: to the leader of each partition.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::delete_records_request as ids;

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
    Rule::new(21, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

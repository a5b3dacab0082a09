//! DescribeProducers: to the leader of each partition.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::describe_producers_request as ids;

const PARTITIONS: Partitions = Partitions {
    within: "",
    topics: "Topics",
    name: "Name",
    partitions: "PartitionIndexes",
    index: "",
    response_topics: "Topics",
    response_name: "Name",
    response_partitions: "Partitions",
    response_index: "PartitionIndex",
    response_error: "ErrorCode",
    ids: PartitionIds {
        name: ids::TOPICS_NAME,
        topic_id: PartitionIds::NONE,
        index: ids::TOPICS_PARTITION_INDEXES,
        records: PartitionIds::NONE,
        current_epoch: PartitionIds::NONE,
    },
};

pub(super) const RULE: Rule =
    Rule::new(61, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

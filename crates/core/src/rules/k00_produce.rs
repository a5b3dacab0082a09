//! Produce: to the leader of each partition; record batches are forwarded whole.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::produce_request as ids;

const PARTITIONS: Partitions = Partitions {
    within: "",
    topics: "TopicData",
    name: "Name",
    partitions: "PartitionData",
    index: "Index",
    response_topics: "Responses",
    response_name: "Name",
    response_partitions: "PartitionResponses",
    response_index: "Index",
    response_error: "ErrorCode",
    ids: PartitionIds {
        name: ids::TOPIC_DATA_NAME,
        topic_id: ids::TOPIC_DATA_TOPIC_ID,
        index: ids::TOPIC_DATA_PARTITION_DATA_INDEX,
        records: ids::TOPIC_DATA_PARTITION_DATA_RECORDS,
        current_epoch: PartitionIds::NONE,
    },
};

pub(super) const RULE: Rule =
    Rule::new(0, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

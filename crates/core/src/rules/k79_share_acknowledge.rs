//! ShareAcknowledge: to the broker that keeps this connection's share session; records are forwarded whole.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::share_acknowledge_request as ids;

const PARTITIONS: Partitions = Partitions {
    topics: "Topics",
    name: "",
    partitions: "Partitions",
    index: "PartitionIndex",
    response_topics: "Responses",
    response_name: "",
    response_partitions: "Partitions",
    response_index: "PartitionIndex",
    response_error: "ErrorCode",
    ids: PartitionIds {
        name: PartitionIds::NONE,
        topic_id: ids::TOPICS_TOPIC_ID,
        index: ids::TOPICS_PARTITIONS_PARTITION_INDEX,
        records: PartitionIds::NONE,
        current_epoch: PartitionIds::NONE,
    },
};

pub(super) const RULE: Rule = Rule::new(
    79,
    Route::ShareSession(&PARTITIONS),
    Fail::TopLevel(error::SHARE_SESSION_NOT_FOUND, error::SHARE_SESSION_NOT_FOUND),
);

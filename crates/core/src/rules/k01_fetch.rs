//! Fetch: to the leader of each partition; in a fetch session, to the broker that keeps it.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::fetch_request as ids;

const PARTITIONS: Partitions = Partitions {
    within: "",
    topics: "Topics",
    name: "Topic",
    partitions: "Partitions",
    index: "Partition",
    response_topics: "Responses",
    response_name: "Topic",
    response_partitions: "Partitions",
    response_index: "PartitionIndex",
    response_error: "ErrorCode",
    ids: PartitionIds {
        name: ids::TOPICS_TOPIC,
        topic_id: ids::TOPICS_TOPIC_ID,
        index: ids::TOPICS_PARTITIONS_PARTITION,
        records: PartitionIds::NONE,
        current_epoch: ids::TOPICS_PARTITIONS_CURRENT_LEADER_EPOCH,
    },
};

pub(super) const RULE: Rule =
    Rule::new(1, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

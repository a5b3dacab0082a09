//! AddPartitionsToTxn: to the transaction coordinator. Clients send versions 0 to 3; later ones are between brokers.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use crate::topology::CoordinatorKind::Transaction;
use pointsman_wire::tables::add_partitions_to_txn_request as ids;

const PARTITIONS: Partitions = Partitions {
    within: "",
    topics: "V3AndBelowTopics",
    name: "Name",
    partitions: "Partitions",
    index: "",
    response_topics: "ResultsByTopicV3AndBelow",
    response_name: "Name",
    response_partitions: "ResultsByPartition",
    response_index: "PartitionIndex",
    response_error: "PartitionErrorCode",
    ids: PartitionIds {
        name: ids::V3_AND_BELOW_TOPICS_NAME,
        topic_id: PartitionIds::NONE,
        index: ids::V3_AND_BELOW_TOPICS_PARTITIONS,
        records: PartitionIds::NONE,
        current_epoch: PartitionIds::NONE,
    },
};

pub(super) const RULE: Rule =
    Rule::new(24, Route::Coordinator(Transaction), Fail::Partitions(&PARTITIONS, error::NOT_COORDINATOR));

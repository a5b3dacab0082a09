//! WriteTxnMarkers: to the leader of each partition. Coordinators end transactions with it, by themselves and not through Pointsman;
//! clients are administrators who end a transaction that hangs (KIP-664). Whether they may, the broker decides.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::write_txn_markers_request as ids;

/// Of each marker.
const PARTITIONS: Partitions = Partitions {
    within: "Markers",
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
        name: ids::MARKERS_TOPICS_NAME,
        topic_id: PartitionIds::NONE,
        index: ids::MARKERS_TOPICS_PARTITION_INDEXES,
        records: PartitionIds::NONE,
        current_epoch: PartitionIds::NONE,
    },
};

pub(super) const RULE: Rule =
    Rule::new(27, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

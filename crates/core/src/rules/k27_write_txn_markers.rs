//! WriteTxnMarkers: to the leader of each partition. Coordinators end transactions with it, by themselves and not through Pointsman;
//! clients are administrators who end a transaction that hangs (KIP-664). Whether they may, the broker decides.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::write_txn_markers_request as ids;

const PARTITIONS: Partitions = Partitions {
    within: "Markers",
    ..Partitions::numbers(
        "Name",
        PartitionIds {
            name: ids::MARKERS_TOPICS_NAME,
            index: ids::MARKERS_TOPICS_PARTITION_INDEXES,
            ..PartitionIds::NOTHING
        },
    )
};

pub(super) const RULE: Rule =
    Rule::new(27, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

//! DescribeProducers: to the leader of each partition.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::describe_producers_request as ids;

const PARTITIONS: Partitions = Partitions::numbers(
    "Name",
    PartitionIds { name: ids::TOPICS_NAME, index: ids::TOPICS_PARTITION_INDEXES, ..PartitionIds::NOTHING },
);

pub(super) const RULE: Rule =
    Rule::new(61, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

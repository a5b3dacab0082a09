//! ShareFetch: to the broker that keeps this connection's share session; records are forwarded whole.

use super::{Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::tables::share_fetch_request as ids;

const IDS: PartitionIds = PartitionIds {
    topic_id: ids::TOPICS_TOPIC_ID,
    index: ids::TOPICS_PARTITIONS_PARTITION_INDEX,
    ..PartitionIds::NOTHING
};
const PARTITIONS: Partitions =
    Partitions { response_topics: "Responses", ..Partitions::alike("", "PartitionIndex", IDS) };

pub(super) const RULE: Rule = Rule::new(
    78,
    Route::ShareSession(&PARTITIONS),
    Fail::TopLevel(error::SHARE_SESSION_NOT_FOUND, error::SHARE_SESSION_NOT_FOUND),
);

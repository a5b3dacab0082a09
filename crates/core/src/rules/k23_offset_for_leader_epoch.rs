//! OffsetForLeaderEpoch: to the leader of each partition. An epoch of an older generation is answered here, with the switch point.

use super::{Context, Fail, Partitions, Route, Rule, error, shape::PartitionIds};
use pointsman_wire::{tables::offset_for_leader_epoch_request as ids, value::Struct};

const IDS: PartitionIds = PartitionIds {
    name: ids::TOPICS_TOPIC,
    index: ids::TOPICS_PARTITIONS_PARTITION,
    current_epoch: ids::TOPICS_PARTITIONS_CURRENT_LEADER_EPOCH,
    ..PartitionIds::NOTHING
};
const PARTITIONS: Partitions = Partitions::alike("Topic", "Partition", IDS);

pub(super) const RULE: Rule =
    Rule::new(23, Route::Leaders(&PARTITIONS), Fail::Partitions(&PARTITIONS, error::NOT_LEADER_OR_FOLLOWER));

/// The answer for an epoch of another generation. One of a newer generation has no end here, and nobody moves for it. Otherwise the epoch is the one that was asked for, as brokers answer when they have it:
/// a client whose position is beyond the end moves to it, all others go on where they are.
pub(crate) fn end_of_older(topic: &str, partition: i32, epoch: i32, cx: &Context<'_>) -> Struct {
    let point = &cx.active.switch_point;
    let end = if cx.is_newer(epoch) { i64::MAX } else { point.end_of(epoch, topic, partition) };
    Struct::new().with("Partition", partition).with("LeaderEpoch", epoch).with("EndOffset", end)
}

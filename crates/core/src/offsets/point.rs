//! Where a switch found the logs of the cluster that it made active.

use super::LogOffsets;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The end offsets of a cluster's logs when it took over from another one. It stays the same while no other cluster takes
/// over, also when the cluster loses quorum and comes back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchPoint {
    /// Generation of the switch.
    pub generation: u64,
    /// The cluster that took over.
    pub cluster: Arc<str>,
    /// Its epoch base from then on. What is below is of another cluster.
    pub epoch_base: i32,
    /// The end offsets as last polled before the switch: a little too old, if anything.
    pub ends: LogOffsets,
}

impl SwitchPoint {
    /// The end offset of an epoch of an older generation, as a client may ask for it (OffsetForLeaderEpoch): positions below
    /// it stay, those above are moved to it.
    ///
    /// An epoch of another cluster ended at the switch point; of a partition whose end nobody knew, at 0, so that nothing is
    /// skipped. An epoch of this cluster, from before it lost quorum and came back, did not end: the log is the same.
    pub fn end_of(&self, epoch: i32, topic: &str, partition: i32) -> i64 {
        if epoch >= self.epoch_base {
            return i64::MAX;
        }
        self.ends.get(topic, partition).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_of_another_cluster_end_at_the_switch_point_and_older_ones_of_this_one_do_not_end() {
        let mut point =
            SwitchPoint { generation: 3, cluster: "b".into(), epoch_base: 1000, ..Default::default() };
        point.ends.set(&"t".into(), 0, 42);
        assert_eq!(point.end_of(999, "t", 0), 42);
        assert_eq!(point.end_of(999, "t", 1), 0, "unknown: from the beginning");
        assert_eq!(point.end_of(1000, "t", 0), i64::MAX);
    }
}

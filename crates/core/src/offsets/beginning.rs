//! Where a group begins on a cluster that has no committed offset of it.

use super::{EndsCell, Groups, Place, SwitchPoint};
use crate::config::Positions;

/// A stay of traffic on a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Stay<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// Generation of the switch that made it active.
    pub since: u64,
    /// Where its logs ended when it took over.
    pub point: &'a SwitchPoint,
    /// Where its logs begin and end, as last polled.
    pub ends: &'a EndsCell,
}

/// The offset that a group without a committed one begins at; `None`: that is its own affair.
pub fn beginning(
    groups: &Groups,
    policy: Positions,
    stay: &Stay<'_>,
    group: &str,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    if policy == Positions::Committed {
        return None;
    }
    let start = || stay.ends.start(topic, partition).unwrap_or(0);
    match groups.place(group, topic, partition, stay.cluster, stay.since) {
        Place::New | Place::Gone => None,
        Place::Here(_) | Place::Elsewhere if policy == Positions::Earliest => Some(start()),
        Place::Here(offset) => Some(offset.max(start())),
        Place::Elsewhere => {
            Some(stay.point.ends.get(topic, partition).map_or_else(start, |end| end.max(start())))
        }
    }
}

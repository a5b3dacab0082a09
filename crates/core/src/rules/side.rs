//! The two sides of the protocol: while consumers stay on a cluster that produces have left, each request goes where its side is.

use super::k10_find_coordinator;

/// Which side a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What is written, and everything that is not [`Side::Consume`]: metadata, transactions, administration.
    Produce,
    /// What is read of logs, and everything about groups.
    Consume,
}

const FIND_COORDINATOR: i16 = 10;

/// The side of an api.
///
/// Offsets of a log go with its reading: an OffsetCommit or a ListOffsets that the other cluster answered would be silently
/// wrong. TxnOffsetCommit belongs to a transaction of the active cluster; while consumers are elsewhere it is refused.
fn of(key: i16) -> Side {
    match key {
        // Fetch, ListOffsets; OffsetCommit, OffsetFetch; JoinGroup to ListGroups; OffsetForLeaderEpoch; DeleteGroups, OffsetDelete
        1 | 2 | 8 | 9 | 11..=16 | 23 | 42 | 47 => Side::Consume,
        // ConsumerGroupHeartbeat, ConsumerGroupDescribe; ShareGroupHeartbeat to ShareAcknowledge; streams and share groups
        68 | 69 | 76..=79 | 88..=93 => Side::Consume,
        _ => Side::Produce,
    }
}

/// The side of a request; `frame` is that of a FindCoordinator whole, size included.
pub(crate) fn of_request(key: i16, frame: &[u8]) -> Side {
    if key == FIND_COORDINATOR && asks_for_group(frame) { Side::Consume } else { of(key) }
}

fn asks_for_group(frame: &[u8]) -> bool {
    k10_find_coordinator::asked(frame).is_some_and(|(kind, _)| kind != k10_find_coordinator::TRANSACTION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Route, rule};
    use crate::topology::CoordinatorKind::Group;

    #[test]
    fn whatever_goes_to_the_coordinator_of_a_group_is_of_consumers_but_for_offsets_of_transactions() {
        for key in 0..100 {
            let Some(rule) = rule(key) else { continue };
            let of_group = matches!(rule.route, Route::Coordinator(Group) | Route::Coordinators(Group, _));
            if of_group && key != 28 {
                assert_eq!(of(key), Side::Consume, "api key {key}");
            }
        }
        assert_eq!(of(28), Side::Produce);
    }
}

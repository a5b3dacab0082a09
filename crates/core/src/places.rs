//! Which place a broker has among those of its cluster. Slots follow from it: a client that names one means a broker.
//!
//! A broker keeps its place for as long as it is known, whoever comes or goes beside it, and over a restart. One that was forgotten
//! (`forget_after`) keeps it until a new broker comes, which takes the lowest place that nobody known has.

use crate::topology::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// The places of a cluster's brokers, from 0 on; no two have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Places(BTreeMap<NodeId, usize>);

impl Places {
    /// The place of a broker, if it was ever seen.
    pub fn of(&self, node: NodeId) -> Option<usize> {
        self.0.get(&node).copied()
    }

    /// Is nobody known?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives each of `known`, in the order of their ids, a place if it has none. Places of brokers that are not known any more are free
    /// for them.
    pub(crate) fn seat(&mut self, known: &BTreeSet<NodeId>) {
        for newcomer in known {
            if self.0.contains_key(newcomer) {
                continue;
            }
            let held = |(node, place): (&NodeId, &usize)| known.contains(node).then_some(*place);
            let taken: BTreeSet<usize> = self.0.iter().filter_map(held).collect();
            let free = (0..taken.len()).find(|place| !taken.contains(place)).unwrap_or(taken.len());
            self.0.retain(|_, place| *place != free);
            self.0.insert(*newcomer, free);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seated(places: &mut Places, known: &[NodeId]) -> Vec<(NodeId, usize)> {
        places.seat(&known.iter().copied().collect());
        known.iter().map(|node| (*node, places.of(*node).expect("it has a place"))).collect()
    }

    #[test]
    fn brokers_seen_together_sit_in_the_order_of_their_ids() {
        assert_eq!(seated(&mut Places::default(), &[7, 1, 30]), [(7, 1), (1, 0), (30, 2)]);
    }

    #[test]
    fn a_newcomer_moves_nobody() {
        let mut places = Places::default();
        seated(&mut places, &[5, 6, 7]);
        assert_eq!(seated(&mut places, &[1, 5, 6, 7]), [(1, 3), (5, 0), (6, 1), (7, 2)]);
    }

    #[test]
    fn who_was_forgotten_keeps_the_place_until_somebody_new_needs_one() {
        let mut places = Places::default();
        seated(&mut places, &[5, 6, 7]);
        assert_eq!(seated(&mut places, &[5, 7]), [(5, 0), (7, 2)]);
        assert_eq!(seated(&mut places, &[5, 6, 7]), [(5, 0), (6, 1), (7, 2)], "back again");
        seated(&mut places, &[5, 7]);
        assert_eq!(seated(&mut places, &[5, 7, 8]), [(5, 0), (7, 2), (8, 1)]);
        assert_eq!(seated(&mut places, &[5, 6, 7, 8])[1], (6, 3), "too late");
    }
}

//! The cluster's metadata. The controller changes it; each broker works with the last one it has got, which is old for a broker
//! that is cut off.

use std::{collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// What brokers coordinate: each kind has a topic, whose leaders are the coordinators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coordinated {
    Groups,
    Transactions,
}

impl Coordinated {
    pub(crate) const ALL: [Self; 2] = [Self::Groups, Self::Transactions];

    /// The topic of committed offsets, or that of transactions.
    pub(crate) const fn topic(self) -> &'static str {
        match self {
            Self::Groups => "__consumer_offsets",
            Self::Transactions => "__transaction_state",
        }
    }
}

/// Partitions of each of these topics.
pub(crate) const COORDINATOR_PARTITIONS: i32 = 4;

/// One state of the metadata. Brokers are named by their index, which is the node id less the base.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    /// Grows with every change, and twice a second while there is an active controller.
    pub(crate) offset: i64,
    /// The active controller as last known.
    pub(crate) controller: Option<usize>,
    /// Whether each broker is fenced: unknown to clients, leader of nothing.
    pub(crate) fenced: Vec<bool>,
    pub(crate) topics: BTreeMap<Arc<str>, Topic>,
    /// Dynamic configuration of brokers; `None` is the cluster-wide default.
    pub(crate) broker_configs: BTreeMap<Option<usize>, BTreeMap<String, String>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) configs: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Assigned brokers, the preferred leader first.
    pub(crate) replicas: Vec<usize>,
    pub(crate) isr: Vec<usize>,
    pub(crate) leader: Option<usize>,
    pub(crate) leader_epoch: i32,
}

impl Image {
    pub(crate) fn partition(&self, topic: &str, index: i32) -> Option<&Partition> {
        self.topics.get(topic)?.partitions.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn name_of(&self, id: Uuid) -> Option<&Arc<str>> {
        self.topics.iter().find(|(_, topic)| topic.id == id).map(|(name, _)| name)
    }

    /// Brokers that clients may be told of.
    pub(crate) fn live(&self) -> impl Iterator<Item = usize> + '_ {
        self.fenced.iter().enumerate().filter(|(_, fenced)| !**fenced).map(|(broker, _)| broker)
    }

    /// The broker that serves a group or a transactional id; `None`: nobody does now.
    pub(crate) fn coordinator(&self, kind: Coordinated, key: &str) -> Option<usize> {
        self.partition(kind.topic(), key_partition(key))?.leader
    }
}

impl Topic {
    /// A setting of the topic, or what is given.
    pub(crate) fn config<T: std::str::FromStr>(&self, key: &str, default: T) -> T {
        self.configs.get(key).and_then(|value| value.parse().ok()).unwrap_or(default)
    }
}

/// The partition that the data of a group or a transactional id is in: Java's hash of the name, as Kafka has it.
pub(crate) fn key_partition(key: &str) -> i32 {
    let hash = key.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    (hash & i32::MAX) % COORDINATOR_PARTITIONS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_spread_as_java_does() {
        // "abc".hashCode() is 96354.
        assert_eq!(key_partition("abc"), 96354 % COORDINATOR_PARTITIONS);
        // The hash of this one is Integer.MIN_VALUE: its absolute value does not exist.
        assert_eq!(key_partition("polygenelubricants"), 0);
    }
}

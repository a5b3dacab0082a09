//! What is known of a cluster by observation: brokers, topics, leaders, coordinators.
//!
//! The control plane merges what its polls say, the data plane merges what passes through it. Readers take an `Arc` of the newest
//! [`Topology`] and look at the revision to see whether theirs is old. It steers routing only; it decides nothing.

use crate::{Now, config::Address, limits, places::Places};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
};
use uuid::Uuid;

/// A real node id.
pub type NodeId = i32;

/// One view of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// Grows with each change.
    pub revision: u64,
    /// The real cluster id.
    pub cluster_id: Option<Arc<str>>,
    /// The node that answers for the controller.
    pub controller: Option<NodeId>,
    /// Every broker that was seen and not forgotten, dead ones too, so that slots keep their brokers.
    pub brokers: BTreeMap<NodeId, Broker>,
    /// Which place each of them has.
    pub places: Places,
    /// Topics by name.
    pub topics: HashMap<Arc<str>, Arc<Topic>>,
    /// Names by real topic id.
    pub topic_names: HashMap<Uuid, Arc<str>>,
    /// Highest real leader epoch ever seen on this cluster.
    pub max_epoch: i32,
}

/// A broker as Metadata describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// The listener's address that Pointsman connects to.
    pub address: Address,
    /// Its rack, if it has one.
    pub rack: Option<Arc<str>>,
    /// Whether the last metadata listed it.
    pub listed: bool,
    /// When metadata last listed it.
    pub seen: Now,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Name.
    pub name: Arc<str>,
    /// Real id; nil when the cluster has none (before 2.8).
    pub id: Uuid,
    /// Partitions by index.
    pub partitions: Vec<Partition>,
}

impl Topic {
    /// The leader of a partition: `None` when the partition or its leader is unknown.
    pub fn leader(&self, partition: i32) -> Option<NodeId> {
        let partition = self.partitions.get(usize::try_from(partition).ok()?)?;
        (partition.leader >= 0).then_some(partition.leader)
    }
}

/// A partition's leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Node id of the leader, −1: none.
    pub leader: NodeId,
    /// Its epoch, −1: unknown.
    pub epoch: i32,
}

impl Partition {
    /// A partition of which nothing is known.
    pub const UNKNOWN: Partition = Partition { leader: -1, epoch: -1 };
}

/// What one Metadata response says.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// The real cluster id, if told.
    pub cluster_id: Option<Arc<str>>,
    /// The controller, if told.
    pub controller: Option<NodeId>,
    /// The live brokers: (node id, address, rack). Never empty in a sound answer.
    pub brokers: Vec<(NodeId, Address, Option<Arc<str>>)>,
    /// Topics without error.
    pub topics: Vec<Topic>,
    /// Whether `topics` are all topics of the cluster, so that others are gone.
    pub all_topics: bool,
}

/// What a coordinator is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CoordinatorKind {
    /// Consumer, share and streams groups (key type 0).
    Group,
    /// Transactional ids (key type 1).
    Transaction,
}

/// The shared, observed state of one cluster.
#[derive(Debug, Default)]
pub struct TopologyCell {
    revision: AtomicU64,
    current: Mutex<Arc<Topology>>,
    coordinators: Mutex<HashMap<(CoordinatorKind, Box<str>), NodeId>>,
    wakers: Mutex<Vec<Waker>>,
}

impl TopologyCell {
    /// Nothing is known but the places that brokers had before a restart.
    pub fn new(places: Places) -> Self {
        let known = Topology { places, ..Topology::default() };
        Self { current: Mutex::new(Arc::new(known)), ..Self::default() }
    }

    /// The newest view.
    pub fn load(&self) -> Arc<Topology> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Revision of the newest view: cheap, to see whether a held view is old.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Merges what was observed. An empty broker list is ignored (last good answer kept), and a partition never goes
    /// back to an older epoch of the same topic id. Returns whether anything changed.
    pub fn merge(&self, observed: &Observation, now: Now) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Most polls say what is known, and a view of many topics is not copied for them.
        if current.knows(observed) {
            return false;
        }
        let mut next = Topology::clone(&current);
        if !next.apply(observed, now) {
            return false;
        }
        next.revision += 1;
        self.revision.store(next.revision, Ordering::Release);
        *current = Arc::new(next);
        drop(current);
        self.wake();
        true
    }

    /// Wakes the task once, at the next change after this call. Look at the revision after it, not before.
    pub fn wake_on_change(&self, waker: &Waker) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|w| w.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    fn wake(&self) {
        let wakers = std::mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Drops brokers that no metadata has listed since `before`.
    pub fn forget_brokers(&self, before: Now) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.brokers.values().all(|b| b.listed || b.seen >= before) {
            return;
        }
        let mut next = Topology::clone(&current);
        next.brokers.retain(|_, b| b.listed || b.seen >= before);
        next.revision += 1;
        self.revision.store(next.revision, Ordering::Release);
        *current = Arc::new(next);
    }

    /// The broker that coordinates `key`, if an answer of FindCoordinator was seen.
    pub fn coordinator(&self, kind: CoordinatorKind, key: &str) -> Option<NodeId> {
        let table = self.coordinators.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(&(kind, key.into())).copied()
    }

    /// Remembers (or, with `None`, forgets) a coordinator. The table is bounded: when full it starts anew.
    pub fn set_coordinator(&self, kind: CoordinatorKind, key: &str, node: Option<NodeId>) {
        let mut table = self.coordinators.lock().unwrap_or_else(PoisonError::into_inner);
        match node {
            Some(node) => {
                if table.len() >= limits::COORDINATORS {
                    table.clear();
                }
                table.insert((kind, key.into()), node);
            }
            None => drop(table.remove(&(kind, key.into()))),
        }
    }
}

impl Topology {
    /// The address of a broker.
    pub fn address(&self, node: NodeId) -> Option<&Address> {
        self.brokers.get(&node).map(|b| &b.address)
    }

    /// The leader of a partition: `None` when the topic, the partition or its leader is unknown.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<NodeId> {
        self.topics.get(topic)?.leader(partition)
    }

    /// The slot that stands for a broker: its place, wrapped around. Unknown nodes wrap by id.
    pub fn slot_of(&self, node: NodeId, slots: usize) -> usize {
        let by_id = || usize::try_from(node.max(0)).unwrap_or(0);
        self.places.of(node).unwrap_or_else(by_id) % slots.max(1)
    }

    /// The brokers that a slot stands for, the one with the lowest place first. One without a broker of its own, as with more slots than
    /// brokers, leads to one of the others.
    pub fn brokers_of(&self, slot: usize, slots: usize) -> Vec<NodeId> {
        let own = self.own_brokers_of(slot, slots);
        let other = || self.seated().get(slot % self.brokers.len().max(1)).map(|(_, node)| *node);
        if own.is_empty() { other().into_iter().collect() } else { own }
    }

    /// The same, but nobody for a slot without a broker of its own.
    pub fn own_brokers_of(&self, slot: usize, slots: usize) -> Vec<NodeId> {
        let is_own = |(place, _): &(usize, NodeId)| place % slots.max(1) == slot;
        self.seated().into_iter().filter(is_own).map(|(_, node)| node).collect()
    }

    /// The known brokers in the order of their places.
    fn seated(&self) -> Vec<(usize, NodeId)> {
        let place = |node: NodeId| Some((self.places.of(node)?, node));
        let mut seated: Vec<_> = self.brokers.keys().filter_map(|node| place(*node)).collect();
        seated.sort_unstable();
        seated
    }

    /// Whether an observation of brokers alone says nothing new.
    fn knows(&self, observed: &Observation) -> bool {
        let listed = self.brokers.values().filter(|b| b.listed).count();
        let known = |(node, address, rack): &(NodeId, Address, Option<Arc<str>>)| {
            self.brokers.get(node).is_some_and(|b| b.listed && b.address == *address && b.rack == *rack)
        };
        observed.topics.is_empty()
            && !observed.all_topics
            && (observed.cluster_id.is_none() || observed.cluster_id == self.cluster_id)
            && (observed.controller.is_none() || observed.controller == self.controller)
            && (observed.brokers.is_empty() || observed.brokers.len() == listed)
            && observed.brokers.iter().all(known)
    }

    fn apply(&mut self, observed: &Observation, now: Now) -> bool {
        let mut changed = false;
        if let Some(id) = &observed.cluster_id
            && self.cluster_id.as_ref() != Some(id)
        {
            self.cluster_id = Some(id.clone());
            changed = true;
        }
        if observed.controller.is_some() && self.controller != observed.controller {
            self.controller = observed.controller;
            changed = true;
        }
        changed |= self.apply_brokers(observed, now);
        for topic in &observed.topics {
            changed |= self.apply_topic(topic);
        }
        if observed.all_topics {
            changed |= self.drop_missing(observed);
        }
        changed
    }

    fn apply_brokers(&mut self, observed: &Observation, now: Now) -> bool {
        if observed.brokers.is_empty() {
            return false;
        }
        let before: Vec<_> = self.brokers.iter().map(|(n, b)| (*n, b.address.clone(), b.listed)).collect();
        for broker in self.brokers.values_mut() {
            if std::mem::take(&mut broker.listed) {
                // Listed until the answer before this one, and nothing else has kept that up to date.
                broker.seen = now;
            }
        }
        for (node, address, rack) in &observed.brokers {
            let broker = Broker { address: address.clone(), rack: rack.clone(), listed: true, seen: now };
            self.brokers.insert(*node, broker);
        }
        let known: BTreeSet<NodeId> = self.brokers.keys().copied().collect();
        self.places.seat(&known);
        !before.into_iter().eq(self.brokers.iter().map(|(n, b)| (*n, b.address.clone(), b.listed)))
    }

    fn apply_topic(&mut self, seen: &Topic) -> bool {
        self.max_epoch = seen.partitions.iter().map(|p| p.epoch).max().unwrap_or(-1).max(self.max_epoch);
        let Some(known) = self.topics.get(&seen.name) else {
            return self.insert_topic(seen.clone());
        };
        if known.id != seen.id && !seen.id.is_nil() && !known.id.is_nil() {
            self.topic_names.remove(&known.id);
            return self.insert_topic(seen.clone());
        }
        let mut merged = Topic::clone(known);
        merged.id = if seen.id.is_nil() { known.id } else { seen.id };
        merged.partitions.resize(merged.partitions.len().max(seen.partitions.len()), Partition::UNKNOWN);
        for (old, new) in merged.partitions.iter_mut().zip(&seen.partitions) {
            // An answer without epochs may be older than what is known.
            if new.epoch >= old.epoch {
                *old = *new;
            }
        }
        if merged == **known {
            return false;
        }
        self.insert_topic(merged)
    }

    fn insert_topic(&mut self, topic: Topic) -> bool {
        if !topic.id.is_nil() {
            self.topic_names.insert(topic.id, topic.name.clone());
        }
        self.topics.insert(topic.name.clone(), Arc::new(topic));
        true
    }

    fn drop_missing(&mut self, observed: &Observation) -> bool {
        let present: std::collections::HashSet<&str> = observed.topics.iter().map(|t| &*t.name).collect();
        let before = self.topics.len();
        self.topics.retain(|name, _| present.contains(&**name));
        let topics = &self.topics;
        self.topic_names.retain(|_, name| topics.contains_key(name));
        self.topics.len() != before
    }
}

/// How a topic differs between the active cluster and a standby.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "difference")]
pub enum TopicDifference {
    /// The standby does not have it: clients of this topic fail after a switch.
    Missing {
        /// Topic name.
        topic: Arc<str>,
    },
    /// The number of partitions differs.
    Partitions {
        /// Topic name.
        topic: Arc<str>,
        /// Partitions on the preferred cluster.
        expected: usize,
        /// Partitions on the standby.
        found: usize,
    },
}

/// The topics of `preferred` that `standby` lacks or has with another partition count; internal topics (`__…`) apart.
pub fn compare_topics(preferred: &Topology, standby: &Topology) -> Vec<TopicDifference> {
    let mut differences = Vec::new();
    let mut names: Vec<_> = preferred.topics.keys().filter(|n| !n.starts_with("__")).collect();
    names.sort();
    for name in names {
        let expected = preferred.topics[name].partitions.len();
        match standby.topics.get(name) {
            None => differences.push(TopicDifference::Missing { topic: name.clone() }),
            Some(other) if other.partitions.len() != expected => {
                let found = other.partitions.len();
                differences.push(TopicDifference::Partitions { topic: name.clone(), expected, found });
            }
            Some(_) => {}
        }
    }
    differences
}

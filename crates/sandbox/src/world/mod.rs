//! Everything the brokers of one cluster share, under one lock: metadata, logs, groups, transactions, and what is broken.

mod controller;
mod coordinators;
mod image;
mod replication;
mod transactions;

pub(crate) use image::{COORDINATOR_PARTITIONS, Coordinated, Image, Partition, Topic, key_partition};
pub(crate) use transactions::Joins;

use crate::{
    fault::Injected,
    group::{GroupConfig, Groups},
    log::ReplicaLog,
    sessions::Sessions,
    spec::ClusterSpec,
    transactions::Transactions,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::Notify;
use uuid::Uuid;

/// A partition by the id of its topic, so that a topic made again has other logs.
pub(crate) type LogKey = (Uuid, i32);

/// One broker.
#[derive(Debug)]
pub(crate) struct Broker {
    /// The port that clients are told.
    pub(crate) port: u16,
    /// The process runs.
    pub(crate) up: bool,
    /// Its port is open.
    pub(crate) serving: bool,
    /// It runs but does nothing (SIGSTOP).
    pub(crate) paused: bool,
    /// Cut off from the other brokers, though not from clients.
    pub(crate) isolated: bool,
    /// Added to each of its answers.
    pub(crate) delay: Duration,
    /// The metadata it has.
    pub(crate) view: Arc<Image>,
    pub(crate) logs: HashMap<LogKey, ReplicaLog>,
    pub(crate) sessions: Sessions,
    last_heartbeat: Instant,
}

impl Broker {
    /// Takes part in the cluster.
    fn in_touch(&self) -> bool {
        self.up && !self.paused && !self.isolated
    }
}

/// The state of a cluster.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) spec: ClusterSpec,
    pub(crate) cluster_id: String,
    /// The controllers' metadata, newer than what a broker may have.
    pub(crate) image: Arc<Image>,
    pub(crate) brokers: Vec<Broker>,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) next_producer_id: i64,
    /// SASL refuses everybody.
    pub(crate) refuse_credentials: bool,
    pub(crate) injected: Vec<Injected>,
    /// The controllers cannot agree, whoever lives.
    pub(crate) quorum_lost: bool,
    pub(crate) controller_epoch: i32,
    election_at: Option<Instant>,
    last_noop: Instant,
    /// The broker that serves each partition of the coordinators' topics, by kind.
    coordinators: [[Option<usize>; COORDINATOR_PARTITIONS as usize]; Coordinated::ALL.len()],
}

/// Milliseconds since 1970, as clients see the time.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The state, and a bell for those who wait for a change.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    changed: Notify,
}

impl Shared {
    pub(crate) fn new(spec: ClusterSpec, ports: &[u16], cluster_id: String) -> Self {
        let now = Instant::now();
        let image = Arc::new(Image { fenced: vec![false; ports.len()], ..Image::default() });
        let broker = |port: &u16| Broker {
            port: *port,
            up: true,
            serving: true,
            paused: false,
            isolated: false,
            delay: Duration::ZERO,
            view: Arc::clone(&image),
            logs: HashMap::new(),
            sessions: Sessions::default(),
            last_heartbeat: now,
        };
        let groups = Groups::new(GroupConfig {
            initial_rebalance_delay: spec.initial_rebalance_delay,
            ..GroupConfig::default()
        });
        let mut world = World {
            cluster_id,
            brokers: ports.iter().map(broker).collect(),
            image,
            groups,
            transactions: Transactions::default(),
            next_producer_id: 0,
            refuse_credentials: false,
            injected: Vec::new(),
            quorum_lost: false,
            controller_epoch: 0,
            election_at: Some(now),
            last_noop: now,
            coordinators: [[None; COORDINATOR_PARTITIONS as usize]; Coordinated::ALL.len()],
            spec,
        };
        world.tick(now);
        Self { world: Mutex::new(world), changed: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and wakes those who wait.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    /// Waits until `ready` says something; `None` at the deadline.
    pub(crate) async fn wait<T>(
        &self,
        deadline: Instant,
        mut ready: impl FnMut(&mut World) -> Option<T>,
    ) -> Option<T> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(result) = ready(&mut self.lock()) {
                return Some(result);
            }
            if tokio::time::timeout_at(deadline.into(), changed).await.is_err() {
                return ready(&mut self.lock());
            }
        }
    }
}

impl World {
    /// The node id of a broker.
    pub(crate) fn node_id(&self, broker: usize) -> i32 {
        i32::try_from(broker).map_or(-1, |b| self.spec.base_node_id + b)
    }

    /// The broker with this node id.
    pub(crate) fn broker_of(&self, node_id: i32) -> Option<usize> {
        let index = usize::try_from(node_id.checked_sub(self.spec.base_node_id)?).ok()?;
        (index < self.brokers.len()).then_some(index)
    }

    /// Node id or −1.
    pub(crate) fn opt_node_id(&self, broker: Option<usize>) -> i32 {
        broker.map_or(-1, |b| self.node_id(b))
    }

    /// Whether two brokers can talk to each other.
    pub(crate) fn reachable(&self, a: usize, b: usize) -> bool {
        a == b || (self.brokers[a].in_touch() && self.brokers[b].in_touch())
    }

    /// `min.insync.replicas` of topics that do not say otherwise.
    pub(crate) fn default_min_isr(&self) -> usize {
        self.spec.min_isr.min(self.spec.brokers)
    }

    /// In-sync replicas that an acknowledgement needs. A topic with fewer replicas needs those.
    pub(crate) fn min_isr(&self, topic: &Topic, partition: &Partition) -> usize {
        topic.config("min.insync.replicas", self.default_min_isr()).min(partition.replicas.len())
    }
}

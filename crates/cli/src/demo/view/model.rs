//! What the view shows, as plain data that others fill. Times count from the beginning of the demo.

use super::history::History;
use crate::screen::events::EventKind;
use std::{sync::Arc, time::Duration};

/// Everything on the screen but the user's own choices. The default is a stage on which nothing stands yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// When this was true.
    pub(crate) now: Duration,
    /// Address that any client can join with, as `host:port`.
    pub(crate) join: Arc<str>,
    /// Address of Pointsman's admin API, as `host:port`.
    pub(crate) admin: Arc<str>,
    /// The topic that the demo's own clients use.
    pub(crate) topic: Arc<str>,
    /// One sentence: what is going on, or what to try.
    pub(crate) caption: Arc<str>,
    /// Generation of the snapshot that Pointsman serves by.
    pub(crate) generation: u64,
    /// Connections of clients to Pointsman.
    pub(crate) connections: usize,
    /// The cluster that serves, as an index into `clusters`. `None`: no cluster is active, and requests wait.
    pub(crate) active: Option<usize>,
    /// Whether a registry that can be closed stands beside each broker, and Pointsman's probes ask it.
    pub(crate) registries: bool,
    /// In order of preference, with at most eight brokers in total.
    pub(crate) clusters: Vec<Cluster>,
    /// In order of their ports.
    pub(crate) slots: Vec<Slot>,
    /// The demo's own clients; the first three have room on every screen.
    pub(crate) clients: Vec<Client>,
    /// Acknowledged records.
    pub(crate) history: History,
    /// The newest stands last.
    pub(crate) events: Vec<Event>,
    /// The last change of the active cluster.
    pub(crate) last_switch: Option<Switch>,
}

/// A Kafka cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// As in the configuration.
    pub(crate) name: Arc<str>,
    /// Pointsman's verdict.
    pub(crate) quorum: bool,
    /// Healthy brokers that the quorum needs.
    pub(crate) needed: usize,
    /// In order of their node ids.
    pub(crate) brokers: Vec<Broker>,
}

/// A broker of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Broker {
    /// Node id.
    pub(crate) node: i32,
    /// What was done to it.
    pub(crate) state: BrokerState,
    /// Partitions of the topic that it leads.
    pub(crate) leads: Vec<u32>,
}

/// What was done to a broker's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokerState {
    /// Started for the first time, and does not serve yet.
    Starting,
    /// Serves.
    Up,
    /// Ended without notice.
    Killed,
    /// Stopped by a signal: its connections stay open, and nothing answers.
    Paused,
    /// Its Kafka port is open, and its registry is off.
    Recovery,
    /// Started again, and does not serve yet.
    Restarting,
}

/// A broker, by its place in [`Model::clusters`] and [`Cluster::brokers`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BrokerId {
    /// Index of the cluster.
    pub(crate) cluster: usize,
    /// Index of the broker within it.
    pub(crate) broker: usize,
}

/// A slot of Pointsman: a broker, as clients see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    /// The port on which clients reach it.
    pub(crate) port: u16,
    /// The broker that it leads to, if there is one.
    pub(crate) broker: Option<BrokerId>,
}

/// A client of the demo.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Its client id.
    pub(crate) name: Arc<str>,
    /// What it does.
    pub(crate) kind: ClientKind,
    /// Records per second, of late.
    pub(crate) rate: u32,
    /// Records acknowledged to it, or read by it.
    pub(crate) total: u64,
    /// Errors that the application was given.
    pub(crate) errors: u64,
    /// Time since its last record.
    pub(crate) silent: Duration,
    /// The longest time between two of its records.
    pub(crate) longest_silence: Duration,
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientKind {
    /// Writes records.
    Producer,
    /// Reads them, as a member of a group.
    Consumer {
        /// Acknowledged records that it has not read yet.
        lag: u64,
    },
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// When.
    pub(crate) at: Duration,
    /// What kind of thing. Faults and switches are marked in the chart too.
    pub(crate) kind: EventKind,
    /// In plain words, one line.
    pub(crate) text: Arc<str>,
}

/// A change of the active cluster.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    /// When the new cluster became active.
    pub(crate) at: Duration,
    /// Index of the cluster that served before.
    pub(crate) from: Option<usize>,
    /// Index of the cluster that serves since.
    pub(crate) to: Option<usize>,
    /// Why, in a few words.
    pub(crate) reason: Arc<str>,
    /// Time from the fault (or the decision) until every partition had been acknowledged again. `None`: not yet.
    pub(crate) took: Option<Duration>,
}

/// What a cluster is to clients right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// No broker serves yet.
    Starting,
    /// Serves.
    Active,
    /// Is active without a quorum: the decision is near.
    Failing,
    /// Could serve.
    Standby,
    /// Could not serve.
    NoQuorum,
}

impl Model {
    /// The role of the cluster with this index.
    pub(crate) fn role(&self, cluster: usize) -> Role {
        let Some(of) = self.clusters.get(cluster) else { return Role::Starting };
        match (self.active == Some(cluster), of.quorum) {
            (true, true) => Role::Active,
            (true, false) => Role::Failing,
            (false, true) => Role::Standby,
            (false, false) if of.brokers.iter().all(|b| b.state == BrokerState::Starting) => Role::Starting,
            (false, false) => Role::NoQuorum,
        }
    }

    /// The cluster's name; an unknown one is "no cluster".
    pub(crate) fn name(&self, cluster: Option<usize>) -> &str {
        cluster.and_then(|index| self.clusters.get(index)).map_or("no cluster", |cluster| &cluster.name)
    }

    /// The broker, if it is on stage.
    pub(crate) fn broker(&self, id: BrokerId) -> Option<&Broker> {
        self.clusters.get(id.cluster)?.brokers.get(id.broker)
    }

    /// Every broker, in the order of the digits that choose them.
    pub(crate) fn brokers(&self) -> impl Iterator<Item = BrokerId> {
        let of = |(cluster, of): (usize, &Cluster)| {
            (0..of.brokers.len()).map(move |broker| BrokerId { cluster, broker })
        };
        self.clusters.iter().enumerate().flat_map(of)
    }
}

impl Cluster {
    /// Brokers that serve.
    pub(crate) fn up(&self) -> usize {
        self.brokers.iter().filter(|broker| broker.state == BrokerState::Up).count()
    }
}

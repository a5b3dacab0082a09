//! The immutable view of everything that decides, shared by all parts of the process.
//!
//! The control plane publishes a new [`Snapshot`] for each change; the data plane reads the newest one and never
//! changes it. What grows by observation alone (leaders, coordinators, topic ids) sits in cells that snapshots share.

use crate::{
    commits::Commits,
    config::{Address, Positions, Replication},
    offer::Offer,
    offsets::{EndsCell, Groups, Readers, SwitchPoint},
    passthrough::View,
    producer_ids::ProducerIds,
    rules::Side,
    topic_ids::TopicIds,
    topology::TopologyCell,
};
use std::sync::Arc;

/// Everything that decides, at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Number of this snapshot; it only grows, over restarts too. A decision of an older generation is void.
    pub generation: u64,
    /// All clusters of the configuration.
    pub clusters: Vec<Arc<Cluster>>,
    /// All virtual clusters of the configuration.
    pub virtual_clusters: Vec<Arc<VirtualCluster>>,
}

impl Snapshot {
    /// The virtual cluster of that name.
    pub fn virtual_cluster(&self, name: &str) -> Option<&Arc<VirtualCluster>> {
        self.virtual_clusters.iter().find(|v| &*v.name == name)
    }
}

/// A real cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Bootstrap servers as last resolved from their source (static list, SRV record or file).
    pub bootstrap: Vec<Address>,
    /// Brokers, leaders and coordinators as last observed. Shared between snapshots.
    pub topology: Arc<TopologyCell>,
    /// Where its logs begin and end, as last polled. Shared between snapshots.
    pub ends: Arc<EndsCell>,
}

/// What clients see.
#[derive(Debug)]
pub struct VirtualCluster {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// The cluster id that clients see: stable, derived from the name.
    pub cluster_id: Arc<str>,
    /// Advertised address of each slot; the index is the node id that clients see.
    pub slots: Arc<[Address]>,
    /// Whether all slots share one port: the slot a client means is then unknown.
    pub shared_port: bool,
    /// The clusters of the chain, in order of preference.
    pub chain: Vec<Arc<Cluster>>,
    /// The cluster that serves, or none: fenced during a switch, or no cluster has quorum.
    pub active: Option<Active>,
    /// Without an active cluster: a switch is under way and another one follows within a moment, so requests wait for it.
    /// Otherwise no cluster is available, and requests are refused at once.
    pub switching: bool,
    /// Which cluster serves consumers.
    pub consumers: Consumers,
    /// What ApiVersions offers.
    pub offer: Arc<Offer>,
    /// Virtual topic ids. Shared between snapshots.
    pub topic_ids: Arc<TopicIds>,
    /// Whether the clusters of the chain hold the same logs.
    pub replication: Replication,
    /// Where a group begins on a cluster on which it has committed nothing.
    pub positions: Positions,
    /// Which groups were seen where. Shared between snapshots.
    pub groups: Arc<Groups>,
    /// Commits of transactions whose outcome may come to be unknown. Shared between snapshots.
    pub commits: Arc<Commits>,
    /// In passthrough mode: where each slot leads.
    pub passthrough: Option<View>,
}

/// Which cluster serves fetches and groups.
#[derive(Debug, Clone, Default)]
pub enum Consumers {
    /// The active one.
    #[default]
    Together,
    /// The one that produces have left at a planned move, until its logs are read.
    Stay(Box<Staying>),
    /// None for a moment: they follow when nobody uses the old one any more.
    Wait,
}

/// A cluster that is drained.
#[derive(Debug, Clone)]
pub struct Staying {
    /// The cluster, as it was when it was active.
    pub on: Active,
    /// Whether groups are asked to commit and to join again.
    pub leaving: bool,
    /// How far connections have read. Shared between snapshots.
    pub readers: Arc<Readers>,
}

impl VirtualCluster {
    /// The cluster that serves this side.
    pub fn serving(&self, side: Side) -> Option<&Active> {
        match (&self.consumers, side) {
            (Consumers::Stay(staying), Side::Consume) => Some(&staying.on),
            (Consumers::Wait, Side::Consume) => None,
            _ => self.active.as_ref(),
        }
    }

    /// Whether no cluster serves this side, but one will within a moment.
    pub fn waits(&self, side: Side) -> bool {
        match (&self.consumers, side) {
            (Consumers::Wait, Side::Consume) => true,
            _ => self.switching && self.serving(side).is_none(),
        }
    }

    /// What consumers stay on, while they are not where produces are.
    pub fn staying(&self) -> Option<&Staying> {
        if let Consumers::Stay(staying) = &self.consumers { Some(staying) } else { None }
    }
}

/// The active cluster of a chain.
#[derive(Debug, Clone)]
pub struct Active {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// Generation of the switch that made it active.
    pub since: u64,
    /// Added to real leader epochs; above every virtual epoch that clients were shown before this switch.
    pub epoch_base: i32,
    /// What producer ids are on this cluster, in this term of the chain.
    pub producer_ids: ProducerIds,
    /// Where its logs ended when it took over from another cluster.
    pub switch_point: Arc<SwitchPoint>,
}

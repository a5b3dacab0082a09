//! The status of the process as `GET /v1/status` shows it and `pointsman status` reads it.

use crate::{failover::Reason, topology::TopicDifference};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// Everything an operator asks first.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Version of the binary.
    pub version: &'static str,
    /// Generation of the newest snapshot.
    pub generation: u64,
    /// Seconds since the process started.
    pub uptime_s: f64,
    /// Writes of the state store that failed since the process started.
    pub state_write_failures: u64,
    /// All clusters.
    pub clusters: Vec<ClusterStatus>,
    /// All virtual clusters.
    pub virtual_clusters: Vec<VirtualClusterStatus>,
}

/// A cluster's health.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterStatus {
    /// Name.
    pub name: Arc<str>,
    /// Whether enough brokers are healthy.
    pub quorum: bool,
    /// Healthy brokers.
    pub healthy: usize,
    /// Brokers that quorum needs.
    pub needed: usize,
    /// Each broker.
    pub brokers: Vec<BrokerStatus>,
    /// Topics known.
    pub topics: usize,
    /// What an operator should know, e.g. that the metadata quorum cannot be asked with these credentials.
    pub notes: Vec<String>,
}

/// A broker's health.
#[derive(Debug, Clone, Serialize)]
pub struct BrokerStatus {
    /// Address as probed.
    pub address: String,
    /// Node id, once known.
    pub node: Option<i32>,
    /// `healthy`, `unhealthy` or `unknown`.
    pub state: &'static str,
    /// Why, in words: the last failure.
    pub reason: Option<String>,
    /// Duration of the last successful probe, in milliseconds.
    pub probe_ms: Option<f64>,
}

/// A virtual cluster.
#[derive(Debug, Clone, Serialize)]
pub struct VirtualClusterStatus {
    /// Name.
    pub name: Arc<str>,
    /// Where clients connect.
    pub listen: String,
    /// The chain, in order of preference.
    pub chain: Vec<Arc<str>>,
    /// The cluster that serves.
    pub active: Option<Arc<str>>,
    /// Whether an operator's command holds the active cluster, so that no automatic failback leaves it.
    pub pinned: bool,
    /// Client connections now.
    pub connections: u64,
    /// Slot → broker of the active cluster.
    pub slots: Vec<SlotStatus>,
    /// Switches since the state began; only grows.
    pub switches_total: u64,
    /// The same by cause; every cause is there.
    pub switches_by_cause: BTreeMap<Reason, u64>,
    /// The last switches, newest first.
    pub switches: Vec<SwitchStatus>,
    /// What each standby lacks.
    pub topic_differences: Vec<StandbyDifferences>,
}

/// Where a slot leads.
#[derive(Debug, Clone, Serialize)]
pub struct SlotStatus {
    /// Slot number: the node id that clients see.
    pub slot: usize,
    /// Address that clients see.
    pub advertised: String,
    /// Broker of the active cluster that it stands for, as `node@host:port`.
    pub broker: Option<String>,
}

/// One switch.
#[derive(Debug, Clone, Serialize, serde::Deserialize, PartialEq)]
pub struct SwitchStatus {
    /// Generation that it made.
    pub generation: u64,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// Cluster before.
    pub from: Option<String>,
    /// Cluster after.
    pub to: Option<String>,
    /// Why, in one word; `None`: a version before this one wrote it.
    #[serde(default)]
    pub cause: Option<Reason>,
    /// Why, in words.
    pub reason: String,
    /// Milliseconds from the first sign of trouble to the published decision, where there was one.
    pub decided_in_ms: Option<f64>,
}

/// Topic differences of one standby.
#[derive(Debug, Clone, Serialize)]
pub struct StandbyDifferences {
    /// The standby.
    pub cluster: Arc<str>,
    /// The differences, at most the first 100.
    pub topics: Vec<TopicDifference>,
    /// How many there are in all.
    pub total: usize,
}

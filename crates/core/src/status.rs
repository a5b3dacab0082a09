//! The status of the process as `GET /v1/status` shows it and `pointsman status` reads it.

use crate::{
    config::{Positions, Replication, Scope},
    failover::{Ended, Reason},
    topology::TopicDifference,
};
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
    /// Seconds since the last poll of its end offsets that every broker answered; `None`: there was none.
    pub offsets_age_s: Option<f64>,
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
    /// `healthy`, `unhealthy`, `unknown`, or `recovery`: unhealthy, but its Kafka port is open.
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
    /// `kafka` or `passthrough`.
    pub mode: &'static str,
    /// In passthrough mode: what moves together.
    pub scope: Option<Scope>,
    /// Where clients connect.
    pub listen: String,
    /// The chain, in order of preference.
    pub chain: Vec<Arc<str>>,
    /// The cluster that serves.
    pub active: Option<Arc<str>>,
    /// Whether an operator's command holds the active cluster, so that no automatic failback leaves it.
    pub pinned: bool,
    /// The cluster that consumers stay on after a planned move, until they have read what is there.
    pub draining: Option<DrainingStatus>,
    /// Drains that are over, by how they ended, since the process started; every end is there.
    pub drains: BTreeMap<Ended, u64>,
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
    /// Whether the clusters of the chain hold the same logs.
    pub replication: Replication,
    /// Where groups begin on a cluster on which they have committed nothing.
    pub positions: Positions,
    /// Groups that were seen since the process started.
    pub groups_seen: usize,
    /// Where the logs of the active cluster ended when it took over.
    pub switch_point: Option<SwitchPointStatus>,
    /// What is unread now on each cluster that traffic has left since the process started.
    pub stranded: Vec<Stranded>,
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
    /// Broker of the active cluster that it stands for, as `node@host:port`; in passthrough mode as `host:port`.
    pub broker: Option<String>,
    /// In passthrough mode: the cluster that it leads to.
    pub cluster: Option<Arc<str>>,
    /// In passthrough mode: the broker that has lost this slot for a while, because connections to it failed.
    pub ejected: Option<String>,
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
    /// What was unread on the cluster before, where there was one. While consumers are still there, it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranded: Option<Stranded>,
    /// How long consumers stayed on the cluster before, if they did and have left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainStatus>,
}

/// A drain under way.
#[derive(Debug, Clone, Serialize)]
pub struct DrainingStatus {
    /// The cluster.
    pub cluster: Arc<str>,
    /// Whether groups are asked to commit and to join again.
    pub leaving: bool,
}

/// A drain that is over.
#[derive(Debug, Clone, Serialize, serde::Deserialize, PartialEq)]
pub struct DrainStatus {
    /// Milliseconds from the move of produces to that of consumers.
    pub took_ms: f64,
    /// How it ended.
    pub ended: Ended,
}

/// Records that a cluster took and that groups had not read when traffic left it. An estimate: the end offsets last polled, less
/// the committed offsets of the groups that were on the cluster in that stay; of several groups of a topic the one with most
/// left counts. Topics without such a group count nothing.
#[derive(Debug, Clone, Serialize, serde::Deserialize, PartialEq, Eq)]
pub struct Stranded {
    /// The cluster that was left.
    pub cluster: String,
    /// Records in all.
    pub records: u64,
    /// Those topics that have most, at most 20.
    pub topics: Vec<StrandedTopic>,
    /// How many topics there are in all.
    pub topics_total: usize,
}

/// Stranded records of one topic.
#[derive(Debug, Clone, Serialize, serde::Deserialize, PartialEq, Eq)]
pub struct StrandedTopic {
    /// Topic.
    pub topic: String,
    /// Records.
    pub records: u64,
    /// The group that has most left.
    pub group: String,
}

/// A switch point.
#[derive(Debug, Clone, Serialize)]
pub struct SwitchPointStatus {
    /// Generation of the switch.
    pub generation: u64,
    /// The cluster that took over.
    pub cluster: Arc<str>,
    /// Partitions whose end offsets were known.
    pub partitions: usize,
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

//! The configuration as the rest of Pointsman sees it: parsed, validated and complete.
//!
//! A value of these types is a promise: names resolve, ports do not overlap, numbers are in range. What users write
//! becomes a [`Config`] in one step, or an error that names the file, the line, the path of the key and the remedy.

mod address;
mod clusters;
mod error;
mod parse;
mod passthrough;
mod place;
mod probe;
mod read;
#[cfg(test)]
mod tests;
mod virtual_clusters;
mod warnings;
mod words;
pub mod yaml;

pub use address::AddressError;
pub use error::{ConfigError, ConfigErrors};
pub use passthrough::{Mode, OnSwitch, OutlierRules, Passthrough, Scope, SniNames};
pub use place::place;
pub use read::duration_text;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The admin API.
    pub admin: AdminConfig,
    /// Where decisions that must survive a restart are kept.
    pub state: StateConfig,
    /// The real clusters, in the order of the file.
    pub clusters: Vec<ClusterConfig>,
    /// What clients see, in the order of the file.
    pub virtual_clusters: Vec<VirtualClusterConfig>,
}

/// The admin API: status, metrics, reload.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminConfig {
    /// Address it listens on; loopback only. Default 127.0.0.1:9901.
    pub listen: SocketAddr,
}

/// The state store.
#[derive(Debug, Clone, PartialEq)]
pub enum StateConfig {
    /// A local file, replaced atomically. Default `pointsman-state.json` beside the configuration file.
    File(PathBuf),
}

/// A host name or IP address with a port, as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Address {
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: Arc<str>,
    /// TCP port, 1 to 65535.
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// One real Kafka cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterConfig {
    /// Name in the file, unique.
    pub name: Arc<str>,
    /// Where to find its brokers.
    pub bootstrap: Bootstrap,
    /// Free text, e.g. `eu-west`.
    pub region: Option<Arc<str>>,
    /// How its health is judged.
    pub health: HealthConfig,
    /// Where others can ask whether it has quorum.
    pub health_listeners: Vec<SocketAddr>,
}

/// The source of bootstrap servers.
#[derive(Debug, Clone, PartialEq)]
pub enum Bootstrap {
    /// `bootstrap_servers: [host:port, ...]`
    Static(Vec<Address>),
    /// `bootstrap_servers: { srv: _kafka._tcp.example.com, refresh: 30s }`: a DNS SRV record, looked up again at `refresh`.
    Srv {
        /// The record's name.
        name: Arc<str>,
        /// Time between look-ups, 1 s or more; default 30 s.
        refresh: Duration,
        /// The DNS server to ask; `None`: those of the system.
        resolver: Option<SocketAddr>,
    },
    /// `bootstrap_servers: { file: brokers.txt, refresh: 1s }`: one `host:port` a line, `#` comments; watched.
    File {
        /// Path, relative to the configuration file.
        path: PathBuf,
        /// Time between looks at the file, 100 ms or more; default 1 s.
        refresh: Duration,
    },
}

/// How a cluster's health is judged (defaults of design section 6).
#[derive(Debug, Clone, PartialEq)]
pub struct HealthConfig {
    /// What is asked of each broker. Default `kafka`.
    pub probe: ProbeKind,
    /// Time between probes of a broker in a steady state. Default 500 ms; 10 ms to 1 h.
    pub interval: Duration,
    /// Time between probes after a first failure or success that contradicts the state. Default 50 ms.
    pub edge_interval: Duration,
    /// At most so much is added to each `interval`, so that many instances do not ask at once. Default 0 s.
    pub jitter: Duration,
    /// Deadline of one probe. Default 1 s.
    pub timeout: Duration,
    /// Consecutive failures that make a broker unhealthy. Default 3.
    pub unhealthy_after: u32,
    /// Consecutive successes that make a broker healthy. Default 2.
    pub healthy_after: u32,
    /// Healthy brokers a cluster needs.
    pub quorum: Quorum,
    /// Discovered brokers that are gone for so long no longer count; `None`: only configured brokers count.
    pub forget_after: Option<Duration>,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            probe: ProbeKind::Kafka,
            interval: Duration::from_millis(500),
            edge_interval: Duration::from_millis(50),
            jitter: Duration::ZERO,
            timeout: Duration::from_secs(1),
            unhealthy_after: 3,
            healthy_after: 2,
            quorum: Quorum::Majority,
            forget_after: None,
        }
    }
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeKind {
    /// ApiVersions, Metadata and DescribeQuorum over the broker's Kafka port.
    Kafka,
    /// An HTTP GET that must be answered with one of some statuses. A broker that does not, but whose Kafka port is open, is in
    /// recovery mode.
    Http {
        /// Port on the broker's host.
        port: u16,
        /// Path, starting with `/`.
        path: Arc<str>,
        /// The first and the last status that is well. Default 200 to 299.
        status: (u16, u16),
        /// Over TLS; `None`: without.
        tls: Option<ProbeTls>,
    },
    /// A TCP connection that is accepted.
    Tcp,
}

/// TLS of an HTTP probe: whom it trusts, and who it is itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTls {
    /// PEM file with the certificates of the CAs that are trusted; no others are.
    pub ca_file: PathBuf,
    /// PEM files with the probe's own chain of certificates and its key, where the other side asks for them.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the other side's certificate must have; `None`: the broker's host.
    pub server_name: Option<Arc<str>>,
}

/// How many healthy brokers a cluster needs to have quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// More than half of its brokers.
    Majority,
    /// At least this many (1 or more, not more than there are bootstrap servers).
    AtLeast(u32),
}

/// What clients see.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualClusterConfig {
    /// Name in the file, unique.
    pub name: Arc<str>,
    /// Whether frames are understood or only moved.
    pub mode: Mode,
    /// Interface to listen on.
    pub bind: IpAddr,
    /// First and last port, inclusive; equal: one port for everything.
    pub ports: (u16, u16),
    /// Number of virtual nodes. A port range has one per port; a single port has `slots` of them (default: the
    /// most bootstrap servers that a cluster of the chain has).
    pub slots: u16,
    /// Host name or address that clients are told to connect to, perhaps with `{slot}` for the number of the slot. Default: `bind`,
    /// if that is not a wildcard.
    pub advertise: Arc<str>,
    /// Names of clusters, in order of preference; one or more, each at most once.
    pub chain: Vec<Arc<str>>,
    /// When and how the active cluster changes.
    pub failover: FailoverConfig,
    /// What copies records between the clusters of the chain. Default none.
    pub replication: Replication,
    /// Where a group begins on a cluster on which it has committed nothing. Default `switch_point`; `committed` with a
    /// replication of identical offsets.
    pub positions: Positions,
}

/// What copies records between the clusters of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replication {
    /// Nothing, or something that keeps no offsets: an offset on one cluster means nothing on another.
    #[default]
    None,
    /// Something that copies batches as they are: the same offsets, and the same producers with the same sequences.
    IdenticalOffsets,
}

impl Replication {
    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::IdenticalOffsets => "identical_offsets",
        }
    }

    /// Whether the clusters hold the same logs with the same offsets.
    pub fn keeps_offsets(self) -> bool {
        self == Self::IdenticalOffsets
    }
}

/// Where a group that was seen on one cluster begins on another on which it has committed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// Where the logs ended when that cluster took over: nothing that was acknowledged since is skipped.
    #[default]
    SwitchPoint,
    /// By its own policy (`auto.offset.reset`), as without Pointsman.
    Committed,
    /// At the beginning of the logs.
    Earliest,
}

impl Positions {
    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::SwitchPoint => "switch_point",
            Self::Committed => "committed",
            Self::Earliest => "earliest",
        }
    }
}

/// When and how the active cluster of a chain changes.
#[derive(Debug, Clone, PartialEq)]
pub struct FailoverConfig {
    /// Whether loss of quorum moves clients to the next cluster. Default true.
    pub automatic: bool,
    /// Whether clients move back by themselves. Default automatic.
    pub failback: Failback,
    /// How long a preferred cluster must have had quorum, without a break, before clients move back to it; also the least time
    /// between two switches towards it. Default 30 s.
    pub hold: Duration,
    /// How long a planned switch holds traffic until the other cluster has everything; 0: it does not wait. Default 5 s with a
    /// replication of identical offsets, otherwise always 0.
    pub catch_up: Duration,
    /// How long consumers may stay on a cluster that a planned move leaves, to read what is there; zero: they move with produces.
    /// At most [`CONSUMER_DRAIN_MAX`](crate::limits::CONSUMER_DRAIN_MAX). Default 2 s.
    pub consumer_drain: Duration,
}

impl Default for FailoverConfig {
    fn default() -> Self {
        Self {
            automatic: true,
            failback: Failback::Automatic,
            hold: Duration::from_secs(30),
            catch_up: Duration::ZERO,
            consumer_drain: Duration::from_secs(2),
        }
    }
}

/// Whether clients return to a preferred cluster by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failback {
    /// After `hold`.
    Automatic,
    /// Only by command.
    Manual,
}

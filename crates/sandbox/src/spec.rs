//! What a cluster should be.

use std::time::Duration;

/// Description of a cluster. Every broker is a controller too, and the controller quorum is all of them, so that losing a majority
/// loses the quorum.
#[derive(Debug, Clone)]
pub struct ClusterSpec {
    /// Name, for messages.
    pub name: String,
    /// Number of brokers.
    pub brokers: usize,
    /// Node id of the first broker; the others follow.
    pub base_node_id: i32,
    /// Ports on 127.0.0.1, one per broker; empty: free ones are picked.
    pub ports: Vec<u16>,
    /// Cluster id; `None`: a random one.
    pub cluster_id: Option<String>,
    /// `min.insync.replicas` of topics that do not say otherwise, never more than there are brokers.
    pub min_isr: usize,
    /// Users of SASL/PLAIN with their passwords; empty: no authentication.
    pub users: Vec<(String, String)>,
    /// A broker that the controller has not heard of for so long is fenced (`broker.session.timeout.ms`).
    pub session_timeout: Duration,
    /// From the loss of the active controller to the next one, if there is a quorum.
    pub election_time: Duration,
    /// Bytes that one replica of one partition may hold: the oldest batches are deleted.
    pub partition_bytes: usize,
    /// How long a new group waits for more members (`group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay: Duration,
}

impl ClusterSpec {
    /// A cluster with the settings of a small production cluster: replication 3 and min ISR 2 where it is large enough, node ids
    /// from 1, 64 MiB per replica. It notices dead brokers in a second, where Kafka takes 9.
    #[must_use]
    pub fn new(name: &str, brokers: usize) -> Self {
        Self {
            name: name.to_owned(),
            brokers,
            base_node_id: 1,
            ports: Vec::new(),
            cluster_id: None,
            min_isr: 2,
            users: Vec::new(),
            session_timeout: Duration::from_secs(1),
            election_time: Duration::from_millis(300),
            partition_bytes: 64 << 20,
            initial_rebalance_delay: Duration::ZERO,
        }
    }

    pub(crate) fn replication(&self) -> usize {
        self.brokers.min(3)
    }
}

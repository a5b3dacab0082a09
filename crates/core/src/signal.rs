//! What the data plane tells the control plane. A signal speeds a decision up; it never is one.

use crate::config::Address;
use std::sync::Arc;

/// A passive observation of real traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A connection to a broker failed: probe the whole cluster now.
    BrokerFailed {
        /// Name of the cluster.
        cluster: Arc<str>,
        /// The broker's address as dialled.
        broker: Address,
        /// What happened.
        failure: Failure,
    },
    /// Routing met something that the topology does not know, or knows wrongly: ask for metadata again, soon.
    TopologyStale {
        /// Name of the cluster.
        cluster: Arc<str>,
    },
    /// A broker handed out a producer id that is too large to be translated; its client did not get it. Nothing but the log can
    /// help: such ids come from another proxy, or from a broker that is not Kafka.
    ProducerIdTooLarge {
        /// Name of the cluster.
        cluster: Arc<str>,
        /// The id.
        id: i64,
    },
    /// A producer with a transactional id was refused, because the clusters of its chain hold the same logs.
    TransactionsRefused {
        /// Name of the virtual cluster.
        virtual_cluster: Arc<str>,
    },
}

/// How a connection to a broker failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens there.
    Refused,
    /// An established connection ended.
    Reset,
    /// No answer within the deadline.
    Timeout,
    /// The name could not be resolved, or another error of the system.
    Other,
}

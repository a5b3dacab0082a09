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

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
    /// Clients were given positions that are not their own: nothing is wrong, but it is not to happen in silence.
    PositionsMoved {
        /// Name of the virtual cluster.
        virtual_cluster: Arc<str>,
        /// Name of the active cluster.
        cluster: Arc<str>,
        /// What was given.
        moved: Moved,
    },
    /// A producer with a transactional id was refused, because the clusters of its chain hold the same logs.
    TransactionsRefused {
        /// Name of the virtual cluster.
        virtual_cluster: Arc<str>,
    },
}

/// Positions that clients were given instead of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The group that had committed nothing there; `None`: consumers that asked how far an older epoch's log reaches.
    pub group: Option<Box<str>>,
    /// Topic and partition of one of them.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// How many there are in all.
    pub partitions: u64,
}

impl Moved {
    /// One more; the first one is named.
    pub(crate) fn add(into: &mut Option<Self>, one: Self) {
        match into {
            Some(known) => known.partitions += one.partitions,
            None => *into = Some(one),
        }
    }
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

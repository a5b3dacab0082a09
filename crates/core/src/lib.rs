//! The decisions of Pointsman, without sockets, threads or a clock.
//!
//! Everything that decides lives here: the configuration, the [`snapshot`] that all parts of the process share, the
//! health of clusters and the failover between them, and the session that turns a client's frames into frames for
//! brokers and back. Time comes in as an argument; bytes come in and go out as slices.
//! This crate must never open a socket, read a clock or spawn anything.

pub mod broken;
pub mod commits;
pub mod config;
pub mod failover;
pub mod health;
pub mod limits;
pub mod metrics;
pub mod offer;
pub mod offsets;
pub mod passthrough;
pub mod places;
pub mod plan;
pub mod producer_ids;
pub mod rules;
pub mod session;
pub mod signal;
pub mod snapshot;
pub mod status;
pub mod topic_ids;
pub mod topology;

/// A point in time: the monotonic duration since the process started. The caller reads the clock.
pub type Now = std::time::Duration;

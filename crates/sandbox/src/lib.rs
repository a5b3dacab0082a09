//! An embedded Kafka to break: in-process brokers on chosen ports, faults on demand, and small clients.
//!
//! It exists for the demo, for tests and for benchmarks. It speaks the real protocol, so any Kafka client can use it; what it
//! keeps is in memory and ends with the process. The conformance tests describe a broker and run against this one and
//! against Apache Kafka alike.
//!
//! Inside: [`Cluster`] is the handle; `world` is the state that all brokers of a cluster share, with the controller's rules;
//! `log` is one replica; `server` is a broker's port; `apis` has one file per api key.

mod apis;
pub mod client;
mod cluster;
mod configs;
mod errors;
mod fault;
mod group;
mod log;
mod patterns;
mod server;
mod sessions;
mod spec;
mod transactions;
mod world;

pub use cluster::{BrokerState, Cluster};
pub use fault::{Action, Injected};
pub use spec::ClusterSpec;

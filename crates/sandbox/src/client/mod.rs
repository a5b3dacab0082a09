//! Small Kafka clients on the wire crate's DOM: a producer, a group consumer, an admin client.
//!
//! The demo, the tests of the sandbox and the benchmarks watch a failover through them. So they do what a good client
//! library does at a failure (pipelining, idempotence, epochs, retries in order), and no more: no transactions, no
//! compression, no authentication. They know nothing of Pointsman and work against any Kafka.
//!
//! Every client needs a Tokio runtime, has no global state and ends all its tasks when its handle is dropped.

pub mod admin;
mod backoff;
pub mod batch;
mod cluster;
pub mod codes;
pub mod config;
pub mod connection;
pub mod consumer;
pub mod error;
pub mod metadata;
mod mirror;
pub mod producer;
mod tls;

pub use admin::Admin;
pub use config::ClientConfig;
pub use consumer::{Consumer, ConsumerConfig, Event, Reset};
pub use error::ClientError;
pub use mirror::{Mirror, MirrorConfig};
pub use producer::{Acked, Delivery, ProduceError, Producer, ProducerConfig};
pub use tls::Tls;

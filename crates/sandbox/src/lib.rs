//! An embedded Kafka to break: in-process brokers on chosen ports, faults on demand, and small clients.
//!
//! It exists for the demo, for tests and for benchmarks. It speaks the real protocol, so any Kafka client can use it; what it
//! keeps is in memory and ends with the process. The conformance tests describe a broker and run against this one and
//! against Apache Kafka alike.

pub mod client;
mod group;

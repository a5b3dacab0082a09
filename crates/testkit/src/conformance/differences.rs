//! Where the embedded Kafka is known to differ from Apache Kafka.
//!
//! A case that is named here must fail against the sandbox: one that passes is an error, so that the list stays true.
//! Apache Kafka itself has no such list.

/// A case and why the sandbox differs there. `*` at the end or the beginning stands for anything: one of the cases so
/// named must fail.
pub type Difference = (&'static str, &'static str);

/// The differences of the sandbox.
pub const SANDBOX: &[Difference] = &[
    ("*/acks_0*", "requests that a client sent before it closed the connection may be dropped"),
    ("raw/leader_dies", "for a moment a broker that comes back answers with what it knew before"),
];

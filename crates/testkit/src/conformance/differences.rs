//! Where the embedded Kafka is known to differ from Apache Kafka.
//!
//! A case that is named here must fail against the sandbox: one that passes is an error, so that the list stays true.
//! Apache Kafka itself has no such list.

/// A case, and why the sandbox differs there.
pub type Difference = (&'static str, &'static str);

/// The differences of the sandbox.
pub const SANDBOX: &[Difference] = &[];

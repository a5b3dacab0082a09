//! Where the embedded Kafka is known to differ from Apache Kafka.
//!
//! A case that is named here must fail against the sandbox: one that passes is an error, so that the list stays true.
//! Apache Kafka itself has no such list.

/// A case, or a beginning of names with `*` after it, and why the sandbox differs there.
pub type Difference = (&'static str, &'static str);

const MIN_ISR: &str = "min.insync.replicas counts even where a topic has fewer replicas";
const EPOCHS: &str = "a leader epoch that is too new is answered with 76 instead of 75";
const NO_MAX_BYTES: &str = "versions without a limit for the whole answer give one batch";
const OLD_EPOCH: &str = "the end of an epoch is asked for without the current epoch";

/// The differences of the sandbox.
pub const SANDBOX: &[Difference] = &[
    ("franz/*", "franz-go begins with a version of ApiVersions that is too new"),
    ("raw/api_versions_too_new", "the connection is closed"),
    ("raw/api_versions_without_a_name", "the name of the client software is not checked"),
    ("raw/offered", "old versions that Apache Kafka 4 no longer has are offered"),
    ("java/broker_config", "min.insync.replicas of a broker is shown as 1"),
    ("librdkafka/broker_config", "min.insync.replicas of a broker is shown as 1"),
    ("kafka-python/broker_config", "min.insync.replicas of a broker is shown as 1"),
    ("raw/produce_below_3", "Produce below version 3 is served"),
    ("raw/produce_two_partitions", MIN_ISR),
    ("raw/produce_min_isr_above_replicas", MIN_ISR),
    ("raw/fetch_inside_a_batch", MIN_ISR),
    ("raw/session_full_and_incremental", MIN_ISR),
    ("raw/session_forgotten", MIN_ISR),
    ("raw/fetch_every_version", NO_MAX_BYTES),
    ("raw/fetch_max_bytes", NO_MAX_BYTES),
    ("raw/fetch_from_a_follower", "followers serve no consumers"),
    ("raw/fetch_leader_epochs", EPOCHS),
    ("raw/list_offsets_epochs", EPOCHS),
    ("raw/offset_for_leader_epoch", OLD_EPOCH),
    ("raw/leader_dies", OLD_EPOCH),
];

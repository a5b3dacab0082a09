//! The cases that client libraries run, with the facts that each must observe.
//!
//! All programs use the same names and the same facts: numbers are protocol error codes, counts or milliseconds. What
//! a library does not have stands in `without`.

use crate::clients::ClientKind::{self, KafkaPython};

/// One case.
#[derive(Clone, Copy, Debug)]
pub struct ClientCase {
    /// Its name in every program.
    pub name: &'static str,
    /// A JSON object: the facts that must be observed.
    pub expect: &'static str,
    /// The libraries that cannot do it.
    pub without: &'static [ClientKind],
}

const fn case(name: &'static str, expect: &'static str) -> ClientCase {
    ClientCase { name, expect, without: &[] }
}

impl ClientCase {
    const fn without(mut self, libraries: &'static [ClientKind]) -> Self {
        self.without = libraries;
        self
    }
}

/// All cases.
pub const CASES: &[ClientCase] = &[
    // A second creation is refused with 36; what is deleted is unknown (3).
    case("topic_lifecycle", r#"{"partitions": 3, "replicas": 3, "again": 36, "deleted": 3}"#),
    // 1 to 3 partitions; fewer than there are is refused with 37.
    case("create_partitions", r#"{"partitions": 3, "fewer": 37}"#),
    case(
        "topic_configs",
        r#"{"retention_before": "604800000", "retention_after": "1234567", "refused": 40}"#,
    ),
    case("broker_config", r#"{"auto.create.topics.enable": "false", "min.insync.replicas": "2"}"#),
    case("describe_cluster", r#"{"brokers": 3, "controller_is_a_broker": true}"#),
    // The records before offset 3 are gone, the others keep their offsets.
    case("delete_records", r#"{"low": 3, "beginning": 3, "first_read": 3}"#),
    case("unknown_topic", r#"{"error": 3}"#),
    case("codec_none", r#"{"read": 20}"#),
    case("codec_gzip", r#"{"read": 20}"#),
    case("codec_snappy", r#"{"read": 20}"#),
    // kafka-python needs further packages for these two.
    case("codec_lz4", r#"{"read": 20}"#).without(&[KafkaPython]),
    case("codec_zstd", r#"{"read": 20}"#).without(&[KafkaPython]),
    // An empty value is not a null one, and both come back as they were.
    case(
        "record_shapes",
        r#"{"plain": "k:v", "headers": "a=1,b=2,a=3", "empty_value": "", "null_value": null, "null_key": null}"#,
    ),
    case("create_time", r#"{"timestamp": 1500000000000, "type": 0}"#),
    // The broker's clock wins over the producer's timestamp.
    case("log_append_time", r#"{"broker_time": true, "type": 1}"#),
    case("large_record", r#"{"size": 1000000}"#),
    case("record_too_large", r#"{"error": 10}"#),
    case("idempotent", r#"{"offsets_in_order": true, "read": 100}"#),
    case("acks_0", r#"{"read": 10}"#),
    case("acks_1", r#"{"read": 10}"#),
    case("acks_all", r#"{"read": 10}"#),
    case("from_earliest", r#"{"first": 0}"#),
    case("from_latest", r#"{"first": 10}"#),
    case("from_timestamp", r#"{"first": 5, "after_the_last": null}"#),
    case("from_offset", r#"{"first": 7}"#),
    case("end_offsets", r#"{"beginning": [0, 0], "end": [10, 0]}"#),
    case("out_of_range", r#"{"error": 1}"#),
    case("long_poll", r#"{"prompt": true}"#),
    case("group_resume", r#"{"first": [0, 1, 2, 3, 4], "committed": 5, "second": [5, 6, 7, 8, 9]}"#),
    case("group_of_two", r#"{"both": [2, 2], "alone": 4}"#),
    // A member that leaves and comes back under its instance id gets its partitions; the other one notices nothing.
    case("static_membership", r#"{"same_partitions": true, "revocations_of_the_other": 0}"#),
    case("cooperative", r#"{"kept": 2, "given_up": 2, "newcomer": 2}"#).without(&[KafkaPython]),
    // A group with members cannot be deleted (68).
    case(
        "groups",
        r#"{"listed": true, "state": "stable", "members": 1, "not_empty": 68, "after": "empty", "gone": true}"#,
    ),
    case("group_offsets", r#"{"altered": 7, "resumed_at": 7}"#),
];

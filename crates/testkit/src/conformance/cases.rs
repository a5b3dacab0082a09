//! The cases that client libraries run, with the facts that each must observe.
//!
//! All programs use the same names and the same facts: numbers are protocol error codes, counts or milliseconds. What
//! a library does not have stands in `without`.

use super::Library::{self, Franz, Java, Java28, Java39, KafkaPython, Librdkafka, Sarama};

/// What a case is about: a column of the client matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Records on their way in: codecs, shapes, acknowledgements, idempotence.
    Produce,
    /// Records on their way out: positions, resets, long polls.
    Consume,
    /// Classic consumer groups.
    Group,
    /// Consumer groups of KIP-848.
    NextGroup,
    /// Share groups (KIP-932).
    Share,
    /// Transactions.
    Transactions,
    /// Topics, settings, records, groups and brokers through an admin client.
    Admin,
}

impl Feature {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Produce,
        Self::Consume,
        Self::Group,
        Self::NextGroup,
        Self::Share,
        Self::Transactions,
        Self::Admin,
    ];

    /// The name used in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::Group => "group",
            Self::NextGroup => "KIP-848 group",
            Self::Share => "share group",
            Self::Transactions => "transactions",
            Self::Admin => "admin",
        }
    }
}

/// One case.
#[derive(Clone, Copy, Debug)]
pub struct ClientCase {
    /// Its name in every program.
    pub name: &'static str,
    /// What it is about.
    pub feature: Feature,
    /// A JSON object: the facts that must be observed.
    pub expect: &'static str,
    /// The libraries that cannot do it.
    pub without: &'static [Library],
    /// The only ones that can; none: all.
    pub only: &'static [Library],
}

const fn case(feature: Feature, name: &'static str, expect: &'static str) -> ClientCase {
    ClientCase { name, feature, expect, without: &[], only: &[] }
}

const fn produce(name: &'static str, expect: &'static str) -> ClientCase {
    case(Feature::Produce, name, expect)
}

const fn consume(name: &'static str, expect: &'static str) -> ClientCase {
    case(Feature::Consume, name, expect)
}

const fn group(name: &'static str, expect: &'static str) -> ClientCase {
    case(Feature::Group, name, expect)
}

const fn txn(name: &'static str, expect: &'static str) -> ClientCase {
    case(Feature::Transactions, name, expect)
}

const fn admin(name: &'static str, expect: &'static str) -> ClientCase {
    case(Feature::Admin, name, expect)
}

/// One of Kafka Streams: each input is counted once, without a gap.
const fn streams(name: &'static str, expect: &'static str) -> ClientCase {
    txn(name, expect).only(&[Library::Streams])
}

/// One of a command-line tool.
const fn tool(name: &'static str, expect: &'static str) -> ClientCase {
    admin(name, expect).only(&[Library::Tools])
}

impl ClientCase {
    /// Whether a library has it.
    pub fn runs_with(&self, library: Library) -> bool {
        match library.own_cases() {
            Some(own) => own.contains(&self.name),
            None => {
                !self.without.contains(&library) && (self.only.is_empty() || self.only.contains(&library))
            }
        }
    }

    /// Whether it is in the fast part of the matrix: all that an application does from day to day.
    pub fn quick(&self) -> bool {
        QUICK.contains(&self.name)
    }

    const fn without(mut self, libraries: &'static [Library]) -> Self {
        self.without = libraries;
        self
    }

    const fn only(mut self, libraries: &'static [Library]) -> Self {
        self.only = libraries;
        self
    }
}

/// Further cases of the matrix alone: of apis that the embedded Kafka does not have.
pub const MORE: &[ClientCase] = &[
    case(Feature::NextGroup, "kip848_of_two", r#"{"both": [2, 2], "alone": 4}"#)
        .only(&[Java, Franz, Librdkafka]),
    case(
        Feature::NextGroup,
        "kip848_resume",
        r#"{"first": [0, 1, 2, 3, 4], "committed": 5, "second": [5, 6, 7, 8, 9]}"#,
    )
    .only(&[Java, Librdkafka]),
    case(Feature::NextGroup, "kip848_describe", r#"{"type": "Consumer", "members": 1, "assigned": 1}"#)
        .only(&[Java]),
    case(Feature::Share, "share_group", r#"{"read": 11, "state": "Empty"}"#).only(&[Java, Franz]),
    case(Feature::Share, "share_release", r#"{"counts": [1, 2]}"#).only(&[Java]),
    admin("acls", r#"{"created": 1, "deleted": 1, "left": 0}"#),
    admin("broker_config_set", r#"{"set": "15001", "deleted": "15000"}"#),
    admin("log_dirs", r#"{"brokers": 3, "replicas": 6}"#).without(&[Librdkafka]),
    admin("delete_group_offsets", r#"{"before": 7, "after": true}"#).without(&[Librdkafka]),
    admin("reassign", r#"{"moved": true, "under_way": 0}"#).only(&[Java, Java39, Java28, Sarama]),
    // The leader is the preferred one (84).
    admin("elect_leaders", r#"{"error": 84}"#).only(&[Java, Java39, Java28, Sarama]),
    admin("list_offsets", r#"{"earliest": [0, 0], "latest": [4, 0]}"#).only(&[Java, Java39, Java28, Sarama]),
    admin("quorum", r#"{"voters": 3, "leader_is_a_voter": true}"#).only(&[Java, KafkaPython]),
    streams(
        "streams_eos",
        r#"{"written": 20, "in_order": true, "counts": "{k0=5, k1=5, k2=5, k3=5}", "committed": 20}"#,
    ),
    streams("streams_restart", r#"{"written": 20, "in_order": true, "counts": "{k0=5, k1=5, k2=5, k3=5}"}"#),
    streams("streams_abort", r#"{"written": 20, "in_order": true, "tries": 2}"#),
    streams("streams_of_two", r#"{"tasks": [1, 1], "written": 20, "in_order": true}"#),
    tool("tool_topics", r#"{"partitions": 3, "listed": true, "deleted": true}"#),
    tool("tool_configs", r#"{"set": true}"#),
    tool("tool_console", r#"{"read": true}"#),
    tool("tool_groups", r#"{"committed": "3", "lag": "0", "state": true, "reset": "0", "gone": true}"#),
    tool("tool_acls", r#"{"listed": true, "left": false}"#),
    tool("tool_offsets", r#"{"latest": "3", "earliest": "2"}"#),
    tool("tool_log_dirs", r#"{"brokers": 3, "replicas": 6}"#),
    tool("tool_quorum", r#"{"voters": 3}"#),
    tool("tool_features", r#"{"transactions": "2"}"#),
    tool("tool_reassign", r#"{"completed": true, "moved": true}"#),
    tool("tool_transactions", r#"{"lists": true}"#),
    tool("tool_api_versions", r#"{"brokers": 3}"#),
    admin("features", r#"{"transaction.version": 2, "group.version": 1, "share.version": 1}"#).only(&[Java]),
];

/// The fast part of the matrix.
const QUICK: &[&str] = &[
    "topic_lifecycle",
    "broker_config",
    "describe_cluster",
    "codec_zstd",
    "idempotent",
    "large_record",
    "from_timestamp",
    "group_resume",
    "group_of_two",
    "kip848_of_two",
    "share_group",
    "txn_commit_abort",
    "txn_offsets",
    "acls",
    "features",
];

/// All cases.
pub const CASES: &[ClientCase] = &[
    // A second creation is refused with 36; what is deleted is unknown (3).
    admin("topic_lifecycle", r#"{"partitions": 3, "replicas": 3, "again": 36, "deleted": 3}"#),
    // 1 to 3 partitions; fewer than there are is refused with 37.
    admin("create_partitions", r#"{"partitions": 3, "fewer": 37}"#),
    admin(
        "topic_configs",
        r#"{"retention_before": "604800000", "retention_after": "1234567", "refused": 40}"#,
    ),
    admin("broker_config", r#"{"auto.create.topics.enable": "false", "min.insync.replicas": "2"}"#),
    admin("describe_cluster", r#"{"brokers": 3, "controller_is_a_broker": true}"#),
    // The records before offset 3 are gone, the others keep their offsets.
    admin("delete_records", r#"{"low": 3, "beginning": 3, "first_read": 3}"#),
    admin("unknown_topic", r#"{"error": 3}"#),
    produce("codec_none", r#"{"read": 20}"#),
    produce("codec_gzip", r#"{"read": 20}"#),
    produce("codec_snappy", r#"{"read": 20}"#),
    // kafka-python needs further packages for these two.
    produce("codec_lz4", r#"{"read": 20}"#).without(&[KafkaPython]),
    produce("codec_zstd", r#"{"read": 20}"#).without(&[KafkaPython]),
    // An empty value is not a null one, and both come back as they were.
    produce(
        "record_shapes",
        r#"{"plain": "k:v", "headers": "a=1,b=2,a=3", "empty_value": "", "null_value": null, "null_key": null}"#,
    ),
    produce("create_time", r#"{"timestamp": 1500000000000, "type": 0}"#),
    // The broker's clock wins over the producer's timestamp.
    produce("log_append_time", r#"{"broker_time": true, "type": 1}"#),
    produce("large_record", r#"{"size": 1000000}"#),
    produce("record_too_large", r#"{"error": 10}"#),
    produce("idempotent", r#"{"offsets_in_order": true, "read": 100}"#),
    produce("acks_0", r#"{"read": 10}"#),
    produce("acks_1", r#"{"read": 10}"#),
    produce("acks_all", r#"{"read": 10}"#),
    consume("from_earliest", r#"{"first": 0}"#),
    consume("from_latest", r#"{"first": 10}"#),
    consume("from_timestamp", r#"{"first": 5, "after_the_last": null}"#),
    consume("from_offset", r#"{"first": 7}"#),
    consume("end_offsets", r#"{"beginning": [0, 0], "end": [10, 0]}"#),
    consume("out_of_range", r#"{"error": 1}"#),
    consume("long_poll", r#"{"prompt": true}"#),
    group("group_resume", r#"{"first": [0, 1, 2, 3, 4], "committed": 5, "second": [5, 6, 7, 8, 9]}"#),
    group("group_of_two", r#"{"both": [2, 2], "alone": 4}"#),
    // A member that leaves and comes back under its instance id gets its partitions; the other one notices nothing.
    group("static_membership", r#"{"same_partitions": true, "revocations_of_the_other": 0}"#),
    group("cooperative", r#"{"kept": 2, "given_up": 2, "newcomer": 2}"#).without(&[KafkaPython]),
    // A group with members cannot be deleted (68).
    group(
        "groups",
        r#"{"listed": true, "state": "stable", "members": 1, "not_empty": 68, "after": "empty", "gone": true}"#,
    ),
    group("group_offsets", r#"{"altered": 7, "resumed_at": 7}"#),
    // The same with the consumer protocol (KIP-848). kafka-python and sarama have none, and franz-go does not offer its own yet.
    group(
        "consumer_group_resume",
        r#"{"first": [0, 1, 2, 3, 4], "committed": 5, "second": [5, 6, 7, 8, 9]}"#,
    )
    .without(&[KafkaPython, Franz, Sarama]),
    group("consumer_group_of_two", r#"{"both": [2, 2], "alone": 4}"#).without(&[KafkaPython, Franz, Sarama]),
    group("consumer_group_static", r#"{"same_partitions": true, "revocations_of_the_other": 0}"#).without(&[
        KafkaPython,
        Franz,
        Sarama,
    ]),
    // Two aborted records, then three committed ones.
    txn("txn_commit_abort", r#"{"committed": ["v0", "v1", "v2"], "all": 5}"#),
    // One committed record and its marker, then an open transaction.
    txn("txn_open", r#"{"stable_end": 2, "end": 3, "stable_after": 4}"#),
    txn("txn_fencing", r#"{"fenced": true, "read": ["new"]}"#),
    txn("txn_offsets", r#"{"aborted": -1, "committed": 5}"#),
    // An administrator finds the open transaction and ends it in its partition.
    txn(
        "txn_admin",
        r#"{"listed": true, "state": "ongoing", "partitions": 1, "begun_at": 0, "stable_after": 2}"#,
    )
    .without(&[Librdkafka, KafkaPython, Java39, Java28, Sarama]),
];

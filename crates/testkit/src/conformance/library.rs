//! The client programs that have cases.

use std::str::FromStr;

use crate::clients::{ClientKind, Program};

/// A client, in the version that is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Library {
    /// Apache Kafka's Java client, of the version of the broker.
    Java,
    /// The same of 3.9.
    Java39,
    /// The same of 2.8.
    Java28,
    /// librdkafka, through confluent-kafka for Python.
    Librdkafka,
    /// franz-go.
    Franz,
    /// kafka-python.
    KafkaPython,
    /// aiokafka.
    Aiokafka,
    /// sarama.
    Sarama,
    /// kafkajs.
    Kafkajs,
    /// kcat, as the distribution has it.
    Kcat,
    /// Kafka Streams with exactly-once-v2.
    Streams,
    /// Kafka's own command-line tools.
    Tools,
}

/// How slots share a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnePort {
    /// At one address.
    OneAddress,
    /// Each has its own name for that address.
    Names,
    /// There is one.
    OneSlot,
}

impl Library {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 12] = [
        Self::Java,
        Self::Java39,
        Self::Java28,
        Self::Streams,
        Self::Tools,
        Self::Librdkafka,
        Self::Kcat,
        Self::Franz,
        Self::Sarama,
        Self::KafkaPython,
        Self::Aiokafka,
        Self::Kafkajs,
    ];
    /// One version of each library: those that the embedded Kafka is measured with.
    pub const EACH: [Self; 4] = [Self::Java, Self::Librdkafka, Self::Franz, Self::KafkaPython];

    /// The name used in tables, options and names of topics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Java39 => "java-3.9",
            Self::Java28 => "java-2.8",
            Self::Librdkafka => "librdkafka",
            Self::Franz => "franz",
            Self::KafkaPython => "kafka-python",
            Self::Aiokafka => "aiokafka",
            Self::Sarama => "sarama",
            Self::Kafkajs => "kafkajs",
            Self::Kcat => "kcat",
            Self::Streams => "streams",
            Self::Tools => "tools",
        }
    }

    /// The name and version shown to people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Java => "Java 4.3.1",
            Self::Java39 => "Java 3.9.1",
            Self::Java28 => "Java 2.8.2",
            Self::Librdkafka => "librdkafka 2.16.0",
            Self::Franz => "franz-go 1.22.2",
            Self::KafkaPython => "kafka-python 3.0.12",
            Self::Aiokafka => "aiokafka 0.14.0",
            Self::Sarama => "sarama 1.61.1",
            Self::Kafkajs => "kafkajs 2.2.4",
            Self::Kcat => "kcat 1.7.1",
            Self::Streams => "Kafka Streams 4.3.1",
            Self::Tools => "Kafka's tools 4.3.1",
        }
    }

    /// The cases that its program has; `None`: all that do not say otherwise.
    pub const fn own_cases(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Aiokafka => Some(AIOKAFKA),
            Self::Kafkajs => Some(KAFKAJS),
            Self::Kcat => Some(KCAT),
            Self::Streams => Some(STREAMS),
            Self::Tools => Some(TOOLS),
            _ => None,
        }
    }

    /// What it needs of a port that all slots share. kafkajs, and the librdkafka 2.0.2 of the distribution's kcat, take all nodes
    /// at one address for the same one; kafkajs then drops records and says they are delivered.
    pub const fn one_port(self) -> OnePort {
        match self {
            Self::Kafkajs => OnePort::Names,
            Self::Kcat => OnePort::OneSlot,
            _ => OnePort::OneAddress,
        }
    }

    /// The driver of the same library that produces and consumes for as long as it is told to; `None`: there is none.
    pub const fn driver(self) -> Option<ClientKind> {
        Some(match self {
            Self::Java => ClientKind::Java,
            Self::Java39 => ClientKind::Java39,
            Self::Java28 => ClientKind::Java28,
            Self::Librdkafka => ClientKind::Librdkafka,
            Self::Franz => ClientKind::Franz,
            Self::Sarama => ClientKind::Sarama,
            Self::KafkaPython => ClientKind::KafkaPython,
            Self::Aiokafka => ClientKind::Aiokafka,
            Self::Kafkajs => ClientKind::Kafkajs,
            Self::Streams | Self::Kcat | Self::Tools => return None,
        })
    }

    /// Makes its program ready to run; later calls only find it. An error says why it cannot run here.
    pub fn install(self) -> Result<Program, String> {
        super::install::install(self)
    }
}

const AIOKAFKA: &[&str] = &[
    "codec_none",
    "codec_gzip",
    "codec_snappy",
    "codec_lz4",
    "codec_zstd",
    "acks_0",
    "acks_1",
    "acks_all",
    "idempotent",
    "record_shapes",
    "large_record",
    "from_timestamp",
    "from_offset",
    "end_offsets",
    "group_resume",
    "group_of_two",
    "txn_commit_abort",
    "txn_open",
    "txn_fencing",
    "txn_offsets",
];

/// It has no assignment without a group, no static members, and does not show the last stable offset.
const KAFKAJS: &[&str] = &[
    "codec_none",
    "codec_gzip",
    "codec_snappy",
    "codec_lz4",
    "codec_zstd",
    "acks_0",
    "acks_1",
    "acks_all",
    "idempotent",
    "record_shapes",
    "create_time",
    "log_append_time",
    "large_record",
    "record_too_large",
    "from_earliest",
    "from_timestamp",
    "from_offset",
    "end_offsets",
    "long_poll",
    "group_resume",
    "group_of_two",
    "groups",
    "group_offsets",
    "txn_commit_abort",
    "txn_fencing",
    "txn_offsets",
    "topic_lifecycle",
    "create_partitions",
    "topic_configs",
    "broker_config",
    "describe_cluster",
    "delete_records",
    "unknown_topic",
    "acls",
    "broker_config_set",
    "reassign",
];

const KCAT: &[&str] = &[
    "codec_none",
    "codec_gzip",
    "codec_snappy",
    "codec_lz4",
    "codec_zstd",
    "acks_0",
    "acks_1",
    "acks_all",
    "idempotent",
    "record_shapes",
    "log_append_time",
    "large_record",
    "record_too_large",
    "from_earliest",
    "from_timestamp",
    "from_offset",
    "end_offsets",
    "out_of_range",
    "group_resume",
    "group_of_two",
    "txn_commit_abort",
    "txn_open",
    "txn_fencing",
    "topic_lifecycle",
    "describe_cluster",
];

const STREAMS: &[&str] = &["streams_eos", "streams_restart", "streams_abort", "streams_of_two"];

const TOOLS: &[&str] = &[
    "tool_topics",
    "tool_configs",
    "tool_console",
    "tool_groups",
    "tool_acls",
    "tool_offsets",
    "tool_log_dirs",
    "tool_quorum",
    "tool_features",
    "tool_reassign",
    "tool_transactions",
    "tool_api_versions",
];

impl FromStr for Library {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = Self::ALL.iter().map(|library| library.name()).collect();
        let found = Self::ALL.into_iter().find(|library| library.name() == text);
        found.ok_or_else(|| format!("unknown client {text:?}; there are: {}", names.join(", ")))
    }
}

//! Real client libraries behind one line protocol.
//!
//! Each driver is a small program in its library's language: told by one JSON argument, it produces or consumes
//! with the library's own defaults (plus acks=all and earliest) and prints one JSON line per event, stamped with
//! the wall clock. It knows nothing about clusters or proxies: what its library does at a failure is what an
//! application would see.

mod driver;
mod install;
pub(crate) mod java;

pub use driver::{Driver, DriverSpec, Event, Mode, TxnEnd};
pub use install::{Program, install};
pub(crate) use install::{go, kafkajs};

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A client library.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum ClientKind {
    /// Apache Kafka's own Java client, of the version of the brokers.
    Java,
    /// The same, of the last version before 4.0.
    Java39,
    /// The same, of 2.8.
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
}

impl ClientKind {
    /// The five libraries of the drills, in the order of the tables.
    pub const ALL: [Self; 5] = [Self::Java, Self::Librdkafka, Self::Franz, Self::KafkaPython, Self::Aiokafka];
    /// Every driver there is.
    pub const EVERY: [Self; 9] = [
        Self::Java,
        Self::Java39,
        Self::Java28,
        Self::Librdkafka,
        Self::Franz,
        Self::Sarama,
        Self::KafkaPython,
        Self::Aiokafka,
        Self::Kafkajs,
    ];

    /// The name used in tables, options and client ids.
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
        }
    }
}

impl FromStr for ClientKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = Self::EVERY.into_iter().map(Self::name).collect();
        let found = Self::EVERY.into_iter().find(|k| k.name() == text);
        found.ok_or_else(|| format!("unknown client {text:?}; there are: {}", names.join(", ")))
    }
}

//! Five real client libraries behind one line protocol.
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
    /// librdkafka, through confluent-kafka for Python.
    Librdkafka,
    /// franz-go.
    Franz,
    /// kafka-python.
    KafkaPython,
    /// aiokafka.
    Aiokafka,
}

impl ClientKind {
    /// The five libraries, in the order of the tables.
    pub const ALL: [Self; 5] = [Self::Java, Self::Librdkafka, Self::Franz, Self::KafkaPython, Self::Aiokafka];

    /// The name used in tables, options and client ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Java39 => "java-3.9",
            Self::Librdkafka => "librdkafka",
            Self::Franz => "franz",
            Self::KafkaPython => "kafka-python",
            Self::Aiokafka => "aiokafka",
        }
    }
}

impl FromStr for ClientKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = || Self::ALL.into_iter().chain([Self::Java39]);
        let names: Vec<&str> = all().map(Self::name).collect();
        let found = all().find(|k| k.name() == text);
        found.ok_or_else(|| format!("unknown client {text:?}; there are: {}", names.join(", ")))
    }
}

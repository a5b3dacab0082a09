//! The client programs that have cases.

use std::str::FromStr;

use crate::clients::Program;

/// A client, in the version that is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Library {
    /// Apache Kafka's Java client, of the version of the broker.
    Java,
    /// librdkafka, through confluent-kafka for Python.
    Librdkafka,
    /// franz-go.
    Franz,
    /// kafka-python.
    KafkaPython,
}

impl Library {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::Java, Self::Librdkafka, Self::Franz, Self::KafkaPython];

    /// The name used in tables, options and names of topics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Librdkafka => "librdkafka",
            Self::Franz => "franz",
            Self::KafkaPython => "kafka-python",
        }
    }

    /// The name and version shown to people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Java => "Java 4.3.1",
            Self::Librdkafka => "librdkafka 2.16.1",
            Self::Franz => "franz-go 1.22.2",
            Self::KafkaPython => "kafka-python 3.0.12",
        }
    }

    /// Makes its program ready to run; later calls only find it. An error says why it cannot run here.
    pub fn install(self) -> Result<Program, String> {
        super::install::install(self)
    }
}

impl FromStr for Library {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = Self::ALL.iter().map(|library| library.name()).collect();
        let found = Self::ALL.into_iter().find(|library| library.name() == text);
        found.ok_or_else(|| format!("unknown client {text:?}; there are: {}", names.join(", ")))
    }
}

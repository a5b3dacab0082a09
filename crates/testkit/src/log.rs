//! What one cluster's log of a topic really holds, read directly from it, past any proxy.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::kafka::{Cluster, Kafka};

/// One record of a log.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct LogRecord {
    /// Partition number.
    #[serde(rename = "p")]
    pub partition: u32,
    /// Offset in this cluster.
    #[serde(rename = "o")]
    pub offset: u64,
    /// The record's value.
    #[serde(rename = "v")]
    pub value: String,
}

/// The whole log of a topic in one cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterLog {
    at: HashMap<(u32, u64), String>,
    copies: HashMap<String, usize>,
}

impl ClusterLog {
    /// Reads every partition from its beginning to its end offset of now.
    pub fn read(kafka: &Kafka, cluster: &Cluster, topic: &str) -> Result<Self, String> {
        Ok(kafka.admin()?.read_topic(&cluster.bootstrap(), topic)?.into_iter().collect())
    }

    /// Whether this value stands at this place.
    pub fn holds(&self, partition: u32, offset: u64, value: &str) -> bool {
        self.at.get(&(partition, offset)).is_some_and(|v| v == value)
    }

    /// How often this value is in the log.
    pub fn copies(&self, value: &str) -> usize {
        self.copies.get(value).copied().unwrap_or(0)
    }

    /// All different values.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.copies.keys().map(String::as_str)
    }

    /// All records, in no particular order: partition, offset, value.
    pub fn records(&self) -> impl Iterator<Item = (u32, u64, &str)> {
        self.at.iter().map(|((p, o), v)| (*p, *o, v.as_str()))
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }
}

impl FromIterator<LogRecord> for ClusterLog {
    fn from_iter<I: IntoIterator<Item = LogRecord>>(records: I) -> Self {
        let mut log = Self::default();
        for record in records {
            *log.copies.entry(record.value.clone()).or_default() += 1;
            log.at.insert((record.partition, record.offset), record.value);
        }
        log
    }
}

//! Topics, offsets and logs, as an administrator or a test asks for them.

use std::{collections::BTreeMap, sync::Arc};

use pointsman_wire::{Struct, Value};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    ClientConfig, ClientError,
    batch::{self, StoredRecord},
    cluster::{Cluster, Lane},
    codes,
    connection::{Connection, api_name},
    consumer::{Reset, offsets},
    metadata::{Leader, Metadata},
};

const FETCH: i16 = 1;
const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;
const DELETE_TOPICS: i16 = 20;
/// From this version on a Fetch names topics by their ids.
const FETCH_TOPIC_IDS: i16 = 13;
/// From this version on DeleteTopics takes structures.
const DELETE_STRUCTS: i16 = 6;
/// Bytes of one answer when a log is read.
const READ_BYTES: i32 = 8 * 1024 * 1024;

/// A topic as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its id; nil when the cluster does not say.
    pub id: Uuid,
    /// Its partitions, in order.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub index: i32,
    /// Its leader; node −1 for none.
    pub leader: Leader,
    /// Nodes that should have it.
    pub replicas: Vec<i32>,
    /// Nodes that have all of it.
    pub in_sync: Vec<i32>,
}

/// How far a group is in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The committed offset; `None` when there is none.
    pub committed: Option<i64>,
    /// The offset behind the last record.
    pub end: i64,
}

impl Lag {
    /// Records that the group has not processed; all of them when it has committed nothing.
    #[must_use]
    pub fn records(&self) -> i64 {
        (self.end - self.committed.unwrap_or(0)).max(0)
    }
}

/// An admin client. It has no task of its own; its connections end when it is dropped.
#[derive(Debug)]
pub struct Admin {
    cluster: Cluster,
}

impl Admin {
    /// A client of this cluster. It connects when it is asked something.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        Self { cluster: Cluster::new(config) }
    }

    /// Makes a topic and waits until all its partitions have leaders, for as long as a request may take.
    ///
    /// # Errors
    /// The cluster refused, with its words; or nobody answered.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replication: i16,
        configs: &[(&str, &str)],
    ) -> Result<(), ClientError> {
        let config = |(name, value): &(&str, &str)| Struct::new().with("Name", *name).with("Value", *value);
        let topic = Struct::new()
            .with("Name", name)
            .with("NumPartitions", partitions)
            .with("ReplicationFactor", replication)
            .with("Configs", configs.iter().map(config).collect::<Vec<_>>());
        let body = Struct::new().with("Topics", vec![topic]).with("timeoutMs", self.timeout_ms());
        let answer = self.ask(CREATE_TOPICS, |_| body.clone()).await?;
        check_each("CreateTopics", answer.structs("Topics"))?;
        self.cluster.know(name, self.cluster.config().request_timeout).await
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// The cluster refused, with its words; or nobody answered.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let body = |version| {
            let body = Struct::new().with("TimeoutMs", self.timeout_ms());
            if version >= DELETE_STRUCTS {
                body.with("Topics", vec![Struct::new().with("Name", name)])
            } else {
                body.with("TopicNames", vec![Value::from(name)])
            }
        };
        let answer = self.ask(DELETE_TOPICS, body).await?;
        check_each("DeleteTopics", answer.structs("Responses"))
    }

    /// The addresses of the brokers by node id, as one of them says.
    ///
    /// # Errors
    /// Nobody answered.
    pub async fn brokers(&self) -> Result<BTreeMap<i32, String>, ClientError> {
        let mut metadata = Metadata::default();
        metadata.update(&self.ask(METADATA, |_| metadata_of(&[])).await?);
        Ok(metadata.brokers().clone())
    }

    /// A topic with its leaders and replicas, as one of the brokers says.
    ///
    /// # Errors
    /// The cluster does not know the topic, or nobody answered.
    pub async fn describe(&self, topic: &str) -> Result<TopicDescription, ClientError> {
        let answer = self.ask(METADATA, |_| metadata_of(&[topic])).await?;
        let unknown = || ClientError::code("Metadata", codes::UNKNOWN_TOPIC_OR_PARTITION);
        let told = answer.structs("Topics").next().ok_or_else(unknown)?;
        ClientError::check("Metadata", told.i16("ErrorCode"))?;
        let mut partitions: Vec<_> = told.structs("Partitions").map(description).collect();
        partitions.sort_by_key(|partition| partition.index);
        Ok(TopicDescription { id: Uuid::from_bytes(told.uuid("TopicId")), partitions })
    }

    /// The offset behind the last record, by partition.
    ///
    /// # Errors
    /// A partition has no leader, or a leader did not answer.
    pub async fn end_offsets(&self, topic: &str) -> Result<BTreeMap<i32, i64>, ClientError> {
        let limit = self.cluster.config().request_timeout;
        self.cluster.know(topic, limit).await?;
        let count = self.cluster.metadata(|m| m.topic(topic).map_or(0, |t| t.leaders.len()));
        let partitions: Vec<i32> = (0..i32::try_from(count).unwrap_or(0)).collect();
        let mut ends = BTreeMap::new();
        for (node, partitions) in self.cluster.by_leader(topic, &partitions).0 {
            let connection = self.cluster.node(Lane::Control, node).await?;
            let found = offsets::list(&self.cluster, &connection, topic, &partitions, Reset::Latest).await?;
            for (partition, end) in found {
                ends.insert(partition, end?.offset);
            }
        }
        Ok(ends)
    }

    /// How far a group is, by partition.
    ///
    /// # Errors
    /// As [`end_offsets`](Self::end_offsets), or the group's coordinator did not answer.
    pub async fn lag(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, Lag>, ClientError> {
        let ends = self.end_offsets(topic).await?;
        let address = self.cluster.find_coordinator(group).await?;
        let connection = self.cluster.connection(Lane::Control, &address).await?;
        let partitions: Vec<i32> = ends.keys().copied().collect();
        let committed = offsets::committed(&connection, group, topic, &partitions).await?;
        let lag = |(partition, end): (i32, i64)| {
            (partition, Lag { committed: committed.get(&partition).map(|c| c.offset), end })
        };
        Ok(ends.into_iter().map(lag).collect())
    }

    /// All records of a partition, from the start of its log to its high watermark of now. Only the addresses of the
    /// bootstrap list are asked, never those that a cluster advertises: what is read is what these brokers hold.
    ///
    /// # Errors
    /// None of the addresses leads the partition and can be read, for as long as a request may take.
    pub async fn read_partition(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<Vec<StoredRecord>, ClientError> {
        let config = self.cluster.config();
        let (deadline, mut backoff) = (Instant::now() + config.request_timeout, self.cluster.backoff());
        loop {
            let mut last = ClientError::Nowhere { what: "broker: the bootstrap list is empty".to_owned() };
            for address in &config.bootstrap {
                match self.read_from(address, topic, partition).await {
                    Ok(records) => return Ok(records),
                    Err(error) => last = error,
                }
            }
            let wait = backoff.next();
            if !last.is_retriable() || Instant::now() + wait > deadline {
                return Err(last);
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn read_from(
        &self,
        address: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Vec<StoredRecord>, ClientError> {
        let connection = self.cluster.connection(Lane::Control, address).await?;
        let version = connection.version(METADATA, i16::MAX)?;
        let metadata = connection.call(METADATA, version, &metadata_of(&[topic])).await?;
        let id = metadata.structs("Topics").next().map_or([0; 16], |told| told.uuid("TopicId"));
        let asked = [partition];
        let first = offsets::list(&self.cluster, &connection, topic, &asked, Reset::Earliest).await?;
        let nowhere = || ClientError::Nowhere { what: format!("partition {partition} of {topic}") };
        let first = first.into_values().next().ok_or_else(nowhere)??;
        Reading { connection, topic, id, partition, records: Vec::new(), next: first.offset }
            .read_to_end()
            .await
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.cluster.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
    }

    async fn ask(&self, key: i16, body: impl Fn(i16) -> Struct) -> Result<Struct, ClientError> {
        let body = &body;
        self.cluster
            .ask_any(|connection| async move {
                let version = connection.version(key, i16::MAX)?;
                let answer = connection.call(key, version, &body(version)).await?;
                ClientError::check(api_name(key), answer.i16("ErrorCode"))?;
                Ok(answer)
            })
            .await
    }
}

/// A log that is being read.
struct Reading<'a> {
    connection: Arc<Connection>,
    topic: &'a str,
    id: [u8; 16],
    partition: i32,
    records: Vec<StoredRecord>,
    next: i64,
}

impl Reading<'_> {
    /// Reads up to the high watermark that the first answer names.
    async fn read_to_end(mut self) -> Result<Vec<StoredRecord>, ClientError> {
        let mut end = None;
        while end.is_none_or(|end| self.next < end) {
            let high_watermark = self.step().await?;
            end = end.or(Some(high_watermark));
        }
        Ok(self.records)
    }

    /// Reads what one answer holds; returns the high watermark.
    async fn step(&mut self) -> Result<i64, ClientError> {
        let most = if self.id == [0; 16] { FETCH_TOPIC_IDS - 1 } else { i16::MAX };
        let version = self.connection.version(FETCH, most)?;
        let partition = Struct::new()
            .with("Partition", self.partition)
            .with("FetchOffset", self.next)
            .with("PartitionMaxBytes", READ_BYTES);
        let topic = Struct::new()
            .with("Topic", self.topic)
            .with("TopicId", self.id)
            .with("Partitions", vec![partition]);
        let body = Struct::new().with("MaxBytes", READ_BYTES).with("Topics", vec![topic]);
        let answer = self.connection.call(FETCH, version, &body).await?;
        ClientError::check("Fetch", answer.i16("ErrorCode"))?;
        let missing = || ClientError::code("Fetch", codes::UNKNOWN_TOPIC_OR_PARTITION);
        let told = answer.structs("Responses").flat_map(|t| t.structs("Partitions")).next();
        let told = told.ok_or_else(missing)?;
        ClientError::check("Fetch", told.i16("ErrorCode"))?;
        let none = bytes::Bytes::new();
        let decoded = batch::decode(told.bytes("Records").unwrap_or(&none), self.next);
        let decoded = decoded.map_err(|e| ClientError::Protocol {
            address: self.connection.address().to_owned(),
            what: e.to_string(),
        })?;
        self.records.extend(decoded.records);
        let high_watermark = told.int("HighWatermark");
        if decoded.next_offset.is_none() && self.next < high_watermark {
            let what = format!("no records from {} on, below the high watermark {high_watermark}", self.next);
            return Err(ClientError::Protocol { address: self.connection.address().to_owned(), what });
        }
        self.next = decoded.next_offset.unwrap_or(self.next);
        Ok(high_watermark)
    }
}

fn metadata_of(topics: &[&str]) -> Struct {
    let topics: Vec<Struct> = topics.iter().map(|name| Struct::new().with("Name", *name)).collect();
    Struct::new().with("Topics", topics).with("AllowAutoTopicCreation", false)
}

fn description(told: &Struct) -> PartitionDescription {
    let nodes =
        |name| told.array(name).iter().filter_map(Value::as_int).filter_map(|n| i32::try_from(n).ok());
    let epoch = if told.has("LeaderEpoch") { told.i32("LeaderEpoch") } else { -1 };
    PartitionDescription {
        index: told.i32("PartitionIndex"),
        leader: Leader { node: told.i32("LeaderId"), epoch },
        replicas: nodes("ReplicaNodes").collect(),
        in_sync: nodes("IsrNodes").collect(),
    }
}

fn check_each<'a>(api: &'static str, mut told: impl Iterator<Item = &'a Struct>) -> Result<(), ClientError> {
    let failed = told.find(|t| t.i16("ErrorCode") != codes::NONE);
    failed.map_or(Ok(()), |t| {
        Err(ClientError::Code { api, code: t.i16("ErrorCode"), message: t.str("ErrorMessage").to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_what_is_not_processed() {
        assert_eq!(Lag { committed: Some(4), end: 10 }.records(), 6);
        assert_eq!(Lag { committed: None, end: 10 }.records(), 10);
        assert_eq!(Lag { committed: Some(12), end: 10 }.records(), 0, "the log was truncated");
    }

    #[test]
    fn a_refused_topic_comes_with_the_brokers_words() {
        let told =
            Struct::new().with("ErrorCode", codes::TOPIC_ALREADY_EXISTS).with("ErrorMessage", "it is there");
        let error = check_each("CreateTopics", [&Struct::new(), &told].into_iter()).unwrap_err();
        assert_eq!(error.to_string(), "CreateTopics: TOPIC_ALREADY_EXISTS (36): it is there");
    }
}

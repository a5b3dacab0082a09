//! Topics for cases: made, found, written and read.

use bytes::Bytes;
use pointsman_wire::{Struct, Value};

use super::conn::Conn;
use super::records::Batch;
use super::{Context, eventually, only, same};

/// A topic of a case, with connections to whoever leads.
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: [u8; 16],
}

/// Where a partition is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) leader: i32,
    pub(crate) epoch: i32,
    pub(crate) replicas: Vec<i64>,
    pub(crate) isr: Vec<i64>,
}

impl Context<'_> {
    /// Makes a topic and waits until its leaders serve it, and every broker knows it: coordinators ask nobody else.
    pub(crate) fn topic(
        &self,
        name: &str,
        partitions: i32,
        replicas: i16,
        configs: &[(&str, &str)],
    ) -> Result<Topic, String> {
        let name = format!("raw-{name}");
        // The timestamps of the cases' records are old; with what follows they stay, and stay together in a segment.
        let configs: Vec<Struct> = [("retention.ms", "-1"), ("segment.ms", "9223372036854775807")]
            .iter()
            .chain(configs)
            .map(|(name, value)| Struct::new().with("Name", *name).with("Value", *value))
            .collect();
        let topic = Struct::new()
            .with("Name", name.as_str())
            .with("NumPartitions", partitions)
            .with("ReplicationFactor", replicas)
            .with("Configs", configs);
        let request = Struct::new().with("Topics", vec![topic]).with("timeoutMs", 30_000);
        // While the brokers look for a new controller they close the connection instead of answering.
        let answer = eventually(|| self.broker(0)?.call(19, self.newest(19), &request))?;
        let made = only("created topics", answer.structs("Topics"))?;
        same(&format!("creation of {name}: {}", made.str("ErrorMessage")), made.i16("ErrorCode"), 0)?;
        let topic = Topic { name, id: made.uuid("TopicId") };
        for broker in 0..self.servers().len() {
            eventually(|| place(&self.metadata(broker, &topic.name)?, 0).map(drop))?;
        }
        for partition in 0..partitions {
            // A leader that does not know it yet answers 6 or 3.
            eventually(|| {
                let answer = self.leader(&topic, partition)?.list_offset(self, &topic, partition, -1, -1)?;
                same("a new topic's offsets", answer.i16("ErrorCode"), 0)
            })?;
        }
        Ok(topic)
    }

    /// The metadata of a topic as the broker sees it.
    pub(crate) fn metadata(&self, broker: usize, topic: &str) -> Result<Struct, String> {
        let wanted = vec![Struct::new().with("Name", topic)];
        let request = Struct::new().with("Topics", wanted).with("AllowAutoTopicCreation", false);
        self.broker(broker)?.call(3, self.newest(3), &request)
    }

    /// Where a partition is, by the first broker that answers.
    pub(crate) fn place(&self, topic: &Topic, partition: i32) -> Result<Place, String> {
        let all = 0..self.servers().len();
        let answer = all.map(|broker| self.metadata(broker, &topic.name)).find(Result::is_ok);
        place(&answer.ok_or("no broker answers")??, partition)
    }

    /// A connection to the leader of a partition.
    pub(crate) fn leader(&self, topic: &Topic, partition: i32) -> Result<Conn, String> {
        self.broker(self.index(self.place(topic, partition)?.leader)?)
    }

    /// The index of the broker with this node id.
    pub(crate) fn index(&self, node: i32) -> Result<usize, String> {
        for broker in 0..self.servers().len() {
            let Ok(answer) = self.metadata(broker, "none") else { continue };
            let Some(found) = answer.structs("Brokers").find(|b| b.i32("NodeId") == node) else { continue };
            let port = u16::try_from(found.int("Port")).map_err(|e| format!("port of {node}: {e}"))?;
            let at = self.servers().iter().position(|server| server.port() == port);
            return at.ok_or_else(|| format!("node {node} is at an unknown port {port}"));
        }
        Err(format!("no broker knows node {node}"))
    }
}

/// The place of a partition in an answer.
pub(crate) fn place(answer: &Struct, partition: i32) -> Result<Place, String> {
    let topic = only("topics", answer.structs("Topics"))?;
    same("the topic's error", topic.i16("ErrorCode"), 0)?;
    let mut partitions = topic.structs("Partitions");
    let found = partitions.find(|p| p.i32("PartitionIndex") == partition).ok_or("no such partition")?;
    let ids = |name| found.array(name).iter().filter_map(Value::as_int).collect();
    Ok(Place {
        leader: found.i32("LeaderId"),
        epoch: found.i32("LeaderEpoch"),
        replicas: ids("ReplicaNodes"),
        isr: ids("IsrNodes"),
    })
}

/// A produce request of one batch for one partition.
pub(crate) fn produce_request(topic: &Topic, partition: i32, acks: i16, records: Bytes) -> Struct {
    let partition = Struct::new().with("Index", partition).with("Records", records);
    let topic = Struct::new()
        .with("Name", topic.name.as_str())
        .with("TopicId", topic.id)
        .with("PartitionData", vec![partition]);
    Struct::new().with("Acks", acks).with("TimeoutMs", 10_000).with("TopicData", vec![topic])
}

/// One partition of a fetch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) max_bytes: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) fetched_epoch: i32,
}

impl From {
    pub(crate) fn offset(partition: i32, offset: i64) -> Self {
        Self { partition, offset, max_bytes: 1 << 20, leader_epoch: -1, fetched_epoch: -1 }
    }
}

/// A fetch without a session that comes back at once.
pub(crate) fn fetch_request(topic: &Topic, from: &[From]) -> Struct {
    let partitions: Vec<Struct> = from
        .iter()
        .map(|from| {
            Struct::new()
                .with("Partition", from.partition)
                .with("CurrentLeaderEpoch", from.leader_epoch)
                .with("FetchOffset", from.offset)
                .with("LastFetchedEpoch", from.fetched_epoch)
                .with("PartitionMaxBytes", from.max_bytes)
        })
        .collect();
    let wanted = Struct::new()
        .with("Topic", topic.name.as_str())
        .with("TopicId", topic.id)
        .with("Partitions", partitions);
    let topics = if from.is_empty() { Vec::new() } else { vec![wanted] };
    Struct::new().with("MaxWaitMs", 0).with("MinBytes", 0).with("MaxBytes", 50 << 20).with("Topics", topics)
}

/// The partitions of a produce or fetch answer, of all topics.
pub(crate) fn partitions<'a>(
    answer: &'a Struct,
    field: &'static str,
) -> impl Iterator<Item = &'a Struct> + use<'a> {
    answer.structs("Responses").flat_map(move |topic| topic.structs(field))
}

impl Conn {
    /// Produces a batch in the newest version and gives the partition's answer.
    pub(crate) fn produce(
        &mut self,
        context: &Context<'_>,
        topic: &Topic,
        partition: i32,
        batch: &Batch,
    ) -> Result<Struct, String> {
        let request = produce_request(topic, partition, -1, batch.bytes());
        let answer = self.call(0, context.newest(0), &request)?;
        only("produced partitions", partitions(&answer, "PartitionResponses")).cloned()
    }

    /// Produces a batch, which must work, and gives its first offset.
    pub(crate) fn append(
        &mut self,
        context: &Context<'_>,
        topic: &Topic,
        partition: i32,
        batch: &Batch,
    ) -> Result<i64, String> {
        let answer = self.produce(context, topic, partition, batch)?;
        same(&format!("produce to {}", topic.name), answer.i16("ErrorCode"), 0)?;
        Ok(answer.int("BaseOffset"))
    }

    /// Fetches from one partition in the newest version, at once, and gives the partition's answer.
    pub(crate) fn fetch(
        &mut self,
        context: &Context<'_>,
        topic: &Topic,
        from: From,
    ) -> Result<Struct, String> {
        let answer = self.call(1, context.newest(1), &fetch_request(topic, &[from]))?;
        same("the fetch's error", answer.i16("ErrorCode"), 0)?;
        only("fetched partitions", partitions(&answer, "Partitions")).cloned()
    }

    /// Asks for one offset in the newest version.
    pub(crate) fn list_offset(
        &mut self,
        context: &Context<'_>,
        topic: &Topic,
        partition: i32,
        timestamp: i64,
        leader_epoch: i32,
    ) -> Result<Struct, String> {
        let request = list_offsets_request(topic, partition, timestamp, leader_epoch);
        let answer = self.call(2, context.newest(2), &request)?;
        let topics = answer.structs("Topics").flat_map(|topic| topic.structs("Partitions"));
        only("listed offsets", topics).cloned()
    }
}

/// A request for one offset.
pub(crate) fn list_offsets_request(topic: &Topic, partition: i32, timestamp: i64, epoch: i32) -> Struct {
    let partition = Struct::new()
        .with("PartitionIndex", partition)
        .with("CurrentLeaderEpoch", epoch)
        .with("Timestamp", timestamp);
    let wanted = Struct::new().with("Name", topic.name.as_str()).with("Partitions", vec![partition]);
    Struct::new().with("ReplicaId", -1).with("Topics", vec![wanted])
}

/// The records of a fetched partition.
pub(crate) fn records(partition: &Struct) -> Bytes {
    partition.bytes("Records").cloned().unwrap_or_default()
}

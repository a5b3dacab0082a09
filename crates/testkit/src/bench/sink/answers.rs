//! What the sink answers, as bodies of the protocol's messages.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use pointsman_sandbox::client::batch::Stamp;
use pointsman_wire::{Struct, Value};

use super::super::frames::{self, API_VERSIONS, FETCH, INIT_PRODUCER_ID, METADATA, PRODUCE};
use super::{FETCH_TOPIC, PARTITIONS, PRODUCE_TOPIC};

const DESCRIBE_QUORUM: (i16, i16) = (55, 2);
const NODE: i32 = 1;
/// What one partition holds, all of which one Fetch may ask for.
const LOG_BYTES: usize = 4 << 20;
const BATCH_BYTES: usize = 16 << 10;
const RECORD_BYTES: usize = 1024;
/// Kafka moves its metadata twice a second while there is a quorum.
const METADATA_MOVES_MS: u128 = 500;
/// `lastOffsetDelta` of a batch.
const LAST_DELTA_AT: usize = 23;
const NOT_KNOWN: i16 = 100;

/// Everything that the answers are made of.
pub(super) struct Broker {
    address: SocketAddr,
    /// Its id.
    cluster: &'static str,
    begun: Instant,
    /// Producer ids that were given.
    producers: AtomicI64,
    /// Next offset of each partition of the topic that is written.
    ends: Vec<AtomicI64>,
    /// Batches one after the other from offset 0 on, and where each of them ends.
    log: Bytes,
    log_ends: Vec<usize>,
    log_offset: i64,
}

impl Broker {
    pub(super) fn new(address: SocketAddr, cluster: &'static str) -> Self {
        let (log, log_ends, log_offset) = log();
        let ends = (0..PARTITIONS).map(|_| AtomicI64::new(0)).collect();
        let producers = AtomicI64::new(0);
        Self { address, cluster, begun: Instant::now(), producers, ends, log, log_ends, log_offset }
    }

    /// The body of the answer, or `None` for what a sink does not serve.
    pub(super) fn answer(&self, key: i16, version: i16, request: &Struct) -> Option<Struct> {
        let served = [PRODUCE, FETCH, METADATA, API_VERSIONS, INIT_PRODUCER_ID, DESCRIBE_QUORUM];
        served.iter().find(|(known, max)| *known == key && version <= *max)?;
        match key {
            0 => Some(self.produce(request)),
            1 => Some(self.fetch(request)),
            3 => Some(self.metadata(request)),
            18 => Some(self.api_versions(&served)),
            22 => Some(self.init_producer_id()),
            55 => Some(quorum()),
            _ => None,
        }
    }

    fn api_versions(&self, served: &[(i16, i16)]) -> Struct {
        let api = |(key, max): &(i16, i16)| {
            let min: i16 = match key {
                0 => 3,
                1 => 4,
                _ => 0,
            };
            Struct::new().with("ApiKey", *key).with("MinVersion", min).with("MaxVersion", *max)
        };
        let moves = i64::try_from(self.begun.elapsed().as_millis() / METADATA_MOVES_MS).unwrap_or(0);
        Struct::new()
            .with("ApiKeys", served.iter().map(api).collect::<Vec<_>>())
            .with("FinalizedFeaturesEpoch", moves + 1)
    }

    fn init_producer_id(&self) -> Struct {
        let id = self.producers.fetch_add(1, Ordering::Relaxed);
        Struct::new().with("ErrorCode", 0i16).with("ProducerId", id).with("ProducerEpoch", 0i16)
    }

    fn metadata(&self, request: &Struct) -> Struct {
        let broker = Struct::new()
            .with("NodeId", NODE)
            .with("Host", self.address.ip().to_string())
            .with("Port", i32::from(self.address.port()))
            .with("Rack", Value::Null);
        let all = request.get("Topics").is_null();
        let wanted = |name: &str| all || request.structs("Topics").any(|t| t.str("Name") == name);
        let topics = [PRODUCE_TOPIC, FETCH_TOPIC];
        let topics = topics.iter().filter(|(name, _)| wanted(name)).map(|(name, id)| topic(name, *id));
        Struct::new()
            .with("Brokers", vec![broker])
            .with("ClusterId", self.cluster)
            .with("ControllerId", NODE)
            .with("Topics", topics.collect::<Vec<_>>())
    }

    fn produce(&self, request: &Struct) -> Struct {
        let partition = |p: &Struct| {
            let index = p.i32("Index");
            let records = p.bytes("Records").map_or(0, records);
            let end = usize::try_from(index).ok().and_then(|index| self.ends.get(index));
            let base = end.map(|end| end.fetch_add(records, Ordering::Relaxed));
            Struct::new()
                .with("Index", index)
                .with("ErrorCode", if base.is_some() { 0 } else { NOT_KNOWN })
                .with("BaseOffset", base.unwrap_or(-1))
                .with("LogAppendTimeMs", -1i64)
                .with("LogStartOffset", 0i64)
        };
        let topic = |t: &Struct| {
            Struct::new()
                .with("Name", t.get("Name").clone())
                .with("TopicId", t.get("TopicId").clone())
                .with("PartitionResponses", t.structs("PartitionData").map(partition).collect::<Vec<_>>())
        };
        Struct::new().with("Responses", request.structs("TopicData").map(topic).collect::<Vec<_>>())
    }

    fn fetch(&self, request: &Struct) -> Struct {
        let partition = |p: &Struct| {
            let max = usize::try_from(p.i32("PartitionMaxBytes")).unwrap_or(0);
            Struct::new()
                .with("PartitionIndex", p.i32("Partition"))
                .with("ErrorCode", 0i16)
                .with("HighWatermark", self.log_offset)
                .with("LastStableOffset", self.log_offset)
                .with("LogStartOffset", 0i64)
                .with("AbortedTransactions", Value::Null)
                .with("PreferredReadReplica", -1)
                .with("Records", self.read(p.int("FetchOffset"), max))
        };
        let topic = |t: &Struct| {
            Struct::new()
                .with("Topic", t.get("Topic").clone())
                .with("TopicId", t.get("TopicId").clone())
                .with("Partitions", t.structs("Partitions").map(partition).collect::<Vec<_>>())
        };
        Struct::new()
            .with("ErrorCode", 0i16)
            .with("SessionId", 0)
            .with("Responses", request.structs("Topics").map(topic).collect::<Vec<_>>())
    }

    /// Whole batches from the start of the log, at least one; behind the start there is nothing.
    fn read(&self, offset: i64, max: usize) -> Bytes {
        if offset > 0 {
            return Bytes::new();
        }
        let fits = self.log_ends.iter().rev().find(|end| **end <= max).or(self.log_ends.first());
        self.log.slice(..fits.copied().unwrap_or(0))
    }
}

fn topic(name: &str, id: [u8; 16]) -> Struct {
    let partition = |index: i32| {
        Struct::new()
            .with("ErrorCode", 0i16)
            .with("PartitionIndex", index)
            .with("LeaderId", NODE)
            .with("LeaderEpoch", 0)
            .with("ReplicaNodes", vec![Value::from(NODE)])
            .with("IsrNodes", vec![Value::from(NODE)])
    };
    Struct::new()
        .with("ErrorCode", 0i16)
        .with("Name", name)
        .with("TopicId", id)
        .with("Partitions", (0..PARTITIONS).map(partition).collect::<Vec<_>>())
}

fn quorum() -> Struct {
    let partition = Struct::new().with("PartitionIndex", 0).with("LeaderId", NODE).with("LeaderEpoch", 1);
    let topic = Struct::new().with("TopicName", "__cluster_metadata").with("Partitions", vec![partition]);
    Struct::new().with("ErrorCode", 0i16).with("Topics", vec![topic])
}

/// How many records a batch holds, by its header.
fn records(batch: &Bytes) -> i64 {
    let delta = batch.get(LAST_DELTA_AT..LAST_DELTA_AT + 4).and_then(|b| b.try_into().ok());
    i64::from(delta.map_or(0, i32::from_be_bytes)) + 1
}

/// A log of many copies of one batch, each with its own first offset, which the checksum does not cover.
fn log() -> (Bytes, Vec<usize>, i64) {
    let batch = frames::batch(BATCH_BYTES, RECORD_BYTES, Stamp::NONE);
    let (mut log, mut ends, mut offset) = (BytesMut::new(), Vec::new(), 0);
    while log.len() + batch.len() <= LOG_BYTES {
        log.extend_from_slice(&i64::to_be_bytes(offset));
        log.extend_from_slice(&batch[8..]);
        ends.push(log.len());
        offset += records(&batch);
    }
    (log.freeze(), ends, offset)
}

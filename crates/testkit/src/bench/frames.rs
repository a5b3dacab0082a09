//! The requests of the generator, encoded once and sent many times.

use bytes::Bytes;
use pointsman_sandbox::client::batch::{self, Record, Stamp};
use pointsman_wire::{Struct, Value, encode_request};

/// Api keys and the versions that are sent: those of the Java client of Kafka 4, which names topics by their id.
pub(super) const PRODUCE: (i16, i16) = (0, 13);
pub(super) const FETCH: (i16, i16) = (1, 17);
pub(super) const METADATA: (i16, i16) = (3, 12);
pub(super) const API_VERSIONS: (i16, i16) = (18, 4);
pub(super) const INIT_PRODUCER_ID: (i16, i16) = (22, 5);

/// Where the correlation id of a request stands, with the size in front.
pub(super) const CORRELATION_AT: usize = 8;
const CLIENT: &str = "bench";
/// What the client says it is, for ApiVersions.
const SOFTWARE: &str = "pointsman-bench";
const TIMEOUT_MS: i32 = 30_000;
const FETCH_WAIT_MS: i32 = 500;
/// `fetch.max.bytes` of the Java client.
const FETCH_MAX: i32 = 50 << 20;

/// A batch of records of `record` bytes each, which is at most `size` bytes long and holds at least one.
pub(super) fn batch(size: usize, record: usize, stamp: Stamp) -> Bytes {
    let one = |n: usize| {
        let value: Vec<u8> =
            (0..record).map(|i| b'a' + u8::try_from((i * 7 + n) % 26).unwrap_or(0)).collect();
        Record { value: Some(value.into()), ..Record::now(None, None) }
    };
    let fixed = batch::encode(&[one(0)], Stamp::NONE).len();
    // A record's own lengths and deltas take up to 16 bytes.
    let count = 1 + size.saturating_sub(fixed) / (record + 16);
    batch::encode(&(0..count).map(one).collect::<Vec<_>>(), stamp)
}

/// A Produce request with acks=all: the batch once for each of the partitions 0 to `partitions` − 1.
pub(super) fn produce(topic: [u8; 16], partitions: i32, batch: &Bytes) -> Result<Vec<u8>, String> {
    let partition = |index| Struct::new().with("Index", index).with("Records", batch.clone());
    let topic = Struct::new()
        .with("TopicId", topic)
        .with("PartitionData", (0..partitions).map(partition).collect::<Vec<_>>());
    let body = Struct::new().with("Acks", -1i16).with("TimeoutMs", TIMEOUT_MS).with("TopicData", vec![topic]);
    encode(PRODUCE, &body)
}

/// A Fetch request without a session for the start of the partitions 0 to `partitions` − 1.
pub(super) fn fetch(topic: [u8; 16], partitions: i32, max_bytes: i32) -> Result<Vec<u8>, String> {
    let partition = |index| {
        Struct::new()
            .with("Partition", index)
            .with("CurrentLeaderEpoch", -1)
            .with("FetchOffset", 0i64)
            .with("LastFetchedEpoch", -1)
            .with("PartitionMaxBytes", max_bytes)
    };
    let topic = Struct::new()
        .with("TopicId", topic)
        .with("Partitions", (0..partitions).map(partition).collect::<Vec<_>>());
    let body = Struct::new()
        .with("MaxWaitMs", FETCH_WAIT_MS)
        .with("MinBytes", 1)
        .with("MaxBytes", FETCH_MAX)
        .with("SessionEpoch", -1)
        .with("Topics", vec![topic]);
    encode(FETCH, &body)
}

/// ApiVersions, as a client asks first.
pub(super) fn api_versions() -> Result<Vec<u8>, String> {
    let body = Struct::new()
        .with("ClientSoftwareName", SOFTWARE)
        .with("ClientSoftwareVersion", env!("CARGO_PKG_VERSION"));
    encode(API_VERSIONS, &body)
}

/// The request for a producer id, of a producer without transactions.
pub(super) fn init_producer_id() -> Result<Vec<u8>, String> {
    let body =
        Struct::new().with("TransactionalId", Value::Null).with("ProducerId", -1).with("ProducerEpoch", -1);
    encode(INIT_PRODUCER_ID, &body)
}

/// Metadata of one topic.
pub(super) fn metadata(topic: &str) -> Result<Vec<u8>, String> {
    let topic = Struct::new().with("Name", topic).with("TopicId", Value::Uuid([0; 16]));
    let body = Struct::new().with("Topics", vec![topic]).with("AllowAutoTopicCreation", false);
    encode(METADATA, &body)
}

fn encode((key, version): (i16, i16), body: &Struct) -> Result<Vec<u8>, String> {
    encode_request(key, version, 0, Some(CLIENT), body)
        .map_err(|e| format!("api {key} version {version}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_wire::decode_request;

    #[test]
    fn a_batch_is_as_long_as_asked_and_valid() {
        for (size, record, at_least) in
            [(16 << 10, 1024, 14 << 10), (100, 100, 160), (960 << 10, 1024, 940 << 10)]
        {
            let batch = batch(size, record, Stamp::NONE);
            assert!(batch.len() >= at_least && batch.len() <= size.max(200), "{size}: {}", batch.len());
            let read = batch::decode(&batch, 0).unwrap();
            assert!(read.records.iter().all(|r| r.record.value.as_ref().is_some_and(|v| v.len() == record)));
        }
    }

    #[test]
    fn requests_decode_to_what_was_meant() {
        let batch = batch(100, 100, Stamp::NONE);
        let frame = Bytes::from(produce([7; 16], 3, &batch).unwrap());
        let (key, version, _, client, body) = decode_request(&frame.slice(4..)).unwrap();
        assert_eq!((key, version, client.as_deref()), (0, 13, Some("bench")));
        let topic = body.structs("TopicData").next().unwrap();
        assert_eq!(topic.uuid("TopicId"), [7; 16]);
        assert!(topic.structs("PartitionData").all(|p| p.bytes("Records") == Some(&batch)));
        assert_eq!(topic.array("PartitionData").len(), 3);

        let frame = Bytes::from(fetch([7; 16], 2, 1 << 20).unwrap());
        let (_, _, _, _, body) = decode_request(&frame.slice(4..)).unwrap();
        let partitions = body.structs("Topics").flat_map(|t| t.structs("Partitions"));
        assert_eq!(partitions.map(|p| p.i32("PartitionMaxBytes")).collect::<Vec<_>>(), [1 << 20; 2]);
    }
}

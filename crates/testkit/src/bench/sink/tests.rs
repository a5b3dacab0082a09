//! What the sink says can be read with the tables, and Kafka's clients would believe it.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use pointsman_sandbox::client::batch::{self, Stamp};
use pointsman_wire::{Struct, decode_response, encode_request};

use super::super::frames;
use super::{FETCH_TOPIC, PARTITIONS, PRODUCE_TOPIC, Sink};

/// Sends a frame and decodes the answer to it.
fn ask(stream: &mut TcpStream, (key, version): (i16, i16), frame: &[u8]) -> Struct {
    stream.write_all(frame).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    decode_response(key, version, &Bytes::from(answer)).unwrap().1
}

fn connect() -> TcpStream {
    TcpStream::connect(Sink::start("sink").unwrap().address).unwrap()
}

#[test]
fn it_names_one_broker_and_two_topics_in_every_version() {
    let mut stream = connect();
    for version in 0..=12 {
        let frame = encode_request(3, version, 1, None, &Struct::new().with("Topics", None::<Struct>));
        let Ok(frame) = frame else { continue };
        let answer = ask(&mut stream, (3, version), &frame);
        assert_eq!(answer.array("Brokers").len(), 1);
        if version > 0 {
            let topics: Vec<&str> = answer.structs("Topics").map(|t| t.str("Name")).collect();
            assert_eq!(topics, [PRODUCE_TOPIC.0, FETCH_TOPIC.0], "version {version}");
        }
    }
    let answer = ask(&mut stream, frames::API_VERSIONS, &frames::api_versions().unwrap());
    assert_eq!((answer.i16("ErrorCode"), answer.array("ApiKeys").len()), (0, 6));
    assert!(answer.int("FinalizedFeaturesEpoch") > 0);
}

#[test]
fn produce_is_acknowledged_with_growing_offsets() {
    let mut stream = connect();
    let records = frames::batch(16 << 10, 1024, Stamp::NONE);
    let count = i64::try_from(batch::decode(&records, 0).unwrap().records.len()).unwrap();
    let frame = frames::produce(PRODUCE_TOPIC.1, PARTITIONS, &records).unwrap();
    for base in [0, count, 2 * count] {
        let answer = ask(&mut stream, frames::PRODUCE, &frame);
        let topic = answer.structs("Responses").next().unwrap();
        assert_eq!(topic.uuid("TopicId"), PRODUCE_TOPIC.1);
        assert_eq!(topic.array("PartitionResponses").len(), usize::try_from(PARTITIONS).unwrap());
        for partition in topic.structs("PartitionResponses") {
            assert_eq!((partition.i16("ErrorCode"), partition.int("BaseOffset")), (0, base));
        }
    }
}

#[test]
fn fetch_gives_valid_batches_up_to_the_limit_also_the_second_time() {
    let mut stream = connect();
    let frame = frames::fetch(FETCH_TOPIC.1, 2, 1 << 20).unwrap();
    for _ in 0..2 {
        let answer = ask(&mut stream, frames::FETCH, &frame);
        let topic = answer.structs("Responses").next().unwrap();
        assert_eq!(topic.array("Partitions").len(), 2);
        for partition in topic.structs("Partitions") {
            let records = partition.bytes("Records").unwrap();
            assert!(records.len() <= 1 << 20 && records.len() > 1_000_000, "{}", records.len());
            let read = batch::decode(records, 0).unwrap();
            assert!((0..).zip(&read.records).all(|(offset, record)| record.offset == offset));
        }
    }
}

#[test]
fn what_it_does_not_serve_ends_the_connection() {
    let mut stream = connect();
    let frame = encode_request(16, 3, 1, None, &Struct::new()).unwrap();
    stream.write_all(&frame).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
}

//! 64 MiB of records in one Produce request.

use crate::harness::{MIB, Peer, World};
use pointsman_wire::{
    sample::record_batch,
    value::{self, Struct},
};

const LARGE: usize = 64 * MIB;
/// Queue to the broker, buffers of sockets' ends, and the harness.
const FLAT: usize = 4 * MIB;

/// A request in version 9, as heads of partitions: each is followed by `records` bytes, the last by three empty tag sections.
pub(crate) fn heads(partitions: &[i32], records: usize, acks: i16) -> Vec<Vec<u8>> {
    let partition = |i: &i32| Struct::new().with("Index", *i).with("Records", record_batch(0, -1));
    let topic = Struct::new()
        .with("Name", "t")
        .with("PartitionData", partitions.iter().map(partition).collect::<Vec<_>>());
    let body = Struct::new()
        .with("TransactionalId", pointsman_wire::Value::Null)
        .with("Acks", acks)
        .with("TopicData", vec![topic]);
    let small = value::encode_request(0, 9, 1, Some("client"), &body).expect("encodes");
    // The records, with their length of one byte, are replaced by as many zeros as wanted, of which the first look like a batch.
    let batch = record_batch(0, -1);
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let mut rest = &small[..];
    while let Some(at) = rest.windows(batch.len()).position(|w| w == &batch[..]) {
        let mut piece = rest[..at - 1].to_vec();
        pointsman_wire::Writer::new(&mut piece).uvarint(u32::try_from(records + 1).expect("fits"));
        pieces.push(piece);
        rest = &rest[at + batch.len()..];
    }
    pieces.push(rest.to_vec());
    let size = pieces.iter().map(Vec::len).sum::<usize>() + partitions.len() * records - 4;
    pieces[0][..4].copy_from_slice(&u32::try_from(size).expect("fits").to_be_bytes());
    pieces
}

pub(crate) async fn send(client: &mut Peer, pieces: &[Vec<u8>], records: usize) {
    let (last, heads) = pieces.split_last().expect("never empty");
    for head in heads {
        client.write(head).await;
        client.write_zeros(records).await;
    }
    client.write(last).await;
}

/// Takes a request of one partition in, and answers it.
pub(crate) async fn take(broker: &mut Peer, partition: i32) -> usize {
    let size = broker.size().await;
    let head = broker.read(8).await;
    broker.skip(size - 8).await;
    let correlation = i32::from_be_bytes(head[4..8].try_into().expect("four"));
    let result = Struct::new().with("Index", partition).with("BaseOffset", 100 + partition);
    let topic = Struct::new().with("Name", "t").with("PartitionResponses", vec![result]);
    let body = Struct::new().with("Responses", vec![topic]);
    broker.write(&value::encode_response(0, 9, correlation, &body).expect("encodes")).await;
    size
}

pub(crate) fn results(reply: &Struct) -> Vec<(i32, i16, i64)> {
    let partitions = reply.structs("Responses").flat_map(|t| t.structs("PartitionResponses"));
    partitions.map(|p| (p.i32("Index"), p.i16("ErrorCode"), p.int("BaseOffset"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_partition_passes_in_flat_memory() {
    let mut world = World::new().await;
    world.measure.start();
    passes(&world, LARGE).await;
    assert!(world.measure.peak() < FLAT, "{} bytes at the peak", world.measure.peak());
}

/// A request with so many bytes for one partition passes as it came, and is answered.
pub(crate) async fn passes(world: &World, records: usize) {
    let mut client = world.client().await;
    let pieces = heads(&[1], records, -1);
    let sizes = async {
        let mut broker = world.broker(1).await;
        take(&mut broker, 1).await
    };
    let (size, ()) = tokio::join!(sizes, send(&mut client, &pieces, records));
    let (correlation, reply) = client.reply(0, 9).await;
    assert_eq!((correlation, results(&reply)), (1, vec![(1, 0, 101)]));
    assert_eq!(size + 4, pieces.iter().map(Vec::len).sum::<usize>() + records, "as it came");
    assert!(client.is_served().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_partitions_over_two_brokers_pass_in_flat_memory() {
    let mut world = World::new().await;
    let mut client = world.client().await;
    world.measure.start();
    let pieces = heads(&[0, 1, 2, 3], LARGE / 4, -1);
    let broker = async |number: usize| {
        let mut broker = world.broker(number).await;
        let first = i32::try_from(number).expect("small");
        take(&mut broker, first).await + take(&mut broker, first + 2).await
    };
    let (a, b, ()) = tokio::join!(broker(0), broker(1), send(&mut client, &pieces, LARGE / 4));
    let (_, reply) = client.reply(0, 9).await;
    assert_eq!(results(&reply), [(0, 0, 100), (1, 0, 101), (2, 0, 102), (3, 0, 103)]);
    assert!(a > LARGE / 2 && b > LARGE / 2);
    assert!(world.measure.peak() < FLAT, "{} bytes at the peak", world.measure.peak());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_broker_slows_the_client_down() {
    let mut world = World::new().await;
    let mut client = world.client().await;
    world.measure.start();
    let pieces = heads(&[1], LARGE, -1);
    client.write(&pieces[0]).await;
    client.write_zeros(MIB).await;
    let mut broker = world.broker(1).await;
    // when the broker reads nothing
    let written = MIB + client.write_until_full(LARGE - MIB).await;
    // then
    assert!(written < LARGE, "all of it was taken");
    assert!(world.measure.peak() < FLAT, "{} bytes at the peak", world.measure.peak());
    let rest = async {
        client.write_zeros(LARGE - written).await;
        client.write(&pieces[1]).await;
    };
    let _ = tokio::join!(take(&mut broker, 1), rest);
    assert_eq!(results(&client.reply(0, 9).await.1), [(1, 0, 101)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_refuses_the_connection_costs_an_answer_not_the_connection() {
    let mut world = World::new().await;
    drop(world.brokers.drain(..));
    let mut client = world.client().await;
    world.measure.start();
    send(&mut client, &heads(&[1], LARGE, -1), LARGE).await;
    assert_eq!(results(&client.reply(0, 9).await.1), [(1, 6, -1)]);
    assert!(client.is_served().await);
    assert!(world.measure.peak() < FLAT, "{} bytes at the peak", world.measure.peak());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_dies_in_the_midst_costs_its_partition_only() {
    let world = World::new().await;
    let mut client = world.client().await;
    let pieces = heads(&[0, 1], 8 * MIB, -1);
    let dying = async {
        let mut broker = world.broker(0).await;
        broker.skip(MIB).await;
    };
    let sound = async {
        let mut broker = world.broker(1).await;
        take(&mut broker, 1).await
    };
    tokio::join!(dying, sound, send(&mut client, &pieces, 8 * MIB));
    assert_eq!(results(&client.reply(0, 9).await.1), [(0, 6, -1), (1, 0, 101)]);
    assert!(client.is_served().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_in_the_midst_drops_the_rest_and_the_next_goes_to_the_new_cluster() {
    // given half a frame at the old cluster
    let world = World::new().await;
    let mut client = world.client().await;
    let pieces = heads(&[1], LARGE, -1);
    client.write(&pieces[0]).await;
    client.write_zeros(MIB).await;
    let mut old = world.broker(1).await;
    let frame = old.size().await + 4;
    // when
    world.switch();
    // then that connection ends, and never with a whole frame
    assert!(old.drain().await + 4 < frame);
    client.write_zeros(LARGE - MIB).await;
    client.write(&pieces[1]).await;
    assert_eq!(results(&client.reply(0, 9).await.1), [(1, 6, -1)]);
    let again = async {
        let mut new = world.broker(3).await;
        take(&mut new, 1).await
    };
    tokio::join!(again, send(&mut client, &pieces, LARGE));
    assert_eq!(results(&client.reply(0, 9).await.1), [(1, 0, 101)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_acks_it_passes_too() {
    let world = World::new().await;
    let mut client = world.client().await;
    let pieces = heads(&[1], 8 * MIB, 0);
    let broker = async {
        let mut broker = world.broker(1).await;
        let size = broker.size().await;
        broker.skip(size).await;
        broker
    };
    let (_open, ()) = tokio::join!(broker, send(&mut client, &pieces, 8 * MIB));
    assert!(client.is_served().await);
}

//! 64 MiB of records in one Fetch response.

use crate::harness::{MIB, Peer, World};
use pointsman_wire::{
    Value, Writer,
    value::{self, Struct},
};

const LARGE: usize = 64 * MIB;
const FLAT: usize = 2 * MIB;

fn request() -> Vec<u8> {
    let partition = Struct::new().with("Partition", 1).with("CurrentLeaderEpoch", -1);
    let topic = Struct::new().with("Topic", "t").with("Partitions", vec![partition]);
    let body = Struct::new().with("ReplicaId", -1).with("SessionEpoch", -1).with("Topics", vec![topic]);
    value::encode_request(1, 12, 5, Some("client"), &body).expect("encodes")
}

/// What stands before and after `LARGE` bytes of records.
fn around(correlation: i32) -> (Vec<u8>, Vec<u8>) {
    const MARK: &[u8] = b"the records";
    let partition = Struct::new().with("PartitionIndex", 1).with("PreferredReadReplica", -1);
    let partition = partition.with("Records", Value::Bytes(MARK.into()));
    let topic = Struct::new().with("Topic", "t").with("Partitions", vec![partition]);
    let small = value::encode_response(1, 12, correlation, &Struct::new().with("Responses", vec![topic]));
    let small = small.expect("encodes");
    let at = small.windows(MARK.len()).position(|w| w == MARK).expect("the mark");
    let mut head = small[..at - 1].to_vec();
    Writer::new(&mut head).uvarint(u32::try_from(LARGE + 1).expect("fits"));
    let tail = small[at + MARK.len()..].to_vec();
    let size = head.len() - 4 + LARGE + tail.len();
    head[..4].copy_from_slice(&u32::try_from(size).expect("fits").to_be_bytes());
    (head, tail)
}

async fn asked(world: &World, client: &mut Peer) -> (Peer, Vec<u8>, Vec<u8>) {
    client.write(&request()).await;
    let mut broker = world.broker(1).await;
    let (correlation, _) = broker.request().await;
    let (head, tail) = around(correlation);
    (broker, head, tail)
}

async fn takes(client: &mut Peer, head: &[u8], tail: &[u8]) {
    let got = client.read(head.len()).await;
    assert_eq!((&got[..4], &got[4..8], &got[8..]), (&head[..4], &5_i32.to_be_bytes()[..], &head[8..]));
    assert_eq!(client.skip(LARGE).await, 0);
    assert_eq!(client.read(tail.len()).await, tail);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_in_flat_memory() {
    let mut world = World::new().await;
    world.measure.start();
    passes(&world).await;
    assert!(world.measure.peak() < FLAT, "{} bytes at the peak", world.measure.peak());
}

/// The answer passes as it came.
pub(crate) async fn passes(world: &World) {
    let mut client = world.client().await;
    let (mut broker, head, tail) = asked(world, &mut client).await;
    let answer = async {
        broker.write(&head).await;
        broker.write_zeros(LARGE).await;
        broker.write(&tail).await;
    };
    tokio::join!(answer, takes(&mut client, &head, &tail));
    assert!(client.is_served().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_slows_the_broker_down() {
    let mut world = World::new().await;
    let mut client = world.client().await;
    world.measure.start();
    let (mut broker, head, tail) = asked(&world, &mut client).await;
    broker.write(&head).await;
    // when the client reads nothing
    let written = broker.write_until_full(LARGE).await;
    // then
    assert!(written < LARGE, "all of it was taken");
    assert!(world.measure.peak() < FLAT, "{} bytes at the peak", world.measure.peak());
    let rest = async {
        broker.write_zeros(LARGE - written).await;
        broker.write(&tail).await;
    };
    tokio::join!(rest, takes(&mut client, &head, &tail));
    assert!(world.measure.peak() < FLAT, "{} bytes at the peak", world.measure.peak());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_dies_in_the_midst_ends_the_connection() {
    let world = World::new().await;
    let mut client = world.client().await;
    let (mut broker, head, _) = asked(&world, &mut client).await;
    broker.write(&head).await;
    broker.write_zeros(MIB).await;
    drop(broker);
    assert!(client.drain().await <= head.len() + MIB);
}

//! What a client sends before it closes its connection reaches its broker.

use crate::harness::World;
use pointsman_wire::{
    Value,
    sample::record_batch,
    value::{self, Struct},
};

fn produce(partition: i32, acks: i16) -> Vec<u8> {
    let partition = Struct::new().with("Index", partition).with("Records", record_batch(0, -1));
    let topic = Struct::new().with("Name", "t").with("PartitionData", vec![partition]);
    let body =
        Struct::new().with("TransactionalId", Value::Null).with("Acks", acks).with("TopicData", vec![topic]);
    value::encode_request(0, 9, 1, Some("client"), &body).expect("encodes")
}

/// A producer of acks=0 sends, and closes when its socket has taken everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_without_acknowledgement_outlive_their_client() {
    let world = World::new().await;
    for acks in [0, 1] {
        let mut client = world.client().await;
        for partition in [0, 1] {
            client.write(&produce(partition, acks)).await;
        }
        drop(client);

        for number in [0, 1] {
            let mut broker = world.broker(number).await;
            let (_, body) = broker.request().await;
            let topic = body.structs("TopicData").next().expect("a topic");
            let partition = topic.structs("PartitionData").next().expect("a partition");
            assert_eq!(partition.i32("Index"), i32::try_from(number).expect("small"), "acks {acks}");
            assert_eq!(broker.drain().await, 0, "the connection ends with its client");
        }
    }
}

//! The mirror: the same records at the same offsets, and the same commits, whichever way it copies.

use bytes::Bytes;
use pointsman_sandbox::{
    Cluster, ClusterSpec,
    client::{
        Admin, ClientConfig, Consumer, ConsumerConfig, Event, Mirror, MirrorConfig, Producer, ProducerConfig,
        batch::StoredRecord,
    },
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);
const PARTITIONS: i32 = 3;
const GROUP: &str = "readers";

async fn cluster(name: &str) -> Cluster {
    let cluster = Cluster::start(ClusterSpec::new(name, 3)).await.expect("a cluster starts");
    let partitions = usize::try_from(PARTITIONS).expect("small");
    cluster.create_topic("t", partitions, 3, &[]).expect("a topic");
    cluster
}

fn config(cluster: &Cluster) -> ClientConfig {
    ClientConfig::new(cluster.bootstrap().split(','))
}

fn mirror(from: &Cluster, to: &Cluster) -> MirrorConfig {
    let groups = vec![GROUP.to_owned()];
    MirrorConfig { from: config(from), to: config(to), topic: "t".to_owned(), groups, pipeline: 4 }
}

async fn write(cluster: &Cluster, producer: &str, records: usize) {
    let producer = Producer::start(ProducerConfig::new(config(cluster).client_id(producer), "t"));
    for number in 0..records {
        let partition = i32::try_from(number).expect("small") % PARTITIONS;
        let value = Bytes::from(format!("value-{number}"));
        producer.send(partition, None, Some(value)).await.expect("it is acknowledged");
    }
    producer.close(LIMIT).await.expect("nothing is left");
}

/// Offset, value, and producer with its sequence.
async fn log(cluster: &Cluster, partition: i32) -> Vec<(i64, Option<Bytes>, i64, i32)> {
    let records = Admin::new(config(cluster)).read_partition("t", partition).await.expect("the log");
    let seen = |r: StoredRecord| (r.offset, r.record.value, r.producer.id, r.producer.sequence);
    records.into_iter().map(seen).collect()
}

/// Reads `count` records as a member of the group, and commits.
async fn read(cluster: &Cluster, count: usize) {
    let mut consumer = Consumer::start(ConsumerConfig::new(config(cluster), GROUP, "t"));
    let mut seen = 0;
    while seen < count {
        if let Event::Records { records, .. } = consumer.next().await {
            seen += records.len();
        }
    }
    consumer.close(LIMIT).await.expect("it commits");
}

#[tokio::test]
async fn records_keep_their_offsets_and_groups_their_positions() {
    let (a, b) = (cluster("a").await, cluster("b").await);
    write(&a, "first", 60).await;
    let to_b = Mirror::start(mirror(&a, &b)).await.expect("it starts");
    write(&a, "second", 60).await;
    read(&a, 120).await;
    to_b.wait_equal(LIMIT).await.expect("it catches up");
    to_b.stop().await.expect("nobody else wrote");
    let lag = Admin::new(config(&b)).lag(GROUP, "t").await.expect("the offsets");
    assert!(lag.values().all(|lag| lag.committed == Some(lag.end)), "{lag:?}");

    // The other way: b is written to now, and a catches up.
    write(&b, "third", 60).await;
    let to_a = Mirror::start(mirror(&b, &a)).await.expect("it starts");
    to_a.wait_equal(LIMIT).await.expect("it catches up");
    to_a.stop().await.expect("nobody else wrote");
    for partition in 0..PARTITIONS {
        let (left, right) = (log(&a, partition).await, log(&b, partition).await);
        assert_eq!(left.len(), 60);
        assert_eq!(left, right);
    }
}

#[tokio::test]
async fn another_writer_is_found() {
    let (a, b) = (cluster("a").await, cluster("b").await);
    write(&a, "owner", 30).await;
    let to_b = Mirror::start(mirror(&a, &b)).await.expect("it starts");
    to_b.wait_equal(LIMIT).await.expect("it catches up");
    write(&b, "stranger", 6).await;
    write(&a, "owner", 60).await;
    let _ = to_b.wait_equal(Duration::from_secs(1)).await;
    assert!(to_b.stop().await.is_err(), "offsets that part are no secret");
}

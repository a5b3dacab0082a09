//! Every fault that a cluster can be given, seen from outside.

use bytes::Bytes;
use pointsman_sandbox::{
    Action, BrokerState, Cluster, ClusterSpec, Injected,
    client::{
        Admin, ClientConfig, ClientError,
        batch::{Record, Stamp, encode},
        connection::Connection,
    },
};
use pointsman_wire::{Struct, Value};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::interval;

const LIMIT: Duration = Duration::from_secs(20);
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const CREATE_TOPICS: i16 = 19;

async fn cluster(change: impl FnOnce(&mut ClusterSpec)) -> Cluster {
    let mut spec = ClusterSpec::new("test", 3);
    spec.session_timeout = Duration::from_millis(200);
    spec.election_time = Duration::from_millis(50);
    change(&mut spec);
    Cluster::start(spec).await.expect("a cluster starts")
}

fn config(cluster: &Cluster) -> ClientConfig {
    let servers: Vec<String> = cluster.addresses().iter().map(ToString::to_string).collect();
    ClientConfig { request_timeout: Duration::from_secs(5), ..ClientConfig::new(servers) }
}

async fn connect(cluster: &Cluster, broker: usize) -> Connection {
    let address = cluster.addresses()[broker].to_string();
    Connection::open(&address, &config(cluster)).await.expect("it accepts")
}

async fn versions(connection: &Connection) -> Result<Struct, ClientError> {
    connection.call_within(API_VERSIONS, 0, &Struct::new(), Duration::from_millis(400)).await
}

/// One record to partition 0; the time-out is the broker's for its replicas.
async fn produce(connection: &Connection, topic: &str, acks: i64, timeout_ms: i64) -> Struct {
    let batch = encode(&[Record::now(None, Some(Bytes::from_static(b"value")))], Stamp::NONE);
    let partition = Struct::new().with("Index", 0).with("Records", Value::Bytes(batch));
    let topic = Struct::new().with("Name", topic).with("PartitionData", vec![partition]);
    let request = Struct::new()
        .with("TransactionalId", Value::Null)
        .with("Acks", acks)
        .with("TimeoutMs", timeout_ms)
        .with("TopicData", vec![topic]);
    let answer = connection.call(PRODUCE, 8, &request).await.expect("an answer");
    let topic = answer.structs("Responses").next().expect("the topic");
    topic.structs("PartitionResponses").next().expect("the partition").clone()
}

async fn until(mut ready: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + LIMIT;
    let mut looks = interval(Duration::from_millis(2));
    while !ready() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        looks.tick().await;
    }
}

fn inject(cluster: &Cluster, broker: usize, action: Action) {
    cluster.inject(Injected { api: API_VERSIONS, broker: Some(broker), times: 1, action });
}

#[tokio::test]
async fn one_answer_is_dropped_delayed_altered_or_the_connection_closed() {
    let cluster = cluster(|_| ()).await;
    let connection = connect(&cluster, 1).await;

    inject(&cluster, 0, Action::Close);
    assert!(versions(&connection).await.is_ok(), "it is meant for another broker");

    inject(&cluster, 1, Action::Alter(Arc::new(|answer| answer.set("ErrorCode", 35))));
    assert_eq!(versions(&connection).await.expect("an answer").i16("ErrorCode"), 35);
    assert_eq!(versions(&connection).await.expect("an answer").i16("ErrorCode"), 0, "one answer only");

    let delay = Duration::from_millis(120);
    inject(&cluster, 1, Action::Delay(delay));
    let begun = Instant::now();
    assert!(versions(&connection).await.is_ok());
    assert!(begun.elapsed() >= delay);

    inject(&cluster, 1, Action::Drop);
    assert!(versions(&connection).await.is_err(), "nothing comes");

    let connection = connect(&cluster, 1).await;
    inject(&cluster, 1, Action::Close);
    assert!(versions(&connection).await.is_err());
    until(|| !connection.is_open(), "the connection ends").await;
}

#[tokio::test]
async fn a_slow_broker_answers_later() {
    let cluster = cluster(|_| ()).await;
    let connection = connect(&cluster, 0).await;
    let delay = Duration::from_millis(80);
    cluster.slow(0, delay);
    let begun = Instant::now();
    assert!(versions(&connection).await.is_ok());
    assert!(begun.elapsed() >= delay);
}

#[tokio::test]
async fn a_paused_broker_keeps_its_connections_and_loses_its_partitions() {
    let cluster = cluster(|_| ()).await;
    cluster.create_topic("t", 1, 3, &[]).expect("a topic");
    let leader = cluster.leader("t", 0).expect("a leader");
    let connection = connect(&cluster, leader).await;
    cluster.pause(leader);
    assert_eq!(cluster.states()[leader], BrokerState::Paused);
    assert!(versions(&connection).await.is_err(), "no answer");
    assert!(connection.is_open() || versions(&connection).await.is_err());
    until(|| cluster.leader("t", 0).is_some_and(|l| l != leader), "another leader").await;
    assert!(!cluster.in_sync("t", 0).contains(&leader));

    cluster.resume(leader);
    until(|| cluster.in_sync("t", 0).len() == 3, "in sync again").await;
    assert!(versions(&connect(&cluster, leader).await).await.is_ok());
}

#[tokio::test]
async fn a_killed_broker_refuses_connections_and_comes_back_with_its_log() {
    let cluster = cluster(|_| ()).await;
    cluster.create_topic("t", 1, 3, &[("min.insync.replicas", "1")]).expect("a topic");
    let leader = cluster.leader("t", 0).expect("a leader");
    let connection = connect(&cluster, leader).await;
    assert_eq!(produce(&connection, "t", -1, 1000).await.i16("ErrorCode"), 0);

    cluster.kill(leader);
    until(|| !connection.is_open(), "its connections end").await;
    let address = cluster.addresses()[leader];
    let mut refused = false;
    while !refused {
        refused = std::net::TcpStream::connect(address).is_err();
    }
    until(|| cluster.leader("t", 0).is_some_and(|l| l != leader), "another leader").await;
    let next = cluster.leader("t", 0).expect("a leader");
    assert_eq!(produce(&connect(&cluster, next).await, "t", -1, 1000).await.int("BaseOffset"), 1);

    cluster.restart(leader).await.expect("its port is free");
    assert!(cluster.wait_serving(leader, LIMIT).await);
    until(|| cluster.in_sync("t", 0).len() == 3, "in sync again").await;
    for broker in (0..3).filter(|b| *b != leader) {
        cluster.kill(broker);
    }
    // Two of three are gone, and with them the quorum: nobody can be elected, and nothing is lost.
    assert_eq!(cluster.in_sync("t", 0).len(), 3);
}

#[tokio::test]
async fn a_broker_that_is_cut_off_acknowledges_nothing_that_needs_the_others() {
    let cluster = cluster(|_| ()).await;
    cluster.create_topic("t", 1, 3, &[]).expect("a topic");
    let leader = cluster.leader("t", 0).expect("a leader");
    let connection = connect(&cluster, leader).await;
    assert_eq!(produce(&connection, "t", -1, 1000).await.i16("ErrorCode"), 0);

    cluster.isolate(leader, true);
    until(|| cluster.leader("t", 0).is_some_and(|l| l != leader), "another leader").await;
    // It still believes that it leads: it takes the record and never acknowledges it.
    assert_eq!(produce(&connection, "t", -1, 150).await.i16("ErrorCode"), 7);
    let next = cluster.leader("t", 0).expect("a leader");
    assert_eq!(produce(&connect(&cluster, next).await, "t", -1, 1000).await.int("BaseOffset"), 1);

    cluster.isolate(leader, false);
    until(|| cluster.in_sync("t", 0).len() == 3, "in sync again").await;
    let records = Admin::new(config(&cluster)).read_partition("t", 0).await.expect("the log");
    assert_eq!(records.len(), 2, "what nobody acknowledged is cut");
    assert_eq!(produce(&connection, "t", -1, 1000).await.i16("ErrorCode"), 6, "it knows better now");
}

#[tokio::test]
async fn without_a_quorum_of_controllers_nothing_changes() {
    let cluster = cluster(|_| ()).await;
    let connection = connect(&cluster, 0).await;
    cluster.lose_quorum(true);
    let topic = Struct::new().with("Name", "t").with("NumPartitions", 1).with("ReplicationFactor", 1);
    let request = Struct::new().with("Topics", vec![topic]).with("timeoutMs", 200);
    let create = || async {
        let answer = connection.call(CREATE_TOPICS, 5, &request).await.expect("an answer");
        answer.structs("Topics").next().expect("the topic").i16("ErrorCode")
    };
    let deadline = Instant::now() + LIMIT;
    let mut code = create().await;
    while code == 0 && Instant::now() < deadline {
        code = create().await;
    }
    assert!(matches!(code, 7 | 36), "the controller is gone: {code}");
    let moved = |answer: &Struct| answer.int("FinalizedFeaturesEpoch");
    let asked = Struct::new().with("ClientSoftwareName", "test").with("ClientSoftwareVersion", "1");
    let before = moved(&connection.call(API_VERSIONS, 3, &asked).await.expect("an answer"));
    // Each attempt is given up after 200 ms, and the metadata would move twice a second.
    for _ in 0..4 {
        assert!(matches!(create().await, 7 | 36));
    }
    let after = moved(&connection.call(API_VERSIONS, 3, &asked).await.expect("an answer"));
    assert_eq!(before, after, "the metadata stands still");

    cluster.lose_quorum(false);
    let deadline = Instant::now() + LIMIT;
    while !matches!(create().await, 0 | 36) {
        assert!(Instant::now() < deadline, "the controllers agree again");
    }
}

#[tokio::test]
async fn credentials_are_checked_and_can_be_refused() {
    let cluster = cluster(|spec| spec.users = vec![("ann".to_owned(), "secret".to_owned())]).await;
    let authenticate = |password: &'static str| {
        let cluster = &cluster;
        async move {
            let connection = connect(cluster, 0).await;
            let handshake = Struct::new().with("Mechanism", "PLAIN");
            let answer = connection.call(17, 1, &handshake).await.expect("an answer");
            assert_eq!(answer.i16("ErrorCode"), 0);
            let token = Bytes::from(format!("\0ann\0{password}"));
            let answer = connection.call(36, 2, &Struct::new().with("AuthBytes", Value::Bytes(token))).await;
            (answer.expect("an answer").i16("ErrorCode"), connection)
        }
    };
    let metadata = Struct::new().with("Topics", Value::Null);
    assert!(connect(&cluster, 0).await.call(METADATA, 5, &metadata).await.is_err(), "first who you are");
    let (code, connection) = authenticate("secret").await;
    assert_eq!(code, 0);
    assert!(connection.call(METADATA, 5, &metadata).await.is_ok());
    assert_eq!(authenticate("guess").await.0, 58);
    cluster.refuse_credentials(true);
    assert_eq!(authenticate("secret").await.0, 58);
}

#[tokio::test]
async fn a_partition_holds_so_many_bytes_and_forgets_the_oldest() {
    let cluster = cluster(|spec| spec.partition_bytes = 1000).await;
    cluster.create_topic("t", 1, 3, &[]).expect("a topic");
    let leader = cluster.leader("t", 0).expect("a leader");
    let connection = connect(&cluster, leader).await;
    for offset in 0..50 {
        assert_eq!(produce(&connection, "t", -1, 1000).await.int("BaseOffset"), offset);
    }
    let records = Admin::new(config(&cluster)).read_partition("t", 0).await.expect("the log");
    let first = records.first().expect("some are left").offset;
    assert!(first > 30 && records.last().is_some_and(|r| r.offset == 49), "from {first} on");
    let partition =
        Struct::new().with("Partition", 0).with("FetchOffset", 0).with("PartitionMaxBytes", 1 << 20);
    let topic = Struct::new().with("Topic", "t").with("Partitions", vec![partition]);
    let request = Struct::new().with("MaxBytes", 1 << 20).with("MinBytes", 1).with("Topics", vec![topic]);
    let answer = connection.call(FETCH, 11, &request).await.expect("an answer");
    let told =
        answer.structs("Responses").flat_map(|t| t.structs("Partitions")).next().expect("told").clone();
    assert_eq!((told.i16("ErrorCode"), told.int("LogStartOffset")), (1, first));
}

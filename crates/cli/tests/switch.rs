//! `pointsman switch` as an operator calls it, with a process that runs over two sandbox clusters.

mod support;

use bytes::Bytes;
use pointsman_sandbox::{
    Cluster, ClusterSpec,
    client::{
        Admin, ClientConfig, Producer, ProducerConfig,
        batch::{Record, Stamp, encode},
        connection::Connection,
    },
};
use pointsman_wire::{
    batch::{ATTRIBUTES_AT, CRC_AT, TRANSACTIONAL},
    crc::crc32c,
    value::{Struct, Value},
};
use std::{
    process::{Command, Output},
    time::Duration,
};
use support::{BINARY, Listen, Proxy};
use tokio::{task::block_in_place, time::timeout};

const LIMIT: Duration = Duration::from_secs(20);
const TOPIC: &str = "orders";

struct Stage {
    clusters: [Cluster; 2],
    proxy: Proxy,
}

impl Stage {
    /// Two clusters of three brokers; both have quorum, the primary is active.
    async fn start(more: &str) -> Self {
        let clusters = [
            Cluster::start(ClusterSpec::new("primary", 3)).await.expect("a cluster"),
            Cluster::start(ClusterSpec::new("secondary", 3)).await.expect("a cluster"),
        ];
        for cluster in &clusters {
            cluster.create_topic(TOPIC, 1, 3, &[]).expect("a topic");
        }
        let servers =
            |c: &Cluster| format!("{{ bootstrap_servers: [{}] }}", c.bootstrap().replace(',', ", "));
        let named = [("primary", servers(&clusters[0])), ("secondary", servers(&clusters[1]))];
        let proxy = block_in_place(|| Proxy::start(&named, &Listen::One, more));
        let stage = Self { clusters, proxy };
        stage.wait_active("primary");
        stage.wait_quorum(1, true);
        stage
    }

    fn wait_active(&self, name: &str) {
        block_in_place(|| self.proxy.wait_active(name, LIMIT));
    }

    fn wait_quorum(&self, cluster: usize, quorum: bool) {
        let has = || match self.proxy.status()["clusters"][cluster]["quorum"].as_bool() {
            Some(found) if found == quorum => Ok(()),
            other => Err(format!("quorum: {other:?}")),
        };
        block_in_place(|| pointsman_testkit::process::wait_for(LIMIT, has)).expect("a verdict");
    }

    fn switch(&self, args: &[&str]) -> Output {
        let admin = format!("127.0.0.1:{}", self.proxy.admin);
        let mut command = Command::new(BINARY);
        command.arg("switch").args(args).args(["--admin", &admin]);
        block_in_place(|| command.output()).expect("the binary")
    }

    async fn records(&self, cluster: usize) -> usize {
        let servers = self.clusters[cluster].bootstrap();
        let admin = Admin::new(ClientConfig::new(servers.split(',')));
        admin.read_partition(TOPIC, 0).await.expect("a log").len()
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn switch_moves_a_live_producer_and_stays_until_it_is_given_back() {
    let stage = Stage::start("    failover: { hold: 200ms }\n").await;
    let producer = Producer::start(ProducerConfig::new(ClientConfig::new([stage.proxy.bootstrap()]), TOPIC));
    let send = async || {
        producer.send(0, None, Some("x".into())).await.expect("an acknowledgement");
    };
    send().await;

    let (code, words) = said(&stage.switch(&["--to", "secondary"]));

    assert_eq!(code, Some(0), "{words}");
    assert!(words.starts_with("main: primary → secondary, generation "), "{words}");
    let status = block_in_place(|| stage.proxy.status());
    let main = &status["virtual_clusters"][0];
    assert_eq!((main["active"].as_str(), main["pinned"].as_bool()), (Some("secondary"), Some(true)));
    assert_eq!(main["switches"][0]["cause"], "command");
    send().await;
    assert_eq!((stage.records(0).await, stage.records(1).await), (1, 1), "each cluster got its record");

    let (code, words) = said(&stage.switch(&["--automatic"]));
    assert_eq!(code, Some(0), "{words}");
    stage.wait_active("primary");
    send().await;
    assert_eq!(stage.records(0).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_changes_nothing_and_exits_with_1() {
    let stage = Stage::start("").await;
    stage.clusters[1].kill(0);
    stage.clusters[1].kill(1);
    stage.wait_quorum(1, false);

    for (args, expected) in [
        (&["--to", "secondary"][..], "pointsman: secondary has no quorum: see its brokers in the status; "),
        (&["--to", "primary"], "pointsman: primary is active already: nothing to do"),
        (&["--to", "nowhere"], "pointsman: there is no cluster \"nowhere\": name one of: primary, secondary"),
        (
            &["--to", "secondary", "--virtual-cluster", "a/b"],
            "pointsman: there is no virtual cluster \"a/b\": name one of: main",
        ),
        (&["--automatic"], "pointsman: no command holds the active cluster: nothing to do"),
    ] {
        let (code, words) = said(&stage.switch(args));
        assert_eq!(code, Some(1), "{args:?}: {words}");
        assert!(words.starts_with(expected), "{args:?}: {words}");
    }
    assert_eq!(block_in_place(|| stage.proxy.switches()), 1);

    let (code, words) = said(&stage.switch(&["--to", "secondary", "--force"]));
    assert_eq!(code, Some(0), "{words}");
    stage.wait_active("secondary");
}

/// A client that speaks the protocol itself, and may end without a word.
struct Raw(Connection);

impl Raw {
    async fn open(stage: &Stage) -> Self {
        let address = stage.proxy.bootstrap();
        Self(Connection::open(&address, &ClientConfig::new([&*address])).await.expect("a connection"))
    }

    async fn call(&self, key: i16, version: i16, body: Struct) -> Struct {
        self.0.call(key, version, &body).await.expect("an answer")
    }

    /// Begins a transaction, writes a record in it, and says under which id.
    async fn begin(&self) -> (i64, i16) {
        let of = |id: i64, epoch: i16| {
            Struct::new().with("ProducerId", id).with("ProducerEpoch", epoch).with("TransactionalId", "tx")
        };
        let init = async || loop {
            let given = self.call(22, 4, of(-1, -1).with("TransactionTimeoutMs", 60_000)).await;
            // Its coordinator is made with the first request.
            if given.i16("ErrorCode") == 0 {
                return (given.int("ProducerId"), given.i16("ProducerEpoch"));
            }
        };
        let (id, epoch) = timeout(LIMIT, init()).await.expect("a producer id");
        let topic = Struct::new().with("Name", TOPIC).with("Partitions", vec![Value::from(0)]);
        let added = Struct::new()
            .with("V3AndBelowTransactionalId", "tx")
            .with("V3AndBelowProducerId", id)
            .with("V3AndBelowProducerEpoch", epoch)
            .with("V3AndBelowTopics", vec![topic]);
        self.call(24, 3, added).await;
        let mut batch =
            encode(&[Record::now(None, Some("x".into()))], Stamp { id, epoch, sequence: 0 }).to_vec();
        batch[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&TRANSACTIONAL.to_be_bytes());
        let crc = crc32c(&batch[ATTRIBUTES_AT..]);
        batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        let partition = Struct::new().with("Index", 0).with("Records", Bytes::from(batch));
        let topic = Struct::new().with("Name", TOPIC).with("PartitionData", vec![partition]);
        let request = Struct::new()
            .with("TransactionalId", "tx")
            .with("Acks", -1)
            .with("TimeoutMs", 5_000)
            .with("TopicData", vec![topic]);
        let written = self.call(0, 9, request).await;
        let told = written.structs("Responses").flat_map(|t| t.structs("PartitionResponses"));
        assert_eq!(told.map(|p| p.i16("ErrorCode")).collect::<Vec<_>>(), [0]);
        (id, epoch)
    }

    /// The producer of the partition, and where its open transaction begins, or −1.
    async fn described(&self) -> (i64, i64) {
        let topic = Struct::new().with("Name", TOPIC).with("PartitionIndexes", vec![Value::from(0)]);
        let answer = self.call(61, 0, Struct::new().with("Topics", vec![topic])).await;
        let partitions = answer.structs("Topics").flat_map(|t| t.structs("Partitions"));
        let producer = partitions.flat_map(|p| p.structs("ActiveProducers")).next().expect("one");
        (producer.int("ProducerId"), producer.int("CurrentTxnStartOffset"))
    }

    /// Ends a producer's transaction as an administrator does, and says what came of it.
    async fn abort(&self, id: i64, epoch: i16) -> i16 {
        let topic = Struct::new().with("Name", TOPIC).with("PartitionIndexes", vec![Value::from(0)]);
        let marker = Struct::new()
            .with("ProducerId", id)
            .with("ProducerEpoch", epoch)
            .with("TransactionResult", false)
            .with("Topics", vec![topic]);
        let answer = self.call(27, 1, Struct::new().with("Markers", vec![marker])).await;
        let marker = answer.structs("Markers").next().expect("one");
        assert_eq!(marker.int("ProducerId"), id);
        marker.structs("Topics").flat_map(|t| t.structs("Partitions")).next().expect("one").i16("ErrorCode")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_hangs_since_before_a_switch_can_be_ended_after_it() {
    const UNKNOWN_PRODUCER_ID: i16 = 59;
    let stage = Stage::start("").await;
    let (id, epoch) = Raw::open(&stage).await.begin().await;
    for (to, active) in [("secondary", 1), ("primary", 0)] {
        stage.wait_quorum(active, true);
        let (code, words) = said(&stage.switch(&["--to", to]));
        assert_eq!(code, Some(0), "{words}");
    }

    let admin = Raw::open(&stage).await;
    let (shown, begun) = admin.described().await;
    assert_eq!(begun, 0, "it hangs");
    assert_ne!(shown, id, "the chain has come back in another term");
    assert_eq!(admin.abort(id, epoch).await, UNKNOWN_PRODUCER_ID, "an id of the term before");
    assert_eq!(admin.described().await, (shown, 0), "nothing has changed");
    assert_eq!(admin.abort(shown, epoch).await, 0);
    assert_eq!(admin.described().await, (shown, -1), "it has ended");
}

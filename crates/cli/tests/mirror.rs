//! Switches to and fro between two clusters of the sandbox that a mirror keeps alike, under traffic: nothing is lost, repeated or moved,
//! but for what a group had read and not committed.

mod support;

use bytes::Bytes;
use pointsman_sandbox::{
    Cluster, ClusterSpec,
    client::{ClientConfig, Consumer, ConsumerConfig, Event, Producer, ProducerConfig, Reset, batch::Record},
};
use pointsman_testkit::{
    clients,
    ferry::Ferry,
    history::{ClientHistory, MirroredInput, Moved, check_mirrored},
    log::{ClusterLog, LogRecord},
};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use support::{Listen, Proxy};
use tokio::{task::block_in_place, time::timeout};
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";
const CLIENT: &str = "sandbox";
const PARTITIONS: usize = 3;
const SWITCHES: usize = 6;
/// Records between two switches, at least.
const RECORDS: usize = 60;

async fn start(name: &str) -> Cluster {
    let cluster = Cluster::start(ClusterSpec::new(name, 3)).await.expect("a sandbox");
    cluster.create_topic(TOPIC, PARTITIONS, 3, &[("min.insync.replicas", "1")]).expect("a topic");
    cluster
}

fn servers(cluster: &Cluster) -> String {
    let listed = cluster.bootstrap().replace(',', ", ");
    format!("{{ bootstrap_servers: [{listed}], health: {{ interval: 100ms }} }}")
}

fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_nanos()).expect("this century")
}

/// What a client printed, as the drivers of the drills do.
type Notes = Arc<Mutex<Vec<clients::Event>>>;

fn note(notes: &Notes, event: clients::Event) {
    notes.lock().expect("no panic").push(event);
}

fn count(notes: &Notes) -> usize {
    notes.lock().expect("no panic").len()
}

/// Sends, a record at a time to each partition in turn, until it is stopped and everything is acknowledged.
async fn produce(client: ClientConfig, stop: CancellationToken, notes: Notes) {
    let producer = Producer::start(ProducerConfig::new(client, TOPIC));
    let mut deliveries = tokio::task::JoinSet::new();
    let mut seq = 0_u64;
    while !stop.is_cancelled() {
        let partition = u32::try_from(seq).expect("few") % u32::try_from(PARTITIONS).expect("few");
        let value = Bytes::from(format!("{CLIENT}-{seq}"));
        let record =
            Record { key: None, value: Some(value), headers: Vec::new(), timestamp: 1_700_000_000_000 };
        let queued = producer.queue(i32::try_from(partition).expect("few"), record).await.expect("it runs");
        let notes = notes.clone();
        deliveries.spawn(async move {
            let event = match queued.await {
                Ok(acked) => {
                    let o = u64::try_from(acked.offset).unwrap_or(u64::MAX);
                    clients::Event::Ack { t: now(), p: partition, o, seq }
                }
                Err(error) => clients::Event::Err { t: now(), fatal: false, msg: error.to_string() },
            };
            note(&notes, event);
        });
        seq += 1;
        while deliveries.len() > 20 {
            deliveries.join_next().await;
        }
    }
    timeout(LIMIT, deliveries.join_all()).await.expect("everything has an outcome");
    producer.close(LIMIT).await.expect("closed");
}

async fn consume(client: ClientConfig, stop: CancellationToken, notes: Notes) {
    let mut config = ConsumerConfig::new(client, TOPIC, TOPIC);
    config.reset = Reset::Earliest;
    config.commit_interval = Duration::from_millis(200);
    config.heartbeat_interval = Duration::from_millis(200);
    let mut consumer = Consumer::start(config);
    loop {
        let event = tokio::select! {
            event = consumer.next() => event,
            () = stop.cancelled() => return,
        };
        match event {
            Event::Records { partition, records } => {
                for record in records {
                    let v = String::from_utf8_lossy(&record.record.value.unwrap_or_default()).into_owned();
                    let (p, o) =
                        (u32::try_from(partition).expect("few"), u64::try_from(record.offset).expect("none"));
                    note(&notes, clients::Event::Rec { t: now(), p, o, v });
                }
            }
            Event::Error(error) => {
                note(&notes, clients::Event::Err { t: now(), fatal: false, msg: error.to_string() });
            }
            Event::Assigned(_) | Event::Note(_) => {}
        }
    }
}

async fn log(cluster: &Cluster) -> ClusterLog {
    let admin = pointsman_sandbox::client::Admin::new(ClientConfig::new(cluster.bootstrap().split(',')));
    let mut all = Vec::new();
    for partition in 0..u32::try_from(PARTITIONS).expect("few") {
        let records =
            admin.read_partition(TOPIC, i32::try_from(partition).expect("few")).await.expect("the log");
        all.extend(records.into_iter().map(|r| LogRecord {
            partition,
            offset: u64::try_from(r.offset).expect("none below 0"),
            value: String::from_utf8_lossy(&r.record.value.unwrap_or_default()).into_owned(),
        }));
    }
    all.into_iter().collect()
}

fn wait_for_more(proxy: &Proxy, what: &str, notes: &Notes, wanted: usize) {
    let look = || match count(notes) {
        seen if seen >= wanted => Ok(()),
        seen => Err(format!("{what}: {seen} of {wanted}")),
    };
    pointsman_testkit::process::wait_for(LIMIT, look).unwrap_or_else(|e| panic!("{e}\n{}", proxy.log()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn with_identical_offsets_a_switch_changes_nothing_but_the_leader() {
    // given
    let (primary, secondary) = (start("primary").await, start("secondary").await);
    let clusters = [("primary", servers(&primary)), ("secondary", servers(&secondary))];
    let more = "    replication: identical_offsets\n    failover: { hold: 1h, catch_up: 20s }\n";
    let proxy = Proxy::start(&clusters, &Listen::Range, more);
    proxy.wait_active("primary", LIMIT);
    let client = || ClientConfig::new([proxy.bootstrap()]).client_id(CLIENT);
    let sides = [primary.bootstrap(), secondary.bootstrap()];
    let mut ferry = block_in_place(|| Ferry::start(sides, TOPIC, vec![TOPIC.to_owned()])).expect("a mirror");
    let (acked, read) = (Notes::default(), Notes::default());
    let (stop_producing, stop_consuming) = (CancellationToken::new(), CancellationToken::new());
    let producer = tokio::spawn(produce(client(), stop_producing.clone(), acked.clone()));
    let consumer = tokio::spawn(consume(client(), stop_consuming.clone(), read.clone()));

    // when
    let mut moves = Vec::new();
    for number in 0..SWITCHES {
        block_in_place(|| wait_for_more(&proxy, "acknowledged", &acked, count(&acked) + RECORDS));
        block_in_place(|| wait_for_more(&proxy, "read", &read, count(&read) + RECORDS));
        let (from, begun) = (number % 2, now());
        let to = ["secondary", "primary"][from];
        block_in_place(|| {
            let output = std::process::Command::new(support::BINARY)
                .args(["switch", "--to", to, "--admin", &format!("127.0.0.1:{}", proxy.admin)])
                .output()
                .expect("it runs");
            assert!(output.status.success(), "{output:?}\n{}", proxy.log());
            let committed =
                ferry.committed(from).expect("commits").into_values().map(|c| (CLIENT.to_owned(), c));
            ferry.turn(1 - from).expect("the mirror turns round");
            moves.push(Moved { begun, ended: now(), committed: committed.collect() });
        });
    }
    stop_producing.cancel();
    producer.await.expect("it ends");
    block_in_place(|| ferry.finish(LIMIT)).expect("both logs are alike");
    let (primary, secondary) = (log(&primary).await, log(&secondary).await);
    let all_read = || {
        let history = ClientHistory::new(CLIENT, &[], &read.lock().expect("no panic"));
        let got: std::collections::HashSet<_> = history.consumed.iter().map(|c| &c.value).collect();
        if got.len() >= primary.len() {
            Ok(())
        } else {
            Err(format!("read {} of {}", got.len(), primary.len()))
        }
    };
    let read_on = block_in_place(|| pointsman_testkit::process::wait_for(LIMIT, all_read));
    read_on.unwrap_or_else(|e| panic!("{e}\n{}", proxy.log()));
    stop_consuming.cancel();
    consumer.await.expect("it ends");

    // then
    let produced = ClientHistory::new(CLIENT, &acked.lock().expect("no panic"), &[]);
    let consumed = ClientHistory::new(CLIENT, &[], &read.lock().expect("no panic"));
    let report = check_mirrored(&MirroredInput {
        producers: &[produced],
        consumers: &[consumed],
        primary: &primary,
        secondary: &secondary,
        switches: &moves,
    });
    assert_eq!(report.broken(), Vec::<String>::new(), "{report:#?}\n{}", proxy.log());
    assert!(report.producers[0].acked >= SWITCHES * RECORDS, "{report:#?}");
    let status = proxy.status();
    assert_eq!(status["virtual_clusters"][0]["switches_by_cause"]["command"], SWITCHES, "{status:#}");
    assert_eq!(status["virtual_clusters"][0]["replication"], "identical_offsets");
}

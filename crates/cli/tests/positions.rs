//! Positions over a failover and its way back, on two clusters of the sandbox: nothing that was acknowledged is skipped, and what was
//! left unread is reported.

mod support;

use bytes::Bytes;
use pointsman_sandbox::{
    Cluster, ClusterSpec,
    client::{
        Admin, ClientConfig, Consumer, ConsumerConfig, Event, Producer, ProducerConfig, Reset, batch::Record,
    },
};
use pointsman_testkit::process::wait_for;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use support::{Listen, Proxy};
use tokio::{task::block_in_place, time::timeout};

const LIMIT: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";
const PARTITIONS: usize = 3;
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);

struct Ground {
    primary: Cluster,
    secondary: Cluster,
    proxy: Proxy,
}

impl Ground {
    async fn new() -> Self {
        let (primary, secondary) = (start("primary").await, start("secondary").await);
        let servers = |cluster: &Cluster| {
            format!(
                "{{ bootstrap_servers: [{}], health: {{ interval: 100ms }} }}",
                cluster.bootstrap().replace(',', ", ")
            )
        };
        let clusters = [("primary", servers(&primary)), ("secondary", servers(&secondary))];
        let proxy = Proxy::start(&clusters, &Listen::Range, "    failover: { hold: 1s }\n");
        proxy.wait_active("primary", LIMIT);
        Self { primary, secondary, proxy }
    }

    fn client(&self, id: &str) -> ClientConfig {
        ClientConfig::new([self.proxy.bootstrap()]).client_id(id)
    }

    /// A member that begins at the end where it has no offset, and commits often.
    fn consumer(&self, group: &str) -> Consumer {
        let mut config = ConsumerConfig::new(self.client(group), group, TOPIC);
        config.reset = Reset::Latest;
        config.commit_interval = Duration::from_millis(50);
        config.heartbeat_interval = Duration::from_millis(500);
        Consumer::start(config)
    }

    /// Produces these through Pointsman, and waits until all are acknowledged.
    async fn produce(&self, name: &str, count: usize) -> BTreeSet<String> {
        produce(self.client("producer"), name, count).await
    }

    /// Waits for a status.
    fn until(&self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let look = || {
            let status = self.proxy.status();
            if good(&status) { Ok(status) } else { Err(format!("{what}: {status:#}")) }
        };
        // Clients go on meanwhile.
        let found = block_in_place(|| wait_for(LIMIT, look));
        found.unwrap_or_else(|e| panic!("{e}\n{}", self.proxy.log()))
    }

    /// Waits until the ends of these clusters were polled after this call.
    fn until_polled(&self, clusters: &[usize]) {
        let begun = Instant::now();
        let young = |cluster: &Value| {
            cluster["offsets_age_s"].as_f64().is_some_and(|age| age < begun.elapsed().as_secs_f64())
        };
        self.until("polled", |s| clusters.iter().all(|c| young(&s["clusters"][*c])));
    }

    /// Asking for the next event says that the last one is processed.
    async fn until_committed(&self, group: &str, consumer: &mut Consumer) {
        let admin = Admin::new(self.client("admin"));
        let begun = Instant::now();
        loop {
            let lag = admin.lag(group, TOPIC).await;
            if lag.as_ref().is_ok_and(|lag| lag.values().all(|l| l.records() == 0)) {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "{group} committed nothing more: {lag:?}");
            let _ = timeout(LOOK, consumer.next()).await;
        }
    }
}

async fn start(name: &str) -> Cluster {
    let cluster = Cluster::start(ClusterSpec::new(name, 3)).await.expect("a sandbox");
    cluster.create_topic(TOPIC, PARTITIONS, 3, &[("min.insync.replicas", "1")]).expect("a topic");
    cluster
}

async fn produce(client: ClientConfig, name: &str, count: usize) -> BTreeSet<String> {
    let producer = Producer::start(ProducerConfig::new(client, TOPIC));
    let mut deliveries = Vec::new();
    for number in 0..count {
        let value = format!("{name}-{number}");
        let record = Record {
            key: None,
            value: Some(Bytes::from(value.clone())),
            headers: Vec::new(),
            timestamp: 1_700_000_000_000,
        };
        let partition = i32::try_from(number % PARTITIONS).expect("small");
        deliveries.push((value, producer.queue(partition, record).await.expect("queued")));
    }
    let mut acknowledged = BTreeSet::new();
    for (value, delivery) in deliveries {
        timeout(LIMIT, delivery).await.expect("in time").expect("acknowledged");
        acknowledged.insert(value);
    }
    producer.close(LIMIT).await.expect("closed");
    acknowledged
}

/// Reads until all of these have come; returns everything that came.
async fn read(consumer: &mut Consumer, wanted: &BTreeSet<String>) -> Vec<String> {
    let mut came: Vec<String> = Vec::new();
    let all = async {
        while !wanted.iter().all(|value| came.contains(value)) {
            if let Event::Records { records, .. } = consumer.next().await {
                let text =
                    |value: Option<Bytes>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
                came.extend(records.into_iter().map(|r| text(r.record.value)));
            }
        }
    };
    if timeout(LIMIT, all).await.is_err() {
        let missing: Vec<_> = wanted.iter().filter(|value| !came.contains(value)).collect();
        panic!("{} records did not come: {missing:?}; came: {came:?}", missing.len());
    }
    came
}

/// Waits until the member has its partitions and knows where to begin: every round of records sent meanwhile is tried again.
async fn settle(ground: &Ground, consumer: &mut Consumer, name: &str) {
    let begun = Instant::now();
    for round in 0.. {
        let sent = ground.produce(&format!("{name}-settle-{round}"), PARTITIONS).await;
        let mut came = BTreeSet::new();
        let _ = timeout(Duration::from_millis(700), async {
            while came.len() < sent.len() {
                if let Event::Records { records, .. } = consumer.next().await {
                    let values = records.into_iter().filter_map(|r| r.record.value);
                    came.extend(
                        values.map(|v| String::from_utf8_lossy(&v).into_owned()).filter(|v| sent.contains(v)),
                    );
                }
            }
        })
        .await;
        if came.len() == sent.len() {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{name} reads nothing");
    }
}

fn stranded_on(status: &Value, cluster: &str) -> Option<u64> {
    let all = status["virtual_clusters"][0]["stranded"].as_array()?;
    all.iter().find(|s| s["cluster"] == cluster)?["records"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_begins_at_the_latest_skips_nothing_over_a_failover_and_back() {
    let ground = Ground::new().await;
    // given a secondary that has records of its own, and two groups that have read on the primary
    let direct = ClientConfig::new(ground.secondary.bootstrap().split(',').map(str::to_owned));
    produce(direct, "older", 30).await;
    let (mut live, mut away) = (ground.consumer("live"), ground.consumer("away"));
    settle(&ground, &mut live, "live").await;
    settle(&ground, &mut away, "away").await;
    ground.until_committed("away", &mut away).await;
    away.close(LIMIT).await.expect("leaves");
    // One of them is away when these come.
    let unread = ground.produce("unread", 20).await;
    read(&mut live, &unread).await;
    ground.until_committed("live", &mut live).await;
    ground.until_polled(&[0, 1]);

    // when
    (0..3).for_each(|broker| ground.primary.kill(broker));
    ground.proxy.wait_active("secondary", LIMIT);

    // then
    let during = ground.produce("during", 30).await;
    // Until it has joined again, its position on the primary may stand for an older record here.
    read(&mut live, &during).await;
    let mut away = ground.consumer("away");
    let came = read(&mut away, &during).await;
    assert!(came.iter().all(|v| during.contains(v)), "nothing of before: {came:?}");
    // A group that is new begins by its own policy.
    let mut new = ground.consumer("new");
    settle(&ground, &mut new, "new").await;
    new.close(LIMIT).await.expect("leaves");
    let status = ground.until("the switch", |s| s["virtual_clusters"][0]["switches_total"] == 2);
    let stranded = &status["virtual_clusters"][0]["switches"][0]["stranded"];
    assert_eq!((&stranded["cluster"], &stranded["records"]), (&"primary".into(), &20.into()), "{stranded:#}");
    assert_eq!(stranded["topics"][0]["group"], "away");
    assert_eq!(stranded_on(&status, "primary"), Some(20));
    let metrics = ground.proxy.get("/metrics").expect("metrics");
    let line = r#"pointsman_stranded_records{virtual_cluster="main",cluster="primary"} 20"#;
    assert!(metrics.contains(line), "{metrics}");
    ground.until_committed("live", &mut live).await;
    ground.until_committed("away", &mut away).await;
    ground.until_polled(&[1]);

    // when the primary comes back
    for broker in 0..3 {
        ground.primary.restart(broker).await.expect("restarts");
    }
    ground.proxy.wait_active("primary", LIMIT);

    // then what was stranded comes first, and nothing of what follows is skipped
    let after = ground.produce("after", 30).await;
    let came = read(&mut away, &unread.union(&after).cloned().collect()).await;
    assert!(came.iter().all(|v| !v.starts_with("during")), "{came:?}");
    read(&mut live, &after).await;
    ground.until_committed("live", &mut live).await;
    ground.until_committed("away", &mut away).await;
    let status = ground.proxy.status();
    assert_eq!((stranded_on(&status, "primary"), stranded_on(&status, "secondary")), (Some(0), Some(0)));
}

//! Two clusters of the sandbox behind a running Pointsman, with groups that read and a producer.

use super::{Listen, Proxy};
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
use tokio::{task::block_in_place, time::timeout};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const TOPIC: &str = "orders";
pub(crate) const PARTITIONS: usize = 3;
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Ground {
    pub(crate) primary: Cluster,
    pub(crate) secondary: Cluster,
    pub(crate) proxy: Proxy,
}

impl Ground {
    /// `more`: lines of the virtual cluster.
    pub(crate) async fn new(more: &str) -> Self {
        let (primary, secondary) = (start("primary").await, start("secondary").await);
        let servers = |cluster: &Cluster| {
            format!(
                "{{ bootstrap_servers: [{}], health: {{ interval: 100ms }} }}",
                cluster.bootstrap().replace(',', ", ")
            )
        };
        let clusters = [("primary", servers(&primary)), ("secondary", servers(&secondary))];
        let proxy = Proxy::start(&clusters, &Listen::Range, more);
        proxy.wait_active("primary", LIMIT);
        Self { primary, secondary, proxy }
    }

    pub(crate) fn client(&self, id: &str) -> ClientConfig {
        ClientConfig::new([self.proxy.bootstrap()]).client_id(id)
    }

    /// A member that begins at the end where it has no offset, and commits often.
    pub(crate) fn consumer(&self, group: &str) -> Consumer {
        let mut config = ConsumerConfig::new(self.client(group), group, TOPIC);
        config.reset = Reset::Latest;
        config.commit_interval = Duration::from_millis(50);
        config.heartbeat_interval = Duration::from_millis(500);
        Consumer::start(config)
    }

    /// Produces these through Pointsman, and waits until all are acknowledged.
    pub(crate) async fn produce(&self, name: &str, count: usize) -> BTreeSet<String> {
        produce(self.client("producer"), name, count).await
    }

    /// Waits for a status.
    pub(crate) fn until(&self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let look = || {
            let status = self.proxy.status();
            if good(&status) { Ok(status) } else { Err(format!("{what}: {status:#}")) }
        };
        // Clients go on meanwhile.
        let found = block_in_place(|| wait_for(LIMIT, look));
        found.unwrap_or_else(|e| panic!("{e}\n{}", self.proxy.log()))
    }

    /// Waits until the ends of these clusters were polled after this call.
    pub(crate) fn until_polled(&self, clusters: &[usize]) {
        let begun = Instant::now();
        let young = |cluster: &Value| {
            cluster["offsets_age_s"].as_f64().is_some_and(|age| age < begun.elapsed().as_secs_f64())
        };
        self.until("polled", |s| clusters.iter().all(|c| young(&s["clusters"][*c])));
    }

    /// Asking for the next event says that the last one is processed.
    pub(crate) async fn until_committed(&self, group: &str, consumer: &mut Consumer) {
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

pub(crate) async fn produce(client: ClientConfig, name: &str, count: usize) -> BTreeSet<String> {
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
pub(crate) async fn read(consumer: &mut Consumer, wanted: &BTreeSet<String>) -> Vec<String> {
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
pub(crate) async fn settle(ground: &Ground, consumer: &mut Consumer, name: &str) {
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

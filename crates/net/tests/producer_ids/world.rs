//! Two clusters of the sandbox behind the data plane, and a control plane of a few lines.

use pointsman_core::{
    Now,
    config::{Address, FailoverConfig, Mode, Positions, Replication, VirtualClusterConfig},
    producer_ids::ProducerIds,
    rules,
    snapshot::{Active, Cluster, Consumers, Snapshot, VirtualCluster},
    topic_ids::TopicIds,
    topology::TopologyCell,
};
use pointsman_net::{DataPlane, VirtualListener, fence::Generations};
use pointsman_sandbox::{
    ClusterSpec,
    client::{Admin, ClientConfig, Producer, ProducerConfig, connection::Connection},
};
use pointsman_wire::{
    tables,
    value::{self, Struct, Value},
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

pub(crate) const TOPIC: &str = "t";
pub(crate) const PARTITIONS: i32 = 3;
pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;
/// Every wait of a test ends by then.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
const BROKERS: usize = 3;
const SLOTS: u16 = 3;
const METADATA: i16 = 3;
const DESCRIBE_PRODUCERS: i16 = 61;

/// The world of a test. The first cluster is active.
pub(crate) struct World {
    clusters: Vec<pointsman_sandbox::Cluster>,
    shared: Vec<Arc<Cluster>>,
    proxy: SocketAddr,
    topic_ids: Arc<TopicIds>,
    generations: Arc<Generations>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    generation: u64,
    term: u32,
    translated: bool,
    _plane: DataPlane,
}

/// What a log remembers of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Remembered {
    pub(crate) id: i64,
    pub(crate) epoch: i64,
}

impl World {
    /// Not `translated`: the chain is kept in its first term, so that producer ids pass as they are.
    pub(crate) async fn new(translated: bool) -> Self {
        let (mut clusters, mut shared) = (Vec::new(), Vec::new());
        for name in ["primary", "secondary"] {
            let cluster = pointsman_sandbox::Cluster::start(ClusterSpec::new(name, BROKERS)).await;
            let cluster = cluster.expect("the sandbox starts");
            cluster.create_topic(TOPIC, 3, BROKERS, &[]).expect("a topic");
            shared.push(observed(name, &cluster).await);
            clusters.push(cluster);
        }
        let listener = VirtualListener::bind(&VirtualClusterConfig {
            name: "main".into(),
            mode: Mode::Kafka,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: (0, 0),
            slots: SLOTS,
            advertise: "127.0.0.1".into(),
            chain: vec!["primary".into(), "secondary".into()],
            failover: FailoverConfig::default(),
            replication: Replication::default(),
            positions: Positions::default(),
        });
        let listener = listener.expect("a port");
        let proxy = listener.addresses()[0];
        let topic_ids = Arc::new(TopicIds::new("main", []));
        let nothing = Snapshot { generation: 0, clusters: Vec::new(), virtual_clusters: Vec::new() };
        let (snapshots, seen) = watch::channel(Arc::new(nothing));
        let (signals, _) = mpsc::channel(16);
        let generations = Arc::<Generations>::default();
        let plane = DataPlane::new(seen, generations.clone(), signals, Instant::now());
        let mut world = Self {
            clusters,
            shared,
            proxy,
            topic_ids,
            generations,
            snapshots,
            generation: 0,
            term: 0,
            translated,
            _plane: plane,
        };
        world.publish(Some(A));
        world._plane.serve(listener, Arc::default());
        world
    }

    /// A producer that sends every record at once.
    pub(crate) fn producer(&self) -> Producer {
        let client = ClientConfig::new([self.proxy.to_string()]);
        Producer::start(ProducerConfig { linger: Duration::ZERO, ..ProducerConfig::new(client, TOPIC) })
    }

    /// Another cluster becomes active, in two phases.
    pub(crate) async fn switch(&mut self, to: usize) {
        self.publish(None);
        timeout(DEADLINE, self.generations.passed(self.generation)).await.expect("the fence passes");
        self.term += u32::from(self.translated);
        self.publish(Some(to));
    }

    fn publish(&mut self, active: Option<usize>) {
        self.generation += 1;
        let slot = || Address { host: "127.0.0.1".into(), port: self.proxy.port() };
        let active = active.map(|number| Active {
            cluster: self.shared[number].clone(),
            since: self.generation,
            epoch_base: i32::try_from(self.generation).expect("small") * 1000,
            producer_ids: ProducerIds::new("main", self.term),
            switch_point: Arc::default(),
        });
        let virtual_cluster = VirtualCluster {
            name: "main".into(),
            cluster_id: "main".into(),
            slots: (0..SLOTS).map(|_| slot()).collect(),
            shared_port: true,
            chain: self.shared.clone(),
            switching: active.is_none(),
            consumers: Consumers::Together,
            active,
            offer: Arc::new(rules::ours()),
            topic_ids: self.topic_ids.clone(),
            replication: Replication::default(),
            positions: Positions::default(),
            groups: Arc::default(),
            commits: Arc::default(),
            passthrough: None,
        };
        let virtual_clusters = vec![Arc::new(virtual_cluster)];
        let clusters = self.shared.clone();
        self.snapshots.send_replace(Arc::new(Snapshot {
            generation: self.generation,
            clusters,
            virtual_clusters,
        }));
    }

    /// What is in the logs of a cluster, asked past the proxy.
    pub(crate) async fn log(&self, cluster: usize) -> Vec<String> {
        let admin = Admin::new(ClientConfig::new(self.addresses(cluster)));
        let mut values = Vec::new();
        for partition in 0..PARTITIONS {
            let records = admin.read_partition(TOPIC, partition).await.expect("the log can be read");
            let value = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("text");
            values.extend(records.iter().filter_map(|r| r.record.value.as_ref()).map(value));
        }
        values
    }

    /// What the logs of a cluster remember of producers, asked past the proxy.
    pub(crate) async fn remembered(&self, cluster: usize) -> Vec<Remembered> {
        let mut all = Vec::new();
        for partition in 0..PARTITIONS {
            let leader = self.clusters[cluster].leader(TOPIC, partition).expect("it has a leader");
            let connection = open(&self.addresses(cluster)[leader]).await;
            let indexes = vec![Value::from(partition)];
            let topic = Struct::new().with("Name", TOPIC).with("PartitionIndexes", indexes);
            let request = Struct::new().with("Topics", vec![topic]);
            let told = connection.call(DESCRIBE_PRODUCERS, 0, &request).await.expect("an answer");
            let partitions = told.structs("Topics").flat_map(|t| t.structs("Partitions"));
            let producers = partitions.flat_map(|p| p.structs("ActiveProducers"));
            all.extend(
                producers.map(|p| Remembered { id: p.int("ProducerId"), epoch: p.int("ProducerEpoch") }),
            );
        }
        all
    }

    fn addresses(&self, cluster: usize) -> Vec<String> {
        addresses(&self.clusters[cluster])
    }
}

fn addresses(cluster: &pointsman_sandbox::Cluster) -> Vec<String> {
    cluster.addresses().iter().map(ToString::to_string).collect()
}

async fn open(address: &str) -> Connection {
    let config = ClientConfig::new([address]);
    Connection::open(address, &config).await.expect("a broker of the sandbox listens")
}

/// A cluster with its topology, as one of its brokers tells it.
async fn observed(name: &str, cluster: &pointsman_sandbox::Cluster) -> Arc<Cluster> {
    let connection = open(&addresses(cluster)[0]).await;
    let all = Struct::new().with("Topics", Value::Null);
    let told = connection.call(METADATA, 12, &all).await.expect("metadata");
    let (topology, mut body) = (TopologyCell::default(), Vec::new());
    let message = tables::response(METADATA, 12).expect("a version of the tables");
    value::encode(message, 12, &told, &mut body).expect("what was decoded");
    topology.merge(&rules::observe(12, &body, true).expect("metadata"), Now::ZERO);
    let bootstrap =
        cluster.addresses().into_iter().map(|a| Address { host: "127.0.0.1".into(), port: a.port() });
    Arc::new(Cluster {
        name: name.into(),
        bootstrap: bootstrap.collect(),
        topology: Arc::new(topology),
        ends: Arc::default(),
    })
}

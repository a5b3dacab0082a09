//! A virtual cluster on loopback, with brokers that the tests play.

use crate::memory::Measure;
use bytes::Bytes;
use pointsman_core::{
    Now,
    config::{Address, FailoverConfig, Mode, Positions, Replication, VirtualClusterConfig},
    producer_ids::ProducerIds,
    rules,
    snapshot::{Active, Cluster, Consumers, Snapshot, VirtualCluster},
    topic_ids::TopicIds,
    topology::{Observation, Partition, Topic, TopologyCell},
};
use pointsman_net::{DataPlane, VirtualListener, fence::Generations};
use pointsman_wire::value::{self, Struct};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};

pub(crate) const MIB: usize = 1 << 20;
/// Every wait of a test ends by then.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// A socket that takes nothing for so long has its buffers full.
const FULL: Duration = Duration::from_millis(300);

const PIECE: usize = 16 << 10;
static ZEROS: [u8; PIECE] = [0; PIECE];

/// Two clusters of two brokers each; topic `t` has partitions 0 and 2 on the first, 1 and 3 on the second.
pub(crate) struct World {
    pub(crate) measure: Measure,
    pub(crate) brokers: Vec<TcpListener>,
    pub(crate) proxy: SocketAddr,
    clusters: Vec<Arc<Cluster>>,
    pub(crate) generations: Arc<Generations>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    topic_ids: Arc<TopicIds>,
    plane: DataPlane,
}

fn cluster(name: &str, brokers: &[TcpListener]) -> Arc<Cluster> {
    let addresses = brokers.iter().map(|b| b.local_addr().expect("bound"));
    let addresses: Vec<_> = addresses.map(|a| Address { host: "127.0.0.1".into(), port: a.port() }).collect();
    let topology = TopologyCell::default();
    let partitions = (0..4).map(|i| Partition { leader: i % 2, epoch: 1 }).collect();
    let topics = vec![Topic { name: "t".into(), id: uuid::Uuid::from_u128(7), partitions }];
    let observed = Observation {
        brokers: (0..).zip(&addresses).map(|(n, a)| (n, a.clone(), None)).collect(),
        topics,
        all_topics: true,
        ..Observation::default()
    };
    topology.merge(&observed, Now::ZERO);
    Arc::new(Cluster {
        name: name.into(),
        bootstrap: addresses,
        topology: Arc::new(topology),
        ends: Arc::default(),
    })
}

impl World {
    pub(crate) async fn new() -> Self {
        let measure = Measure::begin().await;
        let mut brokers = Vec::new();
        for _ in 0..4 {
            brokers.push(TcpListener::bind("127.0.0.1:0").await.expect("a port"));
        }
        let clusters = vec![cluster("primary", &brokers[..2]), cluster("secondary", &brokers[2..])];
        let topic_ids = Arc::new(TopicIds::new("main", []));
        let (snapshots, seen) = watch::channel(snapshot(1, &clusters, 0, &topic_ids));
        let (signals, _) = mpsc::channel(16);
        let generations = Arc::<Generations>::default();
        let plane = DataPlane::new(seen, generations.clone(), signals, Instant::now());
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listener = VirtualListener::bind(&VirtualClusterConfig {
            name: "main".into(),
            mode: Mode::Kafka,
            bind: loopback,
            ports: (0, 0),
            slots: 2,
            advertise: "127.0.0.1".into(),
            chain: vec!["primary".into(), "secondary".into()],
            failover: FailoverConfig::default(),
            replication: Replication::default(),
            positions: Positions::default(),
        });
        let listener = listener.expect("a port");
        let proxy = listener.addresses()[0];
        plane.serve(listener, Arc::default());
        Self { measure, brokers, proxy, clusters, generations, snapshots, topic_ids, plane }
    }

    /// See [`DataPlane::move_always`].
    pub(crate) fn move_always(&self) {
        self.plane.move_always();
    }

    /// How often connections have moved, if there is a second thread.
    pub(crate) fn moves(&self) -> Option<u64> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (threads > 1).then(|| self.plane.moves())
    }

    pub(crate) async fn client(&self) -> Peer {
        Peer(TcpStream::connect(self.proxy).await.expect("the proxy listens"))
    }

    /// The connection that the proxy opens to a broker: 0 and 1 are the primary's.
    pub(crate) async fn broker(&self, number: usize) -> Peer {
        let accepted = timeout(DEADLINE, self.brokers[number].accept()).await.expect("the proxy connects");
        Peer(accepted.expect("accepts").0)
    }

    pub(crate) fn switch(&self) {
        self.snapshots.send_replace(snapshot(2, &self.clusters, 1, &self.topic_ids));
    }
}

fn snapshot(
    generation: u64,
    clusters: &[Arc<Cluster>],
    active: usize,
    topic_ids: &Arc<TopicIds>,
) -> Arc<Snapshot> {
    let slot = |port| Address { host: "127.0.0.1".into(), port };
    let epoch_base = if active == 0 { 0 } else { 1000 };
    let virtual_cluster = VirtualCluster {
        name: "main".into(),
        cluster_id: "main".into(),
        slots: [slot(1), slot(2)].into(),
        shared_port: true,
        chain: clusters.to_vec(),
        active: Some(Active {
            cluster: clusters[active].clone(),
            since: generation,
            epoch_base,
            producer_ids: ProducerIds::default(),
            switch_point: Arc::default(),
        }),
        switching: false,
        consumers: Consumers::Together,
        offer: Arc::new(rules::ours()),
        topic_ids: topic_ids.clone(),
        replication: Replication::default(),
        positions: Positions::default(),
        groups: Arc::default(),
        commits: Arc::default(),
        passthrough: None,
    };
    let virtual_clusters = vec![Arc::new(virtual_cluster)];
    Arc::new(Snapshot { generation, clusters: clusters.to_vec(), virtual_clusters })
}

/// One end of a connection.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        timeout(DEADLINE, self.0.write_all(bytes)).await.expect("the other side reads").expect("writes");
    }

    /// Writes `len` zeros.
    pub(crate) async fn write_zeros(&mut self, mut len: usize) {
        while len > 0 {
            let n = len.min(ZEROS.len());
            self.write(&ZEROS[..n]).await;
            len -= n;
        }
    }

    /// Writes zeros until the other side takes no more, or `len` of them; returns how many.
    pub(crate) async fn write_until_full(&mut self, len: usize) -> usize {
        let mut written = 0;
        while written < len {
            let piece = &ZEROS[..ZEROS.len().min(len - written)];
            match timeout(FULL, self.0.write(piece)).await {
                Ok(n) => written += n.expect("writes"),
                Err(_) => break,
            }
        }
        written
    }

    pub(crate) async fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        timeout(DEADLINE, self.0.read_exact(&mut bytes)).await.expect("bytes come").expect("reads");
        bytes
    }

    /// Reads and drops `len` bytes; returns their sum, so that something is compared.
    pub(crate) async fn skip(&mut self, mut len: usize) -> u64 {
        let (mut piece, mut sum) = (vec![0; PIECE], 0);
        while len > 0 {
            let n = len.min(piece.len());
            let read =
                timeout(DEADLINE, self.0.read(&mut piece[..n])).await.expect("bytes come").expect("reads");
            assert!(read > 0, "the connection ended with {len} bytes to come");
            sum += piece[..read].iter().map(|b| u64::from(*b)).sum::<u64>();
            len -= read;
        }
        sum
    }

    /// Reads to the end of the connection; returns how many bytes came.
    pub(crate) async fn drain(&mut self) -> usize {
        let (mut piece, mut all) = (vec![0; PIECE], 0);
        loop {
            match timeout(DEADLINE, self.0.read(&mut piece)).await.expect("it ends") {
                Ok(0) | Err(_) => return all,
                Ok(n) => all += n,
            }
        }
    }

    /// Size of the next frame.
    pub(crate) async fn size(&mut self) -> usize {
        u32::from_be_bytes(self.read(4).await.try_into().expect("four")) as usize
    }

    /// A small request as a broker gets it: correlation id and body.
    pub(crate) async fn request(&mut self) -> (i32, Struct) {
        let size = self.size().await;
        let (_, _, correlation, _, body) =
            value::decode_request(&Bytes::from(self.read(size).await)).expect("decodes");
        (correlation, body)
    }

    /// An answer as the client gets it.
    pub(crate) async fn reply(&mut self, key: i16, version: i16) -> (i32, Struct) {
        let size = self.size().await;
        value::decode_response(key, version, &Bytes::from(self.read(size).await)).expect("decodes")
    }

    /// The connection still works.
    pub(crate) async fn is_served(&mut self) -> bool {
        let request = value::encode_request(18, 3, 9, Some("client"), &Struct::new()).expect("encodes");
        self.write(&request).await;
        let (correlation, body) = self.reply(18, 3).await;
        correlation == 9 && body.i16("ErrorCode") == 0
    }
}

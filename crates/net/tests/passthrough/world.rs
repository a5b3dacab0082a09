//! A data plane in passthrough mode between plain sockets: the tests are the clients, the brokers and the control plane.

use pointsman_core::{
    config::{Address, FailoverConfig, Mode, Passthrough, Positions, Replication, VirtualClusterConfig},
    metrics::{CloseReason, VirtualClusterMetrics},
    passthrough::{Outliers, Slot, View},
    signal::Signal,
    snapshot::{Cluster, Snapshot, VirtualCluster},
    topic_ids::TopicIds,
};
use pointsman_net::{DataPlane, VirtualListener, fence::Generations};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{interval, timeout},
};

/// Nothing here takes so long, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
pub(crate) const PRIMARY: usize = 0;
pub(crate) const SECONDARY: usize = 1;

/// A primary of so many brokers, a secondary of so many, and Pointsman with a slot for each of the larger one.
pub(crate) struct World {
    pub(crate) brokers: [Vec<TcpListener>; 2],
    pub(crate) clusters: [Arc<Cluster>; 2],
    pub(crate) proxy: Vec<SocketAddr>,
    pub(crate) metrics: Arc<VirtualClusterMetrics>,
    pub(crate) generations: Arc<Generations>,
    pub(crate) signals: mpsc::Receiver<Signal>,
    pub(crate) outliers: Arc<Outliers>,
    pub(crate) generation: u64,
    config: VirtualClusterConfig,
    snapshots: watch::Sender<Arc<Snapshot>>,
    plane: Option<DataPlane>,
}

impl World {
    pub(crate) async fn new(sizes: [usize; 2], rules: Passthrough) -> Self {
        let (mut brokers, mut clusters) = ([Vec::new(), Vec::new()], Vec::new());
        for (cluster, name) in ["primary", "secondary"].into_iter().enumerate() {
            for _ in 0..sizes[cluster] {
                brokers[cluster].push(TcpListener::bind("127.0.0.1:0").await.expect("a port"));
            }
            clusters.push(shared(name, &brokers[cluster]));
        }
        let slots = u16::try_from(sizes[0].max(sizes[1])).expect("few");
        let (config, listener) = listen(slots, rules);
        let nothing = Snapshot { generation: 0, clusters: Vec::new(), virtual_clusters: Vec::new() };
        let (snapshots, seen) = watch::channel(Arc::new(nothing));
        let (sender, signals) = mpsc::channel(256);
        let generations = Arc::<Generations>::default();
        let plane = DataPlane::new(seen, generations.clone(), sender, Instant::now());
        let (proxy, metrics) = (listener.addresses(), Arc::<VirtualClusterMetrics>::default());
        let clusters = clusters.try_into().expect("two");
        let mut world = Self {
            brokers,
            clusters,
            proxy,
            metrics: metrics.clone(),
            generations,
            signals,
            outliers: Arc::default(),
            generation: 0,
            config,
            snapshots,
            plane: None,
        };
        world.lead_all_to(PRIMARY);
        plane.serve(listener, metrics);
        world.plane = Some(plane);
        world
    }

    /// The second phase of a switch.
    pub(crate) fn lead_all_to(&mut self, cluster: usize) {
        self.lead_all(cluster, false);
    }

    pub(crate) fn lead_all(&mut self, cluster: usize, planned: bool) {
        let since = self.generation + 1;
        let slot = Slot::To { cluster: self.clusters[cluster].clone(), since, planned };
        self.publish((0..self.config.slots).map(|_| slot.clone()).collect());
    }

    /// The first phase.
    pub(crate) fn fence(&mut self, planned: bool) {
        self.publish((0..self.config.slots).map(|_| Slot::Wait { planned }).collect());
    }

    pub(crate) fn lead_nowhere(&mut self) {
        self.publish((0..self.config.slots).map(|_| Slot::Nowhere).collect());
    }

    /// Resolves when no connection uses an older snapshot.
    pub(crate) async fn fence_passes(&self) {
        let passed = self.generations.passed(self.generation);
        timeout(DEADLINE, passed).await.expect("the fence passes");
    }

    pub(crate) fn publish(&mut self, slots: Vec<Slot>) {
        self.generation += 1;
        let rules = Arc::new(self.config.mode.passthrough().expect("passthrough").clone());
        let view = View { rules, slots: slots.into(), outliers: self.outliers.clone() };
        let virtual_cluster = VirtualCluster {
            consumers: Default::default(),
            name: "main".into(),
            cluster_id: "main".into(),
            slots: self.config.slot_addresses(),
            shared_port: false,
            chain: self.clusters.to_vec(),
            active: None,
            switching: false,
            offer: Arc::default(),
            topic_ids: Arc::new(TopicIds::new("main", [])),
            replication: Replication::default(),
            positions: Positions::default(),
            groups: Arc::default(),
            commits: Arc::default(),
            passthrough: Some(view),
        };
        self.snapshots.send_replace(Arc::new(Snapshot {
            generation: self.generation,
            clusters: self.clusters.to_vec(),
            virtual_clusters: vec![Arc::new(virtual_cluster)],
        }));
    }

    pub(crate) async fn client(&self, slot: usize) -> Peer {
        let port = self.proxy[slot.min(self.proxy.len() - 1)];
        let connected = timeout(DEADLINE, TcpStream::connect(port)).await.expect("in time");
        Peer(connected.expect("the proxy listens"))
    }

    /// The connection that Pointsman opens to a broker.
    pub(crate) async fn broker(&self, cluster: usize, broker: usize) -> Peer {
        let accepted = timeout(DEADLINE, self.brokers[cluster][broker].accept()).await;
        Peer(accepted.expect("Pointsman connects").expect("accepted").0)
    }

    /// A client of a slot and the broker's end of its connection.
    pub(crate) async fn pair(&self, slot: usize, cluster: usize) -> (Peer, Peer) {
        let client = self.client(slot).await;
        let broker = self.broker(cluster, slot % self.brokers[cluster].len()).await;
        (client, broker)
    }

    /// Waits until so many connections were closed for a reason.
    pub(crate) async fn wait_closed(&self, reason: CloseReason, times: u64) {
        let count = || self.metrics.closed[reason as usize].value();
        wait_for(|| count() == times, || format!("{}: {} of {times}", reason.word(), count())).await;
    }

    pub(crate) fn nobody_comes(&self, cluster: usize) -> bool {
        let waker = std::task::Waker::noop();
        let mut cx = std::task::Context::from_waker(waker);
        self.brokers[cluster].iter().all(|b| b.poll_accept(&mut cx).is_pending())
    }

    pub(crate) async fn shut_down(&mut self, limit: Duration) -> usize {
        self.plane.take().expect("it runs").shut_down(limit).await
    }
}

fn shared(name: &str, brokers: &[TcpListener]) -> Arc<Cluster> {
    let address =
        |b: &TcpListener| Address { host: "127.0.0.1".into(), port: b.local_addr().expect("bound").port() };
    Arc::new(Cluster {
        name: name.into(),
        bootstrap: brokers.iter().map(address).collect(),
        topology: Arc::default(),
        ends: Arc::default(),
    })
}

/// A range of free ports, or one for server names.
fn listen(slots: u16, rules: Passthrough) -> (VirtualClusterConfig, VirtualListener) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let one = rules.sni.is_some();
    let mut config = VirtualClusterConfig {
        name: "main".into(),
        mode: Mode::Passthrough(rules),
        bind: Ipv4Addr::LOCALHOST.into(),
        ports: (0, 0),
        slots,
        advertise: "127.0.0.1".into(),
        chain: vec!["primary".into(), "secondary".into()],
        failover: FailoverConfig::default(),
        replication: Replication::default(),
        positions: Positions::default(),
    };
    for _ in 0..500 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        // Above the ports that the system hands out, mostly, and apart from those of other processes.
        let first =
            20_000 + (u16::try_from(std::process::id() % 1000).expect("small") * 12 + step * 97) % 12_000;
        config.ports = if one { (0, 0) } else { (first, first + slots - 1) };
        if let Ok(listener) = VirtualListener::bind(&config) {
            return (config, listener);
        }
    }
    panic!("no free range of {slots} ports");
}

pub(crate) async fn wait_for(is: impl Fn() -> bool, state: impl Fn() -> String) {
    let (deadline, mut ticks) = (Instant::now() + DEADLINE, interval(POLL));
    while !is() {
        assert!(Instant::now() < deadline, "{}", state());
        ticks.tick().await;
    }
}

/// One end of a connection, with deadlines.
pub(crate) struct Peer(pub(crate) TcpStream);

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

impl Peer {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(DEADLINE, self.0.write_all(bytes)).await.expect("in time").expect("written");
    }

    /// The next so many bytes.
    pub(crate) async fn take(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        timeout(DEADLINE, self.0.read_exact(&mut bytes)).await.expect("in time").expect("bytes");
        bytes
    }

    /// What still comes, and how it ends.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, End) {
        let mut bytes = Vec::new();
        let end = timeout(DEADLINE, self.read_rest(&mut bytes)).await.expect("an end");
        (bytes, end)
    }

    /// How it ends, however long that takes.
    pub(crate) async fn end(&mut self) -> End {
        self.read_rest(&mut Vec::new()).await
    }

    async fn read_rest(&mut self, bytes: &mut Vec<u8>) -> End {
        match self.0.read_to_end(bytes).await {
            Ok(_) => End::Closed,
            Err(_) => End::Reset,
        }
    }

    /// Says something and is heard: the connection works.
    pub(crate) async fn greet(&mut self, other: &mut Peer) {
        self.send(b"ping").await;
        assert_eq!(other.take(4).await, b"ping");
        other.send(b"pong").await;
        assert_eq!(self.take(4).await, b"pong");
    }

    pub(crate) async fn end_writing(&mut self) {
        self.0.shutdown().await.expect("it is open");
    }

    pub(crate) fn reset(self) {
        self.0.set_zero_linger().expect("it is open");
    }
}

//! Small Kafka clusters on loopback that answer what probes ask, and a control plane in front of them.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "only tests use it")]

mod broker;

pub(crate) use broker::{Brokers, Mood};

use pointsman_control::{
    ControlPlane, Fence, StartError, Startup,
    clock::Clock,
    start,
    state::{FileStore, StateStore},
};
use pointsman_core::{
    config::{
        AdminConfig, Bootstrap, ClusterConfig, Config, Failback, FailoverConfig, HealthConfig, Mode,
        Positions, ProbeKind, Quorum, Replication, StateConfig, VirtualClusterConfig,
    },
    offer::Offer,
    signal::Signal,
    snapshot::{Snapshot, VirtualCluster},
    status::Status,
};
use std::{
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// Nothing here takes so long, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A cluster's configuration with quick probes.
pub(crate) fn cluster(name: &str, brokers: &Brokers) -> ClusterConfig {
    ClusterConfig {
        name: name.into(),
        bootstrap: Bootstrap::Static(brokers.addresses()),
        region: None,
        health: HealthConfig {
            probe: ProbeKind::Kafka,
            interval: ms(100),
            edge_interval: ms(20),
            jitter: Duration::ZERO,
            timeout: ms(800),
            unhealthy_after: 3,
            healthy_after: 2,
            quorum: Quorum::Majority,
            forget_after: None,
        },
        health_listeners: Vec::new(),
    }
}

/// One virtual cluster `main` over `primary` and `secondary`.
pub(crate) fn config(primary: &Brokers, secondary: &Brokers) -> Config {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("pointsman-control-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    Config {
        admin: AdminConfig { listen: ([127, 0, 0, 1], 0).into() },
        state: StateConfig::File(directory.join("state.json")),
        clusters: vec![cluster("primary", primary), cluster("secondary", secondary)],
        virtual_clusters: vec![VirtualClusterConfig {
            name: "main".into(),
            mode: Mode::Kafka,
            bind: [127, 0, 0, 1].into(),
            ports: (9092, 9094),
            slots: 3,
            advertise: "kafka.example.com".into(),
            chain: vec!["primary".into(), "secondary".into()],
            failover: FailoverConfig {
                hold: ms(500),
                consumer_drain: Duration::ZERO,
                ..FailoverConfig::default()
            },
            replication: Replication::default(),
            positions: Positions::default(),
        }],
    }
}

pub(crate) fn state_file(config: &Config) -> PathBuf {
    let StateConfig::File(path) = &config.state;
    path.clone()
}

/// A data plane that has nobody to wait for, or waits for ever.
pub(crate) struct TestFence(pub(crate) bool);

impl Fence for TestFence {
    fn passed(&self, _: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if self.0 { Box::pin(std::future::ready(())) } else { Box::pin(std::future::pending()) }
    }
}

/// Everything Pointsman can do, for the apis that the fake brokers have.
pub(crate) fn ours() -> Offer {
    let apis = [(3, (0, 13)), (18, (0, 4)), (55, (0, 2)), (71, (0, 0)), (72, (0, 0))];
    Offer { apis: apis.into(), ..Offer::default() }
}

pub(crate) struct Control {
    pub(crate) plane: ControlPlane,
    pub(crate) signals: mpsc::Sender<Signal>,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Control {
    pub(crate) async fn start(config: Config) -> Self {
        Self::try_start(config, TestFence(true)).await.unwrap()
    }

    pub(crate) async fn try_start(config: Config, fence: TestFence) -> Result<Self, StartError> {
        let (signals, received) = mpsc::channel(64);
        let plane = start(startup(config, received, fence)).await?;
        Ok(Self { snapshots: plane.snapshots(), plane, signals })
    }

    /// With another state store.
    pub(crate) async fn start_with(config: Config, store: Arc<dyn StateStore>) -> Self {
        let (signals, received) = mpsc::channel(64);
        let startup = startup(config, received, TestFence(true));
        let plane = pointsman_control::start_with(startup, store).await.unwrap();
        Self { snapshots: plane.snapshots(), plane, signals }
    }

    pub(crate) fn main(&self) -> Arc<VirtualCluster> {
        self.snapshots.borrow().virtual_clusters[0].clone()
    }

    pub(crate) fn active(&self) -> Option<String> {
        self.main().active.as_ref().map(|a| a.cluster.name.to_string())
    }

    pub(crate) async fn status(&self) -> Status {
        self.plane.handle().status().await.unwrap()
    }

    /// Waits for a snapshot.
    pub(crate) async fn until(&mut self, what: &str, good: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let found = timeout(DEADLINE, self.snapshots.wait_for(|s| good(s))).await.map(|s| s.unwrap().clone());
        match found {
            Ok(snapshot) => snapshot,
            Err(_) => panic!("no snapshot with {what}: {:#?}", self.status().await),
        }
    }

    pub(crate) async fn until_active(&mut self, cluster: &str) {
        let is_active =
            |s: &Snapshot| s.virtual_clusters[0].active.as_ref().is_some_and(|a| &*a.cluster.name == cluster);
        self.until(&format!("{cluster} active"), is_active).await;
    }

    /// Asks for the status until it is so.
    pub(crate) async fn until_status(&self, what: &str, good: impl Fn(&Status) -> bool) -> Status {
        let mut ticks = tokio::time::interval(ms(5));
        let asked = timeout(DEADLINE, async {
            loop {
                ticks.tick().await;
                let status = self.status().await;
                if good(&status) {
                    return status;
                }
            }
        });
        match asked.await {
            Ok(status) => status,
            Err(_) => panic!("no status with {what}: {:#?}", self.status().await),
        }
    }

    /// The number of brokers of a cluster in a state.
    pub(crate) async fn until_brokers(&self, cluster: usize, state: &str, count: usize) {
        let in_state = |s: &Status| s.clusters[cluster].brokers.iter().filter(|b| b.state == state).count();
        self.until_status(&format!("{count} brokers of {cluster} {state}"), |s| in_state(s) == count).await;
    }

    pub(crate) async fn stop(self) {
        timeout(DEADLINE, self.plane.stop()).await.expect("every task ends");
    }
}

fn startup(config: Config, signals: mpsc::Receiver<Signal>, fence: TestFence) -> Startup {
    Startup {
        config,
        ours: ours(),
        signals,
        fence: Arc::new(fence),
        clock: Clock::start(),
        metrics: vec![("main".into(), Arc::default())],
    }
}

/// What is on disk.
pub(crate) fn stored(config: &Config) -> pointsman_control::state::State {
    FileStore::new(state_file(config)).load().unwrap().unwrap()
}

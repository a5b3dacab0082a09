//! A running cluster, and what can be done to it.

use crate::{
    fault::Injected,
    server,
    spec::ClusterSpec,
    world::{Partition, Shared, Topic, World},
};
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::watch,
    task::{AbortHandle, JoinHandle},
};
use uuid::Uuid;

/// How often the controllers look around.
const TICK: Duration = Duration::from_millis(20);

/// How long a restarted broker waits for the quorum.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A cluster of brokers in this process. Dropping it ends them.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    runtime: Handle,
    running: Mutex<Vec<Running>>,
    ticker: AbortHandle,
}

/// One broker's process, as it were.
#[derive(Debug)]
struct Running {
    port: u16,
    paused: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

/// What a broker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    /// It serves.
    Up,
    /// It was killed.
    Down,
    /// It was started again, and waits for the cluster's metadata.
    Starting,
    /// It was paused: connections stay, nothing is answered.
    Paused,
    /// It is cut off from the other brokers, and serves clients with what it knows.
    Isolated,
}

impl Cluster {
    /// Starts all brokers. They serve when this returns.
    ///
    /// # Errors
    /// A port that is taken, or a specification without brokers.
    pub async fn start(spec: ClusterSpec) -> io::Result<Self> {
        let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if spec.brokers == 0 {
            return wrong("a cluster needs at least one broker");
        }
        if !spec.ports.is_empty() && spec.ports.len() != spec.brokers {
            return wrong("give a port for each broker, or none at all");
        }
        let mut listeners = Vec::new();
        for broker in 0..spec.brokers {
            listeners.push(bind(spec.ports.get(broker).copied().unwrap_or(0)).await?);
        }
        let ports = listeners.iter().map(|l| Ok(l.local_addr()?.port())).collect::<io::Result<Vec<u16>>>()?;
        let cluster_id = spec.cluster_id.clone().unwrap_or_else(random_id);
        let shared = Arc::new(Shared::new(spec, &ports, cluster_id));
        let running =
            ports.iter().map(|port| Running { port: *port, paused: watch::Sender::new(false), task: None });
        let ticker = tokio::spawn(tick(Arc::clone(&shared))).abort_handle();
        let cluster =
            Self { shared, runtime: Handle::current(), running: Mutex::new(running.collect()), ticker };
        for (broker, listener) in listeners.into_iter().enumerate() {
            cluster.serve(broker, listener);
        }
        Ok(cluster)
    }

    fn serve(&self, broker: usize, listener: TcpListener) {
        let running = &mut self.running()[broker];
        let server = server::serve(Arc::clone(&self.shared), broker, listener, running.paused.subscribe());
        running.task = Some(self.runtime.spawn(server));
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of brokers.
    pub fn brokers(&self) -> usize {
        self.running().len()
    }

    /// The addresses of all brokers.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.running().iter().map(|r| SocketAddr::from((Ipv4Addr::LOCALHOST, r.port))).collect()
    }

    /// The addresses of all brokers, separated by commas.
    pub fn bootstrap(&self) -> String {
        self.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// What brokers tell clients to connect to instead of their own ports, by place: the ports of a proxy that does not change
    /// what it forwards. Brokers without an entry tell their own again.
    pub fn advertise(&self, ports: &[u16]) {
        let own: Vec<u16> = self.running().iter().map(|r| r.port).collect();
        for (broker, own) in own.into_iter().enumerate() {
            let told = ports.get(broker).copied().unwrap_or(own);
            self.change_broker(broker, |b| b.port = told);
        }
    }

    /// The cluster id that clients are told.
    pub fn cluster_id(&self) -> String {
        self.shared.lock().cluster_id.clone()
    }

    /// What each broker is doing.
    pub fn states(&self) -> Vec<BrokerState> {
        let state = |b: &crate::world::Broker| match b {
            _ if !b.up => BrokerState::Down,
            _ if b.paused => BrokerState::Paused,
            _ if !b.serving => BrokerState::Starting,
            _ if b.isolated => BrokerState::Isolated,
            _ => BrokerState::Up,
        };
        self.shared.lock().brokers.iter().map(state).collect()
    }

    /// Kills a broker as SIGKILL does: connections end, nobody listens. Its log stays, as page cache does.
    pub fn kill(&self, broker: usize) {
        if let Some(running) = self.running().get(broker) {
            if let Some(task) = &running.task {
                task.abort();
            }
            running.paused.send_replace(false);
        }
        self.change_broker(broker, |b| {
            (b.up, b.paused, b.serving) = (false, false, false);
            b.sessions = crate::sessions::Sessions::default();
        });
    }

    /// Starts a killed broker again. As in Kafka its port opens when it has the cluster's metadata, so not without a quorum of
    /// the controllers.
    ///
    /// # Errors
    /// The port was taken meanwhile.
    pub async fn restart(&self, broker: usize) -> io::Result<()> {
        let old = self.running().get_mut(broker).map(|r| (r.port, r.task.take()));
        let Some((port, task)) = old else { return Ok(()) };
        if let Some(task) = task {
            task.abort();
            // Its sockets are closed when it has ended, not before.
            let _ = task.await;
        }
        // Whether the port is free is told at once; it is opened when the broker has caught up.
        drop(bind(port).await?);
        self.change_broker(broker, |b| {
            b.up = true;
            b.view = Arc::default();
        });
        let mut running = self.running();
        let paused = running[broker].paused.subscribe();
        let server = serve_when_caught_up(Arc::clone(&self.shared), broker, port, paused);
        running[broker].task = Some(self.runtime.spawn(server));
        Ok(())
    }

    /// Waits until a broker that was started again serves; false: not within `limit`.
    pub async fn wait_serving(&self, broker: usize, limit: Duration) -> bool {
        let serving = |world: &mut World| world.brokers.get(broker).is_none_or(|b| b.serving).then_some(());
        self.shared.wait(Instant::now() + limit, serving).await.is_some()
    }

    /// Stops a broker as SIGSTOP does: the kernel still accepts connections, and nothing is answered.
    pub fn pause(&self, broker: usize) {
        self.set_paused(broker, true);
    }

    /// Lets a paused broker go on.
    pub fn resume(&self, broker: usize) {
        self.set_paused(broker, false);
    }

    fn set_paused(&self, broker: usize, paused: bool) {
        self.change_broker(broker, |b| b.paused = paused && b.up);
        if let Some(running) = self.running().get(broker) {
            running.paused.send_replace(paused);
        }
    }

    /// Cuts a broker off from the others, though not from clients, or ends that.
    pub fn isolate(&self, broker: usize, isolated: bool) {
        self.change_broker(broker, |b| b.isolated = isolated);
    }

    /// Each answer of the broker takes so much longer.
    pub fn slow(&self, broker: usize, delay: Duration) {
        self.change_broker(broker, |b| b.delay = delay);
    }

    /// The controllers lose their quorum while all brokers live, or find it again.
    pub fn lose_quorum(&self, lost: bool) {
        self.shared.change(|world| world.quorum_lost = lost);
    }

    /// No password is right any more, or all are again.
    pub fn refuse_credentials(&self, refuse: bool) {
        self.shared.change(|world| world.refuse_credentials = refuse);
    }

    /// Does something to answers to come.
    pub fn inject(&self, injected: Injected) {
        self.shared.change(|world| world.injected.push(injected));
    }

    /// Makes a topic without asking any broker.
    ///
    /// # Errors
    /// It is there already, or there are too few brokers.
    pub fn create_topic(
        &self,
        name: &str,
        partitions: usize,
        replication: usize,
        configs: &[(&str, &str)],
    ) -> Result<(), String> {
        let configs: BTreeMap<String, String> =
            configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.shared.change(|world| {
            if world.image.topics.contains_key(name) {
                return Err(format!("topic {name} is there already"));
            }
            let first = world.image.topics.len();
            let placed: Option<Vec<Partition>> = world.place(first, partitions, replication);
            let partitions =
                placed.ok_or_else(|| format!("{replication} replicas need as many live brokers"))?;
            world.add_topic(name, Topic { id: Uuid::new_v4(), partitions, configs });
            Ok(())
        })
    }

    /// The broker that leads a partition, by its index.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<usize> {
        self.shared.lock().image.partition(topic, partition)?.leader
    }

    /// Replicas in sync of a partition, as indexes of brokers.
    pub fn in_sync(&self, topic: &str, partition: i32) -> Vec<usize> {
        self.shared.lock().image.partition(topic, partition).map_or_else(Vec::new, |p| p.isr.clone())
    }

    /// How many partitions each broker leads.
    pub fn led(&self) -> Vec<usize> {
        let world = self.shared.lock();
        let mut led = vec![0; world.brokers.len()];
        for leader in world.image.topics.values().flat_map(|t| &t.partitions).filter_map(|p| p.leader) {
            led[leader] += 1;
        }
        led
    }

    fn change_broker(&self, broker: usize, change: impl FnOnce(&mut crate::world::Broker)) {
        self.shared.change(|world| {
            if let Some(broker) = world.brokers.get_mut(broker) {
                change(broker);
            }
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.ticker.abort();
        for running in self.running().iter() {
            if let Some(task) = &running.task {
                task.abort();
            }
        }
    }
}

async fn serve_when_caught_up(shared: Arc<Shared>, broker: usize, port: u16, paused: watch::Receiver<bool>) {
    let caught_up = |world: &mut World| (world.brokers[broker].view.offset > 0).then_some(());
    if shared.wait(Instant::now() + PATIENCE, caught_up).await.is_none() {
        return;
    }
    match bind(port).await {
        Ok(listener) => {
            shared.change(|world| world.brokers[broker].serving = true);
            server::serve(shared, broker, listener, paused).await;
        }
        Err(error) => tracing::warn!(broker, %error, "a restarted broker cannot listen"),
    }
}

async fn bind(port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{address}: {e}"));
    TcpListener::bind(address).await.map_err(named)
}

async fn tick(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        interval.tick().await;
        shared.change(|world| world.tick(Instant::now()));
    }
}

/// 22 characters of URL-safe base64, as cluster ids are.
fn random_id() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = Uuid::new_v4().as_u128();
    let digit = |shift: u32| {
        let index = usize::try_from((bits >> shift) & 63).unwrap_or(0);
        char::from(DIGITS[index])
    };
    (0..21).map(|n| digit(n * 6)).chain([digit(122)]).collect()
}

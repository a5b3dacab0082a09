//! Listening sockets of virtual clusters, and the tasks under them.

use crate::{
    connection::Connection,
    dial::Names,
    fence::Generations,
    herald::Herald,
    passthrough::{self, Arrival, Spread},
    pipes::Pipes,
    socket,
    workers::{Place, Workers},
};
use pointsman_core::{
    Now,
    config::VirtualClusterConfig,
    metrics::{CloseReason, VirtualClusterMetrics},
    session::{Close, Session, gate::Gate, members::Members},
    signal::Signal,
    snapshot::Snapshot,
};
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, watch},
    time::{Instant, sleep},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::{Instrument, debug, info, info_span, warn};

/// Connections the kernel may hold before they are accepted.
const BACKLOG: u32 = 1024;
/// Pause after a failed accept, so that a process without file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the connections of one virtual cluster share.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) names: Names,
    pub(crate) gate: Arc<Gate>,
    pub(crate) members: Arc<Members>,
    pub(crate) metrics: Arc<VirtualClusterMetrics>,
    pub(crate) signals: mpsc::Sender<Signal>,
    pub(crate) pipes: Pipes,
    pub(crate) spread: Spread,
    started: Instant,
}

impl Shared {
    pub(crate) fn now(&self) -> Now {
        self.started.elapsed()
    }

    pub(crate) fn instant(&self, now: Now) -> Instant {
        self.started + now
    }
}

/// A port that could not be opened.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The virtual cluster it is for.
    pub virtual_cluster: Arc<str>,
    /// Why not.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, virtual_cluster, source } = self;
        write!(f, "virtual cluster {virtual_cluster}: cannot listen on {address}: {source}")?;
        if source.kind() == io::ErrorKind::AddrInUse {
            f.write_str("; end the process that uses the port, or change `listen`")?;
        }
        Ok(())
    }
}

impl std::error::Error for BindError {}

/// The open ports of one virtual cluster.
#[derive(Debug)]
pub struct VirtualListener {
    name: Arc<str>,
    /// Bytes are moved, not understood.
    passthrough: bool,
    /// Each socket with the slot it stands for; none where one port stands for all.
    sockets: Vec<(Option<usize>, TcpListener)>,
}

impl VirtualListener {
    /// Opens all ports, or none.
    pub fn bind(config: &VirtualClusterConfig) -> Result<Self, BindError> {
        let (first, last) = config.ports;
        let rules = config.mode.passthrough();
        let shared_port = rules.map_or(first == last, |rules| rules.sni.is_some());
        let open = |port: u16| {
            let address = SocketAddr::new(config.bind, port);
            let slot = (!shared_port).then(|| usize::from(port - first));
            let failed = |source| BindError { address, virtual_cluster: config.name.clone(), source };
            listen(address).map(|socket| (slot, socket)).map_err(failed)
        };
        let sockets = (first..=last).map(open).collect::<Result<_, _>>()?;
        Ok(Self { name: config.name.clone(), passthrough: rules.is_some(), sockets })
    }

    /// Where it listens, in the order of the ports: with port 0, what the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|(_, socket)| socket.local_addr().ok()).collect()
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// All client connections of the process.
pub struct DataPlane {
    tasks: TaskTracker,
    workers: Arc<Workers>,
    stop: CancellationToken,
    abort: CancellationToken,
    herald: Arc<Herald>,
    _heralding: AbortOnDropHandle<()>,
    generations: Arc<Generations>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    signals: mpsc::Sender<Signal>,
    /// One limit for all virtual clusters: the system counts them by user.
    pipes: Pipes,
    started: std::time::Instant,
}

impl fmt::Debug for DataPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataPlane").field("tasks", &self.tasks.len()).finish()
    }
}

impl DataPlane {
    /// A data plane without listeners. `started` is the origin of [`Now`]. Must be called within a runtime.
    pub fn new(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        generations: Arc<Generations>,
        signals: mpsc::Sender<Signal>,
        started: std::time::Instant,
    ) -> Self {
        let (tasks, stop, abort) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let herald = Arc::<Herald>::default();
        // Not among the tasks that end by themselves: it has to be there until the last of them has ended.
        let said = herald.clone().run(snapshots.clone(), stop.clone(), abort.clone());
        let _heralding = AbortOnDropHandle::new(tokio::spawn(said));
        let workers = Arc::new(Workers::start());
        let pipes = Pipes::default();
        Self {
            tasks,
            workers,
            stop,
            abort,
            herald,
            _heralding,
            generations,
            snapshots,
            signals,
            pipes,
            started,
        }
    }

    /// Serves a virtual cluster on its ports.
    pub fn serve(&self, listener: VirtualListener, metrics: Arc<VirtualClusterMetrics>) {
        let shared = Arc::new(Shared {
            name: listener.name,
            names: Names::default(),
            gate: Arc::default(),
            members: Arc::default(),
            metrics,
            signals: self.signals.clone(),
            pipes: self.pipes.clone(),
            spread: Spread::default(),
            started: Instant::from_std(self.started),
        });
        for (slot, socket) in listener.sockets {
            let acceptor = Acceptor {
                shared: shared.clone(),
                slot,
                passthrough: listener.passthrough,
                tasks: self.tasks.clone(),
                workers: self.workers.clone(),
                stop: self.stop.clone(),
                herald: self.herald.clone(),
                generations: self.generations.clone(),
                snapshots: self.snapshots.clone(),
            };
            let span = info_span!("listener", virtual_cluster = %shared.name, slot);
            self.tasks.spawn(acceptor.run(socket).instrument(span));
        }
    }

    /// From now on connections go to another thread after all work, for tests: nothing may be lost by it.
    #[doc(hidden)]
    pub fn move_always(&self) {
        self.workers.set_restless();
    }

    /// How often connections have gone to another thread, for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.workers.moves()
    }

    /// Stops accepting, lets requests in flight be answered, and ends what is left at the deadline.
    /// Returns how many connections had to be cut.
    pub async fn shut_down(self, deadline: Duration) -> usize {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(deadline, self.tasks.wait()).await.is_ok() {
            return 0;
        }
        let left = self.tasks.len();
        self.abort.cancel();
        self.tasks.wait().await;
        left
    }
}

struct Acceptor {
    shared: Arc<Shared>,
    slot: Option<usize>,
    passthrough: bool,
    tasks: TaskTracker,
    workers: Arc<Workers>,
    stop: CancellationToken,
    herald: Arc<Herald>,
    generations: Arc<Generations>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Acceptor {
    async fn run(self, socket: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => self.spawn(stream, peer),
                Err(error) => {
                    warn!(%error, "cannot accept a connection; trying again in {ACCEPT_PAUSE:?}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, peer: SocketAddr) {
        let span = info_span!("connection", virtual_cluster = %self.shared.name, slot = self.slot, %peer);
        let metrics = self.shared.metrics.clone();
        metrics.accepted.add(1);
        let passthrough = self.passthrough;
        let place = if passthrough { self.workers.fixed_place() } else { self.workers.place() };
        let thread = place.handle().clone();
        let Some(served) = self.serve(stream, place) else { return };
        metrics.connections.inc();
        // The span is entered for what is said only: to enter it for each wake-up costs more than the work of a small frame.
        let connection = async move {
            let close = served.await;
            metrics.connections.dec();
            metrics.closed[close.reason as usize].add(1);
            span.in_scope(|| report(&close, passthrough));
        };
        self.tasks.spawn_on(connection, &thread);
    }

    /// What becomes of a client, in a box: the two kinds differ much in size.
    fn serve(&self, stream: TcpStream, place: Place) -> Option<Pin<Box<dyn Future<Output = Close> + Send>>> {
        let stream = place.take(stream).ok()?;
        if !self.passthrough {
            return Some(Box::pin(Box::new(self.connection(stream, place)?).live()));
        }
        socket::tune(&stream).ok()?;
        let arrival = Arrival {
            shared: self.shared.clone(),
            client: stream,
            slot: self.slot,
            snapshots: self.snapshots.clone(),
            generations: self.generations.clone(),
            listening: self.herald.listening(),
        };
        Some(Box::pin(passthrough::run(arrival, self.stop.clone(), place)))
    }

    fn connection(&self, stream: TcpStream, place: Place) -> Option<Connection> {
        socket::tune(&stream).ok()?;
        let mut snapshots = self.snapshots.clone();
        let snapshot = snapshots.borrow_and_update().clone();
        let mark = self.generations.mark(snapshot.generation);
        let virtual_cluster = snapshot.virtual_cluster(&self.shared.name)?.clone();
        let (gate, metrics) = (self.shared.gate.clone(), self.shared.metrics.clone());
        let session =
            Session::new(virtual_cluster, self.slot, gate, metrics).with_members(self.shared.members.clone());
        let listening = self.herald.listening();
        Some(Connection::new(self.shared.clone(), place, stream, session, snapshots, listening, mark))
    }
}

/// One log line for a connection that did not end by itself.
fn report(close: &Close, passthrough: bool) {
    let Close { reason, detail } = close;
    match reason {
        // A client that is refused comes again and again.
        CloseReason::NoCluster if passthrough => debug!(reason = reason.word(), "{detail}"),
        CloseReason::ClientClosed
        | CloseReason::ClientError
        | CloseReason::Drained
        | CloseReason::BrokerClosed
        | CloseReason::Idle
        | CloseReason::NotTls
        | CloseReason::HelloTimeout
        | CloseReason::BadHello
        | CloseReason::NoServerName
        | CloseReason::UnknownHost => {
            debug!(reason = reason.word(), "{detail}");
        }
        CloseReason::BadRequest
        | CloseReason::TooLarge
        | CloseReason::BadResponse
        | CloseReason::Stalled
        | CloseReason::OutOfResources => {
            warn!(reason = reason.word(), "{detail}");
        }
        _ => info!(reason = reason.word(), "{detail}"),
    }
}

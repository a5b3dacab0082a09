//! `pointsman run`: parse → build → spawn → wait → drain with a deadline; the log says which of them ended it.

use pointsman_control::{
    self as control, ControlPlane, Fence, Startup,
    api::{self, Api},
    health_listeners::{HealthListeners, ListenError},
    reload::{self, Reloader},
};
use pointsman_core::{config::Config, metrics::VirtualClusterMetrics, rules, snapshot::Snapshot};
use pointsman_net::{BindError, DataPlane, VirtualListener, fence::Generations};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    pin::Pin,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

/// Requests in flight get so long to be answered at shutdown.
const DRAIN: Duration = Duration::from_secs(10);
/// Signals that may wait for the control plane; more of them say nothing new.
const SIGNALS: usize = 256;

/// Runs the proxy with a configuration file until SIGTERM or SIGINT.
pub(crate) fn run(file: &Path) -> ExitCode {
    #[cfg(feature = "broken")]
    switch_off();
    let outcome = tokio::runtime::Runtime::new()
        .map_err(|e| e.to_string())
        .and_then(|runtime| runtime.block_on(serve(file)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => crate::fail(&why),
    }
}

/// Switches off what a drill wants to see missed. A binary with this feature is for drills alone.
#[cfg(feature = "broken")]
fn switch_off() {
    use pointsman_core::broken::Mechanism;
    for word in std::env::var("POINTSMAN_BROKEN").unwrap_or_default().split(',') {
        if let Some(mechanism) = Mechanism::of(word) {
            eprintln!("pointsman: broken on purpose: {mechanism:?} is off; records will be lost or refused");
            mechanism.switch_off();
        }
    }
}

async fn serve(file: &Path) -> Result<(), String> {
    let config = reload::load(file).map_err(|e| e.to_string())?;
    config.warnings().iter().for_each(|warning| warn!("{warning}"));
    // Before a port is open: who sees it may end the process, and that must be in order.
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let running = Running::start_from(config, file.to_owned()).await.map_err(|e| e.to_string())?;
    let ended_by = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    info!("{ended_by}: no new connections; requests in flight have {DRAIN:?}");
    running.stop().await;
    Ok(())
}

/// Why the process did not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// A client port.
    Bind(BindError),
    /// The admin API's port.
    Admin(std::net::SocketAddr, io::Error),
    /// A port that tells of a cluster's quorum.
    Health(ListenError),
    /// The control plane.
    Control(control::StartError),
}

impl StartError {
    /// Does another process listen where this one was to serve clients, or its admin API?
    pub(crate) fn port_is_taken(&self) -> bool {
        let source = match self {
            Self::Bind(error) => &error.source,
            Self::Admin(_, error) => error,
            Self::Health(_) | Self::Control(_) => return false,
        };
        source.kind() == io::ErrorKind::AddrInUse
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::Admin(address, error) => {
                write!(
                    f,
                    "the admin API cannot listen on {address}: {error}; change `admin.listen`, or end what uses the port"
                )
            }
            Self::Health(error) => error.fmt(f),
            Self::Control(error) => error.fmt(f),
        }
    }
}

/// A running process: both planes and what connects them.
pub(crate) struct Running {
    control: ControlPlane,
    data: DataPlane,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Running {
    /// Starts with a configuration that no file stands behind; it cannot be reloaded.
    pub(crate) async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_from(config, PathBuf::new()).await
    }

    /// Opens every port, then starts both planes.
    pub(crate) async fn start_from(config: Config, file: PathBuf) -> Result<Self, StartError> {
        let listeners: Vec<VirtualListener> = config
            .virtual_clusters
            .iter()
            .map(VirtualListener::bind)
            .collect::<Result<_, _>>()
            .map_err(StartError::Bind)?;
        let admin_address = config.admin.listen;
        let admin =
            TcpListener::bind(admin_address).await.map_err(|e| StartError::Admin(admin_address, e))?;
        let health = HealthListeners::bind(&config).await.map_err(StartError::Health)?;
        let metrics: Vec<(Arc<str>, Arc<VirtualClusterMetrics>)> =
            config.virtual_clusters.iter().map(|v| (v.name.clone(), Arc::default())).collect();
        let generations = Arc::new(Generations::default());
        let (signals, received) = mpsc::channel(SIGNALS);
        let clock = control::clock::Clock::start();
        let startup = Startup {
            config,
            ours: rules::ours(),
            signals: received,
            fence: Arc::new(Passed(generations.clone())),
            clock,
            metrics: metrics.clone(),
        };
        let control = control::start(startup).await.map_err(StartError::Control)?;
        let data = DataPlane::new(control.snapshots(), generations, signals, clock.origin().into_std());
        for (listener, (_, metrics)) in listeners.into_iter().zip(&metrics) {
            data.serve(listener, metrics.clone());
        }
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        health.serve(&control.handle(), &tasks, &stop);
        let reloader = Reloader::new(file, control.handle());
        let api = Api {
            handle: control.handle(),
            reloader: reloader.clone(),
            metrics: Arc::new(metrics),
            tasks: tasks.clone(),
        };
        tasks.spawn(api::serve(admin, api, stop.clone()));
        let hangups = reloader.on_hangup(stop.clone());
        tasks.spawn(async move {
            if let Err(error) = hangups.await {
                error!(%error, "SIGHUP cannot be handled; reload by POST /v1/config/reload");
            }
        });
        Ok(Self { control, data, tasks, stop })
    }

    /// The snapshots as they are published.
    pub(crate) fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.control.snapshots()
    }

    /// The control plane, to ask it for its status.
    pub(crate) fn handle(&self) -> control::handle::Handle {
        self.control.handle()
    }

    /// Stops accepting, drains, and ends every task.
    pub(crate) async fn stop(self) {
        let cut = self.data.shut_down(DRAIN).await;
        if cut > 0 {
            warn!("{cut} connections were cut at the deadline");
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.control.stop().await;
        info!("stopped");
    }
}

/// The data plane's generations as the control plane sees them.
struct Passed(Arc<Generations>);

impl Fence for Passed {
    fn passed(&self, generation: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.passed(generation))
    }
}

//! The one task that owns all decisions: it feeds the machines of `core` and does what they say.
//!
//! Probes, signals of the data plane, requests of the admin API and timers come in; snapshots, stored state and log lines
//! go out. It never waits for any of them: what takes time runs in tasks of its own and comes back as an event.

mod catch_up;
mod chain;
mod cluster;
mod command;
mod configure;
mod handover;
mod moves;
mod passthrough;
mod run;
mod slots;
mod status;

pub(crate) use self::{chain::Chain, cluster::Watched};
use crate::{
    Fence,
    clock::Clock,
    handle::Handle,
    prometheus::AllMetrics,
    state::{FileStore, StateError, StateStore},
    tasks::Tasks,
};
use pointsman_core::{
    config::{Config, StateConfig},
    offer::Offer,
    signal::Signal,
    snapshot::Snapshot,
};
use run::Reconciler;
use std::{fmt, sync::Arc};
use tokio::sync::{mpsc, watch};

/// Everything the control plane starts with.
pub struct Startup {
    /// The configuration.
    pub config: Config,
    /// What Pointsman itself can do.
    pub ours: Offer,
    /// What the data plane observes.
    pub signals: mpsc::Receiver<Signal>,
    /// The data plane's promise about old snapshots.
    pub fence: Arc<dyn Fence>,
    /// The clock of the process.
    pub clock: Clock,
    /// The counters of the data plane, for the status.
    pub metrics: AllMetrics,
}

/// Why the control plane did not start.
#[derive(Debug)]
pub enum StartError {
    /// The state cannot be trusted.
    State(StateError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// The running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    handle: Handle,
    tasks: Tasks,
}

impl ControlPlane {
    /// The snapshots as they are published; there is one from the beginning.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// For status and configuration.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends every task and waits for them. What was decided has been handed to the state store by then.
    pub async fn stop(self) {
        self.tasks.end().await;
    }
}

/// Loads the state and starts. Clusters need not be reachable.
///
/// # Errors
/// The state is there, but cannot be read or trusted.
pub async fn start(startup: Startup) -> Result<ControlPlane, StartError> {
    let StateConfig::File(path) = &startup.config.state;
    let store = FileStore::new(path);
    start_with(startup, Arc::new(store)).await
}

/// The same with any state store.
///
/// # Errors
/// As [`start`].
pub async fn start_with(startup: Startup, store: Arc<dyn StateStore>) -> Result<ControlPlane, StartError> {
    let state = store.load().map_err(StartError::State)?;
    let tasks = Tasks::default();
    let (handle, requests) = Handle::new();
    let (mut reconciler, events, snapshots) = Reconciler::new(
        startup.config,
        startup.ours,
        Surroundings {
            clock: startup.clock,
            fence: startup.fence,
            metrics: startup.metrics,
            tasks: tasks.clone(),
        },
        store,
        state.as_ref(),
    );
    reconciler.reserve_generations().await;
    // Not `tasks.spawn`: it ends by itself, after it has handed over what must be stored.
    tasks.tracker.spawn(reconciler.run(events, startup.signals, requests));
    Ok(ControlPlane { snapshots, handle, tasks })
}

/// What the reconcile task works with.
pub(crate) struct Surroundings {
    pub(crate) clock: Clock,
    pub(crate) fence: Arc<dyn Fence>,
    pub(crate) metrics: AllMetrics,
    pub(crate) tasks: Tasks,
}

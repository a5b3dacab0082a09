//! How the admin API and signals of the process talk to the reconcile loop, the one owner of all decisions.

use pointsman_core::{
    config::Config,
    failover::{Command, Refusal},
    status::Status,
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// A question or command for the reconcile loop.
#[derive(Debug)]
pub enum Request {
    /// What `GET /v1/status` shows.
    Status(oneshot::Sender<Status>),
    /// A new, valid configuration to plan and apply as a whole.
    Apply(Box<Config>, oneshot::Sender<Applied>),
    /// What an operator wants of a virtual cluster.
    Command(Arc<str>, Command, oneshot::Sender<Result<Decided, NotDone>>),
}

/// What a command decided. The decision is published; it has been carried out when the history of the status has a switch
/// of this generation or a later one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Decided {
    /// Generation of the newest fence or activation: that of this decision, if it moves anything.
    pub generation: u64,
    /// The active cluster before.
    pub from: Option<Arc<str>>,
    /// The one that is to be active; `None`: nothing moves.
    pub to: Option<Arc<str>>,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDone {
    /// There is no such virtual cluster.
    NoVirtualCluster {
        /// Its name.
        name: Arc<str>,
        /// Those that there are.
        known: Vec<Arc<str>>,
    },
    /// The configuration has no such cluster.
    NoCluster {
        /// Its name.
        name: Arc<str>,
        /// Those that there are.
        known: Vec<Arc<str>>,
    },
    /// The machine refused it.
    Refused(Refusal),
}

/// What became of a new configuration.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// It is in force; each line names a change (none: nothing changed).
    Changed(Vec<String>),
    /// Nothing was applied; each line names a change that needs a restart, and why.
    Refused(Vec<String>),
}

/// The sending side; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
}

/// The reconcile loop is gone: the process is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the process is shutting down; ask again after its restart")
    }
}

impl Handle {
    /// A handle and the receiver that the reconcile loop owns.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(64);
        (Self { requests }, receiver)
    }

    /// The status as of now.
    pub async fn status(&self) -> Result<Status, Gone> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Status(reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// Hands an operator's command over.
    pub async fn command(&self, name: Arc<str>, command: Command) -> Result<Result<Decided, NotDone>, Gone> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Command(name, command, reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// Plans and applies a configuration.
    pub async fn apply(&self, config: Config) -> Result<Applied, Gone> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Apply(Box::new(config), reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}

//! `health_listeners`: whether a cluster has quorum, for load balancers and probes that know HTTP and nothing of Kafka.
//!
//! Any path answers 200 with quorum and 503 without; `/status` has every broker besides. Nothing can be changed here, and however
//! often it is asked, the loop that decides is asked at most every `FRESH`.

use crate::{api::serve_router, handle::Handle};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use pointsman_core::{
    config::Config,
    status::{ClusterStatus, Status},
};
use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Mutex, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// An answer this old is still given.
const FRESH: Duration = Duration::from_millis(50);

/// Every health listener of a configuration, open and not yet served.
#[derive(Debug, Default)]
pub struct HealthListeners(Vec<(Arc<str>, TcpListener)>);

/// A health listener that could not be opened.
#[derive(Debug)]
pub struct ListenError {
    cluster: Arc<str>,
    address: SocketAddr,
    source: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, address, source } = self;
        write!(
            f,
            "cluster {cluster}: cannot listen on {address}: {source}; change `health_listeners`, or end what uses the port"
        )
    }
}

impl std::error::Error for ListenError {}

impl HealthListeners {
    /// Opens all of them, or none.
    ///
    /// # Errors
    /// A port that is taken or not allowed.
    pub async fn bind(config: &Config) -> Result<Self, ListenError> {
        let mut open = Vec::new();
        for cluster in &config.clusters {
            for address in &cluster.health_listeners {
                let failed =
                    |source| ListenError { cluster: cluster.name.clone(), address: *address, source };
                open.push((cluster.name.clone(), TcpListener::bind(address).await.map_err(failed)?));
            }
        }
        Ok(Self(open))
    }

    /// Serves until `stop`, as tasks of `tasks`.
    pub fn serve(self, handle: &Handle, tasks: &TaskTracker, stop: &CancellationToken) {
        let statuses = Arc::new(Statuses { handle: handle.clone(), last: Mutex::new(None) });
        for (cluster, listener) in self.0 {
            let router = router(Asked { cluster, statuses: statuses.clone() });
            tasks.spawn(serve_router(listener, router, tasks.clone(), stop.clone()));
        }
    }
}

#[derive(Clone)]
struct Asked {
    cluster: Arc<str>,
    statuses: Arc<Statuses>,
}

/// The status, asked for as seldom as will do.
struct Statuses {
    handle: Handle,
    last: Mutex<Option<(Instant, Arc<Status>)>>,
}

impl Statuses {
    async fn now(&self) -> Option<Arc<Status>> {
        let mut last = self.last.lock().await;
        if let Some((at, status)) = &*last
            && at.elapsed() < FRESH
        {
            return Some(status.clone());
        }
        let status = Arc::new(self.handle.status().await.ok()?);
        *last = Some((Instant::now(), status.clone()));
        Some(status)
    }
}

fn router(asked: Asked) -> Router {
    Router::new().route("/status", get(with_brokers)).fallback(get(quorum)).with_state(asked)
}

async fn quorum(State(asked): State<Asked>) -> Response {
    let status = asked.statuses.now().await;
    let Some(cluster) = status.as_ref().and_then(|s| find(s, &asked.cluster)) else { return unknown() };
    let words = if cluster.quorum { "quorum" } else { "no quorum" };
    let numbers = format!("{} of {} brokers are healthy", cluster.healthy, cluster.brokers.len());
    (code(cluster), format!("{words}: {numbers}, {} needed\n", cluster.needed)).into_response()
}

async fn with_brokers(State(asked): State<Asked>) -> Response {
    let status = asked.statuses.now().await;
    match status.as_ref().and_then(|s| find(s, &asked.cluster)) {
        Some(cluster) => (code(cluster), Json(cluster.clone())).into_response(),
        None => unknown(),
    }
}

fn find<'a>(status: &'a Status, cluster: &str) -> Option<&'a ClusterStatus> {
    status.clusters.iter().find(|c| *c.name == *cluster)
}

fn code(cluster: &ClusterStatus) -> StatusCode {
    if cluster.quorum { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn unknown() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "unknown: the cluster is gone, or the process is shutting down\n")
        .into_response()
}

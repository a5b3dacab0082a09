//! The admin API: status, health, metrics, reload and switches over HTTP/1, on loopback.
//!
//! [`ROUTES`] is everything there is; `openapi.json` describes it, and tests compare the two with each other and with real
//! answers. It must never decide anything: it asks the reconcile loop through its handle.

mod guard;
mod routes;
mod server;
mod switch;

use crate::{handle::Handle, prometheus::AllMetrics, reload::Reloader};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

pub use routes::router;
pub use server::serve;
pub(crate) use server::serve_router;

/// Every route: method, path, what it is for.
pub const ROUTES: [(&str, &str, &str); 8] = [
    ("GET", "/v1/status", "everything an operator asks first"),
    ("GET", "/healthz", "200 as long as the process runs"),
    ("GET", "/readyz", "200 when every virtual cluster has an active cluster"),
    ("GET", "/metrics", "Prometheus text"),
    ("POST", "/v1/config/reload", "reads the configuration file and applies it as a whole"),
    ("POST", "/v1/virtual-clusters/{name}/switch", "makes another cluster of the chain active"),
    ("POST", "/v1/virtual-clusters/{name}/automatic", "gives the decision back to automatic failback"),
    ("GET", "/v1/openapi.json", "this API as an OpenAPI 3.1 document"),
];

/// What the routes answer from; cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    /// The reconcile loop.
    pub handle: Handle,
    /// The configuration file.
    pub reloader: Reloader,
    /// The counters of the data plane.
    pub metrics: Arc<AllMetrics>,
    /// Parent of every connection and of a reload, which is finished even when its asker is gone.
    pub tasks: TaskTracker,
}

#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;

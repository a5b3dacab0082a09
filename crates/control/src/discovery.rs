//! Where the bootstrap servers of a cluster come from, watched: a list, a file, or a DNS SRV record.
//!
//! A source that fails or names nobody changes nothing: the last good list stays, and the log says so once. A list is
//! only an introduction; which brokers a cluster has is learned from its metadata.

mod file;
mod srv;

use pointsman_core::config::{Address, Bootstrap, ClusterConfig};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The bootstrap servers of a cluster, from now until `stop` or until nobody listens. Empty until the first good answer
/// of a source that has to be asked. The task that asks runs under `tasks`; a static list needs none.
pub fn watch(
    cluster: &ClusterConfig,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> watch::Receiver<Vec<Address>> {
    let (source, refresh) = match &cluster.bootstrap {
        Bootstrap::Static(servers) => return watch::channel(servers.clone()).1,
        Bootstrap::File { path, refresh } => (Source::File(path.as_path().into()), *refresh),
        Bootstrap::Srv { name, refresh, resolver } => {
            (Source::Srv(srv::Lookup::new(name.clone(), *resolver)), *refresh)
        }
    };
    let (sender, receiver) = watch::channel(Vec::new());
    let watcher = Watcher { cluster: cluster.name.clone(), source, failing: false, sender };
    tasks.spawn(stop.clone().run_until_cancelled_owned(watcher.run(refresh)));
    receiver
}

enum Source {
    File(Arc<std::path::Path>),
    Srv(srv::Lookup),
}

impl Source {
    /// The servers named now: at least one, or why not.
    async fn ask(&self) -> Result<Vec<Address>, String> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || file::read(&path)).await;
                read.unwrap_or_else(|_| Err("the process is shutting down".into()))
            }
            Self::Srv(lookup) => lookup.ask().await,
        }
    }
}

struct Watcher {
    cluster: Arc<str>,
    source: Source,
    /// Whether the last answer was bad: it is logged once.
    failing: bool,
    sender: watch::Sender<Vec<Address>>,
}

impl Watcher {
    async fn run(mut self, refresh: Duration) {
        let mut ticks = time::interval(refresh);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.sender.closed() => return,
            }
            let answer = self.source.ask().await;
            self.take(answer);
        }
    }

    fn take(&mut self, answer: Result<Vec<Address>, String>) {
        match answer {
            Ok(servers) => {
                self.failing = false;
                let changed = self.sender.send_if_modified(|known| {
                    let changed = *known != servers;
                    *known = servers;
                    changed
                });
                if changed {
                    let servers: Vec<_> = self.sender.borrow().iter().map(ToString::to_string).collect();
                    tracing::info!(
                        cluster = &*self.cluster,
                        servers = servers.join(", "),
                        "bootstrap servers"
                    );
                }
            }
            Err(reason) if !self.failing => {
                self.failing = true;
                let kept = self.sender.borrow().len();
                tracing::warn!(
                    cluster = &*self.cluster,
                    kept,
                    "no bootstrap servers from their source, the last known ones stay: {reason}"
                );
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;

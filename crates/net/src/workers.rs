//! Threads that connections live on, one for each core, each with a runtime of its own.
//!
//! ```text
//!  acceptor ─▶ the thread with the fewest connections ─▶ connection, its brokers, its alarms: all there until it ends
//! ```
//!
//! A runtime that shares its tasks among threads wakes a second thread for every burst of events, to look whether there is something to
//! take over. For requests of some hundred bytes that costs more than the work.

use std::{
    io,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tokio::{net::TcpStream, runtime};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

/// The threads. They end with this, and what runs on them too.
pub(crate) struct Workers {
    workers: Vec<Worker>,
    _ends: DropGuard,
}

struct Worker {
    handle: runtime::Handle,
    connections: Arc<AtomicUsize>,
}

/// A place on a thread, taken by a connection until it is dropped.
pub(crate) struct Place {
    handle: runtime::Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// One thread for each core. Must be called within a runtime, which serves alone if there can be no threads.
    pub(crate) fn start() -> Self {
        let end = CancellationToken::new();
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let started: io::Result<Vec<Worker>> = (0..cores).map(|core| Worker::start(core, &end)).collect();
        let workers = started.unwrap_or_else(|error| {
            warn!(%error, "cannot start a thread for each core; connections share those of the control plane");
            vec![Worker::new(runtime::Handle::current())]
        });
        Self { workers, _ends: end.drop_guard() }
    }

    /// A place for a connection, where there are fewest.
    pub(crate) fn place(&self) -> Place {
        let loaded = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let worker = self.workers.iter().min_by_key(loaded).unwrap_or(&self.workers[0]);
        worker.connections.fetch_add(1, Ordering::Relaxed);
        Place { handle: worker.handle.clone(), connections: worker.connections.clone() }
    }
}

impl Worker {
    fn new(handle: runtime::Handle) -> Self {
        Self { handle, connections: Arc::default() }
    }

    fn start(core: usize, end: &CancellationToken) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let worker = Self::new(runtime.handle().clone());
        let end = end.clone();
        let run = move || runtime.block_on(end.cancelled());
        thread::Builder::new().name(format!("connections-{core}")).spawn(run)?;
        Ok(worker)
    }
}

impl Place {
    pub(crate) const fn handle(&self) -> &runtime::Handle {
        &self.handle
    }

    /// The socket, with its events on this thread.
    pub(crate) fn take(&self, stream: TcpStream) -> io::Result<TcpStream> {
        let stream = stream.into_std()?;
        let _on_it = self.handle.enter();
        TcpStream::from_std(stream)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_spread_evenly() {
        let workers = Workers::start();
        let cores = workers.workers.len();
        let places: Vec<Place> = (0..3 * cores).map(|_| workers.place()).collect();
        let loads =
            || workers.workers.iter().map(|w| w.connections.load(Ordering::Relaxed)).collect::<Vec<_>>();
        assert_eq!(loads(), vec![3; cores]);
        drop(places);
        assert_eq!(loads(), vec![0; cores]);
    }

    #[tokio::test]
    async fn what_runs_on_them_ends_with_them() {
        let workers = Workers::start();
        let (alive, told) = tokio::sync::oneshot::channel::<()>();
        workers.place().handle().spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        drop(workers);
        assert!(told.await.is_err(), "the task was dropped");
    }
}

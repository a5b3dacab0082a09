//! The task that stores the newest state, off the path of decisions.

use super::{State, StateStore};
use crate::tasks::Tasks;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// Pause after a failed write.
const RETRY: Duration = Duration::from_secs(1);

/// Stores what it is given, newest first: states that were overtaken are skipped.
#[derive(Debug)]
pub struct Writer {
    wanted: watch::Sender<(u64, Arc<State>)>,
    stored: watch::Receiver<u64>,
    failures: Arc<AtomicU64>,
}

/// Resolves when a state is stored.
#[derive(Debug)]
pub struct Ticket {
    number: u64,
    stored: watch::Receiver<u64>,
}

impl Ticket {
    /// Waits until the state, or a newer one, is stored. For ever, if it cannot be: the caller bounds it.
    pub async fn stored(mut self) {
        if self.stored.wait_for(|stored| *stored >= self.number).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Writer {
    /// Starts the task.
    pub fn start(store: Arc<dyn StateStore>, tasks: &Tasks) -> Self {
        let (wanted, receiver) = watch::channel((0, Arc::default()));
        let (done, stored) = watch::channel(0);
        let failures = Arc::new(AtomicU64::new(0));
        // Not ended by the token: it ends when this value is dropped, after the newest state was stored.
        tasks.tracker.spawn(run(store, receiver, done, failures.clone()));
        Self { wanted, stored, failures }
    }

    /// Has a state stored as soon as possible.
    pub fn write(&self, state: State) -> Ticket {
        let mut number = 0;
        self.wanted.send_modify(|wanted| {
            number = wanted.0 + 1;
            *wanted = (number, Arc::new(state));
        });
        Ticket { number, stored: self.stored.clone() }
    }

    /// Writes that failed since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

async fn run(
    store: Arc<dyn StateStore>,
    mut wanted: watch::Receiver<(u64, Arc<State>)>,
    done: watch::Sender<u64>,
    failures: Arc<AtomicU64>,
) {
    let mut failing = false;
    while wanted.changed().await.is_ok() {
        loop {
            let (number, state) = wanted.borrow_and_update().clone();
            let store = store.clone();
            let result = tokio::task::spawn_blocking(move || store.store(&state)).await;
            match result {
                Ok(Ok(())) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("the state can be stored again");
                    }
                    done.send_replace(number);
                    break;
                }
                Ok(Err(error)) => {
                    failures.fetch_add(1, Ordering::Relaxed);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(
                            "the state cannot be stored: {error}. Traffic goes on; a restart before this is mended \
                             would go on from older state"
                        );
                    }
                    if wanted.has_changed().is_err() {
                        return;
                    }
                    sleep(RETRY).await;
                }
                Err(_) => return,
            }
        }
    }
}

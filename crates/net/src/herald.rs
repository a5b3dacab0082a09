//! Wakes every connection when something concerns all of them: a new snapshot, the end of the process.
//!
//! A connection is noted here once, when it begins, and looks at a few atomics in each of its rounds. To wait for each of these by
//! itself would cost every wait of every connection several locks.

use pointsman_core::snapshot::Snapshot;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Who is to be woken, and what was said for good.
#[derive(Debug, Default)]
pub(crate) struct Herald {
    next: AtomicU64,
    wakers: Mutex<HashMap<u64, Waker>>,
    stopping: AtomicBool,
    aborting: AtomicBool,
}

impl Herald {
    /// Says what is published until `abort`; it must run for as long as there are connections.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        stop: CancellationToken,
        abort: CancellationToken,
    ) {
        let mut published = true;
        while !abort.is_cancelled() {
            let stopping = self.stopping.load(Ordering::Acquire);
            tokio::select! {
                changed = snapshots.changed(), if published => {
                    snapshots.mark_unchanged();
                    published = changed.is_ok();
                    // Without anybody who decides nothing new is begun.
                    if !published {
                        self.stopping.store(true, Ordering::Release);
                    }
                }
                () = stop.cancelled(), if !stopping => self.stopping.store(true, Ordering::Release),
                () = abort.cancelled() => self.aborting.store(true, Ordering::Release),
            }
            self.wakers().values().for_each(Waker::wake_by_ref);
        }
    }

    /// A place for a connection.
    pub(crate) fn listening(self: &Arc<Self>) -> Listening {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Listening { herald: self.clone(), number, waker: None }
    }

    fn wakers(&self) -> MutexGuard<'_, HashMap<u64, Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place; dropping it takes it off.
#[derive(Debug)]
pub(crate) struct Listening {
    herald: Arc<Herald>,
    number: u64,
    /// The waker that is noted.
    waker: Option<Waker>,
}

impl Listening {
    /// From now on `waker` is woken. Look at what was said after this, not before.
    pub(crate) fn listen(&mut self, waker: &Waker) {
        if self.waker.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            self.herald.wakers().insert(self.number, waker.clone());
            self.waker = Some(waker.clone());
        }
    }

    /// The process ends: nothing new is to be begun.
    pub(crate) fn is_stopping(&self) -> bool {
        self.herald.stopping.load(Ordering::Acquire)
    }

    /// The time for ending is over.
    pub(crate) fn is_aborting(&self) -> bool {
        self.herald.aborting.load(Ordering::Acquire)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.herald.wakers().remove(&self.number);
    }
}

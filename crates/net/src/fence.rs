//! Which snapshots client connections still use: the data plane's half of a switch.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// Counts client connections by the generation they have adopted.
#[derive(Debug, Default)]
pub struct Generations {
    counts: Mutex<BTreeMap<u64, usize>>,
    changed: Notify,
}

/// One connection's mark; dropping it takes it off.
#[derive(Debug)]
pub(crate) struct Mark {
    generations: Arc<Generations>,
    generation: u64,
}

impl Generations {
    /// Resolves when no connection uses a snapshot older than `generation`.
    pub async fn passed(&self, generation: u64) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.oldest().is_none_or(|oldest| oldest >= generation) {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn mark(self: &Arc<Self>, generation: u64) -> Mark {
        self.count(generation, true);
        Mark { generations: self.clone(), generation }
    }

    fn oldest(&self) -> Option<u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).keys().next().copied()
    }

    fn count(&self, generation: u64, enter: bool) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(generation).or_default();
        *count = if enter { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            counts.remove(&generation);
        }
        drop(counts);
        if !enter {
            self.changed.notify_waiters();
        }
    }
}

impl Mark {
    /// The connection has adopted a newer snapshot and has nothing left of older ones.
    pub(crate) fn advance(&mut self, generation: u64) {
        if generation != self.generation {
            self.generations.count(generation, true);
            self.generations.count(self.generation, false);
            self.generation = generation;
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.generations.count(self.generation, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    #[tokio::test]
    async fn a_fence_is_passed_when_the_last_old_connection_has_moved_or_gone() {
        let generations = Arc::new(Generations::default());
        let (mut moving, leaving) = (generations.mark(1), generations.mark(1));
        let passed = generations.passed(2);
        tokio::pin!(passed);
        assert_eq!(futures_poll(passed.as_mut()).await, Poll::Pending);
        moving.advance(2);
        assert_eq!(futures_poll(passed.as_mut()).await, Poll::Pending);
        drop(leaving);
        assert_eq!(futures_poll(passed.as_mut()).await, Poll::Ready(()));
    }

    async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
    }
}

//! Pipes of the kernel that bytes are spliced through, lent to a direction only while it has bytes under way.
//!
//! An idle connection holds none. There are at most [`limits::SPLICE_PIPES`]; beyond that, and where the system refuses
//! one, the caller copies.

use pointsman_core::limits;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::{
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Shared by the connections of a virtual cluster; clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pipes(Arc<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    free: Mutex<Vec<Pipe>>,
    /// Those that exist, lent or free.
    count: AtomicUsize,
}

/// A pipe. It holds nothing while it is free.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) drain: OwnedFd,
    pub(crate) fill: OwnedFd,
}

/// A pipe that somebody uses. Given back empty, it is kept; dropped, it is closed with what it holds.
#[derive(Debug)]
pub(crate) struct Lent {
    pipe: Option<Pipe>,
    shelf: Arc<Shelf>,
}

impl Pipes {
    /// As if all were lent, and the system had none left.
    #[cfg(test)]
    pub(crate) fn exhausted() -> Self {
        let pipes = Self::default();
        pipes.0.count.store(limits::SPLICE_PIPES, Ordering::Relaxed);
        pipes
    }

    /// A pipe, unless there are too many or the system has none left.
    pub(crate) fn lend(&self) -> Option<Lent> {
        let free = self.0.free().pop();
        let pipe = free.or_else(|| self.0.open())?;
        Some(Lent { pipe: Some(pipe), shelf: self.0.clone() })
    }
}

impl Shelf {
    fn free(&self) -> MutexGuard<'_, Vec<Pipe>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Option<Pipe> {
        if self.count.fetch_add(1, Ordering::Relaxed) < limits::SPLICE_PIPES
            && let Ok((drain, fill)) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        {
            // Where the system allows no larger pipe, the usual one does.
            let _ = fcntl_setpipe_size(&fill, limits::SPLICE_CHUNK);
            return Some(Pipe { drain, fill });
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Lent {
    /// The pipe itself.
    pub(crate) fn pipe(&self) -> &Pipe {
        // It is taken out only by `give_back` and by the drop, which end the loan.
        self.pipe.as_ref().expect("a lent pipe is there")
    }

    /// Puts an empty pipe back.
    pub(crate) fn give_back(mut self) {
        let mut free = self.shelf.free();
        if free.len() < limits::SPLICE_FREE_PIPES {
            free.extend(self.pipe.take());
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.pipe.take().is_some() {
            self.shelf.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_is_given_back_is_lent_again_and_a_dropped_one_makes_room() {
        let pipes = Pipes::default();
        let count = || pipes.0.count.load(Ordering::Relaxed);
        let first = pipes.lend().expect("a pipe");
        let second = pipes.lend().expect("a pipe");
        assert_eq!(count(), 2);
        first.give_back();
        drop(second);
        assert_eq!(count(), 1);
        let _again = pipes.lend().expect("a pipe");
        assert_eq!(count(), 1);
    }
}

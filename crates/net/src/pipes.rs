//! Pipes of the kernel that bytes are spliced through, lent to a direction only while it has bytes under way.
//!
//! An idle connection holds none. There are at most [`limits::SPLICE_PIPES`]; beyond that, and where the system refuses
//! one, the caller copies.

use pointsman_core::limits;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{io::Interest, net::TcpStream};

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

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
struct Pipe {
    drain: OwnedFd,
    fill: OwnedFd,
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
        let others = self.count.fetch_add(1, Ordering::Relaxed);
        if others < limits::SPLICE_PIPES
            && let Ok((drain, fill)) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        {
            // Where the system allows no larger pipe, the usual one does.
            let _ = fcntl_setpipe_size(&fill, size_beside(others));
            return Some(Pipe { drain, fill });
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Lent {
    /// Takes up to `len` bytes, and [`limits::SPLICE_CHUNK`], out of a socket; 0 is its end. The pipe must be empty: a full one looks
    /// like a socket that has nothing.
    pub(crate) fn fill(&self, from: &TcpStream, len: usize) -> io::Result<usize> {
        let len = len.min(limits::SPLICE_CHUNK);
        from.try_io(Interest::READABLE, || Ok(splice(from, None, &self.pipe().fill, None, len, FLAGS)?))
    }

    /// Gives up to `len` bytes, which it must hold, to a socket.
    pub(crate) fn drain(&self, to: &TcpStream, len: usize) -> io::Result<usize> {
        to.try_io(Interest::WRITABLE, || Ok(splice(&self.pipe().drain, None, to, None, len, FLAGS)?))
    }

    fn pipe(&self) -> &Pipe {
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

/// Bytes that a pipe is to hold when there are so many others.
fn size_beside(others: usize) -> usize {
    if others < limits::SPLICE_LARGE_PIPES { limits::SPLICE_CHUNK } else { limits::SPLICE_SMALL_CHUNK }
}

/// What a socket moved; `None`: it was not ready after all.
pub(crate) fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        // After an interruption the socket still counts as ready, so that the wait ends at once.
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether the system does not splice these sockets at all.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
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
    use rustix::pipe::fcntl_getpipe_size;

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

    #[test]
    fn pipes_are_large_until_there_are_many() {
        let pipes = Pipes::default();
        let all: Vec<Lent> =
            (0..=limits::SPLICE_LARGE_PIPES).map(|_| pipes.lend().expect("a pipe")).collect();
        let size = |lent: &Lent| fcntl_getpipe_size(&lent.pipe().fill).expect("a size");
        let (last, first) = all.split_last().expect("there are some");
        assert!(first.iter().all(|lent| size(lent) == limits::SPLICE_CHUNK));
        assert_eq!(size(last), limits::SPLICE_SMALL_CHUNK);
    }
}

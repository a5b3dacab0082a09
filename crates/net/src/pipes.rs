//! Pipes of the kernel that bytes are spliced through, lent to a direction only while it has bytes under way.
//!
//! An idle connection holds none. There are at most [`limits::SPLICE_PIPES`]; beyond that, and where the system refuses
//! one, the caller copies.
//!
//! ```text
//!  lend ─▶ a large one, kept or new ─▶ if all are lent: a small one, kept or new ─▶ if all are lent: none
//! ```

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

/// Shared by all connections; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Pipes {
    large: Arc<Shelf>,
    small: Arc<Shelf>,
}

/// Pipes of one size.
#[derive(Debug)]
struct Shelf {
    /// Bytes that each of them holds.
    size: usize,
    /// So many may exist.
    most: usize,
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

impl Default for Pipes {
    fn default() -> Self {
        let small = limits::SPLICE_PIPES - limits::SPLICE_LARGE_PIPES;
        Self {
            large: Shelf::new(limits::SPLICE_CHUNK, limits::SPLICE_LARGE_PIPES),
            small: Shelf::new(limits::SPLICE_SMALL_CHUNK, small),
        }
    }
}

impl Pipes {
    /// As if all were lent, and the system had none left.
    #[cfg(test)]
    pub(crate) fn exhausted() -> Self {
        let pipes = Self::default();
        for shelf in [&pipes.large, &pipes.small] {
            shelf.count.store(shelf.most, Ordering::Relaxed);
        }
        pipes
    }

    /// A pipe, unless there are too many or the system has none left.
    pub(crate) fn lend(&self) -> Option<Lent> {
        [&self.large, &self.small].into_iter().find_map(Shelf::lend)
    }
}

impl Shelf {
    fn new(size: usize, most: usize) -> Arc<Self> {
        Arc::new(Self { size, most, free: Mutex::default(), count: AtomicUsize::new(0) })
    }

    fn lend(self: &Arc<Self>) -> Option<Lent> {
        let free = self.free().pop();
        let pipe = free.or_else(|| self.open())?;
        Some(Lent { pipe: Some(pipe), shelf: self.clone() })
    }

    fn free(&self) -> MutexGuard<'_, Vec<Pipe>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Option<Pipe> {
        if self.count.fetch_add(1, Ordering::Relaxed) < self.most
            && let Ok((drain, fill)) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        {
            // Where the system allows no larger pipe, the usual one does.
            let _ = fcntl_setpipe_size(&fill, self.size);
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

    fn size(lent: &Lent) -> usize {
        fcntl_getpipe_size(&lent.pipe().fill).expect("a size")
    }

    #[test]
    fn a_pipe_that_is_given_back_is_lent_again_and_a_dropped_one_makes_room() {
        let pipes = Pipes::default();
        let count = || pipes.large.count.load(Ordering::Relaxed);
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
    fn pipes_are_large_until_many_are_lent_and_again_when_they_are_back() {
        let pipes = Pipes::default();
        let mut lent: Vec<Lent> =
            (0..limits::SPLICE_LARGE_PIPES).map(|_| pipes.lend().expect("a pipe")).collect();
        assert!(lent.iter().all(|lent| size(lent) == limits::SPLICE_CHUNK));
        let small = pipes.lend().expect("a pipe");
        assert_eq!(size(&small), limits::SPLICE_SMALL_CHUNK);
        // when one comes back and another breaks, and the small one is free too
        lent.pop().expect("one of them").give_back();
        drop(lent.pop());
        small.give_back();
        // then
        let (kept, new) = (pipes.lend().expect("a pipe"), pipes.lend().expect("a pipe"));
        assert_eq!([size(&kept), size(&new)], [limits::SPLICE_CHUNK; 2]);
        assert_eq!(pipes.lend().as_ref().map(size), Some(limits::SPLICE_SMALL_CHUNK));
    }

    #[test]
    fn no_more_pipes_exist_than_the_limit_allows() {
        let pipes = Pipes::default();
        assert_eq!(pipes.large.most + pipes.small.most, limits::SPLICE_PIPES);
        assert!(Pipes::exhausted().lend().is_none());
    }
}

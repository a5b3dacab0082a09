//! One direction of a connection: fill, drain, and at the end of the source the end of the sink.
//!
//! ```text
//!  source ─▶ pipe (or buffer) ─▶ sink        nothing is read while something waits to be written: that is the back-pressure
//! ```

use super::copy::Buffer;
use crate::pipes::{Lent, Pipes, is_refused, unless_blocked};
use pointsman_core::{limits, metrics::Counter};
use socket2::SockRef;
use std::{
    io,
    net::Shutdown,
    task::{Context, Poll, ready},
};
use tokio::net::TcpStream;

/// Fills and drains without a pause, before other connections get their turn.
const ROUNDS: usize = 4;

/// The state of one direction.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// What was read before the sink was known.
    head: Vec<u8>,
    held: Held,
    /// Bytes in `held`.
    pending: usize,
    /// Nothing more comes.
    ended: bool,
    /// The sink has been told so.
    shut: bool,
}

/// Where bytes under way are.
#[derive(Debug, Default)]
enum Held {
    #[default]
    Nowhere,
    Pipe(Lent),
    Copied(Box<Buffer>),
}

/// What a direction waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// Bytes of the source.
    Source,
    /// Room in the sink.
    Sink,
    /// Its next turn.
    Turn,
    /// Nothing: the end has been passed on.
    Done,
}

/// Which socket failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The one that is read from.
    Source(io::Error),
    /// The one that is written to.
    Sink(io::Error),
}

impl Direction {
    pub(super) fn new(head: Vec<u8>) -> Self {
        Self { head, ..Self::default() }
    }

    /// Moves what can be moved. `moved` counts bytes that the sink took.
    pub(super) fn advance(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        pipes: &Pipes,
        moved: &Counter,
    ) -> Result<Waits, Failed> {
        for _ in 0..ROUNDS {
            if !self.drain(to, moved).map_err(Failed::Sink)? {
                return Ok(Waits::Sink);
            }
            if self.ended {
                return self.shut(to).map_err(Failed::Sink);
            }
            if !self.fill(from, pipes).map_err(Failed::Source)? {
                self.release();
                return Ok(Waits::Source);
            }
        }
        Ok(Waits::Turn)
    }

    /// Whether everything that was held is gone.
    fn drain(&mut self, to: &TcpStream, moved: &Counter) -> io::Result<bool> {
        while !self.head.is_empty() {
            let Some(n) = unless_blocked(to.try_write(&self.head))? else { return Ok(false) };
            moved.add(n as u64);
            self.head.drain(..n);
            if self.head.is_empty() {
                self.head = Vec::new();
            }
        }
        while self.pending > 0 {
            let pending = self.pending;
            let drained = match &mut self.held {
                Held::Pipe(lent) => lent.drain(to, pending),
                Held::Copied(buffer) => buffer.drain(to),
                Held::Nowhere => Ok(pending),
            };
            let Some(n) = unless_blocked(drained)? else { return Ok(false) };
            moved.add(n as u64);
            self.pending = pending.saturating_sub(n);
        }
        Ok(true)
    }

    /// Whether there was something, be it the end.
    fn fill(&mut self, from: &TcpStream, pipes: &Pipes) -> io::Result<bool> {
        if matches!(self.held, Held::Nowhere) {
            self.held = pipes.lend().map_or_else(|| Held::Copied(Box::new(Buffer::new())), Held::Pipe);
        }
        let filled = match &mut self.held {
            Held::Pipe(lent) => lent.fill(from, limits::SPLICE_CHUNK),
            Held::Copied(buffer) => buffer.fill(from),
            Held::Nowhere => Ok(0),
        };
        match filled {
            Err(error) if is_refused(&error) && matches!(self.held, Held::Pipe(_)) => {
                self.held = Held::Copied(Box::new(Buffer::new()));
                Ok(true)
            }
            filled => {
                let Some(n) = unless_blocked(filled)? else { return Ok(false) };
                (self.pending, self.ended) = (n, n == 0);
                Ok(true)
            }
        }
    }

    fn shut(&mut self, to: &TcpStream) -> io::Result<Waits> {
        self.release();
        if !self.shut {
            self.shut = true;
            match SockRef::from(to).shutdown(Shutdown::Write) {
                Err(error) if error.kind() != io::ErrorKind::NotConnected => return Err(error),
                _ => {}
            }
        }
        Ok(Waits::Done)
    }

    /// Nothing is held: the pipe is for others, and a buffer is memory.
    fn release(&mut self) {
        if let Held::Pipe(lent) = std::mem::take(&mut self.held) {
            lent.give_back();
        }
    }
}

impl Waits {
    /// Ready when it is worthwhile to go on.
    pub(super) fn poll(self, from: &TcpStream, to: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Source => from.poll_read_ready(cx),
            Self::Sink => to.poll_write_ready(cx),
            Self::Turn => {
                // Others that are ready go first.
                ready!(tokio::task::coop::poll_proceed(cx)).made_progress();
                Poll::Ready(Ok(()))
            }
            Self::Done => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;

//! Records that the kernel moves from one socket to the other, within a frame whose other bytes are read and written.
//!
//! ```text
//!  source ─▶ pipe ─▶ sink        nothing is taken while the pipe holds something: that is the back-pressure
//! ```
//!
//! What was taken from the source has left the frame's walker, and what the pipe holds goes to the sink before anything else. So a
//! [`Mover`] belongs to the connection of the broker on one of its ends, and ends with it.

use crate::pipes::{Lent, Pipes, is_refused, unless_blocked};
use pointsman_core::limits;
use std::{
    io,
    task::{Context, Poll},
};
use tokio::net::TcpStream;

/// Fills and drains before other connections get their turn.
const ROUNDS: usize = 4;

/// One direction between two sockets.
#[derive(Debug, Default)]
pub(crate) struct Mover {
    /// There while bytes are under way.
    lent: Option<Lent>,
    /// Bytes in the pipe.
    held: usize,
    /// A region has been moved in part.
    begun: bool,
    /// The system does not splice these sockets, or has no pipe.
    refused: bool,
}

/// What one call has moved.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Moved {
    /// Bytes that left the source.
    pub(crate) taken: usize,
    /// Bytes that the sink took.
    pub(crate) given: usize,
}

/// Which socket failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The one that bytes are taken from; its end is [`io::ErrorKind::UnexpectedEof`].
    Source(io::Error),
    /// The one that bytes are given to.
    Sink(io::Error),
}

impl Mover {
    /// Whether the next `left` bytes, which go to the sink as they are, are for the kernel: from [`limits::SPLICE_LEAST`] on it is
    /// less work, and what was begun is ended in the same way.
    pub(crate) fn wants(&self, left: usize) -> bool {
        let least = if self.begun { 1 } else { limits::SPLICE_LEAST };
        left >= least && !self.refused
    }

    /// Whether bytes are in the pipe: they go before everything else.
    pub(crate) fn is_amid(&self) -> bool {
        self.held > 0
    }

    /// Moves up to `left` bytes. When it ends with less, the task is woken as soon as there is more, or room for more; unless it has
    /// moved a lot and others get their turn. What has been taken counts also where a socket fails.
    pub(crate) fn advance(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        left: usize,
        pipes: &Pipes,
        cx: &mut Context<'_>,
    ) -> (Moved, Result<(), Fault>) {
        let mut moved = Moved::default();
        let result = self.rounds(from, to, left, &mut moved, pipes, cx);
        self.begun = moved.taken < left && !self.refused;
        // A pipe is held only while bytes are under way.
        if self.held == 0
            && let Some(lent) = self.lent.take()
        {
            lent.give_back();
        }
        (moved, result)
    }

    fn rounds(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        left: usize,
        moved: &mut Moved,
        pipes: &Pipes,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        for _ in 0..ROUNDS {
            if !self.drain(to, moved, cx).map_err(Fault::Sink)? || moved.taken == left {
                break;
            }
            if !self.fill(from, left - moved.taken, moved, pipes, cx).map_err(Fault::Source)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the pipe is empty.
    fn drain(&mut self, to: &TcpStream, moved: &mut Moved, cx: &mut Context<'_>) -> io::Result<bool> {
        while self.held > 0 {
            let Some(lent) = &self.lent else { return Ok(true) };
            match unless_blocked(lent.drain(to, self.held))? {
                Some(n) => {
                    self.held -= n;
                    moved.given += n;
                }
                None if is_ready(to.poll_write_ready(cx))? => {}
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Whether anything was taken.
    fn fill(
        &mut self,
        from: &TcpStream,
        left: usize,
        moved: &mut Moved,
        pipes: &Pipes,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        if self.lent.is_none() {
            self.lent = pipes.lend();
        }
        let Some(lent) = &self.lent else {
            self.refused = true;
            return Ok(false);
        };
        loop {
            match lent.fill(from, left) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.held = n;
                    moved.taken += n;
                    return Ok(true);
                }
                Err(error) if is_refused(&error) => {
                    self.refused = true;
                    return Ok(false);
                }
                other => {
                    unless_blocked(other)?;
                    if !is_ready(from.poll_read_ready(cx))? {
                        return Ok(false);
                    }
                }
            }
        }
    }
}

fn is_ready(readiness: Poll<io::Result<()>>) -> io::Result<bool> {
    match readiness {
        Poll::Ready(ready) => ready.map(|()| true),
        Poll::Pending => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use std::{future::poll_fn, time::Duration};
    use tokio::{
        io::{AsyncWriteExt, Interest},
        net::TcpListener,
        time::timeout,
    };

    const DEADLINE: Duration = Duration::from_secs(30);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (near, far) =
            tokio::join!(TcpStream::connect(listener.local_addr().expect("bound")), listener.accept());
        (near.expect("connects"), far.expect("accepts").0)
    }

    #[tokio::test]
    async fn what_was_taken_counts_when_the_sink_fails() {
        // given bytes to move, and a sink whose peer has reset it
        let ((mut client, from), (to, broker)) = (pair().await, pair().await);
        client.write_all(&[7; 1000]).await.expect("writes");
        SockRef::from(&broker).set_linger(Some(Duration::ZERO)).expect("an option");
        drop(broker);
        timeout(DEADLINE, to.ready(Interest::ERROR)).await.expect("the reset comes").expect("ready");
        timeout(DEADLINE, from.readable()).await.expect("bytes come").expect("ready");
        // when
        let (mut mover, pipes) = (Mover::default(), Pipes::default());
        let (moved, result) = poll_fn(|cx| Poll::Ready(mover.advance(&from, &to, 1 << 20, &pipes, cx))).await;
        // then
        assert!(matches!(result, Err(Fault::Sink(_))), "{result:?}");
        assert_eq!((moved.taken, moved.given), (1000, 0));
    }

    #[tokio::test]
    async fn the_end_of_the_source_is_told_after_its_last_bytes() {
        let ((mut client, from), (to, broker)) = (pair().await, pair().await);
        client.write_all(&[7; 1000]).await.expect("writes");
        drop(client);
        timeout(DEADLINE, from.ready(Interest::READABLE)).await.expect("bytes come").expect("ready");
        let (mut mover, pipes, mut given) = (Mover::default(), Pipes::default(), 0);
        let end = poll_fn(|cx| {
            let (moved, result) = mover.advance(&from, &to, 1 << 20, &pipes, cx);
            given += moved.given;
            if result.is_ok() { Poll::Pending } else { Poll::Ready(result) }
        });
        let end = timeout(DEADLINE, end).await.expect("the end comes");
        assert!(matches!(end, Err(Fault::Source(_))), "{end:?}");
        assert_eq!(given, 1000);
        drop(broker);
    }
}

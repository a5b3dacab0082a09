//! Frames that wait for a socket.

use bytes::Bytes;
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{io::AsyncWrite, net::TcpStream};

/// A queue that is written with one system call for as many as possible.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    frames: VecDeque<Bytes>,
    /// Bytes of the first frame that are gone.
    written: usize,
    /// Bytes that are not gone.
    pub(crate) len: usize,
    /// Bytes that are gone, in all.
    pub(crate) gone: u64,
}

/// Frames written with one system call at most.
const BATCH: usize = 32;

impl WriteQueue {
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.len += frame.len();
        self.frames.push_back(frame);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes until the socket takes no more; then the task is woken when it does. Returns how many frames are gone whole.
    pub(crate) fn poll_write(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> io::Result<usize> {
        let mut gone = 0;
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); BATCH];
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                *slice = IoSlice::new(frame);
            }
            slices[0] = IoSlice::new(&self.frames[0][self.written..]);
            let slices = &slices[..self.frames.len().min(BATCH)];
            match Pin::new(&mut *stream).poll_write_vectored(cx, slices) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => gone += self.advance(n),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(gone)
    }

    fn advance(&mut self, n: usize) -> usize {
        self.len -= n;
        self.gone += n as u64;
        self.written += n;
        let mut gone = 0;
        while self.frames.front().is_some_and(|f| f.len() <= self.written) {
            let Some(frame) = self.frames.pop_front() else { break };
            self.written -= frame.len();
            gone += 1;
        }
        gone
    }
}

//! One connection to a broker, as one client connection's own.

use bytes::{Bytes, BytesMut};
use pointsman_core::{
    limits,
    session::{Outgoing, stream::Stream},
};
use std::{
    collections::VecDeque,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::net::TcpStream;

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// The socket, or the attempt to get one.
enum State {
    Connecting(Connecting),
    Open(TcpStream),
}

/// A broker's connection with its queues.
pub(crate) struct Upstream {
    state: State,
    /// Bytes from the broker that are not consumed yet.
    pub(crate) input: BytesMut,
    /// A response that is passing through.
    pub(crate) stream: Option<Stream>,
    /// The next response must wait for its turn: nothing is read meanwhile.
    pub(crate) paused: bool,
    output: WriteQueue,
    /// For each queued frame, whether a response will come.
    answered: VecDeque<bool>,
}

impl Upstream {
    pub(crate) fn new(connecting: Connecting) -> Self {
        Self {
            state: State::Connecting(connecting),
            input: BytesMut::new(),
            stream: None,
            paused: false,
            output: WriteQueue::default(),
            answered: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, outgoing: Outgoing) {
        self.answered.push_back(outgoing.answered);
        self.output.push(outgoing.frame);
    }

    /// Bytes that wait for the broker.
    pub(crate) fn queued(&self) -> usize {
        self.output.len
    }

    /// Queued requests that expect a response and have not left whole: no broker carries out half a request.
    pub(crate) fn unsent(&self) -> usize {
        self.answered.iter().filter(|answered| **answered).count()
    }

    /// Whether there is something to do: a connection came about or failed, bytes came, or bytes can go.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>, reads: bool) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Ready(Ok(stream)) => {
                    self.state = State::Open(stream);
                    Poll::Ready(Ok(()))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            },
            State::Open(stream) => {
                if reads && !self.paused && stream.poll_read_ready(cx)?.is_ready() {
                    return Poll::Ready(Ok(()));
                }
                if !self.output.is_empty() && stream.poll_write_ready(cx)?.is_ready() {
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending
            }
        }
    }

    /// Writes what the socket takes.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let State::Open(stream) = &self.state else { return Ok(()) };
        let frames = self.output.write(stream)?;
        self.answered.drain(..frames);
        Ok(())
    }

    /// Reads once. `Ok(0)`: nothing there; the broker's end is an error.
    pub(crate) fn read(&mut self) -> io::Result<usize> {
        let State::Open(stream) = &self.state else { return Ok(0) };
        let missing = if self.stream.is_some() { 0 } else { missing(&self.input) };
        read(stream, &mut self.input, missing)
    }
}

/// Bytes that the frame at the start of `input` still lacks, as far as its size is known.
pub(crate) fn missing(input: &BytesMut) -> usize {
    let size = input.first_chunk::<4>().map_or(0, |prefix| u32::from_be_bytes(*prefix) as usize);
    (size + 4).saturating_sub(input.len())
}

/// Reads once into `input`. Room is made for the `missing` bytes of a frame, but never for more than have come already,
/// so that a length nobody backs with bytes costs nothing. `Ok(0)`: nothing there; the peer's end is [`io::ErrorKind::UnexpectedEof`].
pub(crate) fn read(stream: &TcpStream, input: &mut BytesMut, missing: usize) -> io::Result<usize> {
    input.reserve(limits::READ_CHUNK.max(missing.min(input.len())));
    match stream.try_read_buf(input) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(n) => Ok(n),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            if input.is_empty() {
                *input = BytesMut::new();
            }
            Ok(0)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        Err(error) => Err(error),
    }
}

/// Frames that wait for a socket; written with one system call for as many as possible.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    frames: VecDeque<Bytes>,
    /// Bytes of the first frame that are gone.
    written: usize,
    /// Bytes that are not gone.
    pub(crate) len: usize,
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

    /// Writes until the socket takes no more; returns how many frames are gone whole.
    pub(crate) fn write(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let mut gone = 0;
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); BATCH];
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                *slice = IoSlice::new(frame);
            }
            slices[0] = IoSlice::new(&self.frames[0][self.written..]);
            match stream.try_write_vectored(&slices[..self.frames.len().min(BATCH)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => gone += self.advance(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }

    fn advance(&mut self, n: usize) -> usize {
        self.len -= n;
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

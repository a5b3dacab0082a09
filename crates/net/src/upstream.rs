//! One connection to a broker, as one client connection's own.

use crate::{
    input::{self, Room},
    pipes::Pipes,
    queue::WriteQueue,
    splice::{Fault, Moved, Mover},
    workers::Place,
};
use bytes::BytesMut;
use pointsman_core::{
    limits,
    session::{Outgoing, Peer, stream::Stream},
};
use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
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
    peer: Peer,
    state: State,
    /// Bytes from the broker that are not consumed yet.
    pub(crate) input: BytesMut,
    /// A response that is passing through.
    pub(crate) stream: Option<Stream>,
    /// Records on their way to the client, and to the broker.
    down: Mover,
    up: Mover,
    /// The kernel has moved records of the last large response.
    pub(crate) large: bool,
    /// The next response must wait for its turn: nothing is read meanwhile.
    pub(crate) paused: bool,
    output: WriteQueue,
    /// For each queued frame, whether a response will come.
    answered: VecDeque<bool>,
}

impl Upstream {
    pub(crate) fn new(peer: Peer, connecting: Connecting) -> Self {
        Self {
            peer,
            state: State::Connecting(connecting),
            input: BytesMut::new(),
            stream: None,
            down: Mover::default(),
            up: Mover::default(),
            large: false,
            paused: false,
            output: WriteQueue::default(),
            answered: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, outgoing: Outgoing) {
        self.answered.push_back(outgoing.answered);
        self.output.push(outgoing.frame);
    }

    /// Queued requests that expect a response and have not left whole: no broker carries out half a request.
    pub(crate) fn unsent(&self) -> usize {
        self.answered.iter().filter(|answered| **answered).count()
    }

    /// The socket, as soon as there is one.
    fn poll_open<'a>(state: &'a mut State, cx: &mut Context<'_>) -> Poll<io::Result<&'a mut TcpStream>> {
        if let State::Connecting(connecting) = state {
            *state = State::Open(ready!(connecting.as_mut().poll(cx))?);
        }
        match state {
            State::Open(stream) => Poll::Ready(Ok(stream)),
            State::Connecting(_) => Poll::Pending,
        }
    }

    /// Writes what the socket takes. Returns whether that was anything.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let before = self.output.len;
        // What the kernel has under way goes first.
        if before == 0 || self.up.is_amid() {
            return Ok(false);
        }
        let Poll::Ready(stream) = Self::poll_open(&mut self.state, cx) else { return Ok(false) };
        let frames = self.output.poll_write(stream?, cx)?;
        self.answered.drain(..frames);
        Ok(self.output.len < before)
    }

    /// Reads once; the broker's end is an error.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = ready!(Self::poll_open(&mut self.state, cx))?;
        let room = match &self.stream {
            None if self.large && self.input.is_empty() => Room::Head,
            None => Room::Frame(input::missing(&self.input)),
            Some(_) if self.large => Room::Head,
            Some(_) => Room::Frame(0),
        };
        input::poll_read(stream, cx, &mut self.input, room)
    }

    /// After a small read that was full and after which the kernel has nothing to move, more is read at once.
    pub(crate) fn has_read(&mut self, n: usize) {
        self.large &= n < limits::HEAD_CHUNK || self.moves_down();
    }

    /// A response passes from now on.
    pub(crate) fn begin_stream(&mut self, stream: Stream) {
        self.stream = Some(stream);
        self.large = false;
    }

    /// Whether the kernel is to move what comes next of a response that passes; everything before it has been taken in.
    pub(crate) fn moves_down(&self) -> bool {
        let left = self.stream.as_ref().map_or(0, Stream::movable);
        self.down.is_amid() || (self.input.is_empty() && self.down.wants(left))
    }

    /// Moves records to the client.
    pub(crate) fn move_down(
        &mut self,
        client: &TcpStream,
        pipes: &Pipes,
        cx: &mut Context<'_>,
    ) -> (Moved, Result<(), Fault>) {
        let (State::Open(broker), Some(stream)) = (&self.state, &mut self.stream) else {
            return (Moved::default(), Ok(()));
        };
        let (moved, result) = self.down.advance(broker, client, stream.movable(), pipes, cx);
        stream.moved(moved.taken);
        self.large = true;
        (moved, result)
    }

    /// Whether the kernel is to move the next `left` bytes of a request that is coming in.
    pub(crate) fn moves_up(&self, left: usize) -> bool {
        self.up.is_amid() || self.up.wants(left)
    }

    /// Whether the broker takes no more at the moment.
    pub(crate) fn is_held_up(&self) -> bool {
        self.up.is_amid() || !self.output.is_empty()
    }

    /// Moves records to the broker, after what was queued before them.
    pub(crate) fn move_up(
        &mut self,
        client: &TcpStream,
        left: usize,
        pipes: &Pipes,
        cx: &mut Context<'_>,
    ) -> (Moved, Result<(), Fault>) {
        // While the pipe holds something this writes nothing.
        if let Err(error) = self.poll_write(cx) {
            return (Moved::default(), Err(Fault::Sink(error)));
        }
        let waits = !self.output.is_empty() && !self.up.is_amid();
        let (false, State::Open(broker)) = (waits, &self.state) else { return (Moved::default(), Ok(())) };
        self.up.advance(client, broker, left, pipes, cx)
    }
}

/// The connections to brokers of one client connection: few, in the order of their brokers.
#[derive(Default)]
pub(crate) struct Upstreams(Vec<Upstream>);

impl Upstreams {
    fn find(&self, peer: Peer) -> Result<usize, usize> {
        self.0.binary_search_by_key(&peer, |u| u.peer)
    }

    pub(crate) fn get_mut(&mut self, peer: Peer) -> Option<&mut Upstream> {
        self.find(peer).ok().map(|at| &mut self.0[at])
    }

    /// The one to a broker; if there is none, `begin` makes it.
    pub(crate) fn get_or_insert(&mut self, peer: Peer, begin: impl FnOnce() -> Upstream) -> &mut Upstream {
        let at = self.find(peer).unwrap_or_else(|at| {
            self.0.insert(at, begin());
            at
        });
        &mut self.0[at]
    }

    pub(crate) fn remove(&mut self, peer: Peer) -> Option<Upstream> {
        self.find(peer).ok().map(|at| self.0.remove(at))
    }

    /// Whether none of them is only being made.
    pub(crate) fn are_open(&self) -> bool {
        self.0.iter().all(|u| matches!(u.state, State::Open(_)))
    }

    /// The same, with the sockets' events on another thread.
    pub(crate) fn moved_to(self, place: &Place) -> io::Result<Self> {
        let moved = |upstream: Upstream| {
            let state = match upstream.state {
                State::Open(stream) => State::Open(place.take(stream)?),
                connecting @ State::Connecting(_) => connecting,
            };
            Ok(Upstream { state, ..upstream })
        };
        self.0.into_iter().map(moved).collect::<io::Result<_>>().map(Self)
    }

    /// The broker of the connection of that number.
    pub(crate) fn peer(&self, number: usize) -> Option<Peer> {
        self.0.get(number).map(|u| u.peer)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn each(&mut self, visit: impl FnMut(&mut Upstream)) {
        self.0.iter_mut().for_each(visit);
    }

    /// Bytes that wait for brokers.
    pub(crate) fn queued(&self) -> usize {
        self.0.iter().map(|u| u.output.len).sum()
    }
}

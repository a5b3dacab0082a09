//! One connection to a broker, as one client connection's own.

use crate::{input, queue::WriteQueue};
use bytes::BytesMut;
use pointsman_core::{
    session::{Outgoing, stream::Stream},
    topology::NodeId,
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
    node: NodeId,
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
    pub(crate) fn new(node: NodeId, connecting: Connecting) -> Self {
        Self {
            node,
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
        if before == 0 {
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
        let missing = if self.stream.is_some() { 0 } else { input::missing(&self.input) };
        input::poll_read(stream, cx, &mut self.input, missing)
    }
}

/// The connections to brokers of one client connection: few, in the order of their node ids.
#[derive(Default)]
pub(crate) struct Upstreams(Vec<Upstream>);

impl Upstreams {
    fn find(&self, node: NodeId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&node, |u| u.node)
    }

    pub(crate) fn get_mut(&mut self, node: NodeId) -> Option<&mut Upstream> {
        self.find(node).ok().map(|at| &mut self.0[at])
    }

    /// In place of a former one to the same node.
    pub(crate) fn insert(&mut self, upstream: Upstream) {
        match self.find(upstream.node) {
            Ok(at) => self.0[at] = upstream,
            Err(at) => self.0.insert(at, upstream),
        }
    }

    pub(crate) fn remove(&mut self, node: NodeId) -> Option<Upstream> {
        self.find(node).ok().map(|at| self.0.remove(at))
    }

    /// The node of the connection of that number.
    pub(crate) fn node(&self, number: usize) -> Option<NodeId> {
        self.0.get(number).map(|u| u.node)
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

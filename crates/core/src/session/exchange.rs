//! One request of a client and what is known of its answer.

use super::merge::Answer;
use crate::{
    Now,
    rules::{Rule, Side, request::Scan},
    topology::NodeId,
};
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use std::collections::VecDeque;

/// Number of an exchange on its connection: 0, 1, 2, … in the order of the requests.
pub(super) type ExchangeId = u64;

/// Requests whose memory is kept for the next ones.
const SPARES: usize = 5;
/// More topics or partitions are not kept: with 32 and 56 bytes each, at most 8 KiB for all [`SPARES`].
const SPARE_PLACES: usize = 16;

/// One request and its answer.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) rule: &'static Rule,
    pub(super) version: i16,
    pub(super) side: Side,
    /// The cluster that it was routed to: see [`Peer::since`](super::Peer::since).
    pub(super) since: Option<u64>,
    /// What the client asked (api key and version), where something else was sent in its place.
    pub(super) stands_for: Option<(i16, i16)>,
    /// The client's correlation id.
    pub(super) correlation: i32,
    pub(super) received: Now,
    /// Boxed, because it is kept for the next request, and the rest of an exchange is small.
    pub(super) scan: Box<Scan>,
    /// The request as the client sent it, where it may be sent again.
    pub(super) original: Option<Bytes>,
    /// Brokers that could not be reached with it.
    pub(super) tried: Tried,
    pub(super) state: State,
    /// Bytes that were counted for it: see [`Session::weigh`](super::Session::weigh).
    pub(super) weight: usize,
}

/// Brokers that a request was sent to. Nearly always one, which takes no allocation.
pub(super) type Tried = SmallVec<[NodeId; 4]>;

/// Memory of requests that are over.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "the boxes are what is kept")]
pub(super) struct Spares(Vec<Box<Scan>>);

impl Spares {
    pub(super) fn take(&mut self) -> Box<Scan> {
        self.0.pop().unwrap_or_default()
    }

    pub(super) fn give(&mut self, mut scan: Box<Scan>) {
        let small = scan.topics.capacity().max(scan.partitions.capacity()) <= SPARE_PLACES;
        if self.0.len() < SPARES && small {
            scan.clear();
            self.0.push(scan);
        }
    }
}

/// How far the answer is.
#[derive(Debug)]
pub(super) enum State {
    /// Not routed yet: waits for a topology or a coordinator.
    Routing,
    /// One broker has it whole.
    Whole,
    /// Several answers are put together.
    Merging(Merge),
    /// The answer names topics that the topology does not know yet.
    Held { frame: BytesMut, node: NodeId, until: Now },
    /// Its bytes go to the client as they come.
    Streaming,
    /// Complete: the frame for the client.
    Ready(Bytes),
    /// Complete, and the client expects nothing.
    Silent,
}

/// Answers on their way to one.
#[derive(Debug)]
pub(super) struct Merge {
    /// What has not been answered yet, in the order in which it was sent: a broker answers in that order.
    pub(super) outstanding: VecDeque<Part>,
    /// More parts will be sent: the request is still coming in.
    pub(super) open: bool,
    /// The answers so far, in virtual identifiers.
    pub(super) parts: Vec<Answer>,
    /// When the answer is due whatever is missing; only a Fetch has one.
    pub(super) deadline: Option<Now>,
}

/// What one broker was asked of a split request.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) node: NodeId,
    /// Partitions or keys, as indices into the scan, in ascending order; empty where every broker is asked the same.
    pub(super) chosen: Vec<usize>,
}

impl Merge {
    /// The part that `node` was asked first, which is the one that its next answer is for.
    pub(super) fn take(&mut self, node: NodeId) -> Option<Part> {
        let at = self.outstanding.iter().position(|p| p.node == node)?;
        self.outstanding.remove(at)
    }
}

impl Exchange {
    /// Bytes that it holds: what the request names, the request itself where it may be sent again, and what is there of the answer.
    pub(super) fn holds(&self) -> usize {
        let answer = match &self.state {
            State::Ready(frame) => frame.len(),
            State::Held { frame, .. } => frame.len(),
            State::Merging(merge) => merge.parts.iter().map(Bytes::len).sum(),
            _ => 0,
        };
        self.scan.holds() + self.original.as_ref().map_or(0, Bytes::len) + answer
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Ready(_) | State::Silent)
    }
}

//! Cut-through of large Produce requests: a request is routed while it comes in and is never collected.
//!
//! Of each partition only what stands before its records, and the header of its first batch, is looked at; then its leader is known
//! and the records pass. A request for one partition goes to its leader as it is. Of several, each becomes a request of its own,
//! whose length is known as soon as the length of its records is; their answers are merged. Tagged fields that no schema knows
//! pass in the first case only, because in the second they come after the length was told.
//!
//! A broker that fails, or a switch, in the midst of a frame never ends the reading of it: what is left of it is dropped, and the
//! answer is given when all of it has come. Half a frame for a broker is only ever followed by the end of that connection.

use super::{
    ExchangeId, Output, Peer, Pending, Purpose, Session, View,
    dispatch::bad_request,
    exchange::{Merge, State},
};
use crate::{
    Now, limits,
    rules::{
        Context, Partitions, Route, Side,
        request::{self, PartitionRef, Scan, TopicRef},
    },
};
use bytes::{Bytes, BytesMut};
use pointsman_wire::{
    batch::{BatchEvent, Batches},
    cursor::{Cursor, Event, Kind},
    header,
    schema::Message,
    tables::{self, produce_request as ids},
};
use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

/// A Produce request that is coming in.
pub(super) struct Incoming {
    /// Bytes of the frame after its size.
    pub(super) size: usize,
    /// What is known once the header has come.
    pub(super) body: Option<Body>,
    /// Nothing of it goes anywhere any more; it is refused when all of it has come.
    pub(super) doomed: bool,
    /// The broker that gets the records that come next, while its frame is incomplete.
    pub(super) to: Option<Peer>,
    /// Its leader is not known: how long to wait for a topology that knows it.
    pub(super) until: Option<Now>,
}

pub(super) struct Body {
    pub(super) id: ExchangeId,
    pub(super) shape: &'static Partitions,
    pub(super) version: i16,
    pub(super) flexible: bool,
    pub(super) cursor: Cursor,
    pub(super) len: usize,
    /// The client's header, size included.
    pub(super) header: Bytes,
    /// From the start of the body to the topics.
    pub(super) prelude: Vec<u8>,
    /// The name or (real) id of the topic.
    pub(super) topic: Bytes,
    pub(super) index: Bytes,
    /// The length prefix of the records.
    pub(super) length: Bytes,
    /// Records of this partition have begun, and where they go is not decided.
    pub(super) undecided: bool,
    /// What comes next is of a partition's records.
    pub(super) amid_records: bool,
    /// How many there are; none until the request has said so.
    pub(super) topics: Option<usize>,
    /// How many were announced so far.
    pub(super) partitions: usize,
    /// One partition is all there is.
    pub(super) whole: bool,
    pub(super) refused: BTreeMap<i16, Vec<usize>>,
    /// The batches that are passing, where their producer ids must be patched.
    pub(super) batches: Option<Batches>,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("size", &self.size).field("to", &self.to).finish_non_exhaustive()
    }
}

/// Why a pass over what has come stopped.
enum Stop {
    /// More bytes are needed, or the leader of a partition.
    Suspended,
    /// That was all of it.
    Complete,
}

impl Incoming {
    pub(super) fn is(&self, id: ExchangeId) -> bool {
        self.body.as_ref().is_some_and(|b| b.id == id)
    }

    /// Whether half a frame has gone to a broker.
    pub(super) fn goes_to(&self, peer: Peer) -> bool {
        self.to == Some(peer)
    }

    /// The connection to a broker is gone, where `last` was asked last. Returns whether only half of that has left.
    pub(super) fn cut(&mut self, peer: Peer, last: Option<&Pending>) -> bool {
        if !self.goes_to(peer) {
            return false;
        }
        self.to = None;
        last.is_some_and(|p| matches!(p.purpose, Purpose::Exchange { id, .. } if self.is(id)))
    }

    pub(super) fn doom(&mut self) {
        self.doomed = true;
        self.to = None;
        self.until = None;
    }

    pub(super) fn waits(&self) -> bool {
        self.until.is_some()
    }

    pub(super) fn until(&self) -> Option<Now> {
        self.until
    }
}

impl Session {
    /// Whether a request of `size` bytes after its size prefix is to be fed in pieces.
    pub fn passes(key: i16, size: usize) -> bool {
        key == 0 && size > limits::COLLECT_REQUEST
    }

    /// A request of `size` bytes after its size prefix comes next, and is fed with [`receive`](Self::receive).
    pub fn begin(&mut self, size: usize) {
        self.incoming = Some(Incoming { size, body: None, doomed: false, to: None, until: None });
    }

    /// Whether a request is being fed in pieces.
    pub fn is_receiving(&self) -> bool {
        self.incoming.is_some()
    }

    /// Takes from `input` what can be used of the request that [`begin`](Self::begin) announced; it starts with the size prefix.
    /// Returns whether the request is complete; what is left of `input` is the next one then.
    pub fn receive(&mut self, input: &mut BytesMut, now: Now, out: &mut Output) -> bool {
        let Some(mut incoming) = self.incoming.take() else { return false };
        incoming.doomed |= self.serving(Side::Produce).is_none();
        let stop = self.pass(&mut incoming, input, now, out);
        match stop {
            Ok(Stop::Complete) => self.received(incoming, now, out),
            Ok(Stop::Suspended) => self.incoming = Some(incoming),
            Err(detail) => {
                bad_request(detail, out);
                self.incoming = Some(incoming);
            }
        }
        self.incoming.is_none()
    }

    /// How many of the next bytes of the request that is coming in go to a broker as they are, whatever they are, and to which: the
    /// kernel may move them, after everything that was sent there before.
    pub fn movable(&self) -> Option<(Peer, usize)> {
        let incoming = self.incoming.as_ref()?;
        let (to, body) = incoming.to.zip(incoming.body.as_ref())?;
        let left = if body.undecided || !body.amid_records { 0 } else { body.cursor.blob_left() };
        let left = body.batches.as_ref().map_or(left, |batches| left.min(batches.body_left()));
        (left > 0).then_some((to, left))
    }

    /// So many of the [`movable`](Self::movable) bytes have been moved.
    pub fn moved(&mut self, len: usize, out: &mut Output) {
        let Some(incoming) = &mut self.incoming else { return };
        let Some(mut body) = incoming.body.take() else { return };
        body.cursor.skip(len);
        if let Some(batches) = &mut body.batches {
            batches.skip(len);
        }
        if body.cursor.blob_left() == 0 {
            body.amid_records = false;
            incoming.end_part(&body, out);
        }
        incoming.body = Some(body);
    }

    fn pass(
        &mut self,
        incoming: &mut Incoming,
        input: &mut BytesMut,
        now: Now,
        out: &mut Output,
    ) -> Result<Stop, String> {
        let mut body = match incoming.body.take() {
            Some(body) => body,
            None => match self.open(incoming, input, now, out)? {
                Some(body) => body,
                None => return Ok(Stop::Suspended),
            },
        };
        let stop = self.walk(incoming, &mut body, input, now, out);
        incoming.body = Some(body);
        stop
    }

    /// Reads the header, once it is there, and opens the exchange.
    fn open(
        &mut self,
        incoming: &Incoming,
        input: &mut BytesMut,
        now: Now,
        out: &mut Output,
    ) -> Result<Option<Body>, String> {
        let frame = input.get(4..input.len().min(4 + incoming.size)).unwrap_or_default();
        let Some(header) = header::request_header_partial(frame).map_err(|e| e.to_string())? else {
            let too_long = input.len() > limits::STREAMED_HEADER;
            let message = || format!("a request header of more than {} bytes", limits::STREAMED_HEADER);
            return if too_long { Err(message()) } else { Ok(None) };
        };
        let (key, version, correlation, len) =
            (header.key, header.version, header.correlation_id, header.len);
        let message: &'static Message =
            tables::request(key, version).ok_or("the tables lack this version")?;
        let Some((id, rule)) = self.admit(key, version, Side::Produce, correlation, now, out) else {
            return Ok(None);
        };
        let Route::Leaders(shape) = rule.route else { return Err("not a Produce request".into()) };
        let since = self.serving(Side::Produce).map(|a| a.since);
        if let Some(since) = since {
            self.gate.serves(since, now);
        }
        if let Some(exchange) = self.exchange(id) {
            exchange.since = since;
            let (outstanding, parts) = (VecDeque::new(), Vec::new());
            exchange.state = State::Merging(Merge { outstanding, parts, deadline: None, open: true });
        }
        Ok(Some(Body {
            id,
            shape,
            version,
            flexible: message.is_flexible(version),
            cursor: Cursor::new(message, version, incoming.size - len),
            len: incoming.size - len,
            header: input.split_to(4 + len).freeze(),
            prelude: Vec::new(),
            topic: Bytes::new(),
            index: Bytes::new(),
            length: Bytes::new(),
            undecided: false,
            amid_records: false,
            topics: None,
            partitions: 0,
            whole: false,
            refused: BTreeMap::new(),
            batches: None,
        }))
    }

    fn walk(
        &mut self,
        incoming: &mut Incoming,
        body: &mut Body,
        input: &mut BytesMut,
        now: Now,
        out: &mut Output,
    ) -> Result<Stop, String> {
        // The stand-in serves requests that are dropped as they come.
        let view = View::of(self, Side::Produce)
            .or_else(|| View::of_none(self))
            .ok_or("no cluster is configured")?;
        let cx = view.context();
        loop {
            if body.undecided && !self.settle(incoming, body, input, &cx, now, out) {
                return Ok(Stop::Suspended);
            }
            let Some(allowed) = body.patch_batches(input, &cx) else { return Ok(Stop::Suspended) };
            let event = body.cursor.next(&input[..allowed]).map_err(|e| format!("ProduceRequest: {e}"))?;
            let Some(event) = event else { return Ok(Stop::Suspended) };
            if matches!(event.kind, Kind::End) {
                return Ok(Stop::Complete);
            }
            let bytes = input.split_to(event.len);
            self.event(incoming, body, &event, bytes, &cx, out)?;
        }
    }

    fn event(
        &mut self,
        incoming: &mut Incoming,
        body: &mut Body,
        event: &Event,
        bytes: BytesMut,
        cx: &Context<'_>,
        out: &mut Output,
    ) -> Result<(), String> {
        let Some(exchange) = self.exchange(body.id) else { return Ok(()) };
        let scan = &mut exchange.scan;
        match (event.field.id, event.kind) {
            _ if body.topics.is_none() && event.field.id != ids::TOPIC_DATA => {
                if event.field.id == ids::ACKS {
                    scan.no_response = bytes[..] == [0, 0];
                }
                body.prelude.extend_from_slice(&bytes);
            }
            (ids::TOPIC_DATA, Kind::ArrayStart { count }) => {
                body.topics = Some(body.limited(count)?);
            }
            (ids::TOPIC_DATA_NAME, Kind::Text { prefix, .. }) => {
                scan.topics.push(named(&bytes[usize::from(prefix)..], cx));
                body.topic = bytes.freeze();
            }
            (ids::TOPIC_DATA_TOPIC_ID, Kind::Scalar) => body.topic = identified(bytes, scan, cx),
            (ids::TOPIC_DATA_PARTITION_DATA, Kind::ArrayStart { count }) => {
                body.partitions = body.limited(count)?;
                body.whole = body.topics == Some(1) && body.partitions == 1;
            }
            (ids::TOPIC_DATA_PARTITION_DATA_INDEX, Kind::Scalar) => {
                let index = bytes[..].try_into().map_or(-1, i32::from_be_bytes);
                let topic = scan.topics.len().saturating_sub(1);
                scan.partitions.push(PartitionRef::new(topic, index));
                body.index = bytes.freeze();
            }
            (ids::TOPIC_DATA_PARTITION_DATA_RECORDS, Kind::Blob { .. }) => {
                body.length = bytes.freeze();
                body.undecided = true;
                body.amid_records = true;
            }
            (ids::TOPIC_DATA_PARTITION_DATA_RECORDS, Kind::Chunk { last }) => {
                incoming.piece(bytes.freeze(), out);
                if last {
                    body.amid_records = false;
                    incoming.end_part(body, out);
                }
            }
            _ if body.whole => incoming.piece(bytes.freeze(), out),
            _ => {}
        }
        Ok(())
    }
}

impl Body {
    /// Within records whose producer ids are patched, a batch header passes only whole. Returns how many bytes the cursor may see.
    fn patch_batches(&mut self, input: &mut [u8], cx: &Context<'_>) -> Option<usize> {
        let Some(batches) = &mut self.batches else { return Some(input.len()) };
        match batches.next(input) {
            Ok(None) => None,
            Ok(Some(BatchEvent::Header { len, header, .. })) => {
                if let Some(header) = header {
                    request::patch_batch(input, &header, &cx.active.producer_ids);
                }
                Some(len)
            }
            Ok(Some(BatchEvent::Body { len, .. })) => Some(len),
            // What follows a batch that is no batch is left as it is: the broker will refuse it.
            Ok(Some(BatchEvent::End)) | Err(_) => {
                self.batches = None;
                Some(input.len())
            }
        }
    }

    /// The number of topics or partitions, with those before.
    fn limited(&self, count: Option<u32>) -> Result<usize, String> {
        let (most, all) = (limits::STREAMED_PARTITIONS, self.partitions + count.unwrap_or(0) as usize);
        let detail = || format!("{all} topics or partitions in a large Produce request, more than {most}");
        if all > most { Err(detail()) } else { Ok(all) }
    }
}

fn named(name: &[u8], cx: &Context<'_>) -> TopicRef {
    let name = std::str::from_utf8(name).unwrap_or_default();
    TopicRef { name: Some(request::topic_name(name, cx)), virtual_id: Uuid::nil() }
}

/// Notes the topic of a virtual id; returns the real one.
fn identified(mut bytes: BytesMut, scan: &mut Scan, cx: &Context<'_>) -> Bytes {
    let virtual_id = Uuid::from_slice(&bytes).unwrap_or_default();
    let (name, real) = request::topic_of(virtual_id, cx);
    match real {
        Some(real) => bytes.copy_from_slice(real.as_bytes()),
        None if virtual_id.is_nil() => {}
        None => {
            let at = scan.foreign_ids.partition_point(|id| *id < virtual_id);
            scan.foreign_ids.insert(at, virtual_id);
        }
    }
    scan.topics.push(TopicRef { name, virtual_id });
    bytes.freeze()
}

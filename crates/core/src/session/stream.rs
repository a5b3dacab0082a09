//! Cut-through of large Fetch responses: bytes are patched as they pass and are never collected.
//!
//! All identifiers inside keep their length, but for the addresses at the very end (`NodeEndpoints`). Where they are a tagged field,
//! its tag is turned into one that no client knows; where they are an array, it becomes an empty one, and its bytes such a tagged
//! field. The content is blanked, which tells the client nothing and keeps the frame's size.

use super::{ExchangeId, Output, Peer, Purpose, Session, View, exchange::State};
use crate::{Now, limits, rules::Side};
use pointsman_wire::{
    batch::{BatchEvent, Batches, PARTITION_LEADER_EPOCH_AT},
    cursor::{Cursor, Event, Kind},
    error::DecodeError,
    header,
    schema::Entity,
    tables,
};
use std::sync::Arc;
use uuid::Uuid;

/// How a broker's next response is to be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// Whole, then [`Session::response`].
    Collect,
    /// By [`Session::begin_stream`], as soon as [`STREAM_HEAD`] bytes are there.
    Stream,
    /// Not yet: answers to earlier requests go first.
    Wait,
    /// It is larger than any answer to what was asked.
    TooLarge,
}

/// Bytes of a frame, size included, that [`Session::begin_stream`] needs.
pub const STREAM_HEAD: usize = 64;
/// A tag of the response's root that no version of Kafka uses.
const UNKNOWN_TAG: u8 = 0x7f;

impl Session {
    /// How to take in a response frame of a broker with `size` bytes after the size prefix.
    pub fn intake(&self, peer: Peer, size: usize) -> Intake {
        let pending = self.links.get(&peer).and_then(|l| l.pending.front());
        let exchange = pending.and_then(|p| match &p.purpose {
            Purpose::Exchange { id, poll: None } => Some(*id),
            _ => None,
        });
        let index = exchange.and_then(|id| usize::try_from(id.checked_sub(self.first)?).ok());
        let fetch = index.and_then(|i| self.exchanges.get(i)).filter(|e| matches!(e.rule.key, 1 | 78));
        if fetch.is_none() {
            let part_of_fetch = pending.is_some_and(|p| {
                matches!(&p.purpose, Purpose::Exchange { poll: Some(_), .. } | Purpose::Spare { .. })
            });
            let waits = self.held >= limits::HELD && exchange.is_some_and(|id| !self.is_first(id));
            let max = if part_of_fetch { limits::MAX_REQUEST } else { limits::MAX_CONTROL_RESPONSE };
            return match size {
                _ if size > max => Intake::TooLarge,
                _ if waits => Intake::Wait,
                _ => Intake::Collect,
            };
        }
        match size {
            _ if size <= limits::COLLECT_RESPONSE => Intake::Collect,
            _ if size > limits::MAX_RESPONSE => Intake::TooLarge,
            _ if exchange.is_some_and(|id| self.is_first(id)) => Intake::Stream,
            _ => Intake::Wait,
        }
    }

    /// Starts to pass the response of a broker through. `frame` holds its first bytes, size included, and gets the client's correlation
    /// id. The bytes before [`Stream::body_at`] can go to the client at once.
    pub fn begin_stream(&mut self, peer: Peer, frame: &mut [u8]) -> Result<Stream, DecodeError> {
        let gone = DecodeError::Truncated { needed: STREAM_HEAD, left: frame.len() };
        let view = View::of(self, Side::Consume).ok_or(gone)?;
        let pending = self.links.get(&peer).and_then(|l| l.pending.front());
        let Some(Purpose::Exchange { id, .. }) = pending.map(|p| &p.purpose) else { return Err(gone) };
        let id: ExchangeId = *id;
        let exchange = self.exchange(id).ok_or(gone)?;
        exchange.state = State::Streaming;
        let (key, version, foreign) =
            (exchange.rule.key, exchange.version, exchange.scan.foreign_ids.clone());
        let correlation = exchange.correlation;
        let message =
            tables::response(key, version).ok_or(DecodeError::UnsupportedVersion { key, version })?;
        let body_at = 4 + header::response_header_len(key, version).len_in(&frame[4..])?.ok_or(gone)?;
        let size = frame.get(..4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map_or(0, u32::from_be_bytes);
        let len = (size as usize + 4).saturating_sub(body_at);
        self.remember_fetch_session(id, peer.node, frame);
        frame[4..8].copy_from_slice(&correlation.to_be_bytes());
        let cursor = Cursor::new(message, version, len);
        let veil = Vec::new().into_iter();
        Ok(Stream { body_at, len, cursor, view, foreign, batches: None, hidden: false, veil, done: false })
    }

    /// The stream of a broker is complete.
    pub fn end_stream(&mut self, peer: Peer, now: Now, out: &mut Output) {
        let pending = self.links.get_mut(&peer).and_then(|l| l.pending.pop_front());
        if let Some(Purpose::Exchange { id, .. }) = pending.map(|p| p.purpose)
            && let Some(exchange) = self.exchange(id)
        {
            exchange.state = State::Silent;
        }
        self.flush(now, out);
    }
}

/// A response on its way through.
pub struct Stream {
    /// Where the body starts in the frame.
    pub body_at: usize,
    /// Bytes of the body.
    len: usize,
    cursor: Cursor,
    view: Arc<View>,
    foreign: Vec<Uuid>,
    batches: Option<Batches>,
    /// Endpoints are passing.
    hidden: bool,
    /// What is written in their place; zeros follow.
    veil: std::vec::IntoIter<u8>,
    done: bool,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("position", &self.cursor.position()).field("done", &self.done).finish()
    }
}

impl Stream {
    /// Whether the whole body has passed.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Patches `bytes`, the body from where the last call stopped, and returns how many of them can go to the client.
    pub fn advance(&mut self, bytes: &mut [u8]) -> Result<usize, DecodeError> {
        let start = self.cursor.position();
        loop {
            let at = self.cursor.position() - start;
            let Some(allowed) = self.allow_records(&mut bytes[at..])? else { return Ok(at) };
            let Some(event) = self.cursor.next(&bytes[at..at + allowed])? else { return Ok(at) };
            if matches!(event.kind, Kind::End) {
                self.done = true;
                return Ok(self.cursor.position() - start);
            }
            let range = event.at - start..event.at - start + event.len;
            self.patch(&event, &mut bytes[range]);
        }
    }

    /// How many of the next bytes go to the client as they are, whatever they are: the kernel may move them.
    pub fn movable(&self) -> usize {
        let left = if self.hidden { 0 } else { self.cursor.blob_left() };
        self.batches.as_ref().map_or(left, |batches| left.min(batches.body_left()))
    }

    /// So many of the [`movable`](Self::movable) bytes have been moved.
    pub fn moved(&mut self, len: usize) {
        self.cursor.skip(len);
        if let Some(batches) = &mut self.batches {
            batches.skip(len);
        }
    }

    /// Within records whose epochs must be patched, a batch header passes only whole. Returns how many bytes the cursor may see.
    fn allow_records(&mut self, bytes: &mut [u8]) -> Result<Option<usize>, DecodeError> {
        let Some(batches) = &mut self.batches else { return Ok(Some(bytes.len())) };
        match batches.next(bytes)? {
            None => Ok(None),
            Some(BatchEvent::Header { len, header, .. }) => {
                if let Some(header) = header {
                    let epoch = self.view.context().virtual_epoch(header.partition_leader_epoch);
                    bytes[PARTITION_LEADER_EPOCH_AT..PARTITION_LEADER_EPOCH_AT + 4]
                        .copy_from_slice(&epoch.to_be_bytes());
                }
                Ok(Some(len))
            }
            Some(BatchEvent::Body { len, .. }) => Ok(Some(len)),
            Some(BatchEvent::End) => {
                self.batches = None;
                Ok(Some(bytes.len()))
            }
        }
    }

    fn patch(&mut self, event: &Event, bytes: &mut [u8]) {
        match event.kind {
            Kind::Blob { len: Some(len) } if len > 0 && event.field.name == "Records" => {
                let patched = self.view.active.epoch_base != 0;
                self.batches = patched.then(|| Batches::new(len as usize));
            }
            Kind::TagStart { .. } if event.field.name == "NodeEndpoints" => {
                bytes[0] = UNKNOWN_TAG;
                self.hidden = true;
            }
            Kind::TagEnd if event.field.name == "NodeEndpoints" => self.hidden = false,
            _ if self.hidden => bytes.fill_with(|| self.veil.next().unwrap_or(0)),
            Kind::ArrayStart { count: Some(1..) } if event.field.name == "NodeEndpoints" => {
                padded_uvarint(bytes, 1);
                self.hidden = true;
                self.veil = unknown_tag(self.len - event.at - event.len).into_iter();
            }
            Kind::Scalar => self.patch_scalar(event, bytes),
            _ => {}
        }
    }

    fn patch_scalar(&self, event: &Event, bytes: &mut [u8]) {
        let cx = self.view.context();
        match event.field.entity {
            Entity::BrokerId => bytes.copy_from_slice(&cx.slot(read_i32(bytes)).to_be_bytes()),
            Entity::LeaderEpoch => bytes.copy_from_slice(&cx.virtual_epoch(read_i32(bytes)).to_be_bytes()),
            Entity::TopicId => {
                let Ok(real) = Uuid::from_slice(bytes) else { return };
                if real.is_nil() || self.foreign.binary_search(&real).is_ok() {
                    return;
                }
                let name = cx.topology.topic_names.get(&real);
                let ids = &cx.virtual_cluster.topic_ids;
                let id = name.map_or(Uuid::nil(), |n| ids.to_virtual(&cx.active.cluster.name, n, real));
                bytes.copy_from_slice(id.as_bytes());
            }
            _ => {}
        }
    }
}

/// The head of a root's tag section of `room` bytes, endpoints and former tags together, that holds nothing but one unknown tag.
fn unknown_tag(room: usize) -> Vec<u8> {
    const COUNT: u8 = 1;
    let fits = |len: &usize| room.saturating_sub(2 + len) >> (7 * len) == 0;
    let size_len = (1..5).find(fits).unwrap_or(5);
    let mut head = vec![COUNT, UNKNOWN_TAG];
    head.resize(2 + size_len, 0);
    padded_uvarint(&mut head[2..], room.saturating_sub(2 + size_len));
    head
}

/// Writes a varint that takes all of `place`.
fn padded_uvarint(place: &mut [u8], value: usize) {
    let last = place.len().saturating_sub(1);
    for (number, byte) in place.iter_mut().enumerate() {
        let bits = u8::try_from(value >> (7 * number) & 0x7f).unwrap_or(0);
        *byte = if number == last { bits } else { bits | 0x80 };
    }
}

fn read_i32(bytes: &[u8]) -> i32 {
    bytes.try_into().map_or(-1, i32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_tag_fills_whatever_room_there_was() {
        for room in (4..40).chain(120..140).chain(16_380..16_400).chain([1 << 21, 5_000_000]) {
            let head = unknown_tag(room);
            let size = head[2..].iter().rev().fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
            assert_eq!((head[0], head[1], head.len() + size), (1, UNKNOWN_TAG, room));
            let (last, others) = head[2..].split_last().expect("a size");
            assert!(last & 0x80 == 0 && others.iter().all(|byte| byte & 0x80 != 0), "{room}");
        }
    }
}

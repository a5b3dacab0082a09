//! Puts several brokers' answers together into the one that a single broker would have given.
//!
//! Answers are bodies in the client's version and identifiers. What they hold of partitions is copied from one body to the other.

use super::{
    layout::{Key, Layout, Names},
    tell::{self, marker_of},
};
use crate::rules::{
    Partitions,
    request::{PartitionRef, Scan, TopicRef},
};
use bytes::Bytes;
use pointsman_wire::{
    error::{DecodeError, EncodeError},
    schema::Message,
    value::{self, Pieces, Struct, Value},
};

/// An answer to a request of several partitions or keys, or to a part of one.
pub(super) type Answer = Bytes;

/// Why answers cannot be put together.
#[derive(Debug)]
pub(super) enum Unmergeable {
    /// One of them is none.
    Answer(DecodeError),
    /// The whole cannot be written.
    Whole(EncodeError),
}

impl From<DecodeError> for Unmergeable {
    fn from(error: DecodeError) -> Self {
        Self::Answer(error)
    }
}

impl From<EncodeError> for Unmergeable {
    fn from(error: EncodeError) -> Self {
        Self::Whole(error)
    }
}

impl std::fmt::Display for Unmergeable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answer(error) => write!(f, "an answer to a part of a request: {error}"),
            Self::Whole(error) => write!(f, "answers that cannot be put together: {error}"),
        }
    }
}

fn key_of(scan: &Scan, number: usize) -> Key<'_> {
    let topic = &scan.topics[number];
    let name = topic.name.as_deref().unwrap_or_default().as_bytes();
    match scan.markers.get(marker_of(scan, number)) {
        Some(marker) => Key::Marked(marker.producer, name),
        None if topic.virtual_id.is_nil() => Key::Name(name),
        None => Key::Id(topic.virtual_id),
    }
}

/// A response with one topic entry of the request, without partitions.
pub(super) fn topic_entry(shape: &Partitions, topic: &TopicRef) -> Struct {
    let entry = Struct::new().with("TopicId", topic.virtual_id.into_bytes());
    match (&topic.name, shape.response_name) {
        (Some(name), field) if !field.is_empty() => entry.with(field, &**name),
        _ => entry,
    }
}

/// The partitions of a request, to be found by their topic and index.
pub(super) struct Spots<'a> {
    scan: &'a Scan,
    /// Topics (indices into the scan) by their keys.
    topics: Vec<u32>,
    /// By topic: its place among these; of topics that are called alike, that of the first one.
    ranks: Vec<u32>,
    /// Partitions (indices into the scan) by spot.
    order: Vec<u32>,
}

/// Rank of the topic, and index.
type Spot = (u32, i32);

impl<'a> Spots<'a> {
    pub(super) fn new(scan: &'a Scan) -> Self {
        let mut topics: Vec<u32> = (0..short(scan.topics.len())).collect();
        topics.sort_unstable_by(|a, b| key_of(scan, *a as usize).cmp(&key_of(scan, *b as usize)));
        let mut ranks = vec![0; topics.len()];
        let mut rank = 0;
        for (place, topic) in topics.iter().enumerate() {
            let before = topics[place.saturating_sub(1)];
            if key_of(scan, before as usize) != key_of(scan, *topic as usize) {
                rank = short(place);
            }
            ranks[*topic as usize] = rank;
        }
        let mut spots = Self { scan, topics, ranks, order: Vec::new() };
        let mut order: Vec<u32> = (0..short(scan.partitions.len())).collect();
        order.sort_unstable_by_key(|number| (spots.of(*number), *number));
        spots.order = order;
        spots
    }

    fn of(&self, number: u32) -> Spot {
        let PartitionRef { topic, index, .. } = self.scan.partitions[number as usize];
        (self.ranks[topic], index)
    }

    /// The rank of what is called so.
    pub(super) fn rank(&self, key: Key<'_>) -> Option<u32> {
        let place = self.topics.partition_point(|topic| key_of(self.scan, *topic as usize) < key);
        self.topics.get(place).filter(|t| key_of(self.scan, **t as usize) == key).map(|_| short(place))
    }

    /// The partition at a spot. Of one that the request names several times, the first that nothing was told of yet: what is told is
    /// told of them one after the other.
    pub(super) fn next(&self, spot: Spot, is_told: impl Fn(usize) -> bool) -> Option<usize> {
        let from = self.order.partition_point(|number| self.of(*number) < spot);
        let rest = &self.order[from..];
        let next = rest.partition_point(|n| self.of(*n) == spot && is_told(*n as usize));
        rest.get(next).filter(|n| self.of(**n) == spot).map(|n| *n as usize)
    }
}

/// The entries of answers, by the partition of the request that they belong to.
struct Found<'a> {
    spots: Spots<'a>,
    /// By partition: which answer has its entry, and where.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    answer: u32,
    from: u32,
    /// 0: nobody answered.
    to: u32,
}

impl<'a> Found<'a> {
    fn new(scan: &'a Scan) -> Self {
        Self { spots: Spots::new(scan), places: vec![Place::default(); scan.partitions.len()] }
    }

    fn take(&mut self, spot: Spot, place: Place) {
        if let Some(number) = self.spots.next(spot, |number| self.places[number].to > 0) {
            self.places[number] = place;
        }
    }

    /// What was told of a partition once is told of it wherever the request names it.
    fn spread(&mut self) {
        for pair in self.spots.order.windows(2) {
            let [before, number] = [pair[0], pair[1]];
            if self.places[number as usize].to == 0 && self.spots.of(before) == self.spots.of(number) {
                self.places[number as usize] = self.places[before as usize];
            }
        }
    }
}

/// Merges answers by topic and partition, in the order of the request; `missing` makes the entry of a partition that
/// nobody answered. `finish` has the last word on what stands outside the topics.
pub(super) fn by_partition(
    message: &'static Message,
    version: i16,
    shape: &Partitions,
    scan: &Scan,
    answers: &[Answer],
    missing: impl Fn(i32) -> Struct,
    finish: impl FnOnce(&mut Struct),
) -> Result<Vec<u8>, Unmergeable> {
    let names = Names {
        within: shape.within,
        items: shape.response_topics,
        name: shape.response_name,
        entries: shape.response_partitions,
        index: shape.response_index,
    };
    let mut found = Found::new(scan);
    let mut envelopes = Vec::with_capacity(answers.len());
    for (number, body) in answers.iter().enumerate() {
        let layout = Layout::read(message, version, body, names)?;
        let answer = short(number);
        layout.each(body, |topic, entries| {
            let Some(rank) = found.spots.rank(topic) else { return };
            entries.for_each(|(index, at)| {
                found.take((rank, index), Place { answer, from: at.start, to: at.end });
            });
        });
        envelopes.push(value::decode(message, version, &layout.envelope(body).into())?);
    }
    if !scan.markers.is_empty() {
        // Brokers put markers of one producer together.
        found.spread();
    }
    let mut root = head(envelopes);
    finish(&mut root);
    let pieces = Pieces::new(message, version);
    let body = tell::write(&pieces, shape, scan, &root, true, &|_| true, &mut |_, number, fields, out| {
        let Place { answer, from, to } = found.places[number];
        match answers.get(answer as usize).filter(|_| to > 0) {
            Some(body) => out.extend_from_slice(&body[from as usize..to as usize]),
            None => pieces.element(fields, &missing(scan.partitions[number].index), out)?,
        }
        Ok(())
    })?;
    Ok(body)
}

/// Merges answers whose results stand in one array.
pub(super) fn by_array(
    message: &'static Message,
    version: i16,
    array: &'static str,
    answers: &[Answer],
) -> Result<Vec<u8>, Unmergeable> {
    let names = Names { items: array, ..Names::default() };
    let mut layouts = Vec::with_capacity(answers.len());
    let mut envelopes = Vec::with_capacity(answers.len());
    for body in answers {
        let layout = Layout::read(message, version, body, names)?;
        envelopes.push(value::decode(message, version, &layout.envelope(body).into())?);
        layouts.push(layout);
    }
    let count = layouts.iter().map(Layout::len).sum();
    let body = Pieces::new(message, version).root(&head(envelopes), (array, count), &mut |_, out| {
        layouts.iter().zip(answers).for_each(|(layout, body)| out.extend_from_slice(layout.items(body)));
        Ok(())
    })?;
    Ok(body)
}

/// What stands outside the arrays: the longest throttle, the first error, every node endpoint once.
fn head(parts: Vec<Struct>) -> Struct {
    let mut merged: Option<Struct> = None;
    let mut endpoints: Vec<Value> = Vec::new();
    for mut part in parts {
        if let Some(Value::Array(items)) = part.remove("NodeEndpoints") {
            for item in items {
                if !endpoints.contains(&item) {
                    endpoints.push(item);
                }
            }
        }
        let Some(so_far) = &mut merged else {
            merged = Some(part);
            continue;
        };
        if part.int("ThrottleTimeMs") > so_far.int("ThrottleTimeMs") {
            so_far.set("ThrottleTimeMs", part.int("ThrottleTimeMs"));
        }
        if so_far.int("ErrorCode") == 0 && part.int("ErrorCode") != 0 {
            so_far.set("ErrorCode", part.int("ErrorCode"));
        }
    }
    let mut merged = merged.unwrap_or_default();
    if !endpoints.is_empty() {
        merged.set("NodeEndpoints", endpoints);
    }
    merged
}

/// Bodies and scans are below 4 GiB.
fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

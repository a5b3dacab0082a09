//! Writes answers that tell something of partitions of a request, in its order, whoever told it.

use super::merge::topic_entry;
use crate::rules::{
    Partitions,
    request::{Scan, TopicRef},
};
use pointsman_wire::{
    error::EncodeError,
    schema::Field,
    value::{Pieces, Struct},
};
use std::ops::Range;

/// Writes what is told of a partition, by its number, with the fields of its entry.
pub(super) type Entry<'a> =
    dyn FnMut(&TopicRef, usize, &'static [Field], &mut Vec<u8>) -> Result<(), EncodeError> + 'a;

/// A topic of the request.
struct Told<'a> {
    topic: &'a TopicRef,
    /// Its marker, where topics have such.
    marker: usize,
    partitions: Range<usize>,
    /// How many of these are told of.
    count: usize,
}

/// The body that tells of those partitions that `is_told` says, with `root` for what stands outside. A topic of which nothing is told is
/// left out, unless `empty`.
pub(super) fn write(
    pieces: &Pieces,
    shape: &Partitions,
    scan: &Scan,
    root: &Struct,
    empty: bool,
    is_told: &dyn Fn(usize) -> bool,
    entry: &mut Entry<'_>,
) -> Result<Vec<u8>, EncodeError> {
    let topics = || {
        let topics = scan.by_topic().enumerate().map(|(number, (topic, partitions))| Told {
            topic,
            marker: marker_of(scan, number),
            count: partitions.clone().filter(|number| is_told(*number)).count(),
            partitions,
        });
        topics.filter(|topic| empty || topic.count > 0)
    };
    let mut write = |told: &Told<'_>, fields, out: &mut Vec<u8>| {
        let (head, partitions) = (topic_entry(shape, told.topic), (shape.response_partitions, told.count));
        pieces.structure(fields, &head, partitions, out, &mut |fields, out| {
            let mut numbers = told.partitions.clone().filter(|number| is_told(*number));
            numbers.try_for_each(|number| entry(told.topic, number, fields, out))
        })
    };
    if shape.within.is_empty() {
        let array = (shape.response_topics, topics().count());
        return pieces
            .root(root, array, &mut |fields, out| topics().try_for_each(|told| write(&told, fields, out)));
    }
    let topics: Vec<Told<'_>> = topics().collect();
    let markers = || topics.chunk_by(|a, b| a.marker == b.marker);
    pieces.root(root, (shape.within, markers().count()), &mut |fields, out| {
        markers().try_for_each(|topics| {
            let producer = scan.markers.get(topics[0].marker).map_or(-1, |marker| marker.producer);
            let (head, array) =
                (Struct::new().with("ProducerId", producer), (shape.response_topics, topics.len()));
            pieces.structure(fields, &head, array, out, &mut |fields, out| {
                topics.iter().try_for_each(|told| write(told, fields, out))
            })
        })
    })
}

/// The marker that a topic belongs to.
pub(super) fn marker_of(scan: &Scan, topic: usize) -> usize {
    scan.markers.partition_point(|marker| marker.topics <= topic).saturating_sub(1)
}

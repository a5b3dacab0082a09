//! WriteTxnMarkers, whose topics and partitions stand one level below those of other requests: in markers, one for each producer.

use super::{
    dispatch::decode_request,
    exchange::{Exchange, Part},
    merge::{Answer, Unmergeable},
};
use crate::{
    rules::request::{PartitionRef, Scan},
    topology::NodeId,
};
use pointsman_wire::{
    cursor::Kind,
    edit::walk,
    error::EncodeError,
    schema::Message,
    tables::{self, write_txn_markers_response as ids},
    value::{self, Pieces, Struct, Value},
};
use std::{collections::BTreeMap, ops::Range};

/// What each broker gets of a request, as bodies.
pub(super) fn parts(
    exchange: &Exchange,
    frame: &[u8],
    groups: BTreeMap<NodeId, Vec<usize>>,
) -> Option<Vec<(Part, Vec<u8>)>> {
    let message = tables::request(exchange.rule.key, exchange.version)?;
    let whole = decode_request(exchange, frame)?;
    let parts = groups.into_iter().map(|(node, chosen)| {
        let mut body = Vec::new();
        value::encode(message, exchange.version, &part(&whole, &chosen), &mut body).ok()?;
        Some((Part { node, chosen }, body))
    });
    parts.collect()
}

/// The request with the chosen partitions only; numbers are in ascending order.
fn part(whole: &Struct, chosen: &[usize]) -> Struct {
    let mut numbers = 0..;
    let mut is_chosen = || numbers.next().is_some_and(|number| chosen.binary_search(&number).is_ok());
    let mut markers = Vec::new();
    for marker in whole.structs("Markers") {
        let mut topics = Vec::new();
        for topic in marker.structs("Topics") {
            let all = topic.array("PartitionIndexes").iter();
            let mine: Vec<Value> = all.filter(|_| is_chosen()).cloned().collect();
            if !mine.is_empty() {
                topics.push(topic.clone().with("PartitionIndexes", mine));
            }
        }
        if !topics.is_empty() {
            markers.push(marker.clone().with("Topics", topics));
        }
    }
    Struct::new().with("Markers", markers)
}

/// The answer in which each partition has the error code that stands for it in `codes`, or is left out.
pub(super) fn answer(
    message: &'static Message,
    version: i16,
    scan: &Scan,
    codes: &[Option<i16>],
) -> Result<Vec<u8>, EncodeError> {
    let told = |numbers: Range<usize>| numbers.filter_map(|number| Some((number, codes[number]?)));
    let topics = scan.by_topic().enumerate().map(|(number, (topic, partitions))| Told {
        marker: marker_of(scan, number),
        name: topic.name.as_deref().unwrap_or_default(),
        count: told(partitions.clone()).count(),
        partitions,
    });
    let topics: Vec<Told<'_>> = topics.filter(|topic| topic.count > 0).collect();
    let markers = || topics.chunk_by(|a, b| a.marker == b.marker);
    let pieces = Pieces::new(message, version);
    pieces.root(&Struct::new(), ("Markers", markers().count()), &mut |fields, out| {
        for topics in markers() {
            let head = Struct::new().with("ProducerId", scan.markers[topics[0].marker].producer);
            pieces.structure(fields, &head, ("Topics", topics.len()), out, &mut |fields, out| {
                for topic in topics {
                    let head = Struct::new().with("Name", topic.name);
                    pieces.structure(
                        fields,
                        &head,
                        ("Partitions", topic.count),
                        out,
                        &mut |fields, out| {
                            told(topic.partitions.clone()).try_for_each(|(number, code)| {
                                let index = scan.partitions[number].index;
                                let entry =
                                    Struct::new().with("PartitionIndex", index).with("ErrorCode", code);
                                pieces.element(fields, &entry, out)
                            })
                        },
                    )?;
                }
                Ok(())
            })?;
        }
        Ok(())
    })
}

/// A topic of which something is told.
struct Told<'a> {
    marker: usize,
    name: &'a str,
    count: usize,
    partitions: Range<usize>,
}

fn marker_of(scan: &Scan, topic: usize) -> usize {
    scan.markers.partition_point(|marker| marker.topics <= topic).saturating_sub(1)
}

/// Merges answers in the order of the request; `missing` is the code of a partition that nobody answered. Brokers put markers of one
/// producer together, in whatever order.
pub(super) fn merged(
    message: &'static Message,
    version: i16,
    scan: &Scan,
    answers: &[Answer],
    missing: i16,
) -> Result<Vec<u8>, Unmergeable> {
    let asked = |number: usize| {
        let PartitionRef { topic, index, .. } = scan.partitions[number];
        let name = scan.topics[topic].name.as_deref().unwrap_or_default();
        (scan.markers[marker_of(scan, topic)].producer, name.as_bytes(), index)
    };
    let mut order: Vec<usize> = (0..scan.partitions.len()).collect();
    order.sort_unstable_by_key(|number| asked(*number));
    let mut codes = vec![Some(missing); order.len()];
    for body in answers {
        let (mut producer, mut name, mut index) = (-1, 0..0, -1);
        walk(message, version, body, |event, bytes| match (event.field.id, event.kind) {
            (ids::MARKERS_PRODUCER_ID, _) => producer = bytes.try_into().map_or(-1, i64::from_be_bytes),
            (ids::MARKERS_TOPICS_NAME, Kind::Text { prefix, .. }) => {
                name = event.at + usize::from(prefix)..event.at + event.len;
            }
            (ids::MARKERS_TOPICS_PARTITIONS_PARTITION_INDEX, _) => {
                index = bytes.try_into().map_or(-1, i32::from_be_bytes);
            }
            (ids::MARKERS_TOPICS_PARTITIONS_ERROR_CODE, _) => {
                let (told, code) =
                    ((producer, &body[name.clone()], index), bytes.try_into().map(i16::from_be_bytes));
                let from = order.partition_point(|number| asked(*number) < told);
                let same = order[from..].iter().take_while(|number| asked(**number) == told);
                same.for_each(|number| codes[*number] = code.ok().or(codes[*number]));
            }
            _ => {}
        })?;
    }
    Ok(answer(message, version, scan, &codes)?)
}

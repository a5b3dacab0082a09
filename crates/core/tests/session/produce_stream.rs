//! Cut-through of large Produce requests: however the bytes arrive, brokers get the same, and nothing waits for the end.

use crate::{
    bodies::{Places, at, batch, code, each, errors, good, list_offsets, of, places, produce},
    harness::{Rig, Sent},
};
use bytes::{Bytes, BytesMut};
use pointsman_core::{limits, session::Session};
use pointsman_wire::value::{self, Struct, Value};

pub(crate) const ONE: Places<'static> = &[("orders", &[1])];
pub(crate) const SOME: Places<'static> = &[("orders", &[0, 1, 2]), ("lines", &[2])];
pub(crate) const PRODUCER: Option<(i64, i16, i32)> = Some((7, 0, 10));

pub(crate) fn frame(version: i16, body: &Struct) -> Vec<u8> {
    value::encode_request(0, version, 1, Some("client"), body).expect("encodes")
}

pub(crate) fn by_id(rig: &Rig, mut body: Struct) -> Struct {
    for topic in body.structs_mut("TopicData") {
        let id = rig.virtual_id(topic.str("Name"));
        topic.remove("Name");
        topic.set("TopicId", id.into_bytes());
    }
    body
}

/// Feeds a request in pieces that end at `cuts`; returns whether all of it was taken.
pub(crate) fn feed(rig: &mut Rig, frame: &[u8], cuts: impl IntoIterator<Item = usize>) -> bool {
    rig.begin(1, (0, version_of(frame)), frame.len() - 4);
    let mut input = BytesMut::new();
    let mut from = 0;
    for to in cuts.into_iter().chain([frame.len()]) {
        if input.is_empty() {
            from += rig.kernel_moves(&frame[from..to]);
        }
        input.extend_from_slice(&frame[from..to]);
        from = to;
        if rig.receive(&mut input) {
            assert!(input.is_empty() && to == frame.len());
            return true;
        }
    }
    false
}

fn version_of(frame: &[u8]) -> i16 {
    i16::from_be_bytes([frame[6], frame[7]])
}

/// The requests that have left whole, put together from their pieces.
pub(crate) fn left(rig: &mut Rig) -> Vec<Sent> {
    let (whole, rest) = rig.sent_pieces();
    assert!(rest.is_empty(), "half a frame has left");
    whole
}

#[test]
fn a_request_for_one_partition_leaves_as_it_came() {
    for version in [3, 8, 9, 12, 13] {
        let mut rig = Rig::new();
        let mut body = produce(ONE, -1, PRODUCER).with("TransactionalId", "t");
        if version == 13 {
            body = by_id(&rig, body);
        }
        if version >= 9 {
            body.set_unknown_tag(9, Bytes::from_static(b"kept"));
            let topic = body.structs_mut("TopicData").next().expect("one");
            topic.set_unknown_tag(3, Bytes::from_static(b"kept too"));
        }
        let whole = frame(version, &body);
        assert!(feed(&mut rig, &whole, []));
        let bytes: Vec<u8> = rig.sent_bytes().concat();
        let mut expected = whole;
        expected[8..12].copy_from_slice(&bytes[8..12]);
        if version == 13 {
            let id = rig.virtual_id("orders");
            let at = expected.windows(16).position(|w| w == id.as_bytes()).expect("the id");
            expected[at..at + 16].copy_from_slice(&0xa1_u128.to_be_bytes());
        }
        assert_eq!(bytes, expected, "version {version}");
    }
}

#[test]
fn split_at_every_byte_brokers_get_the_same() {
    split_at_every_byte(false);
}

#[test]
fn split_at_every_byte_with_a_kernel_that_moves_records_brokers_get_the_same() {
    split_at_every_byte(true);
}

fn split_at_every_byte(kernel: bool) {
    for version in [3, 9, 13] {
        for places in [ONE, SOME] {
            let mut rig = Rig::new();
            let mut body = produce(places, -1, PRODUCER);
            if version == 13 {
                body = by_id(&rig, body);
            }
            let whole = frame(version, &body);
            assert!(feed(&mut rig, &whole, []));
            let expected = left(&mut rig);
            for cut in 1..whole.len() {
                let mut rig = Rig::new();
                rig.kernel = kernel;
                rig.virtual_id("orders");
                rig.virtual_id("lines");
                assert!(feed(&mut rig, &whole, [cut]));
                let got = left(&mut rig);
                assert_eq!(got.len(), expected.len());
                for (got, expected) in got.iter().zip(&expected) {
                    assert_eq!(
                        (got.node, got.answered, &got.body),
                        (expected.node, true, &expected.body),
                        "cut at {cut}"
                    );
                }
            }
            let mut rig = Rig::new();
            rig.kernel = kernel;
            rig.virtual_id("orders");
            rig.virtual_id("lines");
            assert!(feed(&mut rig, &whole, 1..whole.len()));
            assert_eq!(left(&mut rig).len(), expected.len(), "byte by byte");
        }
    }
}

#[test]
fn of_several_partitions_each_becomes_a_request_and_the_answers_one() {
    for version in [3, 9, 12] {
        let mut rig = Rig::new();
        assert!(feed(
            &mut rig,
            &frame(version, &produce(SOME, -1, PRODUCER).with("TransactionalId", "t")),
            [40]
        ));
        let sent = left(&mut rig);
        let split: Vec<_> = sent.iter().map(|s| (s.node, places(s))).collect();
        assert_eq!(
            split,
            [
                (1, vec![at("orders", 0)]),
                (2, vec![at("orders", 1)]),
                (1, vec![at("orders", 2)]),
                (3, vec![at("lines", 2)])
            ]
        );
        for part in &sent {
            assert_eq!(
                (part.client_id.as_deref(), part.body.str("TransactionalId"), part.body.i16("Acks")),
                (Some("client"), "t", -1)
            );
            let records =
                part.body.structs("TopicData").flat_map(|t| t.structs("PartitionData")).next().expect("one");
            assert_eq!(records.bytes("Records"), Some(&batch(PRODUCER)));
        }
        for part in sent.iter().rev() {
            assert!(rig.replies().is_empty());
            // Brokers answer in order, but here both of broker 1's are the same but for the partition.
            if part.node != 1 {
                rig.answer(part, &good(part));
            } else if part.correlation == sent[2].correlation {
                rig.answer(&sent[0], &good(&sent[0]));
            } else {
                rig.answer(&sent[2], &good(&sent[2]));
            }
        }
        assert_eq!(
            each(0, &rig.reply(), "BaseOffset"),
            [of("orders", 0, 1000), of("orders", 1, 2000), of("orders", 2, 1000), of("lines", 2, 3000)]
        );
        assert!(rig.session.accepts() && rig.session.in_flight() == 0);
    }
}

#[test]
fn records_leave_before_the_rest_has_come() {
    let mut rig = Rig::new();
    let whole = frame(9, &produce(ONE, -1, None));
    rig.begin(1, (0, 9), whole.len() - 4);
    let mut input = BytesMut::from(&whole[..whole.len() - 5]);
    assert!(!rig.receive(&mut input) && input.is_empty(), "nothing is kept");
    assert!(!rig.session.accepts() && rig.session.reads());
    assert_eq!(rig.sent_bytes().concat().len(), whole.len() - 5);
    // then an answer that comes too early does not reach the client before its request has ended
    rig.fail(2, 0);
    assert!(rig.replies().is_empty() && rig.close.is_none());
    let mut input = BytesMut::from(&whole[whole.len() - 5..]);
    assert!(rig.receive(&mut input));
    assert_eq!(errors(0, &rig.reply()), [code("orders", 1, 6)], "half a frame was not written");
}

#[test]
fn only_large_produce_requests_pass_so() {
    assert!(Session::passes(0, limits::COLLECT_REQUEST + 1));
    assert!(!Session::passes(0, limits::COLLECT_REQUEST) && !Session::passes(1, limits::COLLECT_REQUEST + 1));
}

#[test]
fn without_acks_nothing_is_answered() {
    let mut rig = Rig::new();
    assert!(feed(&mut rig, &frame(9, &produce(SOME, 0, None)), [50]));
    let sent = left(&mut rig);
    assert!(sent.len() == 4 && sent.iter().all(|s| !s.answered));
    assert!(rig.replies().is_empty() && rig.session.in_flight() == 0 && rig.session.accepts());
}

#[test]
fn the_gate_holds() {
    let mut rig = Rig::new();
    rig.ask(0, 9, &produce(&[("orders", &[1])], -1, PRODUCER));
    rig.sent();
    rig.switch();
    rig.replies();
    assert!(feed(&mut rig, &frame(9, &produce(SOME, -1, Some((7, 0, 11)))), [70]));
    let sent = left(&mut rig);
    assert_eq!(sent.len(), 3);
    for part in &sent {
        rig.answer(part, &good(part));
    }
    let codes: Vec<_> = errors(0, &rig.reply()).iter().map(|e| e.2).collect();
    assert_eq!(codes, [0, 6, 0, 0]);
    // then the failed one opens it
    assert!(feed(&mut rig, &frame(9, &produce(ONE, -1, PRODUCER)), []));
    assert_eq!(left(&mut rig).len(), 1);
}

#[test]
fn requests_after_it_are_answered_after_it() {
    let mut rig = Rig::new();
    assert!(feed(&mut rig, &frame(9, &produce(ONE, -1, None)), []));
    let large = left(&mut rig).remove(0);
    let next = rig.ask(2, 5, &list_offsets(&[("orders", &[0])]));
    let sent = rig.sent_one();
    rig.answer(&sent, &good(&sent));
    assert!(rig.replies().is_empty());
    rig.answer(&large, &good(&large));
    assert_eq!(rig.replies().iter().map(|r| r.correlation).collect::<Vec<_>>(), [1, next]);
}

#[test]
fn null_and_empty_records_and_no_partitions_at_all_are_requests_too() {
    let records = [Value::Null, Value::Bytes(Bytes::new())];
    for (version, records) in [(3, &records[0]), (9, &records[0]), (9, &records[1])] {
        let mut rig = Rig::new();
        let mut body = produce(SOME, -1, None);
        body.structs_mut("TopicData")
            .for_each(|t| t.structs_mut("PartitionData").for_each(|p| p.set("Records", records.clone())));
        assert!(feed(&mut rig, &frame(version, &body), [60]));
        assert_eq!(left(&mut rig).len(), 4);
    }
    let mut rig = Rig::new();
    assert!(feed(&mut rig, &frame(9, &produce(&[], -1, None)), []));
    assert!(rig.reply().array("Responses").is_empty());
}

//! Cut-through of large Fetch responses: however the bytes arrive, what leaves is what collecting them would have given.

use crate::{
    bodies::{errors, fetch, good, with_data},
    harness::{BASE, Rig, Sent},
};
use bytes::{Bytes, BytesMut};
use pointsman_core::session::{
    Output, Peer,
    stream::{STREAM_HEAD, Stream},
};
use pointsman_wire::{
    sample::record_batch,
    value::{self, Struct},
};

/// Asks for `orders` 0 and 2 after a switch; `base` 0 asks before one.
fn ask(version: i16, base: i32) -> (Rig, Sent) {
    let mut rig = Rig::new();
    if base != 0 {
        rig.switch();
    }
    let mut body = fetch(&[("orders", &[0, 2])]);
    if version > 12 {
        let id = rig.virtual_id("orders").into_bytes();
        body.structs_mut("Topics").for_each(|t| {
            t.remove("Topic");
            t.set("TopicId", id);
        });
    }
    rig.ask(1, version, &body);
    let sent = rig.sent_one();
    (rig, sent)
}

/// Batches, old leader, aborted transactions, endpoints: everything that an answer may hold.
fn rich(sent: &Sent) -> Struct {
    let mut body = with_data(sent, 5).with("SessionId", 77).with("ThrottleTimeMs", 3);
    let three: Vec<u8> = (4..7).flat_map(|epoch| record_batch(7, epoch).to_vec()).collect();
    for (number, partition) in
        body.structs_mut("Responses").flat_map(|t| t.structs_mut("Partitions")).enumerate()
    {
        // The second partition's last batch is cut off, as brokers do.
        partition.set("Records", Bytes::copy_from_slice(&three[..three.len() - number * 70]));
        let aborted = Struct::new().with("ProducerId", 9).with("FirstOffset", 1);
        partition.set("AbortedTransactions", vec![aborted]);
        if sent.version >= 11 {
            partition.set("PreferredReadReplica", 3);
        }
        if sent.version >= 12 {
            partition.set("ErrorCode", 6);
            partition.set("CurrentLeader", Struct::new().with("LeaderId", 2).with("LeaderEpoch", 6));
        }
    }
    if sent.version >= 16 {
        let endpoint = Struct::new().with("NodeId", 2).with("Host", "real.internal").with("Port", 9002);
        body.set("NodeEndpoints", vec![endpoint.with("Rack", "real-rack")]);
    }
    body
}

fn frame(sent: &Sent) -> Vec<u8> {
    value::encode_response(1, sent.version, sent.correlation, &rich(sent)).expect("encodes")
}

/// Streams a frame whose bytes come in pieces that end at `cuts`.
fn streamed(rig: &mut Rig, peer: Peer, frame: &[u8], cuts: &[usize]) -> Vec<u8> {
    passed(rig, peer, frame, cuts, false).0
}

/// The same; with a `kernel` that moves what may be moved unseen. Says too how many bytes it moved.
fn passed(rig: &mut Rig, peer: Peer, frame: &[u8], cuts: &[usize], kernel: bool) -> (Vec<u8>, usize) {
    let mut unseen = 0;
    let (mut input, mut output) = (BytesMut::new(), Vec::new());
    let mut stream = None;
    let mut from = 0;
    for to in cuts.iter().copied().chain([frame.len()]) {
        if let Some(stream) = stream.as_mut().filter(|_: &&mut Stream| kernel && input.is_empty()) {
            let moved = stream.movable().min(to - from);
            output.extend_from_slice(&frame[from..from + moved]);
            stream.moved(moved);
            from += moved;
            unseen += moved;
        }
        input.extend_from_slice(&frame[from..to]);
        from = to;
        if stream.is_none() && input.len() >= STREAM_HEAD {
            let begun = rig.session.begin_stream(peer, &mut input).expect("begins");
            output.extend_from_slice(&input.split_to(begun.body_at));
            stream = Some(begun);
        }
        if let Some(stream) = &mut stream {
            let passed = stream.advance(&mut input).expect("passes");
            output.extend_from_slice(&input.split_to(passed));
        }
    }
    assert!(stream.is_some_and(|s| s.is_done()) && input.is_empty());
    let mut out = Output::default();
    rig.session.end_stream(peer, rig.now, &mut out);
    (output, unseen)
}

fn collected(version: i16, base: i32) -> Struct {
    let (mut rig, sent) = ask(version, base);
    rig.respond(sent.to, &frame(&sent));
    rig.reply()
}

fn decoded(version: i16, frame: Vec<u8>) -> Struct {
    let size = u32::from_be_bytes(frame[..4].try_into().expect("four bytes")) as usize;
    assert_eq!(size + 4, frame.len());
    value::decode_response(1, version, &Bytes::from(frame).slice(4..)).expect("decodes").1
}

/// Endpoints are hidden in a stream; everything else is the same.
fn without_endpoints(mut body: Struct) -> Struct {
    body.remove("NodeEndpoints");
    let mut plain = Struct::new();
    for (name, value) in body.fields() {
        plain.set(name, value.clone());
    }
    plain
}

#[test]
fn split_at_every_byte_it_equals_the_collected_translation() {
    for version in [4, 7, 11, 12, 13, 16, 17] {
        for base in [0, BASE] {
            let expected = without_endpoints(collected(version, base));
            let whole = frame(&ask(version, base).1);
            for cut in 1..whole.len() {
                for kernel in [false, true] {
                    let (mut rig, sent) = ask(version, base);
                    let got = decoded(version, passed(&mut rig, sent.to, &whole, &[cut], kernel).0);
                    let got = without_endpoints(got);
                    assert_eq!(
                        got, expected,
                        "version {version}, base {base}, cut at {cut}, kernel {kernel}"
                    );
                }
            }
        }
    }
}

#[test]
fn byte_by_byte_it_equals_the_collected_translation_and_shows_nothing_real() {
    for (version, kernel) in [(12, false), (16, false), (12, true), (16, true)] {
        let expected = without_endpoints(collected(version, BASE));
        let (mut rig, sent) = ask(version, BASE);
        let whole = frame(&sent);
        let cuts: Vec<usize> = (1..whole.len()).collect();
        let (output, unseen) = passed(&mut rig, sent.to, &whole, &cuts, kernel);
        assert_eq!(unseen > 0, kernel);
        for real in ["real.internal", "real-rack"] {
            assert!(!output.windows(real.len()).any(|w| w == real.as_bytes()), "{real}");
        }
        assert_eq!(without_endpoints(decoded(version, output)), expected);
        assert_eq!(rig.session.in_flight(), 0);
    }
}

#[test]
fn what_follows_a_stream_on_the_same_connection_is_answered_after_it() {
    let (mut rig, sent) = ask(12, BASE);
    let second = rig.ask(1, 12, &fetch(&[("orders", &[0])]));
    let next = rig.sent_one();
    assert_eq!(next.node, sent.node);
    streamed(&mut rig, sent.to, &frame(&sent), &[100]);
    rig.answer(&next, &good(&next));
    let replies = rig.replies();
    assert_eq!((replies.len(), replies[0].correlation, errors(1, &replies[0].body).len()), (1, second, 1));
}

#[test]
fn the_session_of_a_streamed_answer_is_known() {
    let (mut rig, sent) = ask(12, 0);
    streamed(&mut rig, sent.to, &frame(&sent), &[]);
    rig.ask(1, 12, &fetch(&[]).with("SessionId", 77).with("SessionEpoch", 1));
    assert_eq!(rig.sent_one().node, sent.node);
}

#[test]
fn bytes_that_are_no_response_end_the_stream_with_an_error_not_a_panic() {
    let whole = frame(&ask(16, BASE).1);
    for at in 8..whole.len() {
        let (mut rig, sent) = ask(16, BASE);
        let mut bytes = BytesMut::from(&whole[..]);
        bytes[at] ^= 0xff;
        let Ok(mut stream) = rig.session.begin_stream(sent.to, &mut bytes) else { continue };
        let mut body = bytes.split_off(stream.body_at);
        while let Ok(passed) = stream.advance(&mut body) {
            if passed == 0 || stream.is_done() {
                break;
            }
            let _ = body.split_to(passed);
        }
    }
}

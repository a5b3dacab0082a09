//! Cut-through of large Produce requests when something goes wrong in the midst of one.

use crate::{
    bodies::{errors, produce},
    harness::{MS, Rig, observation, primary_topics, topic},
    produce_stream::{ONE, PRODUCER, SOME, feed, frame, left},
};
use bytes::{Bytes, BytesMut};
use pointsman_core::{Now, limits, metrics::CloseReason, session::Output};
use pointsman_wire::{tables, value::Struct};

#[test]
fn a_broker_lost_in_the_midst_costs_its_partition_and_the_rest_goes_on() {
    let whole = frame(9, &produce(SOME, -1, PRODUCER));
    for cut in 1..whole.len() {
        let mut rig = Rig::new();
        rig.begin(1, (0, 9), whole.len() - 4);
        let mut input = BytesMut::from(&whole[..cut]);
        assert!(!rig.receive(&mut input));
        let before = rig.sent_nodes();
        rig.fail(2, 0);
        input.extend_from_slice(&whole[cut..]);
        assert!(rig.receive(&mut input) && rig.replies().is_empty());
        for node in [1, 2, 1, 3] {
            if node != 2 || !before.contains(&2) {
                rig.answer_next(node);
            }
        }
        let codes: Vec<_> = errors(0, &rig.reply()).iter().map(|e| e.2).collect();
        let lost = if before.contains(&2) { 6 } else { 0 };
        assert_eq!(codes, [0, lost, 0, 0], "cut at {cut}");
    }
}

#[test]
fn a_whole_part_that_was_lost_without_idempotence_closes_the_connection() {
    let mut rig = Rig::new();
    let whole = frame(9, &produce(SOME, -1, None));
    rig.begin(1, (0, 9), whole.len() - 4);
    let mut input = BytesMut::from(&whole[..whole.len() - 5]);
    rig.receive(&mut input);
    rig.fail(3, 0);
    assert!(rig.close.is_none(), "only half of this one has left");
    rig.fail(2, 0);
    assert_eq!(rig.close.as_ref().map(|c| c.reason), Some(CloseReason::UpstreamFailed));
}

#[test]
fn a_switch_in_the_midst_drops_the_rest_and_refuses_all_of_it() {
    let whole = frame(10, &produce(SOME, -1, PRODUCER));
    for cut in 1..whole.len() {
        for fenced in [false, true] {
            let mut rig = Rig::new();
            rig.begin(1, (0, 10), whole.len() - 4);
            let mut input = BytesMut::from(&whole[..cut]);
            rig.receive(&mut input);
            rig.sent_bytes();
            if fenced {
                rig.fence();
                assert!(!rig.session.reads() && rig.session.deadline().is_none());
            }
            rig.switch();
            assert!(rig.replies().is_empty() && rig.session.reads());
            input.extend_from_slice(&whole[cut..]);
            assert!(rig.receive(&mut input));
            // A header that had not come yet is no request that was under way.
            if rig.sent_bytes().is_empty() {
                let reply = rig.reply();
                assert_eq!(
                    errors(0, &reply).iter().map(|e| e.2).collect::<Vec<_>>(),
                    [6, 6, 6, 6],
                    "cut at {cut}"
                );
                let leaders = reply.structs("Responses").flat_map(|t| t.structs("PartitionResponses"));
                assert!(
                    leaders
                        .into_iter()
                        .all(|p| p.nested("CurrentLeader").is_some_and(|l| l.i32("LeaderEpoch") == 1005))
                );
            }
            assert!(rig.session.accepts());
        }
    }
}

#[test]
fn a_frame_that_ends_within_a_fence_is_refused_after_it() {
    let mut rig = Rig::new();
    let whole = frame(9, &produce(SOME, -1, PRODUCER));
    rig.begin(1, (0, 9), whole.len() - 4);
    let mut input = BytesMut::from(&whole[..100]);
    rig.receive(&mut input);
    rig.fence();
    input.extend_from_slice(&whole[100..]);
    assert!(rig.receive(&mut input) && rig.replies().is_empty());
    rig.switch();
    assert_eq!(errors(0, &rig.reply()).iter().map(|e| e.2).collect::<Vec<_>>(), [6, 6, 6, 6]);
}

#[test]
fn without_a_cluster_it_is_read_and_refused() {
    let mut rig = Rig::new();
    rig.no_cluster();
    assert!(feed(&mut rig, &frame(9, &produce(SOME, -1, PRODUCER)), [90]));
    assert!(rig.sent_bytes().is_empty());
    assert_eq!(errors(0, &rig.reply()).iter().map(|e| e.2).collect::<Vec<_>>(), [6, 6, 6, 6]);
}

#[test]
fn an_unknown_topic_holds_the_bytes_back_until_it_is_known() {
    let whole = frame(9, &produce(&[("new", &[0])], -1, None));
    let mut rig = Rig::new();
    assert!(!feed(&mut rig, &whole, []));
    assert!(!rig.session.reads() && rig.sent_bytes().is_empty() && !rig.signals.is_empty());
    assert_eq!(rig.session.deadline(), Some(limits::LOOKUP_WAIT));
    let mut rest = rig.take_rest();
    let mut topics = primary_topics();
    topics.push(topic("new", 0xa9, &[3], 0));
    rig.primary.topology.merge(&observation("primary", topics), Now::ZERO);
    rig.tick();
    assert!(rig.receive(&mut rest));
    assert_eq!(left(&mut rig)[0].node, 3);
}

#[test]
fn a_topic_that_stays_unknown_goes_to_any_broker_after_a_while() {
    let whole = frame(9, &produce(&[("new", &[0])], -1, None));
    let mut rig = Rig::new();
    assert!(!feed(&mut rig, &whole, []));
    let mut rest = rig.take_rest();
    rig.wait(limits::LOOKUP_WAIT - MS);
    assert!(!rig.receive(&mut rest));
    rig.wait(MS);
    assert!(rig.receive(&mut rest));
    assert_eq!(left(&mut rig).len(), 1);
}

#[test]
fn nothing_else_is_sent_into_the_midst_of_a_frame() {
    // given a request under way elsewhere, and half a frame to broker 2
    let mut rig = Rig::new();
    rig.ask(3, 9, &crate::bodies::metadata());
    let first = rig.sent_one();
    assert_eq!(first.node, 1);
    let whole = frame(9, &produce(ONE, 0, None));
    rig.begin(1, (0, 9), whole.len() - 4);
    let mut input = BytesMut::from(&whole[..whole.len() - 5]);
    rig.receive(&mut input);
    rig.sent_bytes();
    // when the first is tried again
    rig.fail(1, 0);
    // then
    assert_eq!(rig.sent_one().node, 3);
}

#[test]
fn hostile_bytes_never_panic_and_close_the_connection() {
    let whole = frame(9, &produce(SOME, -1, PRODUCER));
    for at in 8..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut rig = Rig::new();
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            feed(&mut rig, &bytes, [at]);
            rig.wait(limits::LOOKUP_WAIT);
            let mut rest = rig.take_rest();
            rig.receive(&mut rest);
            rig.switch();
        }
    }
    for key_and_version in [[0, 0, 0, 99], [0, 99, 0, 0], [0, 3, 0, 9]] {
        let mut rig = Rig::new();
        let mut bytes = whole.clone();
        bytes[4..8].copy_from_slice(&key_and_version);
        feed(&mut rig, &bytes, []);
        assert_eq!(rig.close.map(|c| c.reason), Some(CloseReason::BadRequest));
    }
}

#[test]
fn a_count_of_partitions_beyond_the_limit_is_refused() {
    let mut rig = Rig::new();
    let indices: Vec<i32> = (0..=20_000).collect();
    let partition = |i: &i32| Struct::new().with("Index", *i).with("Records", Bytes::from_static(b"x"));
    let partitions: Vec<_> = indices.iter().map(partition).collect();
    let topic = Struct::new().with("Name", "orders").with("PartitionData", partitions);
    let body = produce(&[], -1, None).with("TopicData", vec![topic]);
    feed(&mut rig, &frame(9, &body), []);
    assert_eq!(rig.close.as_ref().map(|c| c.reason), Some(CloseReason::BadRequest));
    assert!(rig.sent_bytes().is_empty());
}

#[test]
fn a_header_that_does_not_end_is_refused() {
    let mut rig = Rig::new();
    assert!(tables::request(0, 9).is_some());
    rig.begin(1, (0, 9), 50 << 20);
    // Client id none, one tag of 40 MiB.
    let mut input = BytesMut::from(
        &[0x03, 0x20, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 255, 255, 1, 0, 0x80, 0x80, 0x80, 0x14][..],
    );
    input.resize(limits::STREAMED_HEADER + 1, 0);
    let mut out = Output::default();
    rig.session.receive(&mut input, rig.now, &mut out);
    assert_eq!(out.close.map(|c| c.reason), Some(CloseReason::BadRequest));
}

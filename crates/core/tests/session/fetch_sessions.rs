//! Incremental fetch sessions (KIP-227): kept by one broker, and passed through as long as it can serve them.

use crate::{
    bodies::{Places, errors, fetch, good},
    harness::{Rig, Sent},
};
use pointsman_wire::value::Struct;

const GONE: i16 = 70;
const ON_ONE: Places<'static> = &[("orders", &[0, 2])];

fn in_session(places: Places<'_>, session: i32, epoch: i32) -> Struct {
    fetch(places).with("SessionId", session).with("SessionEpoch", epoch)
}

/// A client with session 77 on broker 1.
fn with_session() -> Rig {
    let mut rig = Rig::new();
    rig.ask(1, 12, &in_session(ON_ONE, 0, 0));
    let sent = rig.sent_one();
    rig.answer(&sent, &good(&sent).with("SessionId", 77));
    assert_eq!(rig.reply().i32("SessionId"), 77);
    rig
}

fn passes(rig: &mut Rig, places: Places<'_>) -> Sent {
    rig.ask(1, 12, &in_session(places, 77, 1));
    let sent = rig.sent_one();
    assert_eq!((sent.node, sent.body.i32("SessionId"), sent.body.i32("SessionEpoch")), (1, 77, 1));
    sent
}

#[test]
fn a_session_on_one_broker_passes_through() {
    let mut rig = with_session();
    let sent = passes(&mut rig, &[]);
    rig.answer(&sent, &Struct::new().with("SessionId", 77));
    assert_eq!(rig.reply().i32("SessionId"), 77);
    passes(&mut rig, &[("orders", &[0])]);
}

#[test]
fn an_unknown_session_is_gone() {
    let mut rig = Rig::new();
    rig.ask(1, 12, &in_session(ON_ONE, 5, 3));
    assert!(rig.sent().is_empty());
    assert_eq!(rig.reply().i16("ErrorCode"), GONE);
}

#[test]
fn a_session_with_partitions_elsewhere_is_gone() {
    let mut rig = with_session();
    rig.ask(1, 12, &in_session(&[("orders", &[1])], 77, 1));
    assert!(rig.sent().is_empty());
    assert_eq!(rig.reply().i16("ErrorCode"), GONE);
}

#[test]
fn a_split_fetch_has_no_session() {
    let mut rig = Rig::new();
    rig.ask(1, 12, &in_session(&[("orders", &[0, 1])], 0, 0));
    let sent = rig.sent();
    assert!(sent.iter().all(|s| (s.body.i32("SessionId"), s.body.i32("SessionEpoch")) == (0, -1)));
    for request in &sent {
        rig.answer(request, &good(request));
    }
    let reply = rig.reply();
    assert_eq!((reply.i32("SessionId"), errors(1, &reply).len()), (0, 2));
}

#[test]
fn a_session_that_the_broker_ended_is_gone() {
    let mut rig = with_session();
    let sent = passes(&mut rig, &[]);
    rig.answer(&sent, &Struct::new().with("ErrorCode", GONE));
    assert_eq!(rig.reply().i16("ErrorCode"), GONE);
    rig.ask(1, 12, &in_session(&[], 77, 2));
    assert_eq!(rig.reply().i16("ErrorCode"), GONE);
}

#[test]
fn a_request_of_a_session_that_is_under_way_learns_of_its_end() {
    for end in [(|rig: &mut Rig| rig.fail(1, 0)) as fn(&mut Rig), Rig::switch] {
        let mut rig = with_session();
        passes(&mut rig, &[]);
        end(&mut rig);
        assert_eq!(rig.reply().i16("ErrorCode"), GONE);
    }
}

#[test]
fn sessions_end_with_their_connection_and_with_the_cluster() {
    for end in [(|rig: &mut Rig| rig.fail(1, 0)) as fn(&mut Rig), Rig::switch] {
        let mut rig = with_session();
        end(&mut rig);
        rig.ask(1, 12, &in_session(&[], 77, 1));
        assert!(rig.sent().is_empty());
        assert_eq!(rig.reply().i16("ErrorCode"), GONE);
    }
}

#[test]
fn a_session_of_an_answer_that_was_held_or_streamed_is_known_too() {
    // given an answer that names a topic id which the topology lacks
    let mut rig = Rig::new();
    let id = rig.virtual_id("orders");
    let mut body = in_session(ON_ONE, 0, 0);
    body.structs_mut("Topics").for_each(|t| t.set("TopicId", id.into_bytes()));
    rig.ask(1, 13, &body);
    let sent = rig.sent_one();
    let mut answer = good(&sent).with("SessionId", 77);
    answer.structs_mut("Responses").for_each(|t| t.set("TopicId", [9; 16]));
    rig.answer(&sent, &answer);
    assert!(rig.replies().is_empty());
    // when it is given after all
    rig.wait(pointsman_core::limits::LOOKUP_WAIT);
    rig.reply();
    // then
    rig.ask(1, 13, &in_session(&[], 77, 1));
    assert_eq!(rig.sent_one().body.i32("SessionId"), 77);
}

/// franz-go names its former session when it starts anew, and goes on doing so without sessions.
#[test]
fn a_fetch_that_starts_anew_is_served_whatever_session_it_names() {
    for epoch in [0, -1] {
        let mut rig = Rig::new();
        let body = in_session(ON_ONE, 4711, epoch);
        rig.ask(1, 12, &body);
        let sent = rig.sent_one();
        let asked = sent.body.i32("SessionId");
        assert_eq!(asked, 0, "another client's session of that broker must not be ended");
        rig.answer(&sent, &good(&sent));
        assert_eq!(rig.reply().i16("ErrorCode"), 0);
    }
}

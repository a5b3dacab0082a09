//! A split Fetch answers when a single broker would have answered.

use crate::{
    bodies::{Places, code, each, errors, fetch, good, with_data},
    harness::{MS, Rig, Sent},
};
use pointsman_core::session::stream::Intake;
use pointsman_wire::value::Struct;
use std::time::Duration;

/// `orders` 0 lives on broker 1, `lines` 0 on broker 2.
const TWO: Places<'static> = &[("orders", &[0]), ("lines", &[0])];

fn ask(rig: &mut Rig, body: &Struct) -> Vec<Sent> {
    rig.ask(1, 12, body);
    rig.sent()
}

fn at_offset(places: Places<'_>, topic: &str, offset: i64) -> Struct {
    let mut body = fetch(places);
    for t in body.structs_mut("Topics") {
        if t.str("Topic") == topic {
            t.structs_mut("Partitions").for_each(|p| p.set("FetchOffset", offset));
        }
    }
    body
}

fn has_data(body: &Struct) -> Vec<bool> {
    let partitions = body.structs("Responses").flat_map(|t| t.structs("Partitions"));
    partitions.map(|p| p.bytes("Records").is_some_and(|r| !r.is_empty())).collect()
}

#[test]
fn it_is_answered_as_soon_as_one_broker_has_data() {
    let mut rig = Rig::new();
    let sent = ask(&mut rig, &fetch(TWO));
    assert_eq!(sent.iter().map(|s| s.node).collect::<Vec<_>>(), [1, 2]);
    rig.answer(&sent[1], &with_data(&sent[1], 3));
    let reply = rig.reply();
    assert_eq!(has_data(&reply), [false, true]);
    assert_eq!(errors(1, &reply), [code("orders", 0, 0), code("lines", 0, 0)]);
    assert_eq!(reply.i32("SessionId"), 0);
}

#[test]
fn an_entry_without_data_has_empty_records_not_none() {
    // librdkafka refuses an answer whose records are null.
    for version in [4, 11, 12, 16] {
        let mut rig = Rig::new();
        let mut body = fetch(TWO);
        if version > 12 {
            for topic in body.structs_mut("Topics") {
                let id = rig.virtual_id(topic.str("Topic"));
                topic.remove("Topic");
                topic.set("TopicId", id.into_bytes());
            }
        }
        rig.ask(1, version, &body);
        let sent = rig.sent();
        rig.answer(&sent[1], &with_data(&sent[1], 3));
        let reply = rig.reply();
        let partitions = reply.structs("Responses").flat_map(|t| t.structs("Partitions"));
        assert!(
            partitions.into_iter().all(|p| p.bytes("Records").is_some()),
            "version {version}: {reply:#?}"
        );
    }
}

#[test]
fn it_waits_for_min_bytes_over_all_brokers() {
    let mut rig = Rig::new();
    let one = with_data(&ask(&mut Rig::new(), &fetch(TWO))[0], 3);
    let bytes =
        one.structs("Responses").flat_map(|t| t.structs("Partitions")).filter_map(|p| p.bytes("Records"));
    let size = i32::try_from(bytes.map(bytes::Bytes::len).sum::<usize>()).expect("small");
    let sent = ask(&mut rig, &fetch(TWO).with("MinBytes", size + 1));
    rig.answer(&sent[0], &with_data(&sent[0], 3));
    assert!(rig.replies().is_empty(), "one batch is not enough");
    rig.answer(&sent[1], &with_data(&sent[1], 3));
    assert_eq!(has_data(&rig.reply()), [true, true]);
}

#[test]
fn a_fetch_of_zero_bytes_gets_what_every_broker_has_at_the_moment() {
    let mut rig = Rig::new();
    let sent = ask(&mut rig, &fetch(TWO).with("MinBytes", 0));
    assert!(rig.replies().is_empty(), "brokers answer at once, and have data perhaps");
    assert!(sent.iter().all(|s| s.body.i32("MinBytes") == 0));
    rig.answer(&sent[0], &good(&sent[0]));
    rig.answer(&sent[1], &with_data(&sent[1], 3));
    assert_eq!(has_data(&rig.reply()), [false, true]);
}

#[test]
fn when_all_brokers_are_empty_it_ends_with_them() {
    let mut rig = Rig::new();
    let sent = ask(&mut rig, &fetch(TWO));
    rig.answer(&sent[0], &good(&sent[0]));
    assert!(rig.replies().is_empty());
    rig.answer(&sent[1], &good(&sent[1]));
    assert_eq!(has_data(&rig.reply()), [false, false]);
}

#[test]
fn a_silent_broker_does_not_hold_it_beyond_max_wait() {
    let mut rig = Rig::new();
    let sent = ask(&mut rig, &fetch(TWO).with("MaxWaitMs", 300));
    rig.answer(&sent[0], &good(&sent[0]));
    let deadline = rig.session.deadline().expect("it has a deadline");
    assert!(deadline >= Duration::from_millis(300) && deadline <= Duration::from_millis(500), "{deadline:?}");
    rig.wait(deadline - MS);
    assert!(rig.replies().is_empty());
    rig.wait(MS);
    assert_eq!(errors(1, &rig.reply()), [code("orders", 0, 0), code("lines", 0, 0)]);
    assert_eq!(rig.session.deadline(), None);
}

#[test]
fn an_error_ends_the_wait() {
    let mut rig = Rig::new();
    let sent = ask(&mut rig, &fetch(TWO).with("MinBytes", 1 << 20));
    let mut answer = good(&sent[0]);
    answer
        .structs_mut("Responses")
        .for_each(|t| t.structs_mut("Partitions").for_each(|p| p.set("ErrorCode", 1)));
    rig.answer(&sent[0], &answer);
    assert_eq!(errors(1, &rig.reply()), [code("orders", 0, 1), code("lines", 0, 0)]);
}

#[test]
fn the_poll_left_over_serves_the_next_equal_fetch() {
    // given a fetch that was answered without broker 2
    let mut rig = Rig::new();
    let first = ask(&mut rig, &fetch(TWO));
    rig.answer(&first[0], &with_data(&first[0], 3));
    rig.reply();
    // when the client goes on: only the position on broker 1 has moved
    let second = ask(&mut rig, &at_offset(TWO, "orders", 8));
    assert_eq!(second.iter().map(|s| s.node).collect::<Vec<_>>(), [1], "broker 2 is polled already");
    rig.answer(&first[1], &with_data(&first[1], 3));
    assert_eq!(has_data(&rig.reply()), [false, true]);
    rig.answer(&second[0], &good(&second[0]));
    assert!(rig.replies().is_empty() && rig.close.is_none());
}

#[test]
fn the_answer_of_a_poll_left_over_is_kept_for_the_next_equal_fetch() {
    let mut rig = Rig::new();
    let first = ask(&mut rig, &fetch(TWO));
    rig.answer(&first[0], &with_data(&first[0], 3));
    rig.reply();
    rig.answer(&first[1], &with_data(&first[1], 3));
    let second = ask(&mut rig, &at_offset(TWO, "orders", 8));
    assert_eq!(second.iter().map(|s| s.node).collect::<Vec<_>>(), [1]);
    assert_eq!(has_data(&rig.reply()), [false, true], "the data is there already");
    // then it is given once only
    rig.answer(&second[0], &good(&second[0]));
    let third = ask(&mut rig, &at_offset(TWO, "orders", 8));
    assert_eq!(third.iter().map(|s| s.node).collect::<Vec<_>>(), [2], "the poll of broker 1 was kept");
}

#[test]
fn a_poll_left_over_is_discarded_by_a_different_fetch() {
    let mut rig = Rig::new();
    let first = ask(&mut rig, &fetch(TWO));
    rig.answer(&first[0], &with_data(&first[0], 3));
    rig.reply();
    // when the position on broker 2 has moved
    let second = ask(&mut rig, &at_offset(TWO, "lines", 99));
    assert_eq!(second.iter().map(|s| s.node).collect::<Vec<_>>(), [1, 2]);
    rig.answer(&first[1], &with_data(&first[1], 3));
    assert!(rig.replies().is_empty(), "the old position's data is not for this fetch");
    rig.answer(&second[1], &with_data(&second[1], 3));
    assert_eq!(has_data(&rig.reply()), [false, true]);
}

#[test]
fn a_leader_that_moved_is_noticed_in_the_answer_of_a_poll_left_over() {
    let mut rig = Rig::new();
    let first = ask(&mut rig, &fetch(TWO));
    rig.answer(&first[0], &with_data(&first[0], 3));
    let mut answer = good(&first[1]);
    answer
        .structs_mut("Responses")
        .for_each(|t| t.structs_mut("Partitions").for_each(|p| p.set("ErrorCode", 6)));
    rig.answer(&first[1], &answer);
    assert!(!rig.signals.is_empty());
}

#[test]
fn parts_share_the_clients_limit_so_that_collecting_them_is_bounded() {
    let mut rig = Rig::new();
    let sent = ask(&mut rig, &fetch(TWO).with("MaxBytes", 1 << 20));
    assert_eq!(sent.iter().map(|s| s.body.i32("MaxBytes")).sum::<i32>(), 1 << 20);
    let sent = ask(&mut Rig::new(), &fetch(TWO).with("MaxBytes", i32::MAX));
    assert!(sent.iter().map(|s| s.body.i32("MaxBytes")).sum::<i32>() <= 8 << 20);
}

#[test]
fn only_what_one_broker_answers_whole_is_streamed() {
    let mut rig = Rig::new();
    let sent = ask(&mut rig, &fetch(TWO));
    assert_eq!(rig.session.intake(sent[0].to, 1 << 20), Intake::Collect);
    let mut rig = Rig::new();
    let other = rig.ask(2, 5, &crate::bodies::list_offsets(&[("lines", &[0])]));
    let waits = rig.sent_one();
    ask(&mut rig, &fetch(&[("orders", &[0])]));
    assert_eq!(rig.session.intake(rig.peer(1), 1 << 10), Intake::Collect);
    assert_eq!(rig.session.intake(rig.peer(1), 1 << 30), Intake::TooLarge);
    assert_eq!(rig.session.intake(rig.peer(1), 1 << 20), Intake::Wait, "an earlier request is not answered");
    rig.answer(&waits, &good(&waits));
    assert_eq!(rig.replies()[0].correlation, other);
    assert_eq!(rig.session.intake(rig.peer(1), 1 << 20), Intake::Stream);
}

#[test]
fn a_broker_that_goes_away_costs_only_its_own_partitions() {
    let mut rig = Rig::new();
    let sent = ask(&mut rig, &fetch(TWO));
    rig.fail(2, 0);
    assert_eq!(errors(1, &rig.reply()), [code("orders", 0, 0), code("lines", 0, 6)]);
    // then the other broker's answer is still of use
    rig.answer(&sent[0], &with_data(&sent[0], 3));
    let again = ask(&mut rig, &fetch(TWO));
    assert_eq!(again.iter().map(|s| s.node).collect::<Vec<_>>(), [2]);
    assert_eq!(each(1, &rig.reply(), "HighWatermark").first().map(|e| e.2), Some(1));
}

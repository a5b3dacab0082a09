//! A broker that goes away: what never left, what may have been done, and who is asked instead.

use crate::{
    bodies::{code, errors, fetch, good, list_offsets, metadata, produce},
    harness::{Rig, address, cluster, primary_topics},
};
use pointsman_core::{
    metrics::CloseReason,
    signal::{Failure, Signal},
};
use pointsman_wire::value::{Struct, Value};

const ONE: &[(&str, &[i32])] = &[("orders", &[0])];

fn reason(rig: &Rig) -> Option<CloseReason> {
    rig.close.as_ref().map(|c| c.reason)
}

#[test]
fn the_control_plane_hears_of_it() {
    let mut rig = Rig::new();
    rig.ask(2, 5, &list_offsets(ONE));
    rig.fail(1, 0);
    let (cluster, broker) = ("primary".into(), address("primary", 1));
    assert!(rig.signals.contains(&Signal::BrokerFailed { cluster, broker, failure: Failure::Refused }));
}

#[test]
fn a_produce_that_never_left_is_refused_and_can_be_sent_again() {
    for producer in [None, Some((7, 0, 3))] {
        let mut rig = Rig::new();
        rig.ask(0, 9, &produce(ONE, -1, producer));
        rig.sent();
        rig.fail(1, 1);
        assert_eq!(errors(0, &rig.reply()), [code("orders", 0, 6)]);
        rig.ask(0, 9, &produce(ONE, -1, producer));
        assert_eq!(rig.sent_one().node, 1);
    }
}

#[test]
fn a_sent_produce_without_idempotence_closes_the_connection() {
    let mut rig = Rig::new();
    rig.ask(0, 9, &produce(ONE, -1, None));
    rig.fail(1, 0);
    assert!(rig.replies().is_empty());
    assert_eq!(reason(&rig), Some(CloseReason::UpstreamFailed));
}

#[test]
fn a_sent_idempotent_produce_is_refused() {
    let mut rig = Rig::new();
    rig.ask(0, 9, &produce(ONE, -1, Some((7, 0, 3))));
    rig.fail(1, 0);
    assert_eq!(errors(0, &rig.reply()), [code("orders", 0, 6)]);
    assert!(rig.close.is_none());
}

#[test]
fn the_last_requests_are_those_that_never_left() {
    let mut rig = Rig::new();
    rig.ask(2, 5, &list_offsets(ONE));
    let second = rig.ask(0, 9, &produce(ONE, -1, None));
    rig.fail(1, 1);
    let replies = rig.replies();
    assert_eq!((replies.len(), replies[1].correlation), (2, second));
    assert!(rig.close.is_none(), "the produce had not left");
}

#[test]
fn a_split_produce_loses_only_the_partitions_of_the_broker_that_went_away() {
    for producer in [None, Some((7, 0, 3))] {
        let mut rig = Rig::new();
        rig.ask(0, 9, &produce(&[("orders", &[0, 1])], -1, producer));
        let sent = rig.sent();
        rig.fail(2, 1);
        assert!(rig.replies().is_empty(), "the other broker is still at it");
        rig.answer(&sent[0], &good(&sent[0]));
        assert_eq!(errors(0, &rig.reply()), [code("orders", 0, 0), code("orders", 1, 6)]);
    }
}

#[test]
fn an_answer_given_is_not_replaced_by_a_part_that_comes_later() {
    // given a request before it that keeps the answer back
    let mut rig = Rig::new();
    let slow = rig.ask(2, 5, &list_offsets(&[("lines", &[2])]));
    let split = rig.ask(1, 12, &fetch(&[("orders", &[0]), ("lines", &[0])]));
    let sent = rig.sent();
    rig.fail(2, 0);
    let late = sent.iter().find(|s| s.node == 1).expect("a part");
    rig.answer(late, &good(late));
    // when
    rig.answer(&sent[0], &good(&sent[0]));
    // then
    let replies = rig.replies();
    assert_eq!(replies.iter().map(|r| r.correlation).collect::<Vec<_>>(), [slow, split]);
    assert_eq!(errors(1, &replies[1].body), [code("orders", 0, 0), code("lines", 0, 6)]);
}

#[test]
fn a_harmless_request_is_asked_at_another_broker() {
    let mut rig = Rig::new();
    let id = rig.ask(3, 9, &metadata());
    let mut asked = Vec::new();
    for _ in 0..3 {
        let sent = rig.sent_one();
        assert_eq!((sent.key, sent.body.get("Topics")), (3, &Value::Null));
        asked.push(sent.node);
        rig.fail(sent.node, 0);
    }
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 3, "each once");
    let sent = rig.sent_one();
    assert!(sent.node < 0, "then a bootstrap server");
    rig.answer(&sent, &Struct::new().with("Topics", Vec::<Value>::new()));
    assert_eq!(rig.replies().iter().map(|r| r.correlation).collect::<Vec<_>>(), [id]);
}

#[test]
fn when_all_brokers_are_down_the_connection_closes_instead_of_hanging() {
    let mut rig = Rig::new();
    rig.ask(3, 9, &metadata());
    for _ in 0..5 {
        let sent = rig.sent_one();
        rig.fail(sent.node, 1);
    }
    assert!(rig.sent().is_empty());
    assert_eq!(reason(&rig), Some(CloseReason::UpstreamFailed));
}

#[test]
fn bootstrap_servers_are_tried_one_after_the_other() {
    let mut rig = Rig::with(cluster("primary", None), Some(0));
    rig.ask(3, 9, &metadata());
    let first = rig.sent_one();
    rig.fail(first.node, 1);
    let second = rig.sent_one();
    assert_eq!(rig.session.address(second.to), Some(address("primary", 2)));
    rig.fail(second.node, 1);
    assert_eq!(reason(&rig), Some(CloseReason::UpstreamFailed));
}

#[test]
fn a_list_over_all_brokers_goes_on_without_the_one_that_is_gone() {
    let mut rig = Rig::with(cluster("primary", Some(primary_topics())), None);
    rig.ask(16, 3, &Struct::new());
    let sent = rig.sent();
    rig.fail(2, 1);
    assert!(rig.sent().is_empty(), "the others are not asked twice");
    for request in sent.iter().filter(|s| s.node != 2) {
        let group =
            Struct::new().with("GroupId", format!("g{}", request.node)).with("ProtocolType", "consumer");
        rig.answer(request, &Struct::new().with("Groups", vec![group]));
    }
    let names: Vec<_> = rig.reply().structs("Groups").map(|g| g.str("GroupId").to_owned()).collect();
    assert_eq!(names, ["g1", "g3"]);
}

#[test]
fn a_list_of_brokers_that_are_all_gone_ends() {
    let mut rig = Rig::with(cluster("primary", Some(primary_topics())), None);
    rig.ask(16, 3, &Struct::new());
    for _ in 0..20 {
        let Some(next) = rig.sent().pop() else { break };
        for node in [1, 2, 3, next.node] {
            rig.fail(node, 1);
        }
    }
    assert!(rig.close.is_some() || !rig.replies().is_empty(), "it does not go on for ever");
}

#[test]
fn configs_of_a_broker_that_is_gone_are_not_asked_for_ever() {
    let mut rig = Rig::new();
    let resource = Struct::new()
        .with("ResourceType", 4)
        .with("ResourceName", "1")
        .with("ConfigurationKeys", Value::Null);
    rig.ask(32, 1, &Struct::new().with("Resources", vec![resource]));
    assert_eq!(rig.sent_one().node, 2);
    rig.fail(2, 1);
    assert!(rig.sent().is_empty());
    assert_eq!(reason(&rig), Some(CloseReason::UpstreamFailed));
}

#[test]
fn a_request_that_waits_is_not_refused_because_another_is_asked_again() {
    let mut rig = Rig::new();
    let first = rig.ask(3, 9, &metadata());
    rig.ask(2, 5, &list_offsets(&[("unknown", &[0])]));
    let sent = rig.sent_one();
    rig.fail(sent.node, 1);
    let again = rig.sent_one();
    assert_eq!(again.key, 3);
    rig.answer(&again, &Struct::new().with("Topics", Vec::<Value>::new()));
    assert_eq!(rig.replies().iter().map(|r| r.correlation).collect::<Vec<_>>(), [first]);
    assert!(!rig.session.accepts() && rig.close.is_none(), "the other one still waits");
}

#[test]
fn a_request_asked_again_does_not_queue_behind_a_response_that_waits_for_it() {
    // given metadata at one broker, and a fetch behind it at another
    let mut rig = Rig::with(cluster("primary", Some(primary_topics())), Some(1));
    rig.ask(3, 9, &metadata());
    let first = rig.sent_one();
    assert_eq!(first.node, 2);
    rig.ask(1, 12, &fetch(ONE));
    rig.sent_one();
    // when the first broker goes away
    rig.fail(2, 0);
    // then it is asked where nothing waits for its answer
    assert_eq!(rig.sent_one().node, 3);
}

#[test]
fn produces_without_acks_on_a_lost_connection_are_not_dropped_in_silence() {
    let mut rig = Rig::new();
    rig.ask(0, 9, &produce(ONE, 0, None));
    rig.fail(1, 0);
    assert_eq!(reason(&rig), Some(CloseReason::UpstreamFailed), "as a broker's own connection would");
}

#[test]
fn an_idle_connection_that_ends_is_nothing_special() {
    let mut rig = Rig::new();
    rig.ask(2, 5, &list_offsets(ONE));
    let sent = rig.sent_one();
    rig.answer(&sent, &good(&sent));
    rig.reply();
    rig.fail(1, 0);
    assert!(rig.close.is_none() && rig.sent().is_empty());
    rig.ask(2, 5, &list_offsets(ONE));
    assert_eq!(rig.sent_one().node, 1);
}

#[test]
fn an_answer_to_nothing_or_out_of_turn_closes_the_connection() {
    let mut rig = Rig::new();
    rig.ask(2, 5, &list_offsets(ONE));
    let mut sent = rig.sent_one();
    sent.correlation += 1;
    rig.answer(&sent, &good(&sent));
    assert_eq!(reason(&rig), Some(CloseReason::BadResponse));
}

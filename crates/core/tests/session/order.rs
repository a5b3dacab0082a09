//! Answers leave in the order of the requests, whoever gave them first; and what makes a request wait.

use crate::{
    bodies::{at, each, errors, fetch, good, list_offsets, metadata, of, places, produce, with_data},
    harness::{MS, Rig, cluster, observation, primary_topics, topic},
};
use pointsman_core::{Now, limits, signal::Signal};
use pointsman_wire::value::Struct;

#[test]
fn answers_leave_in_the_order_of_the_requests_whoever_answers_first() {
    // given three requests to three brokers
    let mut rig = Rig::new();
    let asked =
        [("orders", 0), ("orders", 1), ("lines", 2)].map(|(t, p)| rig.ask(2, 5, &list_offsets(&[(t, &[p])])));
    let sent = rig.sent();
    assert_eq!(sent.iter().map(|s| s.node).collect::<Vec<_>>(), [1, 2, 3]);
    // when they answer in the opposite order
    for request in sent.iter().rev() {
        assert!(rig.replies().is_empty());
        rig.answer(request, &good(request));
    }
    // then
    assert_eq!(rig.replies().iter().map(|r| r.correlation).collect::<Vec<_>>(), asked);
    assert_eq!(rig.session.in_flight(), 0);
}

#[test]
fn many_requests_on_one_connection_keep_their_order_through_whole_split_and_local_answers() {
    let mut rig = Rig::new();
    let mut asked = Vec::new();
    for n in 0..60 {
        asked.push(match n % 4 {
            0 => rig.ask(0, 9, &produce(&[("orders", &[0, 1, 2])], -1, None)),
            1 => rig.ask(18, 3, &Struct::new()),
            2 => rig.ask(1, 12, &fetch(&[("orders", &[0]), ("lines", &[2])])),
            _ => rig.ask(2, 5, &list_offsets(&[("lines", &[0])])),
        });
    }
    let mut open = rig.sent();
    // when brokers answer, each in its own order, in an arbitrary interleaving
    let mut pick = 7;
    let mut got = Vec::new();
    while !open.is_empty() {
        pick = (pick * 31 + 11) % 3;
        let node = [1, 2, 3][pick];
        if let Some(next) = open.iter().position(|s| s.node == node).map(|i| open.remove(i)) {
            rig.answer(&next, &with_data_if_fetch(&next));
        }
        got.extend(rig.replies().into_iter().map(|r| r.correlation));
    }
    assert_eq!(got, asked);
    assert!(rig.close.is_none(), "{:?}", rig.close);
}

fn with_data_if_fetch(sent: &crate::harness::Sent) -> Struct {
    if sent.key == 1 { with_data(sent, 3) } else { good(sent) }
}

#[test]
fn a_request_whose_partitions_live_on_one_broker_passes_whole() {
    let mut rig = Rig::new();
    let body = produce(&[("orders", &[2, 0])], -1, None);
    rig.ask(0, 9, &body);
    let sent = rig.sent_one();
    assert_eq!((sent.node, &sent.body, sent.client_id.as_deref()), (1, &body, Some("client")));
    rig.answer(&sent, &good(&sent));
    assert_eq!(each(0, &rig.reply(), "BaseOffset"), [of("orders", 2, 1000), of("orders", 0, 1000)]);
}

#[test]
fn a_produce_without_acks_expects_no_answer_and_holds_none_up() {
    let mut rig = Rig::new();
    rig.ask(0, 9, &produce(&[("orders", &[0, 1])], 0, None));
    let next = rig.ask(2, 5, &list_offsets(&[("orders", &[0])]));
    let sent = rig.sent();
    assert_eq!(
        sent.iter().map(|s| (s.node, s.key, s.answered)).collect::<Vec<_>>(),
        [(1, 0, false), (2, 0, false), (1, 2, true)]
    );
    rig.answer(&sent[2], &good(&sent[2]));
    assert_eq!(rig.replies().iter().map(|r| r.correlation).collect::<Vec<_>>(), [next]);
    assert_eq!(rig.session.in_flight(), 0);
}

#[test]
fn no_more_requests_are_accepted_than_may_be_in_flight() {
    let mut rig = Rig::new();
    let mut fed = 0;
    while rig.session.accepts() {
        rig.ask(2, 5, &list_offsets(&[("orders", &[0])]));
        fed += 1;
    }
    assert_eq!(fed, limits::IN_FLIGHT);
    let first = rig.sent().remove(0);
    rig.answer(&first, &good(&first));
    assert!(rig.session.accepts());
}

#[test]
fn an_unknown_topic_waits_until_the_topology_knows_it() {
    // given
    let mut rig = Rig::new();
    rig.ask(2, 5, &list_offsets(&[("new", &[0])]));
    assert!(rig.sent().is_empty() && !rig.session.accepts());
    assert_eq!(rig.signals, [Signal::TopologyStale { cluster: "primary".into() }]);
    // when
    let mut topics = primary_topics();
    topics.push(topic("new", 0xa9, &[3], 0));
    rig.primary.topology.merge(&observation("primary", topics), Now::ZERO);
    rig.tick();
    // then
    let sent = rig.sent_one();
    assert_eq!((sent.node, places(&sent)), (3, vec![at("new", 0)]));
    assert!(rig.session.accepts());
}

#[test]
fn a_topic_that_stays_unknown_is_asked_for_at_any_broker_after_a_while() {
    let mut rig = Rig::new();
    rig.ask(2, 5, &list_offsets(&[("new", &[0]), ("orders", &[1])]));
    assert_eq!(rig.session.deadline(), Some(limits::LOOKUP_WAIT));
    rig.wait(limits::LOOKUP_WAIT - MS);
    assert!(rig.sent().is_empty());
    rig.wait(MS);
    let sent = rig.sent();
    assert_eq!(sent.len(), 2, "the known topic goes to its leader: {sent:#?}");
    for request in &sent {
        let mut answer = good(request);
        for topic in answer.structs_mut("Topics").filter(|t| t.str("Name") == "new") {
            topic.structs_mut("Partitions").for_each(|p| p.set("ErrorCode", 3));
        }
        rig.answer(request, &answer);
    }
    assert_eq!(errors(2, &rig.reply()).iter().map(|e| e.2).collect::<Vec<_>>(), [3, 0]);
    assert_eq!(rig.session.deadline(), None);
}

#[test]
fn without_a_known_topology_bootstrap_servers_are_asked() {
    let mut rig = Rig::with(cluster("primary", None), Some(0));
    rig.ask(3, 9, &metadata());
    let sent = rig.sent_one();
    assert_eq!(rig.session.address(sent.to), Some(crate::harness::address("primary", 1)));
}

#[test]
fn listing_groups_without_a_known_topology_asks_a_bootstrap_server() {
    let mut rig = Rig::with(cluster("primary", None), Some(0));
    rig.ask(16, 3, &Struct::new());
    assert!(rig.replies().is_empty(), "an empty list would be a lie");
    assert_eq!(rig.sent_one().key, 16);
}

#[test]
fn groups_are_listed_from_every_broker_behind_the_slot_or_the_one_port() {
    let mut rig = Rig::with(cluster("primary", Some(primary_topics())), None);
    rig.ask(16, 3, &Struct::new());
    let sent = rig.sent();
    assert_eq!(sent.iter().map(|s| s.node).collect::<Vec<_>>(), [1, 2, 3]);
    for request in &sent {
        let group =
            Struct::new().with("GroupId", format!("g{}", request.node)).with("ProtocolType", "consumer");
        rig.answer(request, &Struct::new().with("Groups", vec![group]));
    }
    let names: Vec<_> = rig.reply().structs("Groups").map(|g| g.str("GroupId").to_owned()).collect();
    assert_eq!(names, ["g1", "g2", "g3"]);
}

//! Requests for a group or transactional id find their coordinator; what waits for a lookup keeps its place.

use crate::{
    bodies::{good, list_offsets, newest},
    harness::{Rig, Sent, cluster, primary_topics},
};
use pointsman_core::{
    limits,
    offer::Offer,
    rules,
    topology::CoordinatorKind::{Group, Transaction},
};
use pointsman_wire::value::{Struct, Value};

fn heartbeat(group: &str) -> Struct {
    Struct::new().with("GroupId", group).with("MemberId", "m").with("GenerationId", 1)
}

fn describe(groups: &[&str]) -> Struct {
    Struct::new().with("Groups", groups.iter().map(|g| Value::from(*g)).collect::<Vec<_>>())
}

/// An answer of FindCoordinator for every key asked, in the words of its version.
fn found(sent: &Sent, node: i32) -> Struct {
    let keys = sent.body.array("CoordinatorKeys").iter().filter_map(Value::as_str);
    let one = |key: &str| {
        let (host, port) = (format!("primary-{node}.internal"), 9000 + node);
        Struct::new().with("Key", key).with("NodeId", node).with("Host", host).with("Port", port)
    };
    match sent.version {
        4.. => Struct::new().with("Coordinators", keys.map(one).collect::<Vec<_>>()),
        _ => one(sent.body.str("Key")).with("Key", Value::Null),
    }
}

fn fit(mut body: Struct, version: i16) -> Struct {
    if version < 4 {
        body.remove("Key");
    }
    body
}

fn known(rig: &Rig, group: &str, node: i32) {
    rig.primary.topology.set_coordinator(Group, group, Some(node));
}

#[test]
fn a_group_whose_coordinator_is_unknown_is_looked_up_first() {
    let mut rig = Rig::new();
    rig.ask(12, 4, &heartbeat("g"));
    let lookup = rig.sent_one();
    assert_eq!(lookup.key, 10);
    assert!(!rig.session.accepts(), "what follows must not overtake it");
    rig.answer(&lookup, &fit(found(&lookup, 3), lookup.version));
    let sent = rig.sent_one();
    assert_eq!((sent.key, sent.node, sent.body.str("GroupId")), (12, 3, "g"));
    rig.answer(&sent, &Struct::new());
    assert_eq!(rig.reply().i16("ErrorCode"), 0);
}

#[test]
fn answers_to_clients_lookups_are_remembered_in_every_version() {
    for version in 0..=newest(10) {
        let mut rig = Rig::new();
        let keys = vec![Value::from("g")];
        rig.ask(
            10,
            version,
            &Struct::new().with("Key", "g").with("KeyType", 0).with("CoordinatorKeys", keys),
        );
        let sent = rig.sent_one();
        rig.answer(&sent, &fit(found(&sent, 2), version));
        let reply = rig.reply();
        let shown = reply.structs("Coordinators").next().unwrap_or(&reply);
        assert_eq!(
            (shown.i32("NodeId"), shown.str("Host"), shown.i32("Port")),
            (1, "proxy.example.com", 9093)
        );
        rig.ask(12, 4, &heartbeat("g"));
        assert_eq!(rig.sent_one().node, 2, "version {version}");
    }
}

#[test]
fn not_coordinator_forgets() {
    let mut rig = Rig::new();
    known(&rig, "g", 2);
    rig.ask(12, 4, &heartbeat("g"));
    let sent = rig.sent_one();
    assert_eq!(sent.node, 2);
    rig.answer(&sent, &Struct::new().with("ErrorCode", 16));
    assert_eq!(rig.reply().i16("ErrorCode"), 16);
    assert_eq!(rig.primary.topology.coordinator(Group, "g"), None);
}

#[test]
fn a_commit_for_a_group_that_the_cluster_does_not_have_makes_the_member_join_again() {
    for version in 2..=newest(8) {
        let mut rig = Rig::new();
        known(&rig, "g", 2);
        let partition = Struct::new().with("PartitionIndex", 0).with("CommittedOffset", 5);
        let topic = Struct::new().with("Name", "orders").with("Partitions", vec![partition]);
        let request = Struct::new()
            .with("GroupId", "g")
            .with("MemberId", "m")
            .with("GenerationIdOrMemberEpoch", 3)
            .with("Topics", vec![topic]);
        rig.ask(8, version, &request);
        let sent = rig.sent_one();
        let told = Struct::new().with("PartitionIndex", 0).with("ErrorCode", 69);
        let told = Struct::new().with("Name", "orders").with("Partitions", vec![told]);
        rig.answer(&sent, &Struct::new().with("Topics", vec![told]));
        let reply = rig.reply();
        let code =
            reply.structs("Topics").flat_map(|t| t.structs("Partitions")).next().map(|p| p.i16("ErrorCode"));
        assert_eq!(code, Some(25), "version {version}");
    }
}

#[test]
fn a_request_that_waits_for_its_coordinator_keeps_its_place() {
    let mut rig = Rig::new();
    let before = rig.ask(2, 5, &list_offsets(&[("orders", &[0])]));
    let waiting = rig.ask(12, 4, &heartbeat("g"));
    let sent = rig.sent();
    let lookup = sent.iter().find(|s| s.key == 10).expect("a lookup");
    let first = sent.iter().find(|s| s.key == 2).expect("the request before");
    assert_eq!(first.node, lookup.node, "the connection is there already");
    rig.answer(first, &good(first));
    rig.answer(lookup, &fit(found(lookup, 3), lookup.version));
    let after = rig.ask(2, 5, &list_offsets(&[("orders", &[0])]));
    let sent = rig.sent();
    rig.answer(&sent[1], &good(&sent[1]));
    rig.answer(&sent[0], &Struct::new());
    assert_eq!(rig.replies().iter().map(|r| r.correlation).collect::<Vec<_>>(), [before, waiting, after]);
}

#[test]
fn a_lookup_without_an_answer_lets_any_broker_speak() {
    let mut rig = Rig::new();
    rig.ask(12, 4, &heartbeat("g"));
    let lookup = rig.sent_one();
    rig.wait(limits::LOOKUP_WAIT);
    assert_eq!(rig.sent_one().key, 12);
    // then a late answer is still worth something
    rig.answer(&lookup, &fit(found(&lookup, 3), lookup.version));
    assert_eq!(rig.primary.topology.coordinator(Group, "g"), Some(3));
    assert!(rig.close.is_none());
}

#[test]
fn a_lookup_that_finds_none_lets_any_broker_say_so() {
    let mut rig = Rig::new();
    rig.ask(12, 4, &heartbeat("g"));
    let lookup = rig.sent_one();
    let none = Struct::new().with("Key", "g").with("NodeId", -1).with("Port", -1).with("ErrorCode", 15);
    rig.answer(&lookup, &Struct::new().with("Coordinators", vec![none]));
    let sent = rig.sent_one();
    assert_eq!(sent.key, 12);
    rig.answer(&sent, &Struct::new().with("ErrorCode", 16));
    assert_eq!(rig.reply().i16("ErrorCode"), 16);
}

#[test]
fn several_groups_are_split_by_coordinator_and_merged() {
    let mut rig = Rig::new();
    known(&rig, "a", 1);
    known(&rig, "b", 2);
    known(&rig, "c", 1);
    rig.ask(15, 5, &describe(&["a", "b", "c"]));
    let sent = rig.sent();
    let asked: Vec<_> = sent.iter().map(|s| (s.node, s.body.array("Groups").to_vec())).collect();
    assert_eq!(asked, [(1, vec!["a".into(), "c".into()]), (2, vec!["b".into()])]);
    for request in &sent {
        let groups = request.body.array("Groups").iter().filter_map(Value::as_str);
        let described = groups.map(|g| Struct::new().with("GroupId", g).with("GroupState", "Stable"));
        rig.answer(request, &Struct::new().with("Groups", described.collect::<Vec<_>>()));
    }
    let mut names: Vec<_> = rig.reply().structs("Groups").map(|g| g.str("GroupId").to_owned()).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn many_unknown_groups_are_looked_up_with_one_request() {
    let mut rig = Rig::new();
    let names: Vec<String> = (0..20_000).map(|n| format!("g{n}")).collect();
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    rig.ask(15, 5, &describe(&groups));
    let sent = rig.sent();
    assert!(sent.len() <= 2, "{} lookups", sent.len());
    for lookup in &sent {
        rig.answer(lookup, &found(lookup, 2));
    }
    let sent = rig.sent_one();
    assert_eq!((sent.node, sent.body.array("Groups").len()), (2, names.len()));
}

#[test]
fn a_lookup_for_several_groups_that_finds_some_goes_on_with_those() {
    let mut rig = Rig::new();
    known(&rig, "a", 2);
    rig.ask(15, 5, &describe(&["a", "b", "c"]));
    let lookup = rig.sent_one();
    let mut answer = found(&lookup, 3);
    let second = answer.structs_mut("Coordinators").nth(1).expect("two were asked for");
    second.set("ErrorCode", 15);
    second.set("NodeId", -1);
    rig.answer(&lookup, &answer);
    let nodes: Vec<_> = rig.sent().iter().map(|s| (s.key, s.node)).collect();
    assert!(nodes.contains(&(15, 2)) && nodes.contains(&(15, 3)), "{nodes:?}");
}

#[test]
fn where_lookups_know_one_key_only_one_is_asked_for_each() {
    let mut offer: Offer = rules::ours();
    offer.apis.insert(10, (0, 3));
    let mut rig = Rig::offering(cluster("primary", Some(primary_topics())), offer);
    rig.ask(15, 5, &describe(&["a", "b"]));
    let lookups = rig.sent();
    assert_eq!(lookups.iter().map(|l| l.body.str("Key")).collect::<Vec<_>>(), ["a", "b"]);
    for lookup in &lookups {
        rig.answer(lookup, &fit(found(lookup, 2), 3));
    }
    assert_eq!(rig.sent_one().key, 15);
}

#[test]
fn a_broker_that_cannot_be_asked_for_coordinators_is_not_asked_again() {
    let mut rig = Rig::new();
    rig.ask(12, 4, &heartbeat("g"));
    let first = rig.sent_one();
    rig.fail(first.node, 1);
    let second = rig.sent_one();
    assert_ne!(first.node, second.node);
    rig.fail(second.node, 1);
    let third = rig.sent_one();
    assert!(third.node != first.node && third.node != second.node);
}

#[test]
fn transactions_of_several_coordinators_in_a_request_of_brokers_are_answered_by_one_of_them() {
    // Found by fuzzing: nothing was sent and nothing answered, for ever.
    let mut rig = Rig::new();
    for (id, node) in [("a", 2), ("b", 1)] {
        rig.primary.topology.set_coordinator(Transaction, id, Some(node));
    }
    let transaction = |id: &str| Struct::new().with("TransactionalId", id).with("ProducerId", 1);
    rig.ask(24, 4, &Struct::new().with("Transactions", vec![transaction("a"), transaction("b")]));
    assert_eq!(rig.sent_nodes(), [2]);
}

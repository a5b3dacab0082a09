//! A planned move: produces are on the secondary already, and consumers stay on the primary until they have read it.

use crate::{
    bodies::{
        code, each, errors, fetch, good, list_offsets, metadata, offset_for_leader_epoch, places, produce,
        with_data,
    },
    harness::{BASE, Rig, Sent, address},
};
use pointsman_core::{
    offsets::LogOffsets,
    topology::CoordinatorKind::{Group, Transaction},
};
use pointsman_wire::value::{Struct, Value};

const FETCH: i16 = 1;
const HEARTBEAT: i16 = 12;
const JOIN_GROUP: i16 = 11;
const OFFSET_COMMIT: i16 = 8;
const TXN_OFFSET_COMMIT: i16 = 28;
const NOT_LEADER: i16 = 6;

fn rig() -> Rig {
    let rig = Rig::new();
    for (cluster, node) in [(&rig.primary, 1), (&rig.secondary, 2)] {
        cluster.topology.set_coordinator(Group, "g", Some(node));
        cluster.topology.set_coordinator(Transaction, "tx", Some(node));
    }
    rig
}

fn served_by(rig: &Rig, sent: &Sent) -> &'static str {
    let found = rig.session.address(sent.to);
    let of = |cluster: &str| found == Some(address(cluster, sent.node));
    match (of("primary"), of("secondary")) {
        (true, _) => "primary",
        (_, true) => "secondary",
        _ => panic!("{found:?}"),
    }
}

fn member() -> Struct {
    Struct::new().with("GroupId", "g").with("MemberId", "m")
}

fn commit(offset: i64) -> Struct {
    let partition = Struct::new().with("PartitionIndex", 0).with("CommittedOffset", offset);
    let topic = Struct::new().with("Name", "orders").with("Partitions", vec![partition]);
    member().with("Topics", vec![topic])
}

fn find(key: &str, kind: i8) -> Struct {
    Struct::new().with("Key", key).with("KeyType", kind).with("CoordinatorKeys", vec![Value::from(key)])
}

#[test]
fn each_request_goes_where_its_side_is() {
    let mut rig = rig();
    rig.drain(false);
    let one = &[("orders", &[0][..])];
    let transaction =
        Struct::new().with("TransactionalId", "tx").with("ProducerId", -1).with("ProducerEpoch", -1);
    let requests = [
        (0, 9, produce(one, -1, None), "secondary"),
        (1, 12, fetch(one), "primary"),
        (2, 6, list_offsets(one), "primary"),
        (3, 9, metadata(), "secondary"),
        (8, 8, commit(3), "primary"),
        (9, 7, Struct::new().with("GroupId", "g"), "primary"),
        (10, 3, find("g", 0), "primary"),
        (10, 4, find("g", 0), "primary"),
        (10, 4, find("tx", 1), "secondary"),
        (11, 5, member(), "primary"),
        (12, 3, member(), "primary"),
        (13, 2, member(), "primary"),
        (14, 3, member(), "primary"),
        (15, 4, Struct::new().with("Groups", vec![Value::from("g")]), "primary"),
        (22, 3, transaction, "secondary"),
        (23, 4, offset_for_leader_epoch(one, -1, 3), "primary"),
        (68, 0, member(), "primary"),
    ];
    for (key, version, body, cluster) in requests {
        rig.ask(key, version, &body);
        let sent = rig.sent_one();
        assert_eq!((sent.key, served_by(&rig, &sent)), (key, cluster), "version {version}");
    }
}

#[test]
fn a_poll_under_way_notices_nothing_and_a_produce_is_answered_as_at_any_switch() {
    let mut rig = rig();
    rig.ask(FETCH, 12, &fetch(&[("orders", &[0])]));
    let poll = rig.sent_one();
    let mut other = Rig::new();
    other.ask(0, 10, &produce(&[("orders", &[0])], -1, Some((5, 0, 0))));
    let batch = other.sent_one();
    rig.fence_produces();
    other.fence_produces();
    assert!(rig.dropped.is_empty() && rig.replies().is_empty());
    assert_eq!((other.dropped.clone(), other.replies().len()), (vec![batch.node], 0));
    rig.drain(false);
    other.drain(false);
    let refused = other.reply();
    assert_eq!(errors(0, &refused), [code("orders", 0, NOT_LEADER)]);
    let told =
        refused.structs("Responses").flat_map(|t| t.structs("PartitionResponses")).next().expect("one");
    let leader = told.get("CurrentLeader").as_struct().expect("a leader");
    assert_eq!(leader.i32("LeaderEpoch"), BASE + 5, "of the secondary");

    rig.answer(&poll, &with_data(&poll, 3));
    assert_eq!(errors(FETCH, &rig.reply()), [code("orders", 0, 0)]);
}

#[test]
fn while_nobody_takes_produces_consumers_are_answered() {
    let mut rig = rig();
    rig.ask(FETCH, 12, &fetch(&[("orders", &[0])]));
    let poll = rig.sent_one();
    rig.fence_produces();
    rig.answer(&poll, &with_data(&poll, 3));
    assert_eq!(errors(FETCH, &rig.reply()), [code("orders", 0, 0)]);
}

#[test]
fn brokers_of_both_clusters_with_one_node_id_are_two_connections() {
    let mut rig = rig();
    rig.drain(false);
    // Broker 2 leads partition 1 on the primary and partition 0 on the secondary.
    rig.ask(FETCH, 12, &fetch(&[("orders", &[1])]));
    rig.ask(0, 9, &produce(&[("orders", &[0])], -1, None));
    let sent = rig.sent();
    assert_eq!(sent.iter().map(|s| (s.key, s.node)).collect::<Vec<_>>(), [(FETCH, 2), (0, 2)]);
    assert_ne!(sent[0].to, sent[1].to);
    rig.answer(&sent[1], &good(&sent[1]));
    assert!(rig.replies().is_empty(), "in the order of the requests");
    rig.answer(&sent[0], &good(&sent[0]));
    assert_eq!((rig.replies().len(), rig.close.clone()), (2, None));
}

#[test]
fn a_connection_that_carries_produces_ends_and_its_consumer_asks_again() {
    let mut rig = rig();
    rig.ask(FETCH, 12, &fetch(&[("orders", &[0])]));
    rig.ask(0, 9, &produce(&[("orders", &[0])], -1, Some((5, 0, 0))));
    assert_eq!(rig.sent().len(), 2);
    rig.fence_produces();
    assert_eq!(rig.dropped, [1]);
    let told = rig.reply();
    assert_eq!(errors(FETCH, &told), [code("orders", 0, NOT_LEADER)]);
    rig.ask(FETCH, 12, &fetch(&[("orders", &[0])]));
    let again = rig.sent_one();
    assert_eq!(served_by(&rig, &again), "primary");
    rig.drain(false);
    assert_eq!(errors(0, &rig.reply()), [code("orders", 0, NOT_LEADER)]);
}

#[test]
fn an_epoch_of_the_newer_generation_is_no_epoch_to_the_cluster_that_is_drained() {
    let mut rig = rig();
    rig.drain(false);
    for (shown, real) in [(BASE + 5, -1), (3, 3), (-1, -1)] {
        let mut body = fetch(&[("orders", &[0])]);
        let partitions = body.structs_mut("Topics").flat_map(|t| t.structs_mut("Partitions"));
        partitions.for_each(|p| p.set("CurrentLeaderEpoch", shown));
        rig.ask(FETCH, 12, &body);
        let sent = rig.sent_one();
        let partition =
            sent.body.structs("Topics").flat_map(|t| t.structs("Partitions")).next().expect("one");
        assert_eq!(partition.i32("CurrentLeaderEpoch"), real, "{shown}");
    }
}

#[test]
fn an_epoch_of_the_newer_generation_moves_nobody_and_one_of_this_cluster_is_asked_of_it() {
    let mut rig = rig();
    rig.drain(false);
    rig.ask(23, 4, &offset_for_leader_epoch(&[("orders", &[0])], BASE + 5, BASE + 5));
    assert_eq!(each(23, &rig.reply(), "EndOffset")[0].2, i64::MAX);
    rig.ask(23, 4, &offset_for_leader_epoch(&[("orders", &[0])], BASE + 5, 3));
    assert_eq!(places(&rig.sent_one()).len(), 1);
}

#[test]
fn fetches_have_no_session_and_tell_how_far_everything_is_read() {
    let mut rig = rig();
    rig.ask(FETCH, 12, &fetch(&[("orders", &[0, 2])]).with("SessionEpoch", 0));
    let sent = rig.sent_one();
    rig.drain(false);
    let mut ends = LogOffsets::default();
    (0..3).for_each(|partition| ends.set(&"orders".into(), partition, 7));
    assert_eq!(rig.readers.behind(&ends), 1, "a poll is under way");
    rig.answer(&sent, &good(&sent).with("SessionId", 77));
    rig.reply();
    rig.ask(FETCH, 12, &fetch(&[]).with("SessionId", 77).with("SessionEpoch", 1));
    assert_eq!((rig.reply().i16("ErrorCode"), rig.sent().len()), (70, 0));
    assert_eq!(rig.readers.behind(&ends), 1);

    // Offset 7 of both.
    rig.ask(FETCH, 12, &fetch(&[("orders", &[0, 2])]).with("SessionId", 77).with("SessionEpoch", 0));
    let sent = rig.sent_one();
    assert_eq!((sent.body.i32("SessionId"), sent.body.i32("SessionEpoch")), (77, -1), "the old session ends");
    assert_eq!(rig.readers.behind(&ends), 0);
    ends.set(&"orders".into(), 2, 8);
    assert_eq!(rig.readers.behind(&ends), 1);
    rig.follow();
    assert_eq!(rig.readers.behind(&ends), 0, "nobody reads there any more");
}

#[test]
fn members_that_are_asked_to_leave_commit_and_join_where_produces_are() {
    for version in [1, 3, 4] {
        let mut rig = rig();
        rig.drain(false);
        rig.ask(HEARTBEAT, version, &member());
        let sent = rig.sent_one();
        rig.answer(&sent, &Struct::new());
        assert_eq!((rig.reply().i16("ErrorCode"), rig.groups.members()), (0, 1));

        rig.drain(true);
        rig.ask(HEARTBEAT, version, &member());
        assert_eq!((rig.reply().i16("ErrorCode"), rig.sent().len()), (27, 0));
        rig.ask(OFFSET_COMMIT, 8, &commit(9));
        let sent = rig.sent_one();
        assert_eq!((served_by(&rig, &sent), rig.groups.members()), ("primary", 1));
        let partition = Struct::new().with("PartitionIndex", 0);
        let topic = Struct::new().with("Name", "orders").with("Partitions", vec![partition]);
        rig.answer(&sent, &Struct::new().with("Topics", vec![topic]));
        rig.reply();
        let mut ends = LogOffsets::default();
        ends.set(&"orders".into(), 0, 10);
        assert_eq!(rig.groups.uncommitted("primary", 1, &ends), 1);

        rig.ask(JOIN_GROUP, 5, &member());
        assert_eq!((rig.sent().len(), rig.replies().len(), rig.groups.members()), (0, 0, 0));
        rig.fence_consumers();
        assert!(rig.replies().is_empty());
        rig.follow();
        assert_eq!(rig.reply().i16("ErrorCode"), 25, "it joins anew");
        rig.ask(JOIN_GROUP, 5, &member().with("MemberId", ""));
        let sent = rig.sent().pop().expect("a join");
        assert_eq!((sent.key, served_by(&rig, &sent)), (JOIN_GROUP, "secondary"));
    }
}

#[test]
fn consumers_follow_as_at_any_switch_and_produces_notice_nothing() {
    let mut rig = rig();
    rig.drain(false);
    rig.ask(0, 10, &produce(&[("orders", &[0])], -1, Some((5, 0, 0))));
    let batch = rig.sent_one();
    rig.ask(FETCH, 12, &fetch(&[("orders", &[0])]));
    assert_eq!(rig.sent().len(), 1);
    rig.fence_consumers();
    assert_eq!((rig.dropped.clone(), rig.replies().len()), (vec![1], 0));
    assert!(!rig.session.accepts());
    rig.follow();
    assert!(rig.session.accepts() && rig.replies().is_empty());
    rig.answer(&batch, &good(&batch));
    let replies = rig.replies();
    assert_eq!(errors(0, &replies[0].body), [code("orders", 0, 0)]);
    assert_eq!(errors(FETCH, &replies[1].body), [code("orders", 0, NOT_LEADER)]);
    let told =
        replies[1].body.structs("Responses").flat_map(|t| t.structs("Partitions")).next().expect("one");
    let leader = told.get("CurrentLeader").as_struct().expect("a leader");
    assert_eq!(leader.i32("LeaderEpoch"), 2 * BASE + 5, "above all that was shown");
}

#[test]
fn offsets_of_a_transaction_are_refused_while_its_group_is_elsewhere() {
    for (version, error) in [(0, 25), (3, 25), (4, 120), (5, 120)] {
        let mut rig = rig();
        rig.drain(false);
        let fresh = rig.view.active.as_ref().expect("active").producer_ids.given(5).expect("an id");
        let body = commit(7).with("TransactionalId", "tx").with("ProducerId", fresh).with("ProducerEpoch", 0);
        rig.ask(TXN_OFFSET_COMMIT, version, &body);
        assert!(rig.sent().is_empty(), "version {version}");
        let told = rig.reply();
        let partition = told.structs("Topics").flat_map(|t| t.structs("Partitions")).next().expect("one");
        assert_eq!(partition.i16("ErrorCode"), error, "version {version}");
        rig.follow();
        rig.ask(TXN_OFFSET_COMMIT, version, &body);
        let sent = rig.sent_one();
        assert_eq!(served_by(&rig, &sent), "secondary");
    }
}

#[test]
fn produces_that_move_again_take_consumers_with_them() {
    let mut rig = rig();
    rig.drain(false);
    rig.ask(FETCH, 12, &fetch(&[("orders", &[0])]));
    assert_eq!(rig.sent().len(), 1);
    rig.interrupt();
    assert_eq!((rig.dropped.clone(), rig.replies().len()), (vec![1], 0));
    rig.switch_back();
    assert_eq!(errors(FETCH, &rig.reply()), [code("orders", 0, NOT_LEADER)]);
    rig.ask(FETCH, 12, &fetch(&[("orders", &[0])]));
    let sent = rig.sent_one();
    assert_eq!(served_by(&rig, &sent), "primary");
}

//! Members of groups over a switch: each library joins again at once, and says nothing of it to its application.

use crate::harness::{Rig, Sent};
use pointsman_core::topology::CoordinatorKind::Group;
use pointsman_wire::value::{Struct, Value};

const OFFSET_COMMIT: (i16, i16) = (8, 8);
const JOIN_GROUP: (i16, i16) = (11, 7);
const HEARTBEAT: (i16, i16) = (12, 4);
const SYNC_GROUP: (i16, i16) = (14, 5);
const API_VERSIONS: (i16, i16) = (18, 3);
const NOT_COORDINATOR: i16 = 16;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;

fn rig() -> Rig {
    let rig = Rig::new();
    rig.primary.topology.set_coordinator(Group, "g", Some(2));
    rig.secondary.topology.set_coordinator(Group, "g", Some(1));
    rig
}

fn franz_go() -> Rig {
    of_library("kgo")
}

fn of_library(name: &str) -> Rig {
    let mut rig = rig();
    let software = Struct::new().with("ClientSoftwareName", name).with("ClientSoftwareVersion", "1.22.2");
    rig.ask(API_VERSIONS.0, API_VERSIONS.1, &software);
    rig.reply();
    rig
}

fn member(id: &str) -> Struct {
    Struct::new().with("GroupId", "g").with("MemberId", id).with("GroupInstanceId", "instance")
}

fn commit(id: &str) -> Struct {
    let partition = Struct::new().with("PartitionIndex", 0).with("CommittedOffset", 7);
    let topic = Struct::new().with("Name", "orders").with("Partitions", vec![partition]);
    member(id).with("Topics", vec![topic])
}

/// A subscription to `orders` (`ConsumerProtocolSubscription`, version 1), and whether it claims partition 0 of it.
fn subscription(claims: bool) -> Vec<u8> {
    let topic = [&[0, 6][..], b"orders"].concat();
    let owned =
        if claims { [&[0, 0, 0, 1][..], &topic, &[0, 0, 0, 1, 0, 0, 0, 0]].concat() } else { vec![0; 4] };
    [&[0, 1, 0, 0, 0, 1][..], &topic, &[0xff; 4], &owned].concat()
}

fn join(id: &str, claims: bool) -> Struct {
    let metadata = Value::Bytes(subscription(claims).into());
    let protocol = Struct::new().with("Name", "cooperative-sticky").with("Metadata", metadata);
    let group = Struct::new().with("GroupId", "g").with("MemberId", id).with("ProtocolType", "consumer");
    group.with("Protocols", vec![protocol])
}

fn subscribed(sent: &Sent) -> Vec<u8> {
    let protocol = sent.body.structs("Protocols").next().expect("one protocol");
    protocol.bytes("Metadata").expect("a subscription").to_vec()
}

/// Asks, and lets the broker answer.
fn exchange(rig: &mut Rig, (key, version): (i16, i16), request: &Struct, answer: &Struct) -> Sent {
    rig.ask(key, version, request);
    let mut sent = rig.sent();
    let mine = sent.pop().filter(|s| s.key == key).expect("it goes to the cluster");
    // Its former self leaves first.
    sent.iter().for_each(|leave| rig.answer(leave, &Struct::new()));
    rig.answer(&mine, answer);
    assert_eq!(rig.reply().i16("ErrorCode"), answer.i16("ErrorCode"));
    mine
}

fn given(id: &str, code: i16) -> Struct {
    Struct::new().with("ErrorCode", code).with("MemberId", id)
}

/// The member `id` joins, in the way of all clients.
fn joined(rig: &mut Rig, id: &str) {
    exchange(rig, JOIN_GROUP, &join("", false), &given(id, MEMBER_ID_REQUIRED));
    exchange(rig, JOIN_GROUP, &join(id, false), &given(id, 0));
    exchange(rig, SYNC_GROUP, &member(id), &Struct::new());
}

/// What is answered here, without asking a cluster.
fn told(rig: &mut Rig, (key, version): (i16, i16), request: &Struct) -> i16 {
    rig.ask(key, version, request);
    assert!(rig.sent().is_empty(), "api key {key}: the cluster is not asked");
    let reply = rig.reply();
    let partition = reply.structs("Topics").flat_map(|t| t.structs("Partitions")).next();
    partition.map_or(reply.i16("ErrorCode"), |p| p.i16("ErrorCode"))
}

/// A cluster would tell a static member that it is fenced (82), which ends it, if its former self is still listed there.
#[test]
fn a_member_of_another_cluster_is_told_so_without_asking_the_cluster() {
    let mut rig = rig();
    joined(&mut rig, "old");
    rig.switch();
    for round in ["on the other cluster", "back on the first one"] {
        for (api, request) in [
            (HEARTBEAT, member("old")),
            (SYNC_GROUP, member("old")),
            (OFFSET_COMMIT, commit("old")),
            (JOIN_GROUP, join("old", false)),
        ] {
            assert_eq!(told(&mut rig, api, &request), UNKNOWN_MEMBER_ID, "api key {} {round}", api.0);
        }
        rig.switch_back();
    }
    joined(&mut rig, "new");
    for (api, request) in [(HEARTBEAT, member("new")), (HEARTBEAT, member("never heard of"))] {
        exchange(&mut rig, api, &request, &Struct::new());
    }
}

#[test]
fn franz_go_is_asked_to_join_again_and_is_not_told_that_it_was_lost() {
    let mut rig = franz_go();
    joined(&mut rig, "old");
    rig.ask(HEARTBEAT.0, HEARTBEAT.1, &member("old"));
    rig.ask(SYNC_GROUP.0, SYNC_GROUP.1, &member("old"));
    rig.sent();
    rig.switch();
    let codes: Vec<_> = rig.replies().iter().map(|r| r.body.i16("ErrorCode")).collect();
    assert_eq!(codes, [REBALANCE_IN_PROGRESS; 2]);
    assert_eq!(told(&mut rig, HEARTBEAT, &member("old")), REBALANCE_IN_PROGRESS);
    assert_eq!(told(&mut rig, OFFSET_COMMIT, &commit("old")), REBALANCE_IN_PROGRESS);
    assert_eq!(told(&mut rig, JOIN_GROUP, &join("old", false)), UNKNOWN_MEMBER_ID);
    joined(&mut rig, "new");
    let lost = Struct::new().with("ErrorCode", UNKNOWN_MEMBER_ID);
    exchange(&mut rig, HEARTBEAT, &member("new"), &lost);
}

#[test]
fn a_new_member_that_claims_partitions_of_another_cluster_gives_them_up_first() {
    let mut rig = franz_go();
    joined(&mut rig, "old");
    rig.switch();
    assert_eq!(told(&mut rig, JOIN_GROUP, &join("old", true)), UNKNOWN_MEMBER_ID);
    let nothing = [&[0, 1, 0, 0, 0, 0][..], &[0xff; 4], &[0; 4]].concat();

    let first = exchange(&mut rig, JOIN_GROUP, &join("", true), &given("new", MEMBER_ID_REQUIRED));
    assert_eq!(subscribed(&first), nothing);
    for _ in 0..2 {
        // Another member may come before this one has its assignment.
        let sent = exchange(&mut rig, JOIN_GROUP, &join("new", true), &given("new", 0));
        assert_eq!(subscribed(&sent), nothing);
        assert_eq!(sent.body.str("MemberId"), "new");
        let rebalance = Struct::new().with("ErrorCode", REBALANCE_IN_PROGRESS);
        exchange(&mut rig, SYNC_GROUP, &member("new"), &rebalance);
    }
    exchange(&mut rig, JOIN_GROUP, &join("new", true), &given("new", 0));
    exchange(&mut rig, SYNC_GROUP, &member("new"), &Struct::new());
    assert_eq!(
        told(&mut rig, OFFSET_COMMIT, &commit("new")),
        REBALANCE_IN_PROGRESS,
        "of what it read elsewhere"
    );

    let again = exchange(&mut rig, JOIN_GROUP, &join("new", false), &given("new", 0));
    assert_eq!(subscribed(&again), subscription(false));
    exchange(&mut rig, SYNC_GROUP, &member("new"), &Struct::new());
    exchange(&mut rig, OFFSET_COMMIT, &commit("new"), &Struct::new());
    let later = exchange(&mut rig, JOIN_GROUP, &join("new", true), &given("new", 0));
    assert_eq!(subscribed(&later), subscription(true), "now they are of this cluster");
}

/// It would keep its positions, which are of the other log, and commit them.
#[test]
fn kafka_python_gives_up_its_partitions_first_if_it_learns_in_a_join_that_it_was_lost() {
    let nothing = [&[0, 1, 0, 0, 0, 0][..], &[0xff; 4], &[0; 4]].concat();
    for told_in in [JOIN_GROUP, SYNC_GROUP] {
        let mut rig = of_library("kafka-python");
        joined(&mut rig, "old");
        let request = if told_in == JOIN_GROUP { join("old", false) } else { member("old") };
        rig.ask(told_in.0, told_in.1, &request);
        rig.sent();
        rig.switch();
        assert_eq!(rig.reply().i16("ErrorCode"), UNKNOWN_MEMBER_ID);

        let first = exchange(&mut rig, JOIN_GROUP, &join("", false), &given("new", MEMBER_ID_REQUIRED));
        assert_eq!(subscribed(&first), nothing);
        let sent = exchange(&mut rig, JOIN_GROUP, &join("new", false), &given("new", 0));
        assert_eq!(subscribed(&sent), nothing);
        exchange(&mut rig, SYNC_GROUP, &member("new"), &Struct::new());
        assert_eq!(told(&mut rig, OFFSET_COMMIT, &commit("new")), REBALANCE_IN_PROGRESS);
        assert_eq!(told(&mut rig, HEARTBEAT, &member("new")), REBALANCE_IN_PROGRESS, "it joins again");

        let again = exchange(&mut rig, JOIN_GROUP, &join("new", false), &given("new", 0));
        assert_eq!(subscribed(&again), subscription(false));
        exchange(&mut rig, SYNC_GROUP, &member("new"), &Struct::new());
        exchange(&mut rig, HEARTBEAT, &member("new"), &Struct::new());
        exchange(&mut rig, OFFSET_COMMIT, &commit("new"), &Struct::new());
        let later = exchange(&mut rig, JOIN_GROUP, &join("new", false), &given("new", 0));
        assert_eq!(subscribed(&later), subscription(false), "it has nothing of another cluster any more");
    }
}

#[test]
fn a_member_that_has_given_up_everything_need_not_do_it_again() {
    let mut rig = of_library("kafka-python");
    joined(&mut rig, "old");
    rig.switch();
    assert_eq!(told(&mut rig, JOIN_GROUP, &join("old", false)), UNKNOWN_MEMBER_ID);
    joined(&mut rig, "new");
    assert_eq!(told(&mut rig, HEARTBEAT, &member("new")), REBALANCE_IN_PROGRESS);
    rig.ask(JOIN_GROUP.0, JOIN_GROUP.1, &join("new", false));
    rig.sent();
    rig.switch_back();
    assert_eq!(rig.reply().i16("ErrorCode"), UNKNOWN_MEMBER_ID);
    let again = exchange(&mut rig, JOIN_GROUP, &join("", false), &given("newest", 0));
    assert_eq!(subscribed(&again), subscription(false));
}

#[test]
fn who_gives_up_its_partitions_by_itself_keeps_its_topics() {
    let mut rig = of_library("kafka-python");
    joined(&mut rig, "old");
    rig.switch();
    assert_eq!(told(&mut rig, JOIN_GROUP, &join("old", false)), UNKNOWN_MEMBER_ID, "and now by a heartbeat");
    assert_eq!(told(&mut rig, HEARTBEAT, &member("old")), UNKNOWN_MEMBER_ID);
    let sent = exchange(&mut rig, JOIN_GROUP, &join("", false), &given("new", 0));
    assert_eq!(subscribed(&sent), subscription(false));
    let mut rig = of_library("another");
    joined(&mut rig, "old");
    rig.switch();
    assert_eq!(told(&mut rig, JOIN_GROUP, &join("old", false)), UNKNOWN_MEMBER_ID);
    let sent = exchange(&mut rig, JOIN_GROUP, &join("", false), &given("new", 0));
    assert_eq!(subscribed(&sent), subscription(false));
}

#[test]
fn claims_are_left_alone_before_the_first_switch_and_with_identical_offsets() {
    let mut rig = franz_go();
    let sent = exchange(&mut rig, JOIN_GROUP, &join("", true), &given("m", 0));
    assert_eq!(subscribed(&sent), subscription(true));
    let mut rig = franz_go();
    rig.replication = pointsman_core::config::Replication::IdenticalOffsets;
    rig.switch();
    let sent = exchange(&mut rig, JOIN_GROUP, &join("", true), &given("m", 0));
    assert_eq!(subscribed(&sent), subscription(true));
}

/// Libraries join again without a pause when they are told that they are unknown.
#[test]
fn while_no_cluster_serves_members_look_for_a_coordinator_instead_of_joining() {
    let mut rig = rig();
    rig.ask(JOIN_GROUP.0, JOIN_GROUP.1, &join("", false));
    rig.ask(HEARTBEAT.0, HEARTBEAT.1, &member("m"));
    rig.sent();
    rig.no_cluster();
    let codes: Vec<_> = rig.replies().iter().map(|r| r.body.i16("ErrorCode")).collect();
    assert_eq!(codes, [NOT_COORDINATOR; 2]);
    for (api, request) in [(JOIN_GROUP, join("", false)), (HEARTBEAT, member("m")), (SYNC_GROUP, member("m"))]
    {
        assert_eq!(told(&mut rig, api, &request), NOT_COORDINATOR, "api key {}", api.0);
    }
}

/// kafkajs joins once for each slot whose Fetch was refused, all at once, and knows the last of its ids only.
#[test]
fn a_connection_that_joins_several_times_at_once_is_one_member() {
    let mut rig = rig();
    joined(&mut rig, "old");
    rig.switch();
    rig.ask(JOIN_GROUP.0, JOIN_GROUP.1, &join("", false));
    let first = rig.sent_one();
    rig.ask(JOIN_GROUP.0, JOIN_GROUP.1, &join("", false));
    assert!(rig.sent().is_empty(), "it waits for the first one's answer");
    rig.answer(&first, &given("new", MEMBER_ID_REQUIRED));
    let told: Vec<_> =
        rig.replies().iter().map(|r| (r.body.i16("ErrorCode"), r.body.str("MemberId").to_owned())).collect();
    assert_eq!(told, vec![(MEMBER_ID_REQUIRED, "new".to_owned()); 2]);

    exchange(&mut rig, JOIN_GROUP, &join("new", false), &given("new", 0));
    exchange(&mut rig, SYNC_GROUP, &member("new"), &Struct::new());
    assert_eq!(told_id(&mut rig), "new", "it forgot that it has joined");
}

/// What a JoinGroup without an id is told here, without asking the cluster.
fn told_id(rig: &mut Rig) -> String {
    rig.ask(JOIN_GROUP.0, JOIN_GROUP.1, &join("", false));
    assert!(rig.sent().is_empty(), "the cluster is not asked");
    let reply = rig.reply();
    assert_eq!(reply.i16("ErrorCode"), MEMBER_ID_REQUIRED);
    reply.str("MemberId").to_owned()
}

#[test]
fn a_membership_that_is_over_is_not_given_again() {
    const LEAVE_GROUP: (i16, i16) = (13, 3);
    let lost = Struct::new().with("ErrorCode", UNKNOWN_MEMBER_ID);
    let gone = Struct::new().with("MemberId", "m");
    let left = Struct::new().with("Members", vec![gone.clone()]);
    let leave = Struct::new().with("GroupId", "g").with("Members", vec![gone]);
    for (api, request, answer) in [
        (HEARTBEAT, member("m"), &lost),
        (SYNC_GROUP, member("m"), &lost),
        (JOIN_GROUP, join("m", false), &lost),
        (LEAVE_GROUP, leave, &left),
    ] {
        let mut rig = rig();
        rig.switch();
        joined(&mut rig, "m");
        exchange(&mut rig, api, &request, answer);
        exchange(&mut rig, JOIN_GROUP, &join("", false), &given("next", MEMBER_ID_REQUIRED));
        assert_eq!(told_id(&mut rig), "next", "after api key {}", api.0);
        rig.switch_back();
        joined(&mut rig, "there");
    }
}

#[test]
fn static_members_other_groups_and_chains_that_never_switched_join_as_they_like() {
    let id = |rig: &mut Rig, request: &Struct| {
        exchange(rig, JOIN_GROUP, request, &given("another", MEMBER_ID_REQUIRED));
    };
    let mut rig = rig();
    joined(&mut rig, "m");
    id(&mut rig, &join("", false));
    rig.switch();
    joined(&mut rig, "new");
    id(&mut rig, &join("", false).with("GroupInstanceId", "instance"));
    rig.secondary.topology.set_coordinator(Group, "h", Some(1));
    id(&mut rig, &join("", false).with("GroupId", "h"));
}

/// A first JoinGroup that is not answered holds up nobody for long.
#[test]
fn a_join_waits_for_an_earlier_one_as_long_as_for_any_look_up() {
    let mut rig = rig();
    rig.switch();
    rig.ask(JOIN_GROUP.0, JOIN_GROUP.1, &join("", false));
    rig.sent_one();
    rig.ask(JOIN_GROUP.0, JOIN_GROUP.1, &join("", false));
    rig.wait(pointsman_core::limits::LOOKUP_WAIT);
    assert_eq!(rig.sent_one().key, JOIN_GROUP.0);
}

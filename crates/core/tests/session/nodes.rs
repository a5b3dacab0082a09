//! Slots and brokers: more of the one, more of the other, brokers that come and go, and requests that name them.

use crate::{
    bodies::{metadata, newest},
    harness::{Rig, address, cluster, observation, primary_topics, topic},
};
use pointsman_core::{Now, metrics::CloseReason, snapshot::Cluster, topology::NodeId};
use pointsman_wire::value::{Struct, Value};
use std::sync::Arc;

const INVALID_REQUEST: i16 = 42;

/// A cluster with these brokers.
fn with_brokers(nodes: &[NodeId]) -> Arc<Cluster> {
    let cluster = cluster("primary", None);
    merge(&cluster, nodes);
    cluster
}

fn merge(cluster: &Cluster, nodes: &[NodeId]) {
    let mut seen = observation("primary", vec![topic("orders", 0xa1, &[nodes[0]], 3)]);
    seen.brokers = nodes.iter().map(|n| (*n, address("primary", *n), None)).collect();
    cluster.topology.merge(&seen, Now::ZERO);
}

fn numbers(array: &[Value]) -> Vec<i64> {
    array.iter().filter_map(Value::as_int).collect()
}

/// What the only assignment of a CreateTopics request becomes.
fn assigned(rig: &mut Rig, slots: &[i32]) -> Vec<i64> {
    let ids: Vec<Value> = slots.iter().map(|slot| Value::from(*slot)).collect();
    let assignment = Struct::new().with("PartitionIndex", 0).with("BrokerIds", ids);
    let topic = Struct::new().with("Name", "new").with("NumPartitions", -1).with("ReplicationFactor", -1);
    rig.ask(19, 7, &Struct::new().with("Topics", vec![topic.with("Assignments", vec![assignment])]));
    let sent = rig.sent_one();
    let topic = sent.body.structs("Topics").next().expect("a topic");
    numbers(topic.structs("Assignments").next().expect("an assignment").array("BrokerIds"))
}

/// The slots that a Metadata answer names for a partition whose replicas are `nodes`.
fn shown(rig: &mut Rig, nodes: &[NodeId]) -> Vec<i64> {
    rig.ask(3, 9, &metadata());
    let sent = rig.sent_one();
    let replicas: Vec<Value> = nodes.iter().map(|node| Value::from(*node)).collect();
    let partition = Struct::new().with("LeaderId", nodes[0]).with("ReplicaNodes", replicas);
    let topic = Struct::new().with("Name", "orders").with("Partitions", vec![partition]);
    rig.answer(&sent, &Struct::new().with("Topics", vec![topic]));
    let reply = rig.reply();
    let partition = reply.structs("Topics").flat_map(|t| t.structs("Partitions")).next().expect("one");
    numbers(partition.array("ReplicaNodes"))
}

#[test]
fn brokers_that_outnumber_the_slots_share_them() {
    let nodes = [10, 20, 30, 40, 50, 60, 70];
    let mut rig = Rig::with(with_brokers(&nodes), Some(1));
    assert_eq!(shown(&mut rig, &[70, 20, 50]), [0, 1, 1]);
    assert_eq!(assigned(&mut rig, &[2, 0, 1]), [30, 10, 20], "a slot names the first of its brokers");
    // Each broker is asked through one slot.
    rig.ask(16, 4, &Struct::new());
    assert_eq!(rig.sent().iter().map(|s| s.node).collect::<Vec<_>>(), [20, 50]);
}

#[test]
fn of_slots_that_outnumber_the_brokers_only_one_lists_what_a_broker_has() {
    for (slot, asked) in [(0, vec![5]), (1, vec![9]), (2, vec![])] {
        for key in [16, 66] {
            let mut rig = Rig::with(with_brokers(&[5, 9]), Some(slot));
            rig.ask(key, newest(key), &Struct::new());
            assert_eq!(rig.sent_nodes(), asked, "slot {slot}, api key {key}");
            if asked.is_empty() {
                assert_eq!(rig.reply().i16("ErrorCode"), 0);
            }
        }
    }
}

#[test]
fn a_broker_that_is_gone_keeps_its_slot_until_it_is_forgotten() {
    let primary = with_brokers(&[1, 2, 3]);
    let mut rig = Rig::with(primary.clone(), Some(0));
    assert_eq!(shown(&mut rig, &[3, 1]), [2, 0]);
    // when
    merge(&primary, &[1, 3]);
    rig.tick();
    // then
    assert_eq!(shown(&mut rig, &[3, 1]), [2, 0]);
    // and when it is back with another one
    merge(&primary, &[1, 2, 3, 4]);
    rig.tick();
    assert_eq!(shown(&mut rig, &[3, 4]), [2, 0]);
}

/// The broker that a request to describe the configurations of a slot's broker goes to, and the one that it names.
fn described(rig: &mut Rig, slot: i32) -> (NodeId, String) {
    let resource = Struct::new().with("ResourceType", 4).with("ResourceName", slot.to_string());
    rig.ask(32, 4, &Struct::new().with("Resources", vec![resource]));
    let sent = rig.sent_one();
    let named = sent.body.structs("Resources").next().expect("one").str("ResourceName").to_owned();
    (sent.node, named)
}

#[test]
fn a_new_broker_with_a_lower_id_moves_nobody_to_another_slot() {
    let primary = with_brokers(&[5, 6, 7]);
    let mut rig = Rig::with(primary.clone(), Some(0));
    assert_eq!(shown(&mut rig, &[5, 6, 7]), [0, 1, 2]);
    // when
    merge(&primary, &[1, 5, 6, 7]);
    rig.tick();
    // then
    assert_eq!(shown(&mut rig, &[5, 6, 7, 1]), [0, 1, 2, 0]);
    assert_eq!(assigned(&mut rig, &[0, 1, 2]), [5, 6, 7]);
    assert_eq!(described(&mut rig, 1), (6, "6".into()));
}

#[test]
fn the_slot_of_a_forgotten_broker_is_its_own_until_a_new_one_takes_it() {
    let primary = with_brokers(&[5, 6, 7]);
    let mut rig = Rig::with(primary.clone(), Some(1));
    merge(&primary, &[5, 7]);
    primary.topology.forget_brokers(Now::MAX);
    rig.tick();
    assert_eq!(shown(&mut rig, &[5, 7]), [0, 2]);
    rig.ask(16, 4, &Struct::new());
    assert!(rig.sent().is_empty() && rig.reply().array("Groups").is_empty(), "nobody is behind slot 1");
    // when
    merge(&primary, &[5, 7, 9]);
    rig.tick();
    // then
    assert_eq!(shown(&mut rig, &[5, 7, 9]), [0, 2, 1]);
    assert_eq!(described(&mut rig, 1), (9, "9".into()));
}

#[test]
fn a_number_that_is_no_slot_names_nobody_and_not_the_broker_that_has_it() {
    let mut rig = Rig::new();
    assert_eq!(assigned(&mut rig, &[0, 3]), [1, -1]);
    rig.ask(64, 0, &Struct::new().with("BrokerId", 3));
    assert_eq!(rig.sent_one().body.i32("BrokerId"), -1);
    rig.ask(64, 0, &Struct::new().with("BrokerId", 2));
    assert_eq!(rig.sent_one().body.i32("BrokerId"), 3);
    let resource = Struct::new().with("ResourceType", 4).with("ResourceName", "3");
    rig.ask(32, 4, &Struct::new().with("Resources", vec![resource]));
    let sent = rig.sent_one();
    assert_eq!(sent.body.structs("Resources").next().expect("one").str("ResourceName"), "-1");
}

#[test]
fn before_any_broker_is_known_a_slot_names_nobody() {
    let mut rig = Rig::with(cluster("primary", None), Some(0));
    assert_eq!(assigned(&mut rig, &[0, 1]), [-1, -1]);
}

#[test]
fn log_directories_are_those_of_the_slots_broker() {
    for key in [34, 35] {
        let mut rig = Rig::with(with_brokers(&[5, 9]), Some(1));
        rig.ask(key, 2, &Struct::new());
        assert_eq!(rig.sent_nodes(), [9], "api key {key}");
    }
}

#[test]
fn where_all_slots_share_a_port_no_other_brokers_log_directories_are_shown_or_changed() {
    let move_to = Struct::new()
        .with("Path", "/d2")
        .with("Topics", vec![Struct::new().with("Name", "orders").with("Partitions", vec![Value::from(0)])]);
    let mut rig = Rig::with(with_brokers(&[5, 9]), None);
    rig.ask(34, 2, &Struct::new().with("Dirs", vec![move_to]));
    let reply = rig.reply();
    let result = reply.structs("Results").next().expect("a topic");
    let partition = result.structs("Partitions").next().expect("a partition");
    assert_eq!((result.str("TopicName"), partition.i16("ErrorCode")), ("orders", INVALID_REQUEST));
    rig.ask(35, 4, &Struct::new().with("Topics", Value::Null));
    let reply = rig.reply();
    assert_eq!((reply.i16("ErrorCode"), reply.array("Results").len()), (INVALID_REQUEST, 0));
    assert!(rig.sent().is_empty() && rig.close.is_none());
    // and with one broker there is no doubt
    let mut rig = Rig::with(with_brokers(&[5]), None);
    rig.ask(35, 4, &Struct::new().with("Topics", Value::Null));
    assert_eq!(rig.sent_nodes(), [5]);
}

#[test]
fn voters_that_are_no_brokers_get_numbers_of_their_own_and_no_address() {
    let mut rig = Rig::with(with_brokers(&[1, 2, 3, 4]), Some(0));
    rig.ask(55, 2, &Struct::new());
    let sent = rig.sent_one();
    let replicas =
        |ids: &[i32]| ids.iter().map(|id| Struct::new().with("ReplicaId", *id)).collect::<Vec<_>>();
    let node = |id: &i32| {
        let listener =
            Struct::new().with("Name", "CONTROLLER").with("Host", "real.internal").with("Port", 9093);
        Struct::new().with("NodeId", *id).with("Listeners", vec![listener])
    };
    let partition = Struct::new()
        .with("LeaderId", 3001)
        .with("CurrentVoters", replicas(&[3000, 3001, 3002]))
        .with("Observers", replicas(&[1, 2, 3, 4]));
    let topic = Struct::new().with("TopicName", "__cluster_metadata").with("Partitions", vec![partition]);
    let nodes: Vec<Struct> = [3000, 3001, 3002].iter().map(node).collect();
    // when
    rig.answer(&sent, &Struct::new().with("Topics", vec![topic]).with("Nodes", nodes));
    // then
    let reply = rig.reply();
    let partition = reply.structs("Topics").flat_map(|t| t.structs("Partitions")).next().expect("one");
    let ids = |list| partition.structs(list).map(|r| r.i32("ReplicaId")).collect::<Vec<_>>();
    assert_eq!((partition.i32("LeaderId"), ids("CurrentVoters")), (5, vec![4, 5, 6]));
    assert_eq!(
        ids("Observers"),
        [0, 1, 2, 3],
        "the fourth broker shares a slot, and has a number of its own"
    );
    let nodes: Vec<_> =
        reply.structs("Nodes").map(|n| (n.i32("NodeId"), n.array("Listeners").len())).collect();
    assert_eq!(nodes, [(4, 0), (5, 0), (6, 0)]);
}

#[test]
fn clusters_whose_brokers_have_other_ids_look_alike() {
    let mut rig = Rig::new();
    assert_eq!(shown(&mut rig, &[3, 1, 2]), [2, 0, 1]);
    let mut seen = observation("secondary", Vec::new());
    seen.brokers = [101, 102, 205].map(|n| (n, address("secondary", n), None)).into();
    let secondary = cluster("secondary", None);
    secondary.topology.merge(&seen, Now::ZERO);
    rig.secondary = secondary;
    rig.switch();
    assert_eq!(shown(&mut rig, &[205, 101, 102]), [2, 0, 1]);
    assert_eq!(assigned(&mut rig, &[2, 1, 0]), [205, 102, 101]);
}

#[test]
fn coordinators_of_share_partitions_are_for_brokers_to_ask_for() {
    let mut rig = Rig::new();
    let keys = vec![Value::from("group:AAAAAAAAAAAAAAAAAAAAoQ:0")];
    rig.ask(10, 6, &Struct::new().with("KeyType", 2).with("CoordinatorKeys", keys));
    assert!(rig.sent().is_empty());
    let reply = rig.reply();
    let found: Vec<_> =
        reply.structs("Coordinators").map(|c| (c.i32("NodeId"), c.i16("ErrorCode"))).collect();
    assert_eq!(found, [(-1, 31)]);
}

#[test]
fn a_consumers_rack_does_not_make_the_leader_send_it_away() {
    let mut rig = Rig::new();
    rig.ask(1, 11, &crate::bodies::fetch(&[("orders", &[0])]).with("RackId", "zone-a"));
    assert_eq!(rig.sent_one().body.str("RackId"), "------");
}

#[test]
fn a_telemetry_subscription_is_asked_for_again_at_the_new_cluster() {
    let mut rig = Rig::new();
    rig.ask(71, 0, &Struct::new());
    let first = rig.sent_one();
    rig.ask(72, 0, &Struct::new().with("SubscriptionId", 7));
    rig.sent_one();
    // when
    rig.switch();
    // then
    let again = rig.sent_one();
    assert_eq!((again.key, &again.body), (71, &first.body));
    rig.answer(&again, &Struct::new().with("SubscriptionId", 9));
    let replies = rig.replies();
    let codes: Vec<_> = replies.iter().map(|r| r.body.i16("ErrorCode")).collect();
    assert_eq!(codes, [0, 117], "{:?}", rig.close);
}

#[test]
fn what_kip_1242_brings_is_answered_like_any_version_that_is_too_new() {
    // A client that knows ApiVersions 5 says which cluster and node it means to talk to.
    let mut rig = Rig::new();
    let body =
        [&[0, 18, 0, 5, 0, 0, 0, 9, 0, 1, b'c', 0][..], &[5, b'j', b'a', b'v', b'a', 2, b'1', 0]].concat();
    let size = u32::try_from(body.len()).expect("small").to_be_bytes();
    rig.feed(&[&size[..], &body].concat());
    let reply = rig.raw_replies().remove(0);
    let (_, body) = pointsman_wire::decode_response(18, 0, &reply.slice(4..)).expect("version 0");
    let own = body.structs("ApiKeys").find(|api| api.i16("ApiKey") == 18).expect("lists itself");
    assert_eq!((body.i16("ErrorCode"), own.i16("MaxVersion")), (35, 4));
    assert_ne!(rig.close.map(|c| c.reason), Some(CloseReason::BadRequest));
}

#[test]
fn a_topic_id_that_becomes_known_while_its_request_waits_goes_upstream_as_the_real_one() {
    // given a topic that clients know by id, and a cluster that has not shown it yet
    let mut rig = Rig::with(cluster("primary", Some(vec![topic("lines", 0xa2, &[2], 3)])), Some(0));
    let id = rig.virtual_id("orders");
    let partition = Struct::new().with("Partition", 0).with("CurrentLeaderEpoch", -1);
    let fetched = Struct::new().with("TopicId", id.into_bytes()).with("Partitions", vec![partition]);
    rig.ask(
        1,
        13,
        &Struct::new().with("ReplicaId", -1).with("SessionEpoch", -1).with("Topics", vec![fetched]),
    );
    assert!(rig.sent().is_empty());
    // when
    rig.primary.topology.merge(&observation("primary", primary_topics()), Now::ZERO);
    rig.tick();
    // then
    let sent = rig.sent_one();
    let asked = sent.body.structs("Topics").next().expect("a topic").uuid("TopicId");
    assert_eq!(u128::from_be_bytes(asked), 0xa1);
    let topic = Struct::new().with("TopicId", asked).with("Partitions", Vec::<Struct>::new());
    rig.answer(&sent, &Struct::new().with("Responses", vec![topic]));
    assert_eq!(rig.reply().structs("Responses").next().expect("a topic").uuid("TopicId"), id.into_bytes());
}

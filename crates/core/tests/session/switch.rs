//! A switch: everything under way to the old cluster ends with the answer that makes each client try again at once.

use crate::{
    bodies::{batch, each, errors, fetch, good, list_offsets, metadata, offset_for_leader_epoch, produce},
    harness::{BASE, MS, Rig, cluster, secondary_topics},
};
use pointsman_core::{
    limits,
    metrics::CloseReason,
    rules,
    session::{Output, stream::Intake},
    topology::{CoordinatorKind, Observation},
};
use pointsman_wire::{
    sample::sample,
    schema::Type,
    tables,
    value::{Struct, Value},
};
use std::time::Duration;

const BOTH: &[(&str, &[i32])] = &[("orders", &[0, 1, 2])];

/// A request of any api and version, about known topics and groups.
fn any_request(rig: &Rig, key: i16, version: i16) -> Struct {
    let id = rig.virtual_id("orders");
    let message = tables::request(key, version).expect("offered");
    sample(message, version, &mut |path, field| match field.name {
        _ if matches!(
            path,
            "Groups" | "GroupsNames" | "GroupIds" | "TransactionalIds" | "CoordinatorKeys"
        ) && matches!(field.ty, Type::Array(Type::String)) =>
        {
            Some(vec![Value::from("key")].into())
        }
        "GroupId" | "TransactionalId" | "V3AndBelowTransactionalId" => Some("key".into()),
        "ReplicaId" | "Acks" => Some((-1).into()),
        "SessionId" => Some(0.into()),
        "TopicId" => Some(Value::Uuid(id.into_bytes())),
        "Name" | "Topic" | "TopicName" if !path.contains("Configs") => Some("orders".into()),
        "CurrentLeaderEpoch" => Some((-1).into()),
        "Records" => Some(batch(Some((5, 0, 9))).into()),
        _ => None,
    })
}

fn with_coordinators() -> Rig {
    let rig = Rig::new();
    for kind in [CoordinatorKind::Group, CoordinatorKind::Transaction] {
        rig.primary.topology.set_coordinator(kind, "key", Some(2));
    }
    rig
}

/// Every error code in a body.
fn codes(body: &Struct) -> Vec<i16> {
    let mut found = Vec::new();
    for (name, value) in body.fields() {
        if name.ends_with("ErrorCode") {
            found.push(value.as_int().and_then(|v| i16::try_from(v).ok()).unwrap_or(0));
        }
        for item in value.as_array().iter().chain(std::iter::once(value)) {
            if let Value::Struct(inner) = item {
                found.extend(codes(inner));
            }
        }
    }
    found
}

#[test]
fn every_api_in_flight_gets_an_error_or_is_replayed_or_closes_the_connection() {
    let (mut refused, mut replayed, mut closed) = (0, 0, 0);
    for (key, (min, max)) in rules::ours().apis {
        for version in (min..=max).filter(|_| key != 18) {
            let mut rig = with_coordinators();
            let body = any_request(&rig, key, version);
            rig.ask(key, version, &body);
            let before = rig.sent();
            assert!(!before.is_empty(), "key {key} version {version} is under way");
            // when
            rig.switch();
            // then
            let (after, replies) = (rig.sent(), rig.replies());
            match (&replies[..], &after[..], &rig.close) {
                ([reply], [], None) => {
                    let codes = codes(&reply.body);
                    assert!(codes.iter().any(|c| *c != 0), "key {key} version {version}: {:#?}", reply.body);
                    refused += 1;
                }
                ([], [again, ..], None) => {
                    assert_eq!((again.key, again.version), (key, version));
                    replayed += 1;
                }
                ([], [], Some(close)) => {
                    assert_eq!(close.reason, CloseReason::Switched, "key {key} version {version}");
                    closed += 1;
                }
                other => panic!("key {key} version {version}: {other:#?}"),
            }
        }
    }
    assert!(refused > 100 && replayed > 20 && closed > 10, "{refused} {replayed} {closed}");
}

#[test]
fn the_answer_names_the_new_leader_with_a_newer_epoch() {
    for (key, version, response, partitions) in [
        (0, 10, "Responses", "PartitionResponses"),
        (0, 12, "Responses", "PartitionResponses"),
        (1, 12, "Responses", "Partitions"),
        (1, 16, "Responses", "Partitions"),
    ] {
        let mut rig = Rig::new();
        let mut body = if key == 0 { produce(BOTH, -1, None) } else { fetch(BOTH) };
        let id = rig.virtual_id("orders").into_bytes();
        if key == 1 && version > 12 {
            body.structs_mut("Topics").for_each(|t| t.set("TopicId", id));
        }
        rig.ask(key, version, &body);
        rig.sent();
        rig.switch();
        let reply = rig.reply();
        let found: Vec<_> = reply
            .structs(response)
            .flat_map(|t| t.structs(partitions))
            .map(|p| {
                let leader = p.nested("CurrentLeader").expect("a leader");
                (p.i16("ErrorCode"), leader.i32("LeaderId"), leader.i32("LeaderEpoch"))
            })
            .collect();
        assert_eq!(
            found,
            [(6, 1, BASE + 5), (6, 0, BASE + 5), (6, 1, BASE + 5)],
            "key {key} version {version}"
        );
        let endpoints: Vec<_> =
            reply.structs("NodeEndpoints").map(|e| (e.i32("NodeId"), e.i32("Port"))).collect();
        let expected: &[(i32, i32)] = if key == 1 && version < 16 { &[] } else { &[(0, 9092), (1, 9093)] };
        assert_eq!(endpoints, expected, "key {key} version {version}");
    }
}

#[test]
fn connections_to_every_broker_of_the_old_cluster_end() {
    let mut rig = Rig::new();
    rig.ask(2, 5, &list_offsets(&[("orders", &[0, 1]), ("lines", &[2])]));
    for request in rig.sent() {
        rig.answer(&request, &good(&request));
    }
    rig.switch();
    assert_eq!(rig.dropped, [1, 2, 3], "also idle ones");
    assert!(rig.close.is_none());
}

#[test]
fn requests_after_the_switch_go_to_the_new_cluster() {
    // Both topologies have the same revision: that must not hide that they are two.
    let mut rig = Rig::new();
    assert_eq!(rig.primary.topology.revision(), rig.secondary.topology.revision());
    rig.switch();
    rig.ask(0, 9, &produce(&[("orders", &[0])], -1, None));
    let sent = rig.sent_one();
    assert_eq!(sent.node, 2, "the leader there");
    assert_eq!(rig.session.address(sent.to), Some(crate::harness::address("secondary", 2)));
    rig.answer(&sent, &good(&sent));
    assert_eq!(errors(0, &rig.reply())[0].2, 0);
}

#[test]
fn answers_keep_their_order_over_a_switch() {
    let mut rig = Rig::new();
    let first = rig.ask(3, 9, &metadata());
    let second = rig.ask(0, 9, &produce(BOTH, -1, Some((1, 0, 0))));
    let third = rig.ask(2, 5, &list_offsets(BOTH));
    rig.sent();
    rig.switch();
    assert!(rig.replies().is_empty(), "the first is asked again elsewhere");
    let again = rig.sent_one();
    assert_eq!(again.key, 3);
    rig.answer(&again, &Struct::new().with("Topics", Vec::<Value>::new()));
    assert_eq!(rig.replies().iter().map(|r| r.correlation).collect::<Vec<_>>(), [first, second, third]);
}

#[test]
fn during_the_fence_nothing_is_answered_and_afterwards_everything_at_once() {
    // given a split fetch, a produce, and a request that waits for its topic
    let mut rig = Rig::new();
    rig.ask(1, 12, &fetch(BOTH));
    rig.ask(0, 9, &produce(BOTH, -1, None));
    rig.ask(2, 5, &list_offsets(&[("unknown", &[0])]));
    rig.sent();
    // when
    rig.fence();
    assert!(rig.session.is_switching() && !rig.session.accepts());
    assert_eq!(rig.session.deadline(), None, "no timer could do anything");
    rig.wait(Duration::from_secs(5));
    assert!(rig.replies().is_empty() && rig.sent().is_empty() && rig.close.is_none());
    rig.switch();
    // then
    let replies = rig.replies();
    assert_eq!(replies.len(), 3);
    assert!(replies.iter().all(|r| codes(&r.body).contains(&6)));
    assert!(rig.session.accepts() && rig.sent().is_empty());
}

#[test]
fn a_held_answer_does_not_make_the_fence_spin() {
    let mut rig = with_coordinators();
    rig.ask(1, 12, &fetch(&[("orders", &[0])]));
    let sent = rig.sent_one();
    let mut answer = good(&sent);
    answer.structs_mut("Responses").for_each(|t| t.set("Topic", "orders"));
    rig.ask(69, 0, &Struct::new().with("GroupIds", vec![Value::from("key")]));
    let described = rig.sent_one();
    let topic =
        Struct::new().with("TopicId", [7; 16]).with("TopicName", "").with("Partitions", vec![Value::from(0)]);
    let assignment = Struct::new().with("TopicPartitions", vec![topic]);
    let member = Struct::new().with("Assignment", assignment.clone()).with("TargetAssignment", assignment);
    let group = Struct::new().with("GroupId", "key").with("Members", vec![member]);
    rig.answer(&described, &Struct::new().with("Groups", vec![group]));
    rig.fence();
    assert_eq!(rig.session.deadline(), None);
}

#[test]
fn a_fence_that_no_cluster_follows_refuses_what_waited() {
    let mut rig = Rig::new();
    rig.ask(0, 9, &produce(BOTH, -1, None));
    rig.fence();
    rig.no_cluster();
    assert_eq!(errors(0, &rig.reply()).iter().map(|e| e.2).collect::<Vec<_>>(), [6, 6, 6]);
}

#[test]
fn a_fence_after_which_the_old_cluster_goes_on_answers_too() {
    let mut rig = Rig::new();
    rig.ask(0, 9, &produce(BOTH, -1, None));
    rig.sent();
    rig.fence();
    rig.switch_back();
    assert_eq!(errors(0, &rig.reply()).iter().map(|e| e.2).collect::<Vec<_>>(), [6, 6, 6]);
    rig.ask(0, 9, &produce(BOTH, -1, None));
    assert_eq!(rig.sent().len(), 2);
}

#[test]
fn without_a_cluster_refusals_are_quick_and_clear() {
    let mut rig = Rig::new();
    rig.no_cluster();
    assert!(rig.session.accepts() && !rig.session.has_cluster());
    rig.ask(0, 9, &produce(BOTH, -1, None));
    assert_eq!(errors(0, &rig.reply()).iter().map(|e| e.2).collect::<Vec<_>>(), [6, 6, 6]);
    rig.ask(12, 4, &Struct::new().with("GroupId", "g").with("MemberId", "m"));
    assert_ne!(rig.reply().i16("ErrorCode"), 0);
    rig.ask(18, 3, &Struct::new());
    assert_eq!(rig.reply().i16("ErrorCode"), 0);
    rig.ask(3, 9, &metadata());
    assert_eq!(rig.close.as_ref().map(|c| c.reason), Some(CloseReason::NoCluster));
}

#[test]
fn what_the_old_cluster_says_after_the_switch_changes_nothing() {
    // given a switch with an answer on its way, and a new request to the same node id
    let mut rig = Rig::new();
    rig.ask(2, 5, &list_offsets(&[("orders", &[0])]));
    let old = rig.sent_one();
    rig.switch();
    rig.reply();
    assert!(rig.dropped.contains(&old.node), "its bytes are not read any more");
    rig.ask(2, 5, &list_offsets(&[("orders", &[1])]));
    let new = rig.sent_one();
    assert_eq!(new.node, old.node);
    rig.answer(&new, &good(&new));
    assert_eq!(each(2, &rig.reply(), "Offset")[0].2, 1);
}

#[test]
fn a_response_cut_by_the_switch_closes_the_connection() {
    let mut rig = Rig::new();
    rig.ask(1, 12, &fetch(&[("orders", &[0])]));
    let sent = rig.sent_one();
    assert_eq!(rig.session.intake(rig.peer(1), 1 << 20), Intake::Stream);
    let mut head = [0; 64];
    head[..4].copy_from_slice(&(1_u32 << 20).to_be_bytes());
    head[4..8].copy_from_slice(&sent.correlation.to_be_bytes());
    let peer = rig.peer(1);
    rig.session.begin_stream(peer, &mut head).expect("begins");
    rig.switch();
    assert_eq!(rig.close.as_ref().map(|c| c.reason), Some(CloseReason::Switched));
}

#[test]
fn a_switch_without_a_known_topology_of_the_new_cluster_asks_its_bootstrap_servers() {
    let mut rig = Rig::new();
    rig.secondary = cluster("secondary", None);
    rig.ask(0, 10, &produce(&[("orders", &[0])], -1, None));
    rig.sent();
    rig.switch();
    let reply = rig.reply();
    let partition =
        reply.structs("Responses").flat_map(|t| t.structs("PartitionResponses")).next().expect("one");
    assert!(partition.nested("CurrentLeader").is_none_or(|l| l.i32("LeaderId") == -1));
    // when the client asks again, and the topology comes
    rig.ask(0, 10, &produce(&[("orders", &[0])], -1, None));
    assert!(rig.sent().is_empty());
    let observed: Observation = crate::harness::observation("secondary", secondary_topics());
    rig.secondary.topology.merge(&observed, rig.now);
    rig.wait(limits::LOOKUP_WAIT - MS);
    assert_eq!(rig.sent_one().node, 2);
}

#[test]
fn validation_of_a_position_of_an_older_generation_is_fenced_not_forwarded() {
    let mut rig = Rig::new();
    rig.ask(23, 4, &offset_for_leader_epoch(&[("orders", &[0])], 3, 3));
    rig.switch();
    assert_eq!(errors(23, &rig.reply())[0].2, 6);
}

#[test]
fn a_snapshot_that_changes_nothing_disturbs_nothing() {
    let mut rig = Rig::new();
    rig.switch();
    rig.ask(2, 5, &list_offsets(&[("orders", &[0])]));
    let sent = rig.sent_one();
    rig.dropped.clear();
    rig.switch();
    assert!(rig.dropped.is_empty());
    let mut out = Output::default();
    rig.session.tick(rig.now, &mut out);
    rig.answer(&sent, &good(&sent));
    assert_eq!(errors(2, &rig.reply())[0].2, 0);
}

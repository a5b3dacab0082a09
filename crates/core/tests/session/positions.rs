//! Positions over a switch: groups that were seen begin where the new cluster took over, and epochs of older generations end there.

use crate::{
    bodies::{each, errors, good, offset_for_leader_epoch},
    harness::{BASE, Reply, Rig},
};
use pointsman_core::{
    config::Positions,
    signal::{Moved, Signal},
    topology::CoordinatorKind,
};
use pointsman_wire::value::{Struct, Value};
use std::sync::Arc;

/// Both clusters know the coordinators of `g` and `h`, and the secondary's logs were polled.
pub(crate) fn rig() -> Rig {
    let rig = Rig::new();
    for cluster in [&rig.primary, &rig.secondary] {
        for group in ["g", "h"] {
            cluster.topology.set_coordinator(CoordinatorKind::Group, group, Some(2));
        }
    }
    poll(&rig, "secondary", &[(0, 40), (1, 50)]);
    rig
}

fn poll(rig: &Rig, cluster: &str, ends: &[(i32, i64)]) {
    let cell = if cluster == "primary" { &rig.primary.ends } else { &rig.secondary.ends };
    let topic = Arc::from("orders");
    cell.take_ends(ends.iter().map(|(partition, end)| (&topic, *partition, *end)));
}

pub(crate) fn commit(rig: &mut Rig, group: &str, partition: i32, offset: i64, error: i16) {
    let id = rig.virtual_id("orders").into_bytes();
    let entry = Struct::new().with("PartitionIndex", partition).with("CommittedOffset", offset);
    let topic = Struct::new().with("Name", "orders").with("TopicId", id).with("Partitions", vec![entry]);
    let version = if offset % 2 == 0 { 9 } else { 10 };
    rig.ask(8, version, &Struct::new().with("GroupId", group).with("Topics", vec![topic]));
    let sent = rig.sent_one();
    let topic = sent.body.structs("Topics").next().expect("one").clone();
    let result = Struct::new().with("PartitionIndex", partition).with("ErrorCode", error);
    let topic = topic.with("Partitions", vec![result]);
    rig.answer(&sent, &Struct::new().with("Topics", vec![topic]));
    rig.reply();
}

/// Asks for the offsets of `orders`; the broker has those of `committed`.
pub(crate) fn fetch_offsets(
    rig: &mut Rig,
    version: i16,
    group: &str,
    committed: &[i64],
) -> Vec<(i32, i64, i32)> {
    let id = rig.virtual_id("orders").into_bytes();
    let numbers: Vec<Value> = (0..3).map(Value::from).collect();
    let mut topic = Struct::new().with("Name", "orders").with("PartitionIndexes", numbers);
    if version >= 8 {
        topic.set("TopicId", id);
    }
    let request = match version {
        ..8 => Struct::new().with("GroupId", group).with("Topics", vec![topic]),
        _ => {
            let group =
                Struct::new().with("GroupId", group).with("MemberEpoch", -1).with("Topics", vec![topic]);
            Struct::new().with("Groups", vec![group])
        }
    };
    rig.ask(9, version, &request);
    let sent = rig.sent_one();
    let found = |partition: usize| {
        let offset = committed.get(partition).copied().unwrap_or(-1);
        Struct::new()
            .with("PartitionIndex", i32::try_from(partition).expect("small"))
            .with("CommittedOffset", offset)
            .with("CommittedLeaderEpoch", if offset < 0 { -1 } else { 3 })
            .with("Metadata", "")
    };
    let partitions: Vec<Struct> = (0..3).map(found).collect();
    let holder = if version < 8 {
        sent.body.clone()
    } else {
        sent.body.structs("Groups").next().expect("one").clone()
    };
    let topic = holder.structs("Topics").next().expect("one");
    let mut answer = Struct::new().with("Name", topic.str("Name")).with("Partitions", partitions);
    if version >= 8 {
        answer.set("TopicId", topic.uuid("TopicId"));
    }
    let answer = match version {
        ..8 => Struct::new().with("Topics", vec![answer]),
        _ => Struct::new()
            .with("Groups", vec![Struct::new().with("GroupId", group).with("Topics", vec![answer])]),
    };
    rig.answer(&sent, &answer);
    let Reply { body, .. } = rig.replies().pop().expect("an answer");
    let topics: Vec<Struct> = match version {
        ..8 => body.structs("Topics").cloned().collect(),
        _ => body.structs("Groups").flat_map(|g| g.structs("Topics")).cloned().collect(),
    };
    let partition =
        |p: &Struct| (p.i32("PartitionIndex"), p.int("CommittedOffset"), p.i32("CommittedLeaderEpoch"));
    topics.iter().flat_map(|t| t.structs("Partitions")).map(partition).collect()
}

#[test]
fn a_group_that_was_seen_begins_at_the_switch_point_where_it_has_committed_nothing() {
    for version in [1, 5, 7, 8, 9, 10] {
        let mut rig = rig();
        for partition in 0..3 {
            commit(&mut rig, "g", partition, 1000 + i64::from(partition), 0);
        }
        rig.switch();
        let found = fetch_offsets(&mut rig, version, "g", &[]);
        let epoch = if version < 5 { 0 } else { -1 };
        assert_eq!(found.iter().map(|f| f.1).collect::<Vec<_>>(), [40, 50, 0], "version {version}");
        assert!(found.iter().all(|f| f.2 == -1 || f.2 == epoch), "{found:?}");
    }
}

#[test]
fn a_commit_on_the_new_cluster_is_used_and_a_new_group_begins_by_its_own_policy() {
    let mut rig = rig();
    commit(&mut rig, "g", 0, 1000, 0);
    rig.switch();
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[7])[..2], [(0, 7, BASE + 3), (1, -1, -1)]);
    assert_eq!(fetch_offsets(&mut rig, 9, "h", &[]), [(0, -1, -1), (1, -1, -1), (2, -1, -1)]);
}

#[test]
fn a_group_is_seen_by_what_it_fetches_too_but_not_by_a_commit_that_failed() {
    let mut rig = rig();
    commit(&mut rig, "h", 0, 1000, 25);
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[900])[0], (0, 900, 3));
    rig.switch();
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[])[0].1, 40);
    assert_eq!(fetch_offsets(&mut rig, 9, "h", &[])[0].1, -1);
}

#[test]
fn a_position_that_is_given_is_signalled_once_for_each_answer() {
    let mut rig = rig();
    (0..3).for_each(|partition| commit(&mut rig, "g", partition, 1000, 0));
    rig.switch();
    fetch_offsets(&mut rig, 9, "g", &[7]);
    let moved = |group: Option<&str>, partition, offset, partitions| {
        let group = group.map(Into::into);
        let moved = Moved { group, topic: "orders".into(), partition, offset, partitions };
        Signal::PositionsMoved { virtual_cluster: "main".into(), cluster: "secondary".into(), moved }
    };
    assert_eq!(rig.signals, [moved(Some("g"), 1, 50, 2)]);
    rig.signals.clear();
    fetch_offsets(&mut rig, 9, "g", &[7, 7, 7]);
    assert_eq!(rig.signals, [], "they are its own");
    rig.ask(23, 4, &offset_for_leader_epoch(&[("orders", &[0, 1])], BASE + 5, 3));
    assert_eq!(rig.signals, [moved(None, 0, 40, 2)]);
}

#[test]
fn offsets_of_a_transaction_mark_their_group_as_seen() {
    for version in 0..=5 {
        let mut rig = rig();
        let entry = |p: i32| Struct::new().with("PartitionIndex", p).with("CommittedOffset", 900);
        let topic = Struct::new().with("Name", "orders").with("Partitions", vec![entry(0), entry(1)]);
        let request = Struct::new().with("TransactionalId", "tx").with("GroupId", "g").with("ProducerId", 5);
        rig.ask(28, version, &request.with("Topics", vec![topic]));
        let sent = rig.sent_one();
        let result = |p: i32, code: i16| Struct::new().with("PartitionIndex", p).with("ErrorCode", code);
        let topic =
            Struct::new().with("Name", "orders").with("Partitions", vec![result(0, 0), result(1, 25)]);
        rig.answer(&sent, &Struct::new().with("Topics", vec![topic]));
        rig.reply();
        rig.switch();
        let found = fetch_offsets(&mut rig, 9, "g", &[]);
        assert_eq!((found[0].1, found[1].1), (40, -1), "version {version}: the second one failed");
    }
}

#[test]
fn what_is_frozen_at_the_switch_does_not_move_afterwards() {
    let mut rig = rig();
    commit(&mut rig, "g", 0, 1000, 0);
    rig.switch();
    poll(&rig, "secondary", &[(0, 4_000)]);
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[])[0].1, 40);
}

#[test]
fn a_way_back_goes_on_at_the_commit_even_if_the_cluster_has_forgotten_it() {
    let mut rig = rig();
    commit(&mut rig, "g", 0, 1000, 0);
    rig.switch();
    commit(&mut rig, "g", 0, 44, 0);
    poll(&rig, "primary", &[(0, 5_000)]);
    rig.switch_back();
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[1000])[0].1, 1000);
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[])[0].1, -1, "deleted in this stay");
}

#[test]
fn a_commit_that_expired_during_the_stay_elsewhere_is_given_back() {
    let mut rig = rig();
    commit(&mut rig, "g", 0, 1000, 0);
    rig.switch();
    poll(&rig, "primary", &[(0, 5_000)]);
    rig.switch_back();
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[])[0].1, 1000);
    let start = [(Arc::from("orders"), 0, 3_000)];
    rig.primary.ends.take_starts(start.iter().map(|(topic, p, at)| (topic, *p, *at)));
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[])[0].1, 3_000, "what was before is gone from the log");
}

#[test]
fn the_policy_decides() {
    for (policy, expected) in
        [(Positions::Committed, -1), (Positions::Earliest, 12), (Positions::SwitchPoint, 40)]
    {
        let mut rig = rig();
        rig.positions = policy;
        let start = [(Arc::from("orders"), 0, 12)];
        rig.secondary.ends.take_starts(start.iter().map(|(topic, p, at)| (topic, *p, *at)));
        commit(&mut rig, "g", 0, 1000, 0);
        rig.switch();
        assert_eq!(fetch_offsets(&mut rig, 9, "g", &[])[0].1, expected, "{policy:?}");
    }
}

#[test]
fn a_deleted_group_is_new_afterwards() {
    let mut rig = rig();
    commit(&mut rig, "g", 0, 1000, 0);
    rig.ask(42, 2, &Struct::new().with("GroupsNames", vec![Value::from("g")]));
    let sent = rig.sent_one();
    let result = Struct::new().with("GroupId", "g").with("ErrorCode", 0);
    rig.answer(&sent, &Struct::new().with("Results", vec![result]));
    rig.reply();
    rig.switch();
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[])[0].1, -1);
}

#[test]
fn several_groups_in_one_request_get_each_their_own() {
    let mut rig = rig();
    commit(&mut rig, "g", 0, 1000, 0);
    rig.secondary.topology.set_coordinator(CoordinatorKind::Group, "h", Some(1));
    rig.switch();
    let topic = Struct::new().with("Name", "orders").with("PartitionIndexes", vec![Value::from(0)]);
    let group = |id: &str| {
        Struct::new().with("GroupId", id).with("MemberEpoch", -1).with("Topics", vec![topic.clone()])
    };
    rig.ask(9, 9, &Struct::new().with("Groups", vec![group("g"), group("h")]));
    for sent in rig.sent() {
        let id = sent.body.structs("Groups").next().expect("one").str("GroupId").to_owned();
        let entry = Struct::new()
            .with("PartitionIndex", 0)
            .with("CommittedOffset", -1)
            .with("CommittedLeaderEpoch", -1);
        let topic = Struct::new().with("Name", "orders").with("Partitions", vec![entry.with("Metadata", "")]);
        let answer = Struct::new().with("GroupId", id).with("Topics", vec![topic]);
        rig.answer(&sent, &Struct::new().with("Groups", vec![answer]));
    }
    let reply = rig.reply();
    let mut found: Vec<_> = reply
        .structs("Groups")
        .map(|g| {
            let topic = g.structs("Topics").next().expect("one");
            (
                g.str("GroupId").to_owned(),
                topic.structs("Partitions").next().expect("one").int("CommittedOffset"),
            )
        })
        .collect();
    found.sort();
    assert_eq!(found, [("g".to_owned(), 40), ("h".to_owned(), -1)]);
}

#[test]
fn an_epoch_of_an_older_generation_ended_at_the_switch_point_and_no_broker_is_asked() {
    for version in 2..=4 {
        let mut rig = rig();
        rig.switch();
        rig.ask(23, version, &offset_for_leader_epoch(&[("orders", &[0, 1, 2])], BASE + 5, 3));
        let reply = rig.reply();
        assert!(rig.sent().is_empty());
        assert!(errors(23, &reply).iter().all(|e| e.2 == 0));
        assert_eq!(each(23, &reply, "EndOffset").iter().map(|e| e.2).collect::<Vec<_>>(), [40, 50, 0]);
        assert!(each(23, &reply, "LeaderEpoch").iter().all(|e| e.2 == 3), "the epoch that was asked for");
    }
}

#[test]
fn epochs_of_this_generation_are_asked_upstream_beside_those_answered_here() {
    let mut rig = rig();
    rig.switch();
    let mut request = offset_for_leader_epoch(&[("orders", &[0, 1])], BASE + 5, 3);
    let current = request.structs_mut("Topics").flat_map(|t| t.structs_mut("Partitions")).nth(1);
    current.expect("two").set("LeaderEpoch", BASE + 4);
    rig.ask(23, 4, &request);
    let sent = rig.sent_one();
    let asked: Vec<_> = sent.body.structs("Topics").flat_map(|t| t.structs("Partitions")).collect();
    assert_eq!(
        asked.iter().map(|p| (p.i32("Partition"), p.i32("LeaderEpoch"))).collect::<Vec<_>>(),
        [(1, 4)]
    );
    rig.answer(&sent, &good(&sent));
    let reply = rig.reply();
    assert_eq!(each(23, &reply, "EndOffset")[0].2, 40);
    assert_eq!(errors(23, &reply).len(), 2);
}

#[test]
fn a_request_with_an_older_current_epoch_is_fenced_first() {
    let mut rig = rig();
    rig.switch();
    rig.ask(23, 4, &offset_for_leader_epoch(&[("orders", &[0])], 3, 3));
    assert_eq!(errors(23, &rig.reply())[0].2, 74);
    assert!(rig.sent().is_empty());
}

#[test]
fn the_epoch_of_a_topic_that_is_not_known_there_waits_as_any_other_request() {
    let mut rig = rig();
    rig.switch();
    rig.ask(23, 4, &offset_for_leader_epoch(&[("unheard of", &[0])], BASE + 5, 3));
    assert!(rig.replies().is_empty() && rig.sent().is_empty());
    rig.wait(pointsman_core::limits::LOOKUP_WAIT);
    assert_eq!(rig.sent_one().key, 23, "a broker says in its words that there is no such topic");
}

//! Clusters that hold the same logs with the same offsets: nothing of positions and producers is translated, but for what would not be
//! the same.

use crate::{
    bodies::{each, errors, good, offset_for_leader_epoch},
    harness::{BASE, Rig},
    positions::{commit, fetch_offsets, rig as with_groups},
    producer_ids::{init, left},
};
use pointsman_core::{
    config::{Positions, Replication},
    producer_ids::ProducerIds,
    signal::Signal,
    topology::CoordinatorKind,
};
use pointsman_wire::value::Struct;

/// The secondary has taken over.
fn switched(mut rig: Rig) -> Rig {
    rig.replication = Replication::IdenticalOffsets;
    rig.positions = Positions::Committed;
    rig.switch();
    rig
}

#[test]
fn a_producer_keeps_its_id_on_every_cluster_and_new_ones_get_ids_that_nobody_has() {
    let mut rig = Rig::new();
    let id = init(&mut rig, 5);
    assert_eq!(left(&mut rig, id, 0), 5);
    let mut rig = switched(rig);
    assert_eq!(left(&mut rig, id, 1), 5, "the copy of the log knows it");
    let other = init(&mut rig, 5);
    assert_eq!(
        other,
        ProducerIds::new("main", 1).given(5).expect("fits"),
        "the other cluster counts from 0 too"
    );
    assert_eq!(left(&mut rig, other, 0), other);
    rig.switch_back();
    assert_eq!((left(&mut rig, id, 2), left(&mut rig, other, 1)), (5, other));
}

#[test]
fn a_committed_offset_is_used_as_it_is_but_for_its_epoch_and_none_is_filled_in_for_a_new_group() {
    let mut rig = with_groups();
    commit(&mut rig, "g", 0, 30, 0);
    let mut rig = switched(rig);
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[30])[..2], [(0, 30, -1), (1, -1, -1)]);
    assert_eq!(fetch_offsets(&mut rig, 9, "h", &[31])[..2], [(0, 31, -1), (1, -1, -1)]);
}

/// The secondary's logs end at 40 and 50.
#[test]
fn a_commit_that_was_not_copied_yet_is_remembered_as_far_as_the_log_was_copied() {
    let mut rig = with_groups();
    commit(&mut rig, "g", 0, 30, 0);
    commit(&mut rig, "g", 1, 1000, 0);
    let mut rig = switched(rig);
    for version in [7, 9] {
        for copied in [[20, -1], [-1, 49]] {
            assert_eq!(fetch_offsets(&mut rig, version, "g", &copied)[..2], [(0, 30, -1), (1, 50, -1)]);
        }
    }
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[35, 50])[..2], [(0, 35, -1), (1, 50, -1)], "further on");
    commit(&mut rig, "g", 0, 32, 0);
    commit(&mut rig, "g", 1, 45, 0);
    assert_eq!(fetch_offsets(&mut rig, 9, "g", &[10, 45])[..2], [(0, 10, -1), (1, 45, -1)], "its own choice");
}

/// The leader says where its log ends, if it has the epoch that the client takes for the newest.
#[test]
fn an_epoch_of_an_older_generation_is_asked_for_as_the_newest() {
    for version in 2..=4 {
        let mut rig = switched(Rig::new());
        rig.ask(23, version, &offset_for_leader_epoch(&[("orders", &[0])], BASE + 5, 3));
        let sent = rig.sent_one();
        let asked = sent.body.structs("Topics").flat_map(|t| t.structs("Partitions")).next().expect("one");
        assert_eq!((asked.i32("CurrentLeaderEpoch"), asked.i32("LeaderEpoch")), (5, 5));
        rig.answer(&sent, &good(&sent));
        assert_eq!(errors(23, &rig.reply())[0].2, 0);
    }
}

#[test]
fn a_client_that_does_not_say_what_it_takes_for_the_newest_epoch_is_not_moved() {
    let mut rig = switched(Rig::new());
    rig.ask(23, 4, &offset_for_leader_epoch(&[("orders", &[0])], -1, 3));
    assert!(rig.sent().is_empty());
    let reply = rig.reply();
    assert_eq!((each(23, &reply, "EndOffset")[0].2, each(23, &reply, "LeaderEpoch")[0].2), (i64::MAX, 3));
}

#[test]
fn a_request_with_an_older_current_epoch_is_fenced_here_too() {
    let mut rig = switched(Rig::new());
    rig.ask(23, 4, &offset_for_leader_epoch(&[("orders", &[0])], 3, 3));
    assert_eq!(errors(23, &rig.reply())[0].2, 74);
    assert!(rig.sent().is_empty());
}

#[test]
fn a_transactional_producer_is_refused_and_an_operator_is_told_why() {
    let mut rig = switched(Rig::new());
    rig.secondary.topology.set_coordinator(CoordinatorKind::Transaction, "tx", Some(2));
    for version in 0..=5 {
        rig.signals.clear();
        let request =
            Struct::new().with("TransactionalId", "tx").with("ProducerId", -1).with("ProducerEpoch", -1);
        rig.ask(22, version, &request.with("TransactionTimeoutMs", 60_000));
        assert!(rig.sent().is_empty());
        let reply = rig.reply();
        assert_eq!((reply.i16("ErrorCode"), reply.int("ProducerId")), (53, -1), "version {version}");
        assert_eq!(rig.signals, [Signal::TransactionsRefused { virtual_cluster: "main".into() }]);
    }
}

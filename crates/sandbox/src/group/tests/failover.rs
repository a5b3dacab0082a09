//! A change of the coordinator: what the log keeps stays, what waits is told.

use super::fixture::{
    Coordinator, DELAY, SESSION, again, assignment, fixed, fixed_member, later, leaver, member, newcomer,
    now, sync_of,
};
use crate::group::{Committed, GroupConfig, NewOffset};
use std::time::Duration;

fn fail_over(c: &mut Coordinator) {
    c.groups.unload(|_| true);
    c.groups.load(c.now, |_| true);
}

#[test]
fn members_and_their_generation_stay() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a"), newcomer("b")]);
    fail_over(&mut c);
    assert_eq!(c.state(), "Stable");
    assert_eq!(c.heartbeat(&member(&old[0].member_id, 1)), 0);
    let synced = now(c.sync(&sync_of(&old[1])));
    assert_eq!((synced.error, synced.assignment), (0, assignment(&old[1].member_id)));
    c.pass(SESSION);
    assert_eq!(c.state(), "Empty", "sessions began anew, and end");
}

#[test]
fn a_leader_still_leads() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a"), newcomer("b")]);
    fail_over(&mut c);
    let follower = now(c.join(&again(&newcomer("b"), &old[1].member_id)));
    assert_eq!((follower.generation, &follower.leader), (1, &old[0].member_id));
    later(c.join(&again(&newcomer("a"), &old[0].member_id)));
    assert_eq!(c.state(), "PreparingRebalance");
}

#[test]
fn who_waits_is_told_and_what_had_not_ended_is_lost() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a")]);
    let (new, waiting) = c.enter("b");
    let pending = now(c.join(&newcomer("d"))).member_id;
    fail_over(&mut c);
    let told = c.joined(waiting);
    assert_eq!((told.error, &told.member_id), (16, &new));
    assert_eq!(c.state(), "Stable");
    assert_eq!(c.heartbeat(&member(&old[0].member_id, 1)), 0);
    assert_eq!(now(c.join(&again(&newcomer("b"), &new))).error, 25);
    assert_eq!(now(c.join(&again(&newcomer("d"), &pending))).error, 25);
}

#[test]
fn a_generation_without_an_assignment_is_forgotten() {
    let mut c = Coordinator::new();
    let (_, first) = c.enter("a");
    let (_, second) = c.enter("b");
    c.pass(DELAY * 2);
    c.joined(first);
    let follower = c.joined(second);
    let waiting = later(c.sync(&sync_of(&follower)));
    fail_over(&mut c);
    assert_eq!(c.synced(waiting).error, 16);
    assert_eq!(c.state(), "Empty");
    assert_eq!(c.heartbeat(&member(&follower.member_id, 1)), 25);
}

#[test]
fn a_static_member_that_came_back_is_known_under_its_newer_id() {
    let mut c = Coordinator::new();
    let old = c.stable(&[fixed("i")]).remove(0).member_id;
    let back = now(c.join(&fixed("i"))).member_id;
    fail_over(&mut c);
    assert_eq!(c.heartbeat(&fixed_member(&back, "i", 1)), 0);
    assert_eq!(c.heartbeat(&fixed_member(&old, "i", 1)), 82);
}

#[test]
fn a_group_that_was_left_stays_empty_in_its_generation() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a")]);
    assert_eq!(c.leave(&[leaver(&old[0].member_id, None)]), [0]);
    fail_over(&mut c);
    assert_eq!(c.state(), "Empty");
    assert_eq!(c.heartbeat(&member(&old[0].member_id, 1)), 25);
    assert_eq!(c.stable(&[newcomer("a")])[0].generation, 3);
}

#[test]
fn what_members_read_is_still_known() {
    let mut c = Coordinator::new();
    c.stable(&[newcomer("a")]);
    fail_over(&mut c);
    let both = [("t".to_owned(), 0), ("u".to_owned(), 0)];
    assert_eq!(c.groups.delete_offsets("g", &both), Ok(vec![86, 0]), "the fixture subscribes to t");
}

#[test]
fn offsets_stay() {
    let mut c = Coordinator::new();
    let committed = Committed { offset: 7, leader_epoch: 1, metadata: String::new() };
    let new = NewOffset { topic: "t".into(), partition: 2, committed: committed.clone() };
    assert_eq!(c.groups.commit(c.now, &member("", -1), 22, vec![new]), Ok(vec![0]));
    fail_over(&mut c);
    assert_eq!(c.groups.committed("g", "t", 2), Some(&committed));
}

#[test]
fn nothing_ends_while_nobody_coordinates() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a")]);
    c.groups.unload(|group| group == "g");
    c.pass(SESSION * 3);
    c.groups.load(c.now, |group| group == "g");
    assert_eq!(c.heartbeat(&member(&old[0].member_id, 1)), 0);
}

#[test]
fn other_groups_are_not_touched() {
    let mut c = Coordinator::new();
    let (_, waiting) = c.enter("a");
    c.groups.unload(|group| group == "other");
    assert!(c.groups.is_waiting(waiting));
}

#[test]
fn a_group_that_is_too_large_now_begins_a_rebalance() {
    let mut c = Coordinator::new();
    c.stable(&[newcomer("a"), newcomer("b")]);
    c.groups.unload(|_| true);
    c.groups.config = GroupConfig { max_size: 1, ..GroupConfig::default() };
    c.groups.load(c.now, |_| true);
    assert_eq!(c.state(), "PreparingRebalance");
    c.pass(SESSION + Duration::from_millis(1));
    assert_eq!(c.state(), "Empty");
}

//! SyncGroup, Heartbeat, LeaveGroup, and the end of sessions.

use super::fixture::{
    Coordinator, DELAY, REBALANCE, SESSION, again, assignment, fixed, later, leaver, member, newcomer, now,
    sync_of,
};
use crate::group::{JoinReply, MemberRef, SyncRequest};
use std::time::Duration;

/// Two members that have joined and not synced; the first one leads.
fn joined(c: &mut Coordinator) -> [JoinReply; 2] {
    let (_, first) = c.enter("a");
    let (_, second) = c.enter("b");
    c.pass(DELAY * 2);
    [c.joined(first), c.joined(second)]
}

#[test]
fn followers_wait_for_the_leader() {
    let mut c = Coordinator::new();
    let [leader, follower] = joined(&mut c);
    let ticket = later(c.sync(&sync_of(&follower)));
    let synced = now(c.sync(&sync_of(&leader)));
    assert_eq!((synced.error, synced.assignment), (0, assignment(&leader.member_id)));
    let synced = c.synced(ticket);
    assert_eq!((synced.error, synced.assignment), (0, assignment(&follower.member_id)));
    assert_eq!(
        (synced.protocol_type.as_deref(), synced.protocol.as_deref()),
        (Some("consumer"), Some("range"))
    );
}

#[test]
fn a_follower_that_is_late_gets_its_assignment_at_once() {
    let mut c = Coordinator::new();
    let [leader, follower] = joined(&mut c);
    now(c.sync(&sync_of(&leader)));
    assert_eq!(c.state(), "Stable");
    assert_eq!(now(c.sync(&sync_of(&follower))).assignment, assignment(&follower.member_id));
}

#[test]
fn whom_the_leader_leaves_out_has_nothing() {
    let mut c = Coordinator::new();
    let [leader, follower] = joined(&mut c);
    now(c.sync(&SyncRequest { assignments: Vec::new(), ..sync_of(&leader) }));
    let synced = now(c.sync(&sync_of(&follower)));
    assert_eq!((synced.error, synced.assignment.len()), (0, 0));
}

#[test]
fn what_a_sync_is_refused_for() {
    let mut c = Coordinator::new();
    let error = |c: &mut Coordinator, request: &SyncRequest| now(c.sync(request)).error;
    let nobody = SyncRequest { member: member("x", 1), ..SyncRequest::default() };
    assert_eq!(error(&mut c, &nobody), 25, "no such group");
    assert_eq!(error(&mut c, &SyncRequest::default()), 24);
    let [leader, _] = joined(&mut c);
    let right = sync_of(&leader);
    assert_eq!(error(&mut c, &nobody), 25);
    assert_eq!(error(&mut c, &SyncRequest { member: member(&leader.member_id, 2), ..right.clone() }), 22);
    assert_eq!(error(&mut c, &SyncRequest { protocol: Some("x".into()), ..right.clone() }), 23);
    assert_eq!(error(&mut c, &SyncRequest { protocol_type: Some("x".into()), ..right.clone() }), 23);
    c.enter("d");
    assert_eq!(error(&mut c, &right), 27);
}

#[test]
fn an_older_sync_of_the_same_member_is_told_to_come_again() {
    let mut c = Coordinator::new();
    let [leader, follower] = joined(&mut c);
    let first = later(c.sync(&sync_of(&follower)));
    let second = later(c.sync(&sync_of(&follower)));
    assert_eq!(c.synced(first).error, 27);
    now(c.sync(&sync_of(&leader)));
    assert_eq!(c.synced(second).error, 0);
}

#[test]
fn who_does_not_sync_in_time_is_out() {
    let mut c = Coordinator::new();
    let [leader, follower] = joined(&mut c);
    now(c.sync(&sync_of(&leader)));
    for _ in 0..12 {
        c.pass(REBALANCE / 12);
        assert_eq!(c.groups.list().count(), 1);
        c.heartbeat(&member(&leader.member_id, 1));
        c.heartbeat(&member(&follower.member_id, 1));
    }
    assert_eq!(c.heartbeat(&member(&follower.member_id, 1)), 25);
    assert_eq!(c.heartbeat(&member(&leader.member_id, 1)), 27);
}

#[test]
fn heartbeats_say_what_is_wrong() {
    let mut c = Coordinator::new();
    assert_eq!(c.heartbeat(&member("x", 1)), 25, "no such group");
    assert_eq!(c.heartbeat(&MemberRef::default()), 24);
    let pending = now(c.join(&newcomer("a"))).member_id;
    assert_eq!(c.heartbeat(&member(&pending, 0)), 25, "a pending member is none yet");
    let ticket = later(c.join(&again(&newcomer("a"), &pending)));
    assert_eq!(c.heartbeat(&member(&pending, 0)), 27);
    c.pass(DELAY);
    let joined = c.joined(ticket);
    assert_eq!(c.heartbeat(&member(&pending, 1)), 0, "after the join, before the sync");
    c.sync_all(&[joined]);
    assert_eq!(c.heartbeat(&member(&pending, 1)), 0);
    assert_eq!(c.heartbeat(&member(&pending, 0)), 22);
    assert_eq!(c.heartbeat(&member(&pending, 2)), 22);
    assert_eq!(c.heartbeat(&member("x", 1)), 25);
    c.enter("b");
    assert_eq!(c.heartbeat(&member(&pending, 1)), 27);
}

#[test]
fn a_session_ends_without_heartbeats() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a"), newcomer("b")]);
    c.pass(SESSION - Duration::from_millis(1));
    assert_eq!(c.heartbeat(&member(&old[0].member_id, 1)), 0);
    c.pass(Duration::from_millis(1));
    assert_eq!(c.heartbeat(&member(&old[1].member_id, 1)), 25);
    assert_eq!(c.heartbeat(&member(&old[0].member_id, 1)), 27);
    c.pass(SESSION);
    assert_eq!(c.state(), "Empty");
    assert_eq!(c.groups.next_deadline(), None);
}

#[test]
fn a_follower_that_waits_for_the_leader_needs_no_heartbeats() {
    let mut c = Coordinator::new();
    let [leader, follower] = joined(&mut c);
    let ticket = later(c.sync(&sync_of(&follower)));
    for _ in 0..4 {
        c.pass(SESSION / 2);
        assert_eq!(c.heartbeat(&member(&leader.member_id, 1)), 0);
    }
    assert!(c.groups.is_waiting(ticket));
    now(c.sync(&sync_of(&leader)));
    c.pass(SESSION - Duration::from_millis(1));
    assert_eq!(c.heartbeat(&member(&follower.member_id, 1)), 0, "its session began with its assignment");
}

#[test]
fn members_leave() {
    let mut c = Coordinator::new();
    assert_eq!(c.groups.leave(c.now, "", &[]), Err(24));
    assert_eq!(c.leave(&[leaver("x", None)]), [25], "no such group");
    let old = c.stable(&[newcomer("a"), newcomer("b"), fixed("i")]);
    assert_eq!(c.leave(&[leaver("x", None), leaver(&old[0].member_id, Some("x"))]), [25, 25]);
    assert_eq!(c.state(), "Stable", "nobody left");
    assert_eq!(c.leave(&[leaver(&old[0].member_id, None), leaver(&old[2].member_id, Some("i"))]), [0, 0]);
    assert_eq!(c.state(), "PreparingRebalance");
    let left = now(c.join(&again(&newcomer("b"), &old[1].member_id)));
    assert_eq!((left.generation, &left.leader), (2, &old[1].member_id));
    assert_eq!(c.leave(&[leaver(&left.member_id, None)]), [0]);
    assert_eq!(c.state(), "Empty");
    let next = c.stable(&[newcomer("a")]);
    assert_eq!(next[0].generation, 4, "the empty generation counts");
}

#[test]
fn a_pending_member_leaves() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a")]);
    let pending = now(c.join(&newcomer("b"))).member_id;
    let ticket = later(c.join(&again(&newcomer("a"), &old[0].member_id)));
    assert_eq!(c.leave(&[leaver(&pending, None)]), [0]);
    assert_eq!(c.joined(ticket).generation, 2);
}

#[test]
fn who_leaves_while_it_waits_is_answered() {
    let mut c = Coordinator::new();
    let (id, ticket) = c.enter("a");
    assert_eq!(c.leave(&[leaver(&id, None)]), [0]);
    let gone = c.joined(ticket);
    assert_eq!((gone.error, gone.member_id.as_str()), (25, ""));
    c.pass(DELAY);
    assert_eq!(c.state(), "Empty");
    let [_, follower] = joined(&mut c);
    let ticket = later(c.sync(&sync_of(&follower)));
    assert_eq!(c.leave(&[leaver(&follower.member_id, None)]), [0]);
    assert_eq!(c.synced(ticket).error, 25);
}

#[test]
fn an_answer_that_nobody_waits_for_is_not_kept() {
    let mut c = Coordinator::new();
    let (_, first) = c.enter("a");
    let (_, second) = c.enter("b");
    c.groups.forget(first);
    c.pass(DELAY * 2);
    c.groups.forget(second);
    assert!(c.groups.take_ready().is_empty());
    assert_eq!(c.groups.describe("g").expect("the group").members.len(), 2, "the members stay");
}

#[test]
fn ready_answers_are_given_once() {
    let mut c = Coordinator::new();
    let (_, ticket) = c.enter("a");
    c.pass(DELAY);
    let ready = c.groups.take_ready();
    assert_eq!(ready.into_keys().collect::<Vec<_>>(), [ticket]);
    assert_eq!(c.groups.ready(ticket), None);
    assert!(c.groups.take_ready().is_empty());
}

#[test]
fn groups_are_described_and_deleted() {
    let mut c = Coordinator::new();
    assert_eq!(c.groups.describe("g"), None);
    assert_eq!(c.groups.delete("g"), Err(69));
    let old = c.stable(&[newcomer("a")]);
    let group = c.groups.describe("g").expect("the group");
    assert_eq!(
        (group.state, group.protocol_type.as_str(), group.protocol.as_str()),
        ("Stable", "consumer", "range")
    );
    let shown = &group.members[0];
    assert_eq!((&shown.member_id, shown.client_id.as_str()), (&old[0].member_id, "a"));
    assert_eq!(shown.assignment, assignment(&old[0].member_id));
    assert!(!shown.metadata.is_empty());
    assert_eq!(c.groups.delete("g"), Err(68));
    c.enter("b");
    let group = c.groups.describe("g").expect("the group");
    assert_eq!((group.state, group.protocol.as_str()), ("PreparingRebalance", ""));
    assert!(group.members.iter().all(|member| member.metadata.is_empty()));
    c.pass(REBALANCE * 10);
    assert_eq!(c.state(), "Empty");
    assert_eq!(c.groups.delete("g"), Ok(()));
    assert_eq!(c.groups.describe("g"), None);
}

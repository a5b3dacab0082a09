//! Static members (KIP-345): back under another id, with or without a rebalance, and fencing.

use super::fixture::{
    Coordinator, DELAY, SESSION, again, assignment, fixed, fixed_member, later, leaver, member, newcomer,
    now, protocols, sync_of,
};
use crate::group::JoinRequest;

#[test]
fn a_static_member_needs_no_second_join() {
    let mut c = Coordinator::new();
    let ticket = later(c.join(&fixed("i")));
    c.pass(DELAY);
    let joined = c.joined(ticket);
    assert!(joined.member_id.starts_with("i-"));
    assert_eq!(joined.members[0].instance_id.as_deref(), Some("i"));
}

#[test]
fn a_static_member_that_is_back_gets_its_assignment_without_a_rebalance() {
    let mut c = Coordinator::new();
    let old = c.stable(&[fixed("i"), fixed("j")]);
    let back = now(c.join(&fixed("j")));
    assert_eq!((back.error, back.generation, back.skip_assignment), (0, 1, false));
    assert_ne!(back.member_id, old[1].member_id);
    assert_eq!(c.state(), "Stable");
    let synced = now(c.sync(&sync_of(&back)));
    assert_eq!((synced.error, synced.assignment), (0, assignment(&old[1].member_id)));
}

#[test]
fn a_leader_that_is_back_skips_the_assignment() {
    let mut c = Coordinator::new();
    let old = c.stable(&[fixed("i"), fixed("j")]);
    let back = now(c.join(&fixed("i")));
    assert_eq!((back.skip_assignment, &back.leader), (true, &back.member_id));
    assert_eq!(back.members.len(), 2);
    let older_client = now(c.join(&JoinRequest { may_skip_assignment: false, ..fixed("i") }));
    assert_eq!((older_client.skip_assignment, &older_client.leader), (false, &back.member_id));
    assert!(older_client.members.is_empty(), "it must not believe that it leads");
    assert_eq!(c.heartbeat(&member(&old[1].member_id, 1)), 0);
}

#[test]
fn who_uses_the_older_id_is_fenced() {
    let mut c = Coordinator::new();
    let old = c.stable(&[fixed("i")]).remove(0).member_id;
    let back = now(c.join(&fixed("i"))).member_id;
    assert_eq!(c.heartbeat(&fixed_member(&old, "i", 1)), 82);
    assert_eq!(c.heartbeat(&member(&old, 1)), 25, "without its instance id it is unknown");
    assert_eq!(c.heartbeat(&fixed_member(&back, "i", 1)), 0);
    assert_eq!(c.heartbeat(&fixed_member(&back, "other", 1)), 25);
    assert_eq!(now(c.join(&again(&fixed("i"), &old))).error, 82);
    let mut sync = sync_of(&now(c.join(&fixed("i"))));
    sync.member = fixed_member(&old, "i", 1);
    assert_eq!(now(c.sync(&sync)).error, 82);
    assert_eq!(c.leave(&[leaver(&old, Some("i"))]), [82]);
    let commit = c.groups.commit(c.now, &fixed_member(&old, "i", 1), 22, Vec::new());
    assert_eq!(commit, Err(82));
}

#[test]
fn requests_that_wait_are_fenced_too() {
    let mut c = Coordinator::new();
    let first = later(c.join(&fixed("i")));
    let second = later(c.join(&fixed("i")));
    assert_eq!(c.joined(first).error, 82);
    let other = later(c.join(&fixed("j")));
    c.pass(DELAY * 2);
    let (leader, follower) = (c.joined(second), c.joined(other));
    assert_eq!(leader.members.len(), 2);
    let waiting = later(c.sync(&sync_of(&follower)));
    later(c.join(&fixed("j")));
    assert_eq!(c.synced(waiting).error, 82);
    assert_eq!(c.state(), "PreparingRebalance", "the leader would assign to the older id");
}

#[test]
fn a_static_member_that_changes_the_choice_of_the_protocol_begins_a_rebalance() {
    let mut c = Coordinator::new();
    let both = |first: &str, second: &str| protocols(&[first, second]);
    c.stable(&[JoinRequest { protocols: both("range", "sticky"), ..fixed("i") }]);
    let swapped = JoinRequest { protocols: both("sticky", "range"), ..fixed("i") };
    let joined = now(c.join(&swapped));
    assert_eq!((joined.generation, joined.protocol.as_deref()), (2, Some("sticky")));
}

#[test]
fn a_static_member_stays_without_joining_until_its_session_ends() {
    let mut c = Coordinator::new();
    let old = c.stable(&[fixed("i"), newcomer("a")]);
    let (_, ticket) = c.enter("b");
    let second = later(c.join(&again(&newcomer("a"), &old[1].member_id)));
    c.pass(SESSION - DELAY * 3);
    assert!(c.groups.is_waiting(ticket), "the static member may still come");
    c.pass(DELAY * 3);
    let joined = c.joined(second);
    assert_eq!((c.joined(ticket).generation, joined.generation), (2, 2));
    assert!(joined.members.iter().all(|member| member.instance_id.is_none()));
}

#[test]
fn an_absent_static_member_is_part_of_the_next_generation() {
    let mut c = Coordinator::new();
    let quick = |request: JoinRequest| JoinRequest { rebalance_timeout: SESSION / 4, ..request };
    let old = c.stable(&[quick(fixed("i")), quick(newcomer("a"))]);
    let changed = JoinRequest { protocols: protocols(&["range", "sticky"]), ..quick(newcomer("a")) };
    let ticket = later(c.join(&again(&changed, &old[1].member_id)));
    c.pass(SESSION / 4);
    let joined = c.joined(ticket);
    assert_eq!((&joined.leader, joined.members.len()), (&old[1].member_id, 2));
    assert_eq!(c.state(), "CompletingRebalance");
}

#[test]
fn a_group_of_absent_static_members_waits_for_one_of_them() {
    let mut c = Coordinator::new();
    let quick = JoinRequest { rebalance_timeout: SESSION / 4, ..fixed("i") };
    let old = c.stable(&[quick.clone(), JoinRequest { rebalance_timeout: SESSION / 4, ..newcomer("a") }]);
    assert_eq!(c.leave(&[leaver(&old[1].member_id, None)]), [0]);
    c.pass(SESSION / 2);
    assert_eq!(c.state(), "PreparingRebalance");
    let back = now(c.join(&quick));
    assert_eq!((back.error, back.generation, back.members.len()), (0, 2, 1));
}

#[test]
fn static_members_are_removed_by_their_instance_id() {
    let mut c = Coordinator::new();
    c.stable(&[fixed("i"), fixed("j")]);
    assert_eq!(c.leave(&[leaver("", Some("i")), leaver("", Some("x")), leaver("", None)]), [0, 25, 25]);
    assert_eq!(c.groups.describe("g").expect("the group").members.len(), 1);
    assert_eq!(c.state(), "PreparingRebalance");
}

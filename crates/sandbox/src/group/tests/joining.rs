//! JoinGroup: ids, limits, protocols, the leader, the phases.

use super::fixture::{
    Coordinator, DELAY, REBALANCE, SESSION, again, fixed, later, member, newcomer, now, protocols, sync_of,
};
use crate::group::{GroupConfig, JoinRequest};
use std::time::Duration;

#[test]
fn a_new_member_must_come_again_with_the_id_it_is_given() {
    let mut c = Coordinator::new();
    let refused = now(c.join(&newcomer("a")));
    assert_eq!((refused.error, refused.generation), (79, -1));
    assert!(refused.member_id.starts_with("a-"), "{}", refused.member_id);
    assert_eq!(c.state(), "Empty");
    let ticket = later(c.join(&again(&newcomer("a"), &refused.member_id)));
    assert_eq!(c.state(), "PreparingRebalance");
    c.pass(DELAY);
    let joined = c.joined(ticket);
    assert_eq!((joined.error, joined.generation, &joined.leader), (0, 1, &refused.member_id));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(
        (joined.protocol.as_deref(), joined.protocol_type.as_deref()),
        (Some("range"), Some("consumer"))
    );
    assert_eq!(c.state(), "CompletingRebalance");
}

#[test]
fn an_old_client_joins_without_an_id() {
    let mut c = Coordinator::new();
    let ticket = later(c.join(&JoinRequest { needs_member_id: false, ..newcomer("a") }));
    c.pass(DELAY);
    assert_eq!(c.joined(ticket).error, 0);
}

#[test]
fn what_a_join_is_refused_for() {
    let mut c = Coordinator::new();
    let error = |c: &mut Coordinator, request: &JoinRequest| now(c.join(request)).error;
    let ms = Duration::from_millis;
    assert_eq!(error(&mut c, &JoinRequest { group: String::new(), ..newcomer("a") }), 24);
    assert_eq!(error(&mut c, &JoinRequest { session_timeout: ms(5_999), ..newcomer("a") }), 26);
    assert_eq!(error(&mut c, &JoinRequest { session_timeout: ms(1_800_001), ..newcomer("a") }), 26);
    assert_eq!(error(&mut c, &again(&newcomer("a"), "a-1")), 25, "no such group");
    assert_eq!(c.state(), "Dead");
    assert_eq!(error(&mut c, &JoinRequest { protocols: Vec::new(), ..newcomer("a") }), 23);
    assert_eq!(error(&mut c, &JoinRequest { protocol_type: String::new(), ..newcomer("a") }), 23);
    c.stable(&[newcomer("a")]);
    assert_eq!(error(&mut c, &again(&newcomer("a"), "a-1")), 25, "no such member");
    assert_eq!(error(&mut c, &JoinRequest { protocols: protocols(&["other"]), ..newcomer("b") }), 23);
    assert_eq!(error(&mut c, &JoinRequest { protocol_type: "connect".into(), ..newcomer("b") }), 23);
}

#[test]
fn the_protocol_that_all_know_with_the_most_votes_wins() {
    let mut c = Coordinator::new();
    let with = |client: &str, names: &[&str]| JoinRequest { protocols: protocols(names), ..newcomer(client) };
    let requests = [
        with("a", &["x", "range", "sticky"]),
        with("b", &["sticky", "range"]),
        with("d", &["sticky", "range"]),
    ];
    let joined = c.stable(&requests);
    assert!(joined.iter().all(|reply| reply.protocol.as_deref() == Some("sticky")), "{joined:?}");
    assert!(joined.iter().all(|reply| reply.leader == joined[0].member_id));
    assert_eq!(joined[0].members.len(), 3);
    assert!(joined[1].members.is_empty() && joined[2].members.is_empty());
}

#[test]
fn the_first_join_phase_is_prolonged_while_members_come() {
    let mut c = Coordinator::new();
    let (_, first) = c.enter("a");
    c.pass(DELAY / 2);
    let (_, second) = c.enter("b");
    c.pass(DELAY / 2);
    assert!(c.groups.is_waiting(first), "somebody came");
    c.pass(DELAY);
    assert_eq!((c.joined(first).generation, c.joined(second).generation), (1, 1));
}

#[test]
fn the_first_join_phase_ends_when_members_wait_long_enough() {
    let mut c = Coordinator::new();
    let short = |client: &str| JoinRequest { rebalance_timeout: DELAY * 3, ..newcomer(client) };
    let (_, first) = c.enter_with(&short("a"));
    for client in ["b", "d", "e"] {
        assert!(c.groups.is_waiting(first), "before {client}");
        c.pass(DELAY / 2);
        c.enter_with(&short(client));
        c.pass(DELAY / 2);
    }
    assert_eq!(c.joined(first).members.len(), 4);
}

#[test]
fn a_rebalance_waits_for_all_members_but_not_for_ever() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a"), newcomer("b")]);
    let (_, newest) = c.enter("d");
    assert_eq!(c.state(), "PreparingRebalance");
    let leader = later(c.join(&again(&newcomer("a"), &old[0].member_id)));
    for _ in 0..12 {
        c.pass(SESSION / 2 - Duration::from_millis(1));
        assert_eq!(c.heartbeat(&member(&old[1].member_id, 1)), 27);
    }
    assert!(c.groups.is_waiting(leader));
    c.pass(Duration::from_secs(1));
    let reply = c.joined(leader);
    assert_eq!((reply.generation, reply.members.len()), (2, 2));
    assert_eq!(c.joined(newest).leader, old[0].member_id);
    assert_eq!(c.heartbeat(&member(&old[1].member_id, 1)), 25, "who has not joined in time is out");
}

#[test]
fn a_leader_that_does_not_join_is_replaced() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a"), newcomer("b")]);
    let follower = JoinRequest { protocols: protocols(&["range", "sticky"]), ..newcomer("b") };
    let ticket = later(c.join(&again(&follower, &old[1].member_id)));
    c.pass(REBALANCE);
    let reply = c.joined(ticket);
    assert_eq!((reply.generation, &reply.leader), (2, &old[1].member_id));
    assert_eq!(reply.members.len(), 1);
}

#[test]
fn a_follower_that_brings_nothing_new_learns_of_the_present_generation() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a"), newcomer("b")]);
    let same = now(c.join(&again(&newcomer("b"), &old[1].member_id)));
    assert_eq!((same.error, same.generation, &same.leader), (0, 1, &old[0].member_id));
    assert_eq!(c.state(), "Stable");
    later(c.join(&again(&newcomer("a"), &old[0].member_id)));
    assert_eq!(c.state(), "PreparingRebalance", "a leader wants to assign again");
}

#[test]
fn a_member_whose_answer_was_lost_joins_again() {
    let mut c = Coordinator::new();
    let (leader, ticket) = c.enter("a");
    c.pass(DELAY);
    let first = c.joined(ticket);
    let same = now(c.join(&again(&newcomer("a"), &leader)));
    assert_eq!(same, first);
    let changed = JoinRequest { protocols: protocols(&["range", "sticky"]), ..newcomer("a") };
    let second = now(c.join(&again(&changed, &leader)));
    assert_eq!((second.error, second.generation), (0, 2));
}

#[test]
fn an_older_request_of_the_same_member_is_told_to_come_again() {
    let mut c = Coordinator::new();
    let (id, first) = c.enter("a");
    let second = later(c.join(&again(&newcomer("a"), &id)));
    let superseded = c.joined(first);
    assert_eq!((superseded.error, &superseded.member_id), (27, &id));
    c.pass(DELAY);
    assert_eq!(c.joined(second).error, 0);
}

#[test]
fn a_pending_member_holds_the_join_phase_up_until_it_lapses() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a")]);
    let pending = now(c.join(&newcomer("b"))).member_id;
    let ticket = later(c.join(&again(&newcomer("a"), &old[0].member_id)));
    c.pass(SESSION - Duration::from_millis(1));
    assert!(c.groups.is_waiting(ticket));
    c.pass(Duration::from_millis(1));
    assert_eq!(c.joined(ticket).generation, 2);
    assert_eq!(now(c.join(&again(&newcomer("b"), &pending))).error, 25);
}

#[test]
fn a_pending_id_is_not_for_static_members() {
    let mut c = Coordinator::new();
    let pending = now(c.join(&newcomer("a"))).member_id;
    assert_eq!(now(c.join(&again(&fixed("i"), &pending))).error, -1);
}

#[test]
fn a_full_group_turns_members_away() {
    let mut c = Coordinator::with(GroupConfig { max_size: 2, ..GroupConfig::default() });
    let old = c.stable(&[newcomer("a"), newcomer("b")]);
    assert_eq!(now(c.join(&newcomer("d"))).error, 81);
    let leader = later(c.join(&again(&newcomer("a"), &old[0].member_id)));
    let other = now(c.join(&again(&newcomer("b"), &old[1].member_id)));
    assert_eq!((other.error, c.joined(leader).error), (0, 0), "members are not newcomers");
}

#[test]
fn the_first_join_phase_has_room_for_the_limit_only() {
    let mut c = Coordinator::with(GroupConfig { max_size: 1, ..GroupConfig::default() });
    let first = now(c.join(&newcomer("a"))).member_id;
    let second = now(c.join(&newcomer("b"))).member_id;
    let ticket = later(c.join(&again(&newcomer("a"), &first)));
    let refused = now(c.join(&again(&newcomer("b"), &second)));
    assert_eq!((refused.error, refused.member_id.as_str()), (81, ""));
    c.pass(DELAY);
    assert_eq!(c.joined(ticket).members.len(), 1);
}

#[test]
fn a_new_member_whose_client_is_gone_does_not_stay() {
    let config = GroupConfig { new_member_join_timeout: Duration::from_secs(20), ..GroupConfig::default() };
    let mut c = Coordinator::with(config);
    let old = c.stable(&[newcomer("a")]);
    let (_, gone) = c.enter("b");
    c.groups.forget(gone);
    for _ in 0..5 {
        c.pass(SESSION / 2);
        c.heartbeat(&member(&old[0].member_id, 1));
    }
    let again = now(c.join(&again(&newcomer("a"), &old[0].member_id)));
    assert_eq!((again.error, again.members.len()), (0, 1));
}

#[test]
fn a_new_member_in_the_middle_of_a_rebalance_begins_another() {
    let mut c = Coordinator::new();
    let (_, ticket) = c.enter("a");
    let (_, other) = c.enter("b");
    c.pass(DELAY * 2);
    let (_, joined) = (c.joined(ticket), c.joined(other));
    let waiting = later(c.sync(&sync_of(&joined)));
    c.enter("d");
    assert_eq!(c.synced(waiting).error, 27);
    assert_eq!(c.state(), "PreparingRebalance");
}

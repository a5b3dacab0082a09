//! Committed offsets: who may store them, who may delete them.

use super::fixture::{Coordinator, DELAY, REBALANCE, SESSION, again, later, member, newcomer, now, sync_of};
use crate::group::{Committed, JoinRequest, MemberRef, NewOffset};
use std::time::Duration;

fn at(offset: i64) -> Committed {
    Committed { offset, leader_epoch: 3, metadata: "note".into() }
}

fn commit(c: &mut Coordinator, by: &MemberRef, offset: i64) -> Result<Vec<i16>, i16> {
    let new = NewOffset { topic: "t".into(), partition: 0, committed: at(offset) };
    c.groups.commit(c.now, by, 22, vec![new])
}

fn nobody() -> MemberRef {
    member("", -1)
}

#[test]
fn a_client_without_membership_commits_while_the_group_is_empty() {
    let mut c = Coordinator::new();
    assert_eq!(commit(&mut c, &nobody(), 7), Ok(vec![0]));
    assert_eq!(c.groups.committed("g", "t", 0), Some(&at(7)));
    assert_eq!(c.state(), "Empty");
    c.stable(&[newcomer("a")]);
    assert_eq!(commit(&mut c, &nobody(), 8), Err(25));
    assert_eq!(c.groups.committed("g", "t", 0), Some(&at(7)));
}

#[test]
fn members_commit_in_their_generation() {
    let mut c = Coordinator::new();
    assert_eq!(commit(&mut c, &member("a", 0), 1), Err(22), "no such group");
    let (id, ticket) = c.enter("a");
    c.pass(DELAY);
    let joined = c.joined(ticket);
    assert_eq!(commit(&mut c, &member(&id, 1), 1), Err(27), "before its assignment");
    c.sync_all(&[joined]);
    assert_eq!(commit(&mut c, &member(&id, 1), 2), Ok(vec![0]));
    assert_eq!(commit(&mut c, &member(&id, 2), 3), Err(22));
    assert_eq!(commit(&mut c, &member(&id, -1), 3), Err(22));
    assert_eq!(commit(&mut c, &member("x", 1), 3), Err(25));
    c.enter("b");
    assert_eq!(commit(&mut c, &member(&id, 1), 4), Ok(vec![0]), "before it joins again");
    assert_eq!(c.groups.committed("g", "t", 0), Some(&at(4)));
}

#[test]
fn a_commit_keeps_the_session_alive() {
    let mut c = Coordinator::new();
    let id = c.stable(&[newcomer("a")]).remove(0).member_id;
    for _ in 0..4 {
        c.pass(SESSION - Duration::from_millis(1));
        assert_eq!(commit(&mut c, &member(&id, 1), 1), Ok(vec![0]));
    }
}

#[test]
fn the_text_beside_an_offset_has_a_limit() {
    let mut c = Coordinator::new();
    let new = |length: usize, partition: i32| NewOffset {
        topic: "t".into(),
        partition,
        committed: Committed { metadata: "é".repeat(length), ..at(1) },
    };
    let result = c.groups.commit(c.now, &nobody(), 22, vec![new(4096, 0), new(4097, 1)]);
    assert_eq!(result, Ok(vec![0, 12]));
    assert_eq!(c.groups.committed("g", "t", 1), None);
}

#[test]
fn offsets_of_topics_that_are_read_are_not_deleted() {
    let mut c = Coordinator::new();
    let both = [("t".to_owned(), 0), ("u".to_owned(), 0)];
    assert_eq!(c.groups.delete_offsets("g", &both), Err(69));
    assert_eq!(commit(&mut c, &nobody(), 7), Ok(vec![0]));
    c.stable(&[newcomer("a")]);
    assert_eq!(c.groups.delete_offsets("g", &both), Ok(vec![86, 0]), "the fixture subscribes to t");
    c.pass(REBALANCE * 2);
    assert_eq!(c.state(), "Empty");
    assert_eq!(c.groups.delete_offsets("g", &both), Ok(vec![0, 0]));
    assert_eq!(c.groups.committed("g", "t", 0), None);
}

#[test]
fn offsets_of_other_kinds_of_groups_stay_while_there_are_members() {
    let mut c = Coordinator::new();
    let request = JoinRequest { protocol_type: "connect".into(), ..newcomer("a") };
    c.stable(&[request]);
    assert_eq!(c.groups.delete_offsets("g", &[("t".to_owned(), 0)]), Err(68));
}

#[test]
fn a_subscription_that_is_not_understood_may_be_to_every_topic() {
    let mut c = Coordinator::new();
    let mut request = newcomer("a");
    request.protocols[0].metadata = bytes::Bytes::from_static(b"\0");
    c.stable(&[request]);
    assert_eq!(c.groups.delete_offsets("g", &[("u".to_owned(), 0)]), Ok(vec![86]));
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut c = Coordinator::new();
    assert_eq!(commit(&mut c, &nobody(), 7), Ok(vec![0]));
    c.groups.topic_deleted("t");
    assert_eq!(c.groups.committed("g", "t", 0), None);
    assert_eq!(c.groups.all_committed("g").count(), 0);
}

#[test]
fn a_deleted_group_takes_its_offsets_along() {
    let mut c = Coordinator::new();
    assert_eq!(commit(&mut c, &nobody(), 7), Ok(vec![0]));
    assert_eq!(c.groups.all_committed("g").count(), 1);
    assert_eq!(c.groups.delete("g"), Ok(()));
    assert_eq!(commit(&mut c, &member("x", 0), 8), Err(22));
    assert_eq!(c.groups.committed("g", "t", 0), None);
}

#[test]
fn a_member_that_waits_for_its_assignment_does_not_commit() {
    let mut c = Coordinator::new();
    let old = c.stable(&[newcomer("a"), newcomer("b")]);
    let leader = later(c.join(&again(&newcomer("a"), &old[0].member_id)));
    let follower = now(c.join(&again(&newcomer("b"), &old[1].member_id)));
    c.joined(leader);
    later(c.sync(&sync_of(&follower)));
    assert_eq!(commit(&mut c, &member(&follower.member_id, 2), 1), Err(27));
}

const PRODUCER: i64 = 9;

fn commit_pending(c: &mut Coordinator, by: &MemberRef, producer: i64, offset: i64) -> Result<Vec<i16>, i16> {
    let new = NewOffset { topic: "t".into(), partition: 0, committed: at(offset) };
    c.groups.commit_pending(c.now, by, producer, vec![new])
}

#[test]
fn an_offset_in_a_transaction_counts_from_its_commit_on() {
    let mut c = Coordinator::new();
    assert_eq!(commit_pending(&mut c, &nobody(), PRODUCER, 7), Ok(vec![0]));
    assert_eq!((c.groups.committed("g", "t", 0), c.groups.is_pending("g", "t", 0)), (None, true));
    c.groups.end_transaction(PRODUCER + 1, true, |_| true);
    c.groups.end_transaction(PRODUCER, true, |group| group != "g");
    assert!(c.groups.is_pending("g", "t", 0), "of another producer, or of another coordinator");
    c.groups.end_transaction(PRODUCER, true, |_| true);
    assert_eq!((c.groups.committed("g", "t", 0), c.groups.is_pending("g", "t", 0)), (Some(&at(7)), false));
}

#[test]
fn an_offset_in_an_aborted_transaction_never_counts() {
    let mut c = Coordinator::new();
    commit_pending(&mut c, &nobody(), PRODUCER, 7).expect("kept");
    c.groups.end_transaction(PRODUCER, false, |_| true);
    c.groups.end_transaction(PRODUCER, true, |_| true);
    assert_eq!((c.groups.committed("g", "t", 0), c.groups.is_pending("g", "t", 0)), (None, false));
}

#[test]
fn the_later_commit_wins_whether_in_a_transaction_or_not() {
    let mut c = Coordinator::new();
    commit_pending(&mut c, &nobody(), PRODUCER, 7).expect("kept");
    commit(&mut c, &nobody(), 3).expect("stored");
    c.groups.end_transaction(PRODUCER, true, |_| true);
    assert_eq!(c.groups.committed("g", "t", 0), Some(&at(3)));
    commit_pending(&mut c, &nobody(), PRODUCER, 8).expect("kept");
    c.groups.end_transaction(PRODUCER, true, |_| true);
    assert_eq!(c.groups.committed("g", "t", 0), Some(&at(8)));
}

#[test]
fn pending_offsets_survive_the_coordinator_but_not_their_topic() {
    let mut c = Coordinator::new();
    commit_pending(&mut c, &nobody(), PRODUCER, 7).expect("kept");
    c.groups.unload(|_| true);
    c.groups.load(c.now, |_| true);
    assert!(c.groups.is_pending("g", "t", 0));
    c.groups.topic_deleted("t");
    assert!(!c.groups.is_pending("g", "t", 0));
}

#[test]
fn producers_may_commit_for_a_group_with_members_without_saying_who_they_are() {
    let mut c = Coordinator::new();
    let id = c.stable(&[newcomer("a")]).remove(0).member_id;
    assert_eq!(commit_pending(&mut c, &nobody(), PRODUCER, 1), Ok(vec![0]));
    assert_eq!(commit_pending(&mut c, &member(&id, 1), PRODUCER, 1), Ok(vec![0]));
    assert_eq!(commit_pending(&mut c, &member(&id, 2), PRODUCER, 1), Err(22));
    assert_eq!(commit_pending(&mut c, &member("x", 1), PRODUCER, 1), Err(25));
}

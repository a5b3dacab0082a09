//! SyncGroup, Heartbeat and LeaveGroup, and whether a commit may be made.

use super::{
    SyncReply, Ticket, codes,
    messages::{Leaver, MemberRef, SyncRequest, check},
    state::{Group, State, Turn},
};
use bytes::Bytes;
use std::collections::HashMap;

impl Group {
    /// Answers the ticket now or when the leader has assigned.
    pub(super) fn sync(&mut self, turn: &mut Turn<'_>, request: &SyncRequest, ticket: Ticket) {
        let id = request.member.member_id.as_str();
        if let Err(error) = self.check_sync(request) {
            turn.tickets.sync_error(Some(ticket), error);
            return;
        }
        let stable = self.state == State::Stable;
        let Some(member) = self.member_mut(id) else { return };
        member.owes_sync = false;
        if stable {
            turn.tickets.sync(Some(ticket), || self.sync_reply(id));
            return;
        }
        let older = member.syncing.replace(ticket);
        turn.tickets.sync_error(older, codes::REBALANCE_IN_PROGRESS);
        if self.is_leader(id) {
            self.assign(turn, request);
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), i16> {
        let other = |asked: &Option<String>, ours: &Option<String>| {
            asked.is_some() && ours.is_some() && asked != ours
        };
        self.check_generation(&request.member)?;
        if other(&request.protocol_type, &self.protocol_type) || other(&request.protocol, &self.protocol) {
            return Err(codes::INCONSISTENT_GROUP_PROTOCOL);
        }
        check(match self.state {
            State::CompletingRebalance | State::Stable => codes::NONE,
            State::PreparingRebalance => codes::REBALANCE_IN_PROGRESS,
            State::Empty | State::Dead => codes::UNKNOWN_MEMBER_ID,
        })
    }

    fn check_generation(&self, member: &MemberRef) -> Result<(), i16> {
        self.check_member(&member.member_id, member.instance_id.as_deref())?;
        check(if member.generation == self.generation { codes::NONE } else { codes::ILLEGAL_GENERATION })
    }

    fn sync_reply(&self, id: &str) -> SyncReply {
        SyncReply {
            error: codes::NONE,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.member(id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }

    /// The leader has spoken. Who it left out has nothing to do.
    fn assign(&mut self, turn: &mut Turn<'_>, request: &SyncRequest) {
        let given: HashMap<&str, &Bytes> =
            request.assignments.iter().map(|(id, a)| (id.as_str(), a)).collect();
        for member in &mut self.members {
            member.assignment = given.get(member.id.as_str()).copied().cloned().unwrap_or_default();
        }
        self.enter(State::Stable);
        self.save();
        for at in 0..self.members.len() {
            let ticket = self.members[at].syncing.take();
            if turn.tickets.sync(ticket, || self.sync_reply(&self.members[at].id)) {
                self.members[at].heard(turn.now);
            }
        }
    }

    /// 27 tells the member to join again.
    pub(super) fn heartbeat(&mut self, turn: &Turn<'_>, request: &MemberRef) -> Result<(), i16> {
        self.check_generation(request)?;
        if let Some(member) = self.member_mut(&request.member_id) {
            member.heard(turn.now);
        }
        let rebalances = self.state == State::PreparingRebalance;
        check(if rebalances { codes::REBALANCE_IN_PROGRESS } else { codes::NONE })
    }

    /// One code for each that leaves.
    pub(super) fn leave(&mut self, turn: &mut Turn<'_>, leavers: &[Leaver]) -> Vec<i16> {
        let leave = |leaver| self.leave_one(turn, leaver).err().unwrap_or(codes::NONE);
        let results: Vec<i16> = leavers.iter().map(leave).collect();
        if results.contains(&codes::NONE) && self.state != State::Empty {
            self.rebalance(turn);
        }
        results
    }

    fn leave_one(&mut self, turn: &mut Turn<'_>, leaver: &Leaver) -> Result<(), i16> {
        let instance_id = leaver.instance_id.as_deref();
        let id = if leaver.member_id.is_empty() {
            let member = instance_id.and_then(|instance_id| self.static_member(instance_id));
            member.map(|member| member.id.clone()).ok_or(codes::UNKNOWN_MEMBER_ID)?
        } else {
            leaver.member_id.clone()
        };
        if !self.pending.contains_key(&id) {
            self.check_member(&id, instance_id)?;
        }
        self.remove(turn, &id);
        Ok(())
    }

    /// The same for a commit in a transaction: producers that do not say who they are may always commit, and a rebalance does
    /// not keep anybody from it.
    pub(super) fn check_pending_commit(&mut self, turn: &Turn<'_>, request: &MemberRef) -> Result<(), i16> {
        let anonymous = request.member_id.is_empty() && request.instance_id.is_none();
        if let Some(consumers) = self.consumers.as_ref().filter(|_| request.generation >= 0 || !anonymous) {
            return consumers.check_member(&request.member_id, request.generation);
        }
        if request.generation < 0 && (anonymous || self.state == State::Empty) {
            return Ok(());
        }
        self.check_generation(request)?;
        if let Some(member) = self.member_mut(&request.member_id) {
            member.heard(turn.now);
        }
        Ok(())
    }

    /// May this member, or this client without membership, store offsets? A commit keeps a session alive.
    pub(super) fn check_commit(&mut self, turn: &Turn<'_>, request: &MemberRef) -> Result<(), i16> {
        if let Some(consumers) = &self.consumers {
            return consumers.check_member(&request.member_id, request.generation);
        }
        let anonymous = request.member_id.is_empty() && request.instance_id.is_none();
        if request.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if request.generation < 0 && anonymous {
            return Err(codes::UNKNOWN_MEMBER_ID);
        }
        self.check_generation(request)?;
        if self.state == State::CompletingRebalance {
            return Err(codes::REBALANCE_IN_PROGRESS);
        }
        if let Some(member) = self.member_mut(&request.member_id) {
            member.heard(turn.now);
        }
        Ok(())
    }
}

//! JoinGroup: who may take part, and as whom.

use super::{
    JoinReply, Ticket, codes,
    member::Member,
    messages::JoinRequest,
    state::{Group, State, Turn},
};
use uuid::Uuid;

impl Group {
    /// Answers the ticket now or when the join phase ends.
    pub(super) fn join(&mut self, turn: &mut Turn<'_>, request: &JoinRequest, ticket: Ticket) {
        if self.has_consumers() {
            let error = codes::INCONSISTENT_GROUP_PROTOCOL;
            turn.tickets.join_error(Some(ticket), &request.member_id, error);
            return;
        }
        self.consumers = None;
        if !self.has_room_for(&request.member_id, turn.config.max_size) {
            self.remove(turn, &request.member_id);
            turn.tickets.join_error(Some(ticket), "", codes::GROUP_MAX_SIZE_REACHED);
        } else if !self.supports(&request.protocol_type, &request.protocols) {
            let error = codes::INCONSISTENT_GROUP_PROTOCOL;
            turn.tickets.join_error(Some(ticket), &request.member_id, error);
        } else if request.member_id.is_empty() {
            self.join_as_new(turn, request, ticket);
        } else {
            self.join_as_known(turn, request, ticket);
        }
    }

    /// In a join phase those count who have joined, so that the last of too many members are turned away.
    fn has_room_for(&self, member_id: &str, max_size: usize) -> bool {
        let member = self.member(member_id);
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                member.is_some_and(|member| member.joining.is_some()) || self.joining() < max_size
            }
            State::CompletingRebalance | State::Stable => member.is_some() || self.members.len() < max_size,
        }
    }

    fn join_as_new(&mut self, turn: &mut Turn<'_>, request: &JoinRequest, ticket: Ticket) {
        let prefix = request.instance_id.as_ref().unwrap_or(&request.client_id);
        let id = format!("{prefix}-{}", Uuid::new_v4());
        if let Some(instance_id) = &request.instance_id {
            match self.static_member(instance_id).map(|member| member.id.clone()) {
                Some(old) => self.replace_static_member(turn, request, &old, &id, ticket),
                None => self.add(turn, request, &id, ticket),
            }
        } else if request.needs_member_id {
            turn.tickets.join_error(Some(ticket), &id, codes::MEMBER_ID_REQUIRED);
            self.pending.insert(id, turn.now + request.session_timeout);
        } else {
            self.add(turn, request, &id, ticket);
        }
    }

    fn join_as_known(&mut self, turn: &mut Turn<'_>, request: &JoinRequest, ticket: Ticket) {
        let id = request.member_id.as_str();
        if self.pending.contains_key(id) {
            if request.instance_id.is_none() {
                self.add(turn, request, id, ticket);
            } else {
                // Ids are never held back for static members: this is no request that a client sends.
                turn.tickets.join_error(Some(ticket), id, codes::UNKNOWN_SERVER_ERROR);
            }
            return;
        }
        if let Err(error) = self.check_member(id, request.instance_id.as_deref()) {
            turn.tickets.join_error(Some(ticket), id, error);
        } else if self.must_rebalance_for(request) {
            self.rejoin(turn, request, ticket);
            self.rebalance(turn);
        } else {
            // Its last answer may have been lost.
            let sees_members = self.state == State::CompletingRebalance && self.is_leader(id);
            let members = if sees_members { self.joined_members() } else { Vec::new() };
            turn.tickets.join(Some(ticket), || JoinReply { members, ..self.join_reply(id) });
        }
    }

    /// A member that brings nothing new learns of the present generation. A leader that joins a stable group wants to assign
    /// again.
    fn must_rebalance_for(&self, request: &JoinRequest) -> bool {
        let id = request.member_id.as_str();
        let news = self.member(id).is_none_or(|member| member.protocols != request.protocols);
        match self.state {
            State::CompletingRebalance => news,
            State::Stable => news || self.is_leader(id),
            State::PreparingRebalance | State::Empty | State::Dead => true,
        }
    }

    fn add(&mut self, turn: &mut Turn<'_>, request: &JoinRequest, id: &str, ticket: Ticket) {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if self.state == State::PreparingRebalance && self.previous == State::Empty {
            self.member_added = true;
        }
        self.leader.get_or_insert_with(|| id.to_owned());
        self.pending.remove(id);
        let mut member = Member::new(id, request);
        member.joining = Some(ticket);
        member.session_ends = Some(turn.now + turn.config.new_member_join_timeout);
        self.members.push(member);
        self.rebalance(turn);
    }

    /// The member has joined, with what it brings this time.
    fn rejoin(&mut self, turn: &mut Turn<'_>, request: &JoinRequest, ticket: Ticket) {
        let Some(member) = self.member_mut(&request.member_id) else { return };
        member.update(request);
        let older = member.joining.replace(ticket);
        turn.tickets.supersede_join(older, &request.member_id);
    }

    /// A static member is back under another member id; who still uses the older one is fenced.
    fn replace_static_member(
        &mut self,
        turn: &mut Turn<'_>,
        request: &JoinRequest,
        old: &str,
        new: &str,
        ticket: Ticket,
    ) {
        let old_leader = self.leader.clone();
        if self.is_leader(old) {
            self.leader = Some(new.to_owned());
        }
        let Some(member) = self.member_mut(old) else { return };
        turn.tickets.join_error(member.joining.take(), old, codes::FENCED_INSTANCE_ID);
        turn.tickets.sync_error(member.syncing.take(), codes::FENCED_INSTANCE_ID);
        new.clone_into(&mut member.id);
        member.is_new = false;
        member.heard(turn.now);
        member.update(request);
        member.joining = Some(ticket);
        match self.state {
            State::Stable if self.select_protocol() == self.protocol => {
                self.resume_static_member(turn, request, new, old_leader);
            }
            // The leader assigns to the older id, or the group has to agree on another protocol.
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(turn),
            State::PreparingRebalance => self.end_join_phase_if_complete(turn),
            State::Empty | State::Dead => {}
        }
    }

    /// The member goes on where it was, without a rebalance. A client that cannot skip the assignment must not believe that it
    /// leads, so it is shown the leader's older id.
    fn resume_static_member(
        &mut self,
        turn: &mut Turn<'_>,
        request: &JoinRequest,
        id: &str,
        old_leader: Option<String>,
    ) {
        self.save();
        let mut reply = self.join_reply(id);
        if request.may_skip_assignment {
            reply.skip_assignment = self.is_leader(id);
            reply.members = if reply.skip_assignment { self.joined_members() } else { Vec::new() };
        } else {
            reply.leader = old_leader.unwrap_or_default();
        }
        let ticket = self.member_mut(id).and_then(|member| member.joining.take());
        turn.tickets.join(ticket, || reply);
    }
}

//! Groups of consumers, as a state machine without sockets and without a clock.
//!
//! It follows the coordinator of Apache Kafka 4.3. Of classic groups: `state` has a group and its states, `join` and `membership` what members
//! ask, `rebalance` how a generation follows another and what time brings. `consumer` is the protocol of KIP-848. `offsets` is
//! what is committed, and `handlers` one file per api key. Whoever owns the [`Groups`] calls [`Groups::tick`] often; who waits asks for the answer of its ticket
//! after every tick and every request.
//!
//! What Kafka keeps in its log survives a change of the coordinator: offsets, and the last generation that has an assignment
//! or no members. See [`Groups::unload`].
//!
//! Left out: the share and streams protocols, a group that changes its protocol while it has members, and the expiry of offsets
//! and empty groups.

mod codes;
pub(crate) mod consumer;
mod consumers;
pub(crate) mod handlers;
mod join;
mod member;
mod membership;
mod messages;
mod offsets;
mod rebalance;
mod state;
mod subscription;
#[cfg(test)]
mod tests;
mod tickets;

pub(crate) use messages::{
    Committed, Description, JoinReply, JoinRequest, Leaver, Listed, MemberRef, NewOffset, Protocol,
    SyncReply, SyncRequest,
};
pub(crate) use tickets::{Answer, Outcome, Ticket};

use state::{Group, State, Turn};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tickets::Tickets;

/// The settings of a coordinator; the words in brackets are Kafka's names.
#[derive(Clone, Debug)]
pub(crate) struct GroupConfig {
    /// How long a group that was empty waits for more members (`group.initial.rebalance.delay.ms`, there 3 s).
    pub(crate) initial_rebalance_delay: Duration,
    /// The shortest session that a member may ask for (`group.min.session.timeout.ms`).
    pub(crate) min_session_timeout: Duration,
    /// The longest session that a member may ask for (`group.max.session.timeout.ms`).
    pub(crate) max_session_timeout: Duration,
    /// How long a new member's JoinGroup counts, whose client may be gone (5 min, not a setting).
    pub(crate) new_member_join_timeout: Duration,
    /// The most members that a group may have (`group.max.size`).
    pub(crate) max_size: usize,
    /// Members of the consumer protocol should speak so often (`group.consumer.heartbeat.interval.ms`, there 5 s).
    pub(crate) consumer_heartbeat_interval: Duration,
    /// Those that are silent for so long are gone (`group.consumer.session.timeout.ms`, there 45 s).
    pub(crate) consumer_session_timeout: Duration,
    /// The longest text beside an offset, in UTF-16 units (`offset.metadata.max.bytes`).
    pub(crate) max_offset_metadata: usize,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            initial_rebalance_delay: Duration::from_millis(100),
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_mins(30),
            new_member_join_timeout: Duration::from_mins(5),
            max_size: usize::MAX,
            consumer_heartbeat_interval: Duration::from_millis(500),
            consumer_session_timeout: Duration::from_secs(6),
            max_offset_metadata: 4096,
        }
    }
}

/// The groups of a cluster.
#[derive(Debug)]
pub(crate) struct Groups {
    config: GroupConfig,
    groups: BTreeMap<String, Group>,
    tickets: Tickets,
    /// Commits so far, of all groups.
    commits: u64,
}

impl Groups {
    pub(crate) fn new(config: GroupConfig) -> Self {
        Self { config, groups: BTreeMap::new(), tickets: Tickets::default(), commits: 0 }
    }

    /// JoinGroup. The group is made if it does not exist and the member is new.
    pub(crate) fn join(&mut self, now: Instant, request: &JoinRequest) -> Outcome<JoinReply> {
        let id = request.member_id.as_str();
        if let Err(error) = self.check_join(request) {
            return Outcome::Ready(JoinReply::error(id, error));
        }
        let ticket = self.tickets.issue();
        self.with(now, &request.group, |group, turn| group.join(turn, request, ticket));
        match self.tickets.take(ticket) {
            Some(Answer::Join(reply)) => Outcome::Ready(reply),
            _ => Outcome::Later(ticket),
        }
    }

    fn check_join(&self, request: &JoinRequest) -> Result<(), i16> {
        let sessions = self.config.min_session_timeout..=self.config.max_session_timeout;
        if request.group.is_empty() {
            return Err(codes::INVALID_GROUP_ID);
        }
        if !sessions.contains(&request.session_timeout) {
            return Err(codes::INVALID_SESSION_TIMEOUT);
        }
        if request.member_id.is_empty() { Ok(()) } else { self.check_exists(&request.group) }
    }

    /// No group, no members.
    fn check_exists(&self, group: &str) -> Result<(), i16> {
        if group.is_empty() {
            return Err(codes::INVALID_GROUP_ID);
        }
        if self.groups.contains_key(group) { Ok(()) } else { Err(codes::UNKNOWN_MEMBER_ID) }
    }

    /// SyncGroup.
    pub(crate) fn sync(&mut self, now: Instant, request: &SyncRequest) -> Outcome<SyncReply> {
        let id = &request.member.group;
        if let Err(error) = self.check_exists(id) {
            return Outcome::Ready(SyncReply::error(error));
        }
        let ticket = self.tickets.issue();
        self.with(now, id, |group, turn| group.sync(turn, request, ticket));
        match self.tickets.take(ticket) {
            Some(Answer::Sync(reply)) => Outcome::Ready(reply),
            _ => Outcome::Later(ticket),
        }
    }

    /// Heartbeat; the code is the error.
    pub(crate) fn heartbeat(&mut self, now: Instant, request: &MemberRef) -> Result<(), i16> {
        self.check_exists(&request.group)?;
        self.with(now, &request.group, |group, turn| group.heartbeat(turn, request))
    }

    /// LeaveGroup; one code for each that leaves, or one for all of them.
    pub(crate) fn leave(&mut self, now: Instant, group: &str, leavers: &[Leaver]) -> Result<Vec<i16>, i16> {
        match self.check_exists(group) {
            Ok(()) => Ok(self.with(now, group, |group, turn| group.leave(turn, leavers))),
            Err(codes::UNKNOWN_MEMBER_ID) => Ok(vec![codes::UNKNOWN_MEMBER_ID; leavers.len()]),
            Err(error) => Err(error),
        }
    }

    /// A group as it is; `None`: there is no such group.
    pub(crate) fn describe(&self, group: &str) -> Option<Description> {
        self.groups.get(group).filter(|group| group.consumers.is_none()).map(Group::description)
    }

    /// All groups, in the order of their names.
    pub(crate) fn list(&self) -> impl Iterator<Item = Listed> {
        self.groups.values().map(Group::listed)
    }

    /// Deletes a group and its offsets: 69 if there is none, 68 if it has members.
    pub(crate) fn delete(&mut self, group: &str) -> Result<(), i16> {
        let of = self.groups.get(group).ok_or(codes::GROUP_ID_NOT_FOUND)?;
        if of.state != State::Empty || of.has_consumers() {
            return Err(codes::NON_EMPTY_GROUP);
        }
        self.groups.remove(group);
        Ok(())
    }

    /// Does everything that is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        let mut turn = Turn { now, config: &self.config, tickets: &mut self.tickets };
        for group in self.groups.values_mut() {
            group.tick(&mut turn);
        }
    }

    /// The answer of one ticket, once it is ready.
    pub(crate) fn ready(&mut self, ticket: Ticket) -> Option<Answer> {
        self.tickets.take(ticket)
    }

    /// The connection that waited is gone. The member stays, as in Kafka; the answer goes nowhere.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        self.tickets.forget(ticket);
    }

    /// The coordinator of some groups is gone. Whoever waits is told so (16), pending members and the joins of a rebalance
    /// that had not ended are lost, and no session ends until [`Groups::load`]. Requests for these groups are the caller's to
    /// refuse.
    pub(crate) fn unload(&mut self, which: impl Fn(&str) -> bool) {
        for group in self.groups.values_mut().filter(|group| which(&group.id)) {
            group.unload(&mut self.tickets);
        }
    }

    /// Another coordinator has read the log of some groups: sessions begin anew.
    pub(crate) fn load(&mut self, now: Instant, which: impl Fn(&str) -> bool) {
        let mut turn = Turn { now, config: &self.config, tickets: &mut self.tickets };
        for group in self.groups.values_mut().filter(|group| which(&group.id)) {
            group.load(&mut turn);
        }
    }
}

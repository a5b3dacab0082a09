//! Tickets: requests that wait for other members, and their answers.

use super::{JoinReply, SyncReply, codes};
use std::collections::{BTreeMap, BTreeSet};

/// Names a request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(u64);

/// What became of a request that waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Join(JoinReply),
    Sync(SyncReply),
}

/// A request's answer, or the ticket under which it will come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome<T> {
    Ready(T),
    Later(Ticket),
}

/// Gives tickets out and keeps the answers until they are fetched.
///
/// A ticket is answered once. What nobody waits for any more is not kept.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    issued: u64,
    pub(super) waiting: BTreeSet<Ticket>,
    pub(super) ready: BTreeMap<Ticket, Answer>,
}

impl Tickets {
    pub(super) fn issue(&mut self) -> Ticket {
        self.issued += 1;
        let ticket = Ticket(self.issued);
        self.waiting.insert(ticket);
        ticket
    }

    /// Answers the request if somebody waits for it.
    fn answer(&mut self, ticket: Option<Ticket>, answer: impl FnOnce() -> Answer) -> bool {
        let Some(ticket) = ticket else { return false };
        if self.waiting.remove(&ticket) {
            self.ready.insert(ticket, answer());
        }
        true
    }

    /// Answers a JoinGroup, if there is one; says whether there was.
    pub(super) fn join(&mut self, ticket: Option<Ticket>, reply: impl FnOnce() -> JoinReply) -> bool {
        self.answer(ticket, || Answer::Join(reply()))
    }

    /// Answers a SyncGroup, if there is one; says whether there was.
    pub(super) fn sync(&mut self, ticket: Option<Ticket>, reply: impl FnOnce() -> SyncReply) -> bool {
        self.answer(ticket, || Answer::Sync(reply()))
    }

    pub(super) fn join_error(&mut self, ticket: Option<Ticket>, member_id: &str, error: i16) {
        self.join(ticket, || JoinReply::error(member_id, error));
    }

    pub(super) fn sync_error(&mut self, ticket: Option<Ticket>, error: i16) {
        self.sync(ticket, || SyncReply::error(error));
    }

    /// The same member asks again, on another connection. Kafka never answers the older request; here it is told to come
    /// again, which keeps its member id.
    pub(super) fn supersede_join(&mut self, ticket: Option<Ticket>, member_id: &str) {
        self.join_error(ticket, member_id, codes::REBALANCE_IN_PROGRESS);
    }

    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Answer> {
        self.ready.remove(&ticket)
    }

    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
        self.ready.remove(&ticket);
    }
}

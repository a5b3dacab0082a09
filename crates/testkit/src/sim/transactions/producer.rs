//! A transactional producer: one request at a time, as the Java client does it (`TransactionManager` of 3.9 and 4.x) with transactions
//! of either version.

use super::cluster::{FENCED, INVALID_MAPPING, Identity, Record};

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    Init(Identity),
    Add(Identity),
    Produce(Identity, Record),
    /// Whether to commit.
    End(Identity, bool),
}

/// Its answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Done,
    /// With the identity to go on with.
    Given(Identity),
    Error(i16),
    /// NOT_COORDINATOR or NOT_LEADER_OR_FOLLOWER: the same again.
    Again,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    NeedsId,
    /// AddPartitionsToTxn, which version 2 leaves to the broker.
    Adding,
    Sending(usize),
    Ending,
    Aborting,
}

/// How a transaction ended for the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    /// Aborted, before a commit was tried.
    Aborted,
    /// Aborted after a commit whose answer did not come: it may have been carried out.
    Unsure,
}

#[derive(Debug)]
pub(super) struct Producer {
    number: usize,
    pub(super) v2: bool,
    records: usize,
    state: State,
    identity: Identity,
    transaction: usize,
    /// An answer said that the id is gone: the next one is asked for after the abort.
    new_id: bool,
    tried_commit: bool,
    pub(super) outcomes: Vec<Outcome>,
    /// The error that ended it.
    pub(super) dead: Option<i16>,
}

impl Producer {
    pub(super) fn new(number: usize, v2: bool, records: usize) -> Self {
        Self {
            number,
            v2,
            records,
            state: State::NeedsId,
            identity: Identity { id: -1, epoch: -1 },
            transaction: 0,
            new_id: false,
            tried_commit: false,
            outcomes: Vec::new(),
            dead: None,
        }
    }

    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// Whether nothing is open: the application has just ended a transaction.
    pub(super) fn rests(&self) -> bool {
        self.dead.is_some() || (self.state == self.first() && !self.tried_commit)
    }

    fn first(&self) -> State {
        if self.v2 { State::Sending(0) } else { State::Adding }
    }

    pub(super) fn next(&self) -> Ask {
        match self.state {
            State::NeedsId => Ask::Init(self.identity),
            State::Adding => Ask::Add(self.identity),
            State::Sending(number) => Ask::Produce(self.identity, (self.number, self.transaction, number)),
            State::Ending => Ask::End(self.identity, true),
            State::Aborting => Ask::End(self.identity, false),
        }
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        self.tried_commit |= self.state == State::Ending;
        match answer {
            Answer::Again => {}
            Answer::Error(14) => {}
            Answer::Error(code) => self.error(code),
            Answer::Given(identity) => {
                self.identity = identity;
                self.new_id = false;
                self.done();
            }
            Answer::Done => self.done(),
        }
    }

    fn error(&mut self, code: i16) {
        let abortable = !matches!(code, INVALID_MAPPING | FENCED);
        if !abortable || matches!(self.state, State::Aborting | State::NeedsId) {
            self.dead = Some(code);
            return;
        }
        self.new_id |= code == 59;
        self.state = State::Aborting;
    }

    fn done(&mut self) {
        self.state = match self.state {
            State::NeedsId => self.first(),
            State::Adding => State::Sending(0),
            State::Sending(number) if number + 1 < self.records => State::Sending(number + 1),
            State::Sending(_) => State::Ending,
            State::Ending => self.end(Outcome::Committed),
            State::Aborting if self.tried_commit => self.end(Outcome::Unsure),
            State::Aborting => self.end(Outcome::Aborted),
        }
    }

    fn end(&mut self, outcome: Outcome) -> State {
        self.outcomes.push(outcome);
        self.transaction += 1;
        self.tried_commit = false;
        if self.new_id { State::NeedsId } else { self.first() }
    }
}

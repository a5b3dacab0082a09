//! One transactional id.
//!
//! ```text
//!            add                end: commit                        every marker written
//!  Empty ───────────▶ Ongoing ───────────────▶ PrepareCommit ───────────────────────────▶ CompleteCommit
//!                      ▲   │   end: abort,
//!                      │   │   init, time-out                      every marker written
//!  Complete… ── add ───┘   └─────────────────▶ PrepareAbort ────────────────────────────▶ CompleteAbort
//! ```
//!
//! From the states without a transaction (Empty, Complete…) init leads to Empty, and with transaction version 2 an abort to
//! PrepareAbort.

use super::{Description, NewId, Producer};
use crate::errors::{
    CONCURRENT_TRANSACTIONS, INVALID_PRODUCER_ID_MAPPING, INVALID_TXN_STATE, PRODUCER_FENCED,
};
use std::collections::BTreeSet;

/// Topic and index.
pub(crate) type Partition = (String, i32);

/// The newest epoch that a client gets, so that it can always be fenced with one more.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// The protocol that a client uses (KIP-890).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The epoch stays from transaction to transaction.
    V1,
    /// Each end raises the epoch, so that nothing late gets into the next transaction.
    V2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl State {
    /// Every state that can be asked for, those that are never seen here included.
    pub(crate) const NAMES: [&str; 8] = [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "Dead",
        "PrepareEpochFence",
    ];

    pub(crate) const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Its outcome is decided, and markers are being written.
    pub(crate) const fn is_ending(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    const fn has_ended(self, commit: bool) -> bool {
        matches!((self, commit), (Self::CompleteCommit, true) | (Self::CompleteAbort, false))
    }

    const fn prepare(commit: bool) -> Self {
        if commit { Self::PrepareCommit } else { Self::PrepareAbort }
    }
}

#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) state: State,
    pub(super) producer: i64,
    /// −1: nobody has introduced itself yet.
    pub(super) epoch: i16,
    /// The producer id before the last change of anything.
    previous_producer: i64,
    /// The producer id from the end on, when the epochs of the present one are used up; −1: it stays.
    next_producer: i64,
    /// The epoch before the present one, if its client is the same; else −1.
    last_epoch: i16,
    protocol: Protocol,
    timeout_ms: i32,
    started_ms: i64,
    pub(super) partitions: BTreeSet<Partition>,
}

impl Transaction {
    pub(super) fn new(producer: i64) -> Self {
        Self {
            state: State::Empty,
            producer,
            epoch: -1,
            previous_producer: -1,
            next_producer: -1,
            last_epoch: -1,
            protocol: Protocol::V1,
            timeout_ms: 0,
            started_ms: -1,
            partitions: BTreeSet::new(),
        }
    }

    pub(super) fn init(
        &mut self,
        timeout_ms: i32,
        expected: Option<Producer>,
        new_id: NewId<'_>,
        now: i64,
    ) -> Result<Producer, i16> {
        if !expected.is_none_or(|expected| self.may_be(expected)) {
            return Err(PRODUCER_FENCED);
        }
        match self.state {
            State::PrepareCommit | State::PrepareAbort => return Err(CONCURRENT_TRANSACTIONS),
            // Its producer is fenced; the client comes again when the transaction has ended.
            State::Ongoing => {
                self.fence(now);
                return Err(CONCURRENT_TRANSACTIONS);
            }
            State::Empty | State::CompleteCommit | State::CompleteAbort => {}
        }
        let expected = expected.map(|(_, epoch)| epoch);
        let previous = self.producer;
        if self.epoch >= LAST_EPOCH && expected.is_none_or(|epoch| epoch == self.epoch) {
            self.last_epoch = if expected.is_some() { self.epoch } else { -1 };
            (self.producer, self.epoch) = (new_id(), 0);
        } else {
            self.raise_for(expected)?;
        }
        self.previous_producer = previous;
        self.state = State::Empty;
        (self.timeout_ms, self.started_ms) = (timeout_ms, -1);
        Ok((self.producer, self.epoch))
    }

    /// Could a client that says this of itself be the one that the id belongs to?
    fn may_be(&self, (producer, epoch): Producer) -> bool {
        self.epoch < 0
            || producer == self.producer
            || (producer == self.previous_producer && epoch >= LAST_EPOCH)
    }

    fn raise_for(&mut self, expected: Option<i16>) -> Result<(), i16> {
        match expected {
            None => (self.last_epoch, self.epoch) = (-1, self.epoch + 1),
            Some(epoch) if self.epoch < 0 || epoch == self.epoch => {
                (self.last_epoch, self.epoch) = (self.epoch, self.epoch + 1);
            }
            // A retry of what has worked.
            Some(epoch) if epoch == self.last_epoch => {}
            Some(_) => return Err(PRODUCER_FENCED),
        }
        Ok(())
    }

    /// Aborts, with an epoch that nobody is told.
    fn fence(&mut self, now: i64) {
        (self.last_epoch, self.epoch) = (-1, self.epoch + 1);
        self.prepare(false, now);
    }

    fn prepare(&mut self, commit: bool, now: i64) {
        self.state = State::prepare(commit);
        if self.partitions.is_empty() {
            self.started_ms = now;
        }
    }

    pub(super) fn add(
        &mut self,
        partitions: impl IntoIterator<Item = Partition>,
        protocol: Protocol,
        now: i64,
    ) -> Result<(), i16> {
        if self.state.is_ending() {
            return Err(CONCURRENT_TRANSACTIONS);
        }
        if self.state != State::Ongoing {
            self.state = State::Ongoing;
            self.started_ms = now;
        }
        self.protocol = protocol;
        self.previous_producer = self.producer;
        self.partitions.extend(partitions);
        Ok(())
    }

    pub(super) fn end(
        &mut self,
        (producer, epoch): Producer,
        commit: bool,
        protocol: Protocol,
        new_id: NewId<'_>,
        now: i64,
    ) -> Result<Producer, i16> {
        let rotated = self.is_retry_after_rotation(producer, epoch);
        if producer != self.producer && !rotated {
            return Err(INVALID_PRODUCER_ID_MAPPING);
        }
        let retry = rotated || self.is_retry(epoch);
        if !(retry && self.state != State::Ongoing && self.state != State::Empty || epoch == self.epoch) {
            return Err(PRODUCER_FENCED);
        }
        match self.state {
            State::Ongoing => Ok(self.end_now(commit, protocol, new_id, now)),
            ending if ending.is_ending() => {
                let same = ending == State::prepare(commit);
                Err(if same { CONCURRENT_TRANSACTIONS } else { INVALID_TXN_STATE })
            }
            ended if ended.has_ended(commit) && (retry || protocol == Protocol::V1) => {
                Ok((self.producer, self.epoch))
            }
            // Nothing was begun since; with version 2 an abort of nothing is well.
            _ if !commit && !retry && protocol == Protocol::V2 => {
                Ok(self.end_now(commit, protocol, new_id, now))
            }
            _ => Err(INVALID_TXN_STATE),
        }
    }

    /// The end of before comes again, in the epoch that it had then.
    fn is_retry(&self, epoch: i16) -> bool {
        self.protocol == Protocol::V2 && epoch.checked_add(1) == Some(self.epoch)
    }

    /// The same, where the end brought another producer id.
    fn is_retry_after_rotation(&self, producer: i64, epoch: i16) -> bool {
        self.protocol == Protocol::V2
            && self.producer != producer
            && (self.previous_producer, self.epoch) == (producer, 0)
            && epoch == LAST_EPOCH
    }

    /// Decides the outcome, and answers what the producer is from then on.
    fn end_now(&mut self, commit: bool, protocol: Protocol, new_id: NewId<'_>, now: i64) -> Producer {
        self.protocol = protocol;
        self.previous_producer = self.producer;
        if protocol == Protocol::V2 {
            if self.epoch >= LAST_EPOCH {
                self.next_producer = new_id();
            }
            (self.last_epoch, self.epoch) = (self.epoch, self.epoch + 1);
        }
        self.prepare(commit, now);
        if self.next_producer >= 0 { (self.next_producer, 0) } else { (self.producer, self.epoch) }
    }

    pub(super) fn expire(&mut self, now: i64) {
        let ends = self.started_ms.saturating_add(self.timeout_ms.into());
        if self.state == State::Ongoing && ends < now {
            self.fence(now);
        }
    }

    pub(super) fn written(&mut self, partition: &Partition) {
        if self.state.is_ending() {
            self.partitions.remove(partition);
        }
    }

    pub(super) fn complete_if_written(&mut self) {
        if !self.state.is_ending() || !self.partitions.is_empty() {
            return;
        }
        self.state = match self.state {
            State::PrepareCommit => State::CompleteCommit,
            _ => State::CompleteAbort,
        };
        self.previous_producer = self.producer;
        if self.next_producer >= 0 {
            (self.producer, self.epoch) = (self.next_producer, 0);
            self.next_producer = -1;
        }
    }

    pub(super) fn description(&self, id: &str) -> Description {
        Description {
            id: id.to_owned(),
            producer: (self.producer, self.epoch),
            state: self.state,
            timeout_ms: self.timeout_ms,
            started_ms: self.started_ms,
            partitions: self.partitions.iter().cloned().collect(),
        }
    }
}

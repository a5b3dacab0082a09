//! Sequence numbers of one partition (KIP-98, KIP-360): which batch is sent next and under which number. Pure.
//!
//! ```text
//!            admit                acked, duplicate, failed
//!   (new) ────────────▶ Sent ─────────────────────────────▶ (gone)
//!                       ▲  │ refused, unsure, out of order
//!                resend │  ▼
//!                     Waiting ──expired──▶ (gone)
//! ```
//!
//! Up to `limit` batches are under way. After a failure nothing new is sent: when every answer has come, the first
//! waiting batch is sent alone, until none waits. So a batch never overtakes another one, whatever becomes of either.
//! Only the first batch can be out of order for good: those behind it fail because it failed. Then the epoch is raised
//! and the numbers begin anew, as in the Java client.

use std::collections::VecDeque;

/// Who the producer is for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The id that InitProducerId gave.
    pub id: i64,
    /// The epoch: that of InitProducerId, or a higher one after numbers began anew.
    pub epoch: i16,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the log: written now, or a duplicate of what was written before.
    Acked,
    /// Not written, but may be later.
    Refused,
    /// Nobody knows whether it was written.
    Unsure,
    /// The broker expected another sequence number, or does not know the producer.
    OutOfOrder,
    /// The broker knows the producer with a higher epoch.
    Fenced,
    /// Not written, and never will be.
    Failed,
}

/// A batch to be sent now.
#[derive(Debug, PartialEq, Eq)]
pub struct Sending<'a, B> {
    /// Names the batch when its answer comes.
    pub token: u64,
    /// Under whose name it goes.
    pub identity: Identity,
    /// The sequence number of its first record.
    pub sequence: i32,
    /// The batch.
    pub batch: &'a B,
}

#[derive(Debug)]
struct Entry<B> {
    token: u64,
    sequence: i32,
    count: i32,
    sent: bool,
    /// An attempt may have been written although nobody said so.
    in_doubt: bool,
    batch: B,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    No,
    /// With the next epoch, when all answers are there.
    NextEpoch,
    /// With another id, when all answers are there.
    NewIdentity,
}

/// The batches of one partition that have a sequence number.
#[derive(Debug)]
pub struct Sequencer<B> {
    identity: Identity,
    next: i32,
    limit: usize,
    token: u64,
    restart: Restart,
    entries: VecDeque<Entry<B>>,
}

impl<B> Sequencer<B> {
    /// A partition to which nothing was sent yet; at most `limit` batches (brokers remember 5) are under way.
    #[must_use]
    pub const fn new(identity: Identity, limit: usize) -> Self {
        Self { identity, next: 0, limit, token: 0, restart: Restart::No, entries: VecDeque::new() }
    }

    /// Batches that are not done.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Is everything done?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The batches that are not done, in order.
    pub fn batches(&self) -> impl Iterator<Item = &B> {
        self.entries.iter().map(|entry| &entry.batch)
    }

    /// May a new batch be sent now?
    #[must_use]
    pub fn may_admit(&self) -> bool {
        self.restart == Restart::No && self.entries.len() < self.limit && self.entries.iter().all(|e| e.sent)
    }

    /// Must the first batch be sent again now?
    #[must_use]
    pub fn must_resend(&self) -> bool {
        self.restart == Restart::No && !self.entries.is_empty() && self.quiet()
    }

    /// Does everything stand still until [`renew`](Self::renew)?
    #[must_use]
    pub fn wants_identity(&self) -> bool {
        self.restart == Restart::NewIdentity && self.quiet()
    }

    fn quiet(&self) -> bool {
        self.entries.iter().all(|entry| !entry.sent)
    }

    /// Gives a new batch of `count` records its numbers, to be sent now. Only when [`may_admit`](Self::may_admit).
    pub fn admit(&mut self, batch: B, count: i32) -> Sending<'_, B> {
        debug_assert!(self.may_admit(), "a batch must not overtake one that waits");
        self.token += 1;
        let (token, sequence, identity) = (self.token, self.next, self.identity);
        self.next = after(sequence, count);
        self.entries.push_back(Entry { token, sequence, count, sent: true, in_doubt: false, batch });
        let batch = &self.entries[self.entries.len() - 1].batch;
        Sending { token, identity, sequence, batch }
    }

    /// The first batch, to be sent again now; `None` unless [`must_resend`](Self::must_resend).
    pub fn resend(&mut self) -> Option<Sending<'_, B>> {
        let identity = self.identity;
        let entry = if self.must_resend() { self.entries.front_mut() } else { None }?;
        entry.sent = true;
        Some(Sending { token: entry.token, identity, sequence: entry.sequence, batch: &entry.batch })
    }

    /// Takes in what became of an attempt. Returns the batch if it is done, for good or bad: everything but
    /// [`Outcome::Acked`] is bad then.
    pub fn settle(&mut self, token: u64, outcome: Outcome) -> Option<B> {
        let at = self.entries.iter().position(|entry| entry.token == token)?;
        let entry = &mut self.entries[at];
        entry.sent = false;
        entry.in_doubt |= outcome == Outcome::Unsure;
        let done = match outcome {
            Outcome::Acked | Outcome::Failed => true,
            // An attempt in doubt may be in the log under the old name: under a new one it would be there twice.
            Outcome::Fenced => entry.in_doubt,
            Outcome::Refused | Outcome::Unsure | Outcome::OutOfOrder => false,
        };
        match outcome {
            Outcome::OutOfOrder if at == 0 => self.raise(Restart::NextEpoch),
            Outcome::Fenced => self.raise(Restart::NewIdentity),
            _ => {}
        }
        let batch = if done { self.entries.remove(at).map(|entry| entry.batch) } else { None };
        self.restart_if_quiet();
        batch
    }

    /// Takes out the waiting batches that are too old.
    pub fn expire(&mut self, mut expired: impl FnMut(&B) -> bool) -> Vec<B> {
        let (mut kept, mut out) = (VecDeque::new(), Vec::new());
        for entry in self.entries.drain(..) {
            if !entry.sent && expired(&entry.batch) { out.push(entry.batch) } else { kept.push_back(entry) }
        }
        self.entries = kept;
        out
    }

    /// Begins anew under another name. Only when [`wants_identity`](Self::wants_identity).
    pub fn renew(&mut self, identity: Identity) {
        debug_assert!(self.quiet(), "numbers change only when no answer is out");
        self.restart = Restart::No;
        self.number(identity);
    }

    fn raise(&mut self, to: Restart) {
        if self.restart != Restart::NewIdentity {
            self.restart = to;
        }
    }

    fn restart_if_quiet(&mut self) {
        if self.restart != Restart::NextEpoch || !self.quiet() {
            return;
        }
        match self.identity.epoch.checked_add(1) {
            Some(epoch) => self.renew(Identity { epoch, ..self.identity }),
            None => self.restart = Restart::NewIdentity,
        }
    }

    fn number(&mut self, identity: Identity) {
        self.identity = identity;
        self.next = 0;
        for entry in &mut self.entries {
            entry.sequence = self.next;
            self.next = after(self.next, entry.count);
        }
    }
}

/// The sequence number `count` records later; after `i32::MAX` comes 0.
const fn after(sequence: i32, count: i32) -> i32 {
    sequence.wrapping_add(count) & i32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { id: 7, epoch: 0 };

    fn sequencer() -> Sequencer<&'static str> {
        Sequencer::new(IDENTITY, 5)
    }

    fn admit(s: &mut Sequencer<&'static str>, batch: &'static str) -> (u64, i32) {
        let sending = s.admit(batch, 10);
        (sending.token, sending.sequence)
    }

    fn resend(s: &mut Sequencer<&'static str>) -> Option<(u64, i16, i32, &'static str)> {
        s.resend().map(|s| (s.token, s.identity.epoch, s.sequence, *s.batch))
    }

    #[test]
    fn five_batches_are_under_way_and_the_sixth_waits() {
        let mut s = sequencer();
        let sent: Vec<_> = ["a", "b", "c", "d", "e"].map(|b| admit(&mut s, b)).to_vec();
        assert_eq!(sent, [(1, 0), (2, 10), (3, 20), (4, 30), (5, 40)]);
        assert!(!s.may_admit());
        assert_eq!(s.settle(1, Outcome::Acked), Some("a"));
        assert!(s.may_admit());
        assert_eq!(admit(&mut s, "f"), (6, 50));
    }

    #[test]
    fn after_a_failure_the_first_goes_alone_once_all_answers_are_there() {
        let mut s = sequencer();
        for batch in ["a", "b", "c"] {
            admit(&mut s, batch);
        }
        assert_eq!(s.settle(1, Outcome::Refused), None);
        assert!(!s.may_admit() && !s.must_resend(), "two answers are still out");
        assert_eq!(s.settle(2, Outcome::OutOfOrder), None);
        assert_eq!(s.settle(3, Outcome::OutOfOrder), None);
        assert_eq!(
            resend(&mut s),
            Some((1, 0, 0, "a")),
            "those behind the first are no reason for a new epoch"
        );
        assert_eq!(resend(&mut s), None);
        assert_eq!(s.settle(1, Outcome::Acked), Some("a"));
        assert!(!s.may_admit());
        assert_eq!(resend(&mut s), Some((2, 0, 10, "b")));
        assert_eq!(s.settle(2, Outcome::Acked), Some("b"));
        assert_eq!(resend(&mut s), Some((3, 0, 20, "c")));
        assert_eq!(s.settle(3, Outcome::Acked), Some("c"));
        assert_eq!(admit(&mut s, "d"), (4, 30));
    }

    #[test]
    fn a_first_batch_out_of_order_begins_anew_in_order_with_the_next_epoch() {
        let mut s = sequencer();
        for batch in ["a", "b", "c"] {
            admit(&mut s, batch);
        }
        assert_eq!(s.settle(1, Outcome::Acked), Some("a"));
        assert_eq!(s.settle(2, Outcome::OutOfOrder), None);
        assert!(!s.must_resend(), "the answer for c is out");
        assert_eq!(s.settle(3, Outcome::OutOfOrder), None);
        assert_eq!(resend(&mut s), Some((2, 1, 0, "b")));
        assert_eq!(s.settle(2, Outcome::Acked), Some("b"));
        assert_eq!(resend(&mut s), Some((3, 1, 10, "c")));
        assert_eq!(s.settle(3, Outcome::Acked), Some("c"));
        assert_eq!(admit(&mut s, "d"), (4, 20));
    }

    #[test]
    fn the_last_epoch_is_followed_by_a_new_id() {
        let mut s = Sequencer::new(Identity { id: 7, epoch: i16::MAX }, 5);
        s.admit("a", 1);
        assert_eq!(s.settle(1, Outcome::OutOfOrder), None);
        assert!(s.wants_identity() && !s.must_resend() && !s.may_admit());
        s.renew(Identity { id: 8, epoch: 0 });
        assert_eq!(s.resend().map(|s| (s.identity.id, s.sequence)), Some((8, 0)));
    }

    #[test]
    fn a_fenced_batch_gets_a_new_id_unless_it_may_be_in_the_log() {
        let mut s = sequencer();
        admit(&mut s, "a");
        admit(&mut s, "b");
        assert_eq!(s.settle(1, Outcome::Unsure), None);
        assert_eq!(s.settle(2, Outcome::Refused), None);
        assert!(resend(&mut s).is_some());
        assert_eq!(s.settle(1, Outcome::Fenced), Some("a"));
        assert!(s.wants_identity());
        s.renew(Identity { id: 8, epoch: 0 });
        assert_eq!(resend(&mut s), Some((2, 0, 0, "b")));
    }

    #[test]
    fn what_expires_leaves_a_gap_that_the_broker_finds() {
        let mut s = sequencer();
        for batch in ["a", "b", "c"] {
            admit(&mut s, batch);
        }
        for token in 1..=3 {
            assert_eq!(s.settle(token, Outcome::Unsure), None);
        }
        assert_eq!(s.expire(|b| *b == "a"), ["a"]);
        assert_eq!(resend(&mut s), Some((2, 0, 10, "b")), "a may be in the log: b keeps its number");
        assert_eq!(s.expire(|_| true), ["c"], "b is under way");
        assert_eq!(s.settle(2, Outcome::OutOfOrder), None);
        assert_eq!(resend(&mut s), Some((2, 1, 0, "b")));
    }

    #[test]
    fn numbers_begin_again_after_the_last() {
        assert_eq!(after(i32::MAX, 1), 0);
        assert_eq!(after(i32::MAX - 1, 3), 1);
    }

    #[test]
    fn a_late_answer_changes_nothing() {
        let mut s = sequencer();
        admit(&mut s, "a");
        assert_eq!(s.settle(1, Outcome::Failed), Some("a"));
        assert_eq!(s.settle(1, Outcome::Acked), None);
        assert!(s.is_empty() && s.may_admit());
    }
}

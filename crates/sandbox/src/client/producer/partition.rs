//! What is queued for one partition: batches that still grow, and batches that have a sequence number.

use std::{collections::VecDeque, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use super::{
    Acked, ProduceError, ProducerConfig, Record,
    sequencer::{Identity, Sequencer},
};
use crate::client::{ClientError, backoff::Backoff, batch};

/// A record and who waits for it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) record: Record,
    pub(super) answer: oneshot::Sender<Result<Acked, ProduceError>>,
    pub(super) space: OwnedSemaphorePermit,
}

/// Records that go together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    waiting: Vec<(oneshot::Sender<Result<Acked, ProduceError>>, OwnedSemaphorePermit)>,
    bytes: usize,
    begun: Instant,
}

impl Batch {
    fn new(now: Instant) -> Self {
        Self { records: Vec::new(), waiting: Vec::new(), bytes: 0, begun: now }
    }

    fn push(&mut self, pending: Pending, bytes: usize) {
        self.records.push(pending.record);
        self.waiting.push((pending.answer, pending.space));
        self.bytes += bytes;
    }

    /// The number of records; it is limited by the buffer, which is far below.
    pub(super) fn count(&self) -> i32 {
        i32::try_from(self.records.len()).unwrap_or(i32::MAX)
    }

    /// Tells everyone who waits. Who does not wait any more does not matter.
    pub(super) fn acked(self, partition: i32, base_offset: i64) {
        for (place, (answer, _space)) in (0i64..).zip(self.waiting) {
            let offset = if base_offset < 0 { -1 } else { base_offset + place };
            let _ = answer.send(Ok(Acked { partition, offset }));
        }
    }

    pub(super) fn failed(self, error: &ProduceError) {
        for (answer, _space) in self.waiting {
            let _ = answer.send(Err(error.clone()));
        }
    }
}

/// One partition.
#[derive(Debug)]
pub(super) struct Partition {
    open: VecDeque<Batch>,
    sequencer: Option<Sequencer<Batch>>,
    pub(super) backoff: Backoff,
    /// Nothing is sent before.
    pub(super) not_before: Instant,
    pub(super) last_error: Option<ClientError>,
}

impl Partition {
    pub(super) fn new(backoff: Backoff, now: Instant) -> Self {
        Self { open: VecDeque::new(), sequencer: None, backoff, not_before: now, last_error: None }
    }

    pub(super) fn push(&mut self, pending: Pending, now: Instant, batch_size: usize) {
        let bytes = batch::size_of(&pending.record);
        let fits = self.open.back().is_some_and(|last| last.bytes + bytes <= batch_size);
        if !fits {
            self.open.push_back(Batch::new(now));
        }
        if let Some(last) = self.open.back_mut() {
            last.push(pending, bytes);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.sequencer.as_ref().is_none_or(Sequencer::is_empty)
    }

    /// Takes a name, if there is none yet or a new one is wanted.
    pub(super) fn name(&mut self, identity: Identity, limit: usize) {
        match &mut self.sequencer {
            None => self.sequencer = Some(Sequencer::new(identity, limit.clamp(1, 5))),
            Some(sequencer) if sequencer.wants_identity() => sequencer.renew(identity),
            Some(_) => {}
        }
    }

    pub(super) fn wants_identity(&self) -> bool {
        self.sequencer.as_ref().is_some_and(Sequencer::wants_identity)
    }

    pub(super) fn is_named(&self) -> bool {
        self.sequencer.is_some()
    }

    pub(super) fn sequencer(&mut self) -> Option<&mut Sequencer<Batch>> {
        self.sequencer.as_mut()
    }

    /// Has it something to send, now that back-offs are over?
    pub(super) fn is_ready(&self, now: Instant, config: &ProducerConfig, flush: bool) -> bool {
        now >= self.not_before && self.sendable_at(config, flush).is_some_and(|at| at <= now)
    }

    /// When it has something to send, back-offs aside; `None` while only an answer can change that.
    fn sendable_at(&self, config: &ProducerConfig, flush: bool) -> Option<Instant> {
        let sequencer = self.sequencer.as_ref()?;
        let past = self.not_before;
        if sequencer.must_resend() {
            return Some(past);
        }
        let first = self.open.front().filter(|_| sequencer.may_admit())?;
        let full = self.open.len() > 1 || first.bytes >= config.batch_size;
        Some(if full || flush { past } else { first.begun + config.linger })
    }

    /// When to look again. What could be sent already waits for an answer, a connection or metadata instead.
    pub(super) fn wake(&self, now: Instant, config: &ProducerConfig, flush: bool) -> Option<Instant> {
        let send = self.sendable_at(config, flush).map(|at| at.max(self.not_before));
        let waiting = self.sequencer.iter().flat_map(Sequencer::batches);
        let oldest = waiting.chain(&self.open).map(|batch| batch.begun + config.delivery_timeout).min();
        send.into_iter().chain(oldest).filter(|at| *at > now).min()
    }

    /// The next new batch; only when the sequencer may admit it.
    pub(super) fn next(&mut self) -> Option<Batch> {
        self.open.pop_front()
    }

    /// Takes out what is too old and not under way.
    pub(super) fn expire(&mut self, now: Instant, limit: Duration) -> Vec<Batch> {
        let too_old = |batch: &Batch| now >= batch.begun + limit;
        let mut out = self.sequencer.as_mut().map(|s| s.expire(too_old)).unwrap_or_default();
        while self.open.front().is_some_and(too_old) {
            out.extend(self.open.pop_front());
        }
        out
    }
}

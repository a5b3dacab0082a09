//! One replica of one partition: batches in memory, leader epochs, producer states, transactions.
//!
//! A broker's log is a prefix of what its leader wrote, until leaders change; then it is cut where the two part, as KIP-101
//! has it. The sandbox copies between replicas by calling, not by fetching, but what is copied and what is cut is the same.

mod batch;
mod producers;
mod transactions;

pub(crate) use batch::{Batch, TimestampType};
pub(crate) use producers::ProducerState;
pub(crate) use transactions::{Aborted, Marker};

use crate::errors::{NONE, OFFSET_OUT_OF_RANGE};
use bytes::{Bytes, BytesMut};
use producers::Producers;
use std::collections::VecDeque;

/// A replica's log.
#[derive(Debug, Default)]
pub(crate) struct ReplicaLog {
    batches: VecDeque<Batch>,
    bytes: usize,
    start: i64,
    end: i64,
    /// What all in-sync replicas have, as far as this one knows.
    pub(crate) high_watermark: i64,
    /// Each leader epoch with the offset of its first record, ascending.
    epochs: Vec<(i32, i64)>,
    producers: Producers,
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base: i64,
    /// The end of the log that the batch needs to be replicated to.
    pub(crate) end: i64,
    pub(crate) append_time: i64,
    /// It was there already: a retry of one of the producer's last five.
    pub(crate) duplicate: bool,
}

impl ReplicaLog {
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// Bytes of all batches.
    pub(crate) fn size(&self) -> usize {
        self.bytes
    }

    /// The epoch of the last record, −1 for an empty log.
    pub(crate) fn last_epoch(&self) -> i32 {
        self.epochs.last().map_or(-1, |(epoch, _)| *epoch)
    }

    /// Appends as the leader of `epoch`; an error is a code of Kafka.
    pub(crate) fn append(&mut self, mut batch: Batch, epoch: i32) -> Result<Appended, i16> {
        let append_time = batch.append_time();
        if let Some(known) = self.producers.duplicate_of(&batch) {
            return Ok(Appended {
                base: known.offset,
                end: known.last_offset + 1,
                append_time: known.append_time,
                duplicate: true,
            });
        }
        self.producers.check(&batch)?;
        let base = self.end;
        batch.place(base, epoch);
        self.push(batch);
        Ok(Appended { base, end: self.end, append_time, duplicate: false })
    }

    /// Ends a producer's transaction as the leader of `epoch`, and answers the offset of the marker.
    pub(crate) fn end_transaction(
        &mut self,
        producer: (i64, i16),
        marker: Marker,
        epoch: i32,
        now_ms: i64,
    ) -> Result<i64, i16> {
        self.producers.check_end(producer.0, producer.1, marker)?;
        let mut batch = Batch::end(producer.0, producer.1, marker, now_ms);
        let base = self.end;
        batch.place(base, epoch);
        self.push(batch);
        Ok(base)
    }

    /// Has this producer a transaction open here, in this epoch?
    pub(crate) fn is_open(&self, producer: i64, epoch: i16) -> bool {
        self.producers.is_open(producer, epoch)
    }

    /// Has this producer written here?
    pub(crate) fn knows(&self, producer: i64) -> bool {
        self.producers.knows(producer)
    }

    /// Everything below is decided and in all in-sync replicas: what readers of committed records may have.
    pub(crate) fn last_stable(&self) -> i64 {
        let undecided = self.producers.transactions.first_undecided(self.high_watermark);
        undecided.map_or(self.high_watermark, |first| first.max(self.start).min(self.high_watermark))
    }

    /// Aborted transactions that have records from `from` up to `below`.
    pub(crate) fn aborted(&self, from: i64, below: i64) -> impl Iterator<Item = Aborted> + '_ {
        self.producers.transactions.aborted(from, below)
    }

    fn push(&mut self, batch: Batch) {
        if self.last_epoch() != batch.epoch {
            self.epochs.push((batch.epoch, batch.base));
        }
        if batch.marker.is_some() {
            self.producers.transactions.forget(self.start, self.high_watermark);
        }
        self.producers.note(&batch);
        self.end = batch.last + 1;
        self.bytes += batch.bytes.len();
        self.batches.push_back(batch);
    }

    /// Copies what the leader has and this log has not, after cutting what the leader never had.
    pub(crate) fn follow(&mut self, leader: &Self) {
        self.cut_where_it_parts(leader);
        if self.end < leader.start {
            *self = Self { start: leader.start, end: leader.start, ..Self::default() };
        }
        let from = leader.batches.partition_point(|b| b.base < self.end);
        for batch in leader.batches.range(from..) {
            self.push(batch.clone());
        }
        self.delete_before(leader.start);
        self.high_watermark = leader.high_watermark.min(self.end);
    }

    fn cut_where_it_parts(&mut self, leader: &Self) {
        // An epoch in which this replica led and wrote nothing is none.
        self.epochs.retain(|(_, start)| *start < self.end);
        while let Some(last) = self.batches.back().map(|b| b.epoch) {
            let (epoch, end) = leader.end_of_epoch(last);
            self.truncate(end.max(leader.start));
            if epoch == last || end < 0 {
                return;
            }
            // The leader never had this epoch: no record of it stays.
            let (_, own) = self.end_of_epoch(epoch);
            self.truncate(own);
        }
    }

    fn truncate(&mut self, end: i64) {
        if end >= self.end {
            return;
        }
        while self.batches.back().is_some_and(|b| b.last >= end) {
            if let Some(batch) = self.batches.pop_back() {
                self.bytes -= batch.bytes.len();
                self.end = batch.base;
            }
        }
        self.end = self.batches.back().map_or(end.max(self.start), |b| b.last + 1);
        self.epochs.retain(|(_, start)| *start < self.end);
        self.high_watermark = self.high_watermark.min(self.end);
        self.producers = Producers::default();
        for batch in &self.batches {
            self.producers.note(batch);
        }
    }

    /// Removes whole batches before `offset`, and moves the start there.
    pub(crate) fn delete_before(&mut self, offset: i64) {
        if offset <= self.start {
            return;
        }
        while self.batches.front().is_some_and(|b| b.last < offset) {
            if let Some(batch) = self.batches.pop_front() {
                self.bytes -= batch.bytes.len();
            }
        }
        self.start = offset.min(self.end);
        self.producers.transactions.forget(self.start, self.high_watermark);
        let first = self.epochs.partition_point(|(_, start)| *start <= self.start).saturating_sub(1);
        self.epochs.drain(..first);
        if let Some(first) = self.epochs.first_mut() {
            first.1 = first.1.max(self.start);
        }
    }

    /// The oldest batches go until `limit` bytes are left; only what is below the high watermark can go.
    pub(crate) fn retain_bytes(&mut self, limit: usize) {
        let mut bytes = self.bytes;
        let mut start = self.start;
        for batch in &self.batches {
            if bytes <= limit || batch.last >= self.high_watermark {
                break;
            }
            bytes -= batch.bytes.len();
            start = batch.last + 1;
        }
        self.delete_before(start);
    }

    /// Whole batches from the one that holds `offset`, below `below`: at most `max` bytes, but one batch if `at_least_one`.
    pub(crate) fn read(&self, offset: i64, below: i64, max: usize, at_least_one: bool) -> Result<Bytes, i16> {
        if offset < self.start || offset > self.end {
            return Err(OFFSET_OUT_OF_RANGE);
        }
        let from = self.batches.partition_point(|b| b.last < offset);
        let fitting = self.batches.range(from..).take_while(|b| b.last < below);
        let mut taken: Vec<&Batch> = Vec::new();
        let mut size = 0;
        for batch in fitting {
            if size + batch.bytes.len() > max && !(at_least_one && taken.is_empty()) {
                break;
            }
            size += batch.bytes.len();
            taken.push(batch);
        }
        Ok(match taken.as_slice() {
            [] => Bytes::new(),
            [one] => one.bytes.clone(),
            many => {
                let mut all = BytesMut::with_capacity(size);
                many.iter().for_each(|b| all.extend_from_slice(&b.bytes));
                all.freeze()
            }
        })
    }

    /// Where the batches end that [`Self::read`] gave for `offset`, by their bytes.
    pub(crate) fn end_of_read(&self, offset: i64, bytes: usize) -> i64 {
        let from = self.batches.partition_point(|b| b.last < offset);
        let mut left = bytes;
        let within = |b: &&Batch| {
            let whole = left >= b.bytes.len();
            left = left.saturating_sub(b.bytes.len());
            whole
        };
        self.batches.range(from..).take_while(within).last().map_or(offset, |b| b.last + 1)
    }

    /// Bytes between `offset` and `below`, without copying any.
    pub(crate) fn bytes_between(&self, offset: i64, below: i64) -> usize {
        let from = self.batches.partition_point(|b| b.last < offset);
        self.batches.range(from..).take_while(|b| b.last < below).map(|b| b.bytes.len()).sum()
    }

    /// Kafka's answer to OffsetForLeaderEpoch: the largest epoch not above `epoch`, and where it ends. (−1, −1): unknown.
    pub(crate) fn end_of_epoch(&self, epoch: i32) -> (i32, i64) {
        if epoch == self.last_epoch() && epoch >= 0 {
            return (epoch, self.end);
        }
        let after = self.epochs.partition_point(|(known, _)| *known <= epoch);
        match self.epochs.get(after) {
            // Newer than all that is known here.
            None => (-1, -1),
            // Older than all: it ends where the first known one begins.
            Some((_, start)) if after == 0 => (epoch, *start),
            Some((_, start)) => (self.epochs[after - 1].0, *start),
        }
    }

    /// A leader of `epoch` starts to write at the end of the log.
    pub(crate) fn lead(&mut self, epoch: i32) {
        if self.last_epoch() < epoch {
            self.epochs.retain(|(_, start)| *start < self.end);
            self.epochs.push((epoch, self.end));
        }
    }

    /// The first batch whose newest record is not older than `timestamp`: its offset, timestamp and epoch.
    pub(crate) fn find_time(&self, timestamp: i64, below: i64) -> Option<(i64, i64, i32)> {
        let found = self.batches.iter().find(|b| b.last < below && b.max_timestamp >= timestamp)?;
        let (offset, at) = found.first_since(timestamp);
        Some((offset.max(self.start), at, found.epoch))
    }

    /// The newest timestamp: offset, timestamp, epoch.
    pub(crate) fn newest_time(&self, below: i64) -> Option<(i64, i64, i32)> {
        let readable = self.batches.iter().filter(|b| b.last < below);
        let newest = readable.reduce(|a, b| if b.max_timestamp > a.max_timestamp { b } else { a })?;
        let (offset, at) = newest.first_since(newest.max_timestamp);
        Some((offset, at, newest.epoch))
    }

    /// The epoch of the record at `offset`, or of the end.
    pub(crate) fn epoch_at(&self, offset: i64) -> i32 {
        let after = self.epochs.partition_point(|(_, start)| *start <= offset);
        self.epochs.get(after.saturating_sub(1)).map_or(-1, |(epoch, _)| *epoch)
    }

    /// Every producer that has state here.
    pub(crate) fn producer_states(&self) -> impl Iterator<Item = ProducerState> + '_ {
        self.producers.states()
    }
}

/// Nothing wrong, or the code.
pub(crate) fn code<T>(result: &Result<T, i16>) -> i16 {
    result.as_ref().err().copied().unwrap_or(NONE)
}

#[cfg(test)]
pub(crate) mod tests;

//! What a log remembers of idempotent producers: each one's epoch and its last five batches.

use super::Batch;
use crate::errors::{INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER};
use std::collections::{HashMap, VecDeque};

/// A retry is recognised among so many batches of a producer.
const REMEMBERED: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Producers(HashMap<i64, Producer>);

#[derive(Debug, Default)]
struct Producer {
    epoch: i16,
    last_timestamp: i64,
    batches: VecDeque<Known>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    first: i32,
    last: i32,
    pub(super) offset: i64,
    pub(super) last_offset: i64,
    pub(super) append_time: i64,
}

impl Producers {
    /// The batch that this one repeats.
    pub(super) fn duplicate_of(&self, batch: &Batch) -> Option<Known> {
        let producer = self.of(batch).filter(|p| p.epoch == batch.header.producer_epoch)?;
        let (first, last) = sequences(batch);
        producer.batches.iter().find(|k| (k.first, k.last) == (first, last)).copied()
    }

    /// May this batch follow? A producer without state may begin anywhere.
    pub(super) fn check(&self, batch: &Batch) -> Result<(), i16> {
        let Some(producer) = self.of(batch) else { return Ok(()) };
        let (epoch, first) = (batch.header.producer_epoch, batch.header.base_sequence);
        if epoch < producer.epoch {
            return Err(INVALID_PRODUCER_EPOCH);
        }
        let expected = match producer.batches.back() {
            Some(last) if epoch == producer.epoch => next(last.last),
            _ => 0,
        };
        if first == expected { Ok(()) } else { Err(OUT_OF_ORDER_SEQUENCE_NUMBER) }
    }

    /// A batch is in the log.
    pub(super) fn note(&mut self, batch: &Batch) {
        if batch.header.producer_id < 0 {
            return;
        }
        let producer = self.0.entry(batch.header.producer_id).or_default();
        if producer.epoch != batch.header.producer_epoch {
            *producer = Producer { epoch: batch.header.producer_epoch, ..Producer::default() };
        }
        producer.last_timestamp = batch.max_timestamp;
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        let (first, last) = sequences(batch);
        let append_time = batch.append_time();
        producer.batches.push_back(Known {
            first,
            last,
            offset: batch.base,
            last_offset: batch.last,
            append_time,
        });
    }

    pub(super) fn states(&self) -> impl Iterator<Item = (i64, i16, i32, i64)> + '_ {
        let state = |(id, p): (&i64, &Producer)| {
            (*id, p.epoch, p.batches.back().map_or(-1, |b| b.last), p.last_timestamp)
        };
        self.0.iter().map(state)
    }

    fn of(&self, batch: &Batch) -> Option<&Producer> {
        self.0.get(&batch.header.producer_id).filter(|_| batch.header.producer_id >= 0)
    }
}

fn sequences(batch: &Batch) -> (i32, i32) {
    let first = batch.header.base_sequence;
    (first, advance(first, batch.header.last_offset_delta))
}

fn next(sequence: i32) -> i32 {
    advance(sequence, 1)
}

/// Sequences go round from 2^31 − 1 to 0.
fn advance(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    i32::try_from(sum & i64::from(i32::MAX)).unwrap_or(0)
}

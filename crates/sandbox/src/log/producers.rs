//! What a log remembers of producers: each one's epoch, its last five batches, and the transaction it has open here.

use super::{
    Batch,
    transactions::{Marker, OpenAndEnded},
};
use crate::errors::{
    INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, OUT_OF_ORDER_SEQUENCE_NUMBER, TRANSACTION_COORDINATOR_FENCED,
};
use std::collections::{HashMap, VecDeque};

/// A retry is recognised among so many batches of a producer.
const REMEMBERED: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Producers {
    by_id: HashMap<i64, Producer>,
    pub(super) transactions: OpenAndEnded,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    /// Of the coordinator that ended its last transaction, −1 for none.
    coordinator_epoch: i32,
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

/// A producer as DescribeProducers shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerState {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    /// −1: none since the last end of a transaction that raised the epoch.
    pub(crate) last_sequence: i32,
    pub(crate) last_timestamp: i64,
    pub(crate) coordinator_epoch: i32,
    /// −1: no transaction is open.
    pub(crate) transaction_start: i64,
}

impl Producer {
    fn new(epoch: i16) -> Self {
        Self { epoch, coordinator_epoch: -1, last_timestamp: -1, batches: VecDeque::new() }
    }
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
        if first != expected {
            return Err(OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
        let open = self.transactions.start(batch.header.producer_id).is_some();
        if open && !batch.header.is_transactional() { Err(INVALID_TXN_STATE) } else { Ok(()) }
    }

    /// May this transaction be ended by this coordinator?
    pub(super) fn check_end(&self, id: i64, epoch: i16, marker: Marker) -> Result<(), i16> {
        match self.by_id.get(&id) {
            Some(producer) if epoch < producer.epoch => Err(INVALID_PRODUCER_EPOCH),
            Some(producer) if marker.coordinator_epoch < producer.coordinator_epoch => {
                Err(TRANSACTION_COORDINATOR_FENCED)
            }
            _ => Ok(()),
        }
    }

    /// Has this producer a transaction open here, in this epoch?
    pub(super) fn is_open(&self, id: i64, epoch: i16) -> bool {
        self.by_id.get(&id).is_some_and(|p| p.epoch == epoch) && self.transactions.start(id).is_some()
    }

    /// Is anything known of this producer?
    pub(super) fn knows(&self, id: i64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// A batch is in the log.
    pub(super) fn note(&mut self, batch: &Batch) {
        let id = batch.header.producer_id;
        if id < 0 {
            return;
        }
        let epoch = batch.header.producer_epoch;
        let producer = self.by_id.entry(id).or_insert_with(|| Producer::new(epoch));
        if producer.epoch != epoch {
            *producer = Producer { coordinator_epoch: producer.coordinator_epoch, ..Producer::new(epoch) };
        }
        producer.last_timestamp = batch.max_timestamp;
        if let Some(marker) = batch.marker {
            producer.coordinator_epoch = marker.coordinator_epoch;
            self.transactions.end(id, batch.base, marker.commit);
            return;
        }
        producer.remember(batch);
        if batch.header.is_transactional() {
            self.transactions.begin(id, batch.base);
        }
    }

    pub(super) fn states(&self) -> impl Iterator<Item = ProducerState> + '_ {
        self.by_id.iter().map(|(id, producer)| ProducerState {
            id: *id,
            epoch: producer.epoch,
            last_sequence: producer.batches.back().map_or(-1, |b| b.last),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            transaction_start: self.transactions.start(*id).unwrap_or(-1),
        })
    }

    fn of(&self, batch: &Batch) -> Option<&Producer> {
        self.by_id.get(&batch.header.producer_id).filter(|_| batch.header.producer_id >= 0)
    }
}

impl Producer {
    fn remember(&mut self, batch: &Batch) {
        if self.batches.len() == REMEMBERED {
            self.batches.pop_front();
        }
        let (first, last) = sequences(batch);
        let append_time = batch.append_time();
        self.batches.push_back(Known {
            first,
            last,
            offset: batch.base,
            last_offset: batch.last,
            append_time,
        });
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

//! Transactions, as a state machine without sockets and without a clock.
//!
//! It follows the coordinator of Apache Kafka 4.3 (KIP-98, KIP-360, KIP-890): `transaction` is one transactional id with its
//! states, and this file what producers ask of it. Everything is written to the coordinator's log before it is answered, so a
//! change of the coordinator loses nothing; whoever owns the [`Transactions`] asks only for those that are served now. It
//! calls [`Transactions::expire`] often, writes the markers of [`Transactions::due`], and says so with
//! [`Transactions::written`].
//!
//! Times are milliseconds since 1970, as clients see them.
//!
//! Left out: two-phase commit (KIP-939), and the expiry of transactional ids that nobody uses.

#[cfg(test)]
mod tests;
mod transaction;

pub(crate) use transaction::{Partition, Protocol, State};

use crate::errors::{
    CONCURRENT_TRANSACTIONS, INVALID_PRODUCER_ID_MAPPING, INVALID_REQUEST, INVALID_TRANSACTION_TIMEOUT,
    PRODUCER_FENCED, TRANSACTION_ABORTABLE, TRANSACTIONAL_ID_NOT_FOUND,
};
use std::collections::BTreeMap;
use transaction::Transaction;

/// `transaction.max.timeout.ms`.
const MAX_TIMEOUT_MS: i32 = 900_000;

/// A producer id with its epoch.
pub(crate) type Producer = (i64, i16);

/// Gives out producer ids that nobody has.
pub(crate) type NewId<'a> = &'a mut dyn FnMut() -> i64;

/// A marker that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) id: String,
    pub(crate) producer: Producer,
    pub(crate) commit: bool,
    pub(crate) partition: Partition,
}

/// A transactional id as DescribeTransactions and ListTransactions show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) id: String,
    pub(crate) producer: Producer,
    pub(crate) state: State,
    pub(crate) timeout_ms: i32,
    /// −1: none was begun since the producer introduced itself.
    pub(crate) started_ms: i64,
    pub(crate) partitions: Vec<Partition>,
}

/// The transactional ids of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    by_id: BTreeMap<String, Transaction>,
}

impl Transactions {
    /// InitProducerId: who introduces itself fences whoever used the id before. `expected` is what a client that goes on after
    /// an error says of itself (KIP-360).
    pub(crate) fn init(
        &mut self,
        id: &str,
        timeout_ms: i32,
        expected: Option<Producer>,
        new_id: NewId<'_>,
        now: i64,
    ) -> Result<Producer, i16> {
        if id.is_empty() {
            return Err(INVALID_REQUEST);
        }
        if !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms) {
            return Err(INVALID_TRANSACTION_TIMEOUT);
        }
        let transaction = self.by_id.entry(id.to_owned()).or_insert_with(|| Transaction::new(new_id()));
        transaction.init(timeout_ms, expected, new_id, now)
    }

    /// Partitions join the producer's transaction, which begins with the first one.
    pub(crate) fn add(
        &mut self,
        id: &str,
        producer: Producer,
        partitions: impl IntoIterator<Item = Partition>,
        protocol: Protocol,
        now: i64,
    ) -> Result<(), i16> {
        self.of(id, producer)?.add(partitions, protocol, now)
    }

    /// Are these partitions in the producer's transaction? One code for each, or one for all of them.
    pub(crate) fn verify(
        &mut self,
        id: &str,
        producer: Producer,
        partitions: &[Partition],
    ) -> Result<Vec<Result<(), i16>>, i16> {
        let transaction = self.of(id, producer)?;
        if transaction.state.is_ending() {
            return Err(CONCURRENT_TRANSACTIONS);
        }
        let known = |p: &Partition| transaction.partitions.contains(p);
        Ok(partitions.iter().map(|p| if known(p) { Ok(()) } else { Err(TRANSACTION_ABORTABLE) }).collect())
    }

    /// EndTxn: commits or aborts, and answers what the producer is from then on.
    pub(crate) fn end(
        &mut self,
        id: &str,
        producer: Producer,
        commit: bool,
        protocol: Protocol,
        new_id: NewId<'_>,
        now: i64,
    ) -> Result<Producer, i16> {
        let transaction = self.find(id)?;
        transaction.end(producer, commit, protocol, new_id, now)
    }

    fn find(&mut self, id: &str) -> Result<&mut Transaction, i16> {
        if id.is_empty() {
            return Err(INVALID_REQUEST);
        }
        self.by_id.get_mut(id).ok_or(INVALID_PRODUCER_ID_MAPPING)
    }

    /// The transactional id, if it is this producer's.
    fn of(&mut self, id: &str, (producer, epoch): Producer) -> Result<&mut Transaction, i16> {
        let transaction = self.find(id)?;
        match transaction {
            other if other.producer != producer => Err(INVALID_PRODUCER_ID_MAPPING),
            other if other.epoch != epoch => Err(PRODUCER_FENCED),
            _ => Ok(transaction),
        }
    }

    /// Aborts what is open for longer than its producer asked for, and fences that producer.
    pub(crate) fn expire(&mut self, now: i64, served: impl Fn(&str) -> bool) {
        for (_, transaction) in self.by_id.iter_mut().filter(|(id, _)| served(id)) {
            transaction.expire(now);
        }
    }

    /// The markers that are to be written.
    pub(crate) fn due(&self, served: impl Fn(&str) -> bool) -> Vec<Due> {
        let ending = self.by_id.iter().filter(|(id, t)| t.state.is_ending() && served(id));
        let due = |(id, t): (&String, &Transaction)| {
            let commit = t.state == State::PrepareCommit;
            let producer = (t.producer, t.epoch);
            let of = |p: &Partition| Due { id: id.clone(), producer, commit, partition: p.clone() };
            t.partitions.iter().map(of).collect::<Vec<_>>()
        };
        ending.flat_map(due).collect()
    }

    /// A marker is written, or its partition is gone.
    pub(crate) fn written(&mut self, due: &Due) {
        if let Some(transaction) = self.by_id.get_mut(&due.id)
            && (transaction.producer, transaction.epoch) == due.producer
        {
            transaction.written(&due.partition);
        }
    }

    /// Transactions that have every marker are complete. Called after [`Self::written`]: one without partitions needs none.
    pub(crate) fn complete(&mut self, served: impl Fn(&str) -> bool) {
        for (_, transaction) in self.by_id.iter_mut().filter(|(id, _)| served(id)) {
            transaction.complete_if_written();
        }
    }

    pub(crate) fn describe(&self, id: &str) -> Result<Description, i16> {
        if id.is_empty() {
            return Err(INVALID_REQUEST);
        }
        self.by_id.get(id).map(|t| t.description(id)).ok_or(TRANSACTIONAL_ID_NOT_FOUND)
    }

    /// All transactional ids, in their order.
    pub(crate) fn list(&self) -> impl Iterator<Item = Description> {
        self.by_id.iter().map(|(id, transaction)| transaction.description(id))
    }
}

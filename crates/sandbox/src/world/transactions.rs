//! What transactions need of the rest of the cluster: markers in logs and groups, and partitions that join them.

use super::{Coordinated, LogKey, World, key_partition, now_ms};
use crate::{
    errors::{
        CONCURRENT_TRANSACTIONS, COORDINATOR_NOT_AVAILABLE, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE,
        NOT_COORDINATOR, NOT_ENOUGH_REPLICAS, NOT_LEADER_OR_FOLLOWER, PRODUCER_FENCED, TRANSACTION_ABORTABLE,
    },
    log::Marker,
    transactions::{Due, Partition, Producer, Protocol},
};

/// What a request that belongs to a transaction may ask of its coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joins {
    /// The partition joins the transaction (KIP-890, version 2).
    Adds,
    /// It must be in the transaction already, and the client knows what to do if it is not.
    Abortable,
    /// The same of an older client.
    Older,
}

impl World {
    /// Aborts what took too long, and writes the markers that can be written now.
    pub(crate) fn run_transactions(&mut self) {
        let now = now_ms();
        let coordinators = self.coordinators[Coordinated::Transactions as usize];
        let coordinator =
            |id: &str| *usize::try_from(key_partition(id)).ok().and_then(|p| coordinators.get(p))?;
        let writable: Vec<bool> = (0..)
            .zip(&coordinators)
            .map(|(p, by)| by.is_some_and(|b| self.can_write(b, Coordinated::Transactions, p)))
            .collect();
        let served = |id: &str| {
            let partition = usize::try_from(key_partition(id)).ok();
            partition.and_then(|p| writable.get(p)).is_some_and(|can| *can)
        };
        self.transactions.expire(now, served);
        for due in self.transactions.due(served) {
            if coordinator(&due.id).is_some_and(|from| self.write_marker(from, &due, now)) {
                self.transactions.written(&due);
            }
        }
        self.transactions.complete(served);
    }

    /// Writes one marker; false if that must be tried again.
    fn write_marker(&mut self, from: usize, due: &Due, now: i64) -> bool {
        let (topic, index) = (due.partition.0.as_str(), due.partition.1);
        let Some(partition) = self.image.partition(topic, index) else {
            // Its topic is deleted, and there is nothing that could be decided.
            return true;
        };
        let Some(leader) = partition.leader.filter(|b| self.reachable(from, *b)) else { return false };
        let marker = Marker { commit: due.commit, coordinator_epoch: self.coordinator_epoch(from, &due.id) };
        match self.end_transaction(leader, &due.partition, due.producer, marker, now) {
            // Somebody else has ended it, and the producer has moved on.
            Ok(()) | Err(INVALID_PRODUCER_EPOCH) => true,
            Err(_) => false,
        }
    }

    /// The leader epoch of the partition that the transactional id belongs to.
    fn coordinator_epoch(&self, broker: usize, id: &str) -> i32 {
        let view = &self.brokers[broker].view;
        view.partition(Coordinated::Transactions.topic(), key_partition(id)).map_or(-1, |p| p.leader_epoch)
    }

    /// Ends a producer's transaction in one partition, at the broker that should lead it.
    pub(crate) fn end_transaction(
        &mut self,
        broker: usize,
        (topic, index): &Partition,
        producer: Producer,
        marker: Marker,
        now: i64,
    ) -> Result<(), i16> {
        let led = self.led(broker, topic, *index, -1)?;
        let settings = self.brokers[broker].view.topics.get(topic.as_str());
        let min_isr = settings.map_or(1, |topic| self.min_isr(topic, &led.partition));
        if led.partition.isr.len() < min_isr || !self.can_commit(broker, &led.partition) {
            return Err(NOT_ENOUGH_REPLICAS);
        }
        if topic == Coordinated::Groups.topic() {
            if self.coordinator_of(Coordinated::Groups, *index) != Some(broker) {
                return Err(NOT_LEADER_OR_FOLLOWER);
            }
            let here = |group: &str| key_partition(group) == *index;
            self.groups.end_transaction(producer.0, marker.commit, here);
            return Ok(());
        }
        self.log(broker, led.key).end_transaction(producer, marker, led.partition.leader_epoch, now)?;
        self.replicate(broker, led.key, &led.partition);
        Ok(())
    }

    /// A batch of a transaction is to be appended to a log: is the partition in the transaction, or can it join?
    pub(crate) fn join_transaction(
        &mut self,
        broker: usize,
        id: &str,
        producer: Producer,
        key: LogKey,
        partition: &Partition,
        joins: Joins,
    ) -> Result<(), i16> {
        if self.log(broker, key).is_open(producer.0, producer.1) {
            return Ok(());
        }
        let retriable = |code| match code {
            // Older clients would not try again; this one makes them do so.
            CONCURRENT_TRANSACTIONS | COORDINATOR_NOT_AVAILABLE | NOT_COORDINATOR => NOT_ENOUGH_REPLICAS,
            code => code,
        };
        self.ask_coordinator(broker, id, producer, partition, joins).map_err(retriable)
    }

    /// Asks the coordinator of a transaction whether a partition is in it, or adds it.
    pub(crate) fn ask_coordinator(
        &mut self,
        broker: usize,
        id: &str,
        producer: Producer,
        partition: &Partition,
        joins: Joins,
    ) -> Result<(), i16> {
        let coordinator = self.brokers[broker].view.coordinator(Coordinated::Transactions, id);
        let coordinator =
            coordinator.filter(|c| self.reachable(broker, *c)).ok_or(COORDINATOR_NOT_AVAILABLE)?;
        self.serves(coordinator, Coordinated::Transactions, id, joins == Joins::Adds)?;
        let result = match joins {
            Joins::Adds => self.transactions.add(id, producer, [partition.clone()], Protocol::V2, now_ms()),
            Joins::Abortable | Joins::Older => self
                .transactions
                .verify(id, producer, std::slice::from_ref(partition))
                .and_then(|each| each.into_iter().collect()),
        };
        result.map_err(|code| match code {
            PRODUCER_FENCED => INVALID_PRODUCER_EPOCH,
            TRANSACTION_ABORTABLE if joins == Joins::Older => INVALID_TXN_STATE,
            code => code,
        })
    }
}

//! A transactional producer that speaks the protocol itself: what the cases of transactions have in common.

use pointsman_wire::{Struct, Value};

use super::conn::Conn;
use super::records::Batch;
use super::topic::{Topic, partitions, produce_request};
use super::{Context, check, eventually, only, same};

pub(super) const INIT: i16 = 22;
pub(super) const ADD_PARTITIONS: i16 = 24;
pub(super) const ADD_OFFSETS: i16 = 25;
pub(super) const END: i16 = 26;
pub(super) const OFFSET_COMMIT: i16 = 28;
pub(super) const DESCRIBE: i16 = 65;
/// From this version of EndTxn on every end raises the epoch (KIP-890, transaction version 2).
pub(super) const END_BUMPS: i16 = 5;
/// The newest EndTxn of transaction version 1.
pub(super) const END_STAYS: i16 = END_BUMPS - 1;
/// From this version of Produce on a partition joins the transaction with its first batch.
pub(super) const PRODUCE_ADDS: i16 = 12;

/// FindCoordinator's type of key.
const TRANSACTION: i64 = 1;

/// A transactional id, and what the coordinator said last of it.
pub(super) struct Producer<'a, 'b> {
    context: &'a Context<'b>,
    pub(super) conn: Conn,
    pub(super) name: String,
    pub(super) timeout: i32,
    pub(super) id: i64,
    pub(super) epoch: i16,
    sequence: i32,
}

/// The index of the broker that coordinates a transactional id; asks the broker `from`.
pub(super) fn coordinator(context: &Context<'_>, from: usize, name: &str) -> Result<usize, String> {
    let request = Struct::new().with("Key", name).with("KeyType", TRANSACTION);
    eventually(|| {
        let answer = context.broker(from)?.call(10, context.at_most(10, 3), &request)?;
        same("FindCoordinator", answer.i16("ErrorCode"), 0)?;
        context.index(answer.i32("NodeId"))
    })
}

impl<'a, 'b> Producer<'a, 'b> {
    /// A producer that has not introduced itself.
    pub(super) fn named(context: &'a Context<'b>, name: &str) -> Result<Self, String> {
        let name = format!("raw-{name}");
        let conn = context.broker(coordinator(context, 0, &name)?)?;
        Ok(Self { context, conn, name, timeout: 60_000, id: -1, epoch: -1, sequence: 0 })
    }

    /// A producer with an id and an epoch.
    pub(super) fn new(context: &'a Context<'b>, name: &str) -> Result<Self, String> {
        let mut producer = Self::named(context, name)?;
        producer.init()?;
        Ok(producer)
    }

    pub(super) fn init_request(&self, expected: (i64, i16)) -> Struct {
        Struct::new()
            .with("TransactionalId", self.name.as_str())
            .with("TransactionTimeoutMs", self.timeout)
            .with("ProducerId", expected.0)
            .with("ProducerEpoch", expected.1)
    }

    /// Error, producer id and epoch of one InitProducerId.
    pub(super) fn try_init(&mut self, version: i16, expected: (i64, i16)) -> Result<(i16, i64, i16), String> {
        let answer = self.conn.call(INIT, version, &self.init_request(expected))?;
        Ok((answer.i16("ErrorCode"), answer.int("ProducerId"), answer.i16("ProducerEpoch")))
    }

    /// Introduces itself, as a client that was started does. A transaction that was open ends first (51), and a coordinator
    /// that was just made loads (14, 15, 16).
    pub(super) fn init(&mut self) -> Result<(), String> {
        let version = self.context.newest(INIT);
        eventually(|| {
            let (error, id, epoch) = self.try_init(version, (-1, -1))?;
            same("InitProducerId", error, 0)?;
            (self.id, self.epoch, self.sequence) = (id, epoch, 0);
            Ok(())
        })
    }

    /// The producer as another process would have it that knows id and epoch of before.
    pub(super) fn as_of(&self, id: i64, epoch: i16) -> Result<Self, String> {
        let conn = self.context.broker(coordinator(self.context, 0, &self.name)?)?;
        Ok(Self {
            context: self.context,
            conn,
            name: self.name.clone(),
            timeout: self.timeout,
            id,
            epoch,
            sequence: self.sequence,
        })
    }

    fn signed(&self) -> Struct {
        Struct::new()
            .with("TransactionalId", self.name.as_str())
            .with("ProducerId", self.id)
            .with("ProducerEpoch", self.epoch)
    }

    pub(super) fn add_request(&self, version: i16, topics: &[(&str, &[i32])]) -> Struct {
        let topics: Vec<Struct> = topics
            .iter()
            .map(|(name, indexes)| {
                let indexes: Vec<Value> = indexes.iter().map(|i| Value::from(*i)).collect();
                Struct::new().with("Name", *name).with("Partitions", indexes)
            })
            .collect();
        if version >= 4 {
            let of = self.signed().with("VerifyOnly", false).with("Topics", topics);
            return Struct::new().with("Transactions", vec![of]);
        }
        Struct::new()
            .with("V3AndBelowTransactionalId", self.name.as_str())
            .with("V3AndBelowProducerId", self.id)
            .with("V3AndBelowProducerEpoch", self.epoch)
            .with("V3AndBelowTopics", topics)
    }

    /// The errors of partitions that are to join the transaction, in order.
    pub(super) fn add(&mut self, version: i16, topics: &[(&str, &[i32])]) -> Result<Vec<i16>, String> {
        let request = self.add_request(version, topics);
        let answer = self.conn.call(ADD_PARTITIONS, version, &request)?;
        let topics: Vec<&Struct> = if version >= 4 {
            same("error of the whole", answer.i16("ErrorCode"), 0)?;
            let of = only("transactions", answer.structs("ResultsByTransaction"))?;
            same("transactional id", of.str("TransactionalId"), self.name.as_str())?;
            of.structs("TopicResults").collect()
        } else {
            answer.structs("ResultsByTopicV3AndBelow").collect()
        };
        let mut errors: Vec<(String, i32, i16)> = Vec::new();
        for topic in topics {
            errors.extend(topic.structs("ResultsByPartition").map(|p| {
                (topic.str("Name").to_owned(), p.i32("PartitionIndex"), p.i16("PartitionErrorCode"))
            }));
        }
        errors.sort();
        Ok(errors.into_iter().map(|(.., error)| error).collect())
    }

    /// The partition joins the transaction, as clients of transaction version 1 ask for it.
    pub(super) fn begin(&mut self, topic: &Topic, partition: i32) -> Result<(), String> {
        let version = self.context.at_most(ADD_PARTITIONS, 3);
        // The end of the transaction before this one may still be under way (51).
        eventually(|| same("AddPartitionsToTxn", self.add(version, &[(&topic.name, &[partition])])?, vec![0]))
    }

    /// The errors of the group's joining the transaction.
    pub(super) fn add_offsets(&mut self, version: i16, group: &str) -> Result<i16, String> {
        let request = self.signed().with("GroupId", group);
        Ok(self.conn.call(ADD_OFFSETS, version, &request)?.i16("ErrorCode"))
    }

    /// Error, producer id and epoch of an EndTxn.
    pub(super) fn end(&mut self, version: i16, commit: bool) -> Result<(i16, i64, i16), String> {
        let request = self.signed().with("Committed", commit);
        let answer = self.conn.call(END, version, &request)?;
        Ok((answer.i16("ErrorCode"), answer.int("ProducerId"), answer.i16("ProducerEpoch")))
    }

    /// Ends the transaction, which must work, with the epoch that stays.
    pub(super) fn finish(&mut self, commit: bool) -> Result<(), String> {
        same("EndTxn", self.end(END_STAYS, commit)?.0, 0)
    }

    pub(super) fn batch(&self, values: &[&str]) -> Batch {
        Batch::of(values).by(self.id, self.epoch, self.sequence).transactional()
    }

    /// Error and first offset of a produce in `version`.
    pub(super) fn try_send(
        &mut self,
        version: i16,
        topic: &Topic,
        partition: i32,
        values: &[&str],
    ) -> Result<(i16, i64), String> {
        let batch = self.batch(values);
        let mut request = produce_request(topic, partition, -1, batch.bytes());
        request.set("TransactionalId", self.name.as_str());
        let answer = self.context.leader(topic, partition)?.call(0, version, &request)?;
        let of = only("produced partitions", partitions(&answer, "PartitionResponses"))?;
        if of.i16("ErrorCode") == 0 {
            self.sequence += i32::try_from(values.len()).map_err(|e| e.to_string())?;
        }
        Ok((of.i16("ErrorCode"), of.int("BaseOffset")))
    }

    /// Sends to a partition that is in the transaction, in the version of transaction version 1.
    pub(super) fn send(&mut self, topic: &Topic, values: &[&str]) -> Result<i64, String> {
        let (error, offset) = self.try_send(PRODUCE_ADDS - 1, topic, 0, values)?;
        same("produce", error, 0)?;
        Ok(offset)
    }

    /// Sequence numbers begin anew, as after each rise of the epoch.
    pub(super) fn restart(&mut self, epoch: i16) {
        (self.epoch, self.sequence) = (epoch, 0);
    }

    pub(super) fn skip(&mut self, sequences: i32) {
        self.sequence += sequences;
    }

    pub(super) fn describe(&mut self) -> Result<Struct, String> {
        let request = Struct::new().with("TransactionalIds", vec![Value::from(self.name.as_str())]);
        let answer = self.conn.call(DESCRIBE, self.context.newest(DESCRIBE), &request)?;
        only("transactions", answer.structs("TransactionStates")).cloned()
    }

    /// Waits until the transaction is in this state.
    pub(super) fn wait_state(&mut self, state: &str) -> Result<(), String> {
        eventually(|| {
            let seen = self.describe()?;
            check(seen.str("TransactionState") == state, || format!("expected {state}, saw {seen:?}"))
        })
    }
}

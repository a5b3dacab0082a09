//! Keeps the order of an idempotent producer's batches when some of them were failed here.
//!
//! A broker without state for a producer takes any first sequence. If batches n and n+1 were failed by a switch and n+2, already on its
//! way, reached the new cluster first, that cluster would refuse n from then on. So a batch that was failed here, or that a broker
//! did not take although it can be sent again, closes a gate for its (producer, partition). When the failed batch (or an older one) comes again, or a higher epoch, it passes, and behind it whatever
//! takes the same way to the same broker; another connection could be faster. When a broker has taken it, or after a deadline,
//! the gate is open.

use crate::{Now, rules::request::Producer, topology::NodeId};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Entries; beyond it the oldest knowledge is given up: about 100 bytes each.
const CAPACITY: usize = 100_000;
/// A producer that has not come back by then has given the batch up (`delivery.timeout.ms` is two minutes by default).
const DEADLINE: Duration = Duration::from_secs(120);
/// Entries of producers that gave up are looked for this often, so that an empty table costs nothing again.
const PURGE: Duration = Duration::from_secs(10);

/// The gates of one virtual cluster.
#[derive(Debug, Default)]
pub struct Gate {
    closed: AtomicUsize,
    sessions: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    /// When to look for entries whose time is over.
    purge_at: Now,
}

impl Table {
    fn purge(&mut self, now: Now) {
        if now >= self.purge_at {
            self.entries.retain(|_, e| e.until > now);
            self.purge_at = now + PURGE;
        }
    }
}

/// Producer id, topic, partition.
type Key = (i64, Arc<str>, i32);

#[derive(Debug, Clone, Copy)]
struct Entry {
    epoch: i16,
    sequence: i32,
    until: Now,
    /// It has come again, and went this way.
    passing: Option<Way>,
}

/// A connection to a broker: what takes the same way arrives in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The client connection that it belongs to; see [`Gate::enter`].
    pub session: u64,
    /// The broker.
    pub node: NodeId,
}

/// The broker has the batch: without error, already, or not yet on enough replicas.
const WRITTEN: [i16; 3] = [0, 46, 20];
/// The broker does not take the batch now, and clients send it again as it is.
const SENT_AGAIN: [i16; 9] = [3, 5, 6, 7, 19, 56, 74, 75, 100];

impl Gate {
    /// A number for a client connection.
    pub fn enter(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether no batch is waited for: then nothing needs to be told.
    pub fn is_open(&self) -> bool {
        self.closed.load(Ordering::Acquire) == 0
    }

    /// A batch was failed: later ones of the same producer and partition must not overtake it.
    pub fn close(&self, producer: Producer, topic: &Arc<str>, partition: i32, now: Now) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.purge(now);
        if table.entries.len() >= CAPACITY {
            table.entries.clear();
        }
        let failed = Entry {
            epoch: producer.epoch,
            sequence: producer.sequence,
            until: now + DEADLINE,
            passing: None,
        };
        table
            .entries
            .entry((producer.id, topic.clone(), partition))
            .and_modify(|e| {
                if producer.epoch > e.epoch
                    || (producer.epoch == e.epoch && !precedes(e.sequence, producer.sequence))
                {
                    *e = failed;
                }
            })
            .or_insert(failed);
        self.closed.store(table.entries.len(), Ordering::Release);
    }

    /// Whether a batch may pass this way. The one that was waited for may, and those behind it on its way.
    pub fn admits(&self, producer: Producer, topic: &Arc<str>, partition: i32, way: Way, now: Now) -> bool {
        if self.is_open() {
            return true;
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.purge(now);
        let key = (producer.id, topic.clone(), partition);
        if table.entries.get(&key).is_some_and(|entry| now >= entry.until) {
            table.entries.remove(&key);
        }
        self.closed.store(table.entries.len(), Ordering::Release);
        let Some(entry) = table.entries.get_mut(&key) else { return true };
        let later = producer.epoch == entry.epoch && precedes(entry.sequence, producer.sequence);
        if later || producer.epoch < entry.epoch {
            return later && entry.passing == Some(way);
        }
        (entry.epoch, entry.sequence) = (producer.epoch, producer.sequence);
        entry.passing = Some(way);
        true
    }

    /// A broker answered to a batch with this error code, 0 for none. Opens the gate if it was the one that was waited for, and
    /// closes it if it will come again: after a switch no broker has state yet that would keep the order.
    pub fn answered(&self, producer: Producer, topic: &Arc<str>, partition: i32, error: i16, now: Now) {
        if SENT_AGAIN.contains(&error) {
            return self.close(producer, topic, partition, now);
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (producer.id, topic.clone(), partition);
        let waited_for = (producer.epoch, producer.sequence);
        let Some(entry) = table.entries.get(&key).filter(|e| (e.epoch, e.sequence) == waited_for) else {
            return;
        };
        // After an error that is for good the client decides anew what comes next.
        if WRITTEN.contains(&error) || entry.passing.is_some() {
            table.entries.remove(&key);
            self.closed.store(table.entries.len(), Ordering::Release);
        }
    }
}

/// Whether sequence `a` comes before `b`; sequences wrap to 0 after 2³¹−1.
fn precedes(a: i32, b: i32) -> bool {
    let distance = b.wrapping_sub(a) & i32::MAX;
    distance != 0 && distance < 1 << 30
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: Way = Way { session: 1, node: 5 };
    const OTHERS: [Way; 2] = [Way { session: 2, node: 5 }, Way { session: 1, node: 6 }];

    fn batch(epoch: i16, sequence: i32) -> Producer {
        Producer { id: 7, epoch, sequence }
    }

    fn closed_at(sequence: i32) -> (Gate, Arc<str>) {
        let (gate, topic) = (Gate::default(), Arc::from("t"));
        gate.close(batch(0, sequence), &topic, 0, Now::ZERO);
        (gate, topic)
    }

    #[test]
    fn a_later_batch_waits_until_the_failed_one_has_come_again() {
        let (gate, topic) = closed_at(10);
        assert!(!gate.admits(batch(0, 12), &topic, 0, WAY, Now::ZERO));
        assert!(gate.admits(batch(0, 12), &topic, 1, WAY, Now::ZERO), "another partition");
        assert!(gate.admits(batch(0, 10), &topic, 0, WAY, Now::ZERO));
        assert!(gate.admits(batch(0, 12), &topic, 0, WAY, Now::ZERO));
    }

    #[test]
    fn what_takes_another_way_waits_until_the_failed_one_is_written() {
        let (gate, topic) = closed_at(10);
        assert!(gate.admits(batch(0, 10), &topic, 0, WAY, Now::ZERO));
        for way in OTHERS {
            assert!(!gate.admits(batch(0, 12), &topic, 0, way, Now::ZERO));
        }
        gate.answered(batch(0, 12), &topic, 0, 0, Now::ZERO);
        assert!(!gate.is_open(), "another batch's answer");
        gate.answered(batch(0, 10), &topic, 0, 0, Now::ZERO);
        assert!(gate.is_open());
    }

    #[test]
    fn a_broker_that_does_not_take_it_closes_the_gate_again() {
        let (gate, topic) = closed_at(10);
        assert!(gate.admits(batch(0, 10), &topic, 0, WAY, Now::ZERO));
        gate.answered(batch(0, 10), &topic, 0, 6, Now::ZERO);
        assert!(!gate.admits(batch(0, 12), &topic, 0, WAY, Now::ZERO));
        assert!(gate.admits(batch(0, 10), &topic, 0, OTHERS[0], Now::ZERO), "it goes another way now");
        gate.close(batch(0, 10), &topic, 0, Now::ZERO);
        assert!(!gate.admits(batch(0, 12), &topic, 0, OTHERS[0], Now::ZERO), "lost on its way");
        assert!(gate.admits(batch(0, 10), &topic, 0, WAY, Now::ZERO));
        gate.answered(batch(0, 10), &topic, 0, 10, Now::ZERO);
        assert!(gate.is_open(), "refused for good");
    }

    #[test]
    fn the_lowest_failed_sequence_counts() {
        let (gate, topic) = closed_at(10);
        gate.close(batch(0, 8), &topic, 0, Now::ZERO);
        gate.close(batch(0, 12), &topic, 0, Now::ZERO);
        assert!(!gate.admits(batch(0, 10), &topic, 0, WAY, Now::ZERO));
        assert!(gate.admits(batch(0, 8), &topic, 0, WAY, Now::ZERO));
    }

    #[test]
    fn a_new_epoch_and_the_deadline_open_it() {
        let (gate, topic) = closed_at(10);
        assert!(gate.admits(batch(1, 0), &topic, 0, WAY, Now::ZERO));
        let (gate, topic) = closed_at(10);
        assert!(gate.admits(batch(0, 12), &topic, 0, WAY, DEADLINE));
        assert_eq!(gate.closed.load(Ordering::Acquire), 0, "nothing is looked up any more");
    }

    #[test]
    fn sequences_wrap() {
        assert!(precedes(i32::MAX, 0) && precedes(1, 2) && !precedes(0, i32::MAX) && !precedes(3, 3));
    }
}

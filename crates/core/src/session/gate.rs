//! Keeps the order of an idempotent producer's batches when some of them were failed here.
//!
//! A broker without state for a producer takes any first sequence. If batches n and n+1 were failed by a switch and n+2, already on its
//! way, reached the new cluster first, that cluster would refuse n from then on. So a failed batch closes a gate for its
//! (producer, partition); it opens when the failed batch (or an older one) comes again, with a higher epoch, or after a deadline.

use crate::{Now, rules::request::Producer};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
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
}

impl Gate {
    /// A batch was failed: later ones of the same producer and partition must not overtake it.
    pub fn close(&self, producer: Producer, topic: &Arc<str>, partition: i32, now: Now) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.purge(now);
        if table.entries.len() >= CAPACITY {
            table.entries.clear();
        }
        let failed = Entry { epoch: producer.epoch, sequence: producer.sequence, until: now + DEADLINE };
        table
            .entries
            .entry((producer.id, topic.clone(), partition))
            .and_modify(|e| {
                if producer.epoch > e.epoch
                    || (producer.epoch == e.epoch && precedes(producer.sequence, e.sequence))
                {
                    *e = failed;
                }
            })
            .or_insert(failed);
        self.closed.store(table.entries.len(), Ordering::Release);
    }

    /// Whether a batch may pass. Opens the gate when it is the one that was waited for.
    pub fn admits(&self, producer: Producer, topic: &Arc<str>, partition: i32, now: Now) -> bool {
        if self.closed.load(Ordering::Acquire) == 0 {
            return true;
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.purge(now);
        let key = (producer.id, topic.clone(), partition);
        let overtakes = table.entries.get(&key).is_some_and(|entry| {
            let later = producer.epoch == entry.epoch
                && producer.sequence != entry.sequence
                && !precedes(producer.sequence, entry.sequence);
            (later || producer.epoch < entry.epoch) && now < entry.until
        });
        if !overtakes {
            table.entries.remove(&key);
        }
        self.closed.store(table.entries.len(), Ordering::Release);
        !overtakes
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
        assert!(!gate.admits(batch(0, 12), &topic, 0, Now::ZERO));
        assert!(gate.admits(batch(0, 12), &topic, 1, Now::ZERO), "another partition");
        assert!(gate.admits(batch(0, 10), &topic, 0, Now::ZERO));
        assert!(gate.admits(batch(0, 12), &topic, 0, Now::ZERO));
    }

    #[test]
    fn the_lowest_failed_sequence_counts() {
        let (gate, topic) = closed_at(10);
        gate.close(batch(0, 8), &topic, 0, Now::ZERO);
        gate.close(batch(0, 12), &topic, 0, Now::ZERO);
        assert!(!gate.admits(batch(0, 10), &topic, 0, Now::ZERO));
        assert!(gate.admits(batch(0, 8), &topic, 0, Now::ZERO));
    }

    #[test]
    fn a_new_epoch_and_the_deadline_open_it() {
        let (gate, topic) = closed_at(10);
        assert!(gate.admits(batch(1, 0), &topic, 0, Now::ZERO));
        let (gate, topic) = closed_at(10);
        assert!(gate.admits(batch(0, 12), &topic, 0, DEADLINE));
        assert_eq!(gate.closed.load(Ordering::Acquire), 0, "nothing is looked up any more");
    }

    #[test]
    fn sequences_wrap() {
        assert!(precedes(i32::MAX, 0) && precedes(1, 2) && !precedes(0, i32::MAX) && !precedes(3, 3));
    }
}

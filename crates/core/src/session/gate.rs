//! Keeps the order of an idempotent producer's batches when some of them were failed here.
//!
//! A broker without state for a producer takes any first sequence. If batches n and n+1 were failed by a switch and n+2, already on its
//! way, reached the new cluster first, that cluster would refuse n from then on. So a batch that was failed here, or that a broker
//! did not take although it can be sent again, is remembered for its (producer, partition), and what comes after it in sequence waits
//! until it has come again. Then they may follow it on the same way to the same broker; another connection could be faster, so
//! there they wait until a broker has taken it. A higher epoch passes, and after a deadline everything does.
//!
//! For the same reason every batch is followed for a while when a cluster begins to serve: leaders may just be moving, and a batch
//! that went to the new leader would overtake the one before it, which the former leader does not take.

use crate::{Now, broken::Mechanism, rules::request::Producer, topology::NodeId};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Entries; beyond it the knowledge is given up: about 200 bytes each with the few batches that producers have under way.
const CAPACITY: usize = 100_000;
/// Batches of one entry. Producers have at most five under way to a partition.
const BATCHES: usize = 16;
/// A producer that has not come back by then has given the batch up (`delivery.timeout.ms` is two minutes by default).
const DEADLINE: Duration = Duration::from_secs(120);
/// Every batch is followed for so long after a switch. By then producers that were at work have state on the new cluster, which keeps their
/// order itself.
const WATCH: Duration = Duration::from_secs(30);
/// Entries of producers that gave up are looked for this often, so that an empty table costs nothing again.
const PURGE: Duration = Duration::from_secs(10);

/// The gates of one virtual cluster.
#[derive(Debug, Default)]
pub struct Gate {
    /// How much there is to look at: entries, and one more while every batch is followed.
    closed: AtomicUsize,
    /// Generation of the switch that made the newest cluster active; 0 before the first.
    term: AtomicU64,
    sessions: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    /// When to look for entries whose time is over.
    purge_at: Now,
    /// Every batch is followed until then.
    watch: Option<Now>,
}

impl Table {
    /// How much there is to look at.
    fn len(&self) -> usize {
        self.entries.len() + usize::from(self.watch.is_some())
    }

    fn purge(&mut self, now: Now) {
        self.watch = self.watch.filter(|until| now < *until);
        if now >= self.purge_at {
            self.entries.retain(|_, e| e.until > now);
            self.purge_at = now + PURGE;
        }
    }
}

/// Producer id, topic, partition.
type Key = (i64, Arc<str>, i32);

#[derive(Debug, Clone)]
struct Entry {
    epoch: i16,
    /// Batches that were failed, or that passed after one that was, until a broker has answered: by their first sequence, in order.
    batches: Vec<Pending>,
    until: Now,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    sequence: i32,
    /// It has come again, and went this way.
    way: Option<Way>,
}

impl Entry {
    /// Notes where a batch is; beyond [`BATCHES`] the latest are forgotten, which are those that nothing waits for.
    fn note(&mut self, sequence: i32, way: Option<Way>) {
        match self.batches.iter_mut().find(|b| b.sequence == sequence) {
            Some(known) => known.way = way,
            None => {
                let at = self.batches.partition_point(|b| precedes(b.sequence, sequence));
                self.batches.insert(at, Pending { sequence, way });
                self.batches.truncate(BATCHES);
            }
        }
    }
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

    /// A cluster serves producers since this generation. Only a cluster that another one gave way to is without their state.
    pub fn serves(&self, term: u64, now: Now) {
        let known = self.term.load(Ordering::Relaxed) >= term;
        if known && self.is_open() {
            return;
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if known {
            // Producers without idempotence ask for nothing else here, and the end of the watch is theirs too.
            table.purge(now);
            self.closed.store(table.len(), Ordering::Release);
            return;
        }
        let before = self.term.fetch_max(term, Ordering::Relaxed);
        if before != 0 && before < term {
            table.watch = Some(now + WATCH);
            self.closed.store(table.len(), Ordering::Release);
        }
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
        let fresh = || Entry { epoch: producer.epoch, batches: Vec::new(), until: now + DEADLINE };
        let entry = table.entries.entry((producer.id, topic.clone(), partition)).or_insert_with(fresh);
        if producer.epoch > entry.epoch {
            *entry = fresh();
        }
        if producer.epoch == entry.epoch {
            entry.until = now + DEADLINE;
            entry.note(producer.sequence, None);
        }
        self.closed.store(table.len(), Ordering::Release);
    }

    /// Whether a batch may pass this way: if every one before it that was failed has come again and went the same way.
    pub fn admits(&self, producer: Producer, topic: &Arc<str>, partition: i32, way: Way, now: Now) -> bool {
        if self.is_open() || Mechanism::Gate.is_off() {
            return true;
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.purge(now);
        let key = (producer.id, topic.clone(), partition);
        if table.entries.get(&key).is_some_and(|entry| now >= entry.until) {
            table.entries.remove(&key);
        }
        self.closed.store(table.len(), Ordering::Release);
        let until = now + DEADLINE;
        let fresh = || Entry { epoch: producer.epoch, batches: Vec::new(), until };
        let entry = if table.watch.is_some() && table.entries.len() < CAPACITY {
            table.entries.entry(key).or_insert_with(fresh)
        } else {
            let Some(entry) = table.entries.get_mut(&key) else { return true };
            entry
        };
        if producer.epoch > entry.epoch {
            *entry = Entry { epoch: producer.epoch, batches: Vec::new(), until: entry.until };
        }
        let before = |b: &&Pending| precedes(b.sequence, producer.sequence);
        let passes = producer.epoch == entry.epoch
            && entry.batches.iter().filter(before).all(|earlier| earlier.way == Some(way));
        if passes {
            entry.note(producer.sequence, Some(way));
        }
        passes
    }

    /// A broker answered to a batch with this error code, 0 for none. What waited for this batch waits no more, unless the batch will
    /// come again: after a switch no broker has state yet that would keep the order.
    pub fn answered(&self, producer: Producer, topic: &Arc<str>, partition: i32, error: i16, now: Now) {
        if SENT_AGAIN.contains(&error) {
            return self.close(producer, topic, partition, now);
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (producer.id, topic.clone(), partition);
        let Some(entry) = table.entries.get_mut(&key).filter(|e| e.epoch == producer.epoch) else { return };
        // After an error that is for good the client decides anew what comes next.
        let settled =
            |b: &Pending| b.sequence == producer.sequence && (WRITTEN.contains(&error) || b.way.is_some());
        entry.batches.retain(|b| !settled(b));
        if entry.batches.is_empty() {
            table.entries.remove(&key);
        }
        self.closed.store(table.len(), Ordering::Release);
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
    fn every_failed_batch_is_waited_for() {
        let (gate, topic) = closed_at(10);
        gate.close(batch(0, 8), &topic, 0, Now::ZERO);
        gate.close(batch(0, 12), &topic, 0, Now::ZERO);
        let passes = |sequence| gate.admits(batch(0, sequence), &topic, 0, WAY, Now::ZERO);
        assert!(!passes(10));
        assert!(passes(8));
        assert!(!passes(12), "10 has not come again");
        assert!(passes(10) && passes(12) && passes(14));
        for sequence in [8, 10, 12] {
            gate.answered(batch(0, sequence), &topic, 0, 0, Now::ZERO);
            assert!(!gate.is_open(), "14 is under way, and could be overtaken");
        }
        gate.answered(batch(0, 14), &topic, 0, 0, Now::ZERO);
        assert!(gate.is_open());
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
    fn after_a_switch_every_batch_is_followed_for_a_while() {
        let (gate, topic) = (Gate::default(), Arc::from("t"));
        gate.serves(3, Now::ZERO);
        assert!(gate.is_open(), "no cluster gave way to the first one");
        gate.serves(5, Now::ZERO);
        gate.serves(3, Now::ZERO + WATCH / 2);
        assert!(gate.admits(batch(0, 10), &topic, 0, WAY, Now::ZERO));
        assert!(gate.admits(batch(0, 11), &topic, 0, WAY, Now::ZERO));
        for way in OTHERS {
            assert!(!gate.admits(batch(0, 12), &topic, 0, way, Now::ZERO), "it could be faster");
        }
        gate.answered(batch(0, 10), &topic, 0, 6, Now::ZERO);
        gate.answered(batch(0, 11), &topic, 0, 6, Now::ZERO);
        assert!(!gate.admits(batch(0, 11), &topic, 0, OTHERS[1], Now::ZERO));
        for sequence in [10, 11] {
            assert!(gate.admits(batch(0, sequence), &topic, 0, OTHERS[1], Now::ZERO));
            gate.answered(batch(0, sequence), &topic, 0, 0, Now::ZERO);
        }
        assert!(gate.admits(batch(0, 12), &topic, 0, WAY, Now::ZERO + WATCH));
        assert!(gate.is_open(), "its time is over, and nothing is waited for");
    }

    #[test]
    fn the_watch_ends_for_producers_without_idempotence_too() {
        let gate = Gate::default();
        gate.serves(3, Now::ZERO);
        gate.serves(5, Now::ZERO);
        gate.serves(5, Now::ZERO + WATCH / 2);
        assert!(!gate.is_open());
        gate.serves(5, Now::ZERO + WATCH);
        assert!(gate.is_open());
    }

    #[test]
    fn sequences_wrap() {
        assert!(precedes(i32::MAX, 0) && precedes(1, 2) && !precedes(0, i32::MAX) && !precedes(3, 3));
    }
}

//! What is remembered of transactional producers from one connection to the next: commits that were asked for and not answered, and
//! time-outs.
//!
//! Whether the old cluster carried such a commit out is not known when a switch comes between. Its producer asks again, on any connection;
//! told to abort, the application would believe that nothing was committed, and read it all the same. So Pointsman remembers
//! what is in doubt, and then says that the producer is fenced: of that every application knows that the end is open. It is kept with each
//! switch, so that this holds over a restart too.
//!
//! A producer that aborts what another cluster has is given an id of the active one, which wants to know its time-out. The producer said
//! it on another connection, as a rule.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Commits remembered; beyond it the oldest is not: 8 bytes each, and a producer has one at a time.
const CAPACITY: usize = 10_000;
/// Bytes for time-outs; beyond them that of another producer is taken for the default. Only those that are not the default take room. A
/// client chooses its id, of up to 32 KiB, and whether a broker takes it is not known yet.
const TIMEOUTS: usize = 8 << 20;
/// What an entry takes beside its id.
const TIMEOUT_ENTRY: usize = 60;
/// `transaction.timeout.ms` of a producer whose own is not known: the default of all clients.
const DEFAULT_TIMEOUT_MS: i32 = 60_000;

/// What is remembered of the transactional producers of one virtual cluster.
#[derive(Debug, Default)]
pub struct Commits {
    /// Producer ids, as clients know them, whose commit is in doubt. Oldest first.
    in_doubt: Mutex<VecDeque<i64>>,
    timeouts: Mutex<Timeouts>,
}

#[derive(Debug, Default)]
struct Timeouts {
    /// `transaction.timeout.ms` by transactional id.
    by_id: HashMap<Box<str>, i32>,
    bytes: usize,
}

impl Commits {
    fn table(&self) -> MutexGuard<'_, VecDeque<i64>> {
        self.in_doubt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timeouts(&self) -> MutexGuard<'_, Timeouts> {
        self.timeouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A producer said its `transaction.timeout.ms`.
    pub fn set_timeout(&self, transactional_id: &str, ms: i32) {
        let mut timeouts = self.timeouts();
        let needed = transactional_id.len() + TIMEOUT_ENTRY;
        if ms == DEFAULT_TIMEOUT_MS {
            let known = timeouts.by_id.remove(transactional_id);
            timeouts.bytes -= known.map_or(0, |_| needed);
        } else if let Some(known) = timeouts.by_id.get_mut(transactional_id) {
            *known = ms;
        } else if timeouts.bytes + needed <= TIMEOUTS {
            timeouts.by_id.insert(transactional_id.into(), ms);
            timeouts.bytes += needed;
        }
    }

    /// A producer's `transaction.timeout.ms`, as far as it is known.
    pub fn timeout(&self, transactional_id: &str) -> i32 {
        self.timeouts().by_id.get(transactional_id).copied().unwrap_or(DEFAULT_TIMEOUT_MS)
    }

    /// Those that were in doubt before a restart.
    pub fn restore(producers: &[i64]) -> Self {
        let newest = producers.len().saturating_sub(CAPACITY);
        let in_doubt = Mutex::new(producers[newest..].iter().copied().collect());
        Self { in_doubt, ..Self::default() }
    }

    /// Those in doubt, oldest first.
    pub fn all(&self) -> Vec<i64> {
        self.table().iter().copied().collect()
    }

    /// A commit goes to a broker.
    pub fn asked(&self, producer: i64) {
        let mut table = self.table();
        table.retain(|id| *id != producer);
        if table.len() >= CAPACITY {
            table.pop_front();
        }
        table.push_back(producer);
    }

    /// It was answered, or its producer aborts.
    pub fn settled(&self, producer: i64) {
        self.table().retain(|id| *id != producer);
    }

    /// Whether what became of it is not known.
    pub fn in_doubt(&self, producer: i64) -> bool {
        self.table().contains(&producer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_in_doubt_until_it_is_answered_and_only_so_many_are_remembered() {
        let commits = Commits::default();
        for producer in 0..10 {
            commits.asked(producer);
        }
        commits.settled(3);
        assert!(commits.in_doubt(2) && !commits.in_doubt(3) && !commits.in_doubt(99));
        for producer in 100..100 + i64::try_from(CAPACITY).expect("small") - 1 {
            commits.asked(producer);
        }
        assert!(!commits.in_doubt(8) && commits.in_doubt(9) && commits.in_doubt(100));
        assert_eq!(Commits::restore(&commits.all()).all(), commits.all());
        let more: Vec<i64> = [8].into_iter().chain(commits.all()).collect();
        assert_eq!(Commits::restore(&more).all(), commits.all(), "the newest are kept");
    }

    #[test]
    fn a_timeout_is_remembered_unless_it_is_the_default() {
        let commits = Commits::default();
        commits.set_timeout("a", 10_000);
        assert_eq!((commits.timeout("a"), commits.timeout("b")), (10_000, DEFAULT_TIMEOUT_MS));
        commits.set_timeout("a", DEFAULT_TIMEOUT_MS);
        assert!(commits.timeouts().by_id.is_empty());
        assert_eq!(commits.timeouts().bytes, 0, "all room is given back");
    }

    #[test]
    fn timeouts_are_bounded_by_the_bytes_of_their_ids() {
        let commits = Commits::default();
        let id = |number: usize| format!("{number:0width$}", width = 32 << 10);
        for number in 0..=TIMEOUTS / (32 << 10) {
            commits.set_timeout(&id(number), 1);
        }
        commits.set_timeout(&id(0), 2);
        let last = commits.timeout(&id(TIMEOUTS / (32 << 10)));
        assert_eq!((commits.timeout(&id(0)), last), (2, DEFAULT_TIMEOUT_MS));
        let held: usize = commits.timeouts().by_id.keys().map(|id| id.len()).sum();
        assert!(held <= TIMEOUTS, "{held} bytes");
    }
}

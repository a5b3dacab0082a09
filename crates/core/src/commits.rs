//! Commits of transactions that were asked for and not answered.
//!
//! Whether the old cluster carried such a commit out is not known when a switch comes between. Its producer asks again, on any connection;
//! told to abort, the application would believe that nothing was committed, and read it all the same. So Pointsman remembers
//! what is in doubt, and then says that the producer is fenced: of that every application knows that the end is open. It is kept with each
//! switch, so that this holds over a restart too.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Commits remembered; beyond it the oldest is not: 8 bytes each, and a producer has one at a time.
const CAPACITY: usize = 10_000;

/// Producer ids, as clients know them, whose commit is in doubt. Oldest first.
#[derive(Debug, Default)]
pub struct Commits(Mutex<VecDeque<i64>>);

impl Commits {
    fn table(&self) -> MutexGuard<'_, VecDeque<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that were in doubt before a restart.
    pub fn restore(producers: &[i64]) -> Self {
        let newest = producers.len().saturating_sub(CAPACITY);
        Self(Mutex::new(producers[newest..].iter().copied().collect()))
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
}

//! Commits of transactions that were asked for and not answered.
//!
//! Whether the old cluster carried such a commit out is not known when a switch comes between. Its producer asks again, on any connection;
//! told to abort, the application would believe that nothing was committed, and read it all the same. So Pointsman remembers
//! what is in doubt, and then says that the producer is fenced: of that every application knows that the end is open.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Commits remembered; beyond it the oldest is not: 8 bytes each, and a producer has one at a time.
const CAPACITY: usize = 10_000;

/// Producer ids, as clients know them, whose commit is in doubt. Oldest first.
#[derive(Debug, Default)]
pub(super) struct Commits(Mutex<VecDeque<i64>>);

impl Commits {
    fn table(&self) -> MutexGuard<'_, VecDeque<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A commit goes to a broker.
    pub(super) fn asked(&self, producer: i64) {
        let mut table = self.table();
        table.retain(|id| *id != producer);
        if table.len() >= CAPACITY {
            table.pop_front();
        }
        table.push_back(producer);
    }

    /// It was answered, or its producer aborts.
    pub(super) fn settled(&self, producer: i64) {
        self.table().retain(|id| *id != producer);
    }

    /// Whether what became of it is not known.
    pub(super) fn in_doubt(&self, producer: i64) -> bool {
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
    }
}

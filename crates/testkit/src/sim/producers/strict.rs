//! A stricter gate than the real one, to compare with: it remembers each failed batch, and opens for what comes after one only when
//! a broker has acknowledged it.

use super::broker::Identity;
use std::collections::{BTreeSet, HashMap};

/// The gates of one virtual cluster.
#[derive(Debug, Default)]
pub(super) struct StrictGate {
    /// By producer id and partition: the epoch, and the first sequence of each batch that must come again.
    failed: HashMap<(i64, usize), (i16, BTreeSet<i32>)>,
}

impl StrictGate {
    pub(super) fn close(&mut self, producer: Identity, partition: usize, sequence: i32) {
        let entry = self.failed.entry((producer.id, partition)).or_default();
        if producer.epoch > entry.0 {
            *entry = (producer.epoch, BTreeSet::new());
        }
        if producer.epoch == entry.0 {
            entry.1.insert(sequence);
        }
    }

    pub(super) fn admits(&mut self, producer: Identity, partition: usize, sequence: i32) -> bool {
        let Some((epoch, failed)) = self.failed.get(&(producer.id, partition)) else { return true };
        producer.epoch > *epoch
            || (producer.epoch == *epoch && failed.first().is_none_or(|first| sequence <= *first))
    }

    /// A broker gave an answer that no repetition changes.
    pub(super) fn settled(&mut self, producer: Identity, partition: usize, sequence: i32) {
        let key = (producer.id, partition);
        if let Some((epoch, failed)) = self.failed.get_mut(&key)
            && *epoch <= producer.epoch
        {
            failed.remove(&sequence);
            if failed.is_empty() || *epoch < producer.epoch {
                self.failed.remove(&key);
            }
        }
    }
}

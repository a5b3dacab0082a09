//! What client connections have fetched of a cluster that is drained: made anew for each drain.

use super::LogOffsets;
use crate::limits;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How far connections have read since the drain began.
#[derive(Debug, Default)]
pub struct Readers {
    readers: Mutex<HashMap<u64, Reader>>,
    next: std::sync::atomic::AtomicU64,
}

#[derive(Debug, Default)]
struct Reader {
    /// A Fetch from before the drain is under way, and none has come since: where it reads is not known.
    unknown: bool,
    /// The offset that it asked for last, by partition.
    at: LogOffsets,
}

/// One connection's entry; dropping it takes it out.
#[derive(Debug)]
pub struct Reading {
    readers: Arc<Readers>,
    number: u64,
}

impl Readers {
    fn table(&self) -> MutexGuard<'_, HashMap<u64, Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection. `fetching`: a Fetch of it is under way.
    pub fn enter(self: &Arc<Self>, fetching: bool) -> Reading {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.table().insert(number, Reader { unknown: fetching, at: LogOffsets::default() });
        Reading { readers: self.clone(), number }
    }

    /// Connections of which it is not known that they have read everything before `ends`.
    pub fn behind(&self, ends: &LogOffsets) -> usize {
        self.table().values().filter(|r| r.unknown || r.at.any_below(ends)).count()
    }
}

impl Reading {
    /// The connection asks for these offsets. The caller vouches for the partitions: they exist.
    pub fn asks<'a>(&self, offsets: impl Iterator<Item = (&'a Arc<str>, i32, i64)>) {
        let mut table = self.readers.table();
        let Some(reader) = table.get_mut(&self.number) else { return };
        reader.unknown = false;
        for (topic, partition, offset) in offsets {
            if reader.at.len() < limits::READER_PARTITIONS {
                reader.at.set(topic, partition, offset);
            }
        }
    }

    /// Whether this is an entry of that drain.
    pub fn is_of(&self, readers: &Arc<Readers>) -> bool {
        Arc::ptr_eq(&self.readers, readers)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.readers.table().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_behind_until_it_asks_for_the_end_of_everything_that_it_reads() {
        let (readers, topic) = (Arc::<Readers>::default(), Arc::<str>::from("t"));
        let mut ends = LogOffsets::default();
        (0..2).for_each(|partition| ends.set(&topic, partition, 10));
        assert_eq!(readers.behind(&ends), 0);
        let (one, other) = (readers.enter(true), readers.enter(false));
        assert_eq!(readers.behind(&ends), 1, "a Fetch is under way");
        one.asks([(&topic, 0, 9), (&topic, 1, 10)].into_iter());
        other.asks([(&topic, 0, 10)].into_iter());
        assert_eq!(readers.behind(&ends), 1, "each connection counts by itself");
        one.asks([(&topic, 0, 10)].into_iter());
        assert_eq!(readers.behind(&ends), 0);
        other.asks([(&topic, 0, 3)].into_iter());
        assert_eq!(readers.behind(&ends), 1);
        drop(other);
        assert_eq!(readers.behind(&ends), 0);
    }
}

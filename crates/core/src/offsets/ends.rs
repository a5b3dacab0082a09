//! Where the logs of one cluster begin and end, as last polled.

use super::LogOffsets;
use crate::{Now, limits};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where the logs of one cluster begin and end. The control plane polls it, the standby's too; snapshots share it.
#[derive(Debug, Default)]
pub struct EndsCell(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    ends: LogOffsets,
    starts: LogOffsets,
    polled: Option<Now>,
}

impl EndsCell {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes end offsets in. An offset below 0 is none.
    pub fn take_ends<'a>(&self, polled: impl Iterator<Item = (&'a Arc<str>, i32, i64)>) {
        let mut known = self.known();
        polled.filter(|p| p.2 >= 0).for_each(|(topic, partition, end)| known.ends.set(topic, partition, end));
    }

    /// Every broker has answered a poll that began at `begun`.
    pub fn set_polled(&self, begun: Now) {
        self.known().polled = Some(begun);
    }

    /// Takes first offsets in.
    pub fn take_starts<'a>(&self, polled: impl Iterator<Item = (&'a Arc<str>, i32, i64)>) {
        let mut known = self.known();
        polled.filter(|p| p.2 >= 0).for_each(|(topic, partition, at)| known.starts.set(topic, partition, at));
    }

    /// Forgets topics that are gone.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        let mut known = self.known();
        known.ends.retain(&keep);
        known.starts.retain(&keep);
    }

    /// The first offset of a partition's log.
    pub fn start(&self, topic: &str, partition: i32) -> Option<i64> {
        self.known().starts.get(topic, partition)
    }

    /// The end offset of a partition's log: of the next record that is written.
    pub fn end(&self, topic: &str, partition: i32) -> Option<i64> {
        self.known().ends.get(topic, partition)
    }

    /// When the last poll began that every broker has answered.
    pub fn polled(&self) -> Option<Now> {
        self.known().polled
    }

    /// All end offsets as of now.
    pub fn all(&self) -> LogOffsets {
        self.known().ends.clone()
    }

    /// All end offsets as of now, bounded by [`limits::SWITCH_POINT`].
    pub fn freeze(&self) -> LogOffsets {
        self.known().ends.first(limits::SWITCH_POINT)
    }
}

//! How many records were acknowledged in each tenth of a second, and by which cluster.

use std::{collections::VecDeque, time::Duration};

/// Clusters on the stage.
pub(crate) const CLUSTERS: usize = 2;
/// Length of a bucket.
pub(crate) const BUCKET: Duration = Duration::from_millis(100);
/// Buckets that are kept: one minute.
const KEEP: usize = 600;

/// Records that were acknowledged within one [`BUCKET`], by cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// One number for each cluster, in the order of the model's clusters.
    pub(crate) acked: [u32; CLUSTERS],
}

impl Bucket {
    /// By whichever cluster.
    #[cfg(test)]
    pub(crate) fn total(self) -> u32 {
        self.acked.iter().fold(0, |sum, acked| sum.saturating_add(*acked))
    }
}

/// The buckets of the last minute. A bucket has an index: its start, counted in buckets since the demo began.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    first: usize,
    buckets: VecDeque<Bucket>,
}

impl History {
    /// Counts records that `cluster` acknowledged at `at` (since the demo began). What is older than the oldest bucket, or comes
    /// from an unknown cluster, does not count.
    pub(crate) fn add(&mut self, at: Duration, cluster: usize, records: u32) {
        let index = index(at);
        if self.buckets.is_empty() {
            self.first = index;
        }
        let Some(place) = index.checked_sub(self.first) else { return };
        if place >= self.buckets.len() {
            self.extend(place);
        }
        let bucket = index.checked_sub(self.first).and_then(|place| self.buckets.get_mut(place));
        if let Some(acked) = bucket.and_then(|bucket| bucket.acked.get_mut(cluster)) {
            *acked = acked.saturating_add(records);
        }
    }

    /// Makes room for the bucket at `place`, and lets go of the oldest.
    fn extend(&mut self, place: usize) {
        let gone = (place + 1).saturating_sub(KEEP);
        if gone >= self.buckets.len() {
            self.buckets.clear();
        } else {
            self.buckets.drain(..gone);
        }
        self.first += gone;
        self.buckets.resize(place + 1 - gone, Bucket::default());
    }

    /// The bucket at `index`; `None` before anything was counted. After the last count every bucket is empty.
    pub(crate) fn get(&self, index: usize) -> Option<Bucket> {
        let place = index.checked_sub(self.first)?;
        (!self.buckets.is_empty()).then(|| self.buckets.get(place).copied().unwrap_or_default())
    }
}

/// The index of the bucket in which `at` lies.
pub(crate) fn index(at: Duration) -> usize {
    usize::try_from(at.as_millis() / BUCKET.as_millis()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn records_are_counted_by_time_and_cluster() {
        let mut history = History::default();
        history.add(ms(1_000), 0, 3);
        history.add(ms(1_099), 0, 4);
        history.add(ms(1_310), 1, 5);

        assert_eq!(history.get(9), None, "before the first count");
        assert_eq!(history.get(10), Some(Bucket { acked: [7, 0] }));
        assert_eq!(history.get(11), Some(Bucket::default()));
        assert_eq!(history.get(13), Some(Bucket { acked: [0, 5] }));
        assert_eq!(history.get(99), Some(Bucket::default()), "silence since the last count");
    }

    #[test]
    fn late_counts_find_their_bucket_and_foreign_ones_none() {
        let mut history = History::default();
        history.add(ms(1_000), 0, 1);
        history.add(ms(2_000), 0, 1);
        history.add(ms(1_500), 1, 2);
        history.add(ms(900), 0, 9);
        history.add(ms(1_500), CLUSTERS, 9);

        assert_eq!(history.get(15), Some(Bucket { acked: [0, 2] }));
        assert_eq!(history.get(9), None);
    }

    #[test]
    fn a_minute_is_kept() {
        let mut history = History::default();
        (0..2 * KEEP).for_each(|i| history.add(BUCKET * u32::try_from(i).expect("small"), 0, 1));
        assert_eq!(history.buckets.len(), KEEP);
        assert_eq!(history.get(KEEP - 1), None);
        assert_eq!(history.get(KEEP).map(Bucket::total), Some(1));

        history.add(BUCKET * 1_000_000, 1, 1);
        assert_eq!(history.buckets.len(), KEEP);
        assert_eq!(history.get(1_000_000).map(Bucket::total), Some(1));
        assert_eq!(history.get(2 * KEEP - 1), None);
    }
}

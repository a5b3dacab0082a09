//! Whether a cluster that something copies to has everything, while the fence of a planned switch holds traffic back.
//!
//! It compares end offsets; it copies nothing, and trusts that what lies before equal ends is equal.

use super::cluster::Watched;
use crate::offsets::Asker;
use pointsman_core::offsets::EndsCell;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks. What was under way to the old cluster when traffic was held arrives meanwhile, and commits are copied.
const LOOK: Duration = Duration::from_millis(50);
/// Looks in a row that must find equal ends.
const CERTAIN: usize = 3;

/// The two clusters of a planned switch.
pub(super) struct CatchUp {
    from: Side,
    to: Side,
    patience: Duration,
}

struct Side {
    name: Arc<str>,
    ends: Arc<EndsCell>,
    asker: Asker,
}

impl Side {
    fn of(cluster: &Watched) -> Self {
        let (name, ends) = (cluster.config.name.clone(), cluster.shared.ends.clone());
        Self { name, ends, asker: cluster.poller.asker() }
    }

    /// Asks every broker; whether each of them has answered.
    async fn ask(&self) -> bool {
        let before = self.ends.polled();
        self.asker.poll().await;
        self.ends.polled() != before
    }
}

impl CatchUp {
    pub(super) fn new([from, to]: [&Watched; 2], patience: Duration) -> Self {
        Self { from: Side::of(from), to: Side::of(to), patience }
    }

    /// Waits until both ends are equal; false: they were not in time.
    pub(super) async fn reached(&self, virtual_cluster: &str) -> bool {
        let begun = Instant::now();
        let mut lacking = None;
        let equal = async {
            let mut equal = 0;
            while equal < CERTAIN {
                let (from, to) = tokio::join!(self.from.ask(), self.to.ask());
                lacking = (from && to).then(|| self.difference());
                equal = if lacking == Some(0) { equal + 1 } else { 0 };
                sleep(LOOK).await;
            }
        };
        let in_time = timeout_at(begun + self.patience, equal).await.is_ok();
        let (from, to) = (&*self.from.name, &*self.to.name);
        if in_time {
            tracing::info!(virtual_cluster, from, to, "both logs end alike after {:?}", begun.elapsed());
        } else {
            let what = match lacking {
                Some(records) => format!("{to} and {from} differ by about {records} records"),
                None => "not every broker said where its logs end".into(),
            };
            tracing::error!(
                virtual_cluster,
                "the switch is given up after {:?}: {what}; see to the replication, or force the switch and lose them",
                self.patience
            );
        }
        in_time
    }

    fn difference(&self) -> u64 {
        let (from, to) = (self.from.ends.all(), self.to.ends.all());
        from.distance(&to)
    }
}

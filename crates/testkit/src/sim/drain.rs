//! The safety of consumers, who may stay on a cluster that produces have left: what must hold for every published snapshot.

use super::checker::{Published, Violation};
use pointsman_core::{Now, limits::FENCE_WAIT};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Consumers {
    /// How long they may stay.
    bound: Duration,
    /// The cluster that served them last.
    last: Option<usize>,
    /// When a snapshot took them off it, and whether the data plane has adopted it.
    fence: Option<(Now, u64, bool)>,
    /// The cluster that they stay on, and since when produces are elsewhere.
    staying: Option<(usize, Now)>,
}

impl Consumers {
    pub(crate) fn new(bound: Duration) -> Self {
        Self { bound, last: None, fence: None, staying: None }
    }

    /// All connections of the last process are gone.
    pub(crate) fn started(&mut self) {
        (self.fence, self.staying) = (Some((Now::ZERO, 0, true)), None);
    }

    pub(crate) fn adopted(&mut self, generation: u64) {
        if let Some((_, fence, adopted)) = &mut self.fence {
            *adopted |= *fence <= generation;
        }
    }

    /// Judges a new snapshot. `left`: the cluster that served produces before the newest fence; `highest`: the highest epoch shown.
    pub(crate) fn published(
        &mut self,
        before: Option<&Published>,
        new: &Published,
        left: Option<usize>,
        highest: i32,
        now: Now,
    ) -> Result<(), Violation> {
        let broken = |rule| Err(Violation { rule, detail: format!("at {now:?}: {new:?} after {before:?}") });
        let Some(on) = new.consumers else {
            if before.is_some_and(|b| b.consumers.is_some()) && !new.resumed {
                self.fence = Some((now, new.generation, false));
            }
            self.staying = None;
            return Ok(());
        };
        let apart = new.active != Some(on);
        if apart && (left != Some(on) || new.resumed) {
            return broken("consumers are on the active cluster or the one that produces have just left");
        }
        if self.last.is_some_and(|last| last != on) {
            let passed = self.fence.is_some_and(|(at, _, adopted)| adopted || now >= at + FENCE_WAIT);
            if !passed || before.is_some_and(|b| b.consumers.is_some() && !new.resumed) {
                return broken("no two clusters serve consumers");
            }
            if new.epoch_base <= highest && highest >= 0 {
                return broken("consumers who follow are shown higher epochs than ever before");
            }
        }
        self.last = Some(on);
        self.fence = None;
        self.staying = match self.staying {
            _ if !apart => None,
            Some(since) => Some(since),
            None => new.active.map(|_| (on, now)),
        };
        Ok(())
    }

    /// What must hold at any time. `lost` says of each cluster whether it has lost quorum.
    pub(crate) fn check(&self, lost: impl Fn(usize) -> bool, now: Now) -> Result<(), Violation> {
        let Some((on, since)) = self.staying else { return Ok(()) };
        let detail = || format!("at {now:?}: on {on} since {since:?}");
        if now > since + self.bound {
            return Err(Violation { rule: "a drain is bounded", detail: detail() });
        }
        // What is lost when the drain begins is left in the next step, at the same time.
        if lost(on) && now > since {
            return Err(Violation {
                rule: "a cluster without quorum is drained no longer",
                detail: detail(),
            });
        }
        Ok(())
    }
}

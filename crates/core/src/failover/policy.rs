//! What should be active: the rules of the machine, without its phases.

use super::{Failback, Machine, Reason, Refusal, Standing};
use crate::Now;
use std::sync::Arc;

impl Machine {
    pub(super) fn standing(&self, cluster: &str) -> Standing {
        self.seen.get(cluster).map_or(Standing::Unknown, |s| s.standing)
    }

    /// The cluster to activate while none is: the first that has quorum, once those before it are known to have none.
    /// Without automatic failover only the first of the chain.
    pub(super) fn first_eligible(&self) -> Option<Arc<str>> {
        let candidates = if self.rules.automatic { self.chain.len() } else { 1 };
        let decided = self.chain.iter().take(candidates).find(|c| self.standing(c) != Standing::Lost)?;
        (self.standing(decided) == Standing::Quorum).then(|| decided.clone())
    }

    /// Whether to leave the active cluster now, what for, and why.
    pub(super) fn reason_to_leave(&self, active: &Arc<str>, now: Now) -> Option<(Option<Arc<str>>, Reason)> {
        if self.standing(active) == Standing::Lost {
            if self.forced {
                return None;
            }
            let with_quorum = self.chain.iter().find(|c| self.standing(c) == Standing::Quorum);
            return self.rules.automatic.then(|| (with_quorum.cloned(), Reason::QuorumLost));
        }
        let (at, to) = self.failback_at(active)?;
        (now >= at).then_some((Some(to), Reason::Failback))
    }

    /// When to fail back, and to which cluster, if everything stays as it is.
    pub(super) fn failback_at(&self, active: &str) -> Option<(Now, Arc<str>)> {
        let unwanted = self.rules.failback == Failback::Manual || self.pinned;
        if unwanted || self.trailing() || self.standing(active) == Standing::Lost {
            return None;
        }
        let preferred = self.chain.iter().take_while(|c| &***c != active);
        let ripe = preferred.filter_map(|c| {
            let seen = self.seen.get(c).filter(|s| s.standing == Standing::Quorum)?;
            Some((seen.since.max(self.activated) + self.rules.hold, c.clone()))
        });
        ripe.min_by_key(|(at, _)| *at)
    }

    pub(super) fn check_switch(
        &self,
        to: Arc<str>,
        seen: Option<u64>,
        force: bool,
    ) -> Result<Arc<str>, Refusal> {
        self.check_phase()?;
        if !self.chain.contains(&to) {
            return Err(Refusal::NotInChain(to));
        }
        if self.active() == Some(&to) {
            return Err(Refusal::AlreadyActive(to));
        }
        if let Some(seen) = seen.filter(|seen| *seen < self.since) {
            return Err(Refusal::Outdated { seen, since: self.since });
        }
        if self.standing(&to) != Standing::Quorum && !force {
            return Err(Refusal::NoQuorum(to));
        }
        Ok(to)
    }

    pub(super) fn check_failback(&self) -> Result<Arc<str>, Refusal> {
        self.check_phase()?;
        let preferred = self.chain.iter().take_while(|c| Some(*c) != self.active());
        let mut with_quorum = preferred.filter(|c| self.standing(c) == Standing::Quorum);
        with_quorum.next().cloned().ok_or(Refusal::NothingPreferred)
    }

    pub(super) fn unpin(&mut self) -> Result<(), Refusal> {
        self.check_phase()?;
        if !self.pinned() {
            return Err(Refusal::NotPinned);
        }
        self.pinned = false;
        Ok(())
    }

    fn check_phase(&self) -> Result<(), Refusal> {
        let switching = matches!(self.phase, super::Phase::Closing(..)) || self.trailing();
        if switching { Err(Refusal::Switching) } else { Ok(()) }
    }
}

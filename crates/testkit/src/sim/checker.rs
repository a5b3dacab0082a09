//! The safety checker: what must hold for every snapshot that is published, whatever happened before.

use super::{drain::Consumers, oracle::Oracle};
use pointsman_core::{Now, health::Standing, limits::FENCE_WAIT};
use std::{collections::BTreeMap, time::Duration};

/// A promise that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub rule: &'static str,
    /// What happened instead, and when.
    pub detail: String,
}

/// A published snapshot, as far as the chain is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) generation: u64,
    pub(crate) active: Option<usize>,
    /// The cluster that serves consumers.
    pub(crate) consumers: Option<usize>,
    pub(crate) epoch_base: i32,
    /// Of no meaning without an active cluster.
    pub(crate) term: u32,
    /// First snapshot of a process that goes on from stored state.
    pub(crate) resumed: bool,
}

/// What the checker needs to know of the policy.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) hold: Duration,
    pub(crate) automatic_failback: bool,
    pub(crate) consumer_drain: Duration,
}

#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) policy: Policy,
    /// Judges each cluster by its probes; new with each process.
    pub(crate) oracles: Vec<Oracle>,
    consumers: Consumers,
    last: Option<Published>,
    last_active: Option<usize>,
    /// When the newest snapshot without active cluster was published, and whether the data plane has adopted it.
    fence: Option<(Now, u64, bool)>,
    /// When the active cluster became so in this process.
    activated: Now,
    highest_shown: i32,
    /// The cluster that served each term.
    terms: BTreeMap<u32, usize>,
    commanded: bool,
    /// Where the command leads, if it says so.
    commanded_to: Option<usize>,
    /// Whether it may lead to a cluster without quorum.
    force: bool,
    /// The active cluster was forced and had no quorum then.
    forced: bool,
    /// An operator chose the active cluster.
    pinned: bool,
    /// Whether the newest fence ended the service of a cluster in this process.
    fence_left: bool,
    /// The cluster that served before the newest fence, in this process.
    left: Option<usize>,
}

impl Checker {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            consumers: Consumers::new(policy.consumer_drain),
            policy,
            oracles: Vec::new(),
            last: None,
            last_active: None,
            fence: None,
            activated: Now::ZERO,
            highest_shown: i32::MIN,
            terms: BTreeMap::new(),
            commanded: false,
            commanded_to: None,
            force: false,
            forced: false,
            pinned: false,
            fence_left: false,
            left: None,
        }
    }

    pub(crate) fn started(&mut self, oracles: Vec<Oracle>, now: Now) {
        self.oracles = oracles;
        self.consumers.started();
        self.fence = None;
        self.activated = now;
        (self.commanded, self.force, self.forced) = (false, false, false);
    }

    pub(crate) fn commanded(&mut self, to: Option<usize>, force: bool) {
        (self.commanded, self.commanded_to, self.force) = (true, to, force);
    }

    /// The decision was given back to the policy.
    pub(crate) fn released(&mut self) {
        self.pinned = false;
    }

    /// A snapshot said that nothing will be active, while nothing was.
    pub(crate) fn closed(&mut self, generation: u64) {
        if let Some(last) = &mut self.last {
            last.generation = last.generation.max(generation);
        }
    }

    /// The data plane uses no snapshot older than `generation`.
    pub(crate) fn adopted(&mut self, generation: u64) {
        self.consumers.adopted(generation);
        if let Some((_, fence, adopted)) = &mut self.fence
            && *fence <= generation
        {
            *adopted = true;
        }
    }

    /// Clients were shown this real epoch of the active cluster.
    pub(crate) fn shown(&mut self, real_epoch: i32) {
        if let Some(last) = self.last.as_ref().filter(|l| l.active.is_some()) {
            self.highest_shown = self.highest_shown.max(last.epoch_base + real_epoch);
        }
    }

    /// Judges a new snapshot. `solid` says of each cluster whether a quorum of its brokers was beyond doubt lately.
    pub(crate) fn published(&mut self, new: Published, solid: &[bool], now: Now) -> Result<(), Violation> {
        let before = self.last.clone();
        if before.as_ref().is_some_and(|b| new.generation <= b.generation) {
            return Err(broken("generations only grow", &before, &new, now));
        }
        let serves = |p: &Option<Published>| p.as_ref().and_then(|b| b.active).filter(|_| !new.resumed);
        match new.active {
            Some(active) if serves(&before) == Some(active) => self.check_same_service(&before, &new, now)?,
            None => self.check_leaving(&before, &new, solid, now)?,
            Some(active) if new.resumed => self.check_resumed(active, &before, &new, now)?,
            Some(active) => self.check_activation(active, &before, &new, now)?,
        }
        let (left, highest) = (self.left, self.highest_shown);
        self.consumers.published(before.as_ref(), &new, left, highest, now)?;
        if let Some(active) = new.active {
            self.check_term(active, &before, &new, now)?;
            self.last_active = new.active;
        }
        self.last = Some(new);
        Ok(())
    }

    /// What consumers do is nothing that produces notice, but for higher epochs.
    fn check_same_service(
        &self,
        before: &Option<Published>,
        new: &Published,
        now: Now,
    ) -> Result<(), Violation> {
        let same = |b: &Published| b.term == new.term && b.epoch_base <= new.epoch_base;
        if before.as_ref().is_some_and(same) {
            return Ok(());
        }
        Err(broken("produces go on while consumers are drained", before, new, now))
    }

    /// What must hold at any time.
    pub(crate) fn check(&self, now: Now) -> Result<(), Violation> {
        self.consumers.check(|c| self.oracles[c].standing.0 == Standing::Lost, now)
    }

    fn check_leaving(
        &mut self,
        before: &Option<Published>,
        new: &Published,
        solid: &[bool],
        now: Now,
    ) -> Result<(), Violation> {
        self.fence = Some((now, new.generation, false));
        let left = before.as_ref().and_then(|b| b.active).filter(|_| !new.resumed);
        self.fence_left = left.is_some();
        self.left = left.or(self.left).filter(|_| !new.resumed);
        let Some(left) = left else { return Ok(()) };
        if self.commanded {
            return Ok(());
        }
        let lost = self.oracles[left].standing.0 == Standing::Lost;
        if lost && self.forced && self.oracles[left].standing.1 <= self.activated {
            return Err(broken(
                "a forced cluster is not left for want of the quorum it never had",
                before,
                new,
                now,
            ));
        }
        if lost && solid[left] {
            return Err(broken("no switch while a quorum of brokers is beyond doubt", before, new, now));
        }
        let ripe = |o: &Oracle| o.standing.0 == Standing::Quorum && now >= o.standing.1 + self.policy.hold;
        let failback = self.policy.automatic_failback
            && !self.pinned
            && self.oracles[..left].iter().any(ripe)
            && now >= self.activated + self.policy.hold;
        if lost || failback {
            return Ok(());
        }
        Err(broken("no switch without lost quorum, an unbroken hold, or a command", before, new, now))
    }

    /// Producer ids carry the term: on the way back to a cluster an older term would meet what that cluster remembers.
    fn check_term(
        &mut self,
        active: usize,
        before: &Option<Published>,
        new: &Published,
        now: Now,
    ) -> Result<(), Violation> {
        if self.terms.last_key_value().is_some_and(|(newest, _)| *newest > new.term) {
            return Err(broken("terms never fall", before, new, now));
        }
        match self.terms.insert(new.term, active) {
            Some(other) if other != active => Err(broken("a term belongs to one cluster", before, new, now)),
            _ => Ok(()),
        }
    }

    fn check_resumed(
        &mut self,
        active: usize,
        before: &Option<Published>,
        new: &Published,
        now: Now,
    ) -> Result<(), Violation> {
        if self.last_active != Some(active) {
            return Err(broken("a restart goes on where the last process was", before, new, now));
        }
        let base = before.as_ref().filter(|b| b.active.is_some()).map(|b| b.epoch_base);
        if base.is_some_and(|base| base > new.epoch_base) {
            return Err(broken("epoch bases never fall", before, new, now));
        }
        Ok(())
    }

    fn check_activation(
        &mut self,
        active: usize,
        before: &Option<Published>,
        new: &Published,
        now: Now,
    ) -> Result<(), Violation> {
        if before.as_ref().is_some_and(|b| b.active.is_some()) {
            return Err(broken("between two active clusters there is none", before, new, now));
        }
        if !self.fence.is_some_and(|(at, _, adopted)| adopted || now >= at + FENCE_WAIT) {
            return Err(broken("nothing older is in use when a cluster becomes active", before, new, now));
        }
        if new.epoch_base < 0 || (self.highest_shown >= 0 && new.epoch_base <= self.highest_shown) {
            return Err(broken("an epoch base is above every epoch shown before", before, new, now));
        }
        let forced = self.force && self.commanded_to == Some(active);
        let quorum = self.oracles[active].standing.0 == Standing::Quorum;
        if !quorum && !forced {
            return Err(broken("only a cluster with quorum becomes active", before, new, now));
        }
        let fenced_at = self.fence.map_or(now, |(at, ..)| at);
        let earlier = |o: &Oracle| o.standing.0 == Standing::Quorum && o.standing.1 < fenced_at;
        if !self.commanded && self.fence_was_for_loss() && self.oracles[..active].iter().any(earlier) {
            return Err(broken("the first cluster in order serves", before, new, now));
        }
        let undecided = |o: &Oracle| o.standing.0 == Standing::Unknown;
        if !self.commanded && !self.fence_left && self.oracles[..active].iter().any(undecided) {
            return Err(broken(
                "preferred clusters that are not decided yet are waited for",
                before,
                new,
                now,
            ));
        }
        self.pinned = self.commanded && self.commanded_to == Some(active) && active != 0;
        self.activated = now;
        self.forced = !quorum;
        (self.commanded, self.commanded_to, self.force) = (false, None, false);
        Ok(())
    }

    /// The cluster that was left has no quorum: the choice was free.
    fn fence_was_for_loss(&self) -> bool {
        self.last_active.is_none_or(|left| self.oracles[left].standing.0 == Standing::Lost)
    }
}

fn broken(rule: &'static str, before: &Option<Published>, new: &Published, now: Now) -> Violation {
    Violation { rule, detail: format!("at {now:?}: {new:?} after {before:?}") }
}

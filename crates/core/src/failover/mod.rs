//! The failover machine of one chain: which of its clusters is active.
//!
//! Pure: `(state, input, now) → (state, actions)`. A change of the active cluster has two phases, so that no instant
//! knows two of them:
//!
//! ```text
//!             lost quorum, failback, command                    fence passed or its deadline
//!  Serving ────────────────────────────────▶ Closing ─────────────────────────────────────┐
//!     ▲      publish: no active cluster                                                   │
//!     │                                                 some cluster may serve            ▼
//!     └─────────────────────────────────────────────────────────────────────────────── choose
//!     ▲                publish: active cluster, higher epoch base                         │
//!     │                                                                           none    ▼
//!     └──────────────────────────────────────────────────────────────────────────────── Closed
//!                        a cluster has quorum (again)
//! ```
//!
//! At a planned move produces go first, and consumers follow when they have read the old log (`drain`).
//!
//! Moving away from a cluster that lost quorum is never delayed; moving towards a preferred one waits for `hold`.
//! A fence or a command that was meant for another generation is void.

mod command;
mod drain;
mod policy;
mod saved;
#[cfg(test)]
mod tests;

pub use command::{Command, Refusal};
pub use drain::{Consumers, Drained, Ended, Era};
pub use saved::Saved;

use crate::{
    Now,
    config::{Failback, FailoverConfig},
    health::Standing,
    limits::{EPOCH_MARGIN, FENCE_WAIT},
};
use drain::Trail;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// The outside world at the moment of a step.
#[derive(Debug)]
pub struct Moment<'a> {
    /// Now.
    pub now: Now,
    /// The newest generation that was published; a step that publishes raises it.
    pub generation: &'a mut u64,
    /// Highest real leader epoch ever seen on any cluster of the chain.
    pub max_epoch: i32,
}

/// What a machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A cluster's standing changed.
    Standing {
        /// The cluster.
        cluster: Arc<str>,
        /// Its standing now.
        standing: Standing,
        /// The first sign of the trouble that led to it.
        trouble: Option<Now>,
    },
    /// The cluster that the fence of this generation was meant for lacks records of the one that was left: that one goes on.
    Behind {
        /// As in [`Action::Fence`].
        generation: u64,
    },
    /// Nothing uses a snapshot older than this generation any more.
    Fenced {
        /// Generation of the snapshot without active cluster, or of the one in which consumers wait.
        generation: u64,
    },
    /// Everything on the cluster that is drained has been fetched.
    Read {
        /// Generation of the switch that the drain belongs to.
        switch: u64,
    },
    /// Everything on it has been fetched, its groups have committed, and their members wait to join again.
    Committed {
        /// Generation of the switch that the drain belongs to.
        switch: u64,
    },
    /// Time has come to [`Machine::deadline`].
    Timer,
}

/// What the caller must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Publish a snapshot of this generation in which the chain has no active cluster, and answer
    /// [`Input::Fenced`] when [`Machine::saved`] is stored and nothing uses an older snapshot.
    Fence {
        /// Generation to publish.
        generation: u64,
    },
    /// Publish a snapshot of this generation in which this cluster is active, and store [`Machine::saved`].
    Activate {
        /// Generation to publish.
        generation: u64,
        /// The cluster.
        cluster: Arc<str>,
        /// Added to its real leader epochs.
        epoch_base: i32,
    },
    /// Publish a snapshot of this generation that says that nothing will be active for now: the cluster that the fence
    /// was meant for lost quorum in the meantime.
    Close {
        /// Generation to publish.
        generation: u64,
    },
    /// Remember and log a finished change.
    Report(Switch),
    /// Publish a snapshot of this generation: what [`Machine::consumers`] says has changed.
    Announce {
        /// Generation to publish.
        generation: u64,
    },
    /// Publish a snapshot of this generation in which no cluster serves consumers, and answer [`Input::Fenced`] when nothing
    /// uses an older one.
    FenceConsumers {
        /// Generation to publish.
        generation: u64,
    },
    /// Publish a snapshot of this generation in which consumers are where produces are, and store [`Machine::saved`].
    MoveConsumers {
        /// Generation to publish.
        generation: u64,
        /// Added to the real leader epochs of the active cluster from now on.
        epoch_base: i32,
    },
    /// Remember and log the end of a drain.
    Drained(Drained),
}

/// A finished change of the active cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Generation that made it.
    pub generation: u64,
    /// Cluster before.
    pub from: Option<Arc<str>>,
    /// Cluster after; `None`: no cluster of the chain has quorum.
    pub to: Option<Arc<str>>,
    /// Why.
    pub reason: Reason,
    /// The first sign of trouble, where there was one.
    pub trouble: Option<Now>,
}

/// Why the active cluster changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The first activation after a start without state.
    Start,
    /// The active cluster lost quorum.
    QuorumLost,
    /// No cluster was active, and one has quorum.
    QuorumBack,
    /// A preferred cluster had quorum for the hold time.
    Failback,
    /// An operator said so.
    Command,
    /// The configuration took the active cluster out of the chain.
    Reconfigured,
    /// The cluster that was meant lacked records: the one before goes on.
    Behind,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: [Self; 7] = [
        Self::Start,
        Self::QuorumLost,
        Self::QuorumBack,
        Self::Failback,
        Self::Command,
        Self::Reconfigured,
        Self::Behind,
    ];

    /// As status and metrics name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::QuorumLost => "quorum_lost",
            Self::QuorumBack => "quorum_back",
            Self::Failback => "failback",
            Self::Command => "command",
            Self::Reconfigured => "reconfigured",
            Self::Behind => "behind",
        }
    }
}

/// The failover machine of one chain.
#[derive(Debug)]
pub struct Machine {
    chain: Vec<Arc<str>>,
    rules: FailoverConfig,
    seen: HashMap<Arc<str>, Seen>,
    phase: Phase,
    trail: Trail,
    /// Epoch base of the active cluster, or of the next one.
    epoch_base: i32,
    /// How often the chain has moved to another cluster than the one that served last.
    term: u32,
    /// The cluster that served last; `None`: none did in this term.
    last: Option<Arc<str>>,
    /// Generation of the newest fence or activation; 0: there was none since the state began.
    since: u64,
    /// When the active cluster became so.
    activated: Now,
    /// An operator chose the active cluster: no automatic failback.
    pinned: bool,
    /// An operator chose the active cluster without quorum, and it has had none since: that is no reason to leave it.
    forced: bool,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    standing: Standing,
    since: Now,
}

#[derive(Debug, Clone)]
enum Phase {
    /// This cluster is active.
    Serving(Arc<str>),
    /// No cluster is active, but older snapshots may still be in use.
    Closing(Leaving, Now),
    /// No cluster is active, and nothing that was decided before is in use: `Some` says what was left.
    Closed(Option<Leaving>),
}

#[derive(Debug, Clone)]
struct Leaving {
    from: Option<Arc<str>>,
    /// Meant to become active, if it still has quorum by then.
    wanted: Option<Arc<str>>,
    /// Whether `wanted` needs no quorum.
    forced: bool,
    reason: Reason,
    trouble: Option<Now>,
    /// What is left, if consumers may stay on it for a while.
    era: Option<Era>,
}

impl Leaving {
    fn nothing(reason: Reason) -> Self {
        Self { from: None, wanted: None, forced: false, reason, trouble: None, era: None }
    }
}

impl Leaving {
    /// Whether the cluster that is left could serve on.
    fn is_planned(&self) -> bool {
        let must = matches!(self.reason, Reason::QuorumLost | Reason::QuorumBack | Reason::Start);
        !must && !self.forced
    }
}

impl Machine {
    /// A machine that has never activated anything.
    pub fn new(chain: Vec<Arc<str>>, rules: FailoverConfig) -> Self {
        Self {
            chain,
            rules,
            seen: HashMap::new(),
            phase: Phase::Closed(None),
            trail: Trail::Together,
            epoch_base: 0,
            term: 0,
            last: None,
            since: 0,
            activated: Now::ZERO,
            pinned: false,
            forced: false,
        }
    }

    /// The active cluster.
    pub fn active(&self) -> Option<&Arc<str>> {
        if let Phase::Serving(cluster) = &self.phase { Some(cluster) } else { None }
    }

    /// Whether no cluster is active for a moment only, because a switch is under way.
    pub fn switching(&self) -> bool {
        matches!(&self.phase, Phase::Closing(left, _) if left.wanted.is_some())
    }

    /// The cluster that is active, or that is meant to be once the fence has passed.
    pub fn heading(&self) -> Option<&Arc<str>> {
        match &self.phase {
            Phase::Serving(cluster) => Some(cluster),
            Phase::Closing(left, _) | Phase::Closed(Some(left)) => left.wanted.as_ref(),
            Phase::Closed(None) => None,
        }
    }

    /// Whether an operator's command holds the active cluster: no automatic failback leaves it.
    pub fn pinned(&self) -> bool {
        self.pinned && self.active().is_some()
    }

    /// The clusters that a switch under way leaves and is meant for, if nothing forces it.
    pub fn planned(&self) -> Option<[&Arc<str>; 2]> {
        let Phase::Closing(left, _) = &self.phase else { return None };
        let (from, to) = left.from.as_ref().zip(left.wanted.as_ref()).filter(|_| left.is_planned())?;
        Some([from, to])
    }

    /// Generation of the newest fence or activation.
    pub fn since(&self) -> u64 {
        self.since
    }

    /// Added to the real leader epochs of the active cluster.
    pub fn epoch_base(&self) -> i32 {
        self.epoch_base
    }

    /// How often the chain has moved to another cluster than the one that served last: 0 for the first one.
    pub fn term(&self) -> u32 {
        self.term
    }

    /// When to step with [`Input::Timer`], if nothing happens before.
    pub fn deadline(&self) -> Option<Now> {
        match &self.phase {
            Phase::Closing(_, deadline) => Some(*deadline),
            Phase::Serving(active) => {
                let failback = self.failback_at(active).map(|(at, _)| at);
                failback.into_iter().chain(self.trail_deadline()).min()
            }
            Phase::Closed(_) => None,
        }
    }

    /// Takes an input in.
    pub fn step(&mut self, input: Input, moment: &mut Moment<'_>) -> Vec<Action> {
        let mut trouble = None;
        match input {
            Input::Standing { cluster, standing, trouble: sign } => {
                trouble = sign;
                self.note(cluster, standing, moment.now);
            }
            Input::Fenced { generation } if generation == self.since => self.pass_fence(),
            Input::Behind { generation } if generation == self.since => self.stay(),
            Input::Behind { .. } => {}
            Input::Fenced { generation } => self.pass_consumers_fence(generation, moment.now),
            Input::Read { .. } | Input::Committed { .. } => self.note_drain(&input),
            Input::Timer => self.expire_fence(moment.now),
        }
        self.decide(trouble, moment)
    }

    /// Takes an operator's command in.
    pub fn command(&mut self, command: Command, moment: &mut Moment<'_>) -> Result<Vec<Action>, Refusal> {
        let (to, forced) = match command {
            Command::Switch { to, seen, force } => (self.check_switch(to, seen, force)?, force),
            Command::Failback => (self.check_failback()?, false),
            Command::Automatic => {
                self.unpin()?;
                return Ok(self.decide(None, moment));
            }
        };
        if let Phase::Closed(Some(left)) = &mut self.phase {
            left.wanted = Some(to);
            left.forced = forced;
            left.reason = Reason::Command;
            return Ok(self.decide(None, moment));
        }
        let actions = self.leave(Some(to), Reason::Command, None, moment);
        if let Phase::Closing(left, deadline) = &mut self.phase
            && forced
        {
            (left.forced, left.era, *deadline) = (true, None, moment.now + FENCE_WAIT);
        }
        Ok(actions)
    }

    /// Takes a changed configuration of the chain in. An active cluster that is no longer in it is left.
    pub fn configure(
        &mut self,
        chain: Vec<Arc<str>>,
        rules: FailoverConfig,
        moment: &mut Moment<'_>,
    ) -> Vec<Action> {
        self.seen.retain(|name, _| chain.contains(name));
        (self.chain, self.rules) = (chain, rules);
        match self.active() {
            Some(active) if !self.chain.contains(active) => {
                let next = self.first_eligible();
                self.leave(next, Reason::Reconfigured, None, moment)
            }
            _ => self.decide(None, moment),
        }
    }

    fn note(&mut self, cluster: Arc<str>, standing: Standing, now: Now) {
        let same = self.seen.get(&cluster).is_some_and(|s| s.standing == standing);
        if standing == Standing::Quorum && self.active() == Some(&cluster) {
            self.forced = false;
        }
        if self.chain.contains(&cluster) && !same {
            self.seen.insert(cluster, Seen { standing, since: now });
        }
    }

    /// The switch is given up: what was left is wanted again.
    fn stay(&mut self) {
        if let Phase::Closing(left, _) = &mut self.phase
            && left.is_planned()
        {
            (left.wanted, left.reason) = (left.from.clone(), Reason::Behind);
            self.pass_fence();
        }
    }

    fn pass_fence(&mut self) {
        if let Phase::Closing(left, _) = &self.phase {
            self.phase = Phase::Closed(Some(left.clone()));
        }
    }

    fn expire_fence(&mut self, now: Now) {
        let Phase::Closing(left, deadline) = &self.phase else { return };
        if now < *deadline {
            return;
        }
        if left.is_planned() && !self.rules.catch_up.is_zero() {
            // Nobody has said that the other cluster has everything.
            return self.stay();
        }
        self.pass_fence();
    }

    fn decide(&mut self, trouble: Option<Now>, moment: &mut Moment<'_>) -> Vec<Action> {
        match &self.phase {
            Phase::Serving(active) => match self.reason_to_leave(active, moment.now) {
                Some((to, reason)) => self.leave(to, reason, trouble, moment),
                None => self.follow(moment),
            },
            Phase::Closing(..) => Vec::new(),
            Phase::Closed(None) => match self.first_eligible() {
                Some(first) => self.leave(Some(first), self.opening(), None, moment),
                None => Vec::new(),
            },
            Phase::Closed(Some(left)) => self.open(left.clone(), moment),
        }
    }

    /// An epoch base above every epoch that was shown to a client.
    fn base_above(&self, moment: &Moment<'_>) -> i32 {
        self.epoch_base.saturating_add(moment.max_epoch.max(0).saturating_add(EPOCH_MARGIN))
    }

    fn opening(&self) -> Reason {
        if self.since == 0 { Reason::Start } else { Reason::QuorumBack }
    }

    /// First phase: nothing is active.
    fn leave(
        &mut self,
        wanted: Option<Arc<str>>,
        reason: Reason,
        trouble: Option<Now>,
        moment: &mut Moment<'_>,
    ) -> Vec<Action> {
        let from = self.active().cloned();
        let interrupted = self.interrupt_drain(moment.now);
        let era = self.era_to_drain(wanted.as_ref(), reason);
        if self.since > 0 {
            self.epoch_base = self.base_above(moment);
        }
        self.since = next(moment.generation);
        let left = Leaving { from, wanted, forced: false, reason, trouble, era };
        let patience = if left.is_planned() { self.rules.catch_up } else { Duration::ZERO };
        self.phase = Phase::Closing(left, moment.now + FENCE_WAIT + patience);
        interrupted.into_iter().chain([Action::Fence { generation: self.since }]).collect()
    }

    /// Nothing came of a planned move: consumers, who were to stay, are fenced too.
    fn fence_all(&mut self, left: Leaving, moment: &mut Moment<'_>) -> Vec<Action> {
        self.since = next(moment.generation);
        self.phase = Phase::Closing(Leaving { era: None, ..left }, moment.now + FENCE_WAIT);
        vec![Action::Fence { generation: self.since }]
    }

    /// Second phase: the cluster that was meant, if it still has quorum or was forced, or the first that has.
    fn open(&mut self, left: Leaving, moment: &mut Moment<'_>) -> Vec<Action> {
        let possible =
            |w: &Arc<str>, forced| self.standing(w) == Standing::Quorum || (forced && self.chain.contains(w));
        if let (Some(era), wanted) = (&left.era, &left.wanted) {
            // Nothing comes of a move that leaves consumers behind.
            let moves = |w: &Arc<str>| *w != era.cluster && possible(w, left.forced);
            if !wanted.as_ref().is_some_and(moves) {
                return self.fence_all(left, moment);
            }
        }
        let Leaving { from, wanted, forced, reason, trouble, era } = left;
        let promised = wanted.is_some();
        let wanted = wanted.filter(|w| possible(w, forced));
        let report =
            |generation, to| Action::Report(Switch { generation, from: from.clone(), to, reason, trouble });
        let Some(cluster) = wanted.clone().or_else(|| self.first_eligible()) else {
            self.phase = Phase::Closed(Some(Leaving::nothing(Reason::QuorumBack)));
            let report = from.is_some().then(|| report(self.since, None));
            let close = promised.then(|| Action::Close { generation: next(moment.generation) });
            return close.into_iter().chain(report).collect();
        };
        self.since = next(moment.generation);
        self.activated = moment.now;
        if self.last.replace(cluster.clone()).is_some_and(|last| last != cluster) {
            self.term = self.term.saturating_add(1);
        }
        let chosen = reason == Reason::Command && wanted.is_some();
        let stays = reason == Reason::Behind && self.pinned;
        self.pinned = (chosen || stays) && self.chain.first() != Some(&cluster);
        self.forced = self.standing(&cluster) != Standing::Quorum;
        self.phase = Phase::Serving(cluster.clone());
        let (generation, epoch_base) = (self.since, self.epoch_base);
        let report = report(generation, Some(cluster.clone()));
        if let Some(era) = era {
            self.begin_drain(era, self.base_above(moment), moment.now);
        }
        vec![Action::Activate { generation, cluster, epoch_base }, report]
    }
}

fn next(generation: &mut u64) -> u64 {
    *generation += 1;
    *generation
}

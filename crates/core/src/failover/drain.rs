//! The consumers' half of a planned move: produces have left a cluster, and consumers stay on it until they have read what it
//! took, for `consumer_drain` at most.
//!
//! ```text
//!            planned move                all is read, or half the time is over         all is committed, or time is over,
//!  Together ─────────────▶ Draining ────────────────────────────────────▶ (leaving) ──── or the cluster lost quorum ─┐
//!     ▲                    publish: consumers stay       publish: groups are asked to leave                          │
//!     │                                                                                                              ▼
//!     └────────────────────────────────────────────────────────────────────────────────────────────────────────── Moving
//!              fence passed or its deadline; publish: consumers follow, higher epoch base        publish: consumers wait
//! ```
//!
//! Produces are never held up by any of it. If they have to move again, consumers move with them.

use super::{Action, Input, Leaving, Machine, Moment, Phase, Reason, next};
use crate::{Now, health::Standing, limits::FENCE_WAIT};
use std::{sync::Arc, time::Duration};

/// A cluster's time of service, as clients know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Era {
    /// The cluster.
    pub cluster: Arc<str>,
    /// Generation of the switch that made it active.
    pub since: u64,
    /// Added to its real leader epochs.
    pub epoch_base: i32,
    /// Its term.
    pub term: u32,
}

/// Which cluster serves consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumers<'a> {
    /// The active one.
    Together,
    /// The one that produces have left. `leaving`: groups are asked to commit and to join again.
    Stay {
        /// The cluster, as it was when it was active.
        on: &'a Era,
        /// Whether groups are asked to leave.
        leaving: bool,
    },
    /// None, for a moment.
    Wait,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Everything was read and committed.
    Complete,
    /// `consumer_drain` was over.
    Deadline,
    /// The cluster lost quorum, or is not in the chain any more.
    Lost,
    /// Produces had to move again.
    Interrupted,
}

impl Ended {
    /// Every end there is.
    pub const ALL: [Self; 4] = [Self::Complete, Self::Deadline, Self::Lost, Self::Interrupted];

    /// As status and metrics name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Deadline => "deadline",
            Self::Lost => "lost",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A drain that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    /// Generation of the switch that it belongs to.
    pub switch: u64,
    /// The cluster that was drained.
    pub cluster: Arc<str>,
    /// From the switch to this decision.
    pub took: Duration,
    /// How it ended.
    pub ended: Ended,
}

/// What consumers do while a cluster is active.
#[derive(Debug, Clone, Default)]
pub(super) enum Trail {
    #[default]
    Together,
    Draining(Drain),
    /// Older snapshots may still be in use.
    Moving {
        generation: u64,
        deadline: Now,
        epoch_base: i32,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Drain {
    era: Era,
    begun: Now,
    until: Now,
    /// Epoch base that is reserved for when consumers follow: a restart may come right after that.
    epoch_base: i32,
    leaving: bool,
    /// What the control plane said.
    read: bool,
    committed: bool,
}

impl Machine {
    /// Which cluster serves consumers.
    pub fn consumers(&self) -> Consumers<'_> {
        match (&self.phase, &self.trail) {
            (Phase::Closing(Leaving { era: Some(on), .. }, _), _) => Consumers::Stay { on, leaving: false },
            (Phase::Serving(_), Trail::Draining(drain)) => {
                Consumers::Stay { on: &drain.era, leaving: drain.leaving }
            }
            (Phase::Serving(_), Trail::Moving { .. }) => Consumers::Wait,
            _ => Consumers::Together,
        }
    }

    /// Whether consumers are not where produces are.
    pub fn trailing(&self) -> bool {
        !matches!(self.trail, Trail::Together)
    }

    /// The era that consumers may stay in when produces leave now: at a planned move, from a cluster that is well.
    pub(super) fn era_to_drain(&self, wanted: Option<&Arc<str>>, reason: Reason) -> Option<Era> {
        let from = self.active()?;
        let planned = matches!(reason, Reason::Command | Reason::Failback);
        let well = self.standing(from) == Standing::Quorum && wanted.is_some_and(|to| to != from);
        (planned && well && !self.rules.consumer_drain.is_zero()).then(|| Era {
            cluster: from.clone(),
            since: self.since,
            epoch_base: self.epoch_base,
            term: self.term,
        })
    }

    pub(super) fn begin_drain(&mut self, era: Era, epoch_base: i32, now: Now) {
        let until = now + self.rules.consumer_drain;
        let (leaving, read, committed) = (false, false, false);
        self.trail = Trail::Draining(Drain { era, begun: now, until, epoch_base, leaving, read, committed });
    }

    /// Takes in what the control plane found out about the drain of this switch.
    pub(super) fn note_drain(&mut self, input: &Input) {
        let Trail::Draining(drain) = &mut self.trail else { return };
        match input {
            Input::Read { switch } if *switch == self.since => drain.read = true,
            Input::Committed { switch } if *switch == self.since => {
                (drain.read, drain.committed) = (true, true);
            }
            _ => {}
        }
    }

    /// When consumers' half wants a step, if nothing happens before.
    pub(super) fn trail_deadline(&self) -> Option<Now> {
        match &self.trail {
            Trail::Together => None,
            // It may have been lost while produces were moved.
            Trail::Draining(drain) if self.is_lost(drain) => Some(drain.begun),
            Trail::Draining(drain) if drain.leaving => Some(drain.until),
            Trail::Draining(drain) => Some(drain.ask_at()),
            Trail::Moving { deadline, .. } => Some(*deadline),
        }
    }

    /// Produces have to move again: consumers go with them.
    pub(super) fn interrupt_drain(&mut self, now: Now) -> Option<Action> {
        let Trail::Draining(drain) = std::mem::take(&mut self.trail) else { return None };
        Some(self.over(&drain, Ended::Interrupted, now))
    }

    /// The next step of consumers, while a cluster is active.
    pub(super) fn follow(&mut self, moment: &mut Moment<'_>) -> Vec<Action> {
        let now = moment.now;
        let mut drain = match &self.trail {
            Trail::Draining(drain) => drain.clone(),
            Trail::Moving { deadline, epoch_base, .. } if now >= *deadline => {
                return self.move_consumers(*epoch_base, moment);
            }
            Trail::Moving { .. } | Trail::Together => return Vec::new(),
        };
        if let Some(ended) = self.end_of(&drain, now) {
            return self.end_drain(&drain, ended, moment);
        }
        if drain.leaving || !(drain.read || now >= drain.ask_at()) {
            return Vec::new();
        }
        drain.leaving = true;
        self.trail = Trail::Draining(drain);
        vec![Action::Announce { generation: next(moment.generation) }]
    }

    fn end_of(&self, drain: &Drain, now: Now) -> Option<Ended> {
        if self.is_lost(drain) {
            return Some(Ended::Lost);
        }
        if drain.committed {
            return Some(Ended::Complete);
        }
        (now >= drain.until).then_some(Ended::Deadline)
    }

    fn is_lost(&self, drain: &Drain) -> bool {
        let cluster = &drain.era.cluster;
        self.standing(cluster) == Standing::Lost || !self.chain.contains(cluster)
    }

    fn end_drain(&mut self, drain: &Drain, ended: Ended, moment: &mut Moment<'_>) -> Vec<Action> {
        let over = self.over(drain, ended, moment.now);
        let generation = next(moment.generation);
        let epoch_base = drain.epoch_base;
        self.trail = Trail::Moving { generation, deadline: moment.now + FENCE_WAIT, epoch_base };
        vec![Action::FenceConsumers { generation }, over]
    }

    fn over(&self, drain: &Drain, ended: Ended, now: Now) -> Action {
        let took = now.saturating_sub(drain.begun);
        Action::Drained(Drained { switch: self.since, cluster: drain.era.cluster.clone(), took, ended })
    }

    /// Nothing uses the drained cluster any more.
    pub(super) fn pass_consumers_fence(&mut self, passed: u64, now: Now) {
        if let Trail::Moving { generation, deadline, .. } = &mut self.trail
            && *generation == passed
        {
            *deadline = now;
        }
    }

    /// Consumers follow. They may have been shown epochs of the active cluster already, so these rise once more: what a consumer
    /// brings from the other log is older.
    fn move_consumers(&mut self, epoch_base: i32, moment: &mut Moment<'_>) -> Vec<Action> {
        self.trail = Trail::Together;
        self.epoch_base = epoch_base;
        let generation = next(moment.generation);
        vec![Action::MoveConsumers { generation, epoch_base }]
    }
}

impl Trail {
    /// The epoch base that is reserved for when consumers follow.
    pub(super) fn reserved(&self) -> Option<i32> {
        match self {
            Trail::Together => None,
            Trail::Draining(Drain { epoch_base, .. }) | Trail::Moving { epoch_base, .. } => Some(*epoch_base),
        }
    }
}

impl Drain {
    /// When groups are asked to leave at the latest: half of the time is for reading, half for committing.
    fn ask_at(&self) -> Now {
        self.begun + (self.until - self.begun) / 2
    }
}

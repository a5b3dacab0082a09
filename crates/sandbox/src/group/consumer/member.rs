//! A member of the consumer protocol, and its way to what is meant for it.
//!
//! ```text
//!            has partitions to give up              has given them up
//!  Stable ─────────────────────────────▶ Revoking ────────────────────▶ (looks again)
//!    ▲  │        others still have some of its target
//!    │  └──────────────────────────────────────────────▶ Waiting ──┐
//!    └────────────── all of its target is free ────────────────────┘
//! ```

use super::{AWAY, Heartbeat, assignor::Assignor};
use crate::group::{codes, handlers::View};
use regex::Regex;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

pub(crate) type TopicId = [u8; 16];

/// Partitions, by the ids of their topics.
pub(crate) type Held = BTreeSet<(TopicId, i32)>;

/// An expression that names topics.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) text: String,
    regex: Regex,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, i16> {
        let regex = crate::patterns::whole(text).map_err(|_| codes::INVALID_REGULAR_EXPRESSION)?;
        Ok(Self { text: text.to_owned(), regex })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Has what was meant for it in its epoch.
    Stable,
    /// Has to give partitions up.
    Revoking,
    /// Waits for partitions of others.
    Waiting,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) topics: BTreeSet<String>,
    pub(super) pattern: Option<Pattern>,
    pub(super) assignor: Option<Assignor>,
    rebalance_timeout: Duration,
    pub(super) epoch: i32,
    /// The epoch before, which a retry may name.
    previous_epoch: i32,
    state: State,
    /// What it was told to have.
    pub(super) assigned: Held,
    /// What it has to give up; nobody else gets it until then.
    pub(super) revoking: Held,
    /// `None` while nobody counts.
    pub(super) session_ends: Option<Instant>,
    pub(super) revocation_ends: Option<Instant>,
}

/// One step of a member to its target.
pub(super) struct Reconcile<'a> {
    pub(super) now: Instant,
    /// The epoch of the target.
    pub(super) epoch: i32,
    pub(super) target: &'a Held,
    /// What others have.
    pub(super) taken: &'a Held,
    /// What the member says that it has; `None`: it does not say.
    pub(super) owned: Option<&'a Held>,
}

impl Member {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            instance_id: None,
            client_id: String::new(),
            client_host: String::new(),
            topics: BTreeSet::new(),
            pattern: None,
            assignor: None,
            rebalance_timeout: Duration::ZERO,
            epoch: 0,
            previous_epoch: 0,
            state: State::Stable,
            assigned: Held::new(),
            revoking: Held::new(),
            session_ends: None,
            revocation_ends: None,
        }
    }

    /// The same static member under another id.
    pub(super) fn again_as(self, id: &str) -> Self {
        Self { id: id.to_owned(), epoch: 0, previous_epoch: 0, ..self }
    }

    /// A static member that will come back.
    pub(super) fn go_away(&mut self) {
        self.epoch = AWAY;
        self.revoking.clear();
        self.revocation_ends = None;
    }

    /// The epoch before is accepted from who did not hear of the present one.
    pub(super) fn check_epoch(&self, epoch: i32, owned: Option<&Held>) -> Result<(), i16> {
        let retry =
            epoch == self.previous_epoch && owned.is_some_and(|owned| owned.is_subset(&self.assigned));
        if epoch == self.epoch || (epoch < self.epoch && retry) {
            Ok(())
        } else {
            Err(codes::FENCED_MEMBER_EPOCH)
        }
    }

    /// Takes what the member says of itself; says whether it reads other topics now.
    pub(super) fn update(&mut self, request: &Heartbeat, pattern: Option<Pattern>) -> bool {
        let text = |pattern: &Option<Pattern>| pattern.as_ref().map(|pattern| pattern.text.clone());
        let before = (self.topics.clone(), text(&self.pattern));
        if let Some(topics) = &request.topics {
            self.topics.clone_from(topics);
        }
        if let Some(pattern) = pattern {
            self.pattern = Some(pattern).filter(|pattern| !pattern.text.is_empty());
        }
        if let Some(name) = &request.assignor {
            self.assignor = Assignor::named(name);
        }
        self.instance_id = request.instance_id.clone().or(self.instance_id.take());
        self.rebalance_timeout = request.rebalance_timeout.unwrap_or(self.rebalance_timeout);
        self.client_id.clone_from(&request.client_id);
        self.client_host.clone_from(&request.client_host);
        before != (self.topics.clone(), text(&self.pattern))
    }

    pub(super) fn subscribes(&self, topic: &str) -> bool {
        self.topics.contains(topic) || self.pattern.as_ref().is_some_and(|p| p.regex.is_match(topic))
    }

    /// The topics that it reads, whether they exist or not.
    pub(super) fn reads(&self, view: &dyn View) -> Vec<String> {
        let mut topics: Vec<String> = self.topics.iter().cloned().collect();
        if self.pattern.is_some() {
            topics.extend(view.topic_names().into_iter().filter(|topic| self.subscribes(topic)));
        }
        topics
    }

    /// Has it all that was meant for it in this epoch?
    pub(super) fn is_settled(&self, epoch: i32) -> bool {
        self.state == State::Stable && self.epoch == epoch
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.session_ends.into_iter().chain(self.revocation_ends).min()
    }

    pub(super) fn renew_revocation(&mut self, now: Instant) {
        let revoking = self.state == State::Revoking && self.epoch != AWAY;
        self.revocation_ends = revoking.then(|| now + self.rebalance_timeout);
    }

    pub(super) fn reconcile(&mut self, step: &Reconcile<'_>) {
        match self.state {
            State::Stable if self.epoch == step.epoch => {}
            State::Stable | State::Waiting => self.advance(step, self.epoch),
            State::Revoking if self.still_owns(step.owned) => {}
            // It has given up what it had to, and is led to what is meant for it by now.
            State::Revoking => self.advance(step, self.epoch + 1),
        }
    }

    /// Has it anything left of what it must give up? Who does not say still has all of it.
    fn still_owns(&self, owned: Option<&Held>) -> bool {
        owned.is_none_or(|owned| !owned.is_disjoint(&self.revoking))
    }

    /// Towards the target: first give up, then take what is free. `epoch` is the one to stay in while giving up.
    fn advance(&mut self, step: &Reconcile<'_>, epoch: i32) {
        let kept: Held = self.assigned.intersection(step.target).copied().collect();
        let given_up: Held = self.assigned.difference(step.target).copied().collect();
        let wanted: Held = step.target.difference(&kept).copied().collect();
        let free: Held = wanted.difference(step.taken).copied().collect();
        let owns = step.owned.is_none_or(|owned| !owned.is_disjoint(&given_up));
        self.assigned = kept;
        if !given_up.is_empty() && owns {
            self.state = State::Revoking;
            self.revoking = given_up;
            self.enter(epoch);
            self.revocation_ends = Some(step.now + self.rebalance_timeout);
            return;
        }
        self.state = if free.len() < wanted.len() { State::Waiting } else { State::Stable };
        self.assigned.extend(free);
        self.revoking.clear();
        self.revocation_ends = None;
        self.enter(step.epoch);
    }

    fn enter(&mut self, epoch: i32) {
        (self.previous_epoch, self.epoch) = (self.epoch, epoch);
    }
}

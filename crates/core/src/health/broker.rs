//! One broker: its state, its probes in flight, and when the next one is due.

use super::{BrokerState, Outcome};
use crate::{Now, config::HealthConfig, topology::NodeId};
use std::{sync::Arc, time::Duration};

/// An unanswered probe makes its healthy broker suspect after this part of the timeout.
const LATE: u32 = 4;

#[derive(Debug)]
pub(super) struct Broker {
    /// Named by the configuration or its source.
    pub(super) configured: bool,
    /// Node id under which Metadata lists this address.
    pub(super) node: Option<NodeId>,
    /// When Metadata last listed it; for a bootstrap server at first: when it was configured.
    pub(super) listed: Now,
    pub(super) state: BrokerState,
    pub(super) reason: Option<Arc<str>>,
    /// The last failure was one of recovery mode.
    pub(super) recovery: bool,
    pub(super) took: Option<Duration>,
    /// First sign of trouble since it last was healthy without doubt.
    pub(super) trouble: Option<Now>,
    /// A probe is wanted now.
    pub(super) at_once: bool,
    /// Consecutive results of the same kind, counted while they contradict the state.
    streak: Streak,
    /// Probes without outcome, oldest first: (id, start).
    in_flight: Vec<(u64, Now)>,
    last_start: Option<Now>,
    /// Start of the newest probe whose failure was counted.
    last_counted: Option<Now>,
    /// Start of the newest probe that succeeded: failures of older probes are old news.
    last_success: Option<Now>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Streak {
    None,
    Successes(u32),
    Failures(u32),
}

impl Broker {
    pub(super) fn new(now: Now) -> Self {
        Self {
            configured: false,
            node: None,
            listed: now,
            state: BrokerState::Unknown,
            reason: None,
            recovery: false,
            took: None,
            trouble: None,
            at_once: false,
            streak: Streak::None,
            in_flight: Vec::new(),
            last_start: None,
            last_counted: None,
            last_success: None,
        }
    }

    /// When the next probe is due; `None` while as many are in flight as are allowed.
    pub(super) fn due_at(&self, rules: &HealthConfig) -> Option<Now> {
        if self.in_flight.len() >= allowed_in_flight(rules) {
            return None;
        }
        let Some(last) = self.last_start.filter(|_| !self.at_once) else { return Some(Now::ZERO) };
        let steady = last + rules.interval + self.jitter(rules);
        let edge = last + rules.edge_interval.min(rules.interval);
        if self.streak != Streak::None {
            return Some(edge);
        }
        let late = self.in_flight.first().filter(|_| self.state != BrokerState::Unhealthy);
        Some(late.map_or(steady, |(_, started)| steady.min(edge.max(*started + rules.timeout / LATE))))
    }

    /// Differs from probe to probe, broker to broker and process to process: what is below a millisecond of when the last
    /// probe began is as good as chance.
    fn jitter(&self, rules: &HealthConfig) -> Duration {
        let chance = self.last_start.map_or(0, |at| at.subsec_nanos()).wrapping_mul(0x9E37_79B9);
        rules.jitter.mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }

    pub(super) fn start(&mut self, id: u64, now: Now) {
        self.at_once = false;
        self.last_start = Some(now);
        self.in_flight.push((id, now));
    }

    pub(super) fn drop_in_flight(&mut self) {
        self.in_flight.clear();
    }

    /// Returns whether the state changed.
    pub(super) fn result(&mut self, id: u64, outcome: Outcome, rules: &HealthConfig, now: Now) -> bool {
        let Some(at) = self.in_flight.iter().position(|(i, _)| *i == id) else { return false };
        let (_, started) = self.in_flight.remove(at);
        match outcome {
            Outcome::Discarded => false,
            Outcome::Success { took } => self.success(started, took, rules),
            Outcome::Failure { .. } | Outcome::Recovery { .. }
                if self.last_success.is_some_and(|last| started < last) =>
            {
                false
            }
            Outcome::Failure { reason, refused } => {
                self.recovery = false;
                self.failure(started, reason, refused, rules, now)
            }
            Outcome::Recovery { reason } => {
                self.recovery = true;
                self.failure(started, reason, false, rules, now)
            }
        }
    }

    fn success(&mut self, started: Now, took: Duration, rules: &HealthConfig) -> bool {
        self.last_success = self.last_success.max(Some(started));
        self.took = Some(took);
        if self.state == BrokerState::Healthy {
            (self.streak, self.reason, self.trouble) = (Streak::None, None, None);
            return false;
        }
        let count = if let Streak::Successes(n) = self.streak { n + 1 } else { 1 };
        if count < rules.healthy_after {
            self.streak = Streak::Successes(count);
            return false;
        }
        (self.streak, self.reason, self.trouble) = (Streak::None, None, None);
        self.state = BrokerState::Healthy;
        true
    }

    /// Failures count once per `edge_interval`, however many probes signals ask for: a hiccup of a few milliseconds
    /// in which every new connection is reset is one failure.
    fn failure(
        &mut self,
        started: Now,
        reason: Arc<str>,
        refused: bool,
        rules: &HealthConfig,
        now: Now,
    ) -> bool {
        self.reason = Some(reason);
        self.trouble.get_or_insert(now);
        if self.state == BrokerState::Unhealthy {
            self.streak = Streak::None;
            return false;
        }
        let Streak::Failures(count) = self.streak else {
            return self.count_failure(1, started, refused, rules);
        };
        let same_hiccup = self.last_counted.is_some_and(|last| started < last + rules.edge_interval);
        let count = if same_hiccup { count } else { count + 1 };
        self.count_failure(count, started, refused, rules)
    }

    fn count_failure(&mut self, count: u32, started: Now, refused: bool, rules: &HealthConfig) -> bool {
        if self.streak != Streak::Failures(count) {
            self.last_counted = Some(started);
        }
        if count < rules.unhealthy_after && !refused {
            self.streak = Streak::Failures(count);
            return false;
        }
        self.streak = Streak::None;
        self.state = BrokerState::Unhealthy;
        true
    }
}

/// Probes overlap so that time-outs do not add up: as many as start within one timeout, and as many as a decision needs.
fn allowed_in_flight(rules: &HealthConfig) -> usize {
    let steady = rules.timeout.as_nanos() / rules.interval.as_nanos().max(1);
    usize::try_from(steady.max(rules.unhealthy_after.into())).unwrap_or(usize::MAX).clamp(1, 64) + 1
}

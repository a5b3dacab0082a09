//! Health as the documentation describes it, written a second time and as plainly as possible: the checker's own opinion.

use pointsman_core::{
    Now,
    config::HealthConfig,
    health::{Outcome, Standing},
};
use std::time::Duration;

/// One cluster, judged by the outcomes of its probes.
#[derive(Debug)]
pub(crate) struct Oracle {
    brokers: Vec<Seen>,
    unhealthy_after: u32,
    healthy_after: u32,
    edge_interval: Duration,
    needed: usize,
    /// Standing and since when.
    pub(crate) standing: (Standing, Now),
}

#[derive(Debug, Clone, Default)]
struct Seen {
    healthy: Option<bool>,
    failures: u32,
    successes: u32,
    last_success_started: Option<Now>,
    last_counted: Option<Now>,
}

impl Oracle {
    pub(crate) fn new(brokers: usize, rules: &HealthConfig, now: Now) -> Self {
        Self {
            brokers: vec![Seen::default(); brokers],
            unhealthy_after: rules.unhealthy_after,
            healthy_after: rules.healthy_after,
            edge_interval: rules.edge_interval,
            needed: brokers / 2 + 1,
            standing: (Standing::Unknown, now),
        }
    }

    pub(crate) fn result(&mut self, broker: usize, started: Now, outcome: &Outcome, now: Now) {
        let seen = &mut self.brokers[broker];
        match outcome {
            Outcome::Discarded => return,
            Outcome::Success { .. } => {
                seen.last_success_started = seen.last_success_started.max(Some(started));
                (seen.failures, seen.successes) = (0, seen.successes + 1);
            }
            // The simulated brokers are never in recovery mode.
            Outcome::Recovery { .. } => return,
            Outcome::Failure { .. } if seen.last_success_started.is_some_and(|s| started < s) => return,
            Outcome::Failure { refused, .. } => {
                let again = seen.last_counted.is_none_or(|s| started >= s + self.edge_interval);
                if *refused {
                    seen.failures = self.unhealthy_after;
                } else if seen.failures == 0 || again {
                    seen.failures += 1;
                    seen.last_counted = Some(started);
                }
                seen.successes = 0;
            }
        }
        if seen.failures >= self.unhealthy_after {
            seen.healthy = Some(false);
        } else if seen.successes >= self.healthy_after {
            seen.healthy = Some(true);
        }
        self.judge(now);
    }

    fn judge(&mut self, now: Now) {
        let count = |wanted| self.brokers.iter().filter(|b| b.healthy == wanted).count();
        let (healthy, unknown) = (count(Some(true)), count(None));
        let standing = match () {
            () if healthy >= self.needed => Standing::Quorum,
            () if healthy + unknown < self.needed => Standing::Lost,
            () => self.standing.0,
        };
        if standing != self.standing.0 {
            self.standing = (standing, now);
        }
    }
}

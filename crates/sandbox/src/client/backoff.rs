//! Waits that double from try to try up to a maximum, as in KIP-580.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

use super::ClientConfig;

/// Doublings after which the maximum is certainly reached; keeps the shift small.
const MOST_DOUBLINGS: u32 = 20;

/// The waits of one thing that is tried again and again.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(config: &ClientConfig) -> Self {
        Self { first: config.backoff, max: config.backoff_max, failures: 0 }
    }

    /// The wait after one more failure: a fifth more or less by chance, so that clients do not come all at once.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.first.saturating_mul(1 << self.failures.min(MOST_DOUBLINGS)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let percent = u32::try_from(RandomState::new().build_hasher().finish() % 41).unwrap_or(20);
        wait.saturating_mul(80 + percent) / 100
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum_and_begin_anew_after_success() {
        let mut backoff = Backoff::new(&ClientConfig::new(["a:1"]));
        let within = |wait: Duration, ms: u64| {
            let middle = Duration::from_millis(ms);
            wait >= middle * 4 / 5 && wait <= middle * 6 / 5
        };
        for ms in [100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.next();
            assert!(within(wait, ms), "{wait:?} for {ms}");
        }
        backoff.reset();
        assert!(within(backoff.next(), 100));
    }
}

//! The one place that reads clocks: everything that decides takes `Now` from here.
//!
//! Decisions use the monotonic clock, so that a step of the wall clock changes nothing; the wall clock only dates the
//! switch history.

use pointsman_core::Now;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// The clock of the process.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Time since the start.
    pub fn now(&self) -> Now {
        self.started.elapsed()
    }

    /// When it started: the origin of [`Now`].
    pub fn origin(&self) -> Instant {
        self.started
    }

    /// The point in time for a timer.
    pub fn instant(&self, now: Now) -> Instant {
        self.started + now
    }

    /// Unix time in milliseconds.
    pub fn unix_ms() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

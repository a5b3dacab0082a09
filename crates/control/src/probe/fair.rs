//! Deadlines that are fair to the broker when this process itself does not get to run.
//!
//! The time-out is counted in slices of its own timer. A slice that is served late counts as one slice, so time in which
//! this process did not run is not charged to the broker. If one slice is later than half of the whole limit, or all of
//! them together later than the limit, the measurement says nothing, and is thrown away.

use std::{future::Future, time::Duration};
use tokio::time::{Instant, sleep_until};

const SLICES: u32 = 10;

/// What became of the work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Timed<T> {
    /// It was done in time.
    Done(T),
    /// It was not, and this process had its share of the processor.
    Silent,
    /// It was not, but this process was not running for a good part of the time.
    Starved,
}

/// Waits for `work`, at most `limit` of this process's own time.
pub(crate) async fn fair<T>(limit: Duration, work: impl Future<Output = T>) -> Timed<T> {
    tokio::pin!(work);
    let slice = limit / SLICES;
    let mut lost = Duration::ZERO;
    for _ in 0..SLICES {
        let until = Instant::now() + slice;
        tokio::select! {
            biased;
            done = &mut work => return Timed::Done(done),
            () = sleep_until(until) => {}
        }
        let late = until.elapsed();
        lost += late;
        if late > limit / 2 || lost > limit {
            return Timed::Starved;
        }
    }
    Timed::Silent
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn a_silent_broker_is_timed_out_after_the_limit() {
        let started = Instant::now();
        assert_eq!(fair(Duration::from_secs(1), pending::<()>()).await, Timed::Silent);
        assert!(started.elapsed() < Duration::from_millis(1100), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_process_did_not_run_is_not_charged() {
        let stall = async {
            sleep_until(Instant::now() + Duration::from_millis(50)).await;
            // The whole process stands still: nothing is polled meanwhile.
            tokio::time::advance(Duration::from_secs(3)).await;
            pending::<()>().await;
        };
        assert_eq!(fair(Duration::from_secs(1), stall).await, Timed::Starved);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_waited_while_the_process_stood_still_is_an_answer() {
        let late = async {
            sleep_until(Instant::now() + Duration::from_millis(10)).await;
            tokio::time::advance(Duration::from_secs(3)).await;
            7
        };
        assert_eq!(fair(Duration::from_secs(1), late).await, Timed::Done(7));
    }
}

//! Spreads the ends of many connections over a time, so that their clients do not all come back at once.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// A row of numbers, any stretch of which is spread evenly.
#[derive(Debug, Default)]
pub(crate) struct Spread(AtomicU32);

impl Spread {
    /// A part of a time, another one for each caller.
    pub(super) fn within(&self, time: Duration) -> Duration {
        // Multiples of the golden ratio, in units of 2^-32.
        let part = self.next().wrapping_mul(0x9E37_79B9);
        time.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }

    /// The next number.
    pub(super) fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_spread_evenly_over_the_time() {
        let (spread, second) = (Spread::default(), Duration::from_secs(1));
        let mut tenths = [0; 10];
        for _ in 0..1_000 {
            let at = spread.within(second);
            assert!(at <= second);
            tenths[usize::try_from(at.as_millis() / 100).expect("small").min(9)] += 1;
        }
        assert!(tenths.iter().all(|n| (90..=110).contains(n)), "{tenths:?}");
    }
}

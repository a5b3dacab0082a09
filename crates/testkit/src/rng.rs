//! A small generator of repeatable randomness (SplitMix64).

use std::time::Duration;

/// The generator; its whole state is one number.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n` (0 for 0).
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// True in `percent` of 100 cases.
    #[cfg_attr(not(feature = "sim"), allow(dead_code, reason = "only the simulator needs it"))]
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A duration between two numbers of milliseconds, inclusive.
    pub(crate) fn ms(&mut self, from: usize, to: usize) -> Duration {
        let ms = from + self.below(to.saturating_sub(from) + 1);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

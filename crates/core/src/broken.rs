//! Mechanisms switched off on purpose, for drills that must notice it. Without the feature `broken`, which nothing that users get is built
//! with, none of this can be switched, and what asks is compiled away.

#[cfg(feature = "broken")]
use std::sync::atomic::{AtomicBool, Ordering};

/// What can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The order of batches that a switch failed ([`crate::session::gate`]).
    Gate,
    /// The term in producer ids ([`crate::producer_ids`]).
    Generation,
}

#[cfg(feature = "broken")]
static OFF: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];

impl Mechanism {
    /// Whether it is switched off.
    #[cfg(feature = "broken")]
    pub(crate) fn is_off(self) -> bool {
        OFF[self as usize].load(Ordering::Relaxed)
    }

    /// Never.
    #[cfg(not(feature = "broken"))]
    pub(crate) const fn is_off(self) -> bool {
        false
    }

    /// Switches it off for the rest of the process.
    #[cfg(feature = "broken")]
    pub fn switch_off(self) {
        OFF[self as usize].store(true, Ordering::Relaxed);
    }

    /// The mechanism of that name.
    #[cfg(feature = "broken")]
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "gate" => Some(Self::Gate),
            "generation" => Some(Self::Generation),
            _ => None,
        }
    }
}

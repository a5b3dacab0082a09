//! What of a machine survives a restart.

use super::{Machine, Phase};
use crate::{Now, config::FailoverConfig};
use std::sync::Arc;

/// What the state store keeps of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Saved {
    /// The active cluster.
    pub active: Option<Arc<str>>,
    /// Generation of the newest fence or activation; 0: there was none yet.
    pub since: u64,
    /// Epoch base of the active cluster, or the one reserved for the next, or for when consumers follow.
    pub epoch_base: i32,
    /// How often the chain has moved to another cluster than the one that served last.
    #[serde(default)]
    pub term: u32,
    /// An operator chose the active cluster.
    #[serde(default)]
    pub pinned: bool,
    /// An operator chose it without quorum, and it has had none since.
    #[serde(default)]
    pub forced: bool,
    /// Consumers have not followed to the active cluster yet.
    #[serde(default)]
    pub trailing: bool,
}

impl Machine {
    /// What to store now.
    pub fn saved(&self) -> Saved {
        Saved {
            active: self.active().cloned(),
            since: self.since,
            epoch_base: self.trail.reserved().unwrap_or(self.epoch_base),
            term: self.term,
            pinned: self.pinned,
            forced: self.forced,
            trailing: self.trailing(),
        }
    }

    /// A machine that goes on where a process before this one ended. An active cluster that the chain no longer has
    /// is left: its place is taken as if it had lost quorum.
    pub fn restore(saved: &Saved, chain: Vec<Arc<str>>, rules: FailoverConfig, now: Now) -> Self {
        let mut machine = Machine::new(chain, rules);
        machine.since = saved.since;
        machine.epoch_base = saved.epoch_base;
        machine.term = saved.term;
        machine.last = saved.active.clone();
        if saved.active.is_none() && saved.since > 0 {
            // Between the two phases: some cluster may have served the next term, and nobody knows which.
            machine.term = saved.term.saturating_add(2);
        }
        machine.pinned = saved.pinned;
        machine.forced = saved.forced;
        machine.activated = now;
        if let Some(active) = saved.active.as_ref().filter(|a| machine.chain.contains(a)) {
            // Consumers who had not followed do so now, because nobody knows what they have read. The epoch base is the one that was reserved
            // for that: above all that they have seen.
            machine.phase = Phase::Serving(active.clone());
        }
        machine
    }
}

//! Consumers through random switches, in a simulator: where groups and lone consumers go on, and what they pass over.
//!
//! Two clusters with logs of their own, one of which serves; groups that commit, leave and come back; consumers without a group. What
//! Pointsman knows and answers is its own code (`pointsman_core::offsets`); polls of end offsets are late, and switches come with and
//! without notice. Judged by what was read: nothing that was acknowledged after a group was seen is passed over, and little is read
//! again. `CONSUMER_SEED=n` replays one seed; `CONSUMER_SEEDS=n` runs more of them.

mod member;
#[cfg(test)]
mod tests;
mod world;

use crate::rng::Rng;
use world::World;

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// None.
    Nothing,
    /// A group without a committed offset gets none.
    SwitchPoint,
    /// It gets the end of the log, whenever it comes.
    LatestEnd,
    /// An epoch of another cluster's log is asked of a cluster that never had it.
    Epochs,
    /// A group that misses a whole stay does not keep the switch point of that stay.
    Kept,
}

/// What a history was made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Records that were read, by all consumers.
    pub read: usize,
    /// Times that a group was told where to begin.
    pub given: usize,
    /// Times that a consumer was moved by an answer for an older epoch.
    pub moved: usize,
}

/// Runs the history of one seed; an error names the promises that did not hold.
pub fn run(seed: u64, broken: Broken) -> Result<Summary, Vec<String>> {
    let mut world = World::new(Rng::new(seed), broken);
    world.run();
    world.verdict()
}

//! Transactional producers through random switches, in a simulator.
//!
//! Models of two clusters with their transaction coordinators, and of producers with transactions of either version (KIP-890), from their
//! documented behaviour; ids and answers are Pointsman's own (`pointsman_core::producer_ids`, `rules::transactions`). A request is carried
//! out at once, or a switch comes between it and its answer. Judged by what a `read_committed` consumer finds: a transaction is
//! there as a whole or not at all, what was committed is there, what was aborted is not, nothing hangs, and no producer ends.
//! `TRANSACTION_SEED=n` replays one seed; `TRANSACTION_SEEDS=n` runs more of them.

mod cluster;
mod pointsman;
mod producer;
#[cfg(test)]
mod tests;
mod world;

pub use pointsman::Broken;

use crate::rng::Rng;
use world::World;

/// What a history was made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Transactions that were committed, by the word of the cluster.
    pub committed: usize,
    /// Those that were aborted because of a switch.
    pub aborted: usize,
}

/// Runs the history of one seed; an error names the promises that did not hold.
pub fn run(seed: u64, broken: Broken) -> Result<Summary, Vec<String>> {
    let mut world = World::new(Rng::new(seed), broken);
    world.run();
    world.verdict()
}

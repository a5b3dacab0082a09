//! Idempotent producers of four libraries through random switches, in a simulator.
//!
//! Small models of the clients (`rules.rs`: their differences as data), of two clusters with a broker's rules for sequence numbers,
//! and of what Pointsman does, with its real gate, run on a virtual clock from one seed: switches to and fro, delays, connections
//! that are lost. Judged as the ping-pong drill is: nothing acknowledged is missing, order is kept, copies only where an
//! acknowledgement was lost, no error. `PRODUCER_SEED=n` replays one seed and prints its events; `PRODUCER_SEEDS=n` runs
//! more of them.
//!
//! Taken for granted: a request that left Pointsman reaches its broker before the next visit to that cluster, or never.

mod broker;
mod client;
mod pointsman;
mod rules;
#[cfg(test)]
mod tests;
mod world;

pub use pointsman::Broken;

use crate::rng::Rng;
use pointsman_core::Now;
use std::time::Duration;
use world::{Scenario, World};

/// Time that everything has to be delivered after the last switch.
const QUIET: Duration = Duration::from_secs(30);

/// What a history was made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Acknowledged records.
    pub acked: usize,
    /// Copies on the other cluster, because an acknowledgement was lost.
    pub again: usize,
}

/// What all histories of a test have in common.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// The rule that is broken on purpose.
    pub broken: Broken,
    /// Whether a partition's leader may seem to move from one connection of the client to another.
    pub moving_leaders: bool,
    /// Whether some of the clients send failed batches again in another order than their own.
    pub careless_clients: bool,
}

/// Runs the history of one seed; an error names the promises that did not hold.
pub fn run(seed: u64, setup: Setup, trace: bool) -> (Result<Summary, Vec<String>>, Vec<String>) {
    let mut rng = Rng::new(seed);
    let scenario = scenario(&mut rng, setup);
    let end = scenario.switches.last().copied().unwrap_or_default() + QUIET;
    let mut world = World::new(scenario, seed ^ 0x5A5A);
    world.trace = trace.then(Vec::new);
    world.run(end);
    let reports = world.verdict();
    let faults: Vec<String> = reports.iter().flat_map(crate::history::SequenceReport::broken).collect();
    let summary = Summary {
        acked: reports.iter().map(|r| r.acked).sum(),
        again: reports.iter().map(|r| r.again_later).sum(),
    };
    let result = if faults.is_empty() { Ok(summary) } else { Err(faults) };
    (result, world.trace.take().unwrap_or_default())
}

fn scenario(rng: &mut Rng, setup: Setup) -> Scenario {
    let kinds = if setup.careless_clients { &rules::ALL[..] } else { &rules::CAREFUL[..] };
    let clients: Vec<_> = (0..1 + rng.below(3)).map(|_| kinds[rng.below(kinds.len())]).collect();
    let mut at = Now::ZERO;
    // Never shorter than what is left under way, see above.
    let mut later = |rng: &mut Rng| {
        at += rng.ms(100, 600);
        at
    };
    let switches: Vec<Now> = (0..1 + rng.below(6)).map(|_| later(rng)).collect();
    let connections = clients.len() * 2;
    let end = usize::try_from(at.as_millis()).unwrap_or(0) + 200;
    let losses = (0..rng.below(5)).map(|_| (rng.ms(1, end), rng.below(connections))).collect();
    Scenario {
        clients,
        partitions: 1 + rng.below(2),
        batches: 100 + rng.below(200),
        interval: 500 + rng.below(20_000),
        delay: 200 + rng.below(15_000),
        switches,
        losses,
        setup,
    }
}

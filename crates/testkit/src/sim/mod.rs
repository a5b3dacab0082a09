//! A simulator of everything around the failover machine: brokers that crash, pause and come back, probes that are late
//! or lost, passive signals, operators, a data plane that adopts snapshots when it likes, and restarts from stored state.
//!
//! It runs `pointsman-core`'s own health and failover on a virtual clock, from one seed; the same seed gives the same
//! history. A safety checker looks at each published snapshot and a liveness checker at the calm end of the history.
//! Neither asks the code under test: they judge by the outcomes of probes and by what the brokers really did.
//! `SIM_SEED=n` replays one seed and prints its events; `SIM_SEEDS=n` runs more of them.

mod checker;
pub mod consumers;
mod drain;
mod history;
mod mutation;
mod oracle;
mod process;
pub mod producers;
#[cfg(test)]
mod tests;
pub mod transactions;
mod world;

pub use checker::Violation;
pub use history::{Summary, run};
pub use mutation::Mutation;
pub use world::{Event, Scenario, Truth, World};

//! The data plane: client connections, and the connections to brokers that each of them opens.
//!
//! Decisions come from outside, as snapshots; what a frame becomes is decided by `core`'s session. This crate moves
//! bytes: it listens, reads, writes, dials, keeps every queue bounded and ends every task with its parent.
//! It never imports the control plane.

mod alarm;
mod connection;
mod dial;
pub mod fence;
mod herald;
mod input;
mod listener;
mod passthrough;
mod pipes;
mod queue;
mod socket;
mod splice;
mod upstream;
mod workers;

pub use listener::{BindError, DataPlane, VirtualListener};

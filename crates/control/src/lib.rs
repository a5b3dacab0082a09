//! The control plane: what watches clusters, decides by the machines of `core`, and publishes snapshots.
//!
//! It meets the data plane only in the immutable [`Snapshot`](pointsman_core::snapshot::Snapshot), in the channel of
//! [`Signal`](pointsman_core::signal::Signal)s and in the [`Fence`]; neither imports the other.

pub mod api;
pub mod clock;
pub mod discovery;
#[cfg(test)]
mod example;
pub mod handle;
pub mod health_listeners;
pub mod kafka;
pub mod live;
mod metadata;
mod offsets;
mod probe;
pub mod prometheus;
mod publish;
mod reconcile;
pub mod reload;
pub mod state;
pub mod tasks;

pub use reconcile::{ControlPlane, StartError, Startup, start, start_with};

use std::{future::Future, pin::Pin};

/// The data plane's promise about old snapshots.
pub trait Fence: Send + Sync {
    /// Resolves when no client connection uses a snapshot older than `generation`: from then on nothing decided before can
    /// reach a client. The caller bounds the wait.
    fn passed(&self, generation: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

//! Passthrough: a client's bytes go to the broker of its slot and back, unread.
//!
//! ```text
//!  accepted ─▶ (hello: the slot by its name) ─▶ choose ─▶ dial ─▶ pump ─▶ ended
//!                                                 ▲        │        └──▶ cut, or drained first: the slot leads elsewhere
//!                                                 └────────┘ the slot leads elsewhere: nothing was sent yet
//! ```
//!
//! What keeps the order of records here is the fence alone: a connection carries its mark as soon as it is bound to a cluster, and
//! a switch waits for the marks. It must never read, change or hold back a byte that is meant for the other side.

mod connection;
mod copy;
mod direction;
mod hello;
mod pump;
mod spread;

pub(crate) use connection::{Arrival, run};
pub(crate) use spread::Spread;

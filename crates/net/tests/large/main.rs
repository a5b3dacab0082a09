//! Large frames through real sockets: whatever their size, and however slow the other side is, memory stays flat.
//!
//! The process' allocations are counted, client and brokers of the tests included; so these hold no more than a few KiB at a time.

#![allow(unsafe_code, reason = "a counting allocator cannot be written without")]

mod farewell;
mod fence;
mod fetch;
mod harness;
mod hostile;
mod memory;
mod moves;
mod produce;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

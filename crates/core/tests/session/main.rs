//! The session from the outside: what a client sends, what brokers get, what they answer, what the client gets.

#![allow(unsafe_code, reason = "a counting allocator cannot be written without")]

mod allocations;
mod bodies;
mod bound;
mod coordinators;
#[path = "../../../wire/tests/common/counting.rs"]
mod counting;
mod drain;
mod fetch;
mod fetch_sessions;
mod gate;
mod harness;
mod hostile;
mod identical;
mod ids;
mod links;
mod markers;
mod members;
mod nodes;
mod order;
mod peak;
mod positions;
mod produce_failures;
mod produce_stream;
mod producer_ids;
mod rejoin;
mod split;
mod stream;
mod switch;
mod transactions;

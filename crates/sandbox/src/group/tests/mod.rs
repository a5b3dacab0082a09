//! Tests of the groups: rules with their error codes, and a seeded random test.

mod consumers;
mod failover;
mod fixture;
mod handlers;
mod joining;
mod membership;
mod offsets;
mod random;
mod statics;

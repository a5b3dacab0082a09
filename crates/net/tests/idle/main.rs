//! Idle connections behind passthrough: what each of them holds in user space.
//!
//! The process' allocations are counted, the tests' own two sockets of each connection included. How much the kernel holds, and
//! what 10,000 connections of a process of its own need, is measured by the benchmark.

#![allow(unsafe_code, reason = "a counting allocator cannot be written without")]
#![allow(dead_code, reason = "the world and the allocator are shared with other tests")]

#[path = "../large/memory.rs"]
mod memory;
#[path = "../passthrough/world.rs"]
mod world;

use pointsman_core::config::Passthrough;
use world::{PRIMARY, World};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// What 10,000 idle connections may hold each (80 MB in all).
const EACH: usize = 8 << 10;
const CONNECTIONS: usize = 200;
/// Made before, so that what is made once does not count.
const FIRST: usize = 16;

#[tokio::test]
async fn an_idle_connection_holds_at_most_8_kib_in_user_space() {
    let world = World::new([1, 1], Passthrough::default()).await;
    let mut held = Vec::with_capacity(FIRST + CONNECTIONS);
    let mut measure = memory::Measure::begin().await;
    for number in 0..FIRST + CONNECTIONS {
        if number == FIRST {
            measure.start();
        }
        let (mut client, mut broker) = world.pair(0, PRIMARY).await;
        client.greet(&mut broker).await;
        held.push((client, broker));
    }

    let each = measure.peak() / CONNECTIONS;

    println!("{each} bytes for each of {CONNECTIONS} idle connections");
    assert!(each <= EACH, "{each} bytes each, at most {EACH}");
}

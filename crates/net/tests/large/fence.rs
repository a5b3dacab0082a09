//! A switch reaches every connection, also those on which nothing happens.

use crate::harness::{DEADLINE, World};
use tokio::time::timeout;

#[tokio::test]
async fn an_idle_connection_passes_the_fence() {
    let world = World::new().await;
    let mut idle = world.client().await;
    assert!(idle.is_served().await, "the connection has adopted the first snapshot");

    world.switch();

    let passed = timeout(DEADLINE, world.generations.passed(2)).await;
    assert!(passed.is_ok(), "a connection still uses the old snapshot");
    assert!(idle.is_served().await, "and it stays open");
}

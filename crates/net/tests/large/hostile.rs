//! Lengths that nobody means: only their own connection ends, and nothing is allocated for them.

use crate::harness::{MIB, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_length_closes_only_its_own_connection() {
    let mut world = World::new().await;
    let mut honest = world.client().await;
    assert!(honest.is_served().await);
    world.measure.start();
    for length in [0_u32, u32::MAX, 0x7fff_ffff, 0x8000_0000, 104_857_601] {
        let mut client = world.client().await;
        client.write(&length.to_be_bytes()).await;
        client.write(&[0; 8]).await;
        assert_eq!(client.drain().await, 0, "{length:#x} closes");
    }
    assert!(world.measure.peak() < MIB, "{} bytes at the peak", world.measure.peak());
    assert!(honest.is_served().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_that_is_not_backed_by_bytes_costs_nothing() {
    let mut world = World::new().await;
    let mut honest = world.client().await;
    assert!(honest.is_served().await);
    world.measure.start();
    let mut idle = Vec::new();
    for key in [0_u16, 1, 3] {
        let mut client = world.client().await;
        // 8 MiB, or for Produce 100 MiB, of which only the beginning comes.
        let size: u32 = if key == 0 { 104_857_600 } else { 8 << 20 };
        client.write(&[&size.to_be_bytes()[..], &key.to_be_bytes(), &[0, 9, 0, 0, 0, 1]].concat()).await;
        idle.push(client);
    }
    assert!(honest.is_served().await);
    assert!(world.measure.peak() < MIB, "{} bytes at the peak", world.measure.peak());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_within_a_large_produce_closes_only_its_own_connection() {
    let world = World::new().await;
    let mut honest = world.client().await;
    assert!(honest.is_served().await);
    let mut client = world.client().await;
    let size: u32 = 64 << 20;
    client
        .write(&[&size.to_be_bytes()[..], &[0, 0, 0, 9, 0, 0, 0, 1, 255, 255, 0], &[0xff; 4096]].concat())
        .await;
    client.drain().await;
    assert!(honest.is_served().await);
}

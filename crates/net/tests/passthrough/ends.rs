//! How connections end: half, whole, by force, and by silence.

use crate::world::{End, PRIMARY, Peer, World};
use pointsman_core::{
    config::Passthrough,
    metrics::CloseReason,
    signal::{Failure, Signal},
};
use socket2::{SockFilter, SockRef};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Longer than the user time-out of TCP, which is 30 s.
const NOTICED: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_end_of_one_direction_is_passed_on_and_the_other_goes_on() {
    let world = World::new([1, 1], Passthrough::default()).await;
    let (mut client, mut broker) = world.pair(0, PRIMARY).await;

    client.send(b"the last request").await;
    client.end_writing().await;
    assert_eq!(broker.rest().await, (b"the last request".to_vec(), End::Closed));
    broker.send(b"its answer").await;
    assert_eq!(client.take(10).await, b"its answer");
    drop(broker);

    assert_eq!(client.rest().await, (Vec::new(), End::Closed));
    world.wait_closed(CloseReason::ClientClosed, 1).await;
}

#[tokio::test]
async fn the_broker_may_end_first() {
    let world = World::new([1, 1], Passthrough::default()).await;
    let (mut client, mut broker) = world.pair(0, PRIMARY).await;

    broker.send(b"bye").await;
    broker.end_writing().await;
    assert_eq!(client.rest().await, (b"bye".to_vec(), End::Closed));
    client.send(b"one more").await;
    assert_eq!(broker.take(8).await, b"one more");
    drop(client);

    assert_eq!(broker.rest().await, (Vec::new(), End::Closed));
    world.wait_closed(CloseReason::BrokerClosed, 1).await;
}

#[tokio::test]
async fn a_client_that_is_gone_takes_its_connection_to_the_broker_along() {
    let world = World::new([1, 1], Passthrough::default()).await;
    let (mut client, mut broker) = world.pair(0, PRIMARY).await;
    client.greet(&mut broker).await;

    client.reset();

    assert_eq!(broker.rest().await.1, End::Reset);
    world.wait_closed(CloseReason::ClientError, 1).await;
    assert_eq!(world.metrics.upstreams.value(), 0);
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_stream_reaches_the_client_and_the_control_plane() {
    let mut world = World::new([1, 1], Passthrough::default()).await;
    let (mut client, mut broker) = world.pair(0, PRIMARY).await;
    broker.send(&[1; 1000]).await;
    assert_eq!(client.take(1000).await, [1; 1000]);

    broker.reset();

    assert_eq!(client.rest().await.1, End::Reset);
    world.wait_closed(CloseReason::UpstreamFailed, 1).await;
    let Some(Signal::BrokerFailed { cluster, failure, .. }) = world.signals.recv().await else {
        panic!("expected a signal")
    };
    assert_eq!((&*cluster, failure), ("primary", Failure::Reset));
}

#[tokio::test]
async fn a_connection_on_which_nothing_moves_is_closed_after_the_idle_timeout_and_not_before() {
    let rules = Passthrough { idle_timeout: Duration::from_millis(600), ..Passthrough::default() };
    let world = World::new([1, 1], rules).await;
    let (mut client, mut broker) = world.pair(0, PRIMARY).await;
    let began = Instant::now();
    let (mut moved, mut ticks) = (began, tokio::time::interval(Duration::from_millis(50)));
    while began.elapsed() < Duration::from_millis(1_200) {
        client.greet(&mut broker).await;
        moved = Instant::now();
        ticks.tick().await;
    }

    assert_eq!(client.rest().await, (Vec::new(), End::Closed));

    assert!(moved.elapsed() >= Duration::from_millis(500), "closed after {:?}", moved.elapsed());
    assert_eq!(broker.rest().await, (Vec::new(), End::Closed));
    world.wait_closed(CloseReason::Idle, 1).await;
}

#[tokio::test]
async fn half_open_connections_are_watched_by_the_kernel_on_both_sides() {
    let world = World::new([1, 1], Passthrough::default()).await;
    let (mut client, mut broker) = world.pair(0, PRIMARY).await;
    client.greet(&mut broker).await;

    // Both of Pointsman's sockets, seen from outside: each shows a keep-alive timer.
    let local = |peer: &crate::world::Peer| peer.0.peer_addr().expect("connected").port();
    let tcp = std::fs::read_to_string("/proc/self/net/tcp").expect("the kernel's table");
    for (port, peer) in [(local(&client), &client), (local(&broker), &broker)] {
        let own = peer.0.local_addr().expect("connected").port();
        let ends = format!("0100007F:{port:04X} 0100007F:{own:04X} 01");
        let line =
            tcp.lines().find(|line| line.contains(&ends)).unwrap_or_else(|| panic!("{ends} in\n{tcp}"));
        let timer = line.split_whitespace().nth(5).expect("a timer");
        // 02: keep-alive; 01: something is to be acknowledged yet, as may be for a moment.
        assert!(timer.starts_with("02:") || timer.starts_with("01:"), "{line}");
    }
}

/// From now on a peer's kernel drops what comes for it, unseen: nothing is acknowledged, nothing reset.
fn vanish(peer: &Peer) {
    // BPF_RET with 0: of no segment anything is kept.
    let keep_nothing = SockFilter::new(6, 0, 0, 0);
    SockRef::from(&peer.0).attach_filter(&[keep_nothing]).expect("a filter");
}

#[tokio::test]
async fn a_half_open_peer_with_bytes_under_way_is_given_up_after_the_user_timeout_on_both_sides() {
    let world = World::new([1, 1], Passthrough::default()).await;
    let (mut gone, mut broker) = world.pair(0, PRIMARY).await;
    gone.greet(&mut broker).await;
    let (mut client, mut dead) = world.pair(0, PRIMARY).await;
    client.greet(&mut dead).await;
    vanish(&gone);
    vanish(&dead);

    broker.send(b"an answer that nobody gets").await;
    client.send(b"a request that nobody gets").await;

    let both = async { tokio::join!(broker.end(), client.end()) };
    let ends = timeout(NOTICED, both).await.expect("both are noticed in time");
    assert_eq!(ends, (End::Reset, End::Reset));
    world.wait_closed(CloseReason::ClientError, 1).await;
    world.wait_closed(CloseReason::UpstreamFailed, 1).await;
}

#[tokio::test]
async fn at_the_end_of_the_process_connections_end_in_order_and_within_their_time() {
    let mut world = World::new([2, 1], Passthrough::default()).await;
    let mut pairs = Vec::new();
    for n in 0..10 {
        let (mut client, mut broker) = world.pair(n % 2, PRIMARY).await;
        client.greet(&mut broker).await;
        pairs.push((client, broker));
    }

    let cut = world.shut_down(Duration::from_secs(20)).await;

    assert_eq!(cut, 0);
    for (mut client, mut broker) in pairs {
        assert_eq!((client.rest().await.1, broker.rest().await.1), (End::Closed, End::Closed));
    }
    world.wait_closed(CloseReason::Drained, 10).await;
}

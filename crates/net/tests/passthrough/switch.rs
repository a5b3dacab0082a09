//! What a switch does, and what real traffic does to brokers that cannot be reached.

use crate::world::{DEADLINE, End, PRIMARY, SECONDARY, World, wait_for};
use pointsman_core::{
    config::{OnSwitch, OutlierRules, Passthrough},
    metrics::CloseReason,
    passthrough::Slot,
    signal::{Failure, Signal},
};
use std::time::{Duration, Instant};

#[tokio::test]
async fn old_connections_to_healthy_brokers_too_are_closed_before_a_new_one_is_accepted() {
    let mut world = World::new([5, 3], Passthrough::default()).await;
    let mut old = Vec::new();
    for slot in 0..5 {
        let (mut client, mut broker) = world.pair(slot, PRIMARY).await;
        client.greet(&mut broker).await;
        old.push((client, broker));
    }

    world.fence(false);
    let mut new = world.client(4).await;
    new.send(b"for the new cluster").await;
    world.fence_passes().await;
    assert!(world.nobody_comes(SECONDARY), "the new cluster is reached before the switch is through");
    // By now nobody holds an old connection.
    for (mut client, mut broker) in old {
        assert_eq!((client.rest().await.1, broker.rest().await.1), (End::Reset, End::Reset));
    }
    world.wait_closed(CloseReason::Switched, 5).await;

    world.lead_all_to(SECONDARY);

    let mut broker = world.broker(SECONDARY, 1).await;
    assert_eq!(broker.take(19).await, b"for the new cluster");
    broker.send(b"welcome").await;
    assert_eq!(new.take(7).await, b"welcome");
    assert_eq!(world.metrics.connections.value(), 1);
}

#[tokio::test]
async fn all_ports_move_together_and_wrap_around_3_to_0_and_4_to_1() {
    let mut world = World::new([5, 3], Passthrough::default()).await;
    world.lead_all_to(SECONDARY);
    for (slot, broker) in [(0, 0), (1, 1), (2, 2), (3, 0), (4, 1)] {
        let mut client = world.client(slot).await;
        let mut broker = world.broker(SECONDARY, broker).await;
        client.greet(&mut broker).await;
    }
}

#[tokio::test]
async fn a_snapshot_that_leads_no_slot_elsewhere_leaves_connections_alone() {
    let mut world = World::new([2, 1], Passthrough::default()).await;
    let (mut client, mut broker) = world.pair(0, PRIMARY).await;
    let since = world.generation;
    let slot = |world: &World| Slot::To { cluster: world.clusters[PRIMARY].clone(), since, planned: false };
    for _ in 0..3 {
        let slots = vec![slot(&world), slot(&world)];
        world.publish(slots);
        world.fence_passes().await;
        client.greet(&mut broker).await;
    }
}

#[tokio::test]
async fn without_a_cluster_connections_are_refused_within_100_ms() {
    let mut world = World::new([3, 3], Passthrough::default()).await;
    let (mut client, mut broker) = world.pair(0, PRIMARY).await;
    client.greet(&mut broker).await;
    world.lead_nowhere();
    assert_eq!(client.rest().await.1, End::Reset, "what was open is closed");

    // The best of several tries is Pointsman's own time, the others are the machine's.
    let mut best = DEADLINE;
    for n in 0..10 {
        let began = Instant::now();
        let mut client = world.client(n % 3).await;
        assert_eq!(client.rest().await, (Vec::new(), End::Reset));
        best = best.min(began.elapsed());
    }

    assert!(best < Duration::from_millis(100), "refused after {best:?}");
    world.wait_closed(CloseReason::NoCluster, 10).await;
    assert!(world.nobody_comes(PRIMARY) && world.nobody_comes(SECONDARY));
}

#[tokio::test]
async fn a_drain_ends_connections_one_by_one_while_new_ones_go_to_the_new_cluster() {
    let time = Duration::from_secs(2);
    let rules = Passthrough { on_switch: OnSwitch::Drain(time), ..Passthrough::default() };
    let mut world = World::new([1, 1], rules).await;
    let mut old = Vec::new();
    for _ in 0..20 {
        let (mut client, mut broker) = world.pair(0, PRIMARY).await;
        client.greet(&mut broker).await;
        old.push((client, broker));
    }

    let began = Instant::now();
    world.fence(true);
    world.fence_passes().await;
    world.lead_all(SECONDARY, true);
    let (mut client, mut broker) = world.pair(0, SECONDARY).await;
    client.greet(&mut broker).await;
    wait_for(|| world.metrics.closed[CloseReason::Switched as usize].value() > 0, || "none ends".into())
        .await;
    let first = began.elapsed();
    world.wait_closed(CloseReason::Switched, 20).await;
    let last = began.elapsed();

    assert!(last - first > time / 2, "all ended between {first:?} and {last:?}");
    client.greet(&mut broker).await;
}

#[tokio::test]
async fn a_cluster_that_lost_its_quorum_is_not_drained() {
    let rules =
        Passthrough { on_switch: OnSwitch::Drain(Duration::from_secs(600)), ..Passthrough::default() };
    let mut world = World::new([1, 1], rules).await;
    let (mut client, mut broker) = world.pair(0, PRIMARY).await;
    client.greet(&mut broker).await;

    world.fence(false);
    world.fence_passes().await;

    assert_eq!(client.rest().await.1, End::Reset);
}

#[tokio::test]
async fn with_each_slot_alone_a_slot_that_moves_leaves_the_others_in_place() {
    let mut world = World::new([2, 2], Passthrough::default()).await;
    let (mut moving, mut left) = world.pair(0, PRIMARY).await;
    moving.greet(&mut left).await;
    let (mut staying, mut broker) = world.pair(1, PRIMARY).await;
    let stays =
        Slot::To { cluster: world.clusters[PRIMARY].clone(), since: world.generation, planned: false };
    world.publish(vec![Slot::Wait { planned: false }, stays.clone()]);
    world.fence_passes().await;
    let moved =
        Slot::To { cluster: world.clusters[SECONDARY].clone(), since: world.generation + 1, planned: false };
    world.publish(vec![moved, stays]);

    assert_eq!(moving.rest().await.1, End::Reset);
    let (mut client, mut new) = world.pair(0, SECONDARY).await;
    client.greet(&mut new).await;
    staying.greet(&mut broker).await;
}

#[tokio::test]
async fn a_connection_that_is_being_made_when_its_slot_moves_goes_to_the_new_cluster() {
    // A broker whose queue is full: nobody answers, and nobody refuses.
    let rules = Passthrough { connect_timeout: Duration::from_secs(60), ..Passthrough::default() };
    let mut world = World::new([1, 1], rules).await;
    let full = full_listener(&mut world);
    let mut client = world.client(0).await;
    client.send(b"hello").await;
    wait_for(|| world.metrics.accepted.value() > 0, || "not accepted".into()).await;

    world.fence(false);
    world.fence_passes().await;
    world.lead_all_to(SECONDARY);

    let mut broker = world.broker(SECONDARY, 0).await;
    assert_eq!(broker.take(5).await, b"hello");
    drop(full);
}

/// Makes the primary's only broker one that accepts nothing more.
fn full_listener(world: &mut World) -> Vec<socket2::Socket> {
    let kind = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let listener = kind();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    listener.listen(0).expect("it listens");
    let address = listener.local_addr().expect("bound");
    let mut held = vec![listener];
    for _ in 0..4 {
        let filler = kind();
        filler.set_nonblocking(true).expect("it is open");
        // Those beyond the queue stay under way for ever.
        let _ = filler.connect(&address);
        held.push(filler);
    }
    let port = address.as_socket().expect("an address").port();
    let cluster = pointsman_core::snapshot::Cluster {
        name: "primary".into(),
        bootstrap: vec![pointsman_core::config::Address { host: "127.0.0.1".into(), port }],
        topology: std::sync::Arc::default(),
        ends: std::sync::Arc::default(),
    };
    world.clusters[PRIMARY] = cluster.into();
    world.lead_all_to(PRIMARY);
    held
}

#[tokio::test]
async fn connection_failures_of_real_traffic_eject_a_broker_and_its_slot_uses_the_next_of_the_ring() {
    let outliers = OutlierRules { failures: 3, ..OutlierRules::default() };
    let mut world = World::new([3, 3], Passthrough { outliers, ..Passthrough::default() }).await;
    let dead = world.brokers[PRIMARY].remove(1);
    drop(dead);

    for _ in 0..2 {
        assert_eq!(world.client(1).await.rest().await.1, End::Reset);
    }
    let mut client = world.client(1).await;
    // The third broker has moved up in the list of listeners.
    let mut broker = world.broker(PRIMARY, 1).await;
    client.greet(&mut broker).await;

    assert_eq!(world.metrics.ejections.value(), 1);
    world.wait_closed(CloseReason::UpstreamFailed, 2).await;
    assert!(world.nobody_comes(SECONDARY), "an outlier is never a reason for a switch");
    let Some(Signal::BrokerFailed { broker, failure, .. }) = world.signals.recv().await else {
        panic!("expected a signal")
    };
    assert_eq!((broker, failure), (world.clusters[PRIMARY].bootstrap[1].clone(), Failure::Refused));
}

/// Ejection by port, which others have, sends the ports of dead brokers to the other cluster while the rest stays.
#[tokio::test]
async fn ports_do_not_move_apart_after_a_minority_loss() {
    let outliers = OutlierRules { failures: 1, ..OutlierRules::default() };
    let mut world = World::new([5, 3], Passthrough { outliers, ..Passthrough::default() }).await;
    let (mut staying, mut broker) = world.pair(4, PRIMARY).await;
    staying.greet(&mut broker).await;
    let dead: Vec<_> = world.brokers[PRIMARY].drain(..2).collect();
    drop(dead);

    // The brokers of slots 0 and 1 are gone: what comes there goes to the next of the same cluster, the third.
    for slot in [0, 1, 0] {
        let mut client = world.client(slot).await;
        let mut next = world.broker(PRIMARY, 0).await;
        client.greet(&mut next).await;
    }

    assert_eq!(world.metrics.ejections.value(), 2);
    staying.greet(&mut broker).await;
    assert!(world.nobody_comes(SECONDARY));
}

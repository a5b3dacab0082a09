//! The control plane against small clusters on loopback: when it switches, and when it must not.

mod support;

use pointsman_control::state::{State, StateError, StateStore};
use pointsman_core::{
    config::{Failback, ProbeKind},
    limits::{EPOCH_MARGIN, FENCE_WAIT},
    signal::{Failure, Signal},
    snapshot::Snapshot,
    status::Status,
};
use std::{io, sync::Arc, time::Instant};
use support::{Brokers, Control, Mood, TestFence, config, ms, state_file, stored};

async fn five_and_three() -> (Brokers, Brokers, Control) {
    let (primary, secondary) = (Brokers::start("a", 5).await, Brokers::start("b", 3).await);
    let mut control = Control::start(config(&primary, &secondary)).await;
    control.until_active("primary").await;
    control.until_brokers(0, "healthy", 5).await;
    control.until_brokers(1, "healthy", 3).await;
    (primary, secondary, control)
}

#[tokio::test]
async fn two_of_five_dead_is_no_reason_to_switch_and_the_third_is() {
    let (primary, _secondary, mut control) = five_and_three().await;
    let generation = control.snapshots.borrow().generation;
    primary.kill(0);
    primary.kill(1);
    control.until_brokers(0, "unhealthy", 2).await;
    assert_eq!(
        (control.active().as_deref(), control.snapshots.borrow().generation),
        (Some("primary"), generation)
    );

    let killed = Instant::now();
    primary.kill(2);
    control.until_active("secondary").await;
    println!("third kill to decision: {:?}", killed.elapsed());
    let status = control.until_status("two switches", |s| s.virtual_clusters[0].switches.len() == 2).await;
    let switch = &status.virtual_clusters[0].switches[0];
    assert_eq!((switch.from.as_deref(), switch.to.as_deref()), (Some("primary"), Some("secondary")));
    assert!(switch.reason.contains("2 of 5 brokers are healthy, 3 needed"), "{switch:?}");
    assert!(switch.decided_in_ms.is_some(), "{switch:?}");
    control.stop().await;
}

#[tokio::test]
async fn clients_come_back_after_hold_and_epochs_rise_each_time() {
    let (primary, _secondary, mut control) = five_and_three().await;
    assert_eq!(control.main().active.as_ref().unwrap().epoch_base, 0);
    (0..3).for_each(|node| primary.kill(node));
    control.until_active("secondary").await;
    let there = control.main().active.as_ref().unwrap().epoch_base;
    assert!(there >= EPOCH_MARGIN, "{there}");
    for node in 0..3 {
        primary.revive(node).await;
    }
    control.until_active("primary").await;
    let back = control.main().active.as_ref().unwrap().epoch_base;
    assert!(back >= there + EPOCH_MARGIN, "{back} after {there}");
    control.stop().await;
}

#[tokio::test]
async fn a_rolling_restart_is_no_reason_to_switch() {
    let (primary, _secondary, control) = five_and_three().await;
    for node in 0..5 {
        primary.kill(node);
        control.until_brokers(0, "unhealthy", 1).await;
        primary.revive(node).await;
        control.until_brokers(0, "healthy", 5).await;
    }
    let status = control.status().await;
    assert_eq!(status.virtual_clusters[0].switches_total, 1, "{:?}", status.virtual_clusters[0].switches);
    control.stop().await;
}

#[tokio::test]
async fn paused_brokers_are_noticed_by_overlapping_timeouts() {
    let (primary, _secondary, mut control) = five_and_three().await;
    let paused = Instant::now();
    (0..3).for_each(|node| primary.pause(node, true));
    control.until_active("secondary").await;
    println!("pause to decision with a timeout of 800 ms: {:?}", paused.elapsed());
    (0..3).for_each(|node| primary.pause(node, false));
    control.until_active("primary").await;
    control.stop().await;
}

#[tokio::test]
async fn clusters_that_are_unreachable_at_start_are_served_as_soon_as_they_can_be() {
    let (primary, secondary) = (Brokers::reserve("a", 3).await, Brokers::reserve("b", 3).await);
    let mut config = config(&primary, &secondary);
    config.virtual_clusters[0].failover.failback = Failback::Manual;
    let mut control = Control::start(config.clone()).await;
    control.until_brokers(0, "unhealthy", 3).await;
    control.until_brokers(1, "unhealthy", 3).await;
    let main = control.main();
    assert!(main.active.is_none() && !main.switching && main.offer.apis.is_empty(), "{main:?}");
    secondary.revive(0).await;
    secondary.revive(1).await;
    control.until_active("secondary").await;
    assert_eq!(control.main().active.as_ref().unwrap().epoch_base, 0, "nothing was ever shown before");
    control.stop().await;
}

#[tokio::test]
async fn without_any_quorum_nothing_is_active() {
    let (primary, secondary, mut control) = five_and_three().await;
    (0..3).for_each(|node| secondary.kill(node));
    control.until_brokers(1, "unhealthy", 3).await;
    (0..3).for_each(|node| primary.kill(node));
    let refusing = |s: &Snapshot| s.virtual_clusters[0].active.is_none() && !s.virtual_clusters[0].switching;
    control.until("nothing active for long", refusing).await;
    let to_nothing = |s: &Status| s.virtual_clusters[0].switches[0].to.is_none();
    let status = control.until_status("a switch to nothing", to_nothing).await;
    assert_eq!(status.virtual_clusters[0].active, None);
    secondary.revive(0).await;
    secondary.revive(1).await;
    control.until_active("secondary").await;
    control.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_the_last_process_was() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    secondary.set_metadata_max(9);
    let mut config = config(&primary, &secondary);
    config.virtual_clusters[0].failover.failback = Failback::Manual;
    let mut control = Control::start(config.clone()).await;
    control.until_active("primary").await;
    let common = |s: &Snapshot| s.virtual_clusters[0].offer.apis.get(&3) == Some(&(0, 9));
    control.until("an offer of both", common).await;
    (0..3).for_each(|node| primary.kill(node));
    control.until_active("secondary").await;
    let last = control.snapshots.borrow().clone();
    let status = control.until_status("the switch", |s| s.virtual_clusters[0].switches_total == 2).await;
    control.stop().await;
    assert_eq!(stored(&config).virtual_clusters["main"].failover.active.as_deref(), Some("secondary"));

    // Nobody is up: what is known is served, and it still offers only what both can do.
    (0..3).for_each(|node| secondary.kill(node));
    let control = Control::start(config).await;
    let (before, after) = (last.virtual_clusters[0].active.as_ref().unwrap(), control.main());
    let resumed = after.active.as_ref().unwrap();
    assert_eq!((&resumed.cluster.name, resumed.since), (&before.cluster.name, before.since));
    assert_eq!(resumed.epoch_base, before.epoch_base);
    assert_eq!(after.offer.apis.get(&3), Some(&(0, 9)));
    assert!(control.snapshots.borrow().generation > last.generation);
    assert_eq!(control.status().await.virtual_clusters[0].switches, status.virtual_clusters[0].switches);
    control.stop().await;
}

#[tokio::test]
async fn a_damaged_state_file_stops_the_start_with_what_to_do() {
    let (primary, secondary) = (Brokers::reserve("a", 1).await, Brokers::reserve("b", 1).await);
    let config = config(&primary, &secondary);
    std::fs::write(state_file(&config), "{\"format\":1,\"checksum\":\"\",\"sta").unwrap();
    let message = match Control::try_start(config, TestFence(true)).await {
        Ok(_) => panic!("it started with a damaged state"),
        Err(error) => error.to_string(),
    };
    assert!(message.contains("damaged") && message.contains("Restore it from a backup"), "{message}");
}

struct FullDisk;

impl StateStore for FullDisk {
    fn load(&self) -> Result<Option<State>, StateError> {
        Ok(None)
    }

    fn store(&self, _: &State) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_written_stops_nothing() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let mut control = Control::start_with(config(&primary, &secondary), Arc::new(FullDisk)).await;
    control.until_active("primary").await;
    assert!(control.status().await.state_write_failures > 0);
    (0..2).for_each(|node| primary.kill(node));
    control.until_active("secondary").await;
    control.stop().await;
}

#[tokio::test]
async fn a_fence_that_never_passes_delays_a_switch_by_its_bound_only() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let mut control = Control::try_start(config(&primary, &secondary), TestFence(false)).await.unwrap();
    control.until_active("primary").await;
    control.until_brokers(1, "healthy", 3).await;
    (0..2).for_each(|node| primary.kill(node));
    control.until("nothing active for a moment", |s| s.virtual_clusters[0].switching).await;
    let fenced = Instant::now();
    control.until_active("secondary").await;
    assert!(fenced.elapsed() >= FENCE_WAIT - ms(50), "{:?}", fenced.elapsed());
    control.stop().await;
}

#[tokio::test]
async fn a_cluster_without_metadata_quorum_is_left_though_its_brokers_answer() {
    let (primary, _secondary, mut control) = five_and_three().await;
    let begun = Instant::now();
    primary.set_mood(Mood::NoMetadataQuorum);
    control.until_active("secondary").await;
    println!("loss of the metadata quorum to decision: {:?}", begun.elapsed());
    let status = control.status().await;
    let reasons: Vec<_> = status.clusters[0].brokers.iter().filter_map(|b| b.reason.clone()).collect();
    assert!(reasons.iter().any(|r| r.contains("no metadata quorum")), "{reasons:?}");
    control.stop().await;
}

#[tokio::test]
async fn partitions_without_leader_are_the_sign_where_the_quorum_cannot_be_asked() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    primary.set_mood(Mood::QuorumNotAllowed);
    let mut control = Control::start(config(&primary, &secondary)).await;
    control.until_active("primary").await;
    let note = "the metadata quorum cannot be asked with these credentials";
    control.until_status("a note", |s| s.clusters[0].notes.iter().any(|n| n == note)).await;
    primary.set_mood(Mood::Leaderless);
    // Routing meets partitions without leader, and says so.
    control.signals.send(Signal::TopologyStale { cluster: "primary".into() }).await.unwrap();
    control.until_active("secondary").await;
    primary.set_mood(Mood::QuorumNotAllowed);
    control.until_active("primary").await;
    control.stop().await;
}

#[tokio::test]
async fn a_signal_starts_probes_at_once_and_decides_nothing() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let mut config = config(&primary, &secondary);
    config.clusters[0].health.probe = ProbeKind::Tcp;
    config.clusters[0].health.interval = ms(3_600_000);
    let mut control = Control::start(config).await;
    control.until_active("primary").await;
    control.until_brokers(1, "healthy", 3).await;
    let failed = |node: usize| Signal::BrokerFailed {
        cluster: "primary".into(),
        broker: primary.addresses()[node].clone(),
        failure: Failure::Reset,
    };
    for _ in 0..20 {
        control.signals.send(failed(0)).await.unwrap();
    }
    assert_eq!(control.status().await.clusters[0].healthy, 3);
    (0..2).for_each(|node| primary.kill(node));
    let signalled = Instant::now();
    control.signals.send(failed(0)).await.unwrap();
    control.until_active("secondary").await;
    println!("signal to decision: {:?}", signalled.elapsed());
    control.stop().await;
}

#[tokio::test]
async fn an_http_probe_finds_a_cluster_in_recovery_mode() {
    let (primary, secondary) = (Brokers::start("a", 1).await, Brokers::start("b", 3).await);
    primary.set_mood(Mood::Http);
    let mut config = config(&primary, &secondary);
    let port = primary.addresses()[0].port;
    config.clusters[0].health.probe =
        ProbeKind::Http { port, path: "/schemas/types".into(), status: (200, 299), tls: None };
    let mut control = Control::start(config).await;
    control.until_active("primary").await;
    primary.set_mood(Mood::RecoveryMode);
    control.until_active("secondary").await;
    let status = control.status().await;
    assert_eq!(
        status.clusters[0].brokers[0].reason.as_deref(),
        Some("unexpected answer: HTTP status 503, expected 200 to 299, but its Kafka port is open")
    );
    control.stop().await;
}

#[tokio::test]
async fn a_hostile_answer_makes_its_broker_unhealthy_and_nothing_else() {
    let (primary, _secondary, mut control) = five_and_three().await;
    primary.set_mood(Mood::Hostile);
    control.until_active("secondary").await;
    control.until_brokers(0, "unhealthy", 5).await;
    control.stop().await;
}

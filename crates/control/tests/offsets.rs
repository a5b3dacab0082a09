//! Offsets over a switch: what is polled, frozen, kept over a restart, and reported as unread.

mod support;

use pointsman_control::state::VirtualState;
use pointsman_core::{
    config::{Config, Failback, Replication},
    failover::{Command, Reason},
    offsets::Place,
    snapshot::Snapshot,
    status::Status,
};
use std::time::Duration;
use support::{Brokers, Control, DEADLINE, TestFence, config, stored};
use tokio::time::timeout;

/// Waits until the end of every log of a cluster is known to be this.
async fn until_polled(control: &Control, cluster: usize, end: i64) {
    let cell = control.snapshots.borrow().clusters[cluster].ends.clone();
    let all = |_: &Status| (0..6).all(|partition| cell.end("orders", partition) == Some(end));
    control.until_status("the polled ends", all).await;
}

fn point(snapshot: &Snapshot) -> (u64, i32, Option<i64>) {
    let active = snapshot.virtual_clusters[0].active.as_ref().expect("an active cluster");
    (
        active.switch_point.generation,
        active.switch_point.epoch_base,
        active.switch_point.ends.get("orders", 5),
    )
}

#[tokio::test]
async fn the_ends_of_the_standby_are_polled_frozen_at_the_switch_and_kept_over_a_restart() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let mut config = config(&primary, &secondary);
    config.virtual_clusters[0].failover.failback = Failback::Manual;
    secondary.set_end(40);
    let mut control = Control::start(config.clone()).await;
    control.until_active("primary").await;
    until_polled(&control, 1, 40).await;
    let cell = control.snapshots.borrow().clusters[1].ends.clone();
    control.until_status("starts", |_| cell.start("orders", 5) == Some(30)).await;
    (0..3).for_each(|node| primary.kill(node));
    control.until_active("secondary").await;
    let active = control.main().active.clone().unwrap();
    assert_eq!(point(&control.snapshots.borrow()), (active.since, active.epoch_base, Some(40)));
    secondary.set_end(70);
    until_polled(&control, 1, 70).await;
    assert_eq!(point(&control.snapshots.borrow()).2, Some(40), "it stays what it was");
    let frozen = point(&control.snapshots.borrow());
    control.stop().await;

    let control = Control::start(config).await;
    assert_eq!(point(&control.snapshots.borrow()), frozen);
    control.stop().await;
}

#[tokio::test]
async fn a_planned_switch_asks_for_the_ends_between_its_two_phases() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    // The fence lasts for its bound, so that the test sees it.
    let mut control = Control::try_start(config(&primary, &secondary), TestFence(false)).await.unwrap();
    control.until_active("primary").await;
    (0..2).for_each(|node| primary.kill(node));
    control.until_active("secondary").await;
    primary.revive(0).await;
    primary.revive(1).await;
    control.until("the fence", |s| s.virtual_clusters[0].switching).await;
    primary.set_end(500);
    control.until_active("primary").await;
    assert_eq!(point(&control.snapshots.borrow()).2, Some(500));
    control.stop().await;
}

/// The primary is active, both clusters hold the same logs, and a switch waits that long for them.
async fn mirrored(catch_up: Duration) -> (Brokers, Brokers, Control) {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let mut config = config(&primary, &secondary);
    let main = &mut config.virtual_clusters[0];
    (main.replication, main.failover.catch_up) = (Replication::IdenticalOffsets, catch_up);
    primary.set_end(40);
    secondary.set_end(40);
    let mut control = Control::start(config).await;
    control.until_active("primary").await;
    control.until_brokers(1, "healthy", 3).await;
    (primary, secondary, control)
}

async fn switch_to_secondary(control: &Control) {
    let command = Command::Switch { to: "secondary".into(), seen: None, force: false };
    control.plane.handle().command("main".into(), command).await.expect("it runs").expect("it is done");
}

#[tokio::test]
async fn a_planned_switch_holds_traffic_until_the_copy_is_complete() {
    let (primary, secondary, mut control) = mirrored(DEADLINE).await;
    primary.set_end(50);
    switch_to_secondary(&control).await;
    control.until("the fence", |s| s.virtual_clusters[0].switching).await;
    until_polled(&control, 0, 50).await;
    assert!(control.main().switching, "the secondary ends at 40");
    secondary.set_end(50);
    control.until_active("secondary").await;
    let active = control.main().active.clone().unwrap();
    assert!(active.producer_ids.pass() && !active.producer_ids.is_of_another_term(5));
    let point = &active.switch_point;
    assert_eq!(point.end_of(0, "orders", 0), i64::MAX, "nobody is moved");
    assert_eq!(point.ends.get("orders", 0), Some(50), "how far the copy was");
    let status = control.until_status("two switches", |s| s.virtual_clusters[0].switches_total == 2).await;
    assert_eq!(status.virtual_clusters[0].switches[0].stranded, None, "the same records are there");
    control.stop().await;
}

#[tokio::test]
async fn a_planned_switch_to_a_copy_that_stays_behind_is_given_up() {
    let (primary, _secondary, control) = mirrored(Duration::from_millis(300)).await;
    primary.set_end(50);
    let before = control.main().active.clone().unwrap();
    switch_to_secondary(&control).await;
    let status = control.until_status("the end", |s| s.virtual_clusters[0].switches_total == 2).await;
    let switch = &status.virtual_clusters[0].switches[0];
    assert_eq!((switch.to.as_deref(), switch.cause), (Some("primary"), Some(Reason::Behind)));
    assert_eq!(switch.reason, "primary goes on: the other cluster lacked records of it");
    let after = control.main().active.clone().unwrap();
    assert!(after.epoch_base > before.epoch_base && after.producer_ids == before.producer_ids);
    control.stop().await;
}

#[tokio::test]
async fn a_cluster_that_comes_back_without_another_in_between_keeps_its_switch_point() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::reserve("b", 3).await);
    let mut control = Control::start(config(&primary, &secondary)).await;
    control.until_active("primary").await;
    let before = point(&control.snapshots.borrow());
    (0..3).for_each(|node| primary.kill(node));
    control.until("nothing active", |s| s.virtual_clusters[0].active.is_none()).await;
    for node in 0..3 {
        primary.revive(node).await;
    }
    control.until_active("primary").await;
    let active = control.main().active.clone().unwrap();
    assert_eq!(point(&control.snapshots.borrow()), before);
    assert!(active.epoch_base > active.switch_point.epoch_base, "older epochs of this log are known as such");
    control.stop().await;
}

#[tokio::test]
async fn what_was_left_unread_is_in_the_history_and_shrinks_when_the_group_reads_on() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let mut config = config(&primary, &secondary);
    config.virtual_clusters[0].failover.failback = Failback::Manual;
    primary.set_end(100);
    let mut control = Control::start(config).await;
    control.until_active("primary").await;
    until_polled(&control, 0, 100).await;
    let (groups, active) = (control.main().groups.clone(), control.main().active.clone().unwrap());
    let commit = |offset| groups.saw("billing", "orders", 1, &active.cluster.name, active.since, offset);
    commit(60);
    (0..3).for_each(|node| primary.kill(node));
    control.until_active("secondary").await;
    let status = control.until_status("two switches", |s| s.virtual_clusters[0].switches_total == 2).await;
    let stranded = status.virtual_clusters[0].switches[0].stranded.clone().unwrap();
    assert_eq!((&*stranded.cluster, stranded.records, stranded.topics_total), ("primary", 40, 1));
    assert_eq!((&*stranded.topics[0].topic, &*stranded.topics[0].group), ("orders", "billing"));
    assert_eq!(status.virtual_clusters[0].stranded, [stranded]);
    commit(75);
    let now = control.status().await.virtual_clusters[0].stranded.clone();
    assert_eq!(now[0].records, 25);
    commit(110);
    assert_eq!(control.status().await.virtual_clusters[0].stranded[0].records, 0);
    control.stop().await;
}

#[tokio::test]
async fn a_broker_that_does_not_answer_delays_no_other() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let mut control = Control::start(config(&primary, &secondary)).await;
    control.until_active("primary").await;
    until_polled(&control, 1, 0).await;
    secondary.pause(1, true);
    secondary.set_end(9);
    let cell = control.snapshots.borrow().clusters[1].ends.clone();
    let others = |_: &Status| cell.end("orders", 0) == Some(9) && cell.end("orders", 2) == Some(9);
    control.until_status("the others", others).await;
    assert_eq!(cell.end("orders", 1), Some(0), "the last good answer stays");
    control.stop().await;
}

#[tokio::test]
async fn which_groups_were_seen_and_which_commits_are_in_doubt_is_kept_over_a_restart() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let mut config = config(&primary, &secondary);
    config.virtual_clusters[0].failover.failback = Failback::Manual;
    secondary.set_end(40);
    let mut control = Control::start(config.clone()).await;
    control.until_active("primary").await;
    until_polled(&control, 1, 40).await;
    let (main, since) = (control.main(), control.main().active.as_ref().map_or(0, |a| a.since));
    main.groups.saw("billing", "orders", 1, &"primary".into(), since, 60);
    [7, 8].iter().for_each(|producer| main.commits.asked(*producer));
    main.commits.settled(8);
    (0..3).for_each(|node| primary.kill(node));
    control.until_active("secondary").await;
    let crashed = until_stored(&config, |main| !main.groups.is_empty()).await;
    assert_eq!(crashed.commits_in_doubt, [7], "written with the switch: a crash loses nothing of it");
    let since = control.main().active.as_ref().map_or(0, |a| a.since);
    control.main().groups.saw("late", "orders", 2, &"secondary".into(), since, 5);
    control.stop().await;

    let mut control = Control::start(config.clone()).await;
    control.until_active("secondary").await;
    let main = control.main();
    let place =
        |group: &str, partition, cluster: &str| main.groups.place(group, "orders", partition, cluster, 99);
    assert_eq!(place("billing", 1, "secondary"), Place::Here(40), "the switch point");
    assert_eq!(place("billing", 1, "primary"), Place::Here(60));
    assert_eq!(place("late", 2, "primary"), Place::Elsewhere, "an orderly end writes down what is new");
    assert_eq!(place("new", 1, "secondary"), Place::New);
    assert!(main.commits.in_doubt(7) && !main.commits.in_doubt(8));
    control.stop().await;
}

#[tokio::test]
async fn groups_that_are_new_are_written_down_without_a_switch() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let config = config(&primary, &secondary);
    let mut control = Control::start(config.clone()).await;
    control.until_active("primary").await;
    let since = control.main().active.as_ref().map_or(0, |a| a.since);
    control.main().groups.saw("billing", "orders", 1, &"primary".into(), since, 60);
    until_stored(&config, |main| !main.groups.is_empty()).await;
    control.stop().await;
}

/// Waits until the state file says so of the virtual cluster.
async fn until_stored(config: &Config, good: impl Fn(&VirtualState) -> bool) -> VirtualState {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let found = timeout(DEADLINE, async {
        loop {
            ticks.tick().await;
            let mut state = stored(config);
            let main = state.virtual_clusters.remove("main").expect("the virtual cluster");
            if good(&main) {
                return main;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("it was not stored: {:#?}", stored(config)))
}

//! A planned move: produces are moved, consumers follow when the old logs are read, and a restart in the middle is safe.

mod support;

use pointsman_core::{
    config::Config,
    failover::{Command, Ended},
    snapshot::{Consumers, Snapshot},
    status::{Status, SwitchStatus},
};
use std::time::Duration;
use support::{Brokers, Control, config, ms, stored};

async fn serving(drain: Duration) -> (Brokers, Brokers, Config, Control) {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let mut config = config(&primary, &secondary);
    config.virtual_clusters[0].failover.consumer_drain = drain;
    let mut control = Control::start(config.clone()).await;
    control.until_active("primary").await;
    control.until_brokers(1, "healthy", 3).await;
    (primary, secondary, config, control)
}

async fn switch(control: &Control, to: &str) {
    let command = Command::Switch { to: to.into(), seen: None, force: false };
    control
        .plane
        .handle()
        .command("main".into(), command)
        .await
        .expect("a running process")
        .expect("it is carried out");
}

fn staying(snapshot: &Snapshot) -> Option<(&str, bool)> {
    let main = &snapshot.virtual_clusters[0];
    main.active.as_ref()?;
    main.staying().map(|s| (&*s.on.cluster.name, s.leaving))
}

/// The newest switch, when consumers have followed.
async fn followed(control: &Control) -> SwitchStatus {
    let over = |s: &Status| s.virtual_clusters[0].switches[0].drain.is_some();
    let status = control.until_status("a drain that is over", over).await;
    assert!(status.virtual_clusters[0].draining.is_none());
    status.virtual_clusters[0].switches[0].clone()
}

#[tokio::test]
async fn consumers_follow_when_nobody_is_left_who_has_not_committed() {
    let (primary, _secondary, config, mut control) = serving(Duration::from_secs(30)).await;
    primary.set_end(100);
    let groups = control.main().groups.clone();
    let old = control.main().active.clone().expect("active");
    for partition in 0..6 {
        groups.saw("g", "orders", partition, &old.cluster.name, old.since, 90);
    }
    groups.heard("g", Some("member"));

    switch(&control, "secondary").await;

    // Nothing is fetched: what is left is to commit, so the group is asked to leave.
    let snapshot = control.until("a group that is asked", |s| staying(s) == Some(("primary", true))).await;
    let main = &snapshot.virtual_clusters[0];
    let on = &main.staying().expect("staying").on;
    assert_eq!((on.since, on.epoch_base), (old.since, old.epoch_base), "as it was");
    let active = main.active.clone().expect("active");
    assert_eq!(&*active.cluster.name, "secondary");
    let status = control.status().await;
    let draining = status.virtual_clusters[0].draining.as_ref().expect("a drain");
    assert_eq!(
        (&*draining.cluster, status.virtual_clusters[0].switches[0].stranded.is_none()),
        ("primary", true)
    );
    until_stored(&control, &config).await;
    groups.member_gone("g", "member");
    for partition in 0..6 {
        groups.saw("g", "orders", partition, &old.cluster.name, old.since, 100);
    }

    let switch = followed(&control).await;
    assert_eq!(switch.drain.map(|d| d.ended), Some(Ended::Complete));
    assert_eq!(switch.stranded.map(|s| (s.cluster, s.records)), Some(("primary".into(), 0)));
    let together = |s: &Snapshot| matches!(s.virtual_clusters[0].consumers, Consumers::Together);
    let snapshot = control.until("consumers that have followed", together).await;
    let now = snapshot.virtual_clusters[0].active.clone().expect("active");
    assert_eq!(now.since, active.since, "produces notice nothing");
    assert!(now.epoch_base > active.epoch_base);
    assert_eq!(now.switch_point.ends, active.switch_point.ends, "of the moment when produces moved");
    assert_eq!(
        (now.switch_point.epoch_base, active.switch_point.epoch_base),
        (now.epoch_base, active.epoch_base)
    );
    control.stop().await;
}

/// Waits until the state file says that consumers have not followed.
async fn until_stored(control: &Control, config: &Config) {
    let trailing = |_: &Status| stored(config).virtual_clusters["main"].failover.trailing;
    control.until_status("a stored drain", trailing).await;
}

#[tokio::test]
async fn what_is_not_committed_in_time_is_stranded() {
    let (primary, _secondary, _, control) = serving(ms(200)).await;
    primary.set_end(100);
    let (groups, old) = (control.main().groups.clone(), control.main().active.clone().expect("active"));
    groups.saw("g", "orders", 0, &old.cluster.name, old.since, 90);
    groups.heard("g", Some("member"));

    switch(&control, "secondary").await;

    let switch = followed(&control).await;
    let drain = switch.drain.expect("a drain");
    assert_eq!(drain.ended, Ended::Deadline);
    assert!(drain.took_ms >= 200.0, "{drain:?}");
    assert_eq!(switch.stranded.map(|s| s.records), Some(10));
    control.stop().await;
}

#[tokio::test]
async fn a_cluster_that_loses_quorum_is_drained_no_longer() {
    let (primary, _secondary, _, mut control) = serving(Duration::from_secs(30)).await;
    control.main().groups.heard("g", Some("member"));
    switch(&control, "secondary").await;
    control.until("a drain", |s| staying(s).is_some()).await;

    (0..3).for_each(|node| primary.kill(node));

    assert_eq!(followed(&control).await.drain.map(|d| d.ended), Some(Ended::Lost));
    assert_eq!(control.active().as_deref(), Some("secondary"));
    control.stop().await;
}

#[tokio::test]
async fn a_restart_amid_a_drain_moves_consumers_to_higher_epochs() {
    let (_primary, _secondary, config, mut control) = serving(Duration::from_secs(30)).await;
    control.main().groups.heard("g", Some("member"));
    switch(&control, "secondary").await;
    control.until("a drain", |s| staying(s).is_some()).await;
    until_stored(&control, &config).await;
    let before = control.main().active.clone().expect("active");
    control.stop().await;

    let mut control = Control::start(config).await;

    let together = |s: &Snapshot| {
        let main = &s.virtual_clusters[0];
        assert!(main.staying().is_none(), "nobody knows what was read");
        matches!(main.consumers, Consumers::Together)
    };
    control.until("consumers that have followed", together).await;
    let now = control.main().active.clone().expect("active");
    assert_eq!((&now.cluster.name, now.since), (&before.cluster.name, before.since));
    assert!(now.epoch_base > before.epoch_base);
    assert_eq!(now.switch_point.epoch_base, now.epoch_base);
    control.stop().await;
}

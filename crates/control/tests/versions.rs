//! What is offered to clients: what every cluster of the chain can do, also when one of them is upgraded.

mod support;

use pointsman_core::snapshot::Snapshot;
use support::{Brokers, Control, config, stored};
use uuid::Uuid;

type Levels = Vec<(String, (i16, i16))>;

/// The highest version of Metadata, and the finalized features.
fn offered(snapshot: &Snapshot) -> (Option<i16>, Levels) {
    let offer = &snapshot.virtual_clusters[0].offer;
    let finalized = offer.finalized.iter().map(|(name, levels)| (name.to_string(), *levels));
    (offer.apis.get(&3).map(|(_, max)| *max), finalized.collect())
}

fn levels(levels: &[(&str, i16)]) -> Levels {
    levels.iter().map(|(name, level)| ((*name).to_owned(), (*level, *level))).collect()
}

#[tokio::test]
async fn clients_get_what_both_clusters_can_do_and_more_when_the_older_one_is_upgraded() {
    // given a secondary that is older
    let (primary, secondary) = (Brokers::start("a", 1).await, Brokers::start("b", 1).await);
    primary.set_features(&[("share.version", 1), ("transaction.version", 2)]);
    secondary.set_metadata_max(9);
    secondary.set_features(&[("transaction.version", 1)]);
    let mut control = Control::start(config(&primary, &secondary)).await;
    control.until_active("primary").await;
    let both = |s: &Snapshot| offered(s) == (Some(9), levels(&[("transaction.version", 1)]));
    let before = control.until("an offer of both", both).await;
    let supported = before.virtual_clusters[0].offer.supported.clone();
    assert_eq!(supported.into_values().collect::<Vec<_>>(), [(0, 1)], "transaction.version");
    // when it becomes what the primary is
    secondary.set_metadata_max(12);
    secondary.set_features(&[("share.version", 1), ("transaction.version", 2)]);
    // then
    let all = levels(&[("share.version", 1), ("transaction.version", 2)]);
    let after = control.until("a larger offer", |s| offered(s) == (Some(12), all.clone())).await;
    let epoch = |s: &Snapshot| s.virtual_clusters[0].offer.finalized_epoch;
    assert!(epoch(&after) > epoch(&before), "clients take over what is newer only");
    // and when a feature is taken back
    secondary.set_features(&[]);
    let none = control.until("no features", |s| offered(s) == (Some(12), Levels::new())).await;
    assert!(epoch(&none) > epoch(&after));
    control.stop().await;
}

#[tokio::test]
async fn telemetry_is_offered_only_where_every_cluster_has_it() {
    let (primary, secondary) = (Brokers::start("a", 1).await, Brokers::start("b", 1).await);
    primary.install_telemetry();
    secondary.set_metadata_max(9);
    let mut control = Control::start(config(&primary, &secondary)).await;
    let both = control.until("an offer of both", |s| offered(s).0 == Some(9)).await;
    assert!(!both.virtual_clusters[0].offer.allows(71, 0));
    // when
    secondary.install_telemetry();
    // then
    control.until("telemetry", |s| s.virtual_clusters[0].offer.allows(71, 0)).await;
    control.stop().await;
}

#[tokio::test]
async fn a_topic_that_was_made_again_keeps_its_new_id_over_a_restart() {
    let (primary, secondary) = (Brokers::start("a", 1).await, Brokers::start("b", 1).await);
    let config = config(&primary, &secondary);
    let mut control = Control::start(config.clone()).await;
    control.until_active("primary").await;
    let ids = control.main().topic_ids.clone();
    let seen = |real| ids.to_virtual(&"primary".into(), "orders", Uuid::from_u128(real));
    assert_ne!(seen(1), seen(2), "deleted and made again");
    let again = ids.to_virtual(&"secondary".into(), "orders", Uuid::from_u128(9));
    assert_eq!(again, seen(2), "another cluster's id is no new incarnation");
    // It is stored without a switch or a stop.
    let deadline = tokio::time::Instant::now() + support::DEADLINE;
    while stored(&config).virtual_clusters["main"].incarnations.get("orders") != Some(&1) {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", stored(&config).virtual_clusters["main"]);
        tokio::task::yield_now().await;
    }
    control.stop().await;
    let control = Control::start(config).await;
    assert_eq!(control.main().topic_ids.name(again).as_deref(), Some("orders"));
    control.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_made_again_while_pointsman_is_down_has_another_id_then() {
    let (primary, secondary) = (Brokers::start("a", 1).await, Brokers::start("b", 1).await);
    let config = config(&primary, &secondary);
    let mut control = Control::start(config.clone()).await;
    control.until_active("primary").await;
    let seen = |control: &Control, cluster: &str, real| {
        control.main().topic_ids.to_virtual(&cluster.into(), "orders", Uuid::from_u128(real))
    };
    let first = seen(&control, "primary", 1);
    assert_eq!(seen(&control, "secondary", 9), first);
    control.stop().await;
    // when
    let mut control = Control::start(config.clone()).await;
    control.until_active("primary").await;
    // then
    assert_eq!(seen(&control, "secondary", 9), first, "here it is the same");
    let again = seen(&control, "primary", 2);
    assert_ne!(again, first);
    control.stop().await;
    let control = Control::start(config).await;
    assert_eq!(seen(&control, "primary", 2), again);
    control.stop().await;
}

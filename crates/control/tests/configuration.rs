//! Status, new configurations under way, and `check --live`, against small clusters on loopback.

mod support;

use pointsman_control::{
    handle::Applied,
    live,
    state::{FileStore, StateStore as _},
};
use pointsman_core::{config::Bootstrap, topology::TopicDifference};
use support::{Brokers, Control, cluster, config};

#[tokio::test]
async fn the_status_shows_slots_brokers_and_what_the_standby_lacks() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    primary.set_topics(&[("orders", 6), ("users", 2), ("__consumer_offsets", 4)]);
    secondary.set_topics(&[("orders", 3)]);
    let mut control = Control::start(config(&primary, &secondary)).await;
    control.until_active("primary").await;
    let status = control
        .until_status("topic differences", |s| s.virtual_clusters[0].topic_differences[0].total == 2)
        .await;
    let main = &status.virtual_clusters[0];
    assert_eq!(
        main.topic_differences[0].topics,
        vec![
            TopicDifference::Partitions { topic: "orders".into(), expected: 6, found: 3 },
            TopicDifference::Missing { topic: "users".into() },
        ]
    );
    assert_eq!(main.slots[1].advertised, "kafka.example.com:9093");
    assert_eq!(main.slots[1].broker, Some(format!("1@{}", primary.addresses()[1])));
    assert_eq!((status.clusters[0].topics, status.clusters[0].needed), (3, 2));
    let nodes: Vec<_> = status.clusters[0].brokers.iter().map(|b| b.node).collect();
    assert_eq!(nodes.len(), 3);
    assert!(nodes.iter().all(Option::is_some), "{nodes:?}");
    control.stop().await;
}

#[tokio::test]
async fn brokers_keep_their_slots_over_a_restart() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 1).await);
    let config = config(&primary, &secondary);
    let mut control = Control::start(config.clone()).await;
    control.until_active("primary").await;
    control.until_status("every slot's broker", |s| s.virtual_clusters[0].slots[2].broker.is_some()).await;
    control.stop().await;
    let mut state = support::stored(&config);
    let known = state.clusters.get_mut("primary").expect("it was seen");
    assert_eq!([0, 1, 2].map(|node| known.places.of(node)), [Some(0), Some(1), Some(2)]);
    // when
    known.places = serde_json::from_str(r#"{"0": 2, "1": 1, "2": 0}"#).unwrap();
    FileStore::new(support::state_file(&config)).store(&state).unwrap();
    let mut control = Control::start(config).await;
    control.until_active("primary").await;
    // then
    let broker = Some(format!("2@{}", primary.addresses()[2]));
    control.until_status("the broker of slot 0", |s| s.virtual_clusters[0].slots[0].broker == broker).await;
    control.stop().await;
}

#[tokio::test]
async fn snapshots_have_stable_ids_and_an_address_per_slot() {
    let (primary, secondary) = (Brokers::start("a", 1).await, Brokers::start("b", 1).await);
    let mut control = Control::start(config(&primary, &secondary)).await;
    control.until_active("primary").await;
    let main = control.main();
    assert_eq!(main.cluster_id.len(), 22);
    let slots: Vec<String> = main.slots.iter().map(ToString::to_string).collect();
    assert_eq!(slots, ["kafka.example.com:9092", "kafka.example.com:9093", "kafka.example.com:9094"]);
    assert!(!main.shared_port);
    control.stop().await;
}

#[tokio::test]
async fn a_chain_changes_under_way_and_what_needs_a_restart_is_refused_by_name() {
    let (primary, secondary, third) =
        (Brokers::start("a", 3).await, Brokers::start("b", 3).await, Brokers::start("c", 1).await);
    let old = config(&primary, &secondary);
    let mut control = Control::start(old.clone()).await;
    control.until_active("primary").await;
    let handle = control.plane.handle();
    assert_eq!(handle.apply(old.clone()).await.unwrap(), Applied::Changed(Vec::new()));

    let mut moved = old.clone();
    moved.virtual_clusters[0].ports = (19092, 19094);
    moved.virtual_clusters[0].advertise = "elsewhere.example.com".into();
    let Applied::Refused(why) = handle.apply(moved).await.unwrap() else { panic!("ports cannot move") };
    assert!(why[0].contains("listen") && why[0].contains("needs a restart"), "{why:?}");
    assert_eq!(&*control.main().slots[0].host, "kafka.example.com", "nothing is half applied");

    let mut new = old.clone();
    new.clusters.remove(0);
    new.clusters.push(cluster("third", &third));
    new.virtual_clusters[0].chain = vec!["third".into(), "secondary".into()];
    let Applied::Changed(what) = handle.apply(new.clone()).await.unwrap() else {
        panic!("a chain can change")
    };
    assert!(what.iter().any(|w| w.contains("chain")), "{what:?}");
    control.until_active("third").await;
    let status = control.status().await;
    let names: Vec<&str> = status.clusters.iter().map(|c| &*c.name).collect();
    assert_eq!(names, ["secondary", "third"]);

    let mut wider = new.clone();
    wider.clusters[1].health.unhealthy_after = 9;
    wider.virtual_clusters[0].advertise = "elsewhere.example.com".into();
    assert!(matches!(handle.apply(wider).await.unwrap(), Applied::Changed(_)));
    control
        .until("the new address", |s| &*s.virtual_clusters[0].slots[0].host == "elsewhere.example.com")
        .await;
    third.kill(0);
    control.until_active("secondary").await;
    control.stop().await;
}

#[tokio::test]
async fn bootstrap_servers_from_a_silent_source_are_a_cluster_without_quorum() {
    let (primary, secondary) = (Brokers::start("a", 1).await, Brokers::start("b", 1).await);
    let mut config = config(&primary, &secondary);
    let path = support::state_file(&config).with_file_name("brokers.txt");
    config.clusters[0].bootstrap = Bootstrap::File { path: path.clone(), refresh: support::ms(100) };
    let mut control = Control::start(config).await;
    control.until_active("secondary").await;
    std::fs::write(&path, primary.addresses()[0].to_string()).unwrap();
    control.until_active("primary").await;
    control.stop().await;
}

#[tokio::test]
async fn check_live_says_which_servers_answer_and_what_they_hold() {
    let primary = Brokers::start("a", 3).await;
    primary.kill(0);
    let report = live::ask(&cluster("primary", &primary)).await;
    let reached: Vec<bool> = report.servers.iter().map(|(_, answer)| answer.is_ok()).collect();
    assert_eq!(reached, [false, true, true]);
    assert_eq!(report.servers[0].1, Err("connection refused".into()));
    let topology = report.topology.unwrap();
    assert_eq!((topology.brokers.len(), topology.topics["orders"].partitions.len()), (3, 6));
}

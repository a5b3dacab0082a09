//! The control plane behind passthrough: where slots lead, recovery mode, and who is left in peace.

mod support;

use pointsman_control::{health_listeners::HealthListeners, prometheus};
use pointsman_core::{
    config::{Config, Mode, Passthrough, ProbeKind, Scope},
    passthrough::Slot,
    snapshot::Snapshot,
    status::Status,
};
use std::{sync::Arc, time::Duration};
use support::{Brokers, Control, Mood, config, ms};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// `main` in passthrough mode, a slot for each broker of the primary.
fn passthrough(primary: &Brokers, secondary: &Brokers, scope: Scope) -> Config {
    let mut config = config(primary, secondary);
    let slots = u16::try_from(primary.addresses().len()).expect("few");
    let main = &mut config.virtual_clusters[0];
    main.mode = Mode::Passthrough(Passthrough { scope, ..Passthrough::default() });
    (main.ports, main.slots) = ((9092, 9091 + slots), slots);
    config
}

/// The cluster that each slot leads to.
fn leads(snapshot: &Snapshot) -> Vec<&str> {
    let view = snapshot.virtual_clusters[0].passthrough.as_ref().expect("passthrough");
    let words = view.slots.iter().map(|slot| match slot {
        Slot::To { cluster, .. } => &*cluster.name,
        Slot::Wait { .. } => "wait",
        Slot::Nowhere => "nowhere",
    });
    words.collect()
}

async fn until_leads(control: &mut Control, expected: &[&str]) {
    control.until(&format!("{expected:?}"), |s| leads(s) == expected).await;
}

#[tokio::test]
async fn all_slots_follow_the_quorum_and_come_back_by_themselves() {
    let (primary, secondary) = (Brokers::start("a", 5).await, Brokers::start("b", 3).await);
    let mut control = Control::start(passthrough(&primary, &secondary, Scope::Cluster)).await;
    until_leads(&mut control, &["primary"; 5]).await;
    control.until_brokers(0, "healthy", 5).await;
    control.until_brokers(1, "healthy", 3).await;

    // A minority: nothing moves.
    (0..2).for_each(|node| primary.kill(node));
    control.until_brokers(0, "unhealthy", 2).await;
    assert_eq!(leads(&control.snapshots.borrow()), ["primary"; 5]);

    // The third: everything does.
    primary.kill(2);
    until_leads(&mut control, &["secondary"; 5]).await;
    let slots = control.status().await.virtual_clusters[0].slots.clone();
    let expected = [0, 1, 2, 0, 1].map(|n| Some(secondary.addresses()[n].to_string()));
    assert_eq!(slots.iter().map(|s| s.broker.clone()).collect::<Vec<_>>(), expected, "3→0, 4→1");

    for node in 0..3 {
        primary.revive(node).await;
    }
    until_leads(&mut control, &["primary"; 5]).await;

    // Both down: nowhere, at once.
    (0..3).for_each(|node| secondary.kill(node));
    (0..5).for_each(|node| primary.kill(node));
    until_leads(&mut control, &["nowhere"; 5]).await;
    control.stop().await;
}

#[tokio::test]
async fn a_rolling_restart_moves_nothing() {
    let (primary, secondary) = (Brokers::start("a", 5).await, Brokers::start("b", 3).await);
    let mut control = Control::start(passthrough(&primary, &secondary, Scope::Cluster)).await;
    until_leads(&mut control, &["primary"; 5]).await;
    control.until_brokers(0, "healthy", 5).await;
    control.until_brokers(1, "healthy", 3).await;

    let before = control.status().await.virtual_clusters[0].switches.len();

    for node in 0..5 {
        primary.kill(node);
        control.until_brokers(0, "unhealthy", 1).await;
        primary.revive(node).await;
        control.until_brokers(0, "healthy", 5).await;
    }

    assert_eq!(leads(&control.snapshots.borrow()), ["primary"; 5]);
    assert_eq!(control.status().await.virtual_clusters[0].switches.len(), before);
    control.stop().await;
}

/// What one process knew, each instance knows: none is needed for another one's decision.
#[tokio::test]
async fn two_instances_decide_alike_and_one_of_them_is_enough() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let mut one = Control::start(passthrough(&primary, &secondary, Scope::Cluster)).await;
    let mut other = Control::start(passthrough(&primary, &secondary, Scope::Cluster)).await;
    for control in [&mut one, &mut other] {
        until_leads(control, &["primary"; 3]).await;
        control.until_brokers(0, "healthy", 3).await;
        control.until_brokers(1, "healthy", 3).await;
    }

    (0..2).for_each(|node| primary.kill(node));
    until_leads(&mut one, &["secondary"; 3]).await;
    until_leads(&mut other, &["secondary"; 3]).await;
    one.stop().await;
    for node in 0..2 {
        primary.revive(node).await;
    }

    until_leads(&mut other, &["primary"; 3]).await;
    other.stop().await;
}

/// Brokers whose health is asked of an HTTP port that they share with Kafka.
fn with_registries(primary: &Brokers, secondary: &Brokers) -> Config {
    let mut config = passthrough(primary, secondary, Scope::Cluster);
    for (cluster, brokers) in config.clusters.iter_mut().zip([primary, secondary]) {
        brokers.set_mood(Mood::Http);
        let port = brokers.addresses()[0].port;
        cluster.health.probe =
            ProbeKind::Http { port, path: "/schemas/types".into(), status: (200, 200), tls: None };
    }
    config
}

#[tokio::test]
async fn prometheus_sees_quorum_recovery_mode_and_where_slots_lead() {
    let (primary, secondary) = (Brokers::start("a", 1).await, Brokers::start("b", 1).await);
    let mut control = Control::start(with_registries(&primary, &secondary)).await;
    until_leads(&mut control, &["primary"]).await;

    primary.set_mood(Mood::RecoveryMode);
    until_leads(&mut control, &["secondary"]).await;
    control.until_brokers(0, "recovery", 1).await;

    let (status, metrics) = (control.status().await, [("main".into(), Arc::default())]);
    let page = prometheus::render(prometheus::Input { status: &status, metrics: &metrics });
    let broker = &primary.addresses()[0];
    for line in [
        format!("pointsman_broker_recovery{{cluster=\"primary\",broker=\"{broker}\"}} 1"),
        "pointsman_cluster_quorum{cluster=\"primary\"} 0".into(),
        "pointsman_active_cluster{virtual_cluster=\"main\",cluster=\"secondary\"} 1".into(),
        "pointsman_switches_total{virtual_cluster=\"main\",cause=\"quorum_lost\"} 1".into(),
        "pointsman_slots_ejected{virtual_cluster=\"main\"} 0".into(),
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
    control.stop().await;
}

#[tokio::test]
async fn recovery_mode_is_a_state_with_a_name_and_its_quorum_is_a_reason_to_switch() {
    let (primary, secondary) = (Brokers::start("a", 1).await, Brokers::start("b", 1).await);
    let mut control = Control::start(with_registries(&primary, &secondary)).await;
    until_leads(&mut control, &["primary"]).await;

    primary.set_mood(Mood::RecoveryMode);

    until_leads(&mut control, &["secondary"]).await;
    control.until_brokers(0, "recovery", 1).await;
    let status = control.status().await;
    let reason = status.clusters[0].brokers[0].reason.clone().expect("a reason");
    assert_eq!(reason, "unexpected answer: HTTP status 503, expected 200, but its Kafka port is open");
    let words = &status.virtual_clusters[0].switches[0].reason;
    assert_eq!(words, "primary lost quorum: 0 of 1 brokers are healthy, 1 needed, 1 in recovery mode");
    // A closed port is another state: nothing recovers there.
    primary.kill(0);
    control.until_brokers(0, "unhealthy", 1).await;
    control.stop().await;
}

#[tokio::test]
async fn with_scope_broker_each_slot_goes_alone_priority_by_priority_and_comes_back_after_the_hold() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 2).await);
    let mut control = Control::start(passthrough(&primary, &secondary, Scope::Broker)).await;
    until_leads(&mut control, &["primary"; 3]).await;
    control.until_brokers(1, "healthy", 2).await;

    primary.kill(2);
    until_leads(&mut control, &["primary", "primary", "secondary"]).await;
    let status = control.status().await;
    let main = &status.virtual_clusters[0];
    let own = format!("slot 2: {} of primary is unhealthy", primary.addresses()[2]);
    assert_eq!(main.switches[0].reason, own);
    assert_eq!(main.slots[2].broker, Some(secondary.addresses()[0].to_string()), "2 wraps around to 0");
    assert_eq!((&main.active, main.scope), (&None, Some(Scope::Broker)));

    // The slot's broker is gone in both clusters.
    secondary.kill(0);
    until_leads(&mut control, &["primary", "primary", "nowhere"]).await;

    primary.revive(2).await;
    until_leads(&mut control, &["primary"; 3]).await;
    assert_eq!(control.status().await.virtual_clusters[0].active.as_deref(), Some("primary"));
    control.stop().await;
}

#[tokio::test]
async fn clusters_that_are_only_passed_through_are_asked_nothing_but_their_probes() {
    let (primary, secondary) = (Brokers::start("a", 1).await, Brokers::start("b", 1).await);
    let mut quiet = passthrough(&primary, &secondary, Scope::Cluster);
    quiet.clusters.iter_mut().for_each(|c| c.health.probe = ProbeKind::Tcp);
    let mut loud = quiet.clone();
    loud.virtual_clusters[0].mode = Mode::Kafka;

    // In kafka mode the topics become known; nobody asks for them in the other.
    let control = Control::start(loud).await;
    control.until_status("topics", |s| s.clusters.iter().all(|c| c.topics > 0)).await;
    control.stop().await;
    let control = Control::start(quiet).await;
    let probed = |s: &Status| s.clusters.iter().all(|c| c.quorum);
    let status = control.until_status("quorum", probed).await;
    assert!(status.clusters.iter().all(|c| c.topics == 0));
    tokio::time::timeout(Duration::from_millis(300), async {
        control.until_status("topics", |s| s.clusters.iter().any(|c| c.topics > 0)).await
    })
    .await
    .expect_err("somebody speaks Kafka with brokers that may want TLS");
    control.stop().await;
}

async fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the listener answers");
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the listener answers");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the listener answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), body.to_owned())
}

/// An answer may be as old as 50 ms, and a broker's death is noticed in its time.
async fn until_answered(port: u16, path: &str, code: u16, body: &str) {
    let (mut ticks, mut last) = (tokio::time::interval(ms(10)), None);
    let answered = tokio::time::timeout(support::DEADLINE, async {
        while last.as_ref() != Some(&(code, body.to_owned())) {
            ticks.tick().await;
            last = Some(get(port, path).await);
        }
    });
    assert!(answered.await.is_ok(), "{path}: expected {code} {body:?}, found {last:?}");
}

#[tokio::test]
async fn health_listeners_answer_200_or_503_by_quorum_on_any_path_and_every_broker_on_status() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let mut config = passthrough(&primary, &secondary, Scope::Cluster);
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    config.clusters[0].health_listeners = vec![([127, 0, 0, 1], port).into()];
    let listeners = HealthListeners::bind(&config).await.expect("a free port");
    let control = Control::start(config).await;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    listeners.serve(&control.plane.handle(), &tasks, &stop);
    control.until_brokers(0, "healthy", 3).await;

    for path in ["/", "/anything?at=all"] {
        until_answered(port, path, 200, "quorum: 3 of 3 brokers are healthy, 2 needed\n").await;
    }
    (0..2).for_each(|node| primary.kill(node));
    until_answered(port, "/", 503, "no quorum: 1 of 3 brokers are healthy, 2 needed\n").await;

    let (code, body) = get(port, "/status").await;
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((code, &body["name"], &body["quorum"]), (503, &"primary".into(), &false.into()));
    let states: Vec<_> =
        body["brokers"].as_array().expect("a list").iter().map(|b| b["state"].clone()).collect();
    assert_eq!(states.iter().filter(|s| **s == "unhealthy").count(), 2, "{body}");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    control.stop().await;
}

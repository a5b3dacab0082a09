//! Switches by command, over the admin API as operators use it, against small clusters on loopback.

mod support;

use pointsman_control::{
    api::{self, Api},
    reload::Reloader,
};
use pointsman_core::{config::Config, failover::Reason, status::Status};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use support::{Brokers, Control, DEADLINE, TestFence, config, stored};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A control plane with its admin API.
struct Operated {
    control: Control,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Operated {
    async fn start(config: Config, fence: TestFence) -> Self {
        let control = Control::try_start(config, fence).await.expect("it starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let handle = control.plane.handle();
        let reloader = Reloader::new(PathBuf::new(), handle.clone());
        let api = Api {
            handle,
            reloader,
            metrics: Arc::new(vec![("main".into(), Arc::default())]),
            tasks: tasks.clone(),
        };
        tasks.spawn(api::serve(listener, api, stop.clone()));
        Self { control, address, stop, tasks }
    }

    /// Both clusters have quorum, the primary is active.
    async fn serving(fence: TestFence) -> (Brokers, Brokers, Self) {
        let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
        let mut operated = Self::start(config(&primary, &secondary), fence).await;
        operated.control.until_active("primary").await;
        operated.control.until_brokers(1, "healthy", 3).await;
        (primary, secondary, operated)
    }

    async fn ask(&self, request: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("a listener");
        let head = format!(
            "{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("an open connection");
        let mut answer = String::new();
        timeout(DEADLINE, stream.read_to_string(&mut answer)).await.expect("in time").expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a code"), body.to_owned())
    }

    async fn post(&self, what: &str, body: &Value) -> (u16, Value) {
        let (code, body) = self.ask(&format!("POST /v1/virtual-clusters/{what}"), &body.to_string()).await;
        (code, serde_json::from_str(&body).expect("JSON"))
    }

    async fn switch(&self, body: &Value) -> (u16, Value) {
        self.post("main/switch", body).await
    }

    async fn until_switches(&self, count: u64) -> Status {
        let what = format!("{count} switches");
        self.control.until_status(&what, |s| s.virtual_clusters[0].switches_total == count).await
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        timeout(DEADLINE, self.tasks.wait()).await.expect("every connection ends");
        self.control.stop().await;
    }
}

#[tokio::test]
async fn a_command_switches_holds_and_is_given_back() {
    let (_primary, _secondary, mut operated) = Operated::serving(TestFence(true)).await;

    let (code, decided) = operated.switch(&json!({ "to": "secondary" })).await;

    assert_eq!((code, &decided["from"], &decided["to"]), (200, &json!("primary"), &json!("secondary")));
    operated.control.until_active("secondary").await;
    let status = operated.until_switches(2).await;
    let main = &status.virtual_clusters[0];
    let switch = &main.switches[0];
    assert_eq!((switch.cause, switch.reason.as_str()), (Some(Reason::Command), "an operator's command"));
    assert!(
        switch.generation > decided["generation"].as_u64().expect("a generation"),
        "{switch:?} {decided}"
    );
    assert!(main.pinned);
    assert_eq!(main.switches_by_cause[&Reason::Command], 1);
    let (_, page) = operated.ask("GET /metrics", "").await;
    assert!(
        page.contains("pointsman_switches_total{virtual_cluster=\"main\",cause=\"command\"} 1\n"),
        "{page}"
    );
    assert!(page.contains("pointsman_cluster_pinned{virtual_cluster=\"main\"} 1\n"), "{page}");

    // Several holds later it is still there: the hold of these tests is half a second.
    let uptime = status.uptime_s;
    let status = operated.control.until_status("two seconds more", |s| s.uptime_s > uptime + 2.0).await;
    assert_eq!(status.virtual_clusters[0].active.as_deref(), Some("secondary"));

    let (code, decided) = operated.post("main/automatic", &Value::Null).await;
    assert_eq!((code, &decided["from"], &decided["to"]), (200, &json!("secondary"), &json!("primary")));
    operated.control.until_active("primary").await;
    let status = operated.until_switches(3).await;
    assert_eq!(status.virtual_clusters[0].switches[0].cause, Some(Reason::Failback));
    assert!(!status.virtual_clusters[0].pinned);
    operated.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_what_to_do() {
    let (_primary, secondary, operated) = Operated::serving(TestFence(true)).await;
    let before = operated.until_switches(1).await.generation;
    let refused = async |what: &str, body: Value| {
        let (code, answer) = operated.post(what, &body).await;
        assert!(answer["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{answer}");
        (code, answer["code"].as_str().unwrap_or_default().to_owned())
    };

    let expected = |code: u16, word: &str| (code, word.to_owned());
    let to = |name: &str| json!({ "to": name });
    assert_eq!(refused("side/switch", to("secondary")).await, expected(404, "no_virtual_cluster"));
    assert_eq!(refused("main/switch", to("tertiary")).await, expected(422, "no_cluster"));
    assert_eq!(refused("main/switch", to("primary")).await, expected(409, "already_active"));
    assert_eq!(refused("main/automatic", Value::Null).await, expected(409, "not_pinned"));
    let old = json!({ "to": "secondary", "seen": 1 });
    assert_eq!(refused("main/switch", old).await, expected(409, "outdated"));
    (0..3).for_each(|node| secondary.kill(node));
    operated.control.until_brokers(1, "unhealthy", 3).await;
    assert_eq!(refused("main/switch", to("secondary")).await, expected(409, "no_quorum"));

    let status = operated.control.status().await;
    assert_eq!((status.virtual_clusters[0].switches_total, status.virtual_clusters[0].pinned), (1, false));
    assert!(status.generation >= before);
    operated.stop().await;
}

#[tokio::test]
async fn while_a_switch_is_under_way_another_is_refused() {
    let (_primary, _secondary, mut operated) = Operated::serving(TestFence(false)).await;

    let (code, _) = operated.switch(&json!({ "to": "secondary" })).await;
    let (again, answer) = operated.switch(&json!({ "to": "secondary" })).await;

    assert_eq!((code, again, answer["code"].as_str()), (200, 409, Some("switching")), "{answer}");
    operated.control.until_active("secondary").await;
    operated.stop().await;
}

#[tokio::test]
async fn a_forced_cluster_serves_without_quorum_over_a_restart_too() {
    let (primary, secondary) = (Brokers::start("a", 3).await, Brokers::start("b", 3).await);
    let config = config(&primary, &secondary);
    let mut operated = Operated::start(config.clone(), TestFence(true)).await;
    operated.control.until_active("primary").await;
    (0..2).for_each(|node| secondary.kill(node));
    operated.control.until_brokers(1, "unhealthy", 2).await;

    let (code, answer) = operated.switch(&json!({ "to": "secondary", "force": true })).await;

    assert_eq!(code, 200, "{answer}");
    operated.control.until_active("secondary").await;
    operated.until_switches(2).await;
    operated.stop().await;
    assert!(stored(&config).virtual_clusters["main"].failover.forced);

    let mut operated = Operated::start(config, TestFence(true)).await;
    operated.control.until_brokers(1, "unhealthy", 2).await;
    operated.control.until_brokers(0, "healthy", 3).await;
    let status = operated.control.status().await;
    assert_eq!(status.virtual_clusters[0].active.as_deref(), Some("secondary"));

    // With quorum it is a cluster like any other: losing it moves clients.
    for node in 0..2 {
        secondary.revive(node).await;
    }
    operated.control.until_brokers(1, "healthy", 3).await;
    (0..2).for_each(|node| secondary.kill(node));
    operated.control.until_active("primary").await;
    operated.stop().await;
}

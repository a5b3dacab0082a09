//! `pointsman switch` as an operator calls it, with a process that runs over two sandbox clusters.

mod support;

use pointsman_sandbox::{
    Cluster, ClusterSpec,
    client::{Admin, ClientConfig, Producer, ProducerConfig},
};
use std::{
    process::{Command, Output},
    time::Duration,
};
use support::{BINARY, Listen, Proxy};
use tokio::task::block_in_place;

const LIMIT: Duration = Duration::from_secs(20);
const TOPIC: &str = "orders";

struct Stage {
    clusters: [Cluster; 2],
    proxy: Proxy,
}

impl Stage {
    /// Two clusters of three brokers; both have quorum, the primary is active.
    async fn start(more: &str) -> Self {
        let clusters = [
            Cluster::start(ClusterSpec::new("primary", 3)).await.expect("a cluster"),
            Cluster::start(ClusterSpec::new("secondary", 3)).await.expect("a cluster"),
        ];
        for cluster in &clusters {
            cluster.create_topic(TOPIC, 1, 3, &[]).expect("a topic");
        }
        let servers =
            |c: &Cluster| format!("{{ bootstrap_servers: [{}] }}", c.bootstrap().replace(',', ", "));
        let named = [("primary", servers(&clusters[0])), ("secondary", servers(&clusters[1]))];
        let proxy = block_in_place(|| Proxy::start(&named, &Listen::One, more));
        let stage = Self { clusters, proxy };
        stage.wait_active("primary");
        stage.wait_quorum(1, true);
        stage
    }

    fn wait_active(&self, name: &str) {
        block_in_place(|| self.proxy.wait_active(name, LIMIT));
    }

    fn wait_quorum(&self, cluster: usize, quorum: bool) {
        let has = || match self.proxy.status()["clusters"][cluster]["quorum"].as_bool() {
            Some(found) if found == quorum => Ok(()),
            other => Err(format!("quorum: {other:?}")),
        };
        block_in_place(|| pointsman_testkit::process::wait_for(LIMIT, has)).expect("a verdict");
    }

    fn switch(&self, args: &[&str]) -> Output {
        let admin = format!("127.0.0.1:{}", self.proxy.admin);
        let mut command = Command::new(BINARY);
        command.arg("switch").args(args).args(["--admin", &admin]);
        block_in_place(|| command.output()).expect("the binary")
    }

    async fn records(&self, cluster: usize) -> usize {
        let servers = self.clusters[cluster].bootstrap();
        let admin = Admin::new(ClientConfig::new(servers.split(',')));
        admin.read_partition(TOPIC, 0).await.expect("a log").len()
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn switch_moves_a_live_producer_and_stays_until_it_is_given_back() {
    let stage = Stage::start("    failover: { hold: 200ms }\n").await;
    let producer = Producer::start(ProducerConfig::new(ClientConfig::new([stage.proxy.bootstrap()]), TOPIC));
    let send = async || {
        producer.send(0, None, Some("x".into())).await.expect("an acknowledgement");
    };
    send().await;

    let (code, words) = said(&stage.switch(&["--to", "secondary"]));

    assert_eq!(code, Some(0), "{words}");
    assert!(words.starts_with("main: primary → secondary, generation "), "{words}");
    let status = block_in_place(|| stage.proxy.status());
    let main = &status["virtual_clusters"][0];
    assert_eq!((main["active"].as_str(), main["pinned"].as_bool()), (Some("secondary"), Some(true)));
    assert_eq!(main["switches"][0]["cause"], "command");
    send().await;
    assert_eq!((stage.records(0).await, stage.records(1).await), (1, 1), "each cluster got its record");

    let (code, words) = said(&stage.switch(&["--automatic"]));
    assert_eq!(code, Some(0), "{words}");
    stage.wait_active("primary");
    send().await;
    assert_eq!(stage.records(0).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_changes_nothing_and_exits_with_1() {
    let stage = Stage::start("").await;
    stage.clusters[1].kill(0);
    stage.clusters[1].kill(1);
    stage.wait_quorum(1, false);

    for (args, expected) in [
        (&["--to", "secondary"][..], "pointsman: secondary has no quorum: see its brokers in the status; "),
        (&["--to", "primary"], "pointsman: primary is active already: nothing to do"),
        (&["--to", "nowhere"], "pointsman: there is no cluster \"nowhere\": name one of: primary, secondary"),
        (
            &["--to", "secondary", "--virtual-cluster", "a/b"],
            "pointsman: there is no virtual cluster \"a/b\": name one of: main",
        ),
        (&["--automatic"], "pointsman: no command holds the active cluster: nothing to do"),
    ] {
        let (code, words) = said(&stage.switch(args));
        assert_eq!(code, Some(1), "{args:?}: {words}");
        assert!(words.starts_with(expected), "{args:?}: {words}");
    }
    assert_eq!(block_in_place(|| stage.proxy.switches()), 1);

    let (code, words) = said(&stage.switch(&["--to", "secondary", "--force"]));
    assert_eq!(code, Some(0), "{words}");
    stage.wait_active("secondary");
}

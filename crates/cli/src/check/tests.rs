//! The summary and the live report, exactly.

use super::*;
use pointsman_core::topology::{Broker, Partition, Topic};
use std::{collections::HashMap, time::Duration};

const FILE: &str = "
clusters:
  primary:   { bootstrap_servers: [a0:9092, a1:9092], health: { quorum: 2 } }
  secondary: { bootstrap_servers: { srv: _kafka._tcp.example.com } }
virtual_clusters:
  main: { listen: 127.0.0.1:9092-9096, chain: [primary, secondary], failover: { failback: manual } }
";

fn given(name: &str, text: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("pointsman-check-{name}-{}.yaml", std::process::id()));
    std::fs::write(&path, text).expect("a writable directory");
    path
}

#[test]
fn a_good_file_is_summed_up() {
    let file = given("good", FILE);

    let (_, summary) = check(&file).expect("a valid file");

    let expected = format!(
        "ok: {}
  cluster primary: 2 bootstrap servers, quorum 2, probe kafka every 500ms
  cluster secondary: bootstrap servers from srv _kafka._tcp.example.com every 30s, quorum majority, \
  probe kafka every 500ms
  virtual cluster main: 127.0.0.1:9092-9096, 5 slots, advertised as 127.0.0.1
    chain primary → secondary, automatic failover, back by command, replication none, positions switch_point
  admin API on 127.0.0.1:9901
",
        file.display()
    );
    assert_eq!(summary, expected.replace("majority,   probe", "majority, probe"));
    std::fs::remove_file(file).expect("the file");
}

#[test]
fn what_is_allowed_and_seldom_right_is_warned_of_last() {
    let file = given("warned", &FILE.replace("9092-9096", "9092"));

    let (_, summary) = check(&file).expect("a valid file");

    let warning = summary.lines().last().expect("a line");
    assert!(
        warning.starts_with("warning: virtual_clusters.main: its 3 slots share the address"),
        "{summary}"
    );
    std::fs::remove_file(file).expect("the file");
}

#[test]
fn of_passthrough_it_is_said_what_brokers_must_advertise() {
    let text = FILE.replace("srv: _kafka._tcp.example.com", "file: b.txt").replace(
        "listen: 127.0.0.1:9092-9096",
        "mode: passthrough, slots: 2, listen: { sni: 127.0.0.1:9092, host: 'b{slot}.k', bootstrap: k }",
    );
    let file = given("passthrough", &text);

    let (_, summary) = check(&file).expect("a valid file");

    let expected = "\
  virtual cluster main: 127.0.0.1:9092, 2 slots, passthrough; brokers advertise b{slot}.k, slot by slot
    chain primary → secondary, automatic failover, back by command, on a switch close
";
    assert!(summary.contains(expected), "{summary}");
    std::fs::remove_file(file).expect("the file");
}

#[test]
fn every_fault_of_a_bad_file_is_printed() {
    let file = given("bad", "clusters: {}\nvirtual_clusters: []\n");

    let faults = check(&file).expect_err("an invalid file");

    let place = file.display();
    let lines: Vec<&str> = faults.lines().collect();
    assert_eq!(lines.len(), 2, "{faults}");
    assert!(lines[0].starts_with(&format!("{place}:1:11: clusters: expected")), "{faults}");
    assert!(lines[1].starts_with(&format!("{place}:2:19: virtual_clusters: expected")), "{faults}");
    std::fs::remove_file(file).expect("the file");
}

fn topology(topics: &[(&str, usize)]) -> Topology {
    let topic = |(name, count): &(&str, usize)| {
        let partitions = vec![Partition { leader: 1, epoch: 0 }; *count];
        let topic = Topic { name: (*name).into(), id: Default::default(), partitions };
        (topic.name.clone(), Arc::new(topic))
    };
    let address: Address = "a0:9092".parse().expect("an address");
    let broker = Broker { address, rack: None, listed: true, seen: Duration::ZERO };
    Topology {
        brokers: [(1, broker)].into(),
        topics: topics.iter().map(topic).collect::<HashMap<_, _>>(),
        ..Topology::default()
    }
}

#[tokio::test]
async fn a_live_check_shows_who_answers_and_what_a_standby_lacks() {
    let file = given("live", FILE);
    let (config, _) = check(&file).expect("a valid file");
    let server = |text: &str| text.parse::<Address>().expect("an address");

    let (report, good) = live(&config, async |cluster: &ClusterConfig| match &*cluster.name {
        "primary" => LiveReport {
            servers: vec![(server("a0:9092"), Ok(())), (server("a1:9092"), Err("connection refused".into()))],
            topology: Some(Arc::new(topology(&[("orders", 6), ("users", 3), ("same", 1)]))),
            notes: vec!["these credentials may not ask for the metadata quorum".into()],
        },
        _ => LiveReport {
            servers: vec![(server("b0:9092"), Ok(()))],
            topology: Some(Arc::new(topology(&[("orders", 1), ("same", 1)]))),
            notes: Vec::new(),
        },
    })
    .await;

    let expected = "  \
  cluster primary: 1 of 2 bootstrap servers reachable, 1 brokers, 3 topics
    a1:9092: connection refused
    note: these credentials may not ask for the metadata quorum
  cluster secondary: 1 of 1 bootstrap servers reachable, 1 brokers, 2 topics
  virtual cluster main: secondary differs from primary in 2 topics
    orders: 1 partitions, not 6
    users: missing
";
    assert_eq!(report, expected);
    assert!(!good);
    std::fs::remove_file(file).expect("the file");
}

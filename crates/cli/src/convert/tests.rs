//! Whole files against what they become, exactly; and what is refused.

use super::*;
use pointsman_core::config::{Config, ProbeKind};
use std::{path::PathBuf, time::Duration};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/envoy")
}

/// A fixture; the first of them belongs to an example.
fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if name == "envoy.yaml" {
        root.join("../../examples/redpanda-envoy").join(name)
    } else {
        directory().join(name)
    }
}

fn converted(name: &str) -> Converted {
    let file = fixture(name);
    convert(&read(&file).expect("a fixture"), &file).unwrap_or_else(|e| panic!("{e}"))
}

/// Fails when the file beside the fixture is not what it becomes; with `UPDATE_GOLDEN` set, it is written first.
fn assert_becomes(name: &str) -> String {
    let text = converted(name).text;
    let stem = name.split('.').next().unwrap_or_default();
    let golden = directory().join(format!("{stem}.pointsman.yaml"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &text).expect("written");
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(text, expected, "{} (UPDATE_GOLDEN=1 writes it)", golden.display());
    text
}

/// What the real parser makes of it.
fn parsed(text: &str) -> Config {
    Config::parse(text, "pointsman.yaml", Path::new("/")).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn servers(config: &Config, cluster: usize) -> Vec<String> {
    match &config.clusters[cluster].bootstrap {
        pointsman_core::config::Bootstrap::Static(servers) => {
            servers.iter().map(ToString::to_string).collect()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn five_ports_behind_an_aggregator_become_a_chain() {
    let text = assert_becomes("envoy.yaml");
    let config = parsed(&text);
    let main = &config.virtual_clusters[0];
    assert_eq!((main.listen().as_str(), main.slots), ("0.0.0.0:9092-9096", 5));
    assert_eq!(
        servers(&config, 0),
        ["primary-0:9092", "primary-1:9092", "primary-2:9092", "primary-3:9092", "primary-4:9092"]
    );
    assert_eq!(servers(&config, 1), ["secondary-0:9092", "secondary-1:9092", "secondary-2:9092"]);
    for cluster in &config.clusters {
        let health = &cluster.health;
        assert_eq!((&health.probe, health.interval), (&ProbeKind::Tcp, Duration::from_secs(2)));
        assert_eq!((health.unhealthy_after, health.healthy_after), (2, 3));
        assert_eq!(health.edge_interval, Duration::from_millis(250));
    }
}

#[test]
fn json_with_checks_of_its_own_and_three_priorities_becomes_a_chain() {
    let text = assert_becomes("direct.json");
    let config = parsed(&text);
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9902");
    assert_eq!(servers(&config, 0), ["10.0.0.1:9092", "10.0.0.2:9092"]);
    assert_eq!(servers(&config, 1), ["[fd00::1]:9092"], "both ports lead to it");
    assert_eq!(servers(&config, 2), ["10.9.0.1:9092"]);
    assert!(
        matches!(&config.clusters[0].health.probe, ProbeKind::Http { port: 8081, path, .. } if &**path == "/schemas/types")
    );
    assert_eq!(config.clusters[0].health.timeout, Duration::from_millis(250));
}

#[test]
fn tls_that_ends_at_envoy_becomes_kafka_mode_with_a_warning_and_without_its_key() {
    let text = assert_becomes("tls.yaml");
    let config = parsed(&text);
    assert_eq!(servers(&config, 0), ["kafka-a0:9092", "kafka-a1:9092"]);
    assert!(text.contains("mode: kafka") && text.contains("BYTES ARE NOT ENCRYPTED HERE"), "{text}");
    assert!(!text.contains("hunter2"), "no value is quoted");
}

#[test]
fn json_may_be_indented_by_tabs() {
    let file = fixture("direct.json");
    let text = read(&file).expect("a fixture");
    let with_tabs = convert(&text.replace("  ", "\t"), &file).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(with_tabs.text, converted("direct.json").text);
}

/// Every key that the fixture has is either carried over or named.
#[test]
fn what_was_not_carried_over_is_said_by_name_and_path() {
    let Converted { text, notes } = converted("envoy.yaml");
    for words in [
        "- admin (line 2)",
        "static_resources.clusters[0].health_checks[0].no_traffic_interval",
        "static_resources.clusters[0].health_checks[0].unhealthy_interval",
        "static_resources.clusters[0].lb_policy",
        "static_resources.clusters[0].load_assignment.policy",
        "static_resources.clusters[0].outlier_detection.interval",
        "max_connect_attempts",
        "and 4 more of its kind",
        "it asks 172.20.0.10:8001 about primary-0:9092",
    ] {
        let flat: Vec<&str> = text.split_whitespace().filter(|word| *word != "#").collect();
        assert!(flat.join(" ").contains(words), "expected {words:?} in\n{text}");
    }
    assert_eq!(text.matches("\n# - ").count(), notes);
}

#[test]
fn a_port_that_leads_elsewhere_is_named() {
    let file = fixture("envoy.yaml");
    let text = read(&file).expect("a fixture").replacen(
        "address: secondary-0, port_value",
        "address: secondary-2, port_value",
        1,
    );
    let converted = convert(&text, &file).unwrap_or_else(|e| panic!("{e}")).text;
    let words = "- port 9094 (line 28): at priority 1 Envoy leads to secondary-2:9092, Pointsman to\n#   secondary-0:9092";
    assert!(converted.contains(words), "{converted}");
}

#[test]
fn what_has_not_this_shape_is_refused_with_its_place() {
    let whole = read(&fixture("envoy.yaml")).expect("a fixture");
    let cases: [(&str, &str, &str); 10] = [
        (&whole, "", "e.yaml:1: expected an Envoy bootstrap file"),
        ("static_resources:", "dynamic:", "expected `static_resources` in it, found none"),
        ("cluster: broker-4", "cluster: nobody", "typed_config.cluster: there is no cluster of this name"),
        (
            "port_value: 9094 }",
            "port_value: 9099 }",
            "expected ports without a gap, each once, found 9092, 9093, 9095, 9096, 9099",
        ),
        ("port_value: 9094 }", "port_value: 0 }", "port_value: expected a port from 1 to 65535"),
        (
            "address: 0.0.0.0, port_value: 9094",
            "address: lo, port_value: 9094",
            "expected an IP address of this machine",
        ),
        (
            "address: 0.0.0.0, port_value: 9094",
            "address: 127.0.0.1, port_value: 9094",
            "expected one address for all ports",
        ),
        ("interval: 2s", "interval: 2", "expected a duration such as 2s or 0.25s"),
        ("unhealthy_threshold: 2", "unhealthy_threshold: many", "expected a whole number"),
        ("start: 200, end: 201", "start: 200, end: 200", "expected HTTP statuses from 100 to 600"),
    ];
    for (what, instead, expected) in cases {
        let text = whole.replace(what, instead);
        let error = convert(&text, Path::new("e.yaml")).expect_err(expected);
        assert!(
            error.starts_with("e.yaml:") && error.contains(expected),
            "expected {expected:?}, found {error}"
        );
    }
    let web = "static_resources: { clusters: [], listeners: [{ name: web }] }";
    let error = convert(web, Path::new("e.yaml")).expect_err("no tcp_proxy");
    assert_eq!(
        error,
        "e.yaml:1: static_resources.listeners: expected a listener with a tcp_proxy filter, found none"
    );
}

#[test]
fn more_brokers_than_ports_are_refused_with_the_numbers() {
    let text = read(&fixture("tls.yaml")).expect("a fixture");
    let start = text.find("          transport_socket:").expect("it");
    let end = text.find("  clusters:").expect("it");
    let text = text[..start].to_owned() + &text[end..];
    let error = convert(&text, Path::new("e.yaml")).expect_err("two brokers, one port");
    assert!(error.contains("a cluster has 2 brokers, but there are 1 ports"), "{error}");
}

#[test]
fn no_file_is_a_panic() {
    let whole = read(&fixture("direct.json")).expect("a fixture");
    for end in (0..whole.len()).step_by(7).filter(|end| whole.is_char_boundary(*end)) {
        let _ = convert(&whole[..end], Path::new("e.json"));
    }
    for text in
        ["", "[]", "a", "static_resources: 1", "static_resources: { listeners: 1, clusters: {} }", "{{{{"]
    {
        assert!(convert(text, Path::new("e.yaml")).is_err(), "{text}");
    }
}

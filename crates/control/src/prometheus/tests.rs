//! The page on a full status: exact lines, the linter of Prometheus where it is present, and the documentation.

use super::*;
use crate::example;
use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

fn page() -> String {
    let metrics = VirtualClusterMetrics::default();
    metrics.apis[1].requests.add(3);
    metrics.apis[1].local_errors.add(1);
    metrics.apis[1].latency.record(Duration::from_micros(200));
    metrics.apis[1].latency.record(Duration::from_secs(60));
    metrics.connections.inc();
    metrics.closed[CloseReason::Switched as usize].add(2);
    render(Input { status: &example::status(), metrics: &[("main".into(), Arc::new(metrics))] })
}

#[test]
fn a_full_status_is_shown() {
    let page = page();

    for line in [
        "pointsman_build_info{version=\"0.1.0\"} 1",
        "pointsman_uptime_seconds 12.5",
        "pointsman_state_write_failures_total 3",
        "pointsman_generation 7",
        "pointsman_cluster_quorum{cluster=\"primary\"} 0",
        "pointsman_cluster_quorum{cluster=\"secondary\"} 1",
        "pointsman_broker_healthy{cluster=\"primary\",broker=\"a0:9092\"} 0",
        "pointsman_broker_healthy{cluster=\"secondary\",broker=\"b0:9092\"} 1",
        "pointsman_broker_probe_seconds{cluster=\"secondary\",broker=\"b0:9092\"} 0.0015",
        "pointsman_active_cluster{virtual_cluster=\"main\",cluster=\"primary\"} 0",
        "pointsman_active_cluster{virtual_cluster=\"main\",cluster=\"secondary\"} 1",
        "pointsman_consumers_draining{virtual_cluster=\"main\"} 1",
        "pointsman_consumer_drains_total{virtual_cluster=\"main\",ended=\"deadline\"} 1",
        "pointsman_consumer_drains_total{virtual_cluster=\"main\",ended=\"lost\"} 0",
        "pointsman_cluster_pinned{virtual_cluster=\"main\"} 0",
        "pointsman_switches_total{virtual_cluster=\"main\",cause=\"command\"} 0",
        "pointsman_switches_total{virtual_cluster=\"main\",cause=\"quorum_lost\"} 1",
        "pointsman_last_switch_timestamp_seconds{virtual_cluster=\"main\"} 1700000000.5",
        "pointsman_last_switch_decision_seconds{virtual_cluster=\"main\"} 0.25",
        "pointsman_topic_differences{virtual_cluster=\"main\",cluster=\"secondary\"} 2",
        "pointsman_connections{virtual_cluster=\"main\"} 1",
        "pointsman_connections_closed_total{virtual_cluster=\"main\",reason=\"switched\"} 2",
        "pointsman_requests_total{virtual_cluster=\"main\",api=\"Fetch\"} 3",
        "pointsman_request_errors_total{virtual_cluster=\"main\",api=\"Fetch\"} 1",
        "pointsman_request_duration_seconds_bucket{virtual_cluster=\"main\",api=\"Fetch\",le=\"0.0001\"} 0",
        "pointsman_request_duration_seconds_bucket{virtual_cluster=\"main\",api=\"Fetch\",le=\"0.00025\"} 1",
        "pointsman_request_duration_seconds_bucket{virtual_cluster=\"main\",api=\"Fetch\",le=\"5\"} 1",
        "pointsman_request_duration_seconds_bucket{virtual_cluster=\"main\",api=\"Fetch\",le=\"+Inf\"} 2",
        "pointsman_request_duration_seconds_sum{virtual_cluster=\"main\",api=\"Fetch\"} 60.0002",
        "pointsman_request_duration_seconds_count{virtual_cluster=\"main\",api=\"Fetch\"} 2",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("api=\"Produce\""), "an api that was never asked for is not shown");
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("SKIPPED: promtool is not installed (package prometheus)");
        return;
    };
    child.stdin.take().expect("piped").write_all(page().as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn docs_metrics_md_describes_exactly_the_families_that_are_shown() {
    let doc = include_str!("../../../../docs/metrics.md");
    let documented: Vec<&str> =
        doc.lines().filter_map(|line| line.strip_prefix("| `pointsman_")?.split('`').next()).collect();
    let shown: Vec<&str> = FAMILIES.iter().map(|f| f.name.trim_start_matches("pointsman_")).collect();
    assert_eq!(documented, shown);
    for cause in pointsman_core::failover::Reason::ALL {
        assert!(doc.contains(&format!("`{}`", cause.word())), "{} is not described", cause.word());
    }
    for reason in CloseReason::ALL {
        assert!(doc.contains(&format!("`{}`", reason.word())), "{} is not described", reason.word());
    }
}

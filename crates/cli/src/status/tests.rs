//! The table for a failover, exactly; its width; colours.

use super::*;
use serde_json::json;

fn status() -> Value {
    json!({
        "version": "0.1.0", "generation": 7, "uptime_s": 4000.7,
        "clusters": [
            { "name": "primary", "quorum": false, "healthy": 0, "needed": 2, "topics": 12, "notes": ["cannot ask for the metadata quorum"],
              "brokers": [
                { "address": "kafka-a0:9092", "node": 1, "state": "unhealthy", "reason": "connection refused", "probe_ms": null },
                { "address": "kafka-a1.example.com:9092", "node": null, "state": "unknown", "reason": null, "probe_ms": null },
              ] },
            { "name": "secondary", "quorum": true, "healthy": 1, "needed": 1, "topics": 11, "notes": [],
              "brokers": [{ "address": "b:9092", "node": 4, "state": "healthy", "reason": null, "probe_ms": 1.53 }] },
        ],
        "virtual_clusters": [{
            "name": "main", "listen": "0.0.0.0:9092-9093", "chain": ["primary", "secondary"], "active": "secondary",
            "connections": 3,
            "slots": [
                { "slot": 0, "advertised": "kafka.example.com:9092", "broker": "4@b:9092" },
                { "slot": 1, "advertised": "kafka.example.com:9093", "broker": null },
            ],
            "switches_total": 1,
            "switches": [{ "generation": 7, "at_ms": 1000, "from": "primary", "to": "secondary",
                           "reason": "primary lost quorum", "decided_in_ms": 250.4 }],
            "stranded": [
                { "cluster": "primary", "records": 25, "topics_total": 1,
                  "topics": [{ "topic": "orders", "records": 25, "group": "billing" }] },
                { "cluster": "secondary", "records": 0, "topics_total": 0, "topics": [] },
            ],
            "topic_differences": [{ "cluster": "secondary", "total": 4, "topics": [
                { "difference": "missing", "topic": "orders" },
                { "difference": "partitions", "topic": "users", "expected": 6, "found": 3 },
            ] }],
        }],
    })
}

const TABLE: &str = "\
pointsman 0.1.0   generation 7   up 1h 6m

cluster primary   no quorum   0 of 2 brokers healthy, 2 needed   12 topics
     1  kafka-a0:9092              unhealthy  connection refused
     -  kafka-a1.example.com:9092  unknown
  note: cannot ask for the metadata quorum

cluster secondary   has quorum   1 of 1 brokers healthy, 1 needed   11 topics
     4  b:9092  healthy    1.5 ms

virtual cluster main   served by secondary   0.0.0.0:9092-9093   3 connections
  chain: primary → secondary
  slot   0  kafka.example.com:9092  4@b:9092
  slot   1  kafka.example.com:9093  no broker
  1m 30s ago: primary → secondary in 250 ms: primary lost quorum
  about 25 records unread on primary: orders (25, billing)
  secondary differs in 4 topics: orders (missing), users (partitions: 3, not 6)…
";

#[test]
fn a_failover_is_told_in_80_columns() {
    assert_eq!(render(&status(), 91_000).text(false), TABLE);
}

#[test]
fn a_cluster_that_a_command_holds_is_shown_as_such() {
    let mut status = status();
    status["virtual_clusters"][0]["pinned"] = true.into();
    let table = render(&status, 91_000).text(false);
    assert!(table.contains("\nvirtual cluster main   served by secondary by command   0.0.0.0:"), "{table}");
}

#[test]
fn behind_passthrough_slots_that_go_alone_and_brokers_that_lost_theirs_are_shown() {
    let mut status = status();
    let main = &mut status["virtual_clusters"][0];
    main["active"] = Value::Null;
    main["scope"] = "broker".into();
    main["slots"] = json!([
        { "slot": 0, "advertised": "b0.k:9093", "broker": "a0:9092", "cluster": "primary", "ejected": null },
        { "slot": 1, "advertised": "b1.k:9093", "broker": "a0:9092", "cluster": "primary", "ejected": "a1:9092" },
        { "slot": 2, "advertised": "b2.k:9093", "broker": null, "cluster": null, "ejected": null },
    ]);
    let table = render(&status, 91_000).text(false);
    for line in [
        "virtual cluster main   each slot alone   0.0.0.0:9092-9093   3 connections",
        "  slot   0  b0.k:9093  a0:9092  primary",
        "  slot   1  b1.k:9093  a0:9092  primary  (connections to a1:9092 fail)",
        "  slot   2  b2.k:9093  no broker  no cluster",
    ] {
        assert!(table.lines().any(|l| l == line), "expected {line:?} in\n{table}");
    }
}

#[test]
fn colours_change_nothing_but_colour() {
    let coloured = render(&status(), 91_000).text(true);
    let mut plain = String::new();
    for piece in coloured.split("\x1b[") {
        plain.push_str(
            piece
                .split_once('m')
                .filter(|(code, _)| code.chars().all(|c| c.is_ascii_digit() || c == ';'))
                .map_or(piece, |(_, rest)| rest),
        );
    }
    let trimmed: Vec<&str> = plain.lines().map(str::trim_end).collect();
    assert_eq!(trimmed, TABLE.lines().collect::<Vec<_>>());
    assert!(coloured.contains("\x1b[31;1mno quorum\x1b[0m"));
}

#[test]
fn an_older_or_newer_process_is_shown_as_far_as_it_is_understood() {
    let table =
        render(&json!({ "version": "9", "clusters": [{ "name": "x" }], "virtual_clusters": [{}] }), 0)
            .text(false);
    assert!(table.contains("cluster x   no quorum") && table.contains("no cluster available"), "{table}");
}

//! A moment of the monitor for pictures and tests: shortly after a failover. Its numbers are made up, not measured.

use super::{model::Model, monitor::Monitor};
use serde_json::{Value, json};
use std::time::Duration;

const NOW_MS: u64 = 95_000;

/// Three of the primary's five brokers are dead, and the secondary serves.
pub(super) fn status() -> Value {
    let broker = |address: &str, node: i32, reason: Option<&str>| {
        let state = if reason.is_some() { "unhealthy" } else { "healthy" };
        let probe_ms = if reason.is_some() { Value::Null } else { json!(1.2) };
        json!({ "address": address, "node": node, "state": state, "reason": reason, "probe_ms": probe_ms })
    };
    let refused = Some("connection refused");
    let slot = |(slot, broker): (usize, usize)| {
        let address = format!("kafka.example.com:{}", 9092 + slot);
        json!({ "slot": slot, "advertised": address, "broker": format!("{broker}@kafka-b{broker}:9092") })
    };
    json!({
        "version": "0.1.0", "generation": 7, "uptime_s": 4000.7,
        "clusters": [
            { "name": "primary", "quorum": false, "healthy": 2, "needed": 3, "topics": 12, "notes": [],
              "brokers": [
                broker("kafka-a0:9092", 0, refused),
                broker("kafka-a1:9092", 1, refused),
                broker("kafka-a2:9092", 2, refused),
                broker("kafka-a3:9092", 3, None),
                broker("kafka-a4:9092", 4, None),
              ] },
            { "name": "secondary", "quorum": true, "healthy": 3, "needed": 2, "topics": 11, "notes": [],
              "brokers": [
                broker("kafka-b0:9092", 0, None),
                broker("kafka-b1:9092", 1, None),
                broker("kafka-b2:9092", 2, None),
              ] },
        ],
        "virtual_clusters": [{
            "name": "main", "listen": "0.0.0.0:9092-9096", "chain": ["primary", "secondary"],
            "active": "secondary", "pinned": false, "connections": 31,
            "slots": (0..5).zip([0, 1, 2, 0, 1]).map(slot).collect::<Vec<_>>(),
            "switches_total": 2,
            "switches": [
                { "generation": 7, "at_ms": 81_000, "from": "primary", "to": "secondary",
                  "reason": "primary lost quorum: 2 of 5 brokers are healthy, 3 needed", "decided_in_ms": 250.4 },
                { "generation": 2, "at_ms": 61_000, "from": null, "to": "primary",
                  "reason": "first start", "decided_in_ms": null },
            ],
            "stranded": [{ "cluster": "primary", "records": 25, "topics_total": 1,
                           "topics": [{ "topic": "orders", "records": 25, "group": "billing" }] }],
            "topic_differences": [{ "cluster": "secondary", "total": 1,
                                    "topics": [{ "difference": "missing", "topic": "audit" }] }],
        }],
    })
}

fn metrics(seconds: u64) -> String {
    let line = |family: &str, value: u64| format!("pointsman_{family}{{virtual_cluster=\"main\"}} {value}\n");
    line("received_bytes_total", 1_240_000 * seconds)
        + &line("sent_bytes_total", 3_410_000 * seconds)
        + &line("requests_total", 412 * seconds)
        + &line("connections_accepted_total", 2 * seconds)
}

/// What the monitor makes of a status that stays the same.
pub(super) fn of(status: &Value) -> Model {
    let mut monitor = Monitor::new("127.0.0.1:9901");
    for second in [1, 2] {
        let answer = (status.to_string(), metrics(second));
        monitor.tell(Ok(answer), NOW_MS - 2_000 + 1_000 * second, Duration::from_secs(second));
    }
    monitor.model()
}

pub(super) fn model() -> Model {
    of(&status())
}

//! The demo on the sandbox, which needs nothing installed: it judges itself from logs, and its exit code is the verdict.

use std::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");

/// The same over bytes that Pointsman does not read: the brokers advertise its ports.
#[test]
fn the_demo_keeps_its_promises_behind_passthrough_too() {
    let arguments = ["demo", "--passthrough", "--headless", "--json"];
    let output = Command::new(BINARY).args(arguments).output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let json: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("one JSON object, and nothing else");
    assert_eq!((&json["lost"], &json["minority_loss_switched"]), (&0.into(), &false.into()), "{json}");
    assert_eq!(json["acked_by_old_cluster"], 0, "{json}");
    assert!(json["failover_ms"].is_u64() && json["failback_ms"].is_u64(), "{json}");
}

/// Two of five brokers dead, the third one, all back; output in the form that scripts read.
#[test]
fn the_demo_plays_by_itself_and_keeps_its_promises() {
    let output = Command::new(BINARY).args(["demo", "--headless", "--json"]).output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let json: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("one JSON object, and nothing else");
    assert_eq!((&json["lost"], &json["minority_loss_switched"]), (&0.into(), &false.into()), "{json}");
    assert!(json["failover_ms"].is_u64() && json["failback_ms"].is_u64(), "{json}");
    for words in ["any Kafka client can join", "primary brokers 1 and 2 killed", "0 lost"] {
        assert!(told.contains(words), "expected {words:?} in\n{told}");
    }
}

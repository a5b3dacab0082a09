//! The benchmark as a whole, for a fraction of a second.
#![cfg(feature = "bench")]

use std::path::Path;
use std::process::Command;

fn bench(args: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    // The results go where they are thrown away.
    command.args(args).env("CARGO_TARGET_DIR", env!("CARGO_TARGET_TMPDIR"));
    let output = command.output().expect("the benchmark starts");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

fn run(subjects: &str, workloads: &str) -> String {
    let fixed = ["--rounds", "1", "--seconds", "0.1", "--sides", "sink", "--connections", "20"];
    let (good, text) = bench(&[&fixed[..], &["--subjects", subjects, "--workloads", workloads]].concat());
    assert!(good, "{text}");
    text
}

#[test]
fn a_table_and_json_lines_come_out() {
    let workloads = "produce,produce-large,fetch,fetch-small,small,latency,idle";
    let text = run("direct,copy", workloads);

    for workload in workloads.split(',') {
        assert!(text.contains(&format!("\n{workload} · sink\n")), "no table of {workload}:\n{text}");
    }
    let results =
        text.lines().find_map(|line| line.strip_prefix("results: ")).expect("where the results are");
    let lines = std::fs::read_to_string(Path::new(results)).expect("results");
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    assert_eq!(lines.len(), 1 + 7 * 2);
    assert!(lines[0]["machine"].is_string());
    // On a busy machine one may have had no turn in its tenth of a second.
    let moved: Vec<_> =
        lines[1..].iter().filter(|cell| cell["requests_per_s"].as_f64() > Some(0.0)).collect();
    assert!(moved.len() >= 6, "{lines:?}");
    for cell in moved {
        assert_eq!(cell["cpu_s_per_gb"].is_number(), cell["subject"] != "direct", "{cell}");
        assert_eq!(cell["p99_us"].is_number(), cell["workload"] == "latency", "{cell}");
    }
}

#[test]
fn the_splice_loop_moves_bytes_both_ways() {
    let text = run("splice", "produce,fetch");

    assert_eq!(text.lines().filter(|line| line.starts_with("  splice ")).count(), 2, "{text}");
}

#[test]
fn nonsense_is_answered_with_the_usage() {
    let (good, text) = bench(&["--subjects", "squid"]);

    assert!(!good);
    assert!(text.contains("\"squid\" is none of direct"), "{text}");
}

//! `cargo xtask drill`: the failover drill on real Kafka, which lives in the testkit.
//!
//! Started as a program of its own, so that the gate and the generators never need the testkit to compile.

use std::process::Command;

/// Passes everything on to the drill.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    cargo.args([
        "run",
        "--quiet",
        "--package",
        "pointsman-testkit",
        "--no-default-features",
        "--bin",
        "drill",
        "--",
    ]);
    let status = cargo.args(args).status().map_err(|e| format!("drill: cannot start cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("drill: {status}")) }
}

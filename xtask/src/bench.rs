//! `cargo xtask bench`: the benchmark against other proxies, which lives in the testkit.
//!
//! Started as a program of its own, as the drill is. It is built for release: a slow generator measures itself.

use std::process::Command;

/// Passes everything on to the benchmark.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--release", "--package", "pointsman-testkit"]);
    cargo.args(["--no-default-features", "--features", "bench", "--bin", "bench", "--"]);
    let status = cargo.args(args).status().map_err(|e| format!("bench: cannot start cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("bench: {status}")) }
}

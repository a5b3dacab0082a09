//! `cargo xtask fuzz`: hostile bytes by seed, on any compiler. The targets live in the testkit.
//!
//! Started as a program of its own, as the drill is. It is built fast, with every assertion in it.

use std::process::Command;

/// Passes everything on to the driver.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--profile", "fuzz", "--package", "pointsman-testkit"]);
    cargo.args(["--no-default-features", "--features", "fuzz", "--bin", "fuzz", "--"]);
    let status = cargo.args(args).status().map_err(|e| format!("fuzz: cannot start cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("fuzz: {status}")) }
}

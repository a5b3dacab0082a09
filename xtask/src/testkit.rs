//! `cargo xtask drill` and `cargo xtask matrix`: drills and the client matrix on real Kafka, which live in the testkit.
//!
//! Started as programs of their own, so that the gate and the generators never need the testkit to compile.

use std::process::Command;

/// Passes everything on to the drill.
pub(crate) fn drill(args: &[String]) -> Result<(), String> {
    run("drill", args)
}

/// Passes everything on to the client matrix.
pub(crate) fn matrix(args: &[String]) -> Result<(), String> {
    run("matrix", args)
}

fn run(program: &str, args: &[String]) -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    cargo.args([
        "run",
        "--quiet",
        "--package",
        "pointsman-testkit",
        "--no-default-features",
        "--bin",
        program,
    ]);
    if args.iter().any(|arg| arg == "--mirror") {
        cargo.args(["--features", "mirror"]);
    }
    let status =
        cargo.arg("--").args(args).status().map_err(|e| format!("{program}: cannot start cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program}: {status}")) }
}

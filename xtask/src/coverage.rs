//! `cargo xtask coverage`: writes `docs/coverage.md`.
//!
//! The page is made by a test of the core, which also says in the gate whether it is stale: so xtask need not be built with the core.

use std::process::Command;

/// Writes the page.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if let Some(word) = args.first() {
        return Err(format!("expected nothing after `coverage`, got {word}"));
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "--package", "pointsman-core", "--test", "no_leak", "coverage"]);
    let status = cargo.env("UPDATE_PAGES", "1").status();
    let status = status.map_err(|e| format!("coverage: cannot start cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("coverage: {status}")) }
}

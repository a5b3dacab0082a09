//! The binary under test, built from this workspace.

use std::path::PathBuf;
use std::process::Command;

use crate::process::run;

/// Builds Pointsman for release and says where it is.
pub(crate) fn pointsman() -> Result<PathBuf, String> {
    build(&["--release"])
}

/// Builds Pointsman for tests, with its assertions, and says where it is.
pub(crate) fn debug() -> Result<PathBuf, String> {
    build(&[])
}

/// Builds a Pointsman whose mechanisms can be switched off, in a directory of its own, so that nobody takes it for the other.
pub(crate) fn broken() -> Result<PathBuf, String> {
    build(&["--package", "pointsman", "--features", "broken", "--target-dir", "target/broken"])
}

fn build(profile: &[&str]) -> Result<PathBuf, String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--bin", "pointsman", "--message-format", "json-render-diagnostics"]).args(profile);
    let messages = run("cargo build --bin pointsman", &mut cargo)?;
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executables.next_back().ok_or_else(|| "cargo built no binary".to_owned())
}

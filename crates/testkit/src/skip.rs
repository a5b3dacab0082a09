//! Tests that cannot run here are skipped, but never silently.

use std::fs::OpenOptions;
use std::io::Write;

use crate::kafka::Kafka;

/// Names the file that skipped tests are written to, one line each, so that the gate can count them.
pub const SKIP_FILE: &str = "POINTSMAN_SKIPPED_TESTS";

/// Says on the error output, and in the file named by [`SKIP_FILE`], that a test was skipped and why.
pub fn skipped(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {}\n", reason.lines().next().unwrap_or_default());
    eprint!("{line}");
    if let Some(path) = std::env::var_os(SKIP_FILE)
        && let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = file.write_all(line.as_bytes());
    }
}

/// Real Kafka for a test; `None` after saying why not. Where it could run, a failing installation is a failure.
pub fn kafka_or_skip(test: &str) -> Option<Kafka> {
    match Kafka::available() {
        Ok(()) => Some(Kafka::install().expect("real Kafka can be installed")),
        Err(reason) => {
            skipped(test, &reason);
            None
        }
    }
}

//! The failover drill on real Kafka; `cargo xtask drill` starts it.

use std::process::ExitCode;

use pointsman_testkit::drill::{Options, failover};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match Options::parse(&args).and_then(|options| failover(&options).map(drop)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("drill: {message}");
            ExitCode::FAILURE
        }
    }
}

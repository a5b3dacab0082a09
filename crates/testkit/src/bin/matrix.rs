//! The client matrix on real Kafka; `cargo xtask matrix` starts it.

use std::process::ExitCode;

use pointsman_testkit::matrix::{self, Options};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match Options::parse(&args).and_then(|options| matrix::run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("matrix: {message}");
            ExitCode::FAILURE
        }
    }
}

//! The drills on real Kafka; `cargo xtask drill` starts them.

use std::process::ExitCode;

use pointsman_testkit::drill::{self, Options, pingpong};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = args.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    let outcome = match name {
        "failover" => Options::parse(rest).and_then(|options| drill::failover(&options).map(drop)),
        "pingpong" => pingpong::Options::parse(rest).and_then(|options| pingpong::run(&options).map(drop)),
        _ => Err(format!("expected failover or pingpong\n{}\n{}", drill::USAGE, pingpong::USAGE)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("drill: {message}");
            ExitCode::FAILURE
        }
    }
}

//! The drills on real Kafka; `cargo xtask drill` starts them.

use std::process::ExitCode;

use pointsman_testkit::drill::{self, Options, calm, pingpong, transactions};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = args.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    let outcome = match name {
        "failover" => Options::parse(rest).and_then(|options| drill::failover(&options).map(drop)),
        "pingpong" => pingpong::Options::parse(rest).and_then(|options| pingpong::run(&options)),
        "calm" => calm::Options::parse(rest).and_then(|options| calm::run(&options).map(drop)),
        "transactions" => {
            transactions::options(rest).and_then(|options| transactions::run(&options).map(drop))
        }
        _ => {
            let usages = [drill::USAGE, pingpong::USAGE, calm::USAGE, transactions::USAGE].join("\n");
            Err(format!("expected failover, pingpong, calm or transactions\n{usages}"))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("drill: {message}");
            ExitCode::FAILURE
        }
    }
}

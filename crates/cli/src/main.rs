//! The `pointsman` binary: words of the command line in, an exit code out.

mod args;
mod check;
mod http;
mod status;

use args::Command;
use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help(text)) => say(text),
        Ok(Command::Version) => say(concat!("pointsman ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Check { config, live: false }) => check_file(&config),
        Ok(Command::Status(args)) => status::run(&args),
        Ok(command) => fail(&format!("{command:?} is not there yet")),
        Err(error) => {
            eprintln!("pointsman: {error}");
            ExitCode::from(2)
        }
    }
}

fn check_file(file: &Path) -> ExitCode {
    match check::check(file) {
        Ok((_, summary)) => say(&summary),
        Err(faults) => fail(&faults),
    }
}

fn say(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}

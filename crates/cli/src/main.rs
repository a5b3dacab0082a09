//! The `pointsman` binary: words of the command line in, an exit code out.

mod args;
mod certs;
mod check;
mod convert;
mod demo;
mod http;
mod output;
mod run;
mod screen;
mod status;
mod switch;
mod top;

use args::Command;
use std::{io::IsTerminal, path::Path, process::ExitCode};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help(text)) => say(text),
        Ok(Command::Version) => say(concat!("pointsman ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Check { config, live }) => check_file(&config, live),
        Ok(Command::Status(args)) => status::run(&args),
        Ok(Command::Switch(args)) => switch::run(&args),
        Ok(Command::Top { admin }) => top::run(&admin),
        Ok(Command::Certs(args)) => certs::run(&args),
        Ok(Command::Convert(args)) => convert::run(&args),
        Ok(Command::Run { config }) => {
            log("info");
            run::run(&config)
        }
        Ok(Command::Demo(args)) => {
            let args::DemoArgs { kafka, passthrough, headless, json } = args;
            let options = demo::Options { kafka, passthrough, headless, json };
            // The view has the terminal for itself, and what it shows says what the log would.
            if !options.live() {
                log("off");
            }
            demo::run(options)
        }
        Err(error) => {
            eprintln!("pointsman: {error}");
            ExitCode::from(2)
        }
    }
}

fn check_file(file: &Path, live: bool) -> ExitCode {
    match check::check(file) {
        Ok((_, summary)) if !live => say(&summary),
        Ok((config, summary)) => {
            say(&summary);
            check::ask_clusters(&config)
        }
        Err(faults) => fail(&faults),
    }
}

/// Log lines go to standard error; `RUST_LOG` overrides the level.
fn log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
}

fn say(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

/// Each line says whose it is, as with every other command.
fn fail(text: &str) -> ExitCode {
    text.lines().for_each(|line| eprintln!("pointsman: {line}"));
    ExitCode::FAILURE
}

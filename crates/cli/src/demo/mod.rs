//! `pointsman demo`: a failover and a failback to watch, on real Apache Kafka, with real clients, in one command.
//!
//! A 5-broker primary, a 3-broker secondary, Pointsman in front, two Java producers and a consumer group. Two brokers die (nothing
//! may happen), a third one dies (failover), all come back (failback). What is printed at the end comes from what the clients saw
//! and what the clusters' logs hold, not from Pointsman's own word.

mod report;
mod script;
mod stage;
#[expect(dead_code, reason = "the stage shows it once it plays live")]
mod view;

use report::Outcome;
use std::{io::Write, process::ExitCode};

/// What the user asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Plays the script and ends, instead of leaving everything running at the end.
    pub(crate) headless: bool,
    /// Prints one JSON object on standard output; the narration goes to standard error.
    pub(crate) json: bool,
}

/// Runs the demo. The exit code is 0 only if the promises held.
pub(crate) fn run(options: Options) -> ExitCode {
    match play(options) {
        Ok(outcome) => finish(options, &outcome),
        Err(error) => {
            say(&format!("the demo could not be played: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn play(options: Options) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| format!("no runtime: {e}"))?;
    let mut stage = stage::Stage::set(&runtime)?;
    let outcome = script::play(&mut stage)?;
    if !options.headless {
        say(&outcome.summary());
        stage.stay(&runtime);
    }
    stage.strike(&runtime);
    Ok(outcome)
}

fn finish(options: Options, outcome: &Outcome) -> ExitCode {
    if options.json {
        // A closed standard output is the reader's choice.
        let _ = writeln!(std::io::stdout(), "{}", outcome.json());
    }
    if options.headless {
        say(&outcome.summary());
    }
    match outcome.broken_promise() {
        None => ExitCode::SUCCESS,
        Some(promise) => {
            say(&format!("a promise was broken: {promise}"));
            ExitCode::FAILURE
        }
    }
}

/// The narration.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

//! `pointsman demo`: a failover and a failback to watch, in one command.
//!
//! A 5-broker primary, a 3-broker secondary, Pointsman in front, two producers and a consumer group. In a terminal a live view
//! shows them, and keys break things. Without one, or asked to, the demo plays its story by itself: two brokers die (nothing may
//! happen), a third one dies (failover), all come back (failback). The verdict at the end comes from what the clients saw and
//! what the clusters' logs hold, not from Pointsman's own word.

mod encrypted;
mod ground;
mod live;
mod players;
mod registry;
mod report;
mod scene;
mod script;
mod stage;
mod view;

use report::Outcome;
use scene::Scene;
use stage::Stage;
use std::{io::Write, process::ExitCode};

/// What the user asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Apache Kafka instead of the sandbox.
    pub(crate) kafka: bool,
    /// Bytes are forwarded, not understood. With Apache Kafka, which then speaks TLS with clients, the story goes on: recovery
    /// mode, and both clusters down.
    pub(crate) passthrough: bool,
    /// Plays the story and ends, also in a terminal.
    pub(crate) headless: bool,
    /// Prints one JSON object on standard output; the narration goes to standard error. Plays the story, as without a terminal.
    pub(crate) json: bool,
}

impl Options {
    /// Is there a terminal for the view, and is it wanted?
    pub(crate) fn live(self) -> bool {
        !self.headless && !self.json && view::possible()
    }
}

/// Runs the demo. The exit code is 0 only if the promises held.
pub(crate) fn run(options: Options) -> ExitCode {
    let live = options.live();
    let outcome =
        tokio::runtime::Runtime::new().map_err(|e| format!("no runtime: {e}")).and_then(|runtime| {
            runtime.block_on(async {
                if live { show(options).await.map(|()| None) } else { play(options).await.map(Some) }
            })
        });
    match outcome {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(outcome)) => finish(options, &outcome),
        Err(error) => {
            say(&format!("the demo could not be played: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn show(options: Options) -> Result<(), String> {
    let stage = Stage::set(options, Scene::new(false, stage::PARTITIONS)).await?;
    live::show(stage).await
}

async fn play(options: Options) -> Result<Outcome, String> {
    let mut stage = Stage::set(options, Scene::new(true, stage::PARTITIONS)).await?;
    let observer = live::observe(&stage, drop);
    let outcome = match script::play(&stage).await {
        Ok(story) => {
            stage.stop_producing().await;
            script::judge(&stage, &story).await
        }
        Err(error) => Err(error),
    };
    observer.abort();
    stage.strike().await;
    outcome
}

fn finish(options: Options, outcome: &Outcome) -> ExitCode {
    if options.json {
        // A closed standard output is the reader's choice.
        let _ = writeln!(std::io::stdout(), "{}", outcome.json());
    }
    say(&outcome.summary());
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

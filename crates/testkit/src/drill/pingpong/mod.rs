//! The ping-pong drill: A → B → A → B …, by command, under live idempotent producers.
//!
//! Two clusters of three brokers with independent data and overlapping node ids and producer ids, one topic of 6 partitions,
//! and of each client library one idempotent producer and one group consumer. Nothing dies: what is tested is that
//! no switch, however soon after the last, loses, reorders or needlessly repeats what an idempotent producer sends. Pauses
//! between the switches are varied by a seed. Judged by the logs of both clusters, as a sequence of visits.

#[cfg(feature = "mirror")]
mod mirrored;
mod options;
mod report;
mod run;

use std::collections::BTreeMap;
use std::io::Write;

pub use options::{Options, USAGE};
pub use report::{ConsumerReport, ProducerReport, Summary, SwitchRecord};

use serde::Serialize;

use super::bench::Bench;
use crate::clients::ClientKind;

/// Runs the drill, prints a table, and writes `target/drill/pingpong-*.jsonl`. An error says which promises did not hold.
///
/// Without a mechanism it is the other way round: an error says that nothing was found.
pub fn run(options: &Options) -> Result<(), String> {
    let base = super::Options {
        clients: options.clients.clone(),
        binary: options.binary.clone(),
        consumer_drain: options.consumer_drain,
        mirrored: options.mirror,
        without: options.without.clone(),
        ..Default::default()
    };
    let name = if options.mirror { "mirrored-" } else { "pingpong-" };
    let bench = Bench::start(&base, name, [3, 3])?;
    let verdict = if options.mirror {
        mirrored(&bench, &base, options)?
    } else {
        let summary = run::run(&bench, &base, options)?;
        print(&bench, options, &summary, report::table)?;
        summary.verdict()
    };
    match verdict {
        verdict if options.without.is_empty() => verdict,
        Err(broken) => {
            let without = options.without.join(" and ");
            writeln!(std::io::stdout(), "\nas it must be without {without}: {broken}")
                .map_err(|e| e.to_string())
        }
        Ok(()) => Err(format!("nothing was found although {} was off", options.without.join(" and "))),
    }
}

#[cfg(feature = "mirror")]
fn mirrored(bench: &Bench, base: &super::Options, options: &Options) -> Result<Result<(), String>, String> {
    let summary = mirrored::run(bench, base, options)?;
    print(bench, options, &summary, mirrored::table)?;
    Ok(summary.verdict())
}

#[cfg(not(feature = "mirror"))]
fn mirrored(_: &Bench, _: &super::Options, _: &Options) -> Result<Result<(), String>, String> {
    Err("this drill was built without the feature `mirror`; start it as `cargo xtask drill pingpong --mirror`".into())
}

fn print<S: Serialize>(
    bench: &Bench,
    options: &Options,
    summary: &S,
    table: fn(&S) -> String,
) -> Result<(), String> {
    bench.write_line(summary)?;
    let text = if options.json {
        serde_json::to_string_pretty(summary).map_err(|e| format!("summary: {e}"))?
    } else {
        table(summary)
    };
    writeln!(std::io::stdout(), "{text}").map_err(|e| format!("standard output: {e}"))
}

/// What makes the producer of a library idempotent, in its own words. A test reads from the log that it does.
pub fn idempotent(kind: ClientKind) -> BTreeMap<String, String> {
    let name = match kind {
        ClientKind::KafkaPython | ClientKind::Aiokafka => "enable_idempotence",
        _ => "enable.idempotence",
    };
    BTreeMap::from([(name.to_owned(), "true".to_owned())])
}

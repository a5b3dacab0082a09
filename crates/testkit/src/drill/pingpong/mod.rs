//! The ping-pong drill: A → B → A → B …, by command, under live idempotent producers.
//!
//! Two clusters of three brokers with independent data and overlapping node ids and producer ids, one topic of 6 partitions,
//! and of each client library one idempotent producer and one group consumer. Nothing dies: what is tested is that
//! no switch, however soon after the last, loses, reorders or needlessly repeats what an idempotent producer sends. Pauses
//! between the switches are varied by a seed. Judged by the logs of both clusters, as a sequence of visits.

mod options;
mod report;
mod run;

use std::collections::BTreeMap;
use std::io::Write;

pub use options::{Options, USAGE};
pub use report::{ConsumerReport, ProducerReport, Summary, SwitchRecord};

use super::bench::Bench;
use crate::clients::ClientKind;

/// Runs the drill, prints a table, and writes `target/drill/pingpong-*.jsonl`. An error says which promises did not hold.
pub fn run(options: &Options) -> Result<Summary, String> {
    let base = super::Options {
        clients: options.clients.clone(),
        binary: options.binary.clone(),
        ..Default::default()
    };
    let bench = Bench::start(&base, "pingpong-", [3, 3])?;
    let summary = run::run(&bench, &base, options)?;
    bench.write_line(&summary)?;
    let text = if options.json {
        serde_json::to_string_pretty(&summary).map_err(|e| format!("summary: {e}"))?
    } else {
        report::table(&summary)
    };
    writeln!(std::io::stdout(), "{text}").map_err(|e| format!("standard output: {e}"))?;
    summary.verdict().map(|()| summary)
}

/// What makes the producer of a library idempotent, in its own words. A test reads from the log that it does.
pub fn idempotent(kind: ClientKind) -> BTreeMap<String, String> {
    let name = match kind {
        ClientKind::Java | ClientKind::Librdkafka | ClientKind::Franz => "enable.idempotence",
        ClientKind::KafkaPython | ClientKind::Aiokafka => "enable_idempotence",
    };
    BTreeMap::from([(name.to_owned(), "true".to_owned())])
}

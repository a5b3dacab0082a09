//! The drills: real clusters, real clients, real moves, and a table of what every client went through.
//!
//! [`failover`]: a 5-broker primary and a 3-broker secondary with overlapping node ids, a topic of 6 partitions on both
//! (replication 3, min ISR 2), and of each client library one producer and one group consumer, all at once.
//! Three of the five brokers are taken down, later they come back. The clusters live through all runs; topic,
//! proxy and clients are new for each. What is printed comes from the clients' lines and the clusters' logs only.

mod bench;
pub mod calm;
mod clients;
mod envoy;
mod options;
pub mod pingpong;
mod proxy;
mod run;
mod summary;
mod table;
mod tcp_switch;
pub mod transactions;

pub use options::{Fault, Options, USAGE, Via};
pub use run::RunRecord;
pub use summary::{ClientSummary, Figure, Summary};

use std::io::Write;

use bench::Bench;

const PRIMARY_BROKERS: usize = 5;
const SECONDARY_BROKERS: usize = 3;

/// Runs the failover drill, prints a table per run and one over all runs, and writes `target/drill/*.jsonl`.
/// An error says which promise did not hold.
pub fn failover(options: &Options) -> Result<Summary, String> {
    let mut bench = Bench::start(options, "", [PRIMARY_BROKERS, SECONDARY_BROKERS])?;
    let mut records = Vec::new();
    for number in 0..options.runs {
        let record = run::run(&mut bench, options, number)?;
        bench.write_line(&record)?;
        eprintln!("\n{}", table::of_run(&record));
        records.push(record);
    }
    let summary = Summary::of(options, &records);
    bench.write_line(&summary)?;
    print(options, &summary)?;
    summary.verdict(options).map(|()| summary)
}

fn print(options: &Options, summary: &Summary) -> Result<(), String> {
    let text = if options.json {
        serde_json::to_string_pretty(summary).map_err(|e| format!("summary: {e}"))?
    } else {
        table::of_summary(summary)
    };
    writeln!(std::io::stdout(), "{text}").map_err(|e| format!("standard output: {e}"))
}

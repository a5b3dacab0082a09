//! The drill of transactions: A → B → A …, by command, under transactional producers.
//!
//! Two clusters of three brokers with independent data, one topic of 6 partitions on each. Of each client library one producer
//! writes transactions of a record per partition, aborts and tries again what fails, as its documentation says; one consumer
//! reads with `read_committed`. Judged by what both clusters hold as committed: a transaction is on one cluster, whole, or nowhere.

mod check;
mod report;
mod run;

use std::io::Write;

pub use check::{Attempt, TransactionReport, check};
pub use report::Summary;

use super::bench::Bench;
use super::pingpong::Options;
use crate::clients::ClientKind;

/// How to call it.
pub const USAGE: &str = "\
cargo xtask drill transactions [options]
  --switches N          switches by command, to and fro, default 12
  --clients a,b         of java, java-3.9, librdkafka, franz; default all of these
  --rate N              transactions per second and producer, default 20
  --seed, --pause, --consumer-drain, --observe, --binary, --json    as of pingpong";

/// The libraries whose drivers have transactions.
pub const CLIENTS: [ClientKind; 4] =
    [ClientKind::Java, ClientKind::Java39, ClientKind::Librdkafka, ClientKind::Franz];

/// Reads the arguments after `drill transactions`.
pub fn options(args: &[String]) -> Result<Options, String> {
    let defaults = Options {
        switches: 12,
        rate: 20,
        pause: (300, 4000),
        clients: CLIENTS.to_vec(),
        ..Options::default()
    };
    let options = defaults.read(args, USAGE)?;
    match options.clients.iter().find(|kind| !CLIENTS.contains(kind)) {
        Some(kind) => Err(format!("{} has no transactions here\n{USAGE}", kind.name())),
        None => Ok(options),
    }
}

/// Runs the drill and prints a table. An error says which promises did not hold.
pub fn run(options: &Options) -> Result<Summary, String> {
    let base = super::Options {
        clients: options.clients.clone(),
        binary: options.binary.clone(),
        consumer_drain: options.consumer_drain,
        ..Default::default()
    };
    let bench = Bench::start(&base, "transactions-", [3, 3])?;
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

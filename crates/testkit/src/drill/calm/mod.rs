//! The calm drill: troubles of a cluster that has not lost its quorum. None of them may move anybody.
//!
//! The same two clusters and clients as in the failover drill. One trouble after the other comes over the primary, and goes
//! again; then every client must be acknowledged on every partition, by the primary, and nothing was written to the secondary.

mod options;
mod trouble;

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

pub use options::{Options, USAGE};
pub use trouble::Trouble;

use super::bench::{Bench, now_ns};
use super::clients::{self, Client};
use super::proxy::Proxy;
use super::{PRIMARY_BROKERS, SECONDARY_BROKERS};
use crate::clients::{DriverSpec, Event};
use crate::process::wait_for;

const TOPIC: &str = "calm";
const PARTITIONS: u32 = 6;
const SYNC_LIMIT: Duration = Duration::from_secs(60);
/// How long after a trouble every producer may need until each partition is acknowledged again.
const RECOVERED_LIMIT: Duration = Duration::from_secs(60);

/// What one trouble did.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// The trouble.
    pub trouble: Trouble,
    /// How long it lasted, in milliseconds.
    pub lasted_ms: u64,
    /// Switches while it lasted and until every producer had recovered. Must be 0.
    pub switches: u64,
    /// Records acknowledged in that time.
    pub acked: usize,
    /// Errors that applications saw in that time. Must be 0.
    pub app_errors: usize,
    /// Records of the topic on the secondary. Must be 0.
    pub on_secondary: u64,
    /// Producers that were not acknowledged on every partition afterwards. Must be empty.
    pub stuck: Vec<String>,
}

impl Record {
    fn faults(&self) -> Vec<String> {
        let Self { trouble, switches, app_errors, on_secondary, stuck, .. } = self;
        let mut faults = Vec::new();
        for (count, what) in [
            (*switches, "switches"),
            (*on_secondary, "records on the secondary"),
            (*app_errors as u64, "errors in applications"),
        ] {
            if count > 0 {
                faults.push(format!("{trouble}: {count} {what}"));
            }
        }
        faults.extend(stuck.iter().map(|client| format!("{trouble}: {client} did not recover")));
        faults
    }
}

/// Runs the drill, prints a table, and writes `target/drill/calm-*.jsonl`. An error says which promises did not hold.
pub fn run(options: &Options) -> Result<Vec<Record>, String> {
    let base = super::Options {
        clients: options.clients.clone(),
        binary: options.binary.clone(),
        ..super::Options::default()
    };
    let mut bench = Bench::start(&base, "calm-", [PRIMARY_BROKERS, SECONDARY_BROKERS])?;
    for cluster in [&bench.primary, &bench.secondary] {
        cluster.create_topic(TOPIC, PARTITIONS as usize, 3, &[("min.insync.replicas", "2")])?;
        cluster.wait_in_sync(TOPIC, SYNC_LIMIT)?;
    }
    let proxy = Proxy::start(&base, &bench.place, &bench.primary, &bench.secondary, 0)?;
    let bootstrap = proxy.bootstrap(&bench.place, &bench.primary);
    let spec = |_, spec| DriverSpec { flush_ms: 2000, ..spec };
    let clients = clients::start(&bench, &bootstrap, TOPIC, spec)?;
    clients::wait_steady(&clients, PARTITIONS)?;
    let mut records = Vec::new();
    for trouble in &options.troubles {
        let record = endure(&mut bench, &clients, *trouble, options.lasting)?;
        bench.write_line(&record)?;
        eprintln!("{}", line(&record));
        records.push(record);
    }
    drop(proxy);
    print(options, &records)?;
    let faults: Vec<String> = records.iter().flat_map(Record::faults).collect();
    if faults.is_empty() { Ok(records) } else { Err(faults.join("\n")) }
}

fn endure(
    bench: &mut Bench,
    clients: &[Client],
    trouble: Trouble,
    lasting: Duration,
) -> Result<Record, String> {
    let (before, begun) = (switches(bench)?, now_ns());
    trouble.befall(&mut bench.primary, lasting)?;
    let ended = now_ns();
    bench.primary.wait_ready()?;
    bench.primary.wait_in_sync(TOPIC, SYNC_LIMIT)?;
    // Who does not recover is named in the record.
    let _ = wait_for(RECOVERED_LIMIT, || match stuck(clients, ended).first() {
        Some(client) => Err(client.clone()),
        None => Ok(()),
    });
    let admin = bench.kafka.admin()?;
    let of = |wanted: fn(&Event) -> Option<u64>| {
        let count = |events: &[Event]| events.iter().filter_map(wanted).filter(|t| *t >= begun).count();
        clients.iter().map(|c| c.producer.look(count) + c.consumer.look(count)).sum()
    };
    Ok(Record {
        trouble,
        lasted_ms: (ended - begun) / 1_000_000,
        switches: switches(bench)? - before,
        acked: of(|event| if let Event::Ack { t, .. } = event { Some(*t) } else { None }),
        app_errors: of(|event| if let Event::Err { t, .. } = event { Some(*t) } else { None }),
        on_secondary: admin.end_offsets(&bench.secondary.bootstrap(), TOPIC)?.iter().sum(),
        stuck: stuck(clients, ended),
    })
}

/// The producers that were not acknowledged on every partition since then.
fn stuck(clients: &[Client], since: u64) -> Vec<String> {
    let acked = |client: &&Client| {
        client.producer.look(|events| clients::partitions_since(events, since).len()) < PARTITIONS as usize
    };
    clients.iter().filter(acked).map(|client| client.name.to_owned()).collect()
}

/// Switches that the proxy has made since its start, from its status.
fn switches(bench: &Bench) -> Result<u64, String> {
    let mut command = Command::new(&bench.place.binary);
    command.args(["status", "--json", "--admin"]).arg(format!("127.0.0.1:{}", bench.place.admin_port));
    let text = crate::process::run("pointsman status", &mut command)?;
    let status: Value = serde_json::from_str(&text).map_err(|e| format!("status: {e}: {text:.200}"))?;
    let total = &status["virtual_clusters"][0]["switches_total"];
    total.as_u64().ok_or_else(|| format!("status: switches_total is {total}"))
}

fn print(options: &Options, records: &[Record]) -> Result<(), String> {
    let text = if options.json {
        serde_json::to_string_pretty(records).map_err(|e| format!("records: {e}"))?
    } else {
        let head =
            "| trouble | lasted, s | switches | acked | app errors | on the secondary | did not recover |
| --- | --- | --- | --- | --- | --- | --- |";
        let lines = records.iter().map(line);
        std::iter::once(head.to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
    };
    writeln!(std::io::stdout(), "{text}").map_err(|e| format!("standard output: {e}"))
}

fn line(record: &Record) -> String {
    let Record { trouble, lasted_ms, switches, acked, app_errors, on_secondary, stuck } = record;
    format!(
        "| {trouble} | {} | {switches} | {acked} | {app_errors} | {on_secondary} | {} |",
        lasted_ms / 1000,
        if stuck.is_empty() { "nobody".to_owned() } else { stuck.join(", ") }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_and_a_calm_trouble_has_none() {
        let calm = Record {
            trouble: Trouble::Slow,
            lasted_ms: 1000,
            switches: 0,
            acked: 5,
            app_errors: 0,
            on_secondary: 0,
            stuck: Vec::new(),
        };
        assert!(calm.faults().is_empty());
        let moved =
            Record { switches: 2, app_errors: 3, on_secondary: 4, stuck: vec!["java".to_owned()], ..calm };
        let faults = moved.faults().join("; ");
        for fault in ["2 switches", "4 records", "3 errors", "java did not recover"] {
            assert!(faults.contains(fault), "{faults}");
        }
    }
}

//! What the drill found, as a table and as a verdict.

use std::fmt::Write;

use serde::Serialize;

use super::TransactionReport;
use crate::drill::pingpong::SwitchRecord;

/// The whole drill.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Seed of the pauses.
    pub seed: u64,
    /// The switches, in order.
    pub switches: Vec<SwitchRecord>,
    /// The producers.
    pub producers: Vec<ProducerReport>,
    /// Different records that each consumer got.
    pub consumed: Vec<(String, usize)>,
    /// Clusters on which a transaction was left open, and what that looks like.
    pub hanging: Vec<String>,
}

/// One producer.
#[derive(Clone, Debug, Serialize)]
pub struct ProducerReport {
    /// What the logs say.
    #[serde(flatten)]
    pub transactions: TransactionReport,
    /// Producers that the application had to give up and make anew.
    pub made_anew: usize,
    /// Longest time between two commits, in milliseconds.
    pub silence_ms: u64,
    /// Whether it committed after the last switch.
    pub recovered: bool,
}

impl Summary {
    /// Whether every promise held; an error names those that did not.
    pub fn verdict(&self) -> Result<(), String> {
        let failed = |switch: &SwitchRecord| {
            switch.failure.as_ref().map(|why| format!("switch to {}: {why}", switch.to))
        };
        let mut broken: Vec<String> = self.switches.iter().filter_map(failed).collect();
        for producer in &self.producers {
            broken.extend(producer.transactions.broken());
            if !producer.recovered {
                broken.push(format!("{}: no commit after the last switch", producer.transactions.client));
            }
        }
        broken.extend(self.hanging.iter().map(|what| format!("left open: {what}")));
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
    }
}

/// The table, in Markdown.
pub(super) fn table(summary: &Summary) -> String {
    let mut out = format!("{} switches, seed {}\n\n", summary.switches.len(), summary.seed);
    out.push_str(
        "| producer | committed | aborted | unknown (committed) | half | on both | not where it was committed | \
         aborted, but committed | aborted, but read | made anew | longest silence, s |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for producer in &summary.producers {
        let t = &producer.transactions;
        let lists = [&t.half, &t.on_both, &t.missing, &t.aborted_but_committed, &t.aborted_but_read];
        let lists = lists.map(|list| list.len().to_string()).join(" | ");
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} ({}) | {lists} | {} | {}.{:02} |",
            t.client,
            t.committed,
            t.aborted,
            t.unknown,
            t.unknown_committed,
            producer.made_anew,
            producer.silence_ms / 1000,
            producer.silence_ms % 1000 / 10,
        );
    }
    for (client, records) in &summary.consumed {
        let _ = writeln!(out, "\nconsumer {client}: {records} records");
    }
    out
}

//! The tables, in Markdown, so that they can be pasted into a page.

use std::fmt::Write;

use super::summary::seconds;
use super::{RunRecord, Summary};
use crate::history::ClientReport;

const RUN_HEAD: &str = "\
| client | move | any partition | every partition | silence | consumer gap | not consumed | old after new (fleet) |
| --- | --- | --- | --- | --- | --- | --- | --- |
";
const RUN_TOTALS: &str = "
| client | acked | lost | in both logs | twice in one | consumed again | app errors | first error |
| --- | --- | --- | --- | --- | --- | --- | --- |
";
const SUMMARY_TOTALS: &str = "
| client | acked | lost | in both logs | twice in one | consumed again | app errors |
| --- | --- | --- | --- | --- | --- | --- |
";

/// The table of one run. Times are seconds.
pub(super) fn of_run(record: &RunRecord) -> String {
    let total = record.phases.iter().map(|(_, ms)| ms).sum();
    let phases: Vec<String> =
        record.phases.iter().map(|(name, ms)| format!("{name} {}", seconds(Some(*ms)))).collect();
    let mut text = format!(
        "run {}: brokers {:?} taken down, switched early: {}; {} s ({})\n\n{RUN_HEAD}",
        record.run,
        record.victims,
        record.report.switched_early,
        seconds(Some(total)),
        phases.join(", ")
    );
    for client in &record.report.clients {
        run_moves(&mut text, client);
    }
    text.push_str(RUN_TOTALS);
    for c in &record.report.clients {
        let error = c.first_error.as_deref().unwrap_or("").replace('|', "/");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} ({} fatal) | {error:.80} |",
            c.client,
            c.acked,
            c.lost,
            c.duplicated_across,
            c.duplicated_within,
            c.consumed_again,
            c.app_errors,
            c.fatal_errors
        );
    }
    text
}

fn run_moves(text: &mut String, client: &ClientReport) {
    for (name, w) in ["failover", "failback"].iter().zip(&client.windows) {
        let _ = writeln!(
            text,
            "| {} | {name} | {} | {} | {} | {} | {} | {} for {} ({}) |",
            client.client,
            seconds(w.any_partition),
            seconds(w.every_partition),
            seconds(Some(w.silence)),
            seconds(Some(w.consumer_gap)),
            w.not_consumed,
            w.order_violations,
            seconds(Some(w.violation_span)),
            w.order_violations_fleet
        );
    }
}

/// The table over all runs: median / worst, in seconds.
pub(super) fn of_summary(summary: &Summary) -> String {
    let mut text = format!(
        "via {:?}, fault {:?}, {} runs, {} of them switched early; seconds, p50 / worst\n\n{RUN_HEAD}",
        summary.via, summary.fault, summary.runs, summary.switched_early
    );
    for client in &summary.clients {
        for (name, m) in [("failover", &client.failover), ("failback", &client.failback)] {
            let _ = writeln!(
                text,
                "| {} | {name} | {} | {} | {} | {} | {} | {} ({}) |",
                client.client,
                m.any_partition,
                m.every_partition,
                m.silence,
                m.consumer_gap,
                m.not_consumed,
                m.order_violations,
                m.order_violations_fleet
            );
        }
    }
    text.push_str(SUMMARY_TOTALS);
    for c in &summary.clients {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            c.client,
            c.acked,
            c.lost,
            c.duplicated_across,
            c.duplicated_within,
            c.consumed_again,
            c.app_errors
        );
    }
    text
}

//! Figures over all runs, and whether they keep the promises.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{Fault, Options, RunRecord, Via};
use crate::clients::ClientKind;
use crate::history::{ClientReport, WindowReport};

/// A time over several runs, in milliseconds; `None` is "never" and longer than any time.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
pub struct Figure {
    /// The median.
    pub p50: Option<u64>,
    /// The worst.
    pub worst: Option<u64>,
}

impl Figure {
    /// Median (the lower of two middle ones) and worst.
    pub fn of(values: impl IntoIterator<Item = Option<u64>>) -> Self {
        let mut values: Vec<u64> = values.into_iter().map(|v| v.unwrap_or(u64::MAX)).collect();
        values.sort_unstable();
        let known = |v: Option<&u64>| v.copied().filter(|v| *v != u64::MAX);
        Self { p50: known(values.get(values.len().saturating_sub(1) / 2)), worst: known(values.last()) }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} / {}", seconds(self.p50), seconds(self.worst)))
    }
}

/// A time as seconds, or "never".
pub(super) fn seconds(millis: Option<u64>) -> String {
    millis.map_or_else(|| "never".to_owned(), |ms| format!("{}.{:02}", ms / 1000, ms % 1000 / 10))
}

/// One move (failover or failback) of one client over all runs.
#[derive(Clone, Debug, Serialize)]
pub struct MoveSummary {
    /// Until any partition was acknowledged by the new cluster.
    pub any_partition: Figure,
    /// Until every partition was.
    pub every_partition: Figure,
    /// Longest silence of a partition for the producer.
    pub silence: Figure,
    /// Longest silence of a partition for the consumer.
    pub consumer_gap: Figure,
    /// Records that the consumer never got, over all runs.
    pub not_consumed: usize,
    /// Acknowledgements by the old cluster after the client's first by the new one, over all runs.
    pub order_violations: usize,
    /// The same after the first by the new one to any client.
    pub order_violations_fleet: usize,
}

impl MoveSummary {
    fn of(windows: &[&WindowReport]) -> Self {
        let figure = |of: fn(&WindowReport) -> Option<u64>| Figure::of(windows.iter().map(|w| of(w)));
        let sum = |of: fn(&WindowReport) -> usize| windows.iter().map(|w| of(w)).sum();
        Self {
            any_partition: figure(|w| w.any_partition),
            every_partition: figure(|w| w.every_partition),
            silence: figure(|w| Some(w.silence)),
            consumer_gap: figure(|w| Some(w.consumer_gap)),
            not_consumed: sum(|w| w.not_consumed),
            order_violations: sum(|w| w.order_violations),
            order_violations_fleet: sum(|w| w.order_violations_fleet),
        }
    }
}

/// One client over all runs.
#[derive(Clone, Debug, Serialize)]
pub struct ClientSummary {
    /// The client's name.
    pub client: String,
    /// Acknowledged records, all runs.
    pub acked: usize,
    /// Acknowledged and in neither log, all runs.
    pub lost: usize,
    /// In both logs, all runs.
    pub duplicated_across: usize,
    /// Superfluous copies within one log, all runs.
    pub duplicated_within: usize,
    /// Consumed more than once, all runs.
    pub consumed_again: usize,
    /// Errors given to the application, all runs.
    pub app_errors: usize,
    /// The move to the secondary.
    pub failover: MoveSummary,
    /// The move back.
    pub failback: MoveSummary,
}

impl ClientSummary {
    fn of(reports: &[&ClientReport]) -> Self {
        let sum = |of: fn(&ClientReport) -> usize| reports.iter().map(|r| of(r)).sum();
        let windows =
            |i: usize| -> Vec<&WindowReport> { reports.iter().filter_map(|r| r.windows.get(i)).collect() };
        Self {
            client: reports.first().map(|r| r.client.clone()).unwrap_or_default(),
            acked: sum(|r| r.acked),
            lost: sum(|r| r.lost),
            duplicated_across: sum(|r| r.duplicated_across),
            duplicated_within: sum(|r| r.duplicated_within),
            consumed_again: sum(|r| r.consumed_again),
            app_errors: sum(|r| r.app_errors),
            failover: MoveSummary::of(&windows(0)),
            failback: MoveSummary::of(&windows(1)),
        }
    }
}

/// All runs of a drill.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The proxy.
    pub via: Via,
    /// The fault.
    pub fault: Fault,
    /// Number of runs.
    pub runs: usize,
    /// Runs in which the secondary acknowledged something before the quorum was lost.
    pub switched_early: usize,
    /// One entry per client.
    pub clients: Vec<ClientSummary>,
}

impl Summary {
    /// Sums up.
    pub fn of(options: &Options, runs: &[RunRecord]) -> Self {
        let clients = runs.first().map_or(0, |r| r.report.clients.len());
        let reports = |client: usize| -> Vec<&ClientReport> {
            runs.iter().filter_map(|r| r.report.clients.get(client)).collect()
        };
        Self {
            via: options.via,
            fault: options.fault,
            runs: runs.len(),
            switched_early: runs.iter().filter(|r| r.report.switched_early > 0).count(),
            clients: (0..clients).map(|c| ClientSummary::of(&reports(c))).collect(),
        }
    }

    /// What no proxy may do, and what Pointsman must do besides.
    pub fn verdict(&self, options: &Options) -> Result<(), String> {
        let mut broken = Vec::new();
        if self.switched_early > 0 {
            broken.push(format!("{} runs switched before the quorum was lost", self.switched_early));
        }
        for client in &self.clients {
            if client.lost > 0 {
                broken.push(format!("{}: {} acknowledged records lost", client.client, client.lost));
            }
            let moves = ClientKind::from_str(&client.client).is_ok_and(|kind| options.via.moves(kind));
            if options.via.is_pointsman() && moves {
                broken.extend(broken_promises(client));
            }
        }
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
    }
}

fn broken_promises(client: &ClientSummary) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, moved) in [("failover", &client.failover), ("failback", &client.failback)] {
        if moved.every_partition.worst.is_none() {
            broken.push(format!("{}: no {name} of every partition", client.client));
        }
        if moved.order_violations_fleet > 0 {
            let count = moved.order_violations_fleet;
            broken
                .push(format!("{}: {count} acknowledgements by the old cluster after {name}", client.client));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Report;

    #[test]
    fn never_is_worse_than_any_time() {
        let figure = Figure::of([Some(700), None, Some(900)]);
        assert_eq!(figure, Figure { p50: Some(900), worst: None });
        assert_eq!(figure.to_string(), "0.90 / never");
        assert_eq!(Figure::of([Some(5), Some(7)]), Figure { p50: Some(5), worst: Some(7) });
        assert_eq!(Figure::of([]), Figure { p50: None, worst: None });
    }

    fn summary_of(change: impl Fn(&mut ClientReport), options: &Options) -> Result<(), String> {
        let window =
            WindowReport { any_partition: Some(300), every_partition: Some(700), ..WindowReport::default() };
        let mut client = ClientReport {
            client: "java".to_owned(),
            windows: vec![window.clone(), window],
            ..ClientReport::default()
        };
        change(&mut client);
        let report = Report { clients: vec![client], switched_early: 0 };
        let run = RunRecord { run: 0, victims: vec![], recovery_ms: 0, phases: vec![], report };
        Summary::of(options, &[run]).verdict(options)
    }

    #[test]
    fn a_broken_promise_fails_the_drill() {
        let pointsman = Options::default();
        assert_eq!(summary_of(|_| (), &pointsman), Ok(()));
        let breaks: [fn(&mut ClientReport); 3] = [
            |client| client.lost = 1,
            |client| client.windows[0].every_partition = None,
            |client| client.windows[1].order_violations_fleet = 1,
        ];
        let passthrough = Options { via: Via::Passthrough, ..Options::default() };
        for broken in breaks {
            assert!(summary_of(broken, &pointsman).is_err());
            assert!(summary_of(broken, &passthrough).is_err());
        }
        let franz: fn(&mut ClientReport) = |client| {
            client.client = "franz".to_owned();
            client.windows[0].every_partition = None;
        };
        assert!(summary_of(franz, &pointsman).is_err());
        assert_eq!(summary_of(franz, &passthrough), Ok(()), "nothing can move it there");
    }

    #[test]
    fn other_proxies_may_never_move_a_client_but_may_lose_nothing() {
        let tcp = Options { via: Via::Tcp, ..Options::default() };
        assert_eq!(summary_of(|client| client.windows[0].every_partition = None, &tcp), Ok(()));
        assert!(summary_of(|client| client.lost = 1, &tcp).is_err());
    }
}

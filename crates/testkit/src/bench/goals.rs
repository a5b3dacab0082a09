//! The goals: ratios of medians of one run, beside what they must be.

use super::cell::Cell;
use super::options::{Side, Subject, Workload};
use super::stats::median;
use super::table::{cost, latency, layout};

type Figure = fn(&Cell) -> Option<f64>;

const PER_GB: Figure = |c| cost(c, |c| c.cpu_s_per_gb);
const PER_REQUEST: Figure = |c| cost(c, |c| c.cpu_us_per_request);
const PER_CORE: Figure = |c| cost(c, |c| c.requests_per_cpu_s);
const PEAK: Figure = |c| cost(c, |c| Some(c.peak_mib));
const P50: Figure = |c| latency(c, |l| l.p50_us);
const P99: Figure = |c| latency(c, |l| l.p99_us);
const HELD: Figure = |c| c.held.as_ref().and_then(|h| h.kib_per_connection);

/// What a figure must be.
#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

struct Goal {
    what: &'static str,
    limit: Limit,
    of: fn(&Run<'_>) -> Option<f64>,
}

const fn goal(what: &'static str, limit: Limit, of: fn(&Run<'_>) -> Option<f64>) -> Goal {
    Goal { what, limit, of }
}

use Limit::{AtLeast, AtMost};
use Subject::{Direct, Envoy, Nginx, Passthrough, Pointsman, Splice};
use Workload::{Busy, Fetch, Half, Idle, Produce, ProduceLarge, Small};

const GOALS: [Goal; 19] = [
    goal("CPU per GB, produce, × best TCP proxy", AtMost(0.75), |r| r.to_best(Pointsman, Produce)),
    goal("CPU per GB, fetch, × best TCP proxy", AtMost(0.75), |r| r.to_best(Pointsman, Fetch)),
    goal("CPU per GB, produce, × splice loop", AtMost(1.25), |r| {
        r.ratio(Pointsman, Produce, PER_GB, Splice)
    }),
    goal("CPU per GB, fetch, × splice loop", AtMost(1.25), |r| r.ratio(Pointsman, Fetch, PER_GB, Splice)),
    goal("p99 at half of the direct load, × direct", AtMost(1.3), |r| r.ratio(Pointsman, Half, P99, Direct)),
    goal("added p50 at a fixed rate, × nginx", AtMost(1.1), |r| r.added(P50)),
    goal("CPU per message at a fixed rate, × nginx", AtMost(1.1), |r| {
        r.ratio(Pointsman, Workload::Latency, PER_REQUEST, Nginx)
    }),
    goal("added p99 at a fixed rate, × nginx", AtMost(2.0), |r| r.added(P99)),
    goal("small requests per core, × Envoy", AtLeast(1.2), |r| r.ratio(Pointsman, Small, PER_CORE, Envoy)),
    goal("peak MiB, 100 busy connections", AtMost(25.0), |r| r.median(Busy, Pointsman, PEAK)),
    // A tenth is what two runs of the same differ by.
    goal("p99 of 99 beside one that does not read, × without", AtMost(1.1), |r| {
        let alone = r.median(Workload::Hundred, Pointsman, P99).filter(|p99| *p99 > 0.0)?;
        Some(r.median(Workload::Slow, Pointsman, P99)? / alone)
    }),
    goal("KiB of an idle connection", AtMost(16.0), |r| r.median(Idle, Pointsman, HELD)),
    goal("passthrough: CPU per GB, produce, × best TCP proxy", AtMost(0.75), |r| {
        r.to_best(Passthrough, Produce)
    }),
    goal("passthrough: CPU per GB, produce-large, × best TCP proxy", AtMost(0.75), |r| {
        r.to_best(Passthrough, ProduceLarge)
    }),
    goal("passthrough: CPU per GB, fetch, × best TCP proxy", AtMost(0.75), |r| {
        r.to_best(Passthrough, Fetch)
    }),
    goal("passthrough: CPU per GB, produce, × splice loop", AtMost(1.1), |r| {
        r.ratio(Passthrough, Produce, PER_GB, Splice)
    }),
    goal("passthrough: CPU per GB, produce-large, × splice loop", AtMost(1.1), |r| {
        r.ratio(Passthrough, ProduceLarge, PER_GB, Splice)
    }),
    goal("passthrough: CPU per GB, fetch, × splice loop", AtMost(1.1), |r| {
        r.ratio(Passthrough, Fetch, PER_GB, Splice)
    }),
    goal("passthrough: KiB of an idle connection", AtMost(8.0), |r| r.median(Idle, Passthrough, HELD)),
];

/// The cells of a run.
struct Run<'a>(&'a [Cell]);

impl Run<'_> {
    /// On the sink, or of the workload that is measured on Kafka only.
    fn median(&self, workload: Workload, subject: Subject, of: Figure) -> Option<f64> {
        let side = if workload == Half { Side::Kafka } else { Side::Sink };
        let cells = self.0.iter().filter(|c| (c.side, c.workload, c.subject) == (side, workload, subject));
        median(&cells.filter_map(of).collect::<Vec<_>>())
    }

    fn ratio(&self, subject: Subject, workload: Workload, of: Figure, base: Subject) -> Option<f64> {
        let base = self.median(workload, base, of).filter(|base| *base > 0.0)?;
        Some(self.median(workload, subject, of)? / base)
    }

    fn to_best(&self, subject: Subject, workload: Workload) -> Option<f64> {
        let proxies = Subject::ALL.iter().copied().filter(|s| s.is_tcp_proxy());
        let best = proxies.filter_map(|s| self.median(workload, s, PER_GB)).min_by(f64::total_cmp)?;
        (best > 0.0).then_some(self.median(workload, subject, PER_GB)? / best)
    }

    /// What Pointsman adds to the latency of a direct connection, over what nginx adds. Nothing where nginx adds nothing.
    fn added(&self, of: Figure) -> Option<f64> {
        let over = |subject| {
            let through = self.median(Workload::Latency, subject, of)?;
            Some(through - self.median(Workload::Latency, Direct, of)?)
        };
        let base = over(Nginx).filter(|base| *base > 0.0)?;
        Some(over(Pointsman)? / base)
    }
}

/// The table of the goals of which the run says something; empty if of none.
pub(super) fn of(cells: &[Cell]) -> String {
    let run = Run(cells);
    let rows: Vec<Vec<String>> = GOALS.iter().filter_map(|goal| Some(row(goal, (goal.of)(&run)?))).collect();
    if rows.is_empty() {
        return String::new();
    }
    let heading = ["", "is", "goal", "reached"].map(str::to_owned).to_vec();
    format!("goals\n{}\n", layout(&[vec![heading], rows].concat()))
}

fn row(goal: &Goal, value: f64) -> Vec<String> {
    let (limit, reached) = match goal.limit {
        AtMost(limit) => (format!("≤ {limit}"), value <= limit),
        AtLeast(limit) => (format!("≥ {limit}"), value >= limit),
    };
    let reached = if reached { "yes" } else { "no" };
    vec![goal.what.to_owned(), format!("{value:.2}"), limit, reached.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::super::load::Measured;
    use super::super::proc::Usage;
    use super::*;

    fn cell(workload: Workload, subject: Subject, measured: &Measured) -> Cell {
        Cell::new(0, Side::Sink, workload, subject, measured)
    }

    fn cost_of(subject: Subject, cpu: f64) -> Cell {
        let usage = Some(Usage { cpu, ..Usage::default() });
        cell(Produce, subject, &Measured { seconds: 1.0, bytes: 1_000_000_000, usage, ..Measured::default() })
    }

    fn late(subject: Subject, us: u64) -> Cell {
        let latencies = vec![us * 1000; 100];
        cell(Workload::Latency, subject, &Measured { seconds: 1.0, latencies, ..Measured::default() })
    }

    fn line(text: &str, what: &str) -> Vec<String> {
        let found =
            text.lines().find(|l| l.contains(what)).unwrap_or_else(|| panic!("no {what} in:\n{text}"));
        found.split_whitespace().rev().take(4).map(str::to_owned).collect()
    }

    #[test]
    fn a_goal_is_reached_at_its_limit_and_not_beyond() {
        let cells =
            |cpu| [cost_of(Pointsman, cpu), cost_of(Nginx, 0.4), cost_of(Envoy, 0.8), cost_of(Splice, 0.1)];
        let text = of(&cells(0.3));
        assert_eq!(line(&text, "produce, × best"), ["yes", "0.75", "≤", "0.75"]);
        assert_eq!(line(&text, "produce, × splice"), ["no", "1.25", "≤", "3.00"]);
        assert_eq!(line(&of(&cells(0.32)), "produce, × best"), ["no", "0.75", "≤", "0.80"]);
        assert!(!text.contains("fetch"), "{text}");
    }

    #[test]
    fn passthrough_has_goals_of_its_own() {
        let cells = [
            cost_of(Pointsman, 0.3),
            cost_of(Passthrough, 0.22),
            cost_of(Nginx, 0.4),
            cost_of(Envoy, 0.8),
            cost_of(Splice, 0.2),
        ];
        let text = of(&cells);
        assert_eq!(line(&text, "passthrough: CPU per GB, produce, × best"), ["yes", "0.75", "≤", "0.55"]);
        assert_eq!(line(&text, "passthrough: CPU per GB, produce, × splice"), ["yes", "1.1", "≤", "1.10"]);
        assert_eq!(line(&text, "  CPU per GB, produce, × best"), ["yes", "0.75", "≤", "0.75"]);
        let slower = of(&[cost_of(Passthrough, 0.23), cost_of(Splice, 0.2)]);
        assert_eq!(line(&slower, "passthrough: CPU per GB, produce, × splice"), ["no", "1.1", "≤", "1.15"]);
    }

    #[test]
    fn latency_counts_as_what_is_added_to_the_direct_one() {
        let cells = [late(Direct, 100), late(Nginx, 150), late(Pointsman, 160)];
        let text = of(&cells);
        assert_eq!(line(&text, "added p50"), ["no", "1.1", "≤", "1.20"]);
        assert_eq!(line(&text, "added p99"), ["yes", "2", "≤", "1.20"]);
        assert_eq!(of(&[late(Direct, 100), late(Nginx, 90), late(Pointsman, 160)]), "", "nginx adds nothing");
    }

    #[test]
    fn without_figures_there_is_no_table() {
        assert_eq!(of(&[]), "");
    }
}

//! The table: for each side and workload a line per subject, medians over the rounds with their spread, and ratios.

use std::fmt::Write;

use super::cell::{Cell, Cost, Latency};
use super::options::{Side, Subject, Workload};
use super::stats::{interval, median};

/// A column: its heading, its decimals, and where its value is.
struct Column {
    name: &'static str,
    decimals: usize,
    of: fn(&Cell) -> Option<f64>,
    /// Whether lowest and highest are shown.
    spread: bool,
}

const fn column(name: &'static str, decimals: usize, of: fn(&Cell) -> Option<f64>) -> Column {
    Column { name, decimals, of, spread: false }
}

const fn with_spread(name: &'static str, decimals: usize, of: fn(&Cell) -> Option<f64>) -> Column {
    Column { name, decimals, of, spread: true }
}

pub(super) fn cost(cell: &Cell, of: fn(&Cost) -> Option<f64>) -> Option<f64> {
    cell.cost.as_ref().and_then(of)
}

pub(super) fn latency(cell: &Cell, of: fn(&Latency) -> f64) -> Option<f64> {
    cell.latency.as_ref().map(of)
}

const PEAK: Column = column("peak MiB", 1, |c| cost(c, |c| Some(c.peak_mib)));
const P50: Column = with_spread("p50 µs", 0, |c| latency(c, |l| l.p50_us));
const P99: Column = with_spread("p99 µs", 0, |c| latency(c, |l| l.p99_us));
const P999: Column = column("p99.9 µs", 0, |c| latency(c, |l| l.p999_us));
const PER_GB: [Column; 6] = [
    with_spread("MB/s", 0, |c| Some(c.mb_per_s)),
    with_spread("CPU s/GB", 3, |c| cost(c, |c| c.cpu_s_per_gb)),
    column("user", 3, |c| cost(c, |c| c.user_s_per_gb)),
    column("system", 3, |c| cost(c, |c| c.system_s_per_gb)),
    column("switches/GB", 0, |c| cost(c, |c| c.switches_per_gb)),
    PEAK,
];
const PER_REQUEST: [Column; 7] = [
    with_spread("requests/s", 0, |c| Some(c.requests_per_s)),
    with_spread("CPU µs/request", 2, |c| cost(c, |c| c.cpu_us_per_request)),
    column("user", 2, |c| cost(c, |c| c.user_us_per_request)),
    column("system", 2, |c| cost(c, |c| c.system_us_per_request)),
    column("requests/CPU s", 0, |c| cost(c, |c| c.requests_per_cpu_s)),
    column("switches/request", 2, |c| cost(c, |c| c.switches_per_request)),
    PEAK,
];
const AT_A_RATE: [Column; 6] = [
    P50,
    P99,
    P999,
    with_spread("CPU µs/request", 1, |c| cost(c, |c| c.cpu_us_per_request)),
    column("switches/request", 2, |c| cost(c, |c| c.switches_per_request)),
    PEAK,
];
const HELD: [Column; 2] =
    [with_spread("KiB/connection", 1, |c| c.held.as_ref().and_then(|h| h.kib_per_connection)), PEAK];

fn columns(workload: Workload) -> &'static [Column] {
    match workload {
        Workload::Produce
        | Workload::ProduceLarge
        | Workload::Fetch
        | Workload::FetchSmall
        | Workload::Busy => &PER_GB,
        Workload::Small => &PER_REQUEST,
        Workload::Latency | Workload::Many | Workload::Hundred | Workload::Slow | Workload::Half => {
            &AT_A_RATE
        }
        Workload::Idle => &HELD,
    }
}

/// What a workload costs: the figure that is compared, less being better.
fn price(workload: Workload) -> fn(&Cell) -> Option<f64> {
    match workload {
        Workload::Produce
        | Workload::ProduceLarge
        | Workload::Fetch
        | Workload::FetchSmall
        | Workload::Busy => |c| cost(c, |c| c.cpu_s_per_gb),
        Workload::Small
        | Workload::Latency
        | Workload::Many
        | Workload::Hundred
        | Workload::Slow
        | Workload::Half => |c| cost(c, |c| c.cpu_us_per_request),
        Workload::Idle => |c| c.held.as_ref().and_then(|h| h.kib_per_connection),
    }
}

/// All tables of a run.
pub(super) fn of(cells: &[Cell]) -> String {
    let mut text = String::new();
    for side in Side::ALL {
        for workload in Workload::ALL {
            let part: Vec<&Cell> =
                cells.iter().filter(|c| c.side == *side && c.workload == *workload).collect();
            if !part.is_empty() {
                let _ = writeln!(text, "{} · {}\n{}", workload.name(), side.name(), one(*workload, &part));
            }
        }
    }
    text
}

fn one(workload: Workload, cells: &[&Cell]) -> String {
    let columns = columns(workload);
    let price = price(workload);
    let values = |subject: Subject, of: fn(&Cell) -> Option<f64>| -> Vec<f64> {
        cells.iter().filter(|c| c.subject == subject).filter_map(|c| of(c)).collect()
    };
    let price_of = |subject| median(&values(subject, price));
    let best =
        Subject::ALL.iter().filter(|s| s.is_tcp_proxy()).filter_map(|s| price_of(*s)).min_by(f64::total_cmp);
    let splice = price_of(Subject::Splice);
    let mut rows = vec![heading(columns)];
    for subject in Subject::ALL.iter().copied().filter(|s| cells.iter().any(|c| c.subject == *s)) {
        let mut row = vec![subject.name().to_owned()];
        row.extend(columns.iter().map(|column| shown(&values(subject, column.of), column)));
        row.extend([best, splice].map(|base| ratio(price_of(subject), base)));
        let first = |s| median(&values(s, columns[0].of));
        row.push(ratio(first(subject), first(Subject::Direct)));
        rows.push(row);
    }
    layout(&rows)
}

fn heading(columns: &[Column]) -> Vec<String> {
    let direct = format!("{} × direct", columns[0].name);
    let names = columns.iter().map(|c| c.name).chain(["cost × best TCP", "cost × splice", &direct]);
    std::iter::once("").chain(names).map(str::to_owned).collect()
}

fn shown(values: &[f64], column: &Column) -> String {
    let Some(middle) = median(values) else { return "-".to_owned() };
    let decimals = column.decimals;
    match interval(values).filter(|_| column.spread && values.len() > 1) {
        Some((low, high)) => format!("{middle:.decimals$} [{low:.decimals$}–{high:.decimals$}]"),
        None => format!("{middle:.decimals$}"),
    }
}

fn ratio(value: Option<f64>, base: Option<f64>) -> String {
    let both = value.zip(base).filter(|(_, base)| *base > 0.0);
    both.map_or_else(|| "-".to_owned(), |(value, base)| format!("{:.2}", value / base))
}

/// The first column to the left, the others to the right.
pub(super) fn layout(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (at, cell) in row.iter().enumerate() {
            let width = widths[at];
            let _ = if at == 0 { write!(line, " {cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::load::Measured;
    use super::super::proc::Usage;
    use super::*;

    fn cell(round: usize, subject: Subject, cpu: f64) -> Cell {
        let usage = Usage { cpu, system: cpu, ..Usage::default() };
        let usage = (subject != Subject::Direct).then_some(usage);
        let measured =
            Measured { seconds: 1.0, bytes: 1_000_000_000, requests: 10, usage, ..Measured::default() };
        Cell::new(round, Side::Sink, Workload::Produce, subject, &measured)
    }

    #[test]
    fn ratios_are_to_the_best_proxy_and_to_the_floor() {
        let mut cells = vec![cell(0, Subject::Direct, 0.0)];
        for (round, more) in [0.0, 0.1, 0.2].into_iter().enumerate() {
            cells.push(cell(round, Subject::Splice, 0.2 + more));
            cells.push(cell(round, Subject::Pointsman, 0.8 + more));
            cells.push(cell(round, Subject::Nginx, 0.5 + more));
            cells.push(cell(round, Subject::Envoy, 0.6 + more));
        }
        let text = of(&cells);
        let line = |name: &str| text.lines().find(|l| l.trim_start().starts_with(name)).unwrap().to_owned();
        assert!(text.starts_with("produce · sink\n"), "{text}");
        assert!(line("pointsman").contains("0.900 [0.800–1.000]"), "{text}");
        assert!(line("pointsman").ends_with("1.50           3.00           1.00"), "{text}");
        assert!(line("nginx").contains("1.00           2.00"), "{text}");
        assert!(line("direct").contains("-"), "{text}");
    }

    #[test]
    fn without_others_there_is_nothing_to_compare() {
        let text = of(&[cell(0, Subject::Pointsman, 0.5)]);
        assert!(text.contains("0.500") && text.trim_end().ends_with('-'), "{text}");
    }
}

//! One measurement, as it is written to the results: one JSON object per line.

use serde::Serialize;

use super::load::Measured;
use super::options::{Side, Subject, Workload};
use super::stats::percentile;

const GB: f64 = 1e9;
const MB: f64 = 1e6;

/// One subject under one workload in one round.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cell {
    pub(super) round: usize,
    pub(super) side: Side,
    pub(super) workload: Workload,
    pub(super) subject: Subject,
    pub(super) seconds: f64,
    pub(super) mb_per_s: f64,
    pub(super) requests_per_s: f64,
    /// What the proxy used; nothing for a direct connection.
    #[serde(flatten)]
    pub(super) cost: Option<Cost>,
    #[serde(flatten)]
    pub(super) latency: Option<Latency>,
    #[serde(flatten)]
    pub(super) held: Option<Held>,
}

/// What the proxy used. Figures per GB or per request are absent where nothing was moved.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cost {
    pub(super) cpu_user_s: f64,
    pub(super) cpu_system_s: f64,
    pub(super) user_s_per_gb: Option<f64>,
    pub(super) system_s_per_gb: Option<f64>,
    pub(super) cpu_s_per_gb: Option<f64>,
    pub(super) user_us_per_request: Option<f64>,
    pub(super) system_us_per_request: Option<f64>,
    pub(super) cpu_us_per_request: Option<f64>,
    /// Requests per second of the proxy's processor time.
    pub(super) requests_per_cpu_s: Option<f64>,
    pub(super) switches_per_gb: Option<f64>,
    pub(super) switches_per_request: Option<f64>,
    pub(super) peak_mib: f64,
}

/// From the moment when a request was due to its answer.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Latency {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
}

/// Connections that do nothing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Held {
    pub(super) connections: usize,
    pub(super) kib_per_connection: Option<f64>,
}

impl Cell {
    pub(super) fn new(
        round: usize,
        side: Side,
        workload: Workload,
        subject: Subject,
        measured: &Measured,
    ) -> Self {
        let per_second = |n: f64| per(n, measured.seconds).unwrap_or(0.0);
        Self {
            round,
            side,
            workload,
            subject,
            seconds: measured.seconds,
            mb_per_s: per_second(float(measured.bytes) / MB),
            requests_per_s: per_second(float(measured.requests)),
            cost: cost(measured),
            latency: latency(&measured.latencies),
            held: measured.held.map(|(connections, each)| Held {
                connections,
                kib_per_connection: measured.usage.map(|_| each),
            }),
        }
    }
}

fn cost(measured: &Measured) -> Option<Cost> {
    let usage = measured.usage?;
    let (gb, requests) = (float(measured.bytes) / GB, float(measured.requests));
    let (cpu, switches) = (usage.cpu, float(usage.switches));
    let micros = |seconds: f64| per(seconds * 1e6, requests);
    Some(Cost {
        cpu_user_s: usage.user,
        cpu_system_s: usage.system,
        user_s_per_gb: per(usage.user, gb),
        system_s_per_gb: per(usage.system, gb),
        cpu_s_per_gb: per(cpu, gb),
        user_us_per_request: micros(usage.user),
        system_us_per_request: micros(usage.system),
        cpu_us_per_request: micros(cpu),
        requests_per_cpu_s: per(requests, cpu),
        switches_per_gb: per(switches, gb),
        switches_per_request: per(switches, requests),
        peak_mib: float(usage.peak_kib) / 1024.0,
    })
}

fn latency(sorted: &[u64]) -> Option<Latency> {
    let micros = |per_mille| percentile(sorted, per_mille).map(|ns| float(ns) / 1000.0);
    Some(Latency { p50_us: micros(500)?, p99_us: micros(990)?, p999_us: micros(999)? })
}

fn per(amount: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| amount / of)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark stay far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::proc::Usage;
    use super::*;

    #[test]
    fn figures_follow_from_what_was_counted() {
        let usage = Usage { cpu: 1.0, user: 0.25, system: 0.75, switches: 500, rss_kib: 0, peak_kib: 2048 };
        let measured = Measured {
            seconds: 2.0,
            bytes: 2_000_000_000,
            requests: 1000,
            usage: Some(usage),
            latencies: (1..=1000).map(|n| n * 1000).collect(),
            held: None,
        };
        let cell = Cell::new(0, Side::Sink, Workload::Produce, Subject::Nginx, &measured);
        let cost = cell.cost.clone().unwrap();
        assert_eq!((cell.mb_per_s, cell.requests_per_s), (1000.0, 500.0));
        assert_eq!((cost.cpu_s_per_gb, cost.system_s_per_gb), (Some(0.5), Some(0.375)));
        assert_eq!((cost.cpu_us_per_request, cost.requests_per_cpu_s), (Some(1000.0), Some(1000.0)));
        assert_eq!((cost.switches_per_gb, cost.peak_mib), (Some(250.0), 2.0));
        assert_eq!(cell.latency.as_ref().map(|l| (l.p50_us, l.p999_us)), Some((500.0, 999.0)));
        let line = serde_json::to_string(&cell).unwrap();
        assert!(line.contains("\"workload\":\"produce\"") && line.contains("\"cpu_s_per_gb\":0.5"), "{line}");
    }

    #[test]
    fn nothing_moved_is_no_division_by_nothing() {
        let measured = Measured { usage: Some(Usage::default()), ..Measured::default() };
        let cell = Cell::new(0, Side::Sink, Workload::Idle, Subject::Copy, &measured);
        assert_eq!((cell.mb_per_s, cell.cost.unwrap().cpu_s_per_gb), (0.0, None));
    }
}

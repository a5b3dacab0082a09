//! Health checks, outlier detection and time-outs of an Envoy cluster, as far as Pointsman has a word for them.

use super::source::{Fault, Part};
use pointsman_core::config::{Address, duration_text};
use std::{fmt, ops::RangeInclusive, time::Duration};

/// The rules of one Envoy cluster. Values are in the ranges of Pointsman's keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rules {
    /// `probe`, as it is written.
    pub(super) probe: Option<String>,
    /// Other keys of `health` with their values.
    pub(super) health: Vec<(&'static str, String)>,
    pub(super) connect_timeout: Option<String>,
    /// Keys of `outliers` with their values.
    pub(super) outliers: Vec<(&'static str, String)>,
}

const MS_10: Duration = Duration::from_millis(10);
const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Where the check of an endpoint goes.
pub(super) struct Endpoint {
    pub(super) address: Address,
    /// Another host that is asked about this one, if there is one: an aggregator.
    pub(super) asks: Option<Address>,
    /// The port that is asked.
    pub(super) port: u16,
}

pub(super) fn read(
    cluster: &Part<'_>,
    endpoints: &[Endpoint],
    notes: &mut Vec<String>,
) -> Result<Rules, Fault> {
    let mut rules = Rules::default();
    if let Some(connect) = cluster.get("connect_timeout") {
        rules.connect_timeout =
            Some(duration_text(within(connect.duration()?, MS_10..=MINUTE, &connect, notes)));
    }
    let checks = cluster.peek("health_checks").map(|checks| checks.items()).unwrap_or_default();
    if let Some(check) = checks.first() {
        cluster.get("health_checks");
        read_check(check, endpoints, &mut rules, notes)?;
    }
    read_outliers(cluster, &mut rules, notes)?;
    if let Some(close) =
        cluster.peek("close_connections_on_host_health_failure").filter(|close| close.is("true"))
    {
        close.read();
    }
    let panic =
        cluster.peek("common_lb_config").and_then(|c| c.peek("healthy_panic_threshold")?.peek("value"));
    if panic.is_some_and(|value| value.is("0") || value.is("0.0")) {
        cluster.at(&["common_lb_config", "healthy_panic_threshold", "value"]);
    }
    Ok(rules)
}

fn read_check(
    check: &Part<'_>,
    endpoints: &[Endpoint],
    rules: &mut Rules,
    notes: &mut Vec<String>,
) -> Result<(), Fault> {
    rules.probe = Some(read_probe(check, endpoints, notes)?);
    let mut put =
        |key, value: Option<Duration>| rules.health.extend(value.map(|value| (key, duration_text(value))));
    let mut span = |key: &str, range: RangeInclusive<Duration>| match check.get(key) {
        Some(part) => part.duration().map(|value| Some(within(value, range, &part, notes))),
        None => Ok(None),
    };
    let interval = span("interval", MS_10..=HOUR)?;
    let most = interval.unwrap_or(Duration::from_millis(500));
    put("interval", interval);
    // Envoy has one for each edge; the shorter one is what decides how soon a change is seen.
    let edges =
        [span("unhealthy_edge_interval", MS_10..=most)?, span("healthy_edge_interval", MS_10..=most)?];
    put("edge_interval", edges.into_iter().flatten().min());
    put("jitter", span("interval_jitter", Duration::ZERO..=most)?);
    put("timeout", span("timeout", MS_10..=MINUTE)?);
    for (key, from) in [("unhealthy_after", "unhealthy_threshold"), ("healthy_after", "healthy_threshold")] {
        if let Some(part) = check.get(from) {
            rules.health.push((key, within(part.number()?, 1..=100, &part, notes).to_string()));
        }
    }
    Ok(())
}

fn read_probe(check: &Part<'_>, endpoints: &[Endpoint], notes: &mut Vec<String>) -> Result<String, Fault> {
    let Some(http) = check.get("http_health_check") else {
        if let Some(tcp) = check.peek("tcp_health_check") {
            tcp.read();
        }
        return Ok("tcp".into());
    };
    let path = http.need("path")?.text()?;
    let status = read_status(&http)?.unwrap_or("200".into());
    if let Some((of, asked)) = endpoints.iter().find_map(|e| Some((&e.address, e.asks.as_ref()?))) {
        notes.push(format!(
            "{}: it asks {asked} about {of}, not the broker itself. Pointsman asks each broker and counts the quorum by \
             itself: that service is not needed any more. `probe: tcp` only sees whether the Kafka port is open. Where \
             brokers run a schema registry, `probe: {{ http: {{ port: 8081, path: /schemas/types }} }}` also finds \
             recovery mode",
            http.path
        ));
        return Ok("tcp".into());
    }
    let port = endpoints.first().map_or(80, |e| e.port);
    if let Some(other) = endpoints.iter().find(|e| e.port != port) {
        notes.push(format!(
            "{}: it asks {} on port {}, others on port {port}; Pointsman has one port for all brokers of a cluster",
            http.path, other.address, other.port
        ));
    }
    Ok(format!("{{ http: {{ port: {port}, path: {}, status: {status} }} }}", quoted(path)))
}

/// One range of statuses, whose end Envoy excludes.
fn read_status(http: &Part<'_>) -> Result<Option<String>, Fault> {
    let ranges = http.peek("expected_statuses").map(|s| s.items()).unwrap_or_default();
    let [range] = &ranges[..] else { return Ok(None) };
    http.get("expected_statuses");
    let (start, end) = (range.need("start")?.number()?, range.need("end")?);
    let last = end.number()?.saturating_sub(1);
    if start > last || !(100..=599).contains(&start) || last > 599 {
        return Err(end.fault("expected HTTP statuses from 100 to 600, the end after the start"));
    }
    Ok(Some(if start == last { start.to_string() } else { format!("{start}-{last}") }))
}

fn read_outliers(cluster: &Part<'_>, rules: &mut Rules, notes: &mut Vec<String>) -> Result<(), Fault> {
    let Some(outliers) = cluster.get("outlier_detection") else {
        // Envoy ejects nothing unless it is told to.
        rules.outliers.push(("max_ejected", "0".into()));
        return Ok(());
    };
    let kinds = ["consecutive_local_origin_failure", "consecutive_5xx", "consecutive_gateway_failure"];
    if let Some(failures) = kinds.iter().find_map(|kind| outliers.get(kind)) {
        rules
            .outliers
            .push(("failures", within(failures.number()?, 1..=1_000, &failures, notes).to_string()));
    }
    if let Some(time) = outliers.get("base_ejection_time") {
        rules
            .outliers
            .push(("eject_for", duration_text(within(time.duration()?, SECOND..=HOUR, &time, notes))));
    }
    if let Some(percent) = outliers.get("max_ejection_percent") {
        rules.outliers.push(("max_ejected", within(percent.number()?, 0..=100, &percent, notes).to_string()));
    }
    Ok(())
}

/// The nearest value in a range, and a note where it is another one.
pub(super) fn within<T: Copy + Ord + fmt::Debug>(
    value: T,
    range: RangeInclusive<T>,
    part: &Part<'_>,
    notes: &mut Vec<String>,
) -> T {
    let nearest = value.clamp(*range.start(), *range.end());
    if nearest != value {
        notes.push(format!(
            "{} (line {}): {value:?} is out of range; {nearest:?} is the nearest",
            part.path, part.line
        ));
    }
    nearest
}

/// Text that is safe as one YAML scalar.
pub(super) fn quoted(text: &str) -> String {
    let plain =
        text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c)) && text.starts_with('/');
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

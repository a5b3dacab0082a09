//! `pointsman status`: the answer of `GET /v1/status` as a table of 80 columns. `top` uses its words too.

mod paint;

use crate::{args::StatusArgs, http};
use paint::{Colour, Line, Table};
use serde_json::Value;
use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::{Duration, SystemTime},
};

const PATH: &str = "/v1/status";
const AGAIN: Duration = Duration::from_secs(1);

/// Shows the status once, or every second until the reader goes away.
pub(crate) fn run(args: &StatusArgs) -> ExitCode {
    let mut out = io::stdout();
    let terminal = out.is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    loop {
        let answer = http::get(&args.admin, PATH).and_then(|body| page(&body, args.json, colour));
        if !args.watch {
            return show(&mut out, answer);
        }
        let text = answer.unwrap_or_else(|error| format!("{error}\n"));
        let clear = if terminal && !args.json { "\x1b[H\x1b[2J" } else { "" };
        if write!(out, "{clear}{text}").and_then(|()| out.flush()).is_err() {
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(AGAIN);
    }
}

fn show(out: &mut impl Write, answer: Result<String, String>) -> ExitCode {
    match answer {
        Ok(text) => match write!(out, "{text}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("pointsman: {error}");
            ExitCode::FAILURE
        }
    }
}

fn page(body: &str, json: bool, colour: bool) -> Result<String, String> {
    if json {
        return Ok(format!("{body}\n"));
    }
    let status: Value =
        serde_json::from_str(body).map_err(|error| format!("the status is no JSON: {error}"))?;
    Ok(render(&status, now_ms()).text(colour))
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(0)
}

/// The table, as of `now_ms` (Unix time).
fn render(status: &Value, now_ms: u64) -> Table {
    let mut table = Table::default();
    let mut head = Line::new("pointsman ", Colour::Bold);
    head.add(text(&status["version"]), Colour::Bold);
    let uptime = duration(status["uptime_s"].as_f64().unwrap_or(0.0));
    head.add(format!("   generation {}   up {uptime}", number(&status["generation"])), Colour::Plain);
    table.push(head);
    for cluster in list(&status["clusters"]) {
        table.blank();
        render_cluster(cluster, &mut table);
    }
    for virtual_cluster in list(&status["virtual_clusters"]) {
        table.blank();
        render_virtual(virtual_cluster, now_ms, &mut table);
    }
    table
}

fn render_cluster(cluster: &Value, table: &mut Table) {
    let quorum = cluster["quorum"].as_bool() == Some(true);
    let mut line = Line::new(format!("cluster {}   ", text(&cluster["name"])), Colour::Bold);
    let (word, colour) = if quorum { ("has quorum", Colour::Good) } else { ("no quorum", Colour::Bad) };
    line.add(word, colour);
    let of = list(&cluster["brokers"]).len();
    let counts = format!(
        "   {} of {of} brokers healthy, {} needed   {} topics",
        number(&cluster["healthy"]),
        number(&cluster["needed"]),
        number(&cluster["topics"])
    );
    line.add(counts, Colour::Plain);
    table.push(line);
    let widest = list(&cluster["brokers"]).iter().map(|b| text(&b["address"]).chars().count()).max();
    for broker in list(&cluster["brokers"]) {
        render_broker(broker, widest.unwrap_or(0).min(40), table);
    }
    for note in list(&cluster["notes"]) {
        table.push(Line::new(format!("  note: {}", text(note)), Colour::Warn));
    }
}

fn render_broker(broker: &Value, width: usize, table: &mut Table) {
    let node = broker["node"].as_i64().map_or("-".into(), |node| node.to_string());
    let mut line = Line::new(format!("  {node:>4}  {:width$}  ", text(&broker["address"])), Colour::Plain);
    let state = text(&broker["state"]);
    let colour = match state {
        "healthy" => Colour::Good,
        "unhealthy" => Colour::Bad,
        _ => Colour::Warn,
    };
    line.add(format!("{state:9}  "), colour);
    let probe = broker["probe_ms"].as_f64().map_or(String::new(), |ms| format!("{ms:.1} ms"));
    let detail = if state == "healthy" { probe } else { text(&broker["reason"]).to_owned() };
    line.add(detail, Colour::Plain);
    table.push(line);
}

fn render_virtual(virtual_cluster: &Value, now_ms: u64, table: &mut Table) {
    let mut line = Line::new(format!("virtual cluster {}   ", text(&virtual_cluster["name"])), Colour::Bold);
    let active = virtual_cluster["active"].as_str();
    let alone = virtual_cluster["scope"].as_str() == Some("broker");
    match active {
        None if alone => line.add("each slot alone", Colour::Good),
        Some(name) => line.add(format!("served by {name}"), Colour::Good),
        None => line.add("no cluster available", Colour::Bad),
    }
    let connections = number(&virtual_cluster["connections"]);
    if virtual_cluster["pinned"].as_bool() == Some(true) {
        line.add(" by command", Colour::Warn);
    }
    if let Some(cluster) = virtual_cluster["draining"]["cluster"].as_str() {
        line.add(format!(", consumers still on {cluster}"), Colour::Warn);
    }
    line.add(format!("   {}   {connections} connections", text(&virtual_cluster["listen"])), Colour::Plain);
    table.push(line);
    let chain: Vec<&str> = list(&virtual_cluster["chain"]).iter().map(text).collect();
    table.push(Line::new(format!("  chain: {}", chain.join(" → ")), Colour::Plain));
    for slot in list(&virtual_cluster["slots"]) {
        let broker = slot["broker"].as_str().unwrap_or("no broker");
        let line = format!("  slot {:>3}  {}  {broker}", number(&slot["slot"]), text(&slot["advertised"]));
        let mut line = Line::new(line, Colour::Plain);
        if alone {
            line.add(format!("  {}", slot["cluster"].as_str().unwrap_or("no cluster")), Colour::Plain);
        }
        if let Some(ejected) = slot["ejected"].as_str() {
            line.add(format!("  (connections to {ejected} fail)"), Colour::Warn);
        }
        table.push(line);
    }
    for switch in list(&virtual_cluster["switches"]).iter().take(3) {
        table.push(Line::new(switch_words(switch, now_ms), Colour::Plain));
    }
    for left in list(&virtual_cluster["stranded"]) {
        if number(&left["records"]) > 0 {
            table.push(Line::new(stranded_words(left), Colour::Warn));
        }
    }
    for standby in list(&virtual_cluster["topic_differences"]) {
        if number(&standby["total"]) > 0 {
            table.push(Line::new(difference_words(standby), Colour::Warn));
        }
    }
}

fn switch_words(switch: &Value, now_ms: u64) -> String {
    let cluster = |key: &str| switch[key].as_str().unwrap_or("none").to_owned();
    let ago_ms = now_ms.saturating_sub(number(&switch["at_ms"]));
    let ago = duration(Duration::from_millis(ago_ms).as_secs_f64());
    let decided = switch["decided_in_ms"].as_f64().map_or(String::new(), |ms| format!(" in {ms:.0} ms"));
    format!("  {ago} ago: {} → {}{decided}: {}", cluster("from"), cluster("to"), text(&switch["reason"]))
}

pub(crate) fn stranded_words(left: &Value) -> String {
    let topic =
        |t: &Value| format!("{} ({}, {})", text(&t["topic"]), number(&t["records"]), text(&t["group"]));
    let topics: Vec<String> = list(&left["topics"]).iter().take(3).map(topic).collect();
    let more = if number(&left["topics_total"]) > 3 { ", …" } else { "" };
    let (cluster, records) = (text(&left["cluster"]), number(&left["records"]));
    format!("  about {records} records unread on {cluster}: {}{more}", topics.join(", "))
}

pub(crate) fn difference_words(standby: &Value) -> String {
    let topics: Vec<String> = list(&standby["topics"]).iter().take(3).map(topic_words).collect();
    let total = number(&standby["total"]);
    let more = if total > 3 { ", …" } else { "" };
    let word = if total == 1 { "topic" } else { "topics" };
    format!("  {} differs in {total} {word}: {}{more}", text(&standby["cluster"]), topics.join(", "))
}

fn topic_words(difference: &Value) -> String {
    let topic = text(&difference["topic"]);
    match difference["found"].as_u64() {
        Some(found) => format!("{topic} (partitions: {found}, not {})", number(&difference["expected"])),
        None => format!("{topic} (missing)"),
    }
}

/// `12s`, `3m 20s`, `5h 12m`, `3d 4h`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match whole {
        0..60 => format!("{whole}s"),
        60..3_600 => format!("{minutes}m {}s", whole % 60),
        3_600..86_400 => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;

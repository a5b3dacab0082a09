//! Virtual clusters: who serves each, how much passes, and where each slot leads.

use super::{list::Section, name, note};
use crate::{
    screen::{
        line::Pieces,
        theme::Theme,
        words::{self, bytes_per_second, fitting, middle},
    },
    status::{difference_words, list, number, stranded_words, text},
    top::model::{Model, Rates},
};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use serde_json::Value;

/// A line for each virtual cluster that has room; the last one says how many have none.
pub(super) fn summaries(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let all = list(&model.status["virtual_clusters"]);
    let room = usize::from(area.height);
    let shown = if all.len() > room { room.saturating_sub(1) } else { all.len() };
    let lines = all[..shown].iter().map(|v| summary(v, model, theme, usize::from(area.width)));
    let more = (shown < all.len()).then(|| {
        let words = format!(" and {} more virtual clusters: see the slots", all.len() - shown);
        Pieces::new(words, theme.quiet())
    });
    lines.chain(more).zip(area.rows()).for_each(|(line, row)| line.put(row, buffer));
}

fn summary(v: &Value, model: &Model, theme: Theme, width: usize) -> Pieces {
    let (served, style) = served(v, theme);
    let label = middle(name(&v["name"]), width / 4);
    let served = middle(&served, width / 2);
    let line = Pieces::new(format!(" {label}"), theme.bold()).and(format!("  {served}"), style);
    let room = width.saturating_sub(line.width() + 3);
    let traffic = fitting(room, &traffic(v, model.rates.get(text(&v["name"]))));
    line.and(format!("   {traffic}"), theme.plain())
}

fn served(v: &Value, theme: Theme) -> (String, Style) {
    let by = if v["pinned"].as_bool() == Some(true) { ", by command" } else { "" };
    match v["active"].as_str() {
        Some(active) => (format!("● {active} serves{by}"), theme.good()),
        None if v["scope"] == "broker" => ("● each slot alone".into(), theme.good()),
        None => ("✗ no cluster serves".into(), theme.bad()),
    }
}

/// Connections and rates, the longest words first.
fn traffic(v: &Value, rates: Option<&Rates>) -> Vec<String> {
    let connections = words::number(number(&v["connections"]));
    let Some(rates) = rates else {
        return vec![format!("{connections} connections"), format!("{connections} conns")];
    };
    let (received, sent) = (bytes_per_second(rates.received), bytes_per_second(rates.sent));
    let accepted = per_second(rates.accepted);
    // Behind passthrough there are bytes, and nobody knows of requests.
    let requests = if v["mode"] == "passthrough" { None } else { Some(per_second(rates.requests)) };
    let long = requests.as_ref().map(|rate| format!("   {rate} requests/s")).unwrap_or_default();
    let short = requests.as_ref().map(|rate| format!("  {rate} req/s")).unwrap_or_default();
    vec![
        format!("{connections} connections (+{accepted}/s)   in {received}   out {sent}{long}"),
        format!("{connections} connections   in {received}   out {sent}{long}"),
        format!("{connections} conns  in {received}  out {sent}{short}"),
        format!("{connections} conns  in {received}  out {sent}"),
        format!("{connections} conns"),
    ]
}

fn per_second(rate: f64) -> String {
    if rate > 0.0 && rate < 9.95 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

pub(super) fn sections(model: &Model, theme: Theme, width: usize) -> Vec<Section> {
    list(&model.status["virtual_clusters"]).iter().map(|v| section(v, theme, width)).collect()
}

fn section(v: &Value, theme: Theme, width: usize) -> Section {
    let chain: Vec<&str> = list(&v["chain"]).iter().map(text).collect();
    let heading = Pieces::new(middle(name(&v["name"]), width / 3), theme.bold())
        .and(format!("  {}", text(&v["listen"])), theme.plain())
        .and(format!("  {}", chain.join(" → ")), theme.quiet());
    let active = v["active"].as_str();
    let mut rows: Vec<Pieces> = list(&v["slots"]).iter().map(|s| slot(s, active, theme, width)).collect();
    let left = list(&v["stranded"]).iter().filter(|s| number(&s["records"]) > 0).map(stranded_words);
    let lacking =
        list(&v["topic_differences"]).iter().filter(|d| number(&d["total"]) > 0).map(difference_words);
    rows.extend(left.chain(lacking).map(|words| note(&words, theme)));
    Section { heading, rows }
}

/// `  0  kafka.example.com:9092 ▸ secondary 4@kafka-b0:9092`, or less of it.
fn slot(slot: &Value, active: Option<&str>, theme: Theme, width: usize) -> Pieces {
    let line = Pieces::new(format!("{:>4}  ", number(&slot["slot"])), theme.quiet());
    let room = width.saturating_sub(line.width() + 3);
    let broker = slot["broker"].as_str();
    let held =
        slot["connections"].as_u64().map(|c| format!("  {} conns", words::number(c))).unwrap_or_default();
    let cluster = slot["cluster"].as_str().or(active).unwrap_or_default();
    let ejected =
        slot["ejected"].as_str().map(|broker| format!(" (connections to {broker} fail)")).unwrap_or_default();
    let target = broker.map(|broker| format!("{cluster} {broker}").trim().to_owned());
    let target = target.map_or("no broker".into(), |target| target + &held) + &ejected;
    let address = text(&slot["advertised"]);
    let port = address.rsplit_once(':').map_or(address, |(_, port)| port);
    let place = room.saturating_sub(target.chars().count());
    let place = fitting(place, &[address, &format!(":{port}")]);
    let target = middle(&target, room.saturating_sub(place.chars().count()));
    let style = if broker.is_some() && ejected.is_empty() { theme.plain() } else { theme.warning() };
    line.and(place, theme.plain()).and(" ▸ ", theme.quiet()).and(target, style)
}

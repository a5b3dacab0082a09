//! Clusters and their brokers: quorum, state and reason.

use super::{list::Section, name, note};
use crate::{
    screen::{
        line::Pieces,
        theme::Theme,
        words::{fitting, middle},
    },
    status::{list, number, text},
    top::model::Model,
};
use ratatui::style::Style;
use serde_json::Value;

pub(super) fn sections(model: &Model, theme: Theme, width: usize) -> Vec<Section> {
    let clusters = list(&model.status["clusters"]);
    clusters.iter().map(|cluster| section(cluster, model, theme, width)).collect()
}

fn section(cluster: &Value, model: &Model, theme: Theme, width: usize) -> Section {
    let brokers = list(&cluster["brokers"]);
    let widest = brokers.iter().map(|b| text(&b["address"]).chars().count()).max().unwrap_or(0);
    let address = widest.min(width * 2 / 5);
    let mut rows: Vec<Pieces> = brokers.iter().map(|b| broker(b, address, theme)).collect();
    rows.extend(list(&cluster["notes"]).iter().map(|words| note(text(words), theme)));
    Section { heading: heading(cluster, model, theme, width), rows }
}

fn heading(cluster: &Value, model: &Model, theme: Theme, width: usize) -> Pieces {
    let (word, style) = role(cluster, model, theme);
    let (healthy, needed) = (number(&cluster["healthy"]), number(&cluster["needed"]));
    let all = list(&cluster["brokers"]).len();
    // Behind passthrough nobody may have asked for them.
    let topics = match number(&cluster["topics"]) {
        0 => String::new(),
        topics => format!(", {topics} topics"),
    };
    let room = width.saturating_sub(word.chars().count() + 4);
    let counts = [
        format!("{healthy} of {all} healthy, {needed} needed{topics}"),
        format!("{healthy} of {all} healthy, {needed} needed"),
        format!("{healthy}/{all}, {needed} needed"),
    ];
    let name = name(&cluster["name"]);
    let counts = fitting(room.saturating_sub(name.chars().count().min(room / 2)), &counts);
    let name = middle(name, room.saturating_sub(counts.chars().count()));
    Pieces::new(name, theme.bold()).and(format!("  {word}"), style).and(format!("  {counts}"), theme.plain())
}

/// What the cluster is to clients.
fn role(cluster: &Value, model: &Model, theme: Theme) -> (&'static str, Style) {
    let quorum = cluster["quorum"].as_bool() == Some(true);
    let active = list(&model.status["virtual_clusters"]).iter().any(|v| leads_to(v, &cluster["name"]));
    match (active, quorum) {
        (true, true) => ("● serves", theme.good()),
        (true, false) => ("! serves without quorum", theme.warning()),
        (false, true) => ("○ ready", theme.plain()),
        (false, false) => ("✗ NO QUORUM", theme.bad()),
    }
}

/// Whether clients of a virtual cluster, or of one of its slots, are on this cluster.
fn leads_to(v: &Value, cluster: &Value) -> bool {
    let slots = list(&v["slots"]).iter().map(|slot| &slot["cluster"]);
    slots.chain([&v["active"]]).any(|name| name.is_string() && name == cluster)
}

fn broker(broker: &Value, address: usize, theme: Theme) -> Pieces {
    let node = broker["node"].as_i64().map_or("-".into(), |node| node.to_string());
    let state = text(&broker["state"]);
    let (symbol, style) = match state {
        "healthy" => ('●', theme.good()),
        "unhealthy" => ('✗', theme.bad()),
        _ => ('!', theme.warning()),
    };
    let probe = broker["probe_ms"].as_f64().map_or(String::new(), |ms| format!("{ms:.1} ms"));
    let detail = if state == "healthy" { &probe } else { text(&broker["reason"]) };
    Pieces::new(format!("{node:>4}  "), theme.quiet())
        .and(format!("{:address$}", middle(text(&broker["address"]), address)), theme.plain())
        .and(format!("  {symbol} {state:9}"), style)
        .and(format!("  {detail}"), theme.plain())
}

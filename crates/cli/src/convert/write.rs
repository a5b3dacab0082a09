//! The Pointsman configuration as text, with its comments.

use super::envoy::Envoy;
use std::fmt::Write;

const COLUMNS: usize = 100;

// Writing to a string cannot fail: the results of `writeln!` are dropped below.

/// The whole file.
pub(super) fn text(envoy: &Envoy, notes: &[String], from: &str) -> String {
    let from: String = from.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut out = String::new();
    comment(
        &mut out,
        "",
        "",
        &format!(
            "Made from {from} by `pointsman convert envoy`. Read what follows, then run `pointsman check`."
        ),
    );
    if !notes.is_empty() {
        let _ = writeln!(out, "#\n# Not carried over:");
        notes.iter().for_each(|note| comment(&mut out, "", "- ", note));
    }
    if let Some(admin) = envoy.admin {
        let _ = writeln!(out, "\nadmin: {{ listen: '{admin}' }}");
    }
    let _ = writeln!(out, "\nclusters:");
    for (place, servers) in envoy.clusters.iter().enumerate() {
        let _ = writeln!(out, "  {}:\n    bootstrap_servers:", name(place));
        for server in servers {
            let _ = writeln!(out, "      - '{server}'");
        }
        health(envoy, &mut out);
    }
    let _ = writeln!(out, "\nvirtual_clusters:\n  main:");
    virtual_cluster(envoy, &mut out);
    out
}

fn name(place: usize) -> String {
    match place {
        0 => "primary".into(),
        1 => "secondary".into(),
        other => format!("priority-{other}"),
    }
}

fn health(envoy: &Envoy, out: &mut String) {
    let rules = &envoy.rules;
    if rules.probe.is_none() && rules.health.is_empty() {
        return;
    }
    let _ = writeln!(out, "    health:");
    if let Some(probe) = &rules.probe {
        let _ = writeln!(out, "      probe: {probe}");
    }
    for (key, value) in &rules.health {
        let _ = writeln!(out, "      {key}: {value}");
    }
    let _ = writeln!(out, "      quorum: majority");
}

fn virtual_cluster(envoy: &Envoy, out: &mut String) {
    let (first, last) = envoy.ports;
    let host = if envoy.bind.is_ipv6() { format!("[{}]", envoy.bind) } else { envoy.bind.to_string() };
    let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
    let chain: Vec<String> = (0..envoy.clusters.len()).map(name).collect();
    let mode = if envoy.terminates { "kafka" } else { "passthrough" };
    let _ = writeln!(out, "    mode: {mode}\n    listen: '{host}:{ports}'");
    if envoy.terminates {
        comment(
            out,
            "    ",
            "",
            "the name by which clients reach this machine, which an Envoy file does not say",
        );
        let _ = writeln!(out, "    advertise: kafka.example.com");
    }
    let _ = writeln!(out, "    chain: [{}]", chain.join(", "));
    if envoy.terminates {
        return;
    }
    let rules = &envoy.rules;
    for (key, value) in [("connect_timeout", &rules.connect_timeout), ("idle_timeout", &envoy.idle_timeout)] {
        if let Some(value) = value {
            let _ = writeln!(out, "    {key}: {value}");
        }
    }
    let outliers: Vec<String> = rules.outliers.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    if !outliers.is_empty() {
        let _ = writeln!(out, "    outliers: {{ {} }}", outliers.join(", "));
    }
}

/// Words as comment lines after `start`; `mark` stands before the first of them.
fn comment(out: &mut String, start: &str, mark: &str, words: &str) {
    let indent = " ".repeat(mark.chars().count());
    let mut line = format!("{start}# {mark}");
    let mut empty = true;
    for word in words.split_whitespace() {
        if !empty && line.chars().count() + word.chars().count() >= COLUMNS {
            let _ = writeln!(out, "{}", line.trim_end());
            line = format!("{start}# {indent}");
        }
        line.push_str(word);
        line.push(' ');
        empty = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

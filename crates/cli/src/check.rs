//! `pointsman check`: a configuration file, and with `--live` the clusters that it names.

use pointsman_control::reload;
use pointsman_core::{
    config::{
        Address, Bootstrap, ClusterConfig, Config, Failback, Scope, VirtualClusterConfig, duration_text,
    },
    topology::{TopicDifference, Topology, compare_topics},
};
use std::{fmt::Write, path::Path, process::ExitCode, sync::Arc};

/// Differences of a standby that are listed.
const LISTED: usize = 20;

/// What a cluster answered.
#[derive(Debug, Default)]
pub(crate) struct LiveReport {
    /// Each bootstrap server, and why it could not be reached. Those of a file or an SRV record as named now.
    pub(crate) servers: Vec<(Address, Result<(), String>)>,
    /// What its metadata says, all topics included; `None`: no server answered.
    pub(crate) topology: Option<Arc<Topology>>,
    /// What else an operator should know.
    pub(crate) notes: Vec<String>,
}

/// The configuration and its summary, or every fault, a line each.
pub(crate) fn check(file: &Path) -> Result<(Config, String), String> {
    let config = reload::load(file).map_err(|error| error.to_string())?;
    let summary = format!("ok: {}\n{}", file.display(), summary(&config));
    Ok((config, summary))
}

/// Asks every cluster of a configuration and prints what it found.
pub(crate) fn ask_clusters(config: &Config) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    let (text, good) = runtime.block_on(live(config, async |cluster| {
        let pointsman_control::live::Report { servers, topology, notes } =
            pointsman_control::live::ask(cluster).await;
        LiveReport { servers, topology, notes }
    }));
    print!("{text}");
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Asks every cluster by `ask`. The report, and whether there is nothing to object.
pub(crate) async fn live(config: &Config, ask: impl AsyncFn(&ClusterConfig) -> LiveReport) -> (String, bool) {
    let mut reports = Vec::new();
    for cluster in &config.clusters {
        reports.push((cluster.name.clone(), ask(cluster).await));
    }
    let mut out = String::new();
    let mut good = true;
    for (name, report) in &reports {
        good &= cluster_lines(name, report, &mut out);
    }
    for virtual_cluster in &config.virtual_clusters {
        good &= standby_lines(virtual_cluster, &reports, &mut out);
    }
    (out, good)
}

// Writing to a string cannot fail: the results of `writeln!` are dropped below.

fn summary(config: &Config) -> String {
    let mut out = String::new();
    for cluster in &config.clusters {
        let ClusterConfig { name, bootstrap, health, .. } = cluster;
        let servers = match bootstrap {
            Bootstrap::Static(servers) => format!("{} bootstrap servers", servers.len()),
            source => format!("bootstrap servers from {source}"),
        };
        let probe = format!("{} every {}", health.probe, duration_text(health.interval));
        let _ = writeln!(out, "  cluster {name}: {servers}, quorum {}, probe {probe}", health.quorum);
    }
    for v in &config.virtual_clusters {
        let _ = writeln!(out, "  virtual cluster {}: {}, {} slots, {}", v.name, v.listen(), v.slots, told(v));
        let (chain, failover) = (v.chain.join(" → "), failover_words(v));
        let last = match v.mode.passthrough() {
            Some(rules) => format!("on a switch {}", rules.on_switch),
            None => format!("replication {}, positions {}", v.replication.word(), v.positions.word()),
        };
        let _ = writeln!(out, "    chain {chain}, {failover}, {last}");
    }
    let _ = writeln!(out, "  admin API on {}", config.admin.listen);
    for warning in config.warnings() {
        let _ = writeln!(out, "warning: {warning}");
    }
    out
}

/// Who tells clients where to connect, and what.
fn told(v: &VirtualClusterConfig) -> String {
    let Some(rules) = v.mode.passthrough() else { return format!("advertised as {}", v.advertise) };
    let alone = if rules.scope == Scope::Broker { ", each alone" } else { "" };
    match &rules.sni {
        Some(names) => format!("passthrough{alone}; brokers advertise {}, slot by slot", names.host),
        None => format!("passthrough{alone}; brokers advertise these ports, slot by slot"),
    }
}

fn failover_words(virtual_cluster: &VirtualClusterConfig) -> String {
    let failover = &virtual_cluster.failover;
    let forth = if failover.automatic { "automatic failover" } else { "no automatic failover" };
    let hold = duration_text(failover.hold);
    match failover.failback {
        Failback::Automatic => format!("{forth}, back after {hold}"),
        Failback::Manual => format!("{forth}, back by command"),
    }
}

fn cluster_lines(name: &str, report: &LiveReport, out: &mut String) -> bool {
    let reachable = report.servers.iter().filter(|(_, result)| result.is_ok()).count();
    let servers = report.servers.len();
    let found = match &report.topology {
        Some(topology) => {
            let brokers = topology.brokers.values().filter(|b| b.listed).count();
            format!("{brokers} brokers, {} topics", topology.topics.len())
        }
        None => "no answer".into(),
    };
    let _ = writeln!(out, "  cluster {name}: {reachable} of {servers} bootstrap servers reachable, {found}");
    for (address, result) in &report.servers {
        if let Err(reason) = result {
            let _ = writeln!(out, "    {address}: {reason}");
        }
    }
    for note in &report.notes {
        let _ = writeln!(out, "    note: {note}");
    }
    reachable == servers && report.topology.is_some()
}

/// The standbys of a chain against its first cluster.
fn standby_lines(v: &VirtualClusterConfig, reports: &[(Arc<str>, LiveReport)], out: &mut String) -> bool {
    let topology = |name: &str| {
        reports
            .iter()
            .find(|(cluster, _)| **cluster == *name)
            .and_then(|(_, report)| report.topology.as_ref())
    };
    let Some((first, standbys)) = v.chain.split_first() else { return true };
    let Some(preferred) = topology(first) else { return false };
    let mut good = true;
    for name in standbys {
        let Some(standby) = topology(name) else { continue };
        let differences = compare_topics(preferred, standby);
        good &= differences.is_empty();
        if differences.is_empty() {
            let _ = writeln!(out, "  virtual cluster {}: {name} has every topic of {first}", v.name);
            continue;
        }
        let count = differences.len();
        let _ = writeln!(out, "  virtual cluster {}: {name} differs from {first} in {count} topics", v.name);
        for difference in differences.iter().take(LISTED) {
            let _ = writeln!(out, "    {}", difference_words(difference));
        }
        if count > LISTED {
            let _ = writeln!(out, "    … and {} more", count - LISTED);
        }
    }
    good
}

fn difference_words(difference: &TopicDifference) -> String {
    match difference {
        TopicDifference::Missing { topic } => format!("{topic}: missing"),
        TopicDifference::Partitions { topic, expected, found } => {
            format!("{topic}: {found} partitions, not {expected}")
        }
    }
}

#[cfg(test)]
mod tests;

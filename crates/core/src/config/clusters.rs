//! `clusters`: the real clusters, where their brokers are found and how their health is judged.

use super::{
    Address, Bootstrap, ClusterConfig, HealthConfig, Quorum,
    error::{Mark, Problems},
    parse::{Listener, join_path},
    probe::read_probe,
    read::{Field, Keys, Table, cut},
};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

const CLUSTER: Keys =
    Keys { known: &["bootstrap_servers", "region", "health", "health_listeners"], later: &["tls", "sasl"] };
const SOURCE: Keys = Keys { known: &["srv", "file", "refresh", "resolver"], later: &[] };
const HEALTH: Keys = Keys {
    known: &[
        "probe",
        "interval",
        "edge_interval",
        "jitter",
        "timeout",
        "unhealthy_after",
        "healthy_after",
        "quorum",
        "forget_after",
    ],
    later: &[],
};

const EXAMPLE: &str = "write bootstrap_servers: [kafka-1:9092, kafka-2:9092]";
const NAME: &str = "a name of letters, digits, `.`, `_` and `-`";
const HOUR: Duration = Duration::from_secs(3600);
const TEN_MS: Duration = Duration::from_millis(10);

pub(super) fn read_clusters(
    root: &Table<'_>,
    base_dir: &Path,
    listeners: &mut Vec<Listener>,
    problems: &mut Problems,
) -> Vec<ClusterConfig> {
    let remedy = "write clusters: { primary: { bootstrap_servers: [kafka-1:9092] } }";
    let Some(table) = named_entries(root, "clusters", "clusters", remedy, problems) else {
        return Vec::new();
    };
    let mut read =
        |(name, field): (&str, &Field<'_>)| read_cluster(name, field, base_dir, listeners, problems);
    table.entries().filter_map(&mut read).collect()
}

/// A mapping of names that must be there and have at least one entry.
pub(super) fn named_entries<'a>(
    root: &Table<'a>,
    key: &str,
    what: &str,
    remedy: &str,
    problems: &mut Problems,
) -> Option<Table<'a>> {
    let field = root.require(key, remedy, problems)?;
    let expected = format!("a mapping of names to {what}");
    let table = field.mapping(&expected, remedy, problems)?;
    if table.entries().next().is_none() {
        problems.add(field.node.mark, key, format!("expected {expected}, found none"), remedy);
    }
    for (name, entry) in table.entries() {
        let letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 100 || !name.chars().all(letter) {
            let problem = format!("expected {NAME}, found `{}`", cut(name));
            problems.add(entry.key, &entry.path, problem, "choose another name, at most 100 characters");
        }
    }
    Some(table)
}

fn read_cluster(
    name: &str,
    field: &Field<'_>,
    base_dir: &Path,
    listeners: &mut Vec<Listener>,
    problems: &mut Problems,
) -> Option<ClusterConfig> {
    let table = field.table(&CLUSTER, "a mapping with `bootstrap_servers`", EXAMPLE, problems)?;
    let bootstrap = table
        .require("bootstrap_servers", EXAMPLE, problems)
        .and_then(|field| read_bootstrap(field, base_dir, problems));
    let region = table.get("region").and_then(|f| f.text("a word", "write e.g. eu-west", problems));
    let health = read_health(table.get("health"), bootstrap.as_ref(), base_dir, problems);
    let bootstrap = bootstrap.unwrap_or(Bootstrap::Static(Vec::new()));
    let health_listeners = read_health_listeners(table.get("health_listeners"), listeners, problems);
    let region = region.map(Arc::from);
    Some(ClusterConfig { name: name.into(), bootstrap, region, health, health_listeners })
}

fn read_health_listeners(
    field: Option<&Field<'_>>,
    listeners: &mut Vec<Listener>,
    problems: &mut Problems,
) -> Vec<SocketAddr> {
    let Some(field) = field else { return Vec::new() };
    let (expected, remedy) = ("an IP address of this machine with a port", "write e.g. 127.0.0.1:9101");
    let mut found = Vec::new();
    for element in field.list("a list of addresses", "write health_listeners: [127.0.0.1:9101]", problems) {
        let Some(text) = element.text(expected, remedy, problems) else { continue };
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => {
                let (bind, ports) = (address.ip(), (address.port(), address.port()));
                listeners.push(Listener { path: element.path.clone(), mark: element.node.mark, bind, ports });
                found.push(address);
            }
            _ => element.expected(expected, remedy, problems),
        }
    }
    found
}

fn read_bootstrap(field: &Field<'_>, base_dir: &Path, problems: &mut Problems) -> Option<Bootstrap> {
    if matches!(field.node.value, super::yaml::Value::Mapping(_)) {
        return read_source(field, base_dir, problems);
    }
    let mut servers: Vec<(Address, Mark)> = Vec::new();
    let elements = field.list("a list of host:port", EXAMPLE, problems);
    for element in &elements {
        let Some(address) = read_address(element, problems) else { continue };
        if let Some((_, first)) = servers.iter().find(|(known, _)| *known == address) {
            let problem = format!("`{address}` is already in the list, in line {}", first.line);
            problems.add(element.node.mark, &element.path, problem, "name each server once");
            continue;
        }
        servers.push((address, element.node.mark));
    }
    let complete = !servers.is_empty() && servers.len() == elements.len();
    complete.then(|| Bootstrap::Static(servers.into_iter().map(|(address, _)| address).collect()))
}

fn read_address(field: &Field<'_>, problems: &mut Problems) -> Option<Address> {
    let text = field.text("host:port, e.g. kafka-1:9092", "write host:port", problems)?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(error) => {
            // What stands before a colon may be the user name of a URL: no hint then.
            let host = text.split_once(':').map_or(text, |(host, _)| host);
            let host = if text.contains('@') { "" } else { host };
            let remedy = match format!("{host}:9092").parse::<Address>() {
                Ok(address) => format!("write e.g. {address}"),
                Err(_) => "write host:port".into(),
            };
            field.expected(error.expected, remedy, problems);
            None
        }
    }
}

fn read_source(field: &Field<'_>, base_dir: &Path, problems: &mut Problems) -> Option<Bootstrap> {
    let remedy = "write { srv: _kafka._tcp.example.com } or { file: brokers.txt }";
    let table = field.table(&SOURCE, "a list, or a mapping with `srv` or `file`", remedy, problems)?;
    match (table.get("srv"), table.get("file")) {
        (Some(srv), None) => read_srv(srv, &table, problems),
        (None, Some(file)) => {
            if let Some(resolver) = table.get("resolver") {
                let problem = "`resolver` goes with `srv`, not with `file`";
                problems.add(resolver.key, &resolver.path, problem, "remove it");
            }
            let path = file.text("the path of a file", "write { file: brokers.txt }", problems)?;
            let refresh = read_refresh(&table, Duration::from_millis(100), Duration::from_secs(1), problems);
            Some(Bootstrap::File { path: join_path(base_dir, path), refresh: refresh? })
        }
        (Some(_), Some(file)) => {
            let problem = "expected either `srv` or `file`, found both";
            problems.add(file.key, &file.path, problem, "remove one of them");
            None
        }
        (None, None) => {
            let problem = "expected either `srv` or `file`, found neither";
            problems.add(field.node.mark, &field.path, problem, remedy);
            None
        }
    }
}

fn read_srv(srv: &Field<'_>, table: &Table<'_>, problems: &mut Problems) -> Option<Bootstrap> {
    let (expected, remedy) = ("the name of an SRV record", "write srv: _kafka._tcp.example.com");
    let valid = |name: &&str| super::address::valid_host(name.trim_end_matches('.')).is_some();
    let text = srv.text(expected, remedy, problems);
    let name = text.filter(valid);
    if text.is_some() && name.is_none() {
        srv.expected(expected, remedy, problems);
    }
    let refresh = read_refresh(table, Duration::from_secs(1), Duration::from_secs(30), problems);
    let resolver = match table.get("resolver") {
        Some(field) => Some(read_resolver(field, problems)?),
        None => None,
    };
    Some(Bootstrap::Srv { name: name?.into(), refresh: refresh?, resolver })
}

fn read_resolver(field: &Field<'_>, problems: &mut Problems) -> Option<SocketAddr> {
    let (expected, remedy) = ("the IP address and port of a DNS server", "write e.g. 10.0.0.2:53");
    let text = field.text(expected, remedy, problems)?;
    let address = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
    if address.is_none() {
        field.expected(expected, remedy, problems);
    }
    address
}

fn read_refresh(
    table: &Table<'_>,
    min: Duration,
    default: Duration,
    problems: &mut Problems,
) -> Option<Duration> {
    table.get("refresh").map_or(Some(default), |field| field.duration(min..=HOUR, problems))
}

fn read_health(
    field: Option<&Field<'_>>,
    bootstrap: Option<&Bootstrap>,
    base_dir: &Path,
    problems: &mut Problems,
) -> HealthConfig {
    let mut health = HealthConfig::default();
    let remedy = "write e.g. health: { interval: 500ms, quorum: majority }";
    let Some(table) = field.and_then(|field| field.table(&HEALTH, "a mapping", remedy, problems)) else {
        return health;
    };
    let span = |key: &str, range, problems: &mut Problems| {
        table.get(key).and_then(|field| field.duration(range, problems))
    };
    health.interval = span("interval", TEN_MS..=HOUR, problems).unwrap_or(health.interval);
    health.edge_interval = health.edge_interval.min(health.interval);
    health.edge_interval =
        span("edge_interval", TEN_MS..=health.interval, problems).unwrap_or(health.edge_interval);
    health.jitter = span("jitter", Duration::ZERO..=health.interval, problems).unwrap_or(health.jitter);
    health.timeout = span("timeout", TEN_MS..=Duration::from_secs(60), problems).unwrap_or(health.timeout);
    health.forget_after = span("forget_after", Duration::from_secs(1)..=720 * HOUR, problems);
    let count = |key: &str, problems: &mut Problems| {
        table.get(key).and_then(|field| field.integer(1..=100, problems))
    };
    health.unhealthy_after = count("unhealthy_after", problems).unwrap_or(health.unhealthy_after);
    health.healthy_after = count("healthy_after", problems).unwrap_or(health.healthy_after);
    health.probe = table.get("probe").and_then(|f| read_probe(f, base_dir, problems)).unwrap_or(health.probe);
    health.quorum =
        table.get("quorum").and_then(|f| read_quorum(f, bootstrap, problems)).unwrap_or(health.quorum);
    health
}

fn read_quorum(field: &Field<'_>, bootstrap: Option<&Bootstrap>, problems: &mut Problems) -> Option<Quorum> {
    if field.node.is_text("majority") {
        return Some(Quorum::Majority);
    }
    let servers = match bootstrap {
        Some(Bootstrap::Static(servers)) => u32::try_from(servers.len()).ok(),
        _ => None,
    };
    let number = field.node.number().filter(|n| (1..=100_000).contains(n));
    match (number, servers) {
        (Some(number), Some(servers)) if number > servers => {
            let expected = format!("at most the number of bootstrap servers, {servers}");
            field.expected(&expected, "write majority, a smaller number, or name all brokers", problems);
            None
        }
        (Some(number), _) => Some(Quorum::AtLeast(number)),
        (None, _) => {
            field.expected("majority or a number of brokers from 1", "write majority", problems);
            None
        }
    }
}

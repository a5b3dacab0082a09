//! `virtual_clusters`: what clients see: ports, slots, the chain and how it switches.

use super::{
    Address, Bootstrap, ClusterConfig, FailoverConfig, Positions, Replication, VirtualClusterConfig,
    address::{name_of_slot, parse_listen, valid_host},
    clusters::named_entries,
    error::{Problems, closest},
    parse::Listener,
    passthrough::{self, Mode, SniNames},
    read::{Field, Keys, Table, words},
    yaml::Value,
};
use crate::{
    config::Failback,
    limits::{CONSUMER_DRAIN_MAX, MAX_SLOTS},
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

const VIRTUAL: Keys = Keys {
    known: &[
        "mode",
        "listen",
        "slots",
        "advertise",
        "chain",
        "failover",
        "replication",
        "positions",
        "on_switch",
        "connect_timeout",
        "idle_timeout",
        "outliers",
    ],
    later: &["tls", "sasl", "routes"],
};
const FAILOVER: Keys =
    Keys { known: &["automatic", "scope", "failback", "hold", "catch_up", "consumer_drain"], later: &[] };
const LISTEN: &str = "write listen: 0.0.0.0:9092-9096";
const CHAIN: &str = "write chain: [primary, secondary]";
/// Slots that a cluster counts for when its servers are not in the file.
const SLOTS_OF_UNKNOWN: usize = 3;
/// Clients give a request up after 30 s by default.
const LONGEST_CATCH_UP: Duration = Duration::from_secs(20);
const CATCH_UP: Duration = Duration::from_secs(5);

/// Where a virtual cluster listens, once that is known to be right.
#[derive(Clone)]
struct Listen {
    bind: IpAddr,
    ports: (u16, u16),
    names: Option<SniNames>,
}

pub(super) fn read_virtual_clusters(
    root: &Table<'_>,
    clusters: &[ClusterConfig],
    listeners: &mut Vec<Listener>,
    problems: &mut Problems,
) -> Vec<VirtualClusterConfig> {
    let remedy =
        "write virtual_clusters: { main: { listen: 127.0.0.1:9092-9096, chain: [primary, secondary] } }";
    let Some(table) = named_entries(root, "virtual_clusters", "virtual clusters", remedy, problems) else {
        return Vec::new();
    };
    let known = root.get("clusters").map(cluster_names).unwrap_or_default();
    let mut read = |(name, field): (&str, &Field<'_>)| {
        read_virtual_cluster(name, field, &known, clusters, listeners, problems)
    };
    table.entries().filter_map(&mut read).collect()
}

/// Every cluster that the file names, also those with faults: a chain may name them.
fn cluster_names<'a>(field: &Field<'a>) -> Vec<&'a str> {
    match &field.node.value {
        Value::Mapping(entries) => {
            let mut names: Vec<_> = entries.iter().map(|(key, _)| key.text.as_str()).collect();
            names.dedup();
            names
        }
        _ => Vec::new(),
    }
}

fn read_virtual_cluster(
    name: &str,
    field: &Field<'_>,
    known: &[&str],
    clusters: &[ClusterConfig],
    listeners: &mut Vec<Listener>,
    problems: &mut Problems,
) -> Option<VirtualClusterConfig> {
    let table = field.table(&VIRTUAL, "a mapping with `listen` and `chain`", LISTEN, problems)?;
    let mut mode = passthrough::read_mode(&table, problems);
    let listen = table.require("listen", LISTEN, problems).and_then(|field| {
        let listen = read_listen(field, &mode, problems)?;
        let (path, mark) = (field.path.clone(), field.node.mark);
        listeners.push(Listener { path, mark, bind: listen.bind, ports: listen.ports });
        Some(listen)
    });
    let chain = read_chain(table.require("chain", CHAIN, problems), known, problems);
    let one_slot = mode.passthrough().is_some() && listen.as_ref().is_some_and(|l| l.names.is_none());
    let slots = read_slots(table.get("slots"), listen.as_ref(), one_slot, &chain, clusters, problems);
    let advertise = match mode {
        Mode::Kafka => read_advertise(&table, listen.as_ref(), slots, problems),
        Mode::Passthrough(_) => listen.as_ref().map_or("".into(), |l| l.bind.to_string().into()),
    };
    let words = [Replication::None, Replication::IdenticalOffsets].map(|r| (r.word(), r));
    let replication = table.get("replication").and_then(|field| field.choice(&words, problems));
    let replication = replication.unwrap_or_default();
    let failover = read_failover(table.get("failover"), replication, &mut mode, problems);
    if let Mode::Passthrough(rules) = &mut mode {
        rules.sni = listen.as_ref().and_then(|l| l.names.clone());
        if let (Some(field), Some(_)) = (table.get("chain"), &listen) {
            passthrough::check_chain(field, &chain, clusters, slots, problems);
        }
    }
    let positions = read_positions(table.get("positions"), replication, problems);
    let nowhere = || Listen { bind: Ipv4Addr::UNSPECIFIED.into(), ports: (0, 0), names: None };
    let listen = listen.unwrap_or_else(nowhere);
    Some(VirtualClusterConfig {
        name: name.into(),
        mode,
        bind: listen.bind,
        ports: listen.ports,
        slots,
        advertise,
        chain,
        failover,
        replication,
        positions,
    })
}

fn read_positions(field: Option<&Field<'_>>, replication: Replication, problems: &mut Problems) -> Positions {
    let words = [Positions::SwitchPoint, Positions::Committed, Positions::Earliest].map(|p| (p.word(), p));
    let chosen = field.and_then(|field| field.choice(&words, problems).map(|chosen| (field, chosen)));
    match chosen {
        Some((field, chosen)) if replication.keeps_offsets() && chosen != Positions::Committed => {
            let problem = format!("`{}` does not go with `replication: identical_offsets`", chosen.word());
            let remedy = "remove `positions`: a committed offset is right on every cluster of the chain";
            problems.add(field.node.mark, &field.path, problem, remedy);
            Positions::Committed
        }
        Some((_, chosen)) => chosen,
        None if replication.keeps_offsets() => Positions::Committed,
        None => Positions::default(),
    }
}

fn read_listen(field: &Field<'_>, mode: &Mode, problems: &mut Problems) -> Option<Listen> {
    if let Value::Mapping(entries) = &field.node.value
        && (mode.passthrough().is_some() || entries.iter().any(|(key, _)| key.text == "sni"))
    {
        if mode.passthrough().is_some() {
            let (bind, port, names) = passthrough::read_sni(field, problems)?;
            return Some(Listen { bind, ports: (port, port), names: Some(names) });
        }
        let problem = "a listener by SNI host is not supported by this version";
        problems.add(field.node.mark, &field.path, problem, LISTEN);
        return None;
    }
    let form = "an address such as 0.0.0.0:9092 or 0.0.0.0:9092-9096";
    let text = field.text(form, LISTEN, problems)?;
    let (bind, ports) = match parse_listen(text) {
        Ok(listen) => listen,
        Err((expected, remedy)) => {
            field.expected(&expected, remedy, problems);
            return None;
        }
    };
    if ports.1 - ports.0 >= MAX_SLOTS {
        field.expected(&format!("at most {MAX_SLOTS} ports"), LISTEN, problems);
        return None;
    }
    Some(Listen { bind, ports, names: None })
}

fn read_chain(field: Option<&Field<'_>>, known: &[&str], problems: &mut Problems) -> Vec<Arc<str>> {
    let Some(field) = field else { return Vec::new() };
    let mut chain: Vec<Arc<str>> = Vec::new();
    for element in field.list("a list of clusters", CHAIN, problems) {
        let Some(name) = element.text("the name of a cluster", CHAIN, problems) else { continue };
        if chain.iter().any(|earlier| **earlier == *name) {
            let problem = format!("`{name}` is already in the chain");
            problems.add(element.node.mark, &element.path, problem, "name each cluster once");
        } else if known.contains(&name) {
            chain.push(name.into());
        } else {
            let remedy = match closest(name, known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if known.is_empty() => "add it under `clusters`".into(),
                None => format!("add it under `clusters`, which has {}", words(known)),
            };
            element.expected("the name of a cluster", remedy, problems);
        }
    }
    chain
}

fn read_slots(
    field: Option<&Field<'_>>,
    listen: Option<&Listen>,
    one_slot: bool,
    chain: &[Arc<str>],
    clusters: &[ClusterConfig],
    problems: &mut Problems,
) -> u16 {
    let ports = listen.map_or((0, 0), |listen| listen.ports);
    let Some(field) = field else {
        return if ports.0 == ports.1 && !one_slot {
            default_slots(chain, clusters)
        } else {
            ports.1 - ports.0 + 1
        };
    };
    if ports.0 != ports.1 {
        let problem = format!("a port range has one slot per port: {}", ports.1 - ports.0 + 1);
        problems.add(field.key, &field.path, problem, "remove `slots`, or listen on one port");
        return 1;
    }
    if one_slot {
        let problem = "with `mode: passthrough` one port is one slot: nothing else tells slots apart";
        problems.add(field.key, &field.path, problem, "remove `slots`, or listen on a range or by `sni`");
        return 1;
    }
    let slots = field.integer(1..=u32::from(MAX_SLOTS), problems);
    slots.and_then(|slots| u16::try_from(slots).ok()).unwrap_or(1)
}

/// The most bootstrap servers that a cluster of the chain has.
fn default_slots(chain: &[Arc<str>], clusters: &[ClusterConfig]) -> u16 {
    let count = |cluster: &ClusterConfig| match &cluster.bootstrap {
        Bootstrap::Static(servers) => servers.len(),
        _ => SLOTS_OF_UNKNOWN,
    };
    let most = clusters.iter().filter(|c| chain.contains(&c.name)).map(count).max().unwrap_or(1);
    u16::try_from(most).unwrap_or(MAX_SLOTS).clamp(1, MAX_SLOTS)
}

fn read_advertise(
    table: &Table<'_>,
    listen: Option<&Listen>,
    slots: u16,
    problems: &mut Problems,
) -> Arc<str> {
    let (expected, remedy) = ("a host name without port", "write e.g. advertise: kafka.example.com");
    if let Some(field) = table.get("advertise") {
        let Some(text) = field.text(expected, remedy, problems) else { return "".into() };
        let host = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        // That of the last slot is the longest.
        let name = name_of_slot(host, usize::from(slots.saturating_sub(1)));
        let wildcard = name.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
        if valid_host(&name).is_none() || wildcard {
            let remedy = match host.parse::<Address>() {
                Ok(address) => format!("write {}: the ports are those of `listen`", address.host),
                Err(_) => remedy.into(),
            };
            field.expected("a host name or address without port, that clients can reach", remedy, problems);
        }
        return host.into();
    }
    match listen {
        Some(Listen { bind, .. }) if bind.is_unspecified() => {
            let path = format!("{}.advertise", table.path);
            let problem = format!("this key is required, as `listen` binds every interface ({bind})");
            problems.add(
                table.mark,
                &path,
                problem,
                "write the host name that clients reach this machine by",
            );
            "".into()
        }
        Some(Listen { bind, .. }) => bind.to_string().into(),
        None => "".into(),
    }
}

fn read_failover(
    field: Option<&Field<'_>>,
    replication: Replication,
    mode: &mut Mode,
    problems: &mut Problems,
) -> FailoverConfig {
    let mut failover = FailoverConfig::default();
    if replication.keeps_offsets() {
        failover.catch_up = CATCH_UP;
        failover.consumer_drain = Duration::ZERO;
    }
    if mode.passthrough().is_some() {
        failover.consumer_drain = Duration::ZERO;
    }
    let remedy = "write e.g. failover: { failback: manual }";
    let Some(table) = field.and_then(|field| field.table(&FAILOVER, "a mapping", remedy, problems)) else {
        return failover;
    };
    passthrough::read_scope(table.get("scope"), mode, problems);
    let words = [("automatic", Failback::Automatic), ("manual", Failback::Manual)];
    let automatic = table.get("automatic").and_then(|f| f.boolean(problems));
    let failback = table.get("failback").and_then(|f| f.choice(&words, problems));
    let day = Duration::from_secs(86_400);
    let hold = table.get("hold").and_then(|f| f.duration(Duration::ZERO..=day, problems));
    failover.automatic = automatic.unwrap_or(failover.automatic);
    failover.failback = failback.unwrap_or(failover.failback);
    failover.hold = hold.unwrap_or(failover.hold);
    if let Some(field) = table.get("catch_up") {
        let catch_up = field.duration(Duration::ZERO..=LONGEST_CATCH_UP, problems);
        if replication.keeps_offsets() {
            failover.catch_up = catch_up.unwrap_or(failover.catch_up);
        } else if catch_up.is_some_and(|wait| !wait.is_zero()) {
            let problem = "there is nothing to wait for without `replication: identical_offsets`";
            problems.add(field.key, &field.path, problem, "remove it, or say what copies the records");
        }
    }
    if let Some(field) = table.get("consumer_drain") {
        let drain = field.duration(Duration::ZERO..=CONSUMER_DRAIN_MAX, problems);
        if mode.passthrough().is_some() {
            if drain.is_some_and(|drain| !drain.is_zero()) {
                let problem = "with `mode: passthrough` nothing tells consumers from producers";
                problems.add(field.key, &field.path, problem, "remove it");
            }
        } else if !replication.keeps_offsets() {
            failover.consumer_drain = drain.unwrap_or(failover.consumer_drain);
        } else if drain.is_some_and(|drain| !drain.is_zero()) {
            let problem =
                "with `replication: identical_offsets` consumers read on elsewhere: nothing is left behind";
            problems.add(field.key, &field.path, problem, "remove it");
        }
    }
    failover
}

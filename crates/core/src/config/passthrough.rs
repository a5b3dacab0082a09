//! `mode: passthrough`: the keys that only it has, and those that have no meaning in it.
//!
//! Behind passthrough Pointsman reads nothing and tells clients nothing: the brokers advertise the ports or names of the slots
//! themselves. So a broker without a slot is a broker that its clients cannot reach, and is refused here.

use super::{
    Bootstrap, ClusterConfig,
    address::{SLOT, name_of_slot, parse_listen, valid_host},
    error::Problems,
    read::{Field, Keys, Table},
};
use std::{net::IpAddr, ops::RangeInclusive, sync::Arc, time::Duration};

/// What Pointsman does with the bytes of clients.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Mode {
    /// It speaks Kafka with clients and brokers.
    #[default]
    Kafka,
    /// It moves bytes that it does not read.
    Passthrough(Passthrough),
}

impl Mode {
    /// The rules of passthrough, in that mode.
    pub fn passthrough(&self) -> Option<&Passthrough> {
        match self {
            Self::Kafka => None,
            Self::Passthrough(rules) => Some(rules),
        }
    }

    /// The word in the configuration.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Passthrough(_) => "passthrough",
        }
    }
}

/// The rules of a virtual cluster in passthrough mode.
#[derive(Debug, Clone, PartialEq)]
pub struct Passthrough {
    /// Slots are told apart by the server name of TLS; `None`: by port.
    pub sni: Option<SniNames>,
    /// What moves together. Default `cluster`.
    pub scope: Scope,
    /// What a switch does to connections. Default `close`.
    pub on_switch: OnSwitch,
    /// Deadline of a TCP connection to a broker. Default 2 s.
    pub connect_timeout: Duration,
    /// A connection on which nothing moved for so long is closed. Default 15 min, more than Kafka's `connections.max.idle.ms`.
    pub idle_timeout: Duration,
    /// Which brokers lose their slots for a while.
    pub outliers: OutlierRules,
}

impl Default for Passthrough {
    fn default() -> Self {
        Self {
            sni: None,
            scope: Scope::Cluster,
            on_switch: OnSwitch::Close,
            connect_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(900),
            outliers: OutlierRules::default(),
        }
    }
}

/// The names by which clients call slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SniNames {
    /// Name of a slot, with `{slot}` for its number; in lower case.
    pub host: Arc<str>,
    /// Name that stands for any slot; in lower case.
    pub bootstrap: Arc<str>,
}

impl SniNames {
    /// The name of a slot.
    pub fn host_of(&self, slot: usize) -> String {
        name_of_slot(&self.host, slot)
    }
}

/// What moves together at a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All slots, by the quorum of clusters.
    Cluster,
    /// Each slot alone, by the health of its brokers.
    Broker,
}

/// What a switch does to the connections to the cluster that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSwitch {
    /// They are closed before the first connection to the other cluster.
    Close,
    /// If the cluster that is left has quorum, they are closed one by one over this time, while new ones go to the other cluster.
    Drain(Duration),
}

/// When connection failures of real traffic take a broker out of its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlierRules {
    /// Failed connections in a row. Default 3.
    pub failures: u32,
    /// For how long. Default 30 s.
    pub eject_for: Duration,
    /// At most this part of a cluster's brokers at a time, in percent, rounded down; 0: none ever. Default 50.
    pub max_ejected: u32,
}

impl Default for OutlierRules {
    fn default() -> Self {
        Self { failures: 3, eject_for: Duration::from_secs(30), max_ejected: 50 }
    }
}

/// Keys of a virtual cluster that only passthrough has.
pub(super) const ONLY_HERE: [&str; 4] = ["on_switch", "connect_timeout", "idle_timeout", "outliers"];
/// Keys that it does not have, and why.
const NOT_HERE: [(&str, &str); 3] = [
    ("advertise", "brokers advertise the slots themselves, in advertised.listeners"),
    ("replication", "offsets cannot be seen in bytes that are not read"),
    ("positions", "offsets cannot be seen in bytes that are not read"),
];
const SNI: Keys = Keys { known: &["sni", "host", "bootstrap"], later: &[] };
const OUTLIERS: Keys = Keys { known: &["failures", "eject_for", "max_ejected"], later: &[] };
const DRAIN: Keys = Keys { known: &["drain"], later: &[] };
const SNI_FORM: &str =
    "write { sni: 0.0.0.0:9093, host: \"b{slot}.kafka.example.com\", bootstrap: kafka.example.com }";

const fn seconds(range: RangeInclusive<u64>) -> RangeInclusive<Duration> {
    Duration::from_secs(*range.start())..=Duration::from_secs(*range.end())
}

/// The mode, with everything of it but the names of slots and the scope.
pub(super) fn read_mode(table: &Table<'_>, problems: &mut Problems) -> Mode {
    let field = table.get("mode");
    let passthrough = field.and_then(|f| f.choice(&[("kafka", false), ("passthrough", true)], problems));
    if passthrough != Some(true) {
        let stray = ONLY_HERE.iter().filter_map(|key| Some((key, table.get(key)?)));
        // With a mode that is not understood nothing can be said of its keys.
        for (key, field) in stray.filter(|_| field.is_none() || passthrough.is_some()) {
            let problem = format!("`{key}` goes with `mode: passthrough`");
            problems.add(field.key, &field.path, problem, "remove it, or write mode: passthrough");
        }
        return Mode::Kafka;
    }
    for (key, why) in NOT_HERE {
        if let Some(field) = table.get(key) {
            let problem = format!("`{key}` has no meaning with `mode: passthrough`: {why}");
            problems.add(field.key, &field.path, problem, "remove it");
        }
    }
    let mut rules = Passthrough::default();
    let duration = |key: &str, range, problems: &mut Problems| {
        table.get(key).and_then(|field| field.duration(range, problems))
    };
    let connect = Duration::from_millis(10)..=Duration::from_secs(60);
    rules.connect_timeout = duration("connect_timeout", connect, problems).unwrap_or(rules.connect_timeout);
    rules.idle_timeout =
        duration("idle_timeout", seconds(1..=86_400), problems).unwrap_or(rules.idle_timeout);
    rules.on_switch =
        table.get("on_switch").and_then(|f| read_on_switch(f, problems)).unwrap_or(rules.on_switch);
    rules.outliers = read_outliers(table.get("outliers"), problems);
    Mode::Passthrough(rules)
}

fn read_on_switch(field: &Field<'_>, problems: &mut Problems) -> Option<OnSwitch> {
    if field.node.is_text("close") {
        return Some(OnSwitch::Close);
    }
    let (expected, remedy) = ("close or { drain: 10s }", "write on_switch: close");
    let table = field.table(&DRAIN, expected, remedy, problems)?;
    let over = table.require("drain", "write { drain: 10s }", problems)?;
    over.duration(Duration::from_millis(1)..=Duration::from_secs(600), problems).map(OnSwitch::Drain)
}

fn read_outliers(field: Option<&Field<'_>>, problems: &mut Problems) -> OutlierRules {
    let mut rules = OutlierRules::default();
    let remedy = "write e.g. outliers: { failures: 3, eject_for: 30s, max_ejected: 50 }";
    let Some(table) = field.and_then(|field| field.table(&OUTLIERS, "a mapping", remedy, problems)) else {
        return rules;
    };
    let failures = table.get("failures").and_then(|f| f.integer(1..=1_000, problems));
    let eject_for = table.get("eject_for").and_then(|f| f.duration(seconds(1..=3_600), problems));
    let max_ejected = table.get("max_ejected").and_then(|f| f.integer(0..=100, problems));
    rules.failures = failures.unwrap_or(rules.failures);
    rules.eject_for = eject_for.unwrap_or(rules.eject_for);
    rules.max_ejected = max_ejected.unwrap_or(rules.max_ejected);
    rules
}

/// `listen: { sni, host, bootstrap }`: the address with its one port, and the names.
pub(super) fn read_sni(field: &Field<'_>, problems: &mut Problems) -> Option<(IpAddr, u16, SniNames)> {
    let table = field.table(&SNI, "an address, or a mapping with `sni`", SNI_FORM, problems)?;
    let address = table.require("sni", SNI_FORM, problems).and_then(|f| read_sni_address(f, problems));
    let host = table.require("host", SNI_FORM, problems).and_then(|f| read_host(f, problems));
    let bootstrap = table.require("bootstrap", SNI_FORM, problems).and_then(|f| {
        let (expected, remedy) = ("a host name", "write e.g. bootstrap: kafka.example.com");
        let name = f.text(expected, remedy, problems)?;
        if !is_name(name) {
            f.expected(expected, remedy, problems);
            return None;
        }
        Some((f, name.to_ascii_lowercase()))
    });
    let (host, (field, bootstrap)) = (host?, bootstrap?);
    if stands_for_a_slot(&host, &bootstrap) {
        let problem = format!("`{bootstrap}` is the name of a slot too, by `host: {host}`");
        problems.add(field.node.mark, &field.path, problem, "give the bootstrap a name of its own");
        return None;
    }
    let (bind, port) = address?;
    Some((bind, port, SniNames { host: host.into(), bootstrap: bootstrap.into() }))
}

fn read_sni_address(field: &Field<'_>, problems: &mut Problems) -> Option<(IpAddr, u16)> {
    let (expected, remedy) = ("an address with one port", "write e.g. sni: 0.0.0.0:9093");
    let text = field.text(expected, remedy, problems)?;
    match parse_listen(text) {
        Ok((bind, (first, last))) if first == last => return Some((bind, first)),
        Ok(_) => field.expected(expected, remedy, problems),
        Err((expected, remedy)) => field.expected(&expected, remedy, problems),
    }
    None
}

fn read_host(field: &Field<'_>, problems: &mut Problems) -> Option<String> {
    let (expected, remedy) =
        ("a host name with `{slot}` in it, once", "write e.g. host: \"b{slot}.kafka.example.com\"");
    let text = field.text(expected, remedy, problems)?;
    // Without a slot's number all slots would have one name.
    let valid = text.matches(SLOT).count() == 1 && is_name(&text.replace(SLOT, "0"));
    if !valid {
        field.expected(expected, remedy, problems);
    }
    valid.then(|| text.to_ascii_lowercase())
}

/// RFC 6066 allows no addresses as server names.
fn is_name(text: &str) -> bool {
    valid_host(text).is_some() && text.parse::<IpAddr>().is_err()
}

fn stands_for_a_slot(host: &str, name: &str) -> bool {
    let (before, after) = host.split_once(SLOT).unwrap_or((host, ""));
    let number = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// `failover.scope`, which in kafka mode can only be `cluster`: there any slot serves any partition.
pub(super) fn read_scope(field: Option<&Field<'_>>, mode: &mut Mode, problems: &mut Problems) {
    let Some(field) = field else { return };
    match mode {
        Mode::Passthrough(rules) => {
            let words = [("cluster", Scope::Cluster), ("broker", Scope::Broker)];
            rules.scope = field.choice(&words, problems).unwrap_or(rules.scope);
        }
        Mode::Kafka if field.node.is_text("broker") => {
            let problem = "`scope: broker` goes with `mode: passthrough`";
            problems.add(field.key, &field.path, problem, "remove it: here any slot serves any partition");
        }
        Mode::Kafka => drop(field.choice(&[("cluster", ())], problems)),
    }
}

/// What passthrough asks of the clusters of its chain.
pub(super) fn check_chain(
    field: &Field<'_>,
    chain: &[Arc<str>],
    clusters: &[ClusterConfig],
    slots: u16,
    problems: &mut Problems,
) {
    for cluster in clusters.iter().filter(|c| chain.contains(&c.name)) {
        let name = &cluster.name;
        let mut refuse = |problem: String, remedy: &str| {
            problems.add(field.node.mark, &field.path, problem, remedy);
        };
        match &cluster.bootstrap {
            Bootstrap::Static(servers) if servers.len() > usize::from(slots) => refuse(
                format!(
                    "cluster `{name}` has {} brokers, but there are slots for {slots} only: clients would be sent to \
                     addresses that nobody listens on",
                    servers.len()
                ),
                "give `listen` a port for each broker of the largest cluster (with `sni`: raise `slots`)",
            ),
            Bootstrap::Srv { .. } => refuse(
                format!(
                    "cluster `{name}` gets its servers from an SRV record, in no certain order, but their order \
                     says which slot each broker has"
                ),
                "list the servers, or name them in a file",
            ),
            _ => {}
        }
        if cluster.health.forget_after.is_some() {
            refuse(
                format!(
                    "cluster `{name}` has `health.forget_after`, but its brokers advertise Pointsman's slots, which \
                     would be taken for brokers"
                ),
                "remove forget_after",
            );
        }
    }
}

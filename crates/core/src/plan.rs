//! What a new configuration changes, in words, before anything is applied.
//!
//! A [`Plan`] is all or nothing: if one of its changes needs a restart, none is applied. Listening sockets, the number of
//! virtual nodes and the state store stay as they are while the process runs; everything else can change under traffic.

use crate::config::{
    AdminConfig, Bootstrap, ClusterConfig, Config, Failback, FailoverConfig, HealthConfig, Mode, Passthrough,
    Positions, Replication, StateConfig, VirtualClusterConfig, duration_text,
};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// The way from one configuration to another.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// In the order in which they are applied.
    pub changes: Vec<Change>,
}

/// One difference between two configurations: what is new, and the words for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What becomes of it.
    pub effect: Effect,
    /// For logs and answers, e.g. `cluster primary: health interval 500ms → 1s`.
    pub words: String,
}

/// What a change does.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The admin API moves. Needs a restart.
    Admin(AdminConfig),
    /// The state store moves. Needs a restart.
    State(StateConfig),
    /// A new cluster, at the end.
    AddCluster(ClusterConfig),
    /// A cluster goes.
    RemoveCluster(Arc<str>),
    /// Other bootstrap servers.
    Bootstrap(Arc<str>, Bootstrap),
    /// Another region.
    Region(Arc<str>, Option<Arc<str>>),
    /// Other rules of health.
    Health(Arc<str>, HealthConfig),
    /// Other sockets that say whether it has quorum. Needs a restart.
    HealthListeners(Arc<str>, Vec<SocketAddr>),
    /// The same clusters in another order.
    OrderClusters(Vec<Arc<str>>),
    /// A new virtual cluster, at the end. Needs a restart.
    AddVirtualCluster(VirtualClusterConfig),
    /// A virtual cluster goes. Needs a restart.
    RemoveVirtualCluster(Arc<str>),
    /// Another mode, or in passthrough mode another scope or other names of slots. Needs a restart.
    Mode(Arc<str>, Mode),
    /// Other rules of passthrough.
    Passthrough(Arc<str>, Passthrough),
    /// Other listening sockets. Needs a restart.
    Listen(Arc<str>, IpAddr, (u16, u16)),
    /// Another number of virtual nodes. Needs a restart.
    Slots(Arc<str>, u16),
    /// Another advertised host.
    Advertise(Arc<str>, Arc<str>),
    /// Another chain.
    Chain(Arc<str>, Vec<Arc<str>>),
    /// Other rules of failover.
    Failover(Arc<str>, FailoverConfig),
    /// Another replication. Needs a restart: producers would go on under other ids in the middle of what they send.
    Replication(Arc<str>, Replication),
    /// Another beginning of groups on a cluster that is new to them.
    Positions(Arc<str>, Positions),
    /// The same virtual clusters in another order.
    OrderVirtualClusters(Vec<Arc<str>>),
}

impl Effect {
    /// Whether it can only come into force with a restart.
    pub fn needs_restart(&self) -> bool {
        if let Self::AddCluster(cluster) = self {
            return !cluster.health_listeners.is_empty();
        }
        matches!(
            self,
            Self::Admin(_)
                | Self::State(_)
                | Self::AddVirtualCluster(_)
                | Self::RemoveVirtualCluster(_)
                | Self::HealthListeners(..)
                | Self::Mode(..)
                | Self::Listen(..)
                | Self::Slots(..)
                | Self::Replication(..)
        )
    }
}

impl Plan {
    /// Whether the configurations are equal.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Every change in words.
    pub fn words(&self) -> Vec<String> {
        self.changes.iter().map(|change| change.words.clone()).collect()
    }

    /// The changes that need a restart, in words. Unless this is empty, nothing may be applied.
    pub fn refused(&self) -> Vec<String> {
        let refused = self.changes.iter().filter(|change| change.effect.needs_restart());
        refused.map(|change| format!("{}: needs a restart", change.words)).collect()
    }

    fn push(&mut self, effect: Effect, words: String) {
        self.changes.push(Change { effect, words });
    }
}

/// What leads from `old` to `new`.
pub fn plan(old: &Config, new: &Config) -> Plan {
    let mut plan = Plan::default();
    if old.admin != new.admin {
        let words = format!("admin: listen {} → {}", old.admin.listen, new.admin.listen);
        plan.push(Effect::Admin(new.admin.clone()), words);
    }
    if old.state != new.state {
        let words = format!("state: {} → {}", state_words(&old.state), state_words(&new.state));
        plan.push(Effect::State(new.state.clone()), words);
    }
    plan_clusters(&old.clusters, &new.clusters, &mut plan);
    plan_virtual_clusters(&old.virtual_clusters, &new.virtual_clusters, &mut plan);
    plan
}

/// `config` after every change of the plan, those that need a restart too.
pub fn apply(plan: &Plan, config: &Config) -> Config {
    let mut config = config.clone();
    for change in &plan.changes {
        apply_one(&change.effect, &mut config);
    }
    config
}

fn plan_clusters(old: &[ClusterConfig], new: &[ClusterConfig], plan: &mut Plan) {
    for gone in old.iter().filter(|c| find_cluster(new, &c.name).is_none()) {
        plan_health_listeners(gone, &[], plan);
        plan.push(Effect::RemoveCluster(gone.name.clone()), format!("cluster {}: removed", gone.name));
    }
    for cluster in new {
        match find_cluster(old, &cluster.name) {
            None => {
                let ClusterConfig { name, bootstrap, .. } = cluster;
                let words = format!("cluster {name}: added, with bootstrap_servers {bootstrap}");
                plan.push(Effect::AddCluster(cluster.clone()), words);
            }
            Some(before) => plan_cluster(before, cluster, plan),
        }
    }
    let after = order(old.iter().map(|c| &c.name), new.iter().map(|c| &c.name));
    if let Some(names) = after {
        plan.push(Effect::OrderClusters(names), "clusters: another order".into());
    }
}

fn plan_cluster(old: &ClusterConfig, new: &ClusterConfig, plan: &mut Plan) {
    let name = &new.name;
    if old.bootstrap != new.bootstrap {
        let words = format!("cluster {name}: bootstrap_servers {} → {}", old.bootstrap, new.bootstrap);
        plan.push(Effect::Bootstrap(name.clone(), new.bootstrap.clone()), words);
    }
    if old.region != new.region {
        let words = format!("cluster {name}: region {} → {}", or_none(&old.region), or_none(&new.region));
        plan.push(Effect::Region(name.clone(), new.region.clone()), words);
    }
    if old.health != new.health {
        let words =
            format!("cluster {name}: health {}", differences(&old.health.words(), &new.health.words()));
        plan.push(Effect::Health(name.clone(), new.health.clone()), words);
    }
    plan_health_listeners(old, &new.health_listeners, plan);
}

fn plan_health_listeners(old: &ClusterConfig, new: &[SocketAddr], plan: &mut Plan) {
    if old.health_listeners != new {
        let list = |of: &[SocketAddr]| of.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (name, before) = (&old.name, list(&old.health_listeners));
        let words = format!("cluster {name}: health_listeners [{before}] → [{}]", list(new));
        plan.push(Effect::HealthListeners(name.clone(), new.to_vec()), words);
    }
}

fn plan_virtual_clusters(old: &[VirtualClusterConfig], new: &[VirtualClusterConfig], plan: &mut Plan) {
    for gone in old.iter().filter(|v| find_virtual(new, &v.name).is_none()) {
        let words = format!("virtual cluster {}: removed", gone.name);
        plan.push(Effect::RemoveVirtualCluster(gone.name.clone()), words);
    }
    for virtual_cluster in new {
        match find_virtual(old, &virtual_cluster.name) {
            None => {
                let words = format!("virtual cluster {}: added", virtual_cluster.name);
                plan.push(Effect::AddVirtualCluster(virtual_cluster.clone()), words);
            }
            Some(before) => plan_virtual_cluster(before, virtual_cluster, plan),
        }
    }
    let after = order(old.iter().map(|v| &v.name), new.iter().map(|v| &v.name));
    if let Some(names) = after {
        plan.push(Effect::OrderVirtualClusters(names), "virtual clusters: another order".into());
    }
}

fn plan_virtual_cluster(old: &VirtualClusterConfig, new: &VirtualClusterConfig, plan: &mut Plan) {
    let name = &new.name;
    plan_mode(old, new, plan);
    if (old.bind, old.ports) != (new.bind, new.ports) {
        let words = format!("virtual cluster {name}: listen {} → {}", old.listen(), new.listen());
        plan.push(Effect::Listen(name.clone(), new.bind, new.ports), words);
    }
    if old.slots != new.slots {
        let words = format!("virtual cluster {name}: slots {} → {}", old.slots, new.slots);
        plan.push(Effect::Slots(name.clone(), new.slots), words + slots_hint(old, new));
    }
    if old.advertise != new.advertise {
        let words = format!("virtual cluster {name}: advertise {} → {}", old.advertise, new.advertise);
        plan.push(Effect::Advertise(name.clone(), new.advertise.clone()), words);
    }
    if old.chain != new.chain {
        let words =
            format!("virtual cluster {name}: chain [{}] → [{}]", old.chain.join(", "), new.chain.join(", "));
        plan.push(Effect::Chain(name.clone(), new.chain.clone()), words);
    }
    if old.failover != new.failover {
        let (before, after) = (failover_words(&old.failover), failover_words(&new.failover));
        let words = format!("virtual cluster {name}: failover {}", differences(&before, &after));
        plan.push(Effect::Failover(name.clone(), new.failover.clone()), words);
    }
    if old.replication != new.replication {
        let (before, after) = (old.replication.word(), new.replication.word());
        let words = format!("virtual cluster {name}: replication {before} → {after}");
        plan.push(Effect::Replication(name.clone(), new.replication), words);
    }
    if old.positions != new.positions {
        let (before, after) = (old.positions.word(), new.positions.word());
        let words = format!("virtual cluster {name}: positions {before} → {after}");
        plan.push(Effect::Positions(name.clone(), new.positions), words);
    }
}

fn plan_mode(old: &VirtualClusterConfig, new: &VirtualClusterConfig, plan: &mut Plan) {
    let name = &new.name;
    let fixed = |v: &VirtualClusterConfig| {
        let rules = v.mode.passthrough();
        (v.mode.word(), rules.map(|r| (r.scope, r.sni.clone())))
    };
    if fixed(old) != fixed(new) {
        let words = |v: &VirtualClusterConfig| match v.mode.passthrough() {
            Some(rules) => rules.fixed_words(),
            None => "kafka".into(),
        };
        let words = format!("virtual cluster {name}: mode {} → {}", words(old), words(new));
        plan.push(Effect::Mode(name.clone(), new.mode.clone()), words);
    } else if let (Some(before), Some(after)) = (old.mode.passthrough(), new.mode.passthrough())
        && before != after
    {
        let words = format!("virtual cluster {name}: {}", differences(&before.words(), &after.words()));
        plan.push(Effect::Passthrough(name.clone(), after.clone()), words);
    }
}

fn apply_one(effect: &Effect, config: &mut Config) {
    match effect {
        Effect::Admin(admin) => config.admin = admin.clone(),
        Effect::State(state) => config.state = state.clone(),
        Effect::AddCluster(cluster) => config.clusters.push(cluster.clone()),
        Effect::RemoveCluster(name) => config.clusters.retain(|c| c.name != *name),
        Effect::Bootstrap(name, bootstrap) => on_cluster(config, name, |c| c.bootstrap = bootstrap.clone()),
        Effect::Region(name, region) => on_cluster(config, name, |c| c.region = region.clone()),
        Effect::Health(name, health) => on_cluster(config, name, |c| c.health = health.clone()),
        Effect::HealthListeners(name, all) => {
            on_cluster(config, name, |c| c.health_listeners = all.clone());
        }
        Effect::OrderClusters(names) => config.clusters.sort_by_key(|c| rank(names, &c.name)),
        Effect::AddVirtualCluster(added) => config.virtual_clusters.push(added.clone()),
        Effect::RemoveVirtualCluster(name) => config.virtual_clusters.retain(|v| v.name != *name),
        Effect::Mode(name, mode) => on_virtual(config, name, |v| v.mode = mode.clone()),
        Effect::Passthrough(name, rules) => {
            on_virtual(config, name, |v| v.mode = Mode::Passthrough(rules.clone()));
        }
        Effect::Listen(name, bind, ports) => {
            on_virtual(config, name, |v| (v.bind, v.ports) = (*bind, *ports));
        }
        Effect::Slots(name, slots) => on_virtual(config, name, |v| v.slots = *slots),
        Effect::Advertise(name, host) => on_virtual(config, name, |v| v.advertise = host.clone()),
        Effect::Chain(name, chain) => on_virtual(config, name, |v| v.chain = chain.clone()),
        Effect::Failover(name, failover) => on_virtual(config, name, |v| v.failover = failover.clone()),
        Effect::Replication(name, kind) => on_virtual(config, name, |v| v.replication = *kind),
        Effect::Positions(name, positions) => on_virtual(config, name, |v| v.positions = *positions),
        Effect::OrderVirtualClusters(names) => config.virtual_clusters.sort_by_key(|v| rank(names, &v.name)),
    }
}

fn on_cluster(config: &mut Config, name: &str, change: impl FnOnce(&mut ClusterConfig)) {
    if let Some(cluster) = config.clusters.iter_mut().find(|c| *c.name == *name) {
        change(cluster);
    }
}

fn on_virtual(config: &mut Config, name: &str, change: impl FnOnce(&mut VirtualClusterConfig)) {
    if let Some(virtual_cluster) = config.virtual_clusters.iter_mut().find(|v| *v.name == *name) {
        change(virtual_cluster);
    }
}

fn rank(names: &[Arc<str>], name: &str) -> usize {
    names.iter().position(|n| **n == *name).unwrap_or(names.len())
}

fn find_cluster<'a>(list: &'a [ClusterConfig], name: &str) -> Option<&'a ClusterConfig> {
    list.iter().find(|c| *c.name == *name)
}

fn find_virtual<'a>(list: &'a [VirtualClusterConfig], name: &str) -> Option<&'a VirtualClusterConfig> {
    list.iter().find(|v| *v.name == *name)
}

/// The new order, unless removing and appending already gives it.
fn order<'a>(
    old: impl Iterator<Item = &'a Arc<str>>,
    new: impl Iterator<Item = &'a Arc<str>>,
) -> Option<Vec<Arc<str>>> {
    let new: Vec<Arc<str>> = new.cloned().collect();
    let mut reached: Vec<Arc<str>> = old.filter(|name| new.contains(name)).cloned().collect();
    let added: Vec<_> = new.iter().filter(|name| !reached.contains(name)).cloned().collect();
    reached.extend(added);
    (reached != new).then_some(new)
}

fn state_words(state: &StateConfig) -> impl fmt::Display {
    match state {
        StateConfig::File(path) => format!("file {}", path.display()),
    }
}

/// One port has by default as many slots as there are bootstrap servers: a change of those then looks like one of slots.
fn slots_hint(old: &VirtualClusterConfig, new: &VirtualClusterConfig) -> &'static str {
    let same_port = old.ports == new.ports && new.ports.0 == new.ports.1;
    if same_port { " (write `slots` to keep the number when bootstrap servers change)" } else { "" }
}

fn or_none(text: &Option<Arc<str>>) -> &str {
    text.as_deref().unwrap_or("none")
}

fn failover_words(failover: &FailoverConfig) -> Vec<(&'static str, String)> {
    let failback = match failover.failback {
        Failback::Automatic => "automatic",
        Failback::Manual => "manual",
    };
    vec![
        ("automatic", failover.automatic.to_string()),
        ("failback", failback.into()),
        ("hold", duration_text(failover.hold)),
        ("catch_up", duration_text(failover.catch_up)),
        ("consumer_drain", duration_text(failover.consumer_drain)),
    ]
}

/// `interval 500ms → 1s, quorum majority → 2`.
fn differences(old: &[(&str, String)], new: &[(&str, String)]) -> String {
    let pairs = old.iter().zip(new).filter(|(before, after)| before != after);
    pairs
        .map(|((key, before), (_, after))| format!("{key} {before} → {after}"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

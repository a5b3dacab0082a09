//! The status: everything an operator asks first, as of now.

use super::{chain::Chain, cluster::Watched, passthrough::broker_of, run::Reconciler};
use pointsman_core::{
    Now,
    config::Address,
    failover::Consumers,
    health::BrokerView,
    passthrough::{Slot, View},
    status::{
        BrokerStatus, ClusterStatus, DrainingStatus, SlotStatus, StandbyDifferences, Status,
        VirtualClusterStatus,
    },
    topology::{Topology, compare_topics},
};
use std::sync::Arc;

/// Topic differences that are listed.
const LISTED: usize = 100;

pub(super) fn status(reconciler: &Reconciler) -> Status {
    let now = reconciler.around.clock.now();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        generation: reconciler.generation,
        uptime_s: now.as_secs_f64(),
        state_write_failures: reconciler.writer.failures(),
        clusters: reconciler.clusters.iter().map(|c| cluster(c, now)).collect(),
        virtual_clusters: reconciler.chains.iter().map(|c| virtual_cluster(c, reconciler)).collect(),
    }
}

fn cluster(cluster: &Watched, now: Now) -> ClusterStatus {
    let verdict = cluster.health.verdict();
    ClusterStatus {
        name: cluster.config.name.clone(),
        quorum: verdict.quorum(),
        healthy: verdict.healthy,
        needed: verdict.needed,
        brokers: cluster.health.brokers().map(|b| broker(&b, &cluster.shared.topology.load())).collect(),
        offsets_age_s: cluster.shared.ends.polled().map(|at| now.saturating_sub(at).as_secs_f64()),
        topics: cluster.shared.topology.load().topics.len(),
        notes: cluster.notes(),
    }
}

fn broker(view: &BrokerView, topology: &Topology) -> BrokerStatus {
    let listed = || topology.brokers.iter().find(|(_, b)| b.address == view.address).map(|(node, _)| *node);
    BrokerStatus {
        address: view.address.to_string(),
        node: view.node.or_else(listed),
        state: view.word(),
        reason: view.reason.as_deref().map(Into::into),
        probe_ms: view.took.map(|took| took.as_secs_f64() * 1e3),
    }
}

fn virtual_cluster(chain: &Chain, reconciler: &Reconciler) -> VirtualClusterStatus {
    let metrics = reconciler.around.metrics.iter().find(|(name, _)| *name == chain.config.name);
    VirtualClusterStatus {
        name: chain.config.name.clone(),
        mode: chain.config.mode.word(),
        scope: chain.config.mode.passthrough().map(|rules| rules.scope),
        listen: chain.config.listen(),
        chain: chain.config.chain.clone(),
        active: active(chain),
        pinned: chain.machine.pinned(),
        draining: draining(chain),
        drains: chain.drains.clone(),
        connections: metrics.map_or(0, |(_, m)| m.connections.value()),
        slots: slot_list(chain, reconciler),
        switches_total: chain.switches_total,
        switches_by_cause: chain.switches_by_cause.clone(),
        switches: chain.switches.iter().cloned().collect(),
        replication: chain.config.replication,
        positions: chain.config.positions,
        groups_seen: chain.handover.groups.len(),
        switch_point: chain.handover.point_status(),
        stranded: chain.handover.stranded(),
        topic_differences: differences(chain, reconciler),
    }
}

fn draining(chain: &Chain) -> Option<DrainingStatus> {
    match chain.machine.consumers() {
        Consumers::Stay { on, leaving } => Some(DrainingStatus { cluster: on.cluster.clone(), leaving }),
        Consumers::Together | Consumers::Wait => None,
    }
}

fn find<'a>(reconciler: &'a Reconciler, name: &str) -> Option<&'a Watched> {
    reconciler.clusters.iter().find(|c| *c.config.name == *name)
}

fn slot_list(chain: &Chain, reconciler: &Reconciler) -> Vec<SlotStatus> {
    let active = chain.machine.active().and_then(|name| find(reconciler, name));
    let topology = active.map(|c| c.shared.topology.load());
    if let Some(side) = &chain.passthrough {
        return passed_slots(chain, &side.view(chain, &reconciler.clusters), reconciler.around.clock.now());
    }
    let slots = chain.config.slot_addresses();
    let broker = |slot: usize| {
        let topology = topology.as_ref()?;
        let node = *topology.brokers_of(slot, slots.len()).first()?;
        topology.address(node).map(|address| format!("{node}@{address}"))
    };
    let status = |(slot, advertised): (usize, &Address)| SlotStatus {
        slot,
        advertised: advertised.to_string(),
        broker: broker(slot),
        cluster: None,
        ejected: None,
    };
    slots.iter().enumerate().map(status).collect()
}

/// In passthrough mode a slot stands for a place in the list of servers.
fn passed_slots(chain: &Chain, view: &View, now: Now) -> Vec<SlotStatus> {
    let status = |((slot, advertised), target): ((usize, &Address), &Slot)| {
        let cluster = if let Slot::To { cluster, .. } = target { Some(cluster) } else { None };
        let own = cluster.and_then(|c| broker_of(slot, c));
        let broker = cluster.and_then(|c| view.outliers.pick(&c.bootstrap, slot, now));
        SlotStatus {
            slot,
            advertised: advertised.to_string(),
            broker: broker.map(ToString::to_string),
            cluster: cluster.map(|c| c.name.clone()),
            ejected: own.filter(|own| Some(*own) != broker).map(ToString::to_string),
        }
    };
    chain.config.slot_addresses().iter().enumerate().zip(view.slots.iter()).map(status).collect()
}

/// The cluster that serves; with `scope: broker` the one that all slots lead to.
fn active(chain: &Chain) -> Option<Arc<str>> {
    let alone = chain.passthrough.iter().flat_map(|side| &side.slots);
    let mut actives = alone.map(|slot| slot.machine.active());
    match actives.next() {
        None => chain.machine.active().cloned(),
        Some(first) => first.filter(|_| actives.all(|other| other == first)).cloned(),
    }
}

/// What each standby lacks of the most preferred cluster's topics; nothing while one of the two has not been seen.
fn differences(chain: &Chain, reconciler: &Reconciler) -> Vec<StandbyDifferences> {
    let mut members = chain.config.chain.iter().filter_map(|name| find(reconciler, name));
    let Some(preferred) = members.next().map(|c| c.shared.topology.load()) else { return Vec::new() };
    let seen = |t: &Topology| !t.brokers.is_empty();
    let compare = |standby: &Watched| {
        let topology = standby.shared.topology.load();
        let both = seen(&preferred) && seen(&topology);
        let mut topics = if both { compare_topics(&preferred, &topology) } else { Vec::new() };
        let total = topics.len();
        topics.truncate(LISTED);
        StandbyDifferences { cluster: standby.config.name.clone(), topics, total }
    };
    members.map(compare).collect()
}

//! The status: everything an operator asks first, as of now.

use super::{chain::Chain, cluster::Watched, run::Reconciler};
use crate::publish::slots;
use pointsman_core::{
    Now,
    health::BrokerView,
    status::{BrokerStatus, ClusterStatus, SlotStatus, StandbyDifferences, Status, VirtualClusterStatus},
    topology::{Topology, compare_topics},
};

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
        state: view.state.word(),
        reason: view.reason.as_deref().map(Into::into),
        probe_ms: view.took.map(|took| took.as_secs_f64() * 1e3),
    }
}

fn virtual_cluster(chain: &Chain, reconciler: &Reconciler) -> VirtualClusterStatus {
    let metrics = reconciler.around.metrics.iter().find(|(name, _)| *name == chain.config.name);
    VirtualClusterStatus {
        name: chain.config.name.clone(),
        listen: chain.config.listen(),
        chain: chain.config.chain.clone(),
        active: chain.machine.active().cloned(),
        pinned: chain.machine.pinned(),
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

fn find<'a>(reconciler: &'a Reconciler, name: &str) -> Option<&'a Watched> {
    reconciler.clusters.iter().find(|c| *c.config.name == *name)
}

fn slot_list(chain: &Chain, reconciler: &Reconciler) -> Vec<SlotStatus> {
    let active = chain.machine.active().and_then(|name| find(reconciler, name));
    let topology = active.map(|c| c.shared.topology.load());
    let slots = slots(&chain.config);
    let broker = |slot: usize| {
        let topology = topology.as_ref()?;
        let node = *topology.brokers_of(slot, slots.len()).first()?;
        topology.address(node).map(|address| format!("{node}@{address}"))
    };
    let status = |(slot, advertised): (usize, &pointsman_core::config::Address)| SlotStatus {
        slot,
        advertised: advertised.to_string(),
        broker: broker(slot),
    };
    slots.iter().enumerate().map(status).collect()
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

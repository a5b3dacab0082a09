//! The passthrough side of a virtual cluster: where each slot leads, and with `scope: broker` a failover machine for each.
//!
//! With `scope: cluster` the chain's one machine decides for all slots. With `scope: broker` the same machine stands behind each
//! slot, and what it takes for the standing of a cluster is the health of the one broker that the slot has there. Those machines
//! are not kept over a restart: each slot then begins with the first cluster whose broker is well.

use super::{chain::Chain, cluster::Watched};
use pointsman_core::{
    Now,
    config::{Address, Config, Passthrough, Scope, VirtualClusterConfig},
    failover::Machine,
    health::{BrokerState, Standing},
    passthrough::{Outliers, Slot, View},
    snapshot::Cluster,
};
use std::{collections::HashMap, sync::Arc};

/// What a chain has besides in passthrough mode.
pub(crate) struct Side {
    pub(crate) rules: Arc<Passthrough>,
    pub(crate) outliers: Arc<Outliers>,
    /// With `scope: broker` one per slot, otherwise none.
    pub(crate) slots: Vec<SlotMachine>,
    /// The last switch of the chain left a cluster that had quorum.
    pub(crate) planned: bool,
}

/// The machine of one slot.
pub(crate) struct SlotMachine {
    pub(crate) machine: Machine,
    told: HashMap<Arc<str>, Standing>,
    planned: bool,
}

impl Side {
    pub(crate) fn new(config: &VirtualClusterConfig) -> Option<Self> {
        let rules = config.mode.passthrough()?;
        let slot = |_| SlotMachine {
            machine: Machine::new(config.chain.clone(), config.failover.clone()),
            told: HashMap::new(),
            planned: false,
        };
        let slots = if rules.scope == Scope::Broker { config.slots } else { 0 };
        Some(Self {
            rules: Arc::new(rules.clone()),
            outliers: Arc::default(),
            slots: (0..slots).map(slot).collect(),
            planned: false,
        })
    }

    /// What connections go by.
    pub(crate) fn view(&self, chain: &Chain, clusters: &[Watched]) -> View {
        let slots = if self.slots.is_empty() {
            let slot = lead(&chain.machine, self.planned, clusters);
            (0..chain.config.slots).map(|_| slot.clone()).collect()
        } else {
            self.slots.iter().map(|s| lead(&s.machine, s.planned, clusters)).collect()
        };
        View { rules: self.rules.clone(), slots, outliers: self.outliers.clone() }
    }

    /// When the machine of a slot next has something to do.
    pub(crate) fn deadline(&self) -> Option<Now> {
        self.slots.iter().filter_map(|s| s.machine.deadline()).min()
    }
}

impl SlotMachine {
    /// The standing of a cluster as this slot sees it, if the machine has not been told yet.
    pub(crate) fn tell(&mut self, slot: usize, cluster: &Watched) -> Option<Standing> {
        let standing = match broker_of(slot, &cluster.shared).and_then(|b| cluster.health.state(b)) {
            Some(BrokerState::Healthy) => Standing::Quorum,
            Some(BrokerState::Unhealthy) => Standing::Lost,
            Some(BrokerState::Unknown) | None => Standing::Unknown,
        };
        let before = self.told.insert(cluster.config.name.clone(), standing);
        (before.unwrap_or(Standing::Unknown) != standing).then_some(standing)
    }

    /// A switch begins.
    pub(crate) fn fenced(&mut self) {
        self.planned = self.machine.planned().is_some();
    }
}

/// Whether a cluster is reached by passthrough only. Then nobody speaks Kafka with it, unless its probes do: its brokers may want
/// TLS, and what they advertise are Pointsman's own slots.
pub(crate) fn only_passed_through(config: &Config, cluster: &str) -> bool {
    let mut uses =
        config.virtual_clusters.iter().filter(|v| v.chain.iter().any(|c| **c == *cluster)).peekable();
    uses.peek().is_some() && uses.all(|v| v.mode.passthrough().is_some())
}

/// The broker that a slot has in a cluster.
pub(crate) fn broker_of(slot: usize, cluster: &Cluster) -> Option<&Address> {
    cluster.bootstrap.get(slot.checked_rem(cluster.bootstrap.len())?)
}

fn lead(machine: &Machine, planned: bool, clusters: &[Watched]) -> Slot {
    let active = machine.active().and_then(|name| clusters.iter().find(|c| c.config.name == *name));
    match active {
        Some(cluster) => Slot::To { cluster: cluster.shared.clone(), since: machine.since(), planned },
        None if machine.switching() => Slot::Wait { planned },
        None => Slot::Nowhere,
    }
}

//! The health of a cluster: which brokers answer, and whether enough of them do.
//!
//! Pure: it is told what probes found, and says which probes are due and what follows for the cluster. A broker becomes
//! unhealthy after `unhealthy_after` consecutive failures, healthy after `healthy_after` consecutive successes; a refused
//! connection is conclusive at once. Passive observations only ask for probes, they never count as results.
//! The verdict has three values, so that a process that has just started neither claims a quorum nor its loss.

mod broker;
#[cfg(test)]
mod tests;

use crate::{
    Now,
    config::{Address, HealthConfig, Quorum},
    limits::PROBE_ROUND_GAP,
    topology::NodeId,
};
use broker::Broker;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What the probes of one broker have shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    /// Not enough probes yet.
    Unknown,
    /// It answers.
    Healthy,
    /// It does not.
    Unhealthy,
}

impl BrokerState {
    /// The word used in status and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// Whether a cluster has quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Neither seen nor excluded yet.
    Unknown,
    /// Enough brokers are healthy.
    Quorum,
    /// Too many brokers are unhealthy for a quorum, whatever the unknown ones are.
    Lost,
}

/// What follows for the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it has quorum.
    pub standing: Standing,
    /// Healthy brokers that count.
    pub healthy: usize,
    /// Healthy brokers that quorum needs.
    pub needed: usize,
    /// Brokers that count.
    pub total: usize,
    /// When the standing last changed.
    pub since: Now,
    /// When the broker that changed the standing last showed its first sign of trouble.
    pub trouble: Option<Now>,
}

impl Verdict {
    /// Whether quorum was seen and is not lost.
    pub fn quorum(&self) -> bool {
        self.standing == Standing::Quorum
    }
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The broker answered well.
    Success {
        /// How long it took.
        took: Duration,
    },
    /// It did not.
    Failure {
        /// Why, in words.
        reason: Arc<str>,
        /// Nobody listens there: conclusive for this broker at once.
        refused: bool,
    },
    /// It is in recovery mode: its Kafka port is open, but what the probe asks for is not well. Counts as a failure.
    Recovery {
        /// Why, in words.
        reason: Arc<str>,
    },
    /// The measurement says nothing about the broker, e.g. because this process did not get to run.
    Discarded,
}

/// A probe to start now. Its outcome is reported with the same `id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Number of the probe in its cluster.
    pub id: u64,
    /// The broker.
    pub broker: Address,
}

/// A broker as status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerView {
    /// Address as probed.
    pub address: Address,
    /// Node id, once known.
    pub node: Option<NodeId>,
    /// What its probes have shown.
    pub state: BrokerState,
    /// The last failure, while there is one.
    pub reason: Option<Arc<str>>,
    /// Duration of the last successful probe.
    pub took: Option<Duration>,
    /// Whether it counts for the quorum.
    pub counts: bool,
    /// Whether it is unhealthy although its Kafka port is open.
    pub recovery: bool,
}

impl BrokerView {
    /// The word for its state in status and log.
    pub fn word(&self) -> &'static str {
        if self.recovery { "recovery" } else { self.state.word() }
    }
}

/// The health of one cluster.
#[derive(Debug)]
pub struct ClusterHealth {
    rules: HealthConfig,
    /// By address, so that a bootstrap server and the broker that advertises the same address are one.
    brokers: BTreeMap<Address, Broker>,
    /// Whether the source of bootstrap servers has answered, be it with nothing.
    sourced: bool,
    next_probe: u64,
    last_round: Option<Now>,
    round_wanted: bool,
    verdict: Verdict,
}

impl ClusterHealth {
    /// A cluster of which nothing is known yet, not even its bootstrap servers.
    pub fn new(rules: HealthConfig, now: Now) -> Self {
        let verdict = Verdict {
            standing: Standing::Unknown,
            healthy: 0,
            needed: 1,
            total: 0,
            since: now,
            trouble: None,
        };
        Self {
            rules,
            brokers: BTreeMap::new(),
            sourced: false,
            next_probe: 0,
            last_round: None,
            round_wanted: false,
            verdict,
        }
    }

    /// Sets the bootstrap servers, as configured or as their source last said. Known brokers keep their state.
    pub fn set_bootstrap(&mut self, servers: &[Address], now: Now) {
        self.sourced = true;
        for broker in self.brokers.values_mut() {
            broker.configured = false;
        }
        for server in servers {
            self.brokers.entry(server.clone()).or_insert_with(|| Broker::new(now)).configured = true;
        }
        self.forget(now);
        self.judge(None, now);
    }

    /// Sets other rules; states stay until results say otherwise. Probes in flight are void.
    pub fn set_rules(&mut self, rules: HealthConfig, now: Now) {
        self.rules = rules;
        self.brokers.values_mut().for_each(Broker::drop_in_flight);
        self.forget(now);
        self.judge(None, now);
    }

    /// Takes in the brokers that a sound Metadata answer listed.
    pub fn discovered(&mut self, listed: &[(NodeId, Address)], now: Now) {
        for (node, address) in listed {
            self.moved(*node, address);
            if self.rules.forget_after.is_some() || self.brokers.contains_key(address) {
                let broker = self.brokers.entry(address.clone()).or_insert_with(|| Broker::new(now));
                broker.node = Some(*node);
                broker.listed = now;
            }
        }
        self.forget(now);
        self.judge(None, now);
    }

    /// A node that is listed under another address than before is one broker, not two.
    fn moved(&mut self, node: NodeId, to: &Address) {
        let elsewhere = |address: &Address, b: &Broker| b.node == Some(node) && address != to;
        self.brokers.retain(|address, b| b.configured || !elsewhere(address, b));
        for (address, broker) in &mut self.brokers {
            if elsewhere(address, broker) {
                broker.node = None;
            }
        }
    }

    /// Asks for an immediate probe of every broker; rounds follow each other at [`PROBE_ROUND_GAP`] or slower.
    pub fn probe_all(&mut self) {
        self.round_wanted = true;
    }

    /// Asks for an immediate probe of one broker, e.g. because its kept connection ended.
    pub fn probe_one(&mut self, broker: &Address, now: Now) {
        if let Some(broker) = self.brokers.get_mut(broker) {
            broker.at_once = true;
            broker.trouble.get_or_insert(now);
        }
    }

    /// The probes to start now; they count as started.
    pub fn due(&mut self, now: Now) -> Vec<Probe> {
        self.forget(now);
        if self.round_wanted && self.last_round.is_none_or(|last| now >= last + PROBE_ROUND_GAP) {
            self.round_wanted = false;
            self.last_round = Some(now);
            self.brokers.values_mut().for_each(|b| b.at_once = true);
        }
        let mut probes = Vec::new();
        for (address, broker) in &mut self.brokers {
            if broker.due_at(&self.rules).is_some_and(|at| at <= now) {
                let id = self.next_probe;
                self.next_probe += 1;
                broker.start(id, now);
                probes.push(Probe { id, broker: address.clone() });
            }
        }
        probes
    }

    /// When to call [`due`](Self::due) again, if nothing else happens before.
    pub fn next_due(&self) -> Option<Now> {
        let round =
            self.round_wanted.then(|| self.last_round.map_or(Now::ZERO, |last| last + PROBE_ROUND_GAP));
        self.brokers.values().filter_map(|b| b.due_at(&self.rules)).chain(round).min()
    }

    /// Takes in the outcome of a probe. Outcomes of brokers or probes that are no longer known are ignored.
    pub fn result(&mut self, probe: &Probe, outcome: Outcome, now: Now) {
        let Some(broker) = self.brokers.get_mut(&probe.broker) else { return };
        let trouble = broker.trouble;
        if broker.result(probe.id, outcome, &self.rules, now) {
            let trouble = trouble.or(broker.trouble);
            self.judge(trouble, now);
        }
    }

    /// What follows for the cluster.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What is known of one broker; `None`: it is not probed.
    pub fn state(&self, broker: &Address) -> Option<BrokerState> {
        self.brokers.get(broker).map(|b| b.state)
    }

    /// Brokers in recovery mode.
    pub fn in_recovery(&self) -> usize {
        self.brokers().filter(|b| b.recovery).count()
    }

    /// Every broker, in the order of addresses.
    pub fn brokers(&self) -> impl Iterator<Item = BrokerView> + '_ {
        self.brokers.iter().map(|(address, b)| BrokerView {
            address: address.clone(),
            node: b.node,
            state: b.state,
            reason: b.reason.clone(),
            took: b.took,
            counts: self.counts(b),
            recovery: b.recovery && b.state == BrokerState::Unhealthy,
        })
    }

    /// Without `forget_after` the configured brokers count. With it, the discovered ones do; a bootstrap server that no
    /// broker advertises counts only while it is not known to answer, because then it is another name of one that does.
    fn counts(&self, broker: &Broker) -> bool {
        if self.rules.forget_after.is_none() {
            return broker.configured;
        }
        let anything_discovered = self.brokers.values().any(|b| b.node.is_some());
        broker.node.is_some() || !anything_discovered || broker.state != BrokerState::Healthy
    }

    /// Drops brokers that are neither configured nor, within `forget_after`, listed.
    fn forget(&mut self, now: Now) {
        let after = self.rules.forget_after;
        if after.is_none() && self.brokers.values().all(|b| b.configured) {
            return;
        }
        let anything_discovered = self.brokers.values().any(|b| b.node.is_some());
        let before = self.brokers.len();
        self.brokers.retain(|_, b| match after {
            None => b.configured,
            Some(after) => {
                let fresh = now < b.listed + after;
                // A silent bootstrap server stays probed, but a broker that is gone for so long is no part of the cluster.
                fresh || (b.configured && (!anything_discovered || b.state != BrokerState::Unhealthy))
            }
        });
        if self.brokers.len() != before {
            self.judge(None, now);
        }
    }

    fn judge(&mut self, trouble: Option<Now>, now: Now) {
        let counted = || self.brokers.values().filter(|b| self.counts(b));
        let total = counted().count();
        let healthy = counted().filter(|b| b.state == BrokerState::Healthy).count();
        let unknown = counted().filter(|b| b.state == BrokerState::Unknown).count();
        let needed = match self.rules.quorum {
            Quorum::Majority => total / 2 + 1,
            Quorum::AtLeast(n) => usize::try_from(n).unwrap_or(usize::MAX),
        };
        let standing = if !self.sourced {
            Standing::Unknown
        } else if healthy >= needed {
            Standing::Quorum
        } else if healthy + unknown < needed {
            Standing::Lost
        } else {
            // Not decided: some brokers that count have not been seen yet. What was proven before stands.
            self.verdict.standing
        };
        let changed = standing != self.verdict.standing;
        let since = if changed { now } else { self.verdict.since };
        let trouble = if changed { trouble } else { self.verdict.trouble };
        let trouble = trouble.filter(|_| standing != Standing::Quorum);
        self.verdict = Verdict { standing, healthy, needed, total, since, trouble };
    }
}

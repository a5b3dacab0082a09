//! The process under test: health of each cluster and the machine of one chain, wired as the control plane wires them.

use super::{mutation::Mutation, world::Scenario};
use pointsman_core::{
    Now,
    config::{Address, FailoverConfig, HealthConfig, Quorum},
    failover::{Action, Command, Consumers, Input, Machine, Moment, Refusal, Saved},
    health::{ClusterHealth, Standing},
};
use std::sync::Arc;

/// What is on disk.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) saved: Saved,
    /// Generations up to this one may have been published.
    pub(crate) reserved: u64,
    pub(crate) max_epoch: i32,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) healths: Vec<ClusterHealth>,
    pub(crate) machine: Machine,
    pub(crate) generation: u64,
    mutation: Mutation,
    chain: Vec<Arc<str>>,
    told: Vec<Standing>,
    max_epoch: i32,
}

pub(crate) fn name(cluster: usize) -> Arc<str> {
    format!("c{cluster}").into()
}

pub(crate) fn address(cluster: usize, broker: usize) -> Address {
    Address { host: name(cluster), port: u16::try_from(broker + 1).unwrap_or(u16::MAX) }
}

pub(crate) fn broker_of(address: &Address) -> usize {
    usize::from(address.port) - 1
}

impl Process {
    pub(crate) fn start(scenario: &Scenario, stored: Option<&Stored>, now: Now) -> Self {
        let mutation = scenario.mutation;
        let chain: Vec<Arc<str>> = (0..scenario.brokers.len()).map(name).collect();
        let rules = failover_rules(scenario);
        let machine = match stored {
            None => Machine::new(chain.clone(), rules),
            Some(stored) => {
                let mut saved = stored.saved.clone();
                if mutation == Mutation::EpochBaseForgotten {
                    saved.epoch_base = 0;
                }
                if mutation == Mutation::TermForgotten {
                    saved.term = 0;
                }
                Machine::restore(&saved, chain.clone(), rules, now)
            }
        };
        let forgotten = mutation == Mutation::GenerationForgotten;
        let generation = stored.filter(|_| !forgotten).map_or(0, |s| s.reserved);
        let max_epoch = stored.map_or(-1, |s| s.max_epoch);
        let healths = (0..chain.len()).map(|c| health(scenario, c, now)).collect();
        let told = vec![Standing::Unknown; chain.len()];
        let mut process = Self { healths, machine, generation, mutation, chain, told, max_epoch };
        process.generation += 1;
        process
    }

    pub(crate) fn active(&self) -> Option<usize> {
        self.machine.active().and_then(|a| self.chain.iter().position(|c| c == a))
    }

    /// The cluster that serves consumers.
    pub(crate) fn consumers(&self) -> Option<usize> {
        match self.machine.consumers() {
            Consumers::Together => self.active(),
            Consumers::Wait => None,
            Consumers::Stay { on, .. } => self.chain.iter().position(|c| *c == on.cluster),
        }
    }

    pub(crate) fn stored(&self) -> Stored {
        let mut saved = self.machine.saved();
        if self.mutation == Mutation::TrailForgotten {
            (saved.trailing, saved.epoch_base) = (false, self.machine.epoch_base());
        }
        Stored { saved, reserved: self.generation + 100, max_epoch: self.max_epoch }
    }

    pub(crate) fn saw_epoch(&mut self, epoch: i32) {
        self.max_epoch = self.max_epoch.max(epoch);
    }

    /// Tells the machine which clusters changed their standing.
    pub(crate) fn tell_standings(&mut self, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        for cluster in 0..self.chain.len() {
            let verdict = self.healths[cluster].verdict();
            let mut standing = verdict.standing;
            if self.mutation == Mutation::UnknownIsQuorum && standing == Standing::Unknown {
                standing = Standing::Quorum;
            }
            let deaf = self.mutation == Mutation::LossUnheard && cluster == 0 && standing == Standing::Lost;
            let drained = matches!(self.machine.consumers(), Consumers::Stay { on, .. } if on.cluster == self.chain[cluster]);
            let deaf = deaf
                || (self.mutation == Mutation::DrainedLossUnheard && drained && standing == Standing::Lost);
            if standing == self.told[cluster] || deaf {
                continue;
            }
            self.told[cluster] = standing;
            let cluster = self.chain[cluster].clone();
            actions.extend(self.step(Input::Standing { cluster, standing, trouble: verdict.trouble }, now));
        }
        actions
    }

    pub(crate) fn step(&mut self, input: Input, now: Now) -> Vec<Action> {
        let mut moment = Moment { now, generation: &mut self.generation, max_epoch: self.max_epoch };
        self.machine.step(input, &mut moment)
    }

    pub(crate) fn command(&mut self, command: Command, now: Now) -> Result<Vec<Action>, Refusal> {
        let mut moment = Moment { now, generation: &mut self.generation, max_epoch: self.max_epoch };
        self.machine.command(command, &mut moment)
    }

    /// When it must run again, if nothing happens before.
    pub(crate) fn next_wake(&self) -> Option<Now> {
        let timer = self.machine.deadline().filter(|_| self.mutation != Mutation::NoTimer);
        self.healths.iter().filter_map(ClusterHealth::next_due).chain(timer).min()
    }

    pub(crate) fn timer_due(&self, now: Now) -> bool {
        self.mutation != Mutation::NoTimer && self.machine.deadline().is_some_and(|at| at <= now)
    }
}

fn failover_rules(scenario: &Scenario) -> FailoverConfig {
    let mut rules = scenario.failover.clone();
    if scenario.mutation == Mutation::NoHold {
        rules.hold = Now::ZERO;
    }
    if scenario.mutation == Mutation::DrainTooLong {
        rules.consumer_drain *= 2;
    }
    rules
}

fn health(scenario: &Scenario, cluster: usize, now: Now) -> ClusterHealth {
    let brokers = scenario.brokers[cluster];
    let mut rules: HealthConfig = scenario.health.clone();
    match scenario.mutation {
        Mutation::OneFailureIsEnough => rules.unhealthy_after = 1,
        Mutation::QuorumTooHigh => {
            rules.quorum = Quorum::AtLeast(u32::try_from(brokers / 2 + 2).unwrap_or(u32::MAX));
        }
        _ => {}
    }
    let mut health = ClusterHealth::new(rules, now);
    health.set_bootstrap(&(0..brokers).map(|b| address(cluster, b)).collect::<Vec<_>>(), now);
    health
}

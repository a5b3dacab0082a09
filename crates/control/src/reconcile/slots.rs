//! `scope: broker`: the machines of slots are told, stepped and obeyed, as those of chains are.

use super::run::Reconciler;
use crate::clock::Clock;
use pointsman_core::{
    Now,
    failover::{Action, Input, Machine, Moment, Reason, Switch},
    status::SwitchStatus,
};

impl Reconciler {
    /// Tells the slots of a chain what changed in their brokers.
    pub(super) fn tell_slots(&mut self, chain: usize) {
        for name in self.chains[chain].config.chain.clone() {
            let Some(cluster) = self.clusters.iter().find(|c| c.config.name == name) else { continue };
            let Some(side) = &mut self.chains[chain].passthrough else { return };
            let news = side.slots.iter_mut().enumerate();
            let news: Vec<_> = news.filter_map(|(n, slot)| Some((n, slot.tell(n, cluster)?))).collect();
            for (slot, standing) in news {
                let input = Input::Standing { cluster: name.clone(), standing, trouble: None };
                self.step_slot(chain, slot, |machine, moment| machine.step(input, moment));
            }
        }
    }

    /// Steps every slot of a chain.
    pub(super) fn step_slots(&mut self, chain: usize, input: &Input) {
        for slot in 0..self.slots_alone(chain) {
            self.step_slot(chain, slot, |machine, moment| machine.step(input.clone(), moment));
        }
    }

    /// Timers of slots that have fired.
    pub(super) fn time_slots(&mut self, chain: usize, now: Now) {
        for slot in 0..self.slots_alone(chain) {
            let side = self.chains[chain].passthrough.as_ref();
            let deadline = side.and_then(|side| side.slots[slot].machine.deadline());
            if deadline.is_some_and(|at| at <= now) {
                self.step_slot(chain, slot, |machine, moment| machine.step(Input::Timer, moment));
            }
        }
    }

    /// Takes the changed configuration of a chain in.
    pub(super) fn configure_slots(&mut self, chain: usize) {
        let config = &self.chains[chain].config;
        let (names, rules) = (config.chain.clone(), config.failover.clone());
        for slot in 0..self.slots_alone(chain) {
            let (names, rules) = (names.clone(), rules.clone());
            self.step_slot(chain, slot, |machine, moment| machine.configure(names, rules, moment));
        }
    }

    /// How many slots of a chain decide alone.
    pub(super) fn slots_alone(&self, chain: usize) -> usize {
        self.chains[chain].passthrough.as_ref().map_or(0, |side| side.slots.len())
    }

    fn step_slot(
        &mut self,
        chain: usize,
        slot: usize,
        step: impl FnOnce(&mut Machine, &mut Moment<'_>) -> Vec<Action>,
    ) {
        let now = self.around.clock.now();
        let Some(side) = &mut self.chains[chain].passthrough else { return };
        let mut moment = Moment { now, generation: &mut self.generation, max_epoch: -1 };
        for action in step(&mut side.slots[slot].machine, &mut moment) {
            self.obey_slot(chain, slot, action);
        }
    }

    fn obey_slot(&mut self, chain: usize, slot: usize, action: Action) {
        match action {
            Action::Fence { generation } => {
                if let Some(side) = &mut self.chains[chain].passthrough {
                    side.slots[slot].fenced();
                }
                self.publish(generation);
                let ticket = self.save();
                self.await_fence(chain, generation, ticket);
            }
            Action::Activate { generation, .. } | Action::Close { generation } => self.publish(generation),
            Action::Report(switch) => self.remember_slot(chain, slot, &switch),
            // In passthrough nothing tells consumers from producers: the configuration gives them no time to stay.
            Action::Announce { generation }
            | Action::FenceConsumers { generation }
            | Action::MoveConsumers { generation, .. } => self.publish(generation),
            Action::Drained(_) => {}
        }
    }

    fn remember_slot(&mut self, chain: usize, slot: usize, switch: &Switch) {
        let entry = SwitchStatus {
            generation: switch.generation,
            at_ms: Clock::unix_ms(),
            from: switch.from.as_deref().map(Into::into),
            to: switch.to.as_deref().map(Into::into),
            cause: Some(switch.reason),
            reason: self.slot_words(slot, switch),
            decided_in_ms: None,
            stranded: None,
            drain: None,
        };
        self.chains[chain].keep(entry, switch.reason);
        self.save();
    }

    fn slot_words(&self, slot: usize, switch: &Switch) -> String {
        let broker = |name: Option<&str>| {
            let cluster = self.clusters.iter().find(|c| Some(&*c.config.name) == name);
            let broker = cluster.and_then(|c| super::passthrough::broker_of(slot, &c.shared));
            broker.map_or("no broker".into(), |b| format!("{b} of {}", name.unwrap_or_default()))
        };
        let (from, to) = (broker(switch.from.as_deref()), broker(switch.to.as_deref()));
        let why = match switch.reason {
            Reason::QuorumLost => format!("{from} is unhealthy"),
            Reason::Start => format!("start: {to} is the first that is healthy"),
            Reason::QuorumBack | Reason::Failback => format!("{to} is healthy again"),
            Reason::Command | Reason::Reconfigured | Reason::Behind => {
                format!("the chain no longer has {from}")
            }
        };
        format!("slot {slot}: {why}")
    }
}

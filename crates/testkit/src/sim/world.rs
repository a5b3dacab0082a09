//! The world around the process: brokers, the network between, the disk, the data plane, and the clock.

use crate::rng::Rng;

use super::{
    checker::{Checker, Policy, Published, Violation},
    mutation::Mutation,
    oracle::Oracle,
    process::{Process, Stored, address, broker_of},
};
use pointsman_core::{
    Now,
    config::{Failback, FailoverConfig, HealthConfig},
    failover::{Action, Command, Input, Switch},
    health::{Outcome, Probe},
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

/// What a broker really does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It answers.
    Up,
    /// It is dead: connections are refused.
    Down,
    /// It is stopped: connections are accepted, nothing is answered.
    Paused,
}

/// One constellation.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Brokers of each cluster, in the order of the chain.
    pub brokers: Vec<usize>,
    /// Health rules of all clusters.
    pub health: HealthConfig,
    /// Failover rules of the chain.
    pub failover: FailoverConfig,
    /// The rule that is broken on purpose.
    pub mutation: Mutation,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub enum Event {
    /// A broker changes: cluster, broker, what it does from now on.
    Broker(usize, usize, Truth),
    /// So many percent of the probes of a broker are lost from now on.
    Loss(usize, usize, usize),
    /// The data plane reports trouble with a cluster.
    Signal(usize),
    /// An operator speaks.
    Command(Command),
    /// The process ends without notice.
    Crash,
    /// It starts.
    Start,
    /// Leader epochs of a cluster rise by so many.
    Elections(usize, i32),
    #[doc(hidden)]
    Inside(u32, Inside),
}

/// Something that happens to one process and is void for the next.
#[derive(Debug, Clone)]
pub enum Inside {
    #[doc(hidden)]
    Wake,
    #[doc(hidden)]
    Probe(usize, Probe, Fate),
    #[doc(hidden)]
    Adopted(u64),
    #[doc(hidden)]
    Stored(u64),
    #[doc(hidden)]
    StaleFence(u64),
    #[doc(hidden)]
    Progress(Input),
}

#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    Refused,
    Lost,
    Discarded,
}

#[derive(Debug)]
struct Broker {
    truth: Truth,
    loss: usize,
    /// Last time it was not up, or a probe of it failed.
    last_bad: Option<Now>,
    /// Since when it is not up.
    bad_since: Option<Now>,
}

/// The world.
#[derive(Debug)]
pub struct World {
    /// Now.
    pub now: Now,
    /// Finished changes of the active cluster, all processes together.
    pub switches: Vec<(Now, Switch)>,
    /// What happened, if asked for.
    pub trace: Option<Vec<String>>,
    /// Probes started.
    pub probes: usize,
    /// Drains that were over.
    pub drains: usize,
    pub(crate) scenario: Scenario,
    pub(crate) rng: Rng,
    brokers: Vec<Vec<Broker>>,
    epochs: Vec<i32>,
    queue: BinaryHeap<Reverse<(Now, u64)>>,
    events: HashMap<u64, Event>,
    next_event: u64,
    process: Option<Process>,
    incarnation: u32,
    started: Now,
    starts: HashMap<(usize, u64), Now>,
    next_wake: Option<Now>,
    disk: Option<Stored>,
    writes: HashMap<u64, Stored>,
    disk_free: Now,
    /// Of the newest fence: adopted by the data plane, stored on disk.
    fence: (bool, bool),
    /// Epoch base of the newest snapshot, and how much of it the newest one leaves out, to break a rule.
    last_base: i32,
    raised: i32,
    /// Generation in which consumers wait, if that has not passed.
    consumers_fence: Option<u64>,
    checker: Checker,
}

impl World {
    /// All brokers are up, the process is not started yet.
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let broker = || Broker { truth: Truth::Up, loss: 0, last_bad: None, bad_since: None };
        let brokers = scenario.brokers.iter().map(|n| (0..*n).map(|_| broker()).collect()).collect();
        let policy = Policy {
            hold: scenario.failover.hold,
            automatic_failback: scenario.failover.failback == Failback::Automatic,
            consumer_drain: scenario.failover.consumer_drain,
        };
        Self {
            now: Now::ZERO,
            switches: Vec::new(),
            trace: None,
            probes: 0,
            drains: 0,
            rng: Rng::new(seed),
            brokers,
            epochs: vec![0; scenario.brokers.len()],
            scenario,
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            next_event: 0,
            process: None,
            incarnation: 0,
            started: Now::ZERO,
            starts: HashMap::new(),
            next_wake: None,
            disk: None,
            writes: HashMap::new(),
            disk_free: Now::ZERO,
            fence: (false, false),
            last_base: 0,
            raised: 0,
            consumers_fence: None,
            checker: Checker::new(policy),
        }
    }

    /// The active cluster, while the process runs.
    pub fn active(&self) -> Option<usize> {
        self.process.as_ref().and_then(Process::active)
    }

    /// Whether an operator's choice is in force.
    pub fn pinned(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.machine.saved().pinned)
    }

    /// Whether an operator chose the active cluster though it had no quorum, and it has had none since.
    pub fn forced(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.machine.saved().forced)
    }

    /// Whether consumers are not where produces are.
    pub fn trailing(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.machine.trailing())
    }

    /// Whether enough brokers of a cluster are up.
    pub fn truly_has_quorum(&self, cluster: usize) -> bool {
        let brokers = &self.brokers[cluster];
        brokers.iter().filter(|b| b.truth == Truth::Up).count() > brokers.len() / 2
    }

    /// Lets something happen later.
    pub fn at(&mut self, at: Now, event: Event) {
        self.queue.push(Reverse((at.max(self.now), self.next_event)));
        self.events.insert(self.next_event, event);
        self.next_event += 1;
    }

    /// Runs until `end`.
    pub fn run_until(&mut self, end: Now) -> Result<(), Violation> {
        while let Some(Reverse((at, id))) = self.queue.peek().copied().filter(|Reverse((at, _))| *at <= end) {
            self.queue.pop();
            self.now = at;
            let Some(event) = self.events.remove(&id) else { continue };
            self.happen(event)?;
            self.pump()?;
            self.check_liveness()?;
            if self.process.is_some() {
                self.checker.check(self.now)?;
            }
        }
        self.now = end;
        Ok(())
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:>12?} {}", line()));
        }
    }

    fn inside(&mut self, after: Duration, event: Inside) {
        self.at(self.now + after, Event::Inside(self.incarnation, event));
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        if !matches!(&event, Event::Inside(..)) {
            self.note(|| format!("{event:?}"));
        }
        match event {
            Event::Broker(cluster, broker, truth) => self.set_truth(cluster, broker, truth),
            Event::Loss(cluster, broker, percent) => self.brokers[cluster][broker].loss = percent,
            Event::Signal(cluster) => self.signal(cluster),
            Event::Command(command) => return self.command(&command),
            Event::Crash => self.crash(),
            Event::Start => return self.start(),
            Event::Elections(cluster, by) => {
                self.epochs[cluster] += by;
                self.observe_epochs();
            }
            Event::Inside(incarnation, inside) if incarnation == self.incarnation => {
                return self.happen_inside(inside);
            }
            Event::Inside(..) => {}
        }
        Ok(())
    }

    fn set_truth(&mut self, cluster: usize, broker: usize, truth: Truth) {
        let now = self.now;
        let state = &mut self.brokers[cluster][broker];
        if state.truth != Truth::Up || truth != Truth::Up {
            state.last_bad = Some(now);
        }
        state.bad_since = if truth == Truth::Up { None } else { state.bad_since.or(Some(now)) };
        let died = truth == Truth::Down && state.truth != Truth::Down;
        state.truth = truth;
        if let Some(process) = self.process.as_mut().filter(|_| died) {
            process.healths[cluster].probe_one(&address(cluster, broker), now);
        }
    }

    fn signal(&mut self, cluster: usize) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let health = &mut process.healths[cluster];
        health.probe_all();
        if self.scenario.mutation == Mutation::SignalsDecide {
            for probe in health.due(now) {
                health.result(&probe, Outcome::Failure { reason: "signal".into(), refused: true }, now);
            }
        }
    }

    fn command(&mut self, command: &Command) -> Result<(), Violation> {
        let now = self.now;
        let Some(process) = &mut self.process else { return Ok(()) };
        let Ok(actions) = process.command(command.clone(), now) else { return Ok(()) };
        let number = |to: &str| (0..self.brokers.len()).find(|c| *super::process::name(*c) == *to);
        match command {
            Command::Switch { to, force, .. } => self.checker.commanded(number(to), *force),
            Command::Failback => self.checker.commanded(None, false),
            Command::Automatic => self.checker.released(),
        }
        self.apply(actions)
    }

    /// What is on its way to the disk is lost with the process.
    fn crash(&mut self) {
        self.process = None;
        self.incarnation += 1;
        self.writes.clear();
    }

    fn start(&mut self) -> Result<(), Violation> {
        if self.process.is_some() {
            return Ok(());
        }
        self.started = self.now;
        self.next_wake = None;
        self.starts.clear();
        self.disk_free = self.now;
        let process = Process::start(&self.scenario, self.disk.as_ref(), self.now);
        let rules = &self.scenario.health;
        let oracle = |n: &usize| Oracle::new(*n, rules, self.now);
        self.checker.started(self.scenario.brokers.iter().map(oracle).collect(), self.now);
        self.disk = Some(process.stored());
        let snapshot = self.snapshot(&process, process.generation, true);
        self.process = Some(process);
        self.publish(snapshot)
    }

    fn happen_inside(&mut self, inside: Inside) -> Result<(), Violation> {
        match inside {
            Inside::Wake => self.next_wake = None,
            Inside::Probe(cluster, probe, fate) => self.probe_ends(cluster, &probe, fate),
            Inside::Adopted(generation) => {
                self.checker.adopted(generation);
                self.fence.0 |= self.is_newest(generation);
                if self.consumers_fence == Some(generation) {
                    return self.fenced(generation);
                }
                return self.fence_passed(generation);
            }
            Inside::Progress(input) => {
                let now = self.now;
                let actions = self.process.as_mut().map(|p| p.step(input, now));
                return self.apply(actions.unwrap_or_default());
            }
            Inside::Stored(generation) => {
                if let Some(stored) = self.writes.remove(&generation) {
                    self.disk = Some(stored);
                }
                self.fence.1 |= self.is_newest(generation);
                return self.fence_passed(generation);
            }
            Inside::StaleFence(generation) => {
                let taken_for_newest = self.scenario.mutation == Mutation::StaleFenceAccepted;
                let newest = self.process.as_ref().map_or(0, |p| p.machine.since());
                return self.fenced(if taken_for_newest { newest } else { generation });
            }
        }
        Ok(())
    }

    fn is_newest(&self, generation: u64) -> bool {
        self.process.as_ref().is_some_and(|p| p.machine.since() == generation)
    }

    fn fence_passed(&mut self, generation: u64) -> Result<(), Violation> {
        let passed = self.is_newest(generation) && self.fence == (true, true);
        if passed { self.fenced(generation) } else { Ok(()) }
    }

    fn fenced(&mut self, generation: u64) -> Result<(), Violation> {
        let now = self.now;
        let Some(process) = &mut self.process else { return Ok(()) };
        let actions = process.step(Input::Fenced { generation }, now);
        self.apply(actions)
    }

    /// Everything the control plane does after each event.
    fn pump(&mut self) -> Result<(), Violation> {
        let now = self.now;
        for cluster in 0..self.brokers.len() {
            let due = self.process.as_mut().map(|p| p.healths[cluster].due(now));
            for probe in due.into_iter().flatten() {
                self.probe_starts(cluster, probe);
            }
        }
        let Some(process) = &mut self.process else { return Ok(()) };
        let mut actions = process.tell_standings(now);
        if process.timer_due(now) {
            actions.extend(process.step(Input::Timer, now));
        }
        self.apply(actions)?;
        let wake = self.process.as_ref().and_then(Process::next_wake);
        if let Some(at) = wake.filter(|at| self.next_wake.is_none_or(|planned| *at < planned)) {
            self.next_wake = Some(at.max(now));
            self.inside(at.saturating_sub(now), Inside::Wake);
        }
        Ok(())
    }

    fn probe_starts(&mut self, cluster: usize, probe: Probe) {
        self.probes += 1;
        let broker = broker_of(&probe.broker);
        self.starts.insert((cluster, probe.id), self.now);
        let timeout = self.scenario.health.timeout;
        let Broker { truth, loss, .. } = self.brokers[cluster][broker];
        let (fate, after) = match truth {
            Truth::Down => (Fate::Refused, self.rng.ms(0, 3)),
            Truth::Paused => (Fate::Lost, timeout),
            Truth::Up if self.rng.chance(loss) => (Fate::Lost, timeout),
            Truth::Up if self.rng.chance(1) => (Fate::Discarded, timeout),
            Truth::Up if self.rng.chance(2) => (Fate::Answered, timeout.mul_f64(0.9)),
            Truth::Up => (Fate::Answered, self.rng.ms(1, 30)),
        };
        self.inside(after, Inside::Probe(cluster, probe, fate));
    }

    fn probe_ends(&mut self, cluster: usize, probe: &Probe, fate: Fate) {
        let (now, broker) = (self.now, broker_of(&probe.broker));
        let state = &mut self.brokers[cluster][broker];
        let cut_off = fate == Fate::Answered && state.truth != Truth::Up;
        let failure = |reason: &str, refused| Outcome::Failure { reason: reason.into(), refused };
        let outcome = match fate {
            Fate::Answered if cut_off => failure("reset", false),
            Fate::Answered => Outcome::Success { took: Duration::from_millis(1) },
            Fate::Refused => failure("refused", true),
            Fate::Lost => failure("time-out", false),
            Fate::Discarded => Outcome::Discarded,
        };
        if !matches!(outcome, Outcome::Success { .. }) {
            state.last_bad = Some(now);
        }
        let Some(started) = self.starts.remove(&(cluster, probe.id)) else { return };
        let Some(process) = &mut self.process else { return };
        self.checker.oracles[cluster].result(broker, started, &outcome, now);
        process.healths[cluster].result(probe, outcome, now);
    }

    fn apply(&mut self, actions: Vec<Action>) -> Result<(), Violation> {
        for action in actions {
            self.note(|| format!("    {action:?}"));
            match action {
                Action::Fence { generation } => self.fence(generation)?,
                Action::Activate { generation, .. } => {
                    self.publish_now(generation)?;
                    self.store(generation);
                    self.read_on(generation);
                }
                Action::Announce { generation } => self.publish_now(generation)?,
                Action::FenceConsumers { generation } => {
                    self.publish_now(generation)?;
                    self.consumers_fence = Some(generation);
                    self.store(generation);
                    let adopted =
                        if self.rng.chance(15) { self.rng.ms(100, 400) } else { self.rng.ms(0, 20) };
                    self.inside(adopted, Inside::Adopted(generation));
                    if self.scenario.mutation == Mutation::ConsumersFenceNotAwaited {
                        self.fenced(generation)?;
                    }
                }
                Action::MoveConsumers { generation, epoch_base } => {
                    self.raised = epoch_base - self.last_base;
                    self.publish_now(generation)?;
                    self.raised = 0;
                    self.store(generation);
                }
                Action::Drained(_) => self.drains += 1,
                Action::Close { generation } => self.checker.closed(generation),
                Action::Report(switch) => self.switches.push((self.now, switch)),
            }
        }
        Ok(())
    }

    /// What the process publishes now, as far as the chain is concerned.
    fn snapshot(&self, process: &Process, generation: u64, resumed: bool) -> Published {
        let mutation = self.scenario.mutation;
        let (active, consumers) = (process.active(), process.consumers());
        let mut epoch_base = active.map_or(0, |_| process.machine.epoch_base());
        if mutation == Mutation::EpochBaseConstant && !resumed {
            epoch_base = 0;
        }
        if mutation == Mutation::ConsumersEpochBaseConstant {
            epoch_base -= self.raised;
        }
        let constant = mutation == Mutation::TermConstant && !resumed;
        let term = active.filter(|_| !constant).map_or(0, |_| process.machine.term());
        Published { generation, active, consumers, epoch_base, term, resumed }
    }

    fn publish_now(&mut self, generation: u64) -> Result<(), Violation> {
        let Some(process) = &self.process else { return Ok(()) };
        let snapshot = self.snapshot(process, generation, false);
        self.publish(snapshot)
    }

    /// Consumers who stay read to the end and commit, at some time or never.
    fn read_on(&mut self, switch: u64) {
        if !self.trailing() {
            return;
        }
        let switch = if self.rng.chance(10) { switch - 1 } else { switch };
        let (read, committed) = (self.rng.ms(0, 3_000), self.rng.ms(0, 6_000));
        self.inside(read, Inside::Progress(Input::Read { switch }));
        self.inside(committed, Inside::Progress(Input::Committed { switch }));
    }

    fn fence(&mut self, generation: u64) -> Result<(), Violation> {
        self.fence = (false, false);
        self.publish_now(generation)?;
        let slow = self.rng.chance(15);
        let adopted = if slow { self.rng.ms(100, 400) } else { self.rng.ms(0, 20) };
        self.inside(adopted, Inside::Adopted(generation));
        if self.scenario.mutation == Mutation::IntentNotStored {
            self.fence.1 = true;
        } else {
            self.store(generation);
        }
        if self.rng.chance(50) {
            let late = self.rng.ms(0, 20);
            self.inside(late, Inside::StaleFence(generation - 1));
        }
        if self.scenario.mutation == Mutation::FenceNotAwaited {
            return self.fenced(generation);
        }
        Ok(())
    }

    fn store(&mut self, generation: u64) {
        let Some(process) = &self.process else { return };
        self.writes.insert(generation, process.stored());
        self.disk_free = self.disk_free.max(self.now) + self.rng.ms(0, 30);
        let after = self.disk_free - self.now;
        self.inside(after, Inside::Stored(generation));
    }

    fn publish(&mut self, snapshot: Published) -> Result<(), Violation> {
        self.note(|| format!("    {snapshot:?}"));
        self.last_base = snapshot.epoch_base;
        let active = snapshot.active;
        let solid: Vec<bool> = (0..self.brokers.len()).map(|c| self.is_solid(c)).collect();
        self.checker.published(snapshot, &solid, self.now)?;
        if let Some(active) = active {
            self.checker.shown(self.epochs[active]);
        }
        self.observe_epochs();
        Ok(())
    }

    fn observe_epochs(&mut self) {
        let Some(process) = &mut self.process else { return };
        if let Some(active) = process.active() {
            self.checker.shown(self.epochs[active]);
        }
        self.epochs.iter().for_each(|e| process.saw_epoch(*e));
    }

    /// A majority of brokers was up, and each probe of them was answered, for so long that no rule can doubt them.
    fn is_solid(&self, cluster: usize) -> bool {
        let rules = &self.scenario.health;
        let window = rules.timeout * (rules.unhealthy_after + 2) + rules.interval * 4;
        let long_ago = |b: &&Broker| b.last_bad.is_none_or(|at| at + window < self.now);
        let brokers = &self.brokers[cluster];
        brokers.iter().filter(|b| b.truth == Truth::Up).filter(long_ago).count() > brokers.len() / 2
    }

    /// Clients do not stay on a cluster whose majority has been dead for long.
    fn check_liveness(&self) -> Result<(), Violation> {
        let bound = self.scenario.failover.automatic && !self.forced();
        let Some(active) = self.active().filter(|_| bound) else { return Ok(()) };
        let rules = &self.scenario.health;
        let limit = rules.timeout * (rules.unhealthy_after + 3) + rules.interval * 2;
        let dead = |b: &&Broker| b.bad_since.is_some_and(|at| self.now > at.max(self.started) + limit);
        let brokers = &self.brokers[active];
        if brokers.iter().filter(dead).count() * 2 >= brokers.len() {
            let detail = format!("at {:?}: cluster {active} is still active: {brokers:?}", self.now);
            return Err(Violation { rule: "a dead cluster is left", detail });
        }
        Ok(())
    }
}

//! The loop: events in, machines stepped, actions carried out.

use super::{
    Surroundings, catch_up::CatchUp, chain::Chain, cluster::Watched, handover::Progress, moves::Moves,
    passthrough::only_passed_through, status,
};
use crate::{
    handle::Request,
    metadata::Refreshed,
    probe::Report,
    publish,
    state::{State, StateStore, Ticket, Writer},
};
use pointsman_core::{
    Now,
    config::{Address, Config, VirtualClusterConfig},
    failover::{Action, Consumers, Input, Machine, Moment},
    health::{BrokerState, Outcome},
    limits::FENCE_WAIT,
    offer::Offer,
    signal::Signal,
    snapshot::Snapshot,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep_until, timeout},
};

/// Generations reserved by each write of the state; the next write follows when half of them are used.
const RESERVE: u64 = 1_000;
/// At start and at stop the state store has so long.
const STORE_WAIT: Duration = Duration::from_secs(2);
/// Longest time without a look around.
const IDLE: Duration = Duration::from_secs(1);
/// Time between two looks at how far consumers are on a cluster that is drained.
const DRAIN_LOOK: Duration = Duration::from_millis(25);

/// What the tasks of the control plane report.
#[derive(Debug)]
pub(crate) enum Event {
    /// A cluster's bootstrap servers; none: its source is silent.
    Bootstrap(Arc<str>, Vec<Address>),
    /// A prober of a cluster.
    Probed(Arc<str>, Report),
    /// A cluster's metadata was refreshed.
    Refreshed(Arc<str>, Box<Refreshed>),
    /// A virtual cluster: nothing uses a snapshot older than this generation.
    Fenced(Arc<str>, u64),
    /// A virtual cluster: the cluster that the fence of this generation was meant for lacks records.
    Behind(Arc<str>, u64),
}

/// Where tasks report. Unbounded, but never long: each prober has a bounded number of probes in flight.
#[derive(Debug, Clone)]
pub(crate) struct Events(mpsc::UnboundedSender<Event>);

impl Events {
    pub(crate) fn send(&self, event: Event) {
        // Nobody listens any more: the process ends.
        let _ = self.0.send(event);
    }
}

pub(crate) struct Reconciler {
    pub(super) config: Config,
    pub(super) ours: Offer,
    pub(super) around: Surroundings,
    pub(super) clusters: Vec<Watched>,
    pub(super) chains: Vec<Chain>,
    pub(super) generation: u64,
    pub(super) events: Events,
    reserved: u64,
    pub(super) writer: Writer,
    snapshots: watch::Sender<Arc<Snapshot>>,
    moves: Moves,
}

impl Reconciler {
    pub(crate) fn new(
        config: Config,
        ours: Offer,
        around: Surroundings,
        store: Arc<dyn StateStore>,
        state: Option<&State>,
    ) -> (Self, mpsc::UnboundedReceiver<Event>, watch::Receiver<Arc<Snapshot>>) {
        let (sender, events) = mpsc::unbounded_channel();
        let sender = Events(sender);
        let now = around.clock.now();
        let clusters: Vec<Watched> = config
            .clusters
            .iter()
            .map(|c| {
                let state = state.and_then(|s| s.clusters.get(&c.name));
                Watched::new(c.clone(), state, around.clock, sender.clone(), &around.tasks)
            })
            .collect();
        let chain = |v: &VirtualClusterConfig| {
            Chain::new(v.clone(), state.and_then(|s| s.virtual_clusters.get(&v.name)), now)
        };
        let chains: Vec<Chain> = config.virtual_clusters.iter().map(chain).collect();
        let generation = state.map_or(0, |s| s.generation) + 1;
        let first = publish::snapshot(generation, &clusters, &chains, &ours);
        let (snapshots, receiver) = watch::channel(Arc::new(first));
        let writer = Writer::start(store, &around.tasks);
        let mut reconciler = Self {
            config,
            ours,
            around,
            clusters,
            chains,
            generation,
            events: sender,
            reserved: 0,
            writer,
            snapshots,
            moves: Moves::default(),
        };
        reconciler.note_passed_through();
        (reconciler, events, receiver)
    }

    /// Stores that generations are about to be used, before any of them is.
    pub(crate) async fn reserve_generations(&mut self) {
        let ticket = self.save();
        if timeout(STORE_WAIT, ticket.stored()).await.is_err() {
            tracing::error!("the state could not be stored within {STORE_WAIT:?}; starting without");
        }
    }

    /// Which clusters nobody but their probes may speak Kafka with.
    pub(super) fn note_passed_through(&mut self) {
        for cluster in &mut self.clusters {
            cluster.quiet = only_passed_through(&self.config, &cluster.config.name);
        }
    }

    /// Runs until its parent ends.
    pub(crate) async fn run(
        mut self,
        mut events: mpsc::UnboundedReceiver<Event>,
        mut signals: mpsc::Receiver<Signal>,
        mut requests: mpsc::Receiver<Request>,
    ) {
        let stop = self.around.tasks.stop.clone();
        self.look_around();
        loop {
            let wake = self.around.clock.instant(self.next_wake());
            tokio::select! {
                () = stop.cancelled() => return self.write_down(),
                Some(event) = events.recv() => self.take(event),
                Some(signal) = signals.recv() => self.hear(&signal),
                Some(request) = requests.recv() => self.serve(request),
                () = sleep_until(wake) => {}
            }
            // What came at the same time is taken in before anything is decided.
            while let Ok(event) = events.try_recv() {
                self.take(event);
            }
            self.look_around();
        }
    }

    fn next_wake(&self) -> Now {
        let probes = self.clusters.iter().filter_map(|c| c.health.next_due());
        let machines = self.chains.iter().filter_map(|c| c.machine.deadline());
        let slots = self.chains.iter().filter_map(|c| c.passthrough.as_ref()?.deadline());
        let drains = self.chains.iter().any(|c| c.machine.trailing());
        let longest = if drains { DRAIN_LOOK } else { IDLE };
        probes.chain(machines).chain(slots).min().unwrap_or(Now::MAX).min(self.around.clock.now() + longest)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Bootstrap(name, servers) => {
                if self.cluster(&name).is_some_and(|c| c.set_bootstrap(servers)) {
                    self.publish_next();
                }
            }
            Event::Probed(name, report) => {
                self.readmit(&report);
                if self.cluster(&name).is_some_and(|c| c.report(report)) {
                    self.offer_changed();
                }
            }
            Event::Refreshed(name, refreshed) => {
                if self.cluster(&name).is_some_and(|c| c.refreshed(*refreshed)) {
                    self.offer_changed();
                }
            }
            Event::Fenced(name, generation) => {
                if let Some(chain) = self.chains.iter().position(|c| c.config.name == name) {
                    self.step(chain, Input::Fenced { generation });
                    self.step_slots(chain, &Input::Fenced { generation });
                }
            }
            Event::Behind(name, generation) => {
                if let Some(chain) = self.chains.iter().position(|c| c.config.name == name) {
                    self.step(chain, Input::Behind { generation });
                }
            }
        }
    }

    /// A broker whose probe is well again has its slots back.
    fn readmit(&self, report: &Report) {
        let Report::Probed { probe, outcome: Outcome::Success { .. }, .. } = report else { return };
        let unhealthy = |c: &Watched| c.health.state(&probe.broker) == Some(BrokerState::Unhealthy);
        if self.clusters.iter().any(unhealthy) {
            self.chains
                .iter()
                .filter_map(|c| c.passthrough.as_ref())
                .for_each(|p| p.outliers.well(&probe.broker));
        }
    }

    /// A cluster of the chain can do other things than before: clients are told, and it is kept for a restart.
    fn offer_changed(&mut self) {
        self.publish_next();
        self.save();
    }

    fn hear(&mut self, signal: &Signal) {
        let now = self.around.clock.now();
        match signal {
            Signal::BrokerFailed { cluster, broker, failure } => {
                tracing::debug!(cluster = &**cluster, %broker, ?failure, "signal");
                if let Some(cluster) = self.cluster(cluster) {
                    cluster.health.probe_one(broker, now);
                    cluster.health.probe_all();
                }
            }
            Signal::TopologyStale { cluster } => {
                if let Some(cluster) = self.cluster(cluster) {
                    cluster.refresher.refresh();
                }
            }
            Signal::ProducerIdTooLarge { cluster, id } => {
                tracing::error!(
                    cluster = &**cluster,
                    id,
                    "a broker handed out a producer id of 2^36 or more, which Pointsman cannot carry over a switch; \
                     the producer was told to ask again. Is the cluster reached through another proxy that changes ids?"
                );
            }
            Signal::PositionsMoved { virtual_cluster, cluster, moved } => {
                self.moves.tell(virtual_cluster, cluster, moved, now);
            }
            Signal::TransactionsRefused { virtual_cluster } => tracing::error!(
                virtual_cluster = &**virtual_cluster,
                "a transactional producer was refused: `replication: identical_offsets` does not go with transactions"
            ),
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Status(reply) => {
                // Who asked may be gone.
                let _ = reply.send(status::status(self));
            }
            Request::Apply(config, reply) => {
                let _ = reply.send(self.configure(*config));
            }
            Request::Command(name, command, reply) => {
                let _ = reply.send(self.command(&name, command));
            }
        }
    }

    /// What grew since the state was stored, at an orderly end.
    fn write_down(&mut self) {
        let now = self.around.clock.now();
        self.chains.iter_mut().for_each(|chain| chain.take_down(now));
        self.save();
    }

    /// Probes that are due, verdicts that changed, timers that fired.
    fn look_around(&mut self) {
        let (now, mut more) = (self.around.clock.now(), false);
        for cluster in &mut self.clusters {
            cluster.start_probes(now);
            cluster.news();
        }
        for chain in 0..self.chains.len() {
            self.chains[chain].handover.groups.set_time(now);
            self.tell(chain);
            self.look_at_drain(chain);
            if self.chains[chain].machine.deadline().is_some_and(|at| at <= now) {
                self.step(chain, Input::Timer);
            }
            self.time_slots(chain, now);
        }
        for chain in self.chains.iter_mut().filter(|c| c.saw_more(now)) {
            chain.take_down(now);
            more = true;
        }
        let half_used = self.generation + RESERVE / 2 > self.reserved;
        let outgrown = self.clusters.iter().any(Watched::outgrew_state);
        if more || half_used || outgrown || self.chains.iter().any(Chain::outgrew_state) {
            self.save();
        }
    }

    /// Tells a machine how far consumers are on the cluster that they stay on.
    fn look_at_drain(&mut self, chain: usize) {
        let Chain { machine, handover, .. } = &mut self.chains[chain];
        let (Consumers::Stay { on, .. }, Some(_)) = (machine.consumers(), machine.active()) else { return };
        let switch = machine.since();
        match handover.progress(on.since) {
            Progress::Behind => {}
            Progress::Read => self.step(chain, Input::Read { switch }),
            Progress::Committed => self.step(chain, Input::Committed { switch }),
        }
    }

    /// Tells a machine what changed in its clusters.
    pub(super) fn tell(&mut self, chain: usize) {
        if self.slots_alone(chain) > 0 {
            return self.tell_slots(chain);
        }
        for name in self.chains[chain].config.chain.clone() {
            let Some(cluster) = self.clusters.iter().find(|c| c.config.name == name) else { continue };
            if let Some(verdict) = self.chains[chain].tell(cluster) {
                let (standing, trouble) = (verdict.standing, verdict.trouble);
                self.step(chain, Input::Standing { cluster: name, standing, trouble });
            }
        }
    }

    fn step(&mut self, chain: usize, input: Input) {
        self.with_moment(chain, |machine, moment| machine.step(input, moment));
    }

    /// Steps a machine and does what it says.
    pub(super) fn with_moment(
        &mut self,
        chain: usize,
        step: impl FnOnce(&mut Machine, &mut Moment<'_>) -> Vec<Action>,
    ) {
        let names = &self.chains[chain].config.chain;
        let members = self.clusters.iter().filter(|c| names.contains(&c.config.name));
        let max_epoch = members.map(Watched::max_epoch).max().unwrap_or(-1);
        let now = self.around.clock.now();
        let mut moment = Moment { now, generation: &mut self.generation, max_epoch };
        for action in step(&mut self.chains[chain].machine, &mut moment) {
            self.act(chain, action);
        }
    }

    fn act(&mut self, chain: usize, action: Action) {
        match action {
            Action::Fence { generation } => {
                let planned = self.chains[chain].machine.planned().is_some();
                if let Some(side) = &mut self.chains[chain].passthrough {
                    side.planned = planned;
                }
                self.keep_consumers(chain);
                self.publish(generation);
                let ticket = self.save();
                self.await_fence(chain, generation, ticket);
            }
            Action::Activate { generation, cluster, epoch_base } => {
                self.take_over(chain, &cluster, generation, epoch_base);
                self.publish(generation);
                self.chains[chain].take_down(self.around.clock.now());
                self.save();
                if let Some(cluster) = self.cluster(&cluster) {
                    cluster.refresher.refresh();
                }
                self.begin_drain(chain);
            }
            Action::Close { generation } => self.publish(generation),
            Action::Announce { generation } => self.publish(generation),
            Action::FenceConsumers { generation } => {
                self.publish(generation);
                let ticket = self.save();
                self.await_fence(chain, generation, ticket);
            }
            Action::MoveConsumers { generation, epoch_base } => {
                self.chains[chain].handover.consumers_moved(epoch_base);
                self.publish(generation);
                self.chains[chain].take_down(self.around.clock.now());
                self.save();
            }
            Action::Drained(drained) => {
                self.chains[chain].remember_drain(&drained);
                self.save();
            }
            Action::Report(switch) => {
                let now = self.around.clock.now();
                self.chains[chain].remember(&switch, &self.clusters, now);
                self.save();
            }
        }
    }

    /// Consumers may stay on what produces are about to leave.
    fn keep_consumers(&mut self, chain: usize) {
        let Consumers::Stay { on, .. } = self.chains[chain].machine.consumers() else { return };
        let name = on.cluster.clone();
        if let Some(shared) = self.cluster(&name).map(|c| c.shared.clone()) {
            self.chains[chain].handover.stay(shared);
        }
    }

    /// Produces have left the cluster that consumers stay on: where its logs end is polled once more, and does not move any more.
    fn begin_drain(&mut self, chain: usize) {
        let now = self.around.clock.now();
        let Consumers::Stay { on, .. } = self.chains[chain].machine.consumers() else { return };
        let name = on.cluster.clone();
        self.chains[chain].handover.begin_drain(now);
        if let Some(cluster) = self.cluster(&name) {
            drop(cluster.poller.asker().poll());
        }
    }

    /// A cluster becomes active: where its logs end is frozen with the generation, before any session can use it.
    fn take_over(&mut self, chain: usize, cluster: &str, generation: u64, epoch_base: i32) {
        let Some(shared) = self.cluster(cluster).map(|c| c.shared.clone()) else { return };
        let chain = &mut self.chains[chain];
        if chain.config.replication.keeps_offsets() {
            return chain.handover.goes_on(&shared, generation);
        }
        let handover = &mut chain.handover;
        if let Some(point) = handover.activated(&shared, generation, epoch_base) {
            let groups = handover.groups.clone();
            self.around.tasks.tracker.spawn_blocking(move || groups.keep(&point));
        }
    }

    /// The second phase of a switch begins when the data plane is done with older snapshots and the state is stored; the
    /// machine itself goes on when neither happens in time. A planned switch also waits for fresh end offsets.
    pub(super) fn await_fence(&self, chain: usize, generation: u64, ticket: Ticket) {
        let (fence, events) = (self.around.fence.clone(), self.events.clone());
        let name = self.chains[chain].config.name.clone();
        let planned = self.chains[chain].machine.planned();
        let polled = planned.into_iter().flatten();
        let polled: Vec<_> =
            polled.filter_map(|name| self.clusters.iter().find(|c| c.config.name == *name)).collect();
        let patience = self.chains[chain].config.failover.catch_up;
        if let [from, to] = polled[..]
            && !patience.is_zero()
        {
            let same = CatchUp::new([from, to], patience);
            self.around.tasks.spawn(async move {
                let all = async { tokio::join!(fence.passed(generation), ticket.stored()) };
                if timeout(FENCE_WAIT, all).await.is_err() {
                    tracing::warn!(
                        virtual_cluster = &*name,
                        generation,
                        "connections or the state store did not follow"
                    );
                }
                let event = if same.reached(&name).await { Event::Fenced } else { Event::Behind };
                events.send(event(name, generation));
            });
            return;
        }
        let polls: Vec<_> = polled.into_iter().map(|c| c.poller.asker().poll()).collect();
        let polls = async move {
            for poll in polls {
                poll.await;
            }
        };
        self.around.tasks.spawn(async move {
            let all = async { tokio::join!(fence.passed(generation), ticket.stored(), polls) };
            if timeout(FENCE_WAIT, all).await.is_err() {
                tracing::warn!(
                    virtual_cluster = &*name,
                    generation,
                    "connections, the state store or brokers did not follow within {FENCE_WAIT:?}; the switch goes on"
                );
            }
            events.send(Event::Fenced(name, generation));
        });
    }

    pub(super) fn cluster(&mut self, name: &str) -> Option<&mut Watched> {
        self.clusters.iter_mut().find(|c| *c.config.name == *name)
    }

    pub(super) fn publish_next(&mut self) {
        self.generation += 1;
        self.publish(self.generation);
    }

    pub(super) fn publish(&mut self, generation: u64) {
        debug_assert_eq!(generation, self.generation, "actions are carried out before the next step");
        let snapshot = publish::snapshot(generation, &self.clusters, &self.chains, &self.ours);
        self.snapshots.send_replace(Arc::new(snapshot));
    }

    pub(super) fn save(&mut self) -> Ticket {
        self.reserved = self.generation + RESERVE;
        let state = State {
            generation: self.reserved,
            clusters: self.clusters.iter_mut().map(|c| (c.config.name.clone(), c.state())).collect(),
            virtual_clusters: self.chains.iter_mut().map(|c| (c.config.name.clone(), c.state())).collect(),
        };
        self.writer.write(state)
    }
}

//! One cluster: its health, its probers, what its brokers said, and where it was found.

use super::run::{Event, Events};
use crate::{
    clock::Clock,
    discovery,
    metadata::{Refreshed, Refresher},
    offsets::Poller,
    probe::{Prober, Report, Said},
    state::ClusterState,
    tasks::Tasks,
};
use pointsman_core::{
    Now,
    config::{Address, ClusterConfig},
    health::{BrokerState, BrokerView, ClusterHealth, Outcome, Probe, Standing, Verdict},
    limits::{EPOCH_MARGIN, SOURCE_WAIT},
    offer::Offer,
    offsets::EndsCell,
    places::Places,
    snapshot::Cluster,
    topology::{Observation, TopologyCell},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::{sync::watch, time::timeout};

/// The state is stored again when epochs have grown by so much: after a restart, what was shown is at most this above.
const EPOCH_STEP: i32 = EPOCH_MARGIN / 2;

pub(crate) struct Watched {
    pub(crate) config: ClusterConfig,
    pub(crate) health: ClusterHealth,
    /// As snapshots show it.
    pub(crate) shared: Arc<Cluster>,
    pub(crate) refresher: Refresher,
    pub(crate) poller: Poller,
    probers: BTreeMap<Address, Prober>,
    /// What each broker last said it can do, by `host:port`, from before a restart too.
    offers: BTreeMap<String, Offer>,
    /// What the brokers said that an operator should know.
    notes: BTreeMap<Address, &'static str>,
    leaderless: (usize, usize),
    /// It is reached by passthrough only: nobody but its probes speaks Kafka with it.
    pub(super) quiet: bool,
    /// Highest epoch that the stored state knows of.
    stored_epoch: i32,
    /// Places of brokers that the stored state knows of.
    stored_places: Places,
    /// Highest epoch that may have been seen before a restart.
    epoch_floor: i32,
    known: Verdict,
    clock: Clock,
    events: Events,
    /// Of the watcher of bootstrap servers: it has its own, because it is replaced alone.
    source: Tasks,
    tasks: Tasks,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tasks.stop.cancel();
    }
}

impl Watched {
    pub(crate) fn new(
        config: ClusterConfig,
        state: Option<&ClusterState>,
        clock: Clock,
        events: Events,
        tasks: &Tasks,
    ) -> Self {
        let tasks = tasks.child();
        let stored_places = state.map(|s| s.places.clone()).unwrap_or_default();
        let topology = Arc::new(TopologyCell::new(stored_places.clone()));
        let health = ClusterHealth::new(config.health.clone(), clock.now());
        let refresher = {
            let (events, name) = (events.clone(), config.name.clone());
            let report = move |r| events.send(Event::Refreshed(name.clone(), Box::new(r)));
            Refresher::start(topology.clone(), clock, &tasks, report)
        };
        let ends = Arc::<EndsCell>::default();
        let poller = Poller::start(topology.clone(), ends.clone(), clock, &tasks);
        let stored_epoch = state.map_or(-1, |s| s.max_epoch);
        let source = tasks.child();
        let mut watched = Self {
            shared: Arc::new(Cluster { name: config.name.clone(), bootstrap: Vec::new(), topology, ends }),
            known: health.verdict(),
            health,
            refresher,
            poller,
            probers: BTreeMap::new(),
            offers: state.map(|s| s.offers.clone()).unwrap_or_default(),
            notes: BTreeMap::new(),
            leaderless: (0, 0),
            quiet: false,
            stored_epoch,
            stored_places,
            epoch_floor: if stored_epoch < 0 { -1 } else { stored_epoch.saturating_add(EPOCH_STEP) },
            clock,
            events,
            source,
            tasks,
            config,
        };
        watched.watch_bootstrap();
        watched
    }

    /// Other bootstrap servers, or other rules.
    pub(crate) fn configure(&mut self, config: &ClusterConfig) {
        let before = std::mem::replace(&mut self.config, config.clone());
        if before.bootstrap != config.bootstrap {
            self.source.stop.cancel();
            self.source = self.tasks.child();
            self.watch_bootstrap();
        }
        if before.health != config.health {
            // Each prober has its copy of the rules: new ones are started with the next probes.
            self.probers.clear();
            self.health.set_rules(config.health.clone(), self.clock.now());
        }
    }

    fn watch_bootstrap(&mut self) {
        let servers = discovery::watch(&self.config, &self.source.tracker, &self.source.stop);
        let now_known = servers.borrow().clone();
        if !now_known.is_empty() {
            self.set_bootstrap(now_known);
        }
        self.source.spawn(tell(servers, self.config.name.clone(), self.events.clone()));
    }

    /// Takes the bootstrap servers in; returns whether they changed.
    pub(crate) fn set_bootstrap(&mut self, servers: Vec<Address>) -> bool {
        self.health.set_bootstrap(&servers, self.clock.now());
        if self.shared.bootstrap == servers {
            return false;
        }
        let (topology, ends) = (self.shared.topology.clone(), self.shared.ends.clone());
        self.shared =
            Arc::new(Cluster { name: self.config.name.clone(), bootstrap: servers, topology, ends });
        true
    }

    /// Starts the probes that are due.
    pub(crate) fn start_probes(&mut self, now: Now) {
        for probe in self.health.due(now) {
            let (rules, tasks) = (&self.config.health, &self.tasks);
            let prober = self.probers.entry(probe.broker.clone()).or_insert_with(|| {
                let (events, name) = (self.events.clone(), self.config.name.clone());
                let report = move |r| events.send(Event::Probed(name.clone(), r));
                Prober::start(probe.broker.clone(), rules, tasks, report)
            });
            prober.probe(probe);
        }
        if let Some(after) = self.config.health.forget_after {
            self.shared.topology.forget_brokers(now.saturating_sub(after));
        }
    }

    /// Takes a prober's report in; returns whether the cluster's offer changed.
    pub(crate) fn report(&mut self, report: Report) -> bool {
        let now = self.clock.now();
        match report {
            Report::ConnectionEnded(broker) => {
                self.health.probe_one(&broker, now);
                false
            }
            Report::Probed { probe, outcome, said } => {
                let changed = said.is_some_and(|said| self.hear(&probe.broker, *said, now));
                self.take(&probe, outcome, now);
                changed
            }
        }
    }

    fn take(&mut self, probe: &Probe, outcome: Outcome, now: Now) {
        let outcome = self.doubt(outcome);
        let state = |health: &ClusterHealth| health.state(&probe.broker);
        let before = state(&self.health);
        self.health.result(probe, outcome, now);
        let after = state(&self.health);
        if before != after
            && let Some(view) = self.health.brokers().find(|b| b.address == probe.broker)
        {
            log_broker(&self.config.name, &view);
        }
        self.probers.retain(|address, _| self.health.state(address).is_some());
    }

    /// Where the metadata quorum cannot be asked, partitions without leader are the sign that there is none.
    fn doubt(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Success { .. } if self.headless() => {
                self.refresher.refresh();
                let (without, all) = self.leaderless;
                let reason = format!("{without} of {all} partitions have no leader").into();
                Outcome::Failure { reason, refused: false }
            }
            outcome => outcome,
        }
    }

    fn headless(&self) -> bool {
        !self.notes.is_empty() && self.leaderless.0 * 2 > self.leaderless.1
    }

    fn hear(&mut self, broker: &Address, said: Said, now: Now) -> bool {
        match said.note {
            Some(note) => drop(self.notes.insert(broker.clone(), note)),
            None => drop(self.notes.remove(broker)),
        }
        let observation = self.without_roaming_controller(said.observation);
        let listed: Vec<_> = observation.brokers.iter().map(|(node, a, _)| (*node, a.clone())).collect();
        self.shared.topology.merge(&observation, now);
        self.health.discovered(&listed, now);
        self.set_offer(broker, said.offer)
    }

    /// KRaft names another broker as controller in each answer: the known one stays as long as it is listed.
    fn without_roaming_controller(&self, mut observation: Observation) -> Observation {
        let known = self.shared.topology.load().controller;
        if known.is_some_and(|known| observation.brokers.iter().any(|(node, ..)| *node == known)) {
            observation.controller = None;
        }
        observation
    }

    /// Takes in what a refresh of the metadata found; returns whether the cluster's offer changed.
    pub(crate) fn refreshed(&mut self, refreshed: Refreshed) -> bool {
        self.leaderless = refreshed.leaderless;
        self.health.discovered(&refreshed.brokers, self.clock.now());
        self.set_offer(&refreshed.broker, refreshed.offer)
    }

    fn set_offer(&mut self, broker: &Address, offer: Offer) -> bool {
        let before = self.offer();
        self.offers.insert(broker.to_string(), offer);
        self.drop_offers_of_strangers();
        self.offer() != before
    }

    /// A broker that is gone for good does not narrow what the others can do.
    fn drop_offers_of_strangers(&mut self) {
        let topology = self.shared.topology.load();
        let probed = self.health.brokers().map(|b| b.address.to_string());
        let seen = topology.brokers.values().map(|b| b.address.to_string());
        let known: BTreeSet<String> = probed.chain(seen).collect();
        self.offers.retain(|broker, _| known.contains(broker));
    }

    /// What every broker can do, as each last said; `None`: none ever spoke.
    pub(crate) fn offer(&self) -> Option<Offer> {
        self.offers.values().cloned().reduce(|a, b| a.intersect(&b))
    }

    /// The verdict, if its standing changed since the last call; whom to ask for metadata follows it.
    pub(crate) fn news(&mut self) -> Option<Verdict> {
        self.refresher.set_brokers(self.by_health());
        let verdict = self.health.verdict();
        let changed = verdict.standing != self.known.standing;
        self.known = verdict;
        if changed {
            log_verdict(&self.config.name, &verdict);
            self.refresher.refresh();
        }
        changed.then_some(verdict)
    }

    fn by_health(&self) -> Vec<Address> {
        if self.quiet {
            return Vec::new();
        }
        let mut brokers: Vec<BrokerView> = self.health.brokers().collect();
        let rank = |b: &BrokerView| match b.state {
            BrokerState::Healthy => 0,
            BrokerState::Unknown => 1,
            BrokerState::Unhealthy => 2,
        };
        brokers.sort_by_key(rank);
        brokers.into_iter().map(|b| b.address).collect()
    }

    /// Highest leader epoch that clients may have been shown.
    pub(crate) fn max_epoch(&self) -> i32 {
        self.shared.topology.load().max_epoch.max(self.epoch_floor)
    }

    /// Whether the stored state is too old: epochs have grown so much, or brokers have other places.
    pub(crate) fn outgrew_state(&self) -> bool {
        let topology = self.shared.topology.load();
        topology.max_epoch > self.stored_epoch.saturating_add(EPOCH_STEP)
            || topology.places != self.stored_places
    }

    pub(crate) fn state(&mut self) -> ClusterState {
        let topology = self.shared.topology.load();
        self.stored_epoch = self.stored_epoch.max(topology.max_epoch);
        self.stored_places = topology.places.clone();
        let (offers, places) = (self.offers.clone(), topology.places.clone());
        ClusterState { max_epoch: self.stored_epoch, offers, places }
    }

    /// What an operator should know.
    pub(crate) fn notes(&self) -> Vec<String> {
        let distinct: BTreeSet<&str> = self.notes.values().copied().collect();
        let mut notes: Vec<String> = distinct.into_iter().map(Into::into).collect();
        if self.leaderless.0 > 0 {
            notes.push(format!("{} of {} partitions have no leader", self.leaderless.0, self.leaderless.1));
        }
        if self.shared.bootstrap.is_empty() {
            notes.push("the source of its bootstrap servers has named none yet".into());
        }
        notes
    }
}

/// Tells which bootstrap servers there are; a source that stays silent is told as an empty list, once.
async fn tell(mut servers: watch::Receiver<Vec<Address>>, cluster: Arc<str>, events: Events) {
    if servers.borrow_and_update().is_empty() && timeout(SOURCE_WAIT, servers.changed()).await.is_err() {
        events.send(Event::Bootstrap(cluster.clone(), Vec::new()));
    }
    loop {
        let now = servers.borrow_and_update().clone();
        if !now.is_empty() {
            events.send(Event::Bootstrap(cluster.clone(), now));
        }
        if servers.changed().await.is_err() {
            return;
        }
    }
}

fn log_broker(cluster: &str, broker: &BrokerView) {
    let address = &broker.address;
    match broker.state {
        BrokerState::Healthy => tracing::info!(cluster, broker = %address, "broker healthy"),
        BrokerState::Unhealthy => {
            let reason = broker.reason.as_deref().unwrap_or("");
            let state = if broker.recovery { "in recovery mode" } else { "unhealthy" };
            tracing::warn!(cluster, broker = %address, reason, "broker {state}");
        }
        BrokerState::Unknown => {}
    }
}

fn log_verdict(cluster: &str, verdict: &Verdict) {
    let Verdict { standing, healthy, needed, total, .. } = verdict;
    match standing {
        Standing::Quorum => tracing::info!(cluster, healthy, needed, total, "quorum"),
        Standing::Lost => tracing::warn!(cluster, healthy, needed, total, "no quorum"),
        Standing::Unknown => {}
    }
}

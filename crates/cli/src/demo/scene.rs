//! What has happened so far, as the clients and the stage report it; the view and the verdict are made from it.

use super::{
    ground::{CLUSTERS, all_up},
    say,
    view::{BrokerId, BrokerState, Client, ClientKind, Event, EventKind, History, Switch},
};
use pointsman_testkit::history::{Ack, AppError, ClientHistory, Consumed};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// Events that are kept.
const EVENTS: usize = 200;
/// A rate is taken over so much time.
const RATE_OVER: Duration = Duration::from_secs(2);
/// A fault explains a switch that follows it within this time.
const FAULT_EXPLAINS: Duration = Duration::from_secs(30);

/// The shared notebook.
#[derive(Clone)]
pub(super) struct Scene(Arc<Mutex<Notes>>);

/// What is in it.
pub(super) struct Notes {
    began: Instant,
    partitions: u32,
    /// Events are printed as they come: nobody looks at a view.
    narrated: bool,
    pub(super) caption: Arc<str>,
    pub(super) events: VecDeque<Event>,
    pub(super) brokers: Vec<Vec<BrokerState>>,
    pub(super) acked: History,
    pub(super) last_switch: Option<Switch>,
    /// Partitions that nobody has been acknowledged on since the last switch.
    unserved: BTreeSet<u32>,
    /// When brokers of which cluster were last broken.
    last_fault: Option<(Duration, usize)>,
    /// Every change of the active cluster: wall clock in nanoseconds, and the index since then.
    moves: Vec<(u64, Option<usize>)>,
    clients: Vec<Actor>,
    recording: bool,
}

/// A client as it looks from outside.
struct Actor {
    name: Arc<str>,
    consumes: bool,
    total: u64,
    errors: u64,
    last: Option<Duration>,
    longest_silence: Duration,
    recent: VecDeque<(Duration, u32)>,
    history: ClientHistory,
}

impl Scene {
    pub(super) fn new(narrated: bool, partitions: u32) -> Self {
        Self(Arc::new(Mutex::new(Notes {
            began: Instant::now(),
            partitions,
            narrated,
            caption: "".into(),
            events: VecDeque::new(),
            brokers: all_up(),
            acked: History::default(),
            last_switch: None,
            unserved: BTreeSet::new(),
            last_fault: None,
            moves: Vec::new(),
            clients: Vec::new(),
            recording: true,
        })))
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client; answers its index.
    pub(super) fn enter(&self, name: &str, consumes: bool) -> usize {
        let mut notes = self.notes();
        let history = ClientHistory { client: name.to_owned(), ..ClientHistory::default() };
        notes.clients.push(Actor {
            name: name.into(),
            consumes,
            total: 0,
            errors: 0,
            last: None,
            longest_silence: Duration::ZERO,
            recent: VecDeque::new(),
            history,
        });
        notes.clients.len() - 1
    }

    /// Something that happened, in words.
    pub(super) fn event(&self, kind: EventKind, text: &str) {
        let mut notes = self.notes();
        let at = notes.now();
        notes.tell(at, kind, text);
    }

    /// Brokers of a cluster were broken.
    pub(super) fn fault(&self, cluster: usize, text: &str) {
        let mut notes = self.notes();
        let at = notes.now();
        notes.last_fault = Some((at, cluster));
        notes.tell(at, EventKind::Fault, text);
    }

    /// What is going on, in one sentence.
    pub(super) fn caption(&self, text: &str) {
        self.notes().caption = text.into();
    }

    /// What was done to brokers.
    pub(super) fn mark(&self, cluster: usize, brokers: &[usize], state: BrokerState) {
        let mut notes = self.notes();
        for broker in brokers {
            if let Some(known) = notes.brokers.get_mut(cluster).and_then(|c| c.get_mut(*broker)) {
                *known = state;
            }
        }
    }

    /// The brokers of a cluster in this state.
    pub(super) fn are(&self, cluster: usize, state: BrokerState) -> Vec<usize> {
        let notes = self.notes();
        let all = notes.brokers.get(cluster).into_iter().flatten().enumerate();
        all.filter(|(_, is)| **is == state).map(|(broker, _)| broker).collect()
    }

    /// Another cluster is active, or none.
    pub(super) fn moved(&self, active: Option<usize>) {
        let mut notes = self.notes();
        if notes.moves.last().is_some_and(|(_, last)| *last == active) {
            return;
        }
        notes.moves.push((now_ns(), active));
        let at = notes.now();
        // The cluster that served last, over a moment without any; the start is no switch.
        let from = notes.moves.iter().rev().skip(1).find_map(|(_, active)| *active);
        if active.is_none() || from.is_none() || from == active {
            return;
        }
        notes.unserved = (0..notes.partitions).collect();
        notes.last_switch = Some(Switch { at, from, to: active, reason: "".into(), took: None });
    }

    /// Why Pointsman switched, in its own words.
    pub(super) fn explain(&self, reason: &str) {
        let mut notes = self.notes();
        let at = notes.now();
        let Some(switch) = notes.last_switch.as_mut().filter(|s| s.reason.is_empty()) else { return };
        switch.reason = reason.into();
        let to = switch.to.map_or("no cluster", |c| CLUSTERS[c].0);
        let text = format!("to the {to}: {reason}");
        notes.tell(at, EventKind::Switch, &text);
    }

    /// A record was acknowledged to a producer.
    pub(super) fn acked(&self, client: usize, partition: u32, offset: u64, value: String) {
        let mut notes = self.notes();
        let at = notes.now();
        let cluster = notes.active();
        if let Some(cluster) = cluster {
            notes.acked.add(at, cluster, 1);
        }
        if notes.unserved.remove(&partition) && notes.unserved.is_empty() {
            let fault = notes.last_fault;
            if let Some(switch) = &mut notes.last_switch {
                let explains = |(then, cluster): &(Duration, usize)| {
                    switch.from == Some(*cluster) && switch.at.saturating_sub(*then) < FAULT_EXPLAINS
                };
                let since = fault.filter(explains).map_or(switch.at, |(then, _)| then);
                let took = at.saturating_sub(since);
                switch.took = Some(took);
                let text = format!("every partition is acknowledged again, {} ms later", took.as_millis());
                notes.tell(at, EventKind::Recovery, &text);
            }
        }
        let recording = notes.recording;
        let actor = &mut notes.clients[client];
        actor.seen(at, 1);
        if recording {
            actor.history.acks.push(Ack { at: now_ns(), partition, offset, value });
        }
    }

    /// Records that the consumer got.
    pub(super) fn consumed(
        &self,
        client: usize,
        partition: u32,
        records: impl Iterator<Item = (u64, String)>,
    ) {
        let mut notes = self.notes();
        let (at, wall, recording) = (notes.now(), now_ns(), notes.recording);
        let actor = &mut notes.clients[client];
        let mut count = 0;
        for (offset, value) in records {
            count += 1;
            if recording {
                actor.history.consumed.push(Consumed { at: wall, partition, offset, value });
            }
        }
        actor.seen(at, count);
    }

    /// An error that an application got.
    pub(super) fn failed(&self, client: usize, message: &str) {
        let mut notes = self.notes();
        let at = notes.now();
        let actor = &mut notes.clients[client];
        actor.errors += 1;
        actor.history.errors.push(AppError { at: now_ns(), fatal: false, message: message.to_owned() });
        let text = format!("{}: {message}", actor.name);
        notes.tell(at, EventKind::Problem, &text);
    }

    /// Begins to keep everything that the verdict needs, or ends it.
    pub(super) fn record(&self, recording: bool) {
        let mut notes = self.notes();
        notes.recording = recording;
        for actor in &mut notes.clients {
            let client = std::mem::take(&mut actor.history.client);
            actor.history = ClientHistory { client, ..ClientHistory::default() };
        }
    }

    /// What every client has seen.
    pub(super) fn histories(&self) -> Vec<ClientHistory> {
        self.notes().clients.iter().map(|c| c.history.clone()).collect()
    }

    /// When a cluster became active, at or after `since`.
    pub(super) fn active_since(&self, cluster: usize, since: u64) -> Result<u64, String> {
        let notes = self.notes();
        let found = notes.moves.iter().find(|(at, active)| *at >= since && *active == Some(cluster));
        let serving = notes.active().map_or("no cluster", |c| CLUSTERS[c].0);
        found.map(|(at, _)| *at).ok_or_else(|| format!("{serving} serves"))
    }

    /// Whether no cluster is active.
    pub(super) fn nobody_serves(&self) -> Result<(), String> {
        self.notes().active().map_or(Ok(()), |cluster| Err(format!("the {} serves", CLUSTERS[cluster].0)))
    }

    /// Whether every producer was acknowledged, and the consumer has read, on every partition since then.
    pub(super) fn traffic_since(&self, since: u64) -> Result<(), String> {
        let notes = self.notes();
        for actor in &notes.clients {
            let acks = actor.history.acks.iter().rev().map(|a| (a.at, a.partition));
            let reads = actor.history.consumed.iter().rev().map(|r| (r.at, r.partition));
            let seen: BTreeSet<u32> = acks
                .chain(reads)
                .take_while(|(at, _)| *at >= since)
                .map(|(_, partition)| partition)
                .collect();
            if seen.len() < notes.partitions as usize {
                return Err(format!("{}: {} of {} partitions", actor.name, seen.len(), notes.partitions));
            }
        }
        Ok(())
    }

    /// Whether the consumer has everything that was acknowledged since then.
    pub(super) fn caught_up(&self, since: u64) -> Result<(), String> {
        let notes = self.notes();
        let got: BTreeSet<&str> =
            notes.clients.iter().flat_map(|c| &c.history.consumed).map(|r| r.value.as_str()).collect();
        let acks = notes.clients.iter().flat_map(|c| &c.history.acks).filter(|a| a.at >= since);
        match acks.filter(|a| !got.contains(a.value.as_str())).count() {
            0 => Ok(()),
            missing => Err(format!("{missing} records are not consumed")),
        }
    }
}

impl Notes {
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Index of the cluster that serves.
    pub(super) fn active(&self) -> Option<usize> {
        self.moves.last().and_then(|(_, active)| *active)
    }

    fn tell(&mut self, at: Duration, kind: EventKind, text: &str) {
        if self.narrated {
            say(&format!("{:7.3} s  {text}", at.as_secs_f64()));
        }
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Event { at, kind, text: text.into() });
    }

    /// The clients for the view.
    pub(super) fn clients(&self) -> Vec<Client> {
        let now = self.now();
        let acked: u64 = self.clients.iter().filter(|c| !c.consumes).map(|c| c.total).sum();
        let client = |c: &Actor| Client {
            name: Arc::clone(&c.name),
            kind: if c.consumes {
                ClientKind::Consumer { lag: acked.saturating_sub(c.total) }
            } else {
                ClientKind::Producer
            },
            rate: c.rate(now),
            total: c.total,
            errors: c.errors,
            silent: c.last.map_or(Duration::ZERO, |last| now.saturating_sub(last)),
            longest_silence: c.longest_silence,
        };
        self.clients.iter().map(client).collect()
    }

    /// The state of a broker.
    pub(super) fn broker(&self, id: BrokerId) -> Option<BrokerState> {
        self.brokers.get(id.cluster)?.get(id.broker).copied()
    }
}

impl Actor {
    fn seen(&mut self, at: Duration, records: u32) {
        if let Some(last) = self.last {
            self.longest_silence = self.longest_silence.max(at.saturating_sub(last));
        }
        self.last = Some(at);
        self.total += u64::from(records);
        self.recent.push_back((at, records));
        while self.recent.front().is_some_and(|(then, _)| at.saturating_sub(*then) > RATE_OVER) {
            self.recent.pop_front();
        }
    }

    fn rate(&self, now: Duration) -> u32 {
        let recent = self.recent.iter().filter(|(at, _)| now.saturating_sub(*at) <= RATE_OVER);
        let records: u32 = recent.map(|(_, records)| *records).sum();
        records / u32::try_from(RATE_OVER.as_secs()).unwrap_or(1)
    }
}

/// The wall clock that everything is judged by.
pub(super) fn now_ns() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

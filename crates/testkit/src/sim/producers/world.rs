//! Clients, Pointsman and two clusters on a virtual clock, with everything that happens between them.

use super::{
    Setup,
    broker::{Answer, Batch, Identity, Log},
    client::{Client, Request},
    pointsman::{Out, Phase, Pointsman},
    rules::Rules,
};
use crate::{
    history::{Ack, AppError, ClientHistory, SequenceInput, SequenceReport, Side, Visit, check_sequence},
    log::LogRecord,
    rng::Rng,
};
use pointsman_core::Now;
use std::{
    collections::{BTreeMap, BinaryHeap, HashMap},
    time::Duration,
};

/// Connections of each client: the slots that it may be told as leader.
const SLOTS: usize = 2;
/// A request that left Pointsman reaches its broker within this time, or never: shorter than any visit.
const STRAGGLER: usize = 40_000;

/// What a history is made of.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) clients: Vec<Rules>,
    pub(super) partitions: usize,
    /// Batches that each client sends.
    pub(super) batches: usize,
    /// Longest time between two batches of a client, in microseconds.
    pub(super) interval: usize,
    /// Longest time of one way, in microseconds.
    pub(super) delay: usize,
    /// When a switch begins.
    pub(super) switches: Vec<Now>,
    /// When a connection is lost, and which.
    pub(super) losses: Vec<(Now, usize)>,
    pub(super) setup: Setup,
}

#[derive(Debug)]
enum Event {
    /// The application of a client sends a batch.
    Batch(usize),
    /// Look whether a client can send.
    Send(usize),
    NewId(usize),
    ToPointsman(Link, Request),
    ToBroker(Link, usize, Request, Batch),
    FromBroker(Link, usize, Request, Answer),
    ToClient(Link, Request, Answer),
    Loss(usize),
    Switch,
    Adopt(usize),
    Activate,
}

/// A connection, and which one in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Link {
    connection: usize,
    incarnation: u64,
}

/// The four ways of a connection's bytes; each keeps its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    In,
    Up(usize),
    Down(usize),
    Out,
}

pub(super) struct World {
    pub(super) scenario: Scenario,
    rng: Rng,
    now: Now,
    queue: BinaryHeap<std::cmp::Reverse<(Now, u64)>>,
    events: HashMap<u64, (Now, Event)>,
    scheduled: u64,
    clients: Vec<Client>,
    pointsman: Pointsman,
    /// Cluster, then partition.
    logs: [Vec<Log>; 2],
    next_ids: [i64; 2],
    visits: Vec<Visit>,
    incarnations: Vec<u64>,
    ways: HashMap<(Link, Way), Now>,
    /// Per client and partition: number of the next record.
    numbers: BTreeMap<(usize, usize), u64>,
    sent: Vec<usize>,
    pub(super) trace: Option<Vec<String>>,
}

impl World {
    pub(super) fn new(scenario: Scenario, seed: u64) -> Self {
        let clients: Vec<Client> =
            scenario.clients.iter().map(|rules| Client::new(*rules, scenario.partitions)).collect();
        let connections = clients.len() * SLOTS;
        let logs = || (0..scenario.partitions).map(|_| Log::default()).collect();
        let mut world = Self {
            rng: Rng::new(seed),
            now: Now::ZERO,
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            scheduled: 0,
            pointsman: Pointsman::new(scenario.setup.broken, connections),
            logs: [logs(), logs()],
            next_ids: [0, 0],
            visits: vec![Visit { side: Side::Primary, begun: 0, starts: vec![0; scenario.partitions] }],
            incarnations: vec![0; connections],
            ways: HashMap::new(),
            numbers: BTreeMap::new(),
            sent: vec![0; clients.len()],
            trace: None,
            clients,
            scenario,
        };
        for client in 0..world.clients.len() {
            world.at(Now::ZERO, Event::NewId(client));
            world.at(Now::ZERO, Event::Batch(client));
        }
        for at in world.scenario.switches.clone() {
            world.at(at, Event::Switch);
        }
        for (at, connection) in world.scenario.losses.clone() {
            world.at(at, Event::Loss(connection));
        }
        world
    }

    fn at(&mut self, at: Now, event: Event) {
        self.scheduled += 1;
        self.queue.push(std::cmp::Reverse((at, self.scheduled)));
        self.events.insert(self.scheduled, (at, event));
    }

    fn micros(&mut self, from: usize, to: usize) -> Duration {
        let micros = from + self.rng.below(to.saturating_sub(from) + 1);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// Later than everything before it on the same way.
    fn on_way(&mut self, link: Link, way: Way, event: Event) {
        let most = if way == Way::Out { self.scenario.delay } else { self.scenario.delay.min(STRAGGLER) };
        let arrival = self.now + self.micros(50, most);
        let free = self.ways.entry((link, way)).or_default();
        *free = arrival.max(*free + Duration::from_nanos(1));
        let at = *free;
        self.at(at, event);
    }

    /// Runs until nothing is left to happen or `end` has come.
    pub(super) fn run(&mut self, end: Now) {
        while let Some(std::cmp::Reverse((at, key))) = self.queue.pop() {
            if at > end {
                return;
            }
            self.now = at;
            if let Some((_, event)) = self.events.remove(&key) {
                if let Some(trace) = &mut self.trace {
                    trace.push(format!("{at:?} {event:?}"));
                }
                self.happen(event);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Batch(client) => self.batch(client),
            Event::Send(client) => self.send(client),
            Event::NewId(client) => self.new_id(client),
            Event::ToPointsman(link, request) => {
                if self.is_alive(link) {
                    let out = self.pointsman.request(link.connection, request, self.now);
                    self.carry_out(link.connection, out);
                }
            }
            Event::ToBroker(link, visit, request, batch) => {
                let answer = self.logs[visit % 2][request.partition].produce(&batch);
                self.on_way(link, Way::Down(visit), Event::FromBroker(link, visit, request, answer));
            }
            Event::FromBroker(link, visit, request, answer) => {
                if self.is_alive(link) {
                    let out =
                        self.pointsman.answered(link.connection, request.number, visit, answer, self.now);
                    self.carry_out(link.connection, out);
                }
            }
            Event::ToClient(link, request, answer) => {
                if self.is_alive(link) {
                    self.answer(link.connection, &request, answer);
                }
            }
            Event::Loss(connection) => self.lose(connection),
            Event::Switch => self.switch(),
            Event::Adopt(connection) => self.adopt(connection),
            Event::Activate => self.activate(),
        }
    }

    fn is_alive(&self, link: Link) -> bool {
        self.incarnations[link.connection] == link.incarnation
    }

    fn link(&self, connection: usize) -> Link {
        Link { connection, incarnation: self.incarnations[connection] }
    }

    fn batch(&mut self, client: usize) {
        let partition = self.rng.below(self.scenario.partitions);
        let count = 1 + u64::try_from(self.rng.below(3)).unwrap_or(0);
        let next = self.numbers.entry((client, partition)).or_default();
        let numbers = (*next..*next + count).collect();
        *next += count;
        self.clients[client].add(partition, numbers);
        self.sent[client] += 1;
        if self.sent[client] < self.scenario.batches {
            let again = self.now + self.micros(100, self.scenario.interval);
            self.at(again, Event::Batch(client));
        }
        self.send(client);
    }

    fn send(&mut self, client: usize) {
        for request in self.clients[client].send(self.now) {
            let link = self.link(client * SLOTS + request.slot);
            self.on_way(link, Way::In, Event::ToPointsman(link, request));
        }
    }

    /// InitProducerId, answered by the active cluster.
    fn new_id(&mut self, client: usize) {
        if self.clients[client].identity.is_some() {
            return;
        }
        let Phase::Serving(visit) = self.pointsman.published else {
            let again = self.now + Duration::from_millis(5);
            return self.at(again, Event::NewId(client));
        };
        let id = self.pointsman.given(self.next_ids[visit % 2], visit);
        self.next_ids[visit % 2] += 1;
        self.clients[client].identity = Some(Identity { id, epoch: 0 });
        self.send(client);
    }

    fn carry_out(&mut self, connection: usize, out: Vec<Out>) {
        let link = self.link(connection);
        for one in out {
            match one {
                Out::Forward { visit, request, mut batch } => {
                    let name = self.name(connection / SLOTS, request.partition);
                    batch.values = request.numbers.iter().map(|n| format!("{name}-{n}")).collect();
                    self.on_way(link, Way::Up(visit), Event::ToBroker(link, visit, request, batch));
                }
                Out::Answer { request, answer } => {
                    self.on_way(link, Way::Out, Event::ToClient(link, request, answer));
                }
            }
        }
    }

    fn answer(&mut self, connection: usize, request: &Request, answer: Answer) {
        let client = connection / SLOTS;
        let not_before = self.now + self.micros(0, 20_000);
        if answer == Answer::NotLeader && self.scenario.setup.moving_leaders && self.rng.chance(50) {
            // It names the leader: another slot, perhaps.
            self.clients[client].partitions[request.partition].slot = self.rng.below(SLOTS);
        }
        self.clients[client].answer(request.partition, request.number, answer, self.now, not_before);
        self.at(not_before, Event::Send(client));
        if self.clients[client].identity.is_none() {
            let after = self.now + self.micros(100, self.scenario.delay);
            self.at(after, Event::NewId(client));
        }
        self.send(client);
    }

    /// The rest of what is under way to Pointsman and to the client is gone; of what is under way to a broker only the beginning
    /// arrives.
    fn lose(&mut self, connection: usize) {
        let link = self.link(connection);
        let cut = self.now + self.micros(0, self.scenario.delay);
        let survives =
            |at: Now, event: &Event| at <= cut || !matches!(event, Event::ToBroker(l, ..) if *l == link);
        self.events.retain(|_, (at, event)| survives(*at, event));
        self.incarnations[connection] += 1;
        self.pointsman.lost(connection);
        let client = connection / SLOTS;
        self.clients[client].lost(connection % SLOTS, self.now);
        self.fence_passed();
        self.send(client);
    }

    fn switch(&mut self) {
        let Phase::Serving(visit) = self.pointsman.published else { return };
        let side = if visit % 2 == 0 { Side::Secondary } else { Side::Primary };
        let starts = self.logs[(visit + 1) % 2].iter().map(|log| log.values.len() as u64).collect();
        self.visits.push(Visit { side, begun: nanos(self.now), starts });
        self.publish(Phase::Fenced(visit + 1));
    }

    fn publish(&mut self, phase: Phase) {
        self.pointsman.published = phase;
        for connection in 0..self.incarnations.len() {
            let adopts = self.now + self.micros(0, 10_000);
            self.at(adopts, Event::Adopt(connection));
        }
    }

    fn adopt(&mut self, connection: usize) {
        let out = self.pointsman.adopt(connection, self.now);
        self.carry_out(connection, out);
        self.fence_passed();
    }

    fn fence_passed(&mut self) {
        if matches!(self.pointsman.published, Phase::Fenced(_)) && self.pointsman.all_adopted() {
            self.at(self.now, Event::Activate);
        }
    }

    fn activate(&mut self) {
        if let Phase::Fenced(visit) = self.pointsman.published {
            self.publish(Phase::Serving(visit));
        }
    }

    fn name(&self, client: usize, partition: usize) -> String {
        format!("{}{client}p{partition}", self.clients[client].rules.name)
    }

    /// Judges the history as the drill does.
    pub(super) fn verdict(&self) -> Vec<SequenceReport> {
        let mut producers = Vec::new();
        for (index, client) in self.clients.iter().enumerate() {
            for partition in 0..self.scenario.partitions {
                producers.push(self.history(index, client, partition));
            }
        }
        let log = |cluster: usize| {
            let of = |(partition, log): (usize, &Log)| {
                let partition = u32::try_from(partition).unwrap_or(0);
                let record = move |(offset, value): (u64, &String)| LogRecord {
                    partition,
                    offset,
                    value: value.clone(),
                };
                (0..).zip(&log.values).map(record).collect::<Vec<_>>()
            };
            self.logs[cluster].iter().enumerate().flat_map(of).collect()
        };
        let (primary, secondary) = (log(0), log(1));
        check_sequence(&SequenceInput {
            producers: &producers,
            primary: &primary,
            secondary: &secondary,
            visits: &self.visits,
        })
    }

    fn history(&self, index: usize, client: &Client, partition: usize) -> ClientHistory {
        let name = self.name(index, partition);
        let of_partition = client.acks.iter().filter(|(_, p, ..)| *p == partition);
        let ack = |(at, partition, offset, number): &(Now, usize, u64, u64)| Ack {
            at: nanos(*at),
            partition: u32::try_from(*partition).unwrap_or(0),
            offset: *offset,
            value: format!("{name}-{number}"),
        };
        let error = |fatal, message: String| AppError { at: 0, fatal, message };
        let mut errors = Vec::new();
        if partition == 0 && client.given_up > 0 {
            errors.push(error(false, format!("given up: {}", client.given_up)));
        }
        if partition == 0 && client.dead {
            errors.push(error(true, "fatal".into()));
        }
        if partition == 0 && !client.dead && !client.idle() {
            errors.push(error(true, "never delivered".into()));
        }
        ClientHistory { acks: of_partition.map(ack).collect(), errors, client: name, consumed: Vec::new() }
    }
}

fn nanos(at: Now) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

//! What Pointsman does to Produce requests, connection by connection: the fence, the gate, the producer ids.
//!
//! The gate is the real one. The rest is a model of `pointsman_core::session` and of the two phases of a switch: in the first, each
//! connection stops what is under way to the old cluster; in the second, each fails it, then routes what has waited. Connections
//! adopt either phase at moments of their own.

use super::{
    broker::{Answer, Batch, Identity},
    client::Request,
};
use pointsman_core::{
    Now,
    rules::request::Producer,
    session::gate::{Gate, Way},
};
use std::{collections::VecDeque, sync::Arc};

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// None.
    Nothing,
    /// There is no gate: later batches may overtake those that a switch failed.
    Gate,
    /// Producer ids are the clusters' own: both hand out the same.
    Ids,
    /// Producer ids are unique in the fleet, but the same on every visit to a cluster.
    Generation,
}

/// Where a connection is in the sequence of switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The visit of this number has begun.
    Serving(usize),
    /// The visit of this number is about to begin.
    Fenced(usize),
}

#[derive(Debug)]
pub(super) struct Pointsman {
    gate: Gate,
    topic: Arc<str>,
    broken: Broken,
    pub(super) published: Phase,
    connections: Vec<Connection>,
}

/// One client connection.
#[derive(Debug)]
struct Connection {
    phase: Phase,
    exchanges: VecDeque<Exchange>,
}

#[derive(Debug)]
struct Exchange {
    request: Request,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no cluster to send it to yet.
    Waiting,
    /// Under way to the cluster of this visit.
    Sent(usize),
    /// It was under way when its cluster was left.
    Stopped,
    Ready(Answer),
}

/// What leaves Pointsman.
#[derive(Debug)]
pub(super) enum Out {
    /// To the cluster of this visit.
    Forward { visit: usize, request: Request, batch: Batch },
    /// To the client.
    Answer { request: Request, answer: Answer },
}

impl Pointsman {
    pub(super) fn new(broken: Broken, connections: usize) -> Self {
        let connection = || Connection { phase: Phase::Serving(0), exchanges: VecDeque::new() };
        Self {
            gate: Gate::default(),
            topic: "t".into(),
            broken,
            published: Phase::Serving(0),
            connections: (0..connections).map(|_| connection()).collect(),
        }
    }

    /// The producer id that a client is given for the one that the cluster of a visit handed out.
    pub(super) fn given(&self, real: i64, visit: usize) -> i64 {
        if self.broken == Broken::Ids { real } else { real << 16 | i64::try_from(visit).unwrap_or(0) }
    }

    /// The producer id that the cluster of a visit gets.
    fn upstream(&self, id: i64, visit: usize) -> i64 {
        match self.broken {
            Broken::Ids | Broken::Generation => id,
            Broken::Nothing | Broken::Gate => id << 16 | i64::try_from(visit).unwrap_or(0),
        }
    }

    /// A client's connection was lost; its next one begins with what is published.
    pub(super) fn lost(&mut self, connection: usize) {
        self.connections[connection] = Connection { phase: self.published, exchanges: VecDeque::new() };
    }

    pub(super) fn request(&mut self, connection: usize, request: Request, now: Now) -> Vec<Out> {
        self.connections[connection].exchanges.push_back(Exchange { request, state: State::Waiting });
        let last = self.connections[connection].exchanges.len() - 1;
        let mut out = Vec::new();
        if let Phase::Serving(visit) = self.connections[connection].phase {
            self.route(connection, last, visit, now, &mut out);
        }
        self.flush(connection, out)
    }

    /// An answer of the cluster of a visit.
    pub(super) fn answered(
        &mut self,
        connection: usize,
        number: u64,
        visit: usize,
        answer: Answer,
        now: Now,
    ) -> Vec<Out> {
        let mut exchanges = self.connections[connection].exchanges.iter_mut();
        let asked = exchanges.find(|e| e.request.number == number && e.state == State::Sent(visit));
        if let Some(exchange) = asked {
            exchange.state = State::Ready(answer);
            let Request { identity, partition, base, .. } = exchange.request;
            let producer = Producer { id: identity.id, epoch: identity.epoch, sequence: base };
            let index = i32::try_from(partition).unwrap_or(0);
            self.gate.answered(producer, &self.topic, index, code(answer), now);
        }
        self.flush(connection, Vec::new())
    }

    /// A connection adopts what is published.
    pub(super) fn adopt(&mut self, connection: usize, now: Now) -> Vec<Out> {
        let phase = self.published;
        let adopting = &mut self.connections[connection];
        if adopting.phase == phase {
            return Vec::new();
        }
        adopting.phase = phase;
        for exchange in adopting.exchanges.iter_mut().filter(|e| matches!(e.state, State::Sent(_))) {
            exchange.state = State::Stopped;
        }
        let mut out = Vec::new();
        if let Phase::Serving(visit) = phase {
            for at in 0..self.connections[connection].exchanges.len() {
                match self.connections[connection].exchanges[at].state {
                    State::Stopped => self.fail(connection, at, now),
                    State::Waiting => self.route(connection, at, visit, now, &mut out),
                    State::Sent(_) | State::Ready(_) => {}
                }
            }
        }
        self.flush(connection, out)
    }

    /// Whether every connection has adopted what is published.
    pub(super) fn all_adopted(&self) -> bool {
        self.connections.iter().all(|c| c.phase == self.published)
    }

    fn route(&mut self, connection: usize, at: usize, visit: usize, now: Now, out: &mut Vec<Out>) {
        let request = self.connections[connection].exchanges[at].request.clone();
        let partition = i32::try_from(request.partition).unwrap_or(0);
        let admitted = self.broken == Broken::Gate
            || self.gate.admits(producer(&request), &self.topic, partition, way(connection), now);
        if !admitted {
            return self.fail(connection, at, now);
        }
        self.connections[connection].exchanges[at].state = State::Sent(visit);
        let identity = Identity { id: self.upstream(request.identity.id, visit), ..request.identity };
        let batch = Batch { identity, base: request.base, values: Vec::new() };
        out.push(Out::Forward { visit, request, batch });
    }

    fn fail(&mut self, connection: usize, at: usize, now: Now) {
        let exchange = &mut self.connections[connection].exchanges[at];
        exchange.state = State::Ready(Answer::NotLeader);
        let partition = i32::try_from(exchange.request.partition).unwrap_or(0);
        self.gate.close(producer(&exchange.request), &self.topic, partition, now);
    }

    /// Answers leave in the order of the requests.
    fn flush(&mut self, connection: usize, mut out: Vec<Out>) -> Vec<Out> {
        let exchanges = &mut self.connections[connection].exchanges;
        while let Some(Exchange { state: State::Ready(answer), .. }) = exchanges.front() {
            let answer = *answer;
            out.extend(exchanges.pop_front().map(|e| Out::Answer { request: e.request, answer }));
        }
        out
    }
}

/// All requests of a connection to a partition go to one broker.
fn way(connection: usize) -> Way {
    Way { session: u64::try_from(connection).unwrap_or(0), node: 0 }
}

fn code(answer: Answer) -> i16 {
    match answer {
        Answer::Written(_) => 0,
        Answer::NotLeader => 6,
        Answer::Gap => 45,
        Answer::OldEpoch => 47,
    }
}

fn producer(request: &Request) -> Producer {
    Producer { id: request.identity.id, epoch: request.identity.epoch, sequence: request.base }
}

//! One client connection, without its sockets: from the client's frames to frames for brokers, and back.
//!
//! The caller feeds complete request frames, complete response frames and events, and carries out what [`Output`] says. Answers leave in the
//! order of the requests, whoever gave them; a split request has one answer; a switch ends everything that was under way to the old
//! cluster. Large Fetch responses are not collected (see [`stream`]), nor are large Produce requests (see [`Session::receive`]).
//!
//! ```text
//!  request ─▶ translate ─▶ route ─┬─▶ whole ──▶ one broker ────────────▶ translate ─┐
//!                                 ├─▶ split ──▶ several brokers ─▶ merge ───────────┼─▶ in order ─▶ client
//!                                 ├─▶ answered here ────────────────────────────────┤
//!                                 └─▶ waits for a topology or a coordinator ─▶ route┘
//! ```

mod complete;
mod dispatch;
mod drain;
mod exchange;
mod fail;
pub mod gate;
mod layout;
pub mod members;
mod merge;
mod positions;
mod produce_parts;
mod produce_stream;
mod refuse;
mod rejoin;
mod route;
mod same_member;
mod send;
pub mod stream;
mod tell;
mod transactions;

use crate::{
    Now,
    config::Address,
    limits,
    metrics::{CloseReason, VirtualClusterMetrics},
    offsets::Reading,
    producer_ids::ProducerIds,
    rules::{Context, Side},
    signal::Signal,
    snapshot::{Active, Consumers, VirtualCluster},
    topology::{CoordinatorKind, NodeId, Topology},
};
use bytes::{Bytes, BytesMut};
use exchange::{Exchange, ExchangeId, Spares, State};
use gate::{Gate, Way};
use members::{Ghost, Members};
use merge::Answer;
use pointsman_wire::edit::Editor;
use produce_stream::Incoming;
use rejoin::Library;
use same_member::Membership;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

/// What the caller must do after a call.
#[derive(Debug, Default)]
pub struct Output {
    /// Frames for brokers, in order.
    pub sends: Vec<Outgoing>,
    /// Frames for the client, in order.
    pub replies: Vec<Bytes>,
    /// Connections to brokers that must be closed; what is queued for them is dropped.
    pub drop_links: Vec<Peer>,
    /// What the control plane should know.
    pub signals: Vec<Signal>,
    /// The client connection must be closed after the replies.
    pub close: Option<Close>,
}

/// A broker that a client connection talks to. While a cluster is drained there may be two with the same node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Generation of the switch that made its cluster active.
    pub since: u64,
    /// Its node id.
    pub node: NodeId,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.node.fmt(f)
    }
}

/// A frame for a broker, or a piece of one: the pieces of a frame follow each other without others between them.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The broker; see [`Session::address`].
    pub to: Peer,
    /// The bytes, size included.
    pub frame: Bytes,
    /// Whether a response will come. Of a request in pieces the first one says so.
    pub answered: bool,
}

/// Why the client connection is to be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The kind of reason.
    pub reason: CloseReason,
    /// In words, for the log.
    pub detail: String,
}

/// One client connection.
#[derive(Debug)]
pub struct Session {
    slot: Option<usize>,
    virtual_cluster: Arc<VirtualCluster>,
    /// Of the cluster that serves produces, and of the one that serves consumers.
    topologies: [Arc<Topology>; 2],
    /// What translations look at, by side; made anew with each change of the two.
    views: [Option<Arc<View>>; 2],
    exchanges: VecDeque<Exchange>,
    spares: Spares,
    /// For answers, in memory that is used again.
    editor: Editor,
    first: ExchangeId,
    /// Bytes that the exchanges hold.
    held: usize,
    links: BTreeMap<Peer, Link>,
    waiting: Option<Waiting>,
    /// A large Produce request that is passing through. While there is one, no further request is read.
    incoming: Option<Incoming>,
    fetch_sessions: HashMap<i32, NodeId>,
    /// Of the drain under way.
    reading: Option<Reading>,
    share_broker: Option<NodeId>,
    gate: Arc<Gate>,
    /// This connection's number at the gate.
    number: u64,
    library: Library,
    /// A member of this connection learned while it joined a group that it is unknown there.
    lost_in_join: bool,
    members: Arc<Members>,
    membership: Option<Membership>,
    metrics: Arc<VirtualClusterMetrics>,
}

/// A connection to a broker: what was asked there and not answered.
#[derive(Debug, Default)]
struct Link {
    pending: VecDeque<Pending>,
    next_correlation: i32,
    /// The answer of a poll whose Fetch was answered without it, for the next Fetch that asks the same.
    spare: Option<(Bytes, Answer)>,
    /// Requests without an answer were sent: nothing but the end of the client's connection would tell that they were lost.
    unanswered: bool,
}

/// One request on a link.
#[derive(Debug)]
struct Pending {
    correlation: i32,
    purpose: Purpose,
}

#[derive(Debug)]
enum Purpose {
    /// The whole or a part of a client's request. `poll`: the body of a part of a split Fetch.
    Exchange { id: ExchangeId, poll: Option<Bytes> },
    /// A part of a split Fetch that was answered without it.
    Spare { version: i16, poll: Bytes },
    /// Pointsman asked a member to leave that a switch left behind.
    Leave { ghost: Ghost, version: i16 },
    /// Pointsman's own question for a coordinator.
    ///
    /// `key`: what was asked for where answers do not repeat it.
    Coordinator { kind: CoordinatorKind, key: Option<Box<str>>, version: i16 },
}

/// The newest request, translated but not routed. While there is one, no further request is read.
#[derive(Debug)]
struct Waiting {
    id: ExchangeId,
    frame: BytesMut,
    /// The answer may be wrong after this, but it is given.
    until: Now,
    asked: Asked,
}

/// What was asked for, so that a request that waits can be routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    Topology,
    Coordinators,
    /// Nothing: an earlier JoinGroup is about to be answered.
    EarlierJoin,
}

/// Node ids below this stand for bootstrap servers, before any broker is known.
const BOOTSTRAP: NodeId = -1000;

impl Session {
    /// A session for a client that connected to `slot`, or to the one port of all slots.
    pub fn new(
        virtual_cluster: Arc<VirtualCluster>,
        slot: Option<usize>,
        gate: Arc<Gate>,
        metrics: Arc<VirtualClusterMetrics>,
    ) -> Self {
        let topologies = newest(&virtual_cluster);
        let mut session = Self {
            slot,
            views: views(&virtual_cluster, &topologies),
            virtual_cluster,
            topologies,
            exchanges: VecDeque::new(),
            spares: Spares::default(),
            editor: Editor::new(),
            first: 0,
            held: 0,
            links: BTreeMap::new(),
            waiting: None,
            incoming: None,
            fetch_sessions: HashMap::new(),
            reading: None,
            share_broker: None,
            number: gate.enter(),
            library: Library::default(),
            lost_in_join: false,
            gate,
            members: Arc::default(),
            membership: None,
            metrics,
        };
        session.enter_drain();
        session
    }

    /// Shares the memory of group members with the other connections of the virtual cluster.
    #[must_use]
    pub fn with_members(self, members: Arc<Members>) -> Self {
        let session = Self { members, ..self };
        session.note_active();
        session
    }

    /// Whether another request may be fed: none waits to be routed, not too many wait for an answer, and those do not hold too much.
    pub fn accepts(&self) -> bool {
        let busy = self.waiting.is_some() || self.incoming.is_some();
        let full = self.exchanges.len() >= limits::IN_FLIGHT || self.held >= limits::HELD;
        !busy && !self.is_switching() && !full
    }

    /// Counts anew what an exchange holds.
    fn weigh(&mut self, id: ExchangeId) {
        let Some(exchange) = self.exchange(id) else { return };
        let (before, now) = (exchange.weight, exchange.holds());
        exchange.weight = now;
        self.held = self.held + now - before;
    }

    /// Whether a request waits to be routed.
    pub fn is_routing(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether bytes of the client are of use now: of a next request, or of the one that is coming in.
    pub fn reads(&self) -> bool {
        match &self.incoming {
            Some(incoming) => !incoming.waits() && !self.is_switching(),
            None => self.accepts(),
        }
    }

    /// Whether an old cluster is fenced off and the new one does not serve yet, be it consumers only.
    pub fn is_switching(&self) -> bool {
        self.virtual_cluster.waits(Side::Produce) || self.virtual_cluster.waits(Side::Consume)
    }

    /// Whether some cluster serves.
    pub fn has_cluster(&self) -> bool {
        self.virtual_cluster.active.is_some()
    }

    /// Requests without an answer.
    pub fn in_flight(&self) -> usize {
        self.exchanges.len()
    }

    /// Where to connect for a node that a frame was sent to.
    pub fn address(&self, Peer { since, node }: Peer) -> Option<Address> {
        let side = self.side_of(since)?;
        if node <= BOOTSTRAP {
            let index = usize::try_from(BOOTSTRAP - node).ok()?;
            return self.serving(side)?.cluster.bootstrap.get(index).cloned();
        }
        self.topology(side).address(node).cloned()
    }

    /// When [`tick`](Self::tick) wants to be called.
    pub fn deadline(&self) -> Option<Now> {
        if self.is_switching() {
            // Nothing is answered before the switch is over, and that is an event of its own.
            return None;
        }
        let waiting = self.waiting.as_ref().map(|w| w.until);
        let incoming = self.incoming.as_ref().and_then(Incoming::until);
        let exchanges = self.exchanges.iter().filter_map(|e| match &e.state {
            State::Merging(merge) => merge.deadline,
            State::Held { until, .. } => Some(*until),
            _ => None,
        });
        waiting.into_iter().chain(incoming).chain(exchanges).min()
    }

    /// Whether the observed topology has moved on since the session last looked.
    pub fn topology_moved(&self) -> bool {
        SIDES.iter().any(|side| {
            let cell = self.serving(*side).map(|a| &a.cluster.topology);
            cell.is_some_and(|t| t.revision() != self.topology(*side).revision)
        })
    }

    /// Whether something waits for a change of the topology. If so the task is woken by it.
    pub fn poll_topology(&self, waker: &std::task::Waker) -> bool {
        let held = self.exchanges.iter().any(|e| matches!(e.state, State::Held { .. }));
        let waits = held || self.waiting.is_some() || self.incoming.as_ref().is_some_and(Incoming::waits);
        if !waits {
            return false;
        }
        let serving = SIDES.iter().filter_map(|side| self.serving(*side));
        serving.for_each(|a| a.cluster.topology.wake_on_change(waker));
        self.topology_moved()
    }

    /// Takes the newest topology, routes what waited for one, and answers what is due.
    pub fn tick(&mut self, now: Now, out: &mut Output) {
        if self.is_switching() {
            return;
        }
        self.refresh();
        self.route_waiting(now, out);
        self.complete_held(now, out);
        self.complete_due(now, out);
        self.flush(now, out);
    }

    /// Takes a new snapshot's view. When the active cluster changed, everything under way to the old one ends.
    pub fn adopt(&mut self, virtual_cluster: Arc<VirtualCluster>, now: Now, out: &mut Output) {
        // The end of a fence is a change too, also when no cluster follows: what waited is refused then.
        let key = |v: &VirtualCluster, side| (v.serving(side).map(|a| a.since), v.waits(side));
        let switched = SIDES.map(|side| key(&self.virtual_cluster, side) != key(&virtual_cluster, side));
        // Not by its revision: another cluster's topology may have the same.
        self.topologies = newest(&virtual_cluster);
        self.views = views(&virtual_cluster, &self.topologies);
        self.virtual_cluster = virtual_cluster;
        self.enter_drain();
        if switched != [false, false] {
            self.note_active();
            self.switch(switched, now, out);
        }
    }

    fn way(&self, node: NodeId) -> Way {
        Way { session: self.number, node }
    }

    fn note_active(&self) {
        // Groups are where consumers are.
        if let Some(active) = self.serving(Side::Consume) {
            self.members.activated(&active.cluster.name, active.since);
        }
    }

    fn serving(&self, side: Side) -> Option<&Active> {
        self.virtual_cluster.serving(side)
    }

    fn topology(&self, side: Side) -> &Arc<Topology> {
        let [produce, consume] = &self.topologies;
        if side == Side::Produce { produce } else { consume }
    }

    /// A side that the cluster which became active then serves.
    fn side_of(&self, since: u64) -> Option<Side> {
        SIDES.into_iter().find(|side| self.serving(*side).is_some_and(|a| a.since == since))
    }

    fn side_of_consumers(&self) -> Option<Side> {
        self.serving(Side::Consume).and_then(|a| self.side_of(a.since))
    }

    fn refresh(&mut self) {
        if self.topology_moved() {
            self.topologies = newest(&self.virtual_cluster);
            self.views = views(&self.virtual_cluster, &self.topologies);
        }
    }

    fn exchange(&mut self, id: ExchangeId) -> Option<&mut Exchange> {
        let index = usize::try_from(id.checked_sub(self.first)?).ok()?;
        self.exchanges.get_mut(index)
    }

    fn exchange_of(&self, id: ExchangeId) -> Option<&Exchange> {
        self.exchanges.get(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    fn is_first(&self, id: ExchangeId) -> bool {
        self.first == id
    }

    /// Hands complete answers out, in order.
    fn flush(&mut self, now: Now, out: &mut Output) {
        while self.exchanges.front().is_some_and(Exchange::is_complete) {
            let Some(done) = self.exchanges.pop_front() else { return };
            self.first += 1;
            self.held -= done.weight;
            if let Some(api) = usize::try_from(done.rule.key).ok().and_then(|k| self.metrics.apis.get(k)) {
                api.latency.record(now.saturating_sub(done.received));
            }
            self.spares.give(done.scan);
            if let State::Ready(frame) = done.state {
                out.replies.push(frame);
            }
        }
    }

    /// Routing a request of this side met something unknown.
    fn stale_topology(&self, side: Side, out: &mut Output) {
        if let Some(active) = self.serving(side) {
            out.signals.push(Signal::TopologyStale { cluster: active.cluster.name.clone() });
        }
    }
}

const SIDES: [Side; 2] = [Side::Produce, Side::Consume];

fn newest(virtual_cluster: &VirtualCluster) -> [Arc<Topology>; 2] {
    SIDES.map(|side| virtual_cluster.serving(side).map(|a| a.cluster.topology.load()).unwrap_or_default())
}

fn views(virtual_cluster: &Arc<VirtualCluster>, topologies: &[Arc<Topology>; 2]) -> [Option<Arc<View>>; 2] {
    let [produce, consume] = topologies;
    let view = |side, topology: &Arc<Topology>| {
        let active = virtual_cluster.serving(side)?.clone();
        let (virtual_cluster, topology) = (virtual_cluster.clone(), topology.clone());
        Some(Arc::new(View { virtual_cluster, active, topology }))
    };
    let first = view(Side::Produce, produce);
    let together = matches!(virtual_cluster.consumers, Consumers::Together);
    let second = if together { first.clone() } else { view(Side::Consume, consume) };
    [first, second]
}

/// What a translation may look at, in a form that does not borrow the session.
#[derive(Debug)]
struct View {
    virtual_cluster: Arc<VirtualCluster>,
    active: Active,
    topology: Arc<Topology>,
}

impl View {
    /// Of what serves a side.
    fn of(session: &Session, side: Side) -> Option<Arc<Self>> {
        let [produce, consume] = &session.views;
        if side == Side::Produce { produce.clone() } else { consume.clone() }
    }

    /// Of what serves the side of a request.
    fn of_exchange(session: &Session, id: ExchangeId) -> Option<Arc<Self>> {
        Self::of(session, session.exchange_of(id)?.side)
    }

    /// A stand-in while no cluster is active: nothing is known.
    fn of_none(session: &Session) -> Option<Arc<Self>> {
        let virtual_cluster = session.virtual_cluster.clone();
        let cluster = virtual_cluster.chain.first()?.clone();
        let active = Active {
            cluster,
            since: 0,
            epoch_base: 0,
            producer_ids: ProducerIds::default(),
            switch_point: Arc::default(),
        };
        Some(Arc::new(Self { virtual_cluster, active, topology: Arc::default() }))
    }

    fn context(&self) -> Context<'_> {
        Context { virtual_cluster: &self.virtual_cluster, active: &self.active, topology: &self.topology }
    }
}

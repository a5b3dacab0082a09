//! A client connection between two clusters, without sockets: requests go in as a client would send them, brokers are played
//! by the tests.
//!
//! Both clusters have brokers with the same node ids, and the topics below with other ids, leaders and epochs.
//!
//! | topic    | primary: leaders, epoch | secondary: leaders, epoch |
//! | -------- | ----------------------- | ------------------------- |
//! | `orders` | 1, 2, 1 at 3            | 2, 1, 2 at 5              |
//! | `lines`  | 2, 2, 3 at 3            | 1, 1, 1 at 5              |

use bytes::{Bytes, BytesMut};
use pointsman_core::{
    Now,
    commits::Commits,
    config::{Address, Positions, Replication},
    offer::Offer,
    offsets::{Groups, Readers, SwitchPoint},
    producer_ids::ProducerIds,
    rules,
    session::{Close, Outgoing, Output, Peer, Session, gate::Gate},
    signal::{Failure, Signal},
    snapshot::{Active, Cluster, Consumers, Staying, VirtualCluster},
    topic_ids::TopicIds,
    topology::{NodeId, Observation, Partition, Topic, TopologyCell},
};
use pointsman_wire::value::{self, Struct};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use uuid::Uuid;

pub(crate) const SLOTS: u16 = 3;
pub(crate) const MS: Duration = Duration::from_millis(1);
/// Epoch base of the secondary after the switch.
pub(crate) const BASE: i32 = 1000;

/// A request that left for a broker.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) to: Peer,
    /// The same without the generation of its cluster.
    pub(crate) node: NodeId,
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) client_id: Option<String>,
    pub(crate) body: Struct,
    /// Bytes of its frame.
    pub(crate) len: usize,
    pub(crate) answered: bool,
}

/// An answer that reached the client.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) correlation: i32,
    pub(crate) body: Struct,
}

/// The session, what came out of it, and the world around it.
pub(crate) struct Rig {
    pub(crate) session: Session,
    /// What the session has adopted.
    pub(crate) view: Arc<VirtualCluster>,
    pub(crate) primary: Arc<Cluster>,
    pub(crate) secondary: Arc<Cluster>,
    pub(crate) topic_ids: Arc<TopicIds>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) commits: Arc<Commits>,
    /// Of the drain under way.
    pub(crate) readers: Arc<Readers>,
    consumers: Consumers,
    /// In force from the next switch on.
    pub(crate) positions: Positions,
    /// In force from the next switch on.
    pub(crate) replication: Replication,
    offer: Arc<Offer>,
    pub(crate) now: Now,
    pub(crate) signals: Vec<Signal>,
    pub(crate) dropped: Vec<NodeId>,
    pub(crate) close: Option<Close>,
    /// A kernel moves the records of requests that are fed in pieces.
    pub(crate) kernel: bool,
    sends: Vec<Outgoing>,
    rest: BytesMut,
    replies: Vec<Bytes>,
    asked: BTreeMap<i32, (i16, i16)>,
    next: i32,
}

pub(crate) fn address(cluster: &str, node: NodeId) -> Address {
    Address {
        host: format!("{cluster}-{node}.internal").into(),
        port: 9000 + u16::try_from(node).expect("small"),
    }
}

pub(crate) fn topic(name: &str, id: u128, leaders: &[NodeId], epoch: i32) -> Topic {
    let partitions = leaders.iter().map(|leader| Partition { leader: *leader, epoch }).collect();
    Topic { name: name.into(), id: Uuid::from_u128(id), partitions }
}

pub(crate) fn observation(name: &str, topics: Vec<Topic>) -> Observation {
    Observation {
        cluster_id: Some(format!("{name}-id").into()),
        controller: Some(3),
        brokers: (1..=3).map(|n| (n, address(name, n), None)).collect(),
        topics,
        all_topics: true,
    }
}

pub(crate) fn cluster(name: &str, topics: Option<Vec<Topic>>) -> Arc<Cluster> {
    let topology = TopologyCell::default();
    if let Some(topics) = topics {
        topology.merge(&observation(name, topics), Now::ZERO);
    }
    let bootstrap = vec![address(name, 1), address(name, 2)];
    Arc::new(Cluster { name: name.into(), bootstrap, topology: Arc::new(topology), ends: Arc::default() })
}

pub(crate) fn primary_topics() -> Vec<Topic> {
    vec![topic("orders", 0xa1, &[1, 2, 1], 3), topic("lines", 0xa2, &[2, 2, 3], 3)]
}

pub(crate) fn secondary_topics() -> Vec<Topic> {
    vec![topic("orders", 0xb1, &[2, 1, 2], 5), topic("lines", 0xb2, &[1, 1, 1], 5)]
}

impl Rig {
    /// The primary is active, and everything about both clusters is known.
    pub(crate) fn new() -> Self {
        Self::with(cluster("primary", Some(primary_topics())), Some(0))
    }

    /// The given cluster is active.
    pub(crate) fn with(primary: Arc<Cluster>, slot: Option<usize>) -> Self {
        Self::build(primary, slot, rules::ours())
    }

    /// The given cluster is active, and this is offered.
    pub(crate) fn offering(primary: Arc<Cluster>, offer: Offer) -> Self {
        Self::build(primary, Some(0), offer)
    }

    fn build(primary: Arc<Cluster>, slot: Option<usize>, offer: Offer) -> Self {
        let secondary = cluster("secondary", Some(secondary_topics()));
        let topic_ids = Arc::new(TopicIds::new("main", []));
        let active = Some(first(&primary));
        let (gate, offer) = (Arc::new(Gate::default()), Arc::new(offer));
        let (groups, commits) = (Arc::new(Groups::default()), Arc::new(Commits::default()));
        let view = VirtualCluster {
            groups: groups.clone(),
            commits: commits.clone(),
            ..virtual_cluster(&[primary.clone(), secondary.clone()], active, false, &topic_ids, &offer)
        };
        let view = Arc::new(view);
        let session =
            Session::new(view.clone(), slot, gate.clone(), Arc::default()).with_members(Arc::default());
        Self {
            session,
            view,
            primary,
            secondary,
            topic_ids,
            gate,
            groups,
            commits,
            readers: Arc::default(),
            consumers: Consumers::Together,
            positions: Positions::default(),
            replication: Replication::default(),
            offer,
            now: Now::ZERO,
            signals: Vec::new(),
            dropped: Vec::new(),
            close: None,
            kernel: false,
            sends: Vec::new(),
            rest: BytesMut::new(),
            replies: Vec::new(),
            asked: BTreeMap::new(),
            next: 100,
        }
    }

    /// A broker of the active cluster.
    pub(crate) fn peer(&self, node: NodeId) -> Peer {
        Peer { since: self.view.active.as_ref().map_or(0, |a| a.since), node }
    }

    fn absorb(&mut self, out: Output) {
        self.sends.extend(out.sends);
        self.replies.extend(out.replies);
        self.dropped.extend(out.drop_links.iter().map(|peer| peer.node));
        self.signals.extend(out.signals);
        self.close = self.close.take().or(out.close);
    }

    /// The client asks; returns its correlation id.
    pub(crate) fn ask(&mut self, key: i16, version: i16, body: &Struct) -> i32 {
        let correlation = self.next;
        self.next += 1;
        self.asked.insert(correlation, (key, version));
        let frame = value::encode_request(key, version, correlation, Some("client"), body).expect("encodes");
        self.feed(&frame);
        correlation
    }

    /// Bytes of a request, size included.
    pub(crate) fn feed(&mut self, frame: &[u8]) {
        let mut out = Output::default();
        self.session.request(BytesMut::from(frame), self.now, &mut out);
        self.absorb(out);
    }

    /// The client begins a request that is fed in pieces.
    pub(crate) fn begin(&mut self, correlation: i32, api: (i16, i16), size: usize) {
        self.asked.insert(correlation, api);
        self.session.begin(size);
    }

    /// Feeds pieces of it; what is not taken stays.
    pub(crate) fn receive(&mut self, input: &mut BytesMut) -> bool {
        let mut out = Output::default();
        let complete = self.session.receive(input, self.now, &mut out);
        self.absorb(out);
        self.rest = input.clone();
        complete
    }

    /// Of the next `bytes` what may be moved unseen, where there is a kernel that does; returns how many.
    pub(crate) fn kernel_moves(&mut self, bytes: &[u8]) -> usize {
        let Some((to, left)) = self.session.movable().filter(|_| self.kernel) else { return 0 };
        let moved = left.min(bytes.len());
        if moved > 0 {
            let frame = Bytes::copy_from_slice(&bytes[..moved]);
            self.sends.push(Outgoing { to, frame, answered: false });
        }
        let mut out = Output::default();
        self.session.moved(moved, &mut out);
        self.absorb(out);
        moved
    }

    /// What was fed and not taken yet.
    pub(crate) fn take_rest(&mut self) -> BytesMut {
        std::mem::take(&mut self.rest)
    }

    /// The bytes that have left, whatever they are.
    pub(crate) fn sent_bytes(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.sends).into_iter().map(|o| o.frame).collect()
    }

    /// Brokers that were sent anything, in order; nothing is taken.
    pub(crate) fn sent_nodes(&self) -> Vec<NodeId> {
        self.sends.iter().map(|o| o.to.node).collect()
    }

    /// Requests put together from their pieces, and what is left of an incomplete one.
    pub(crate) fn sent_pieces(&mut self) -> (Vec<Sent>, Vec<u8>) {
        let (mut whole, mut bytes, mut to, mut answered) = (Vec::new(), Vec::new(), self.peer(0), false);
        for piece in std::mem::take(&mut self.sends) {
            if bytes.is_empty() {
                (to, answered) = (piece.to, piece.answered);
            }
            assert!(piece.to == to && !piece.frame.is_empty(), "pieces of a frame follow each other");
            bytes.extend_from_slice(&piece.frame);
            let size = u32::from_be_bytes(bytes[..4].try_into().expect("a head is never cut")) as usize;
            assert!(bytes.len() <= size + 4, "more than a frame");
            if bytes.len() == size + 4 {
                whole.push(decode(&Outgoing { to, frame: std::mem::take(&mut bytes).into(), answered }));
            }
        }
        (whole, bytes)
    }

    /// `node` answers the next complete Produce request that it got.
    pub(crate) fn answer_next(&mut self, node: NodeId) {
        let mine: Vec<_> = self.sends.extract_if(.., |o| o.to.node == node).collect();
        let mut others = std::mem::replace(&mut self.sends, mine);
        let (mut whole, _) = self.sent_pieces();
        let first = whole.remove(0);
        for sent in whole {
            let frame = value::encode_request(sent.key, sent.version, sent.correlation, None, &sent.body);
            others.push(Outgoing {
                to: sent.to,
                frame: frame.expect("encodes").into(),
                answered: sent.answered,
            });
        }
        self.sends = others;
        self.answer(&first, &crate::bodies::good(&first));
    }

    /// What has left for brokers since the last call.
    pub(crate) fn sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sends).iter().map(decode).collect()
    }

    /// The one request that has left.
    pub(crate) fn sent_one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "one request leaves: {sent:#?}");
        sent.remove(0)
    }

    /// A broker answers.
    pub(crate) fn answer(&mut self, to: &Sent, body: &Struct) {
        let frame = value::encode_response(to.key, to.version, to.correlation, body).expect("encodes");
        self.respond(to.to, &frame);
    }

    /// Bytes of a broker's answer, size included.
    pub(crate) fn respond(&mut self, peer: Peer, frame: &[u8]) {
        let mut out = Output::default();
        self.session.response(peer, BytesMut::from(frame), self.now, &mut out);
        self.absorb(out);
    }

    /// The answers that have reached the client since the last call.
    pub(crate) fn replies(&mut self) -> Vec<Reply> {
        let asked = &self.asked;
        let decode = |frame: Bytes| {
            let correlation = i32::from_be_bytes(frame[4..8].try_into().expect("four bytes"));
            let (key, version) = asked[&correlation];
            let (_, body) = value::decode_response(key, version, &frame.slice(4..)).expect("decodes");
            Reply { correlation, body }
        };
        std::mem::take(&mut self.replies).into_iter().map(decode).collect()
    }

    /// The one answer that has reached the client.
    pub(crate) fn reply(&mut self) -> Struct {
        let mut replies = self.replies();
        assert_eq!(replies.len(), 1, "one answer: {replies:#?}, close {:?}", self.close);
        replies.remove(0).body
    }

    /// The answers' frames, undecoded.
    pub(crate) fn raw_replies(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.replies)
    }

    pub(crate) fn fail(&mut self, node: NodeId, unsent: usize) {
        let (peer, mut out) = (self.peer(node), Output::default());
        self.session.link_failed(peer, unsent, Failure::Refused, self.now, &mut out);
        self.absorb(out);
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.tick();
    }

    pub(crate) fn tick(&mut self) {
        let mut out = Output::default();
        self.session.tick(self.now, &mut out);
        self.absorb(out);
    }

    fn adopt(&mut self, active: Option<Active>, switching: bool) {
        let chain = [self.primary.clone(), self.secondary.clone()];
        let view = VirtualCluster {
            positions: self.positions,
            replication: self.replication,
            groups: self.groups.clone(),
            commits: self.commits.clone(),
            consumers: self.consumers.clone(),
            ..virtual_cluster(&chain, active, switching, &self.topic_ids, &self.offer)
        };
        let view = Arc::new(view);
        self.view = view.clone();
        let mut out = Output::default();
        self.session.adopt(view, self.now, &mut out);
        self.absorb(out);
    }

    /// The secondary becomes active at once.
    pub(crate) fn switch(&mut self) {
        let active = self.taking_over(&self.secondary, 2, BASE);
        self.adopt(Some(active), false);
    }

    /// The primary becomes active again, as a new generation.
    pub(crate) fn switch_back(&mut self) {
        let active = self.taking_over(&self.primary, 3, 2 * BASE);
        self.adopt(Some(active), false);
    }

    fn taking_over(&self, cluster: &Arc<Cluster>, since: u64, epoch_base: i32) -> Active {
        let active = taking_over(cluster, since, epoch_base);
        if !self.replication.keeps_offsets() {
            return active;
        }
        let (cluster, ends) = (cluster.name.clone(), cluster.ends.freeze());
        let point = SwitchPoint { generation: since, cluster, epoch_base: 0, ends };
        Active { producer_ids: active.producer_ids.kept(), switch_point: Arc::new(point), ..active }
    }

    /// The primary is fenced off, the secondary follows within a moment.
    pub(crate) fn fence(&mut self) {
        self.adopt(None, true);
    }

    /// The primary is fenced off for produces; consumers stay on it.
    pub(crate) fn fence_produces(&mut self) {
        self.stay(false);
        self.adopt(None, true);
    }

    /// The secondary takes produces; consumers stay on the primary. `leaving`: groups are asked to leave it.
    pub(crate) fn drain(&mut self, leaving: bool) {
        self.stay(leaving);
        let active = self.taking_over(&self.secondary, 2, BASE);
        self.adopt(Some(active), false);
    }

    fn stay(&mut self, leaving: bool) {
        let (on, readers) = (first(&self.primary), self.readers.clone());
        self.consumers = Consumers::Stay(Box::new(Staying { on, leaving, readers }));
    }

    /// Consumers are on no cluster for a moment.
    pub(crate) fn fence_consumers(&mut self) {
        self.consumers = Consumers::Wait;
        let active = self.taking_over(&self.secondary, 2, BASE);
        self.adopt(Some(active), false);
    }

    /// Produces have to move again: everybody is fenced.
    pub(crate) fn interrupt(&mut self) {
        self.consumers = Consumers::Together;
        self.adopt(None, true);
    }

    /// Consumers are where produces are.
    pub(crate) fn follow(&mut self) {
        self.consumers = Consumers::Together;
        let active = self.taking_over(&self.secondary, 2, 2 * BASE);
        self.adopt(Some(active), false);
    }

    /// No cluster is available.
    pub(crate) fn no_cluster(&mut self) {
        self.adopt(None, false);
    }

    /// The id by which clients know a topic.
    pub(crate) fn virtual_id(&self, topic: &str) -> Uuid {
        self.topic_ids.to_virtual(&self.primary.name, topic, Uuid::nil())
    }
}

/// A cluster in a term of the chain.
fn virtual_cluster(
    chain: &[Arc<Cluster>],
    active: Option<Active>,
    switching: bool,
    topic_ids: &Arc<TopicIds>,
    offer: &Arc<Offer>,
) -> VirtualCluster {
    let slot = |n| Address { host: "proxy.example.com".into(), port: 9092 + n };
    VirtualCluster {
        name: "main".into(),
        cluster_id: "main-id".into(),
        slots: (0..SLOTS).map(slot).collect(),
        shared_port: false,
        chain: chain.to_vec(),
        active,
        switching,
        consumers: Consumers::Together,
        offer: offer.clone(),
        topic_ids: topic_ids.clone(),
        replication: Replication::default(),
        positions: Positions::default(),
        groups: Arc::default(),
        commits: Arc::default(),
        passthrough: None,
    }
}

/// The first generation.
fn first(cluster: &Arc<Cluster>) -> Active {
    Active {
        cluster: cluster.clone(),
        since: 1,
        epoch_base: 0,
        producer_ids: ProducerIds::new("main", 0),
        switch_point: Arc::default(),
    }
}

/// A cluster in place of another one; its switch point is what is known of its logs now.
fn taking_over(cluster: &Arc<Cluster>, since: u64, epoch_base: i32) -> Active {
    let (name, ends) = (cluster.name.clone(), cluster.ends.freeze());
    let point = SwitchPoint { generation: since, cluster: name, epoch_base, ends };
    let term = u32::try_from(since - 1).expect("small");
    Active {
        cluster: cluster.clone(),
        since,
        epoch_base,
        producer_ids: ProducerIds::new("main", term),
        switch_point: Arc::new(point),
    }
}

fn decode(outgoing: &Outgoing) -> Sent {
    let (key, version, correlation, client_id, body) =
        value::decode_request(&outgoing.frame.slice(4..)).expect("a broker can decode it");
    let (to, answered) = (outgoing.to, outgoing.answered);
    let node = to.node;
    let len = outgoing.frame.len();
    Sent { to, node, key, version, correlation, client_id, body, len, answered }
}

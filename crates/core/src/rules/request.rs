//! From the client's identifiers to the active cluster's: one pass over a request body, in place.
//!
//! Ids of topics, nodes and leader epochs have a fixed length, so the bytes are patched where they stand. The same pass notes what
//! routing needs: partitions, groups, transactional ids, and the identity of each produced batch. Producer ids are patched too, in
//! batches together with the checksum. Records are never read.

use super::{
    Context, Fail, PartitionIds, Partitions, Route, Rule, k10_find_coordinator, texts::Texts, transactions,
};
use crate::{limits, producer_ids::ProducerIds, topology::CoordinatorKind};
use pointsman_wire::{
    batch::{BatchEvent, BatchHeader, Batches, patch_producer_id},
    cursor::{Cursor, Event, Kind},
    edit::walk,
    error::DecodeError,
    schema::{Entity, Message},
    tables::{
        end_txn_request, fetch_request, find_coordinator_request, heartbeat_request,
        init_producer_id_request, join_group_request, offset_commit_request, offset_for_leader_epoch_request,
        produce_request, sync_group_request, txn_offset_commit_request,
    },
};
use std::{mem::take, ops::Range, sync::Arc};
use uuid::Uuid;

/// A topic of a request, as the client named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRef {
    /// Its name; `None` when the client gave an id that stands for no topic.
    pub name: Option<Arc<str>>,
    /// The id that the client gave; nil when it gave a name.
    pub virtual_id: Uuid,
}

/// A partition of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionRef {
    /// Index into [`Scan::topics`].
    pub topic: usize,
    /// Partition index.
    pub index: i32,
    /// Identity of the first record batch, if an idempotent producer made it.
    pub producer: Option<Producer>,
    /// Whether the client's leader epoch is of an older generation.
    pub fenced: bool,
    /// Whether its first record batch, or the marker for it, belongs to a transaction of another term, that is of another cluster.
    pub stale_transaction: bool,
    /// Of OffsetForLeaderEpoch: the epoch that is asked for, if it is of another generation.
    pub older: Option<i32>,
}

impl PartitionRef {
    /// A partition of which nothing more is known.
    pub(crate) fn new(topic: usize, index: i32) -> Self {
        Self { topic, index, ..Self::default() }
    }

    /// Notes whose the batch is that `records`, as the client sent them, begin with.
    pub(crate) fn note_batch(&mut self, records: &[u8], cx: &Context<'_>) {
        let batch = BatchHeader::parse(records);
        self.producer = batch.and_then(|b| Producer::of(&b));
        let stale = |b: BatchHeader| cx.active.producer_ids.is_of_another_term(b.producer_id);
        self.stale_transaction = batch.is_some_and(|b| b.is_transactional() && stale(b));
    }
}

/// Who made a batch, with the id that the client knows, and its place among that producer's batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
    /// Sequence number of the first record.
    pub sequence: i32,
}

impl Producer {
    /// The idempotent producer of a batch.
    pub(crate) fn of(batch: &BatchHeader) -> Option<Self> {
        let (id, epoch, sequence) = (batch.producer_id, batch.producer_epoch, batch.base_sequence);
        (id >= 0 && sequence >= 0).then_some(Self { id, epoch, sequence })
    }
}

/// A marker of WriteTxnMarkers, which ends a transaction in partitions of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// The producer whose transaction it is, as the client knows it.
    pub producer: i64,
    /// Whether the active cluster does not know it by that id: one of another term, or one that clients are not shown.
    pub stale: bool,
    /// Index into [`Scan::topics`] of its first topic. Those up to the next marker's are its.
    pub topics: usize,
}

/// What a request is about.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// The topics, in the order of the request.
    pub topics: Vec<TopicRef>,
    /// The partitions, in the order of the request.
    pub partitions: Vec<PartitionRef>,
    /// Of WriteTxnMarkers.
    pub markers: Vec<Marker>,
    /// Of OffsetCommit and TxnOffsetCommit: the offset of each partition.
    pub commits: Vec<i64>,
    /// Of a Fetch from a cluster that is drained: the offset of each partition.
    pub fetches: Vec<i64>,
    /// Group ids or transactional ids that name a coordinator.
    pub keys: Texts,
    /// Of OffsetCommit, JoinGroup, Heartbeat and SyncGroup: the member id; empty in a first JoinGroup.
    pub member: Option<Box<str>>,
    /// Of a JoinGroup that is sent on: what the member claims to own was taken out of it.
    pub stripped: bool,
    /// This JoinGroup is of a member that has no positions: it was assigned nothing.
    pub bare: bool,
    /// Topic ids that stand for no topic: they went upstream as they are and come back as they are. Sorted.
    pub foreign_ids: Vec<Uuid>,
    /// Produce with `acks=0`: there will be no response.
    pub no_response: bool,
    /// A producer id in it was given in another term: the active cluster knows nothing of its transactions.
    pub stale_producer: bool,
    /// Of an EndTxn: commit, not abort.
    pub commits_transaction: bool,
    /// Of an EndTxn: the producer, as the client knows it.
    pub ends_for: Option<i64>,
    /// Of an InitProducerId: how long a transaction may take, in milliseconds.
    pub transaction_timeout: Option<i32>,
    /// Of a Fetch: its session and how long it waits.
    pub fetch: FetchTerms,
    /// Of a FindCoordinator: for share partitions, which only brokers ask.
    pub share_coordinator: bool,
}

impl Scan {
    /// Forgets everything, and keeps the memory for the next request.
    pub(crate) fn clear(&mut self) {
        let (mut topics, mut partitions) = (take(&mut self.topics), take(&mut self.partitions));
        topics.clear();
        partitions.clear();
        *self = Self { topics, partitions, ..Self::default() };
    }

    /// Bytes that it takes.
    pub(crate) fn holds(&self) -> usize {
        size_of_val(&self.topics[..])
            + size_of_val(&self.partitions[..])
            + size_of_val(&self.markers[..])
            + size_of_val(&self.commits[..])
            + size_of_val(&self.fetches[..])
            + size_of_val(&self.foreign_ids[..])
            + self.keys.holds()
    }

    /// The topics in order, each with the range of its partitions.
    pub fn by_topic(&self) -> impl Iterator<Item = (&TopicRef, Range<usize>)> {
        let mut next = 0;
        self.topics.iter().enumerate().map(move |(number, topic)| {
            let from = next;
            while self.partitions.get(next).is_some_and(|p| p.topic == number) {
                next += 1;
            }
            (topic, from..next)
        })
    }
}

/// What a Fetch asks besides partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchTerms {
    /// Fetch session; 0: none yet, or no session at all.
    pub session_id: i32,
    /// Above 0: a change to the session. 0 and −1 ask for everything anew, and may name a former session to be ended.
    pub session_epoch: i32,
    /// Where the session id stands in the body.
    pub session_at: usize,
    /// How long the broker may wait, in milliseconds.
    pub max_wait_ms: i32,
    /// How many bytes end the wait.
    pub min_bytes: i32,
}

impl FetchTerms {
    /// Whether the request means something only to the broker that keeps its session.
    pub fn in_session(&self) -> bool {
        self.session_id != 0 && self.session_epoch > 0
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanError {
    /// It cannot be decoded.
    Decode(DecodeError),
    /// A client calls itself a broker, with this replica id.
    Replica(i32),
    /// It names so many things, or more.
    TooMany(usize),
}

impl From<DecodeError> for ScanError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl std::fmt::Display for ScanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Decode(error) => error.fmt(f),
            Self::TooMany(count) => {
                let most = limits::REQUEST_ENTRIES;
                write!(
                    f,
                    "it names {count} topics, partitions, keys and other things; ask for {most} at most, and for the rest in another request"
                )
            }
            Self::Replica(id) => {
                write!(
                    f,
                    "replica id {id} in a client's request; only brokers fetch as replicas, clients send -1"
                )
            }
        }
    }
}

/// Translates `body` in place and notes in `scan`, which is empty, what it is about.
pub fn translate(
    rule: &Rule,
    message: &'static Message,
    version: i16,
    body: &mut [u8],
    cx: &Context<'_>,
    scan: &mut Scan,
) -> Result<(), ScanError> {
    let (shape, keys, room) = (shape(rule), key_entity(rule), room(rule));
    let mut scanner = Scanner { scan, shape, keys, key: rule.key, current: -1, room, cx };
    let mut cursor = Cursor::new(message, version, body.len());
    loop {
        let at = cursor.position();
        let step = cursor.next(&body[at..]);
        match &step {
            Ok(Some(event)) if matches!(event.kind, Kind::End) => {
                scanner.scan.foreign_ids.sort_unstable();
                return Ok(());
            }
            Ok(Some(event)) => scanner.event(event, &mut body[event.at..event.at + event.len])?,
            Ok(None) => return Err(DecodeError::Truncated { needed: 1, left: 0 }.into()),
            Err(_) => return Ok(step.map(|_| ())?),
        }
    }
}

/// Refuses a request that names too many things before anything is made of it. Takes no memory.
pub fn check_size(
    rule: &Rule,
    message: &'static Message,
    version: i16,
    body: &[u8],
) -> Result<(), ScanError> {
    let mut room = room(rule);
    let mut cursor = Cursor::new(message, version, body.len());
    loop {
        let at = cursor.position();
        let event = cursor.next(&body[at..])?.ok_or(DecodeError::Truncated { needed: 1, left: 0 })?;
        room.take(&event)?;
        if matches!(event.kind, Kind::End) {
            return Ok(());
        }
    }
}

/// What a request names: elements of arrays, and tags.
struct Room {
    used: usize,
    most: usize,
}

impl Room {
    /// Counts are told before what they count, so that nothing has been made of it yet.
    fn take(&mut self, event: &Event) -> Result<(), ScanError> {
        if let Kind::ArrayStart { count: Some(count) } | Kind::Tags { count } = event.kind {
            self.used = self.used.saturating_add(count as usize);
        }
        if self.used > self.most { Err(ScanError::TooMany(self.used)) } else { Ok(()) }
    }
}

/// A request that passes as it is may name what it likes; all others are taken apart, or what they name is remembered.
fn room(rule: &Rule) -> Room {
    let passes = matches!(rule.route, Route::Any | Route::Controller | Route::Coordinator(_))
        && matches!(rule.fail, Fail::Replay | Fail::TopLevel(..) | Fail::Close)
        && rule.edit_request.is_none()
        && rule.key != k10_find_coordinator::RULE.key;
    Room { used: 0, most: if passes { usize::MAX } else { limits::REQUEST_ENTRIES } }
}

fn shape(rule: &Rule) -> Option<&'static Partitions> {
    match (rule.route, rule.fail) {
        (Route::Leaders(shape) | Route::ShareSession(shape), _) | (_, Fail::Partitions(shape, _)) => {
            Some(shape)
        }
        _ => None,
    }
}

fn is_member_id(key: i16, field: u16) -> bool {
    match key {
        8 => field == offset_commit_request::MEMBER_ID,
        11 => field == join_group_request::MEMBER_ID,
        12 => field == heartbeat_request::MEMBER_ID,
        14 => field == sync_group_request::MEMBER_ID,
        _ => false,
    }
}

fn key_entity(rule: &Rule) -> Entity {
    match rule.route {
        Route::Coordinator(CoordinatorKind::Group) | Route::Coordinators(CoordinatorKind::Group, _) => {
            Entity::GroupId
        }
        Route::Coordinator(_) | Route::Coordinators(..) => Entity::TransactionalId,
        _ => Entity::None,
    }
}

struct Scanner<'a> {
    scan: &'a mut Scan,
    shape: Option<&'static Partitions>,
    keys: Entity,
    key: i16,
    /// The leader epoch that the client takes for the newest of the partition at hand, as the active cluster knows it.
    current: i32,
    room: Room,
    cx: &'a Context<'a>,
}

impl Scanner<'_> {
    fn event(&mut self, event: &Event, bytes: &mut [u8]) -> Result<(), ScanError> {
        match event.kind {
            Kind::Scalar => self.scalar(event, bytes)?,
            Kind::Text { prefix, null: false } => self.text(event, &mut bytes[usize::from(prefix)..]),
            Kind::Chunk { .. } => self.records(event, bytes),
            _ => self.room.take(event)?,
        }
        Ok(())
    }

    fn scalar(&mut self, event: &Event, bytes: &mut [u8]) -> Result<(), ScanError> {
        let field = event.field;
        match field.entity {
            Entity::TopicId => self.topic_id(field.id, bytes),
            Entity::BrokerId => return self.node(field.name, bytes),
            Entity::LeaderEpoch => self.epoch(field.id, bytes),
            Entity::ProducerId => self.producer_id(bytes),
            _ => {}
        }
        let ids = self.ids();
        if field.id == ids.index && bytes.len() == 4 {
            let topic = self.scan.topics.len().saturating_sub(1);
            let index = read_i32(bytes);
            let stale_transaction = self.scan.markers.last().is_some_and(|marker| marker.stale);
            self.scan.partitions.push(PartitionRef { stale_transaction, ..PartitionRef::new(topic, index) });
        }
        match self.key {
            0 if field.id == produce_request::ACKS => self.scan.no_response = bytes == [0, 0],
            1 if field.id == fetch_request::TOPICS_PARTITIONS_FETCH_OFFSET
                && self.cx.virtual_cluster.staying().is_some() =>
            {
                self.scan.fetches.push(bytes.try_into().map_or(-1, i64::from_be_bytes));
            }
            1 => self.fetch_terms(event, bytes),
            10 if field.id == find_coordinator_request::KEY_TYPE => {
                self.scan.share_coordinator = bytes == [k10_find_coordinator::SHARE];
            }
            transactions::INIT_PRODUCER_ID => self.init_producer_id(field.id, bytes),
            transactions::END_TXN if field.id == end_txn_request::COMMITTED => {
                self.scan.commits_transaction = bytes != [0];
            }
            8 if field.id == offset_commit_request::TOPICS_PARTITIONS_COMMITTED_OFFSET => {
                self.scan.commits.push(bytes.try_into().map_or(-1, i64::from_be_bytes));
            }
            28 if field.id == txn_offset_commit_request::TOPICS_PARTITIONS_COMMITTED_OFFSET => {
                self.scan.commits.push(bytes.try_into().map_or(-1, i64::from_be_bytes));
            }
            _ => {}
        }
        Ok(())
    }

    fn fetch_terms(&mut self, event: &Event, bytes: &[u8]) {
        let terms = &mut self.scan.fetch;
        match event.field.id {
            fetch_request::SESSION_ID => (terms.session_id, terms.session_at) = (read_i32(bytes), event.at),
            fetch_request::SESSION_EPOCH => terms.session_epoch = read_i32(bytes),
            fetch_request::MAX_WAIT_MS => terms.max_wait_ms = read_i32(bytes),
            fetch_request::MIN_BYTES => terms.min_bytes = read_i32(bytes),
            _ => {}
        }
    }

    fn ids(&self) -> PartitionIds {
        self.shape.map_or(PartitionIds::NOTHING, |s| s.ids)
    }

    fn text(&mut self, event: &Event, value: &mut [u8]) {
        match event.field.entity {
            // The leader would name a replica in this rack to read from and give no records, although any slot leads to the leader.
            Entity::Rack if self.key == 1 => return value.fill(b'-'),
            Entity::ClusterId => return self.cluster_id(value),
            _ => {}
        }
        let Ok(value) = std::str::from_utf8(value) else { return };
        if event.field.id == self.ids().name {
            let name = Some(topic_name(value, self.cx));
            self.scan.topics.push(TopicRef { name, virtual_id: Uuid::nil() });
        } else if self.keys != Entity::None && event.field.entity == self.keys {
            self.scan.keys.push(value);
        } else if is_member_id(self.key, event.field.id) {
            self.scan.member = Some(value.into());
        }
    }

    /// A cluster id that is not the virtual one stays, and the broker will refuse it; so does one that does not fit in its place.
    fn cluster_id(&self, value: &mut [u8]) {
        let real = self.cx.topology.cluster_id.as_ref().filter(|real| real.len() == value.len());
        if let Some(real) = real.filter(|_| *value == *self.cx.virtual_cluster.cluster_id.as_bytes()) {
            value.copy_from_slice(real.as_bytes());
        }
    }

    fn topic_id(&mut self, field: u16, bytes: &mut [u8]) {
        let Ok(virtual_id) = Uuid::from_slice(bytes) else { return };
        let (name, real) = topic_of(virtual_id, self.cx);
        match real {
            Some(real) => bytes.copy_from_slice(real.as_bytes()),
            _ if virtual_id.is_nil() => {}
            _ => self.scan.foreign_ids.push(virtual_id),
        }
        if field == self.ids().topic_id {
            self.scan.topics.push(TopicRef { name, virtual_id });
        }
    }

    /// Node ids in a request name slots; a replica id must be −1 or −2.
    fn node(&self, name: &str, bytes: &mut [u8]) -> Result<(), ScanError> {
        let slot = read_i32(bytes);
        if name == "ReplicaId" {
            return if slot >= 0 { Err(ScanError::Replica(slot)) } else { Ok(()) };
        }
        bytes.copy_from_slice(&self.cx.node(slot).to_be_bytes());
        Ok(())
    }

    fn epoch(&mut self, field: u16, bytes: &mut [u8]) {
        const ASKED: u16 = offset_for_leader_epoch_request::TOPICS_PARTITIONS_LEADER_EPOCH;
        let epoch = read_i32(bytes);
        let current = self.ids().current_epoch;
        let mut real = self.cx.real_epoch(epoch);
        if field == current {
            self.current = real.unwrap_or(-1);
        } else if self.key == 23 && field == ASKED && self.cx.virtual_cluster.replication.keeps_offsets() {
            // The log is the same: where its end is the leader knows, if it has the epoch that the client believes in.
            real = real.or(Some(self.current).filter(|current| *current >= 0));
        }
        bytes.copy_from_slice(&real.unwrap_or(-1).to_be_bytes());
        let strange = real.is_none() || self.cx.is_newer(epoch);
        let Some(partition) = self.scan.partitions.last_mut().filter(|_| strange) else { return };
        if field == current {
            partition.fenced = real.is_none();
        } else if self.key == 23 && field == ASKED {
            partition.older = Some(epoch);
        }
    }

    fn producer_id(&mut self, bytes: &mut [u8]) {
        let Ok(id) = <[u8; 8]>::try_from(&*bytes).map(i64::from_be_bytes) else { return };
        let ids = &self.cx.active.producer_ids;
        let stale = ids.is_of_another_term(id);
        self.scan.stale_producer |= stale;
        if self.key == transactions::WRITE_TXN_MARKERS {
            let topics = self.scan.topics.len();
            // What a cluster was sent for an id of another term stands in its log.
            let stale = stale || ids.described(id) != id;
            self.scan.markers.push(Marker { producer: id, stale, topics });
        }
        self.scan.ends_for = Some(id).filter(|_| self.key == transactions::END_TXN);
        // There is no state to go on with: the producer gets a new id.
        let anew = stale && self.key == transactions::INIT_PRODUCER_ID;
        bytes.copy_from_slice(&if anew { -1 } else { ids.upstream(id) }.to_be_bytes());
    }

    /// The epoch stands behind the id that it belongs to.
    fn init_producer_id(&mut self, field: u16, bytes: &mut [u8]) {
        match field {
            init_producer_id_request::PRODUCER_EPOCH if self.scan.stale_producer => bytes.fill(0xff),
            init_producer_id_request::TRANSACTION_TIMEOUT_MS => {
                self.scan.transaction_timeout = Some(read_i32(bytes));
            }
            _ => {}
        }
    }

    /// The body is complete, so a partition's records come in one piece, with the header of a batch at its start.
    fn records(&mut self, event: &Event, bytes: &mut [u8]) {
        if event.field.id != self.ids().records {
            return;
        }
        let Some(partition) = self.scan.partitions.last_mut() else { return };
        partition.note_batch(bytes, self.cx);
        let ids = &self.cx.active.producer_ids;
        if ids.pass() {
            return;
        }
        let mut batches = Batches::new(bytes.len());
        // What follows a batch that is no batch is left as it is: the broker will refuse it.
        while let Ok(Some(next)) = batches.next(&bytes[batches.position()..]) {
            match next {
                BatchEvent::Header { at, header: Some(header), .. } => {
                    patch_batch(&mut bytes[at..], &header, ids);
                }
                BatchEvent::End => return,
                _ => {}
            }
        }
    }
}

/// Puts the producer id that the active cluster gets into a batch, of which at least the header is there.
pub(crate) fn patch_batch(bytes: &mut [u8], header: &BatchHeader, ids: &ProducerIds) {
    let id = ids.upstream(header.producer_id);
    if id != header.producer_id {
        let patched = patch_producer_id(bytes, id);
        debug_assert!(patched, "the header is there");
    }
}

/// The name of a topic, shared with the topology where it is known there.
pub(crate) fn topic_name(name: &str, cx: &Context<'_>) -> Arc<str> {
    cx.topology.topics.get_key_value(name).map_or_else(|| name.into(), |(name, _)| name.clone())
}

/// Puts in what has become known since `body` was translated: ids of topics that the topology lacked.
pub(crate) fn complete(
    message: &'static Message,
    version: i16,
    body: &mut [u8],
    scan: &mut Scan,
    cx: &Context<'_>,
) -> Result<(), DecodeError> {
    let mut known: Vec<(usize, Uuid)> = Vec::new();
    walk(message, version, body, |event, bytes| {
        let id = Uuid::from_slice(bytes).ok().filter(|_| event.field.entity == Entity::TopicId);
        let foreign = id.filter(|id| scan.foreign_ids.binary_search(id).is_ok());
        known.extend(foreign.and_then(|id| topic_of(id, cx).1).map(|real| (event.at, real)));
    })?;
    let mut foreign_no_more = Vec::with_capacity(known.len());
    for (at, real) in known {
        let Some(place) = body.get_mut(at..at + 16) else { continue };
        foreign_no_more.push(Uuid::from_slice(place).unwrap_or_default());
        place.copy_from_slice(real.as_bytes());
    }
    foreign_no_more.sort_unstable();
    scan.foreign_ids.retain(|id| foreign_no_more.binary_search(id).is_err());
    Ok(())
}

/// The name that a virtual topic id stands for, and the topic's id on the active cluster, as far as they are known.
pub(crate) fn topic_of(virtual_id: Uuid, cx: &Context<'_>) -> (Option<Arc<str>>, Option<Uuid>) {
    let name = cx.virtual_cluster.topic_ids.name(virtual_id);
    let real = name.as_ref().and_then(|n| cx.topology.topics.get(n)).map(|t| t.id);
    (name, real.filter(|id| !id.is_nil()))
}

fn read_i32(bytes: &[u8]) -> i32 {
    bytes.try_into().map_or(-1, i32::from_be_bytes)
}

//! From the active cluster's identifiers to the client's: one pass over a response body.
//!
//! Driven by the entities of the schema tables, so that a field that carries a node id, an address, a cluster id or a topic id is
//! translated in every api and version, also in those that no rule mentions.

use super::{Context, error, k03_metadata, k55_describe_quorum, rule, transactions};
use crate::signal::Moved;
use pointsman_wire::{
    batch::{BatchEvent, Batches, PARTITION_LEADER_EPOCH_AT},
    cursor::{Event, Kind},
    edit::{Editor, Edits},
    error::DecodeError,
    schema::{Entity, Message},
    value::Pieces,
    write::Writer,
};
use std::ops::Range;
use uuid::Uuid;

const COMMIT: &str = "OffsetCommitResponse";
const BROKERS: &str = "Brokers";
const DESCRIBE_PRODUCERS: i16 = 61;
const DESCRIBE_TRANSACTIONS: i16 = 65;
const LIST_TRANSACTIONS: i16 = 66;

/// What came of a translation.
#[derive(Debug, Default)]
pub struct Translated {
    /// Real topic ids of topics that are not known: clients were shown the nil id instead.
    pub unknown_topics: usize,
    /// A producer id that is too large to be given to a client, who gets none instead.
    pub unfit_producer: Option<i64>,
    /// Something in the answer is an error.
    pub refusal: bool,
    /// The answer says that leaders are not where the topology has them.
    pub stale_leader: bool,
    /// The answer says that a coordinator is not where it was asked for.
    pub stale_coordinator: bool,
    /// Positions that groups were given and that the cluster does not have.
    pub positions: Option<Moved>,
}

impl Translated {
    fn note(&mut self, error: i16) {
        self.refusal |= error != 0;
        self.stale_leader |= matches!(error, error::NOT_LEADER_OR_FOLLOWER | error::FENCED_LEADER_EPOCH);
        self.stale_coordinator |= error == error::NOT_COORDINATOR;
    }
}

/// Notes in `editor` what must change in `body`. Ids in `foreign` (sorted) came from the client and stay.
pub fn translate(
    message: &'static Message,
    version: i16,
    body: &[u8],
    foreign: &[Uuid],
    cx: &Context<'_>,
    editor: &mut Editor,
) -> Result<Translated, DecodeError> {
    let flexible = message.is_flexible(version);
    let commit = message.name == COMMIT;
    let (key, done) = (message.key, Translated::default());
    let mut state = State {
        cx,
        message,
        version,
        body,
        key,
        foreign,
        flexible,
        commit,
        slot: -1,
        topic: None,
        brokers: None,
        done,
    };
    editor.edit(message, version, body, |event, bytes, edits| state.event(event, bytes, edits))?;
    Ok(state.done)
}

struct State<'a> {
    cx: &'a Context<'a>,
    message: &'static Message,
    version: i16,
    body: &'a [u8],
    key: i16,
    foreign: &'a [Uuid],
    flexible: bool,
    /// An answer to OffsetCommit.
    commit: bool,
    /// Slot of the node id read last: the address that follows is its.
    slot: i32,
    /// Where the topic name read last stands: the topic id that follows may be its.
    topic: Option<Range<usize>>,
    /// Where the brokers begin in whose place clients see the slots.
    brokers: Option<usize>,
    done: Translated,
}

impl State<'_> {
    fn event(&mut self, event: &Event, bytes: &[u8], edits: &mut Edits) {
        if let Some(from) = self.brokers {
            if matches!(event.kind, Kind::ArrayEnd) {
                self.brokers = None;
                self.show_slots(from, event, edits);
            }
            return;
        }
        match event.kind {
            Kind::Scalar => self.scalar(event, bytes, edits),
            Kind::Text { prefix, null } => {
                self.text(event, bytes.get(usize::from(prefix)..).filter(|_| !null), edits);
            }
            Kind::Chunk { .. } => self.records(event, bytes, edits),
            Kind::ArrayStart { .. } if self.shows_slots(event) => self.brokers = Some(event.at),
            // A name belongs to the ids that follow it in its own structure only.
            Kind::ElementStart { .. } => self.topic = None,
            _ => {}
        }
    }

    fn scalar(&mut self, event: &Event, bytes: &[u8], edits: &mut Edits) {
        if bytes.len() == 2 && event.field.name.ends_with("ErrorCode") {
            let code = i16::from_be_bytes([bytes[0], bytes[1]]);
            self.done.note(code);
            // A member whose group does not exist at the active cluster. From version 9 on brokers say so in words that clients take
            // for the end; those of before, and of heartbeats, make it join again.
            if self.commit && code == error::GROUP_ID_NOT_FOUND {
                edits.replace(event.at, event.len, &error::UNKNOWN_MEMBER_ID.to_be_bytes());
            }
        }
        match event.field.entity {
            Entity::BrokerId if self.key == k55_describe_quorum::KEY => {}
            Entity::BrokerId => {
                self.slot = self.cx.slot(read_i32(bytes));
                change(event, bytes, &self.slot.to_be_bytes(), edits);
            }
            Entity::Port => self.port(event, edits),
            Entity::LeaderEpoch => {
                let epoch = self.cx.virtual_epoch(read_i32(bytes));
                change(event, bytes, &epoch.to_be_bytes(), edits);
            }
            Entity::TopicId => {
                if let Ok(real) = Uuid::from_slice(bytes) {
                    let id = self.topic_id(real);
                    change(event, bytes, id.as_bytes(), edits);
                }
            }
            Entity::ProducerId => self.producer_id(event, bytes, edits),
            Entity::DirectoryId => edits.replace(event.at, event.len, Uuid::nil().as_bytes()),
            _ => {}
        }
    }

    /// In a Fetch response ids stay the log's own, in batches as in the list of aborted transactions: consumers compare them with
    /// each other only.
    fn producer_id(&mut self, event: &Event, bytes: &[u8], edits: &mut Edits) {
        let Ok(id) = bytes.try_into().map(i64::from_be_bytes) else { return };
        let ids = &self.cx.active.producer_ids;
        let shown = match self.key {
            transactions::INIT_PRODUCER_ID | transactions::END_TXN => {
                let given = ids.given(id);
                self.done.unfit_producer = self.done.unfit_producer.or(given.is_none().then_some(id));
                given.unwrap_or(-1)
            }
            transactions::WRITE_TXN_MARKERS
            | DESCRIBE_PRODUCERS
            | DESCRIBE_TRANSACTIONS
            | LIST_TRANSACTIONS => ids.described(id),
            _ => id,
        };
        if shown != id {
            edits.replace(event.at, event.len, &shown.to_be_bytes());
        }
    }

    /// An answer that is an error has no brokers, and gets none.
    fn shows_slots(&self, event: &Event) -> bool {
        event.field.name == BROKERS
            && !self.done.refusal
            && rule(self.key).is_some_and(|r| r.brokers.is_some())
    }

    /// Brokers have no arrays of their own: the next end of one is theirs.
    fn show_slots(&self, from: usize, event: &Event, edits: &mut Edits) {
        let Some(id) = rule(self.key).and_then(|rule| rule.brokers) else { return };
        let slots = k03_metadata::slots(self.cx, id);
        let mut array = Vec::new();
        Writer::new(&mut array).array_len(Some(slots.len()), self.flexible);
        let pieces = Pieces::new(self.message, self.version);
        for slot in slots {
            let written = pieces.element(event.field.ty.fields(), &slot, &mut array);
            debug_assert!(written.is_ok(), "{written:?}");
        }
        edits.replace(from, event.at - from, &array);
    }

    fn port(&self, event: &Event, edits: &mut Edits) {
        let port = self.address().map(|a| a.1);
        match event.len {
            2 => edits.replace(event.at, 2, &port.unwrap_or(0).to_be_bytes()),
            _ => edits.replace(event.at, 4, &port.map_or(-1, i32::from).to_be_bytes()),
        }
    }

    /// A node id of −1 comes without an address, and none is invented.
    fn address(&self) -> Option<(&str, u16)> {
        let slot = usize::try_from(self.slot).ok()?;
        self.cx.virtual_cluster.slots.get(slot).map(|a| (&*a.host, a.port))
    }

    fn text(&mut self, event: &Event, value: Option<&[u8]>, edits: &mut Edits) {
        match event.field.entity {
            Entity::Host if value.is_some_and(|v| !v.is_empty()) => {
                let host = self.address().map_or("", |a| a.0);
                self.replace_text(event, host, edits);
            }
            Entity::ClusterId if value.is_some() => {
                self.replace_text(event, &self.cx.virtual_cluster.cluster_id, edits);
            }
            Entity::TopicName => {
                let end = event.at + event.len;
                self.topic = value.map(|name| end - name.len()..end);
            }
            _ => {}
        }
    }

    fn replace_text(&self, event: &Event, text: &str, edits: &mut Edits) {
        let mut bytes = Vec::with_capacity(text.len() + 5);
        Writer::new(&mut bytes).string(text, self.flexible);
        edits.replace(event.at, event.len, &bytes);
    }

    fn topic_id(&mut self, real: Uuid) -> Uuid {
        if real.is_nil() || self.foreign.binary_search(&real).is_ok() {
            return real;
        }
        let ids = &self.cx.virtual_cluster.topic_ids;
        let cluster = &self.cx.active.cluster.name;
        let known = self.cx.topology.topic_names.get(&real).map(|n| &**n);
        let told = || std::str::from_utf8(self.body.get(self.topic.clone()?)?).ok();
        if let Some(name) = known.or_else(told) {
            return ids.to_virtual(cluster, name, real);
        }
        self.done.unknown_topics += 1;
        Uuid::nil()
    }

    /// Leader epochs inside record batches lie outside the checksum.
    fn records(&self, event: &Event, bytes: &[u8], edits: &mut Edits) {
        if self.cx.active.epoch_base == 0 || event.field.name != "Records" {
            return;
        }
        let mut batches = Batches::new(bytes.len());
        // What follows a batch that is no batch is left as it is: the client sees what the broker sent.
        while let Ok(Some(next)) = batches.next(&bytes[batches.position()..]) {
            match next {
                BatchEvent::Header { at, header: Some(header), .. } => {
                    let epoch = self.cx.virtual_epoch(header.partition_leader_epoch);
                    edits.replace(event.at + at + PARTITION_LEADER_EPOCH_AT, 4, &epoch.to_be_bytes());
                }
                BatchEvent::End => return,
                _ => {}
            }
        }
    }
}

/// An edit, unless it says what is there.
fn change(event: &Event, old: &[u8], new: &[u8], edits: &mut Edits) {
    if old != new {
        edits.replace(event.at, event.len, new);
    }
}

fn read_i32(bytes: &[u8]) -> i32 {
    bytes.try_into().map_or(-1, i32::from_be_bytes)
}

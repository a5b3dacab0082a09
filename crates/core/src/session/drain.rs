//! A connection while its consumers stay on a cluster that produces have left: what it fetches is told, groups are asked to leave, and
//! what would mix the two clusters is kept apart.

use super::{
    ExchangeId, Output, Peer, Session,
    exchange::Exchange,
    rejoin::{HEARTBEAT, JOIN_GROUP, LEAVE_GROUP, SYNC_GROUP},
};
use crate::{
    offsets::{Groups, Readers},
    rules::{Context, Side, error, request::PartitionRef},
};
use bytes::BytesMut;
use pointsman_wire::{cursor::Kind, edit::walk, header, tables, value::Struct};

const FETCH: i16 = 1;
const CONSUMER_GROUP_HEARTBEAT: i16 = 68;

impl Session {
    /// Enters the connection with the drain that has begun, or takes it out of the one that is over.
    pub(super) fn enter_drain(&mut self) {
        let Some(readers) = self.virtual_cluster.staying().map(|s| s.readers.clone()) else {
            self.reading = None;
            return;
        };
        if self.reading.as_ref().is_some_and(|r| r.is_of(&readers)) {
            return;
        }
        let fetching = self.exchanges.iter().any(|e| e.rule.key == FETCH && !e.is_complete());
        self.reading = Some(Readers::enter(&readers, fetching));
    }

    /// Takes a translated request of a consumer. Returns whether it goes on to a broker.
    pub(super) fn attend_drain(
        &mut self,
        id: ExchangeId,
        frame: &[u8],
        cx: &Context<'_>,
        out: &mut Output,
    ) -> bool {
        let Some(exchange) = self.exchange_of(id).filter(|e| e.side == Side::Consume) else { return true };
        let key = exchange.rule.key;
        if key == FETCH {
            self.note_fetch(id, cx);
        }
        let leaving = self.virtual_cluster.staying().is_some_and(|s| s.leaving);
        note_member(exchange, frame, leaving, &cx.virtual_cluster.groups);
        match key {
            // The member commits, and joins again.
            HEARTBEAT if leaving => {
                let body = Struct::new().with("ErrorCode", error::REBALANCE_IN_PROGRESS);
                self.answer(id, &body, out);
                false
            }
            // It is answered when consumers follow, and joins there.
            JOIN_GROUP if leaving => false,
            _ => true,
        }
    }

    fn note_fetch(&self, id: ExchangeId, cx: &Context<'_>) {
        let (Some(reading), Some(exchange)) = (&self.reading, self.exchange_of(id)) else { return };
        let scan = &exchange.scan;
        if scan.fetch.in_session() {
            // It names what has changed only; it is refused, and the next one names everything.
            return;
        }
        let known = |(partition, offset): (&PartitionRef, &i64)| {
            let name = scan.topics.get(partition.topic)?.name.as_ref()?;
            cx.topology.leader(name, partition.index)?;
            Some((name, partition.index, *offset))
        };
        reading.asks(scan.partitions.iter().zip(&scan.fetches).filter_map(known));
    }

    /// While a cluster is drained there are no fetch sessions: each Fetch says how far everything has been read.
    pub(super) fn without_session(&self, id: ExchangeId, frame: &mut BytesMut) {
        let fetch = self.exchange_of(id).filter(|e| e.rule.key == FETCH && e.version >= 7);
        let Some(terms) = fetch.filter(|_| self.virtual_cluster.staying().is_some()).map(|e| e.scan.fetch)
        else {
            return;
        };
        let Ok(body_at) = header::request_header(&frame[4..]).map(|h| 4 + h.len) else { return };
        let at = body_at + terms.session_at;
        if let Some(epoch) = frame.get_mut(at + 4..at + 8) {
            // The epoch follows the id. −1: no session, and the one that the id names ends.
            epoch.fill(0xff);
        }
    }

    /// Whether consumers are not where produces are.
    pub fn is_apart(&self) -> bool {
        self.serving(Side::Produce).map(|a| a.since) != self.serving(Side::Consume).map(|a| a.since)
    }

    /// Whether something that produces is under way on a connection to a broker.
    pub(super) fn carries_produce(&self, peer: &Peer) -> bool {
        let of_produce = |id: ExchangeId| self.exchange_of(id).is_some_and(|e| e.side == Side::Produce);
        let Some(link) = self.links.get(peer) else { return false };
        let receives = self.incoming.as_ref().is_some_and(|i| i.goes_to(*peer));
        link.unanswered || receives || link.exchanges().any(of_produce)
    }
}

/// Notes which members of groups there are: those who can be asked to leave are waited for.
fn note_member(exchange: &Exchange, frame: &[u8], leaving: bool, groups: &Groups) {
    let (key, Some(group)) = (exchange.rule.key, exchange.scan.keys.first()) else { return };
    match key {
        CONSUMER_GROUP_HEARTBEAT => groups.heard(group, None),
        JOIN_GROUP if !leaving => groups.heard(group, None),
        HEARTBEAT | SYNC_GROUP => {
            each_member(exchange, frame, |member, own| {
                if own {
                    groups.heard(group, Some(member));
                }
            });
        }
        JOIN_GROUP | LEAVE_GROUP => {
            each_member(exchange, frame, |member, _| groups.member_gone(group, member));
        }
        _ => {}
    }
}

/// The member ids in a request, and whether each is the client's own: SyncGroup names others too.
fn each_member(exchange: &Exchange, frame: &[u8], mut visit: impl FnMut(&str, bool)) {
    let (key, version) = (exchange.rule.key, exchange.version);
    let (Some(message), Ok(header)) = (tables::request(key, version), header::request_header(&frame[4..]))
    else {
        return;
    };
    let own = message.fields.iter().find(|field| field.name == "MemberId").map(|field| field.id);
    let read = walk(message, version, &frame[4 + header.len..], |event, bytes| {
        let Kind::Text { prefix, .. } = event.kind else { return };
        let member = std::str::from_utf8(&bytes[usize::from(prefix)..]).unwrap_or_default();
        if event.field.name == "MemberId" {
            visit(member, own == Some(event.field.id));
        }
    });
    debug_assert!(read.is_ok(), "it was walked before");
}

//! Members of groups that speak up on a cluster that they are not of: how they are brought to join it, without a word to their application.
//!
//! A member is told at once that it is unknown, without asking the cluster: that may still list its former self, and to a static member would
//! say that another one has taken its place, which ends it. What is told:
//!
//! | request | answer |
//! | ------- | ------ |
//! | JoinGroup | UNKNOWN_MEMBER_ID |
//! | Heartbeat, SyncGroup, OffsetCommit | UNKNOWN_MEMBER_ID; to franz-go REBALANCE_IN_PROGRESS |
//!
//! franz-go reports a lost membership to its application ("unable to join group session"), and a rebalance not. After that it joins, is told that
//! its id is unknown, and joins without one, but keeps its partitions if its assignor is cooperative (by default it is), and would go
//! on at the other log's offsets. A new member owns nothing: so what it claims is taken out of its first JoinGroup, together with its
//! topics. It is assigned nothing, gives its partitions up, and joins again by itself. What it wants to commit in between are
//! offsets of the other cluster, or of this one read at them, and is refused.
//!
//! kafka-python claims nothing, but keeps its positions if it learns that it is unknown while it joins (a switch in the middle of a
//! rebalance, or the end of a drain), and would commit them. So it is taken for one that claims everything, and because
//! it does not join again by itself, its next heartbeat is told REBALANCE_IN_PROGRESS.

use super::{
    ExchangeId, Output, Session,
    dispatch::decode_request,
    members::{Place, Standing},
    refuse, send,
};
use crate::rules::{Fail, Side, error, k11_join_group};
use bytes::BytesMut;
use pointsman_wire::{
    header, tables,
    value::{self, Pieces, Struct},
};

pub(super) const OFFSET_COMMIT: i16 = 8;
pub(super) const JOIN_GROUP: i16 = 11;
pub(super) const HEARTBEAT: i16 = 12;
pub(super) const LEAVE_GROUP: i16 = 13;
pub(super) const SYNC_GROUP: i16 = 14;

/// A client library that is told things in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Library {
    #[default]
    Other,
    FranzGo,
    KafkaPython,
}

impl Library {
    /// By what it calls itself in ApiVersions (`ClientSoftwareName`).
    fn named(name: &str) -> Self {
        match name {
            "kgo" => Self::FranzGo,
            "kafka-python" => Self::KafkaPython,
            _ => Self::Other,
        }
    }
}

impl Session {
    /// Takes note of the library that the client uses, from an ApiVersions request.
    pub(super) fn note_software(&mut self, frame: &[u8]) {
        let request = value::decode_request(&bytes::Bytes::copy_from_slice(&frame[4..]));
        self.library =
            request.map(|(.., body)| Library::named(body.str("ClientSoftwareName"))).unwrap_or_default();
    }

    /// A member learns while it joins that it is unknown.
    pub(super) fn lost_in_join(&mut self, key: i16, bare: bool) {
        self.lost_in_join |= matches!(key, JOIN_GROUP | SYNC_GROUP) && !bare;
    }

    /// What a member that a switch has left behind is told, in words that its library keeps to itself.
    pub(super) fn softened(&self, key: i16, code: i16) -> i16 {
        let lost = code == error::UNKNOWN_MEMBER_ID && self.library == Library::FranzGo;
        if lost && matches!(key, HEARTBEAT | SYNC_GROUP) { error::REBALANCE_IN_PROGRESS } else { code }
    }

    /// Takes a translated request and returns what is to be sent: itself, perhaps without claims, or nothing because it is answered.
    pub(super) fn attend_member(
        &mut self,
        id: ExchangeId,
        frame: BytesMut,
        out: &mut Output,
    ) -> Option<BytesMut> {
        let exchange = self.exchange_of(id)?;
        let (key, scan) = (exchange.rule.key, &exchange.scan);
        let (Some(member), Some(group)) = (&scan.member, scan.keys.first()) else { return Some(frame) };
        let serving = self.serving(Side::Consume)?;
        let (cluster, moved) = (serving.cluster.name.clone(), serving.epoch_base > 0);
        let place = if member.is_empty() {
            Place::Here(Standing::New)
        } else {
            self.members.place(&cluster, group, member)
        };
        match place {
            Place::Elsewhere => {
                // Who is told by a heartbeat gives its partitions up by itself.
                self.lost_in_join &= key != HEARTBEAT;
                // From its commits too franz-go concludes that the membership is lost.
                let commits = key == OFFSET_COMMIT && self.library == Library::FranzGo;
                let code = if commits { error::REBALANCE_IN_PROGRESS } else { error::UNKNOWN_MEMBER_ID };
                self.tell_member(id, code, out);
                None
            }
            Place::Here(Standing::Bare) if matches!(key, OFFSET_COMMIT | HEARTBEAT) => {
                self.lost_in_join &= key != HEARTBEAT;
                self.tell_member(id, error::REBALANCE_IN_PROGRESS, out);
                None
            }
            Place::Here(Standing::Bare) if key == JOIN_GROUP => {
                if let Some(exchange) = self.exchange(id) {
                    exchange.scan.bare = true;
                }
                Some(frame)
            }
            Place::Here(Standing::New | Standing::Stripped) if key == JOIN_GROUP && moved => {
                Some(self.without_claims(id, frame))
            }
            _ => Some(frame),
        }
    }

    fn tell_member(&mut self, id: ExchangeId, code: i16, out: &mut Output) {
        let Some(exchange) = self.exchange_of(id) else { return };
        let (key, version) = (exchange.rule.key, exchange.version);
        match exchange.rule.fail {
            Fail::Partitions(shape, _) => {
                let body = refuse::partitions((key, version), shape, &exchange.scan, None, code, None);
                if let Some(body) = body {
                    self.answer_with(id, &body, out);
                }
            }
            _ => {
                if code == error::UNKNOWN_MEMBER_ID {
                    self.lost_in_join(key, false);
                }
                let code = self.softened(key, code);
                self.answer(id, &refuse::no_member(Struct::new().with("ErrorCode", code)), out);
            }
        }
    }

    /// A JoinGroup of a member that is new to the cluster.
    fn without_claims(&mut self, id: ExchangeId, frame: BytesMut) -> BytesMut {
        if self.virtual_cluster.replication.keeps_offsets() {
            // It goes on where it was.
            return frame;
        }
        let says = !(self.library == Library::KafkaPython && self.lost_in_join);
        let Some(exchange) = self.exchange(id) else { return frame };
        let Some(mut request) = decode_request(exchange, &frame) else { return frame };
        if !k11_join_group::strip_claims(&mut request, says) {
            return frame;
        }
        let (version, correlation) = (exchange.version, exchange.correlation);
        let body = tables::request(JOIN_GROUP, version).map(|m| Pieces::new(m, version).whole(&request));
        let (Some(Ok(body)), Ok(header)) = (body, header::request_header(&frame[4..])) else { return frame };
        exchange.scan.stripped = true;
        BytesMut::from(send::part_frame(&frame[..4 + header.len], correlation, &body))
    }
}

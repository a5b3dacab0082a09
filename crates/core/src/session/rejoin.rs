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

/// What franz-go calls itself in ApiVersions (`ClientSoftwareName`).
const FRANZ_GO: &str = "kgo";

impl Session {
    /// Takes note of the library that the client uses, from an ApiVersions request.
    pub(super) fn note_software(&mut self, frame: &[u8]) {
        let request = value::decode_request(&bytes::Bytes::copy_from_slice(&frame[4..]));
        self.reports_loss = request.is_ok_and(|(.., body)| body.str("ClientSoftwareName") == FRANZ_GO);
    }

    /// What a member that a switch has left behind is told, in words that its library keeps to itself.
    pub(super) fn softened(&self, key: i16, code: i16) -> i16 {
        let lost = code == error::UNKNOWN_MEMBER_ID && self.reports_loss;
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
                // From its commits too franz-go concludes that the membership is lost.
                let commits = key == OFFSET_COMMIT && self.reports_loss;
                let code = if commits { error::REBALANCE_IN_PROGRESS } else { error::UNKNOWN_MEMBER_ID };
                self.tell_member(id, code, out);
                None
            }
            Place::Here(Standing::Bare) if key == OFFSET_COMMIT => {
                self.tell_member(id, error::REBALANCE_IN_PROGRESS, out);
                None
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
        let Some(exchange) = self.exchange(id) else { return frame };
        let Some(mut request) = decode_request(exchange, &frame) else { return frame };
        if !k11_join_group::strip_claims(&mut request) {
            return frame;
        }
        let (version, correlation) = (exchange.version, exchange.correlation);
        let body = tables::request(JOIN_GROUP, version).map(|m| Pieces::new(m, version).whole(&request));
        let (Some(Ok(body)), Ok(header)) = (body, header::request_header(&frame[4..])) else { return frame };
        exchange.scan.stripped = true;
        BytesMut::from(send::part_frame(&frame[..4 + header.len], correlation, &body))
    }
}

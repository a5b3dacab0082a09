//! A connection is one member of a group: who joins again on it without an id gets the id that it has.
//!
//! After a switch kafkajs joins once for each slot whose Fetch was refused, all at the same time and without an id, and goes on with the id that it
//! was given last. Its group would wait for each of the others until their session times out: a broker reads nothing from a connection
//! whose JoinGroup waits, so what would end the wait lies unread behind it. For the same reason no client has two members of a group on one
//! connection. So those that join again meanwhile wait for the answer to the first one, and are told its id (MEMBER_ID_REQUIRED),
//! which makes one member of them.
//!
//! Before the first switch of a chain nothing of this happens, and never to static members: they replace themselves.

use super::{
    ExchangeId, Session, dispatch::decode_request, exchange::Exchange, refuse, rejoin, route::Target,
};
use crate::rules::{Side, error};
use pointsman_wire::value::Struct;

/// From this version on JoinGroup without an id is answered with one (KIP-394).
const ID_REQUIRED_SINCE: i16 = 4;

/// What the connection's last JoinGroup was given.
#[derive(Debug)]
pub(super) struct Membership {
    group: Box<str>,
    member: Box<str>,
    /// Generation of the switch that made its cluster active.
    since: u64,
}

impl Session {
    /// Where a JoinGroup goes that is not the connection's first one; `None`: where every other goes.
    pub(super) fn joins_again(
        &self,
        id: ExchangeId,
        exchange: &Exchange,
        frame: &[u8],
        last_chance: bool,
    ) -> Option<Target> {
        let group = asks_for_id(exchange)?;
        let since = self.serving(Side::Consume).filter(|active| active.epoch_base > 0)?.since;
        let same = |earlier: &Exchange| asks_for_id(earlier) == Some(group) && !earlier.is_complete();
        let under_way = self.exchanges.iter().zip(self.first..).any(|(e, number)| number < id && same(e));
        let member =
            self.membership.as_ref().filter(|own| *own.group == *group && own.since == since && !under_way);
        let concerned = under_way || member.is_some();
        let is_static =
            || decode_request(exchange, frame).is_none_or(|r| r.opt_str("GroupInstanceId").is_some());
        if !concerned || is_static() {
            return None;
        }
        let Some(own) = member else { return (!last_chance).then_some(Target::EarlierJoin) };
        let answer =
            Struct::new().with("ErrorCode", error::MEMBER_ID_REQUIRED).with("MemberId", &*own.member);
        Some(Target::Answer(refuse::no_member(answer)))
    }

    /// Takes note of what a member of the group was answered.
    pub(super) fn note_membership(
        &mut self,
        key: i16,
        group: &str,
        member: &str,
        answer: &Struct,
        since: u64,
    ) {
        let code = answer.i16("ErrorCode");
        if key == rejoin::JOIN_GROUP && matches!(code, 0 | error::MEMBER_ID_REQUIRED) {
            let (group, member) = (group.into(), answer.str("MemberId").into());
            self.membership = Some(Membership { group, member, since });
            return;
        }
        let ends = match key {
            rejoin::LEAVE_GROUP => code == 0,
            _ => {
                code == error::UNKNOWN_MEMBER_ID
                    && self.membership.as_ref().is_some_and(|own| *own.member == *member)
            }
        };
        if ends {
            self.membership = self.membership.take().filter(|own| *own.group != *group);
        }
    }
}

/// The group of a JoinGroup that comes without an id, and that the cluster would answer with one at once.
fn asks_for_id(exchange: &Exchange) -> Option<&str> {
    let scan = &exchange.scan;
    let joins = exchange.rule.key == rejoin::JOIN_GROUP && exchange.version >= ID_REQUIRED_SINCE;
    scan.keys.first().filter(|_| joins && scan.member.as_deref() == Some(""))
}

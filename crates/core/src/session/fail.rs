//! What ends requests early: a broker that is gone, or a switch.

use super::{
    Asked, ExchangeId, Output, Purpose, Session, View,
    dispatch::{close, is_chosen},
    exchange::State,
    refuse::{self, Cause},
};
use crate::{
    Now,
    metrics::CloseReason,
    rules::{Fail, Route, request::Scan},
    signal::Failure,
    topology::NodeId,
};
use bytes::BytesMut;
use pointsman_wire::header;

impl Session {
    /// The connection to `node` failed or could not be made. The last `unsent` requests for it never left whole.
    pub fn link_failed(&mut self, node: NodeId, unsent: usize, failure: Failure, now: Now, out: &mut Output) {
        self.broker_failed(node, failure, out);
        let Some(link) = self.links.remove(&node) else { return };
        self.fetch_sessions.retain(|_, n| *n != node);
        if self.share_broker == Some(node) {
            self.share_broker = None;
        }
        if link.unanswered {
            let detail =
                format!("broker {node} went away, perhaps with Produce requests that expect no answer");
            close(CloseReason::UpstreamFailed, detail, out);
        }
        // A frame of which only a part has left was not carried out.
        let half = usize::from(self.incoming.as_mut().is_some_and(|i| i.cut(node, link.pending.back())));
        let sent = link.pending.len().saturating_sub(unsent.max(half));
        for (number, pending) in link.pending.into_iter().enumerate() {
            match pending.purpose {
                Purpose::Exchange { id, .. } => self.lost(id, node, number < sent, now, out),
                Purpose::Coordinator { .. } => self.lookup_lost(node),
                Purpose::Spare { .. } | Purpose::Courtesy => {}
            }
        }
        self.route_waiting(now, out);
        self.flush(now, out);
    }

    /// Everything under way to the old cluster ends: each request gets the error that makes its client try again at once.
    pub(super) fn switch(&mut self, now: Now, out: &mut Output) {
        out.drop_links.extend(self.links.keys());
        self.links.clear();
        self.fetch_sessions.clear();
        self.share_broker = None;
        if let Some(incoming) = &mut self.incoming {
            incoming.doom();
        }
        if self.is_switching() {
            // The answers that name the new leaders can be given in a moment.
            return;
        }
        self.waiting = None;
        let last = self.first + self.exchanges.len() as u64;
        for id in self.first..last {
            if self.incoming.as_ref().is_some_and(|i| i.is(id)) {
                // It is answered when all of it has come.
                continue;
            }
            let Some(exchange) = self.exchange(id) else { continue };
            match &exchange.state {
                State::Whole | State::Merging(_) | State::Held { .. } | State::Routing => {
                    self.retry_or_refuse(id, Cause::Switch, now, out);
                }
                State::Streaming => {
                    close(CloseReason::Switched, "a response was cut by the switch".into(), out);
                }
                State::Ready(_) | State::Silent => {}
            }
        }
        self.flush(now, out);
    }

    /// The next try asks another broker for the coordinator.
    fn lookup_lost(&mut self, node: NodeId) {
        let Some(waiting) = &mut self.waiting else { return };
        waiting.asked = Asked::Nothing;
        let id = waiting.id;
        if let Some(exchange) = self.exchange(id) {
            exchange.tried.push(node);
        }
    }

    /// A request, or a part of one, whose broker is gone, perhaps with it.
    fn lost(&mut self, id: ExchangeId, node: NodeId, sent: bool, now: Now, out: &mut Output) {
        let Some(exchange) = self.exchange(id) else { return };
        let part = match &mut exchange.state {
            State::Merging(merge) => {
                let Some(part) = merge.take(node) else { return };
                Some(part.chosen)
            }
            State::Whole => None,
            State::Streaming => {
                let detail = format!("broker {node} went away within a response");
                return close(CloseReason::UpstreamFailed, detail, out);
            }
            _ => return,
        };
        let rule = exchange.rule;
        // Whether the broker wrote it is not known, and no error code that all clients retry says so; a closed connection does.
        if sent && rule.key == 0 && !idempotent(&exchange.scan, part.as_deref()) {
            let detail = format!("broker {node} went away with a Produce request");
            return close(CloseReason::UpstreamFailed, detail, out);
        }
        if sent && matches!(rule.fail, Fail::Close) {
            let detail = format!("broker {node} went away with a request");
            return close(CloseReason::UpstreamFailed, detail, out);
        }
        self.forget_coordinators(id);
        match part {
            Some(chosen) => self.part_lost(id, &chosen, now, out),
            None => self.retry_or_refuse(id, Cause::Broker, now, out),
        }
    }

    /// The other parts of the request go on; this one's share of the answer is an error.
    fn part_lost(&mut self, id: ExchangeId, chosen: &[usize], now: Now, out: &mut Output) {
        let view = self.view.clone();
        let Some(exchange) = self.exchange(id) else { return };
        let (rule, version, scan) = (exchange.rule, exchange.version, exchange.scan.clone());
        let State::Merging(merge) = &mut exchange.state else { return };
        if matches!(rule.route, Route::All(_)) {
            return match merge.outstanding.is_empty() && merge.parts.is_empty() {
                true => self.retry_or_refuse(id, Cause::Broker, now, out),
                false => self.complete_merge(id, now, out),
            };
        }
        let cx = view.as_deref().map(View::context);
        match refuse::part(rule, version, &scan, chosen, cx.as_ref()) {
            Some(refused) => merge.parts.push(refused),
            None => return self.refuse(id, Cause::Broker, now, out),
        }
        self.close_gates(&scan, Some(chosen), now);
        self.complete_merge(id, now, out);
    }

    fn forget_coordinators(&mut self, id: ExchangeId) {
        let Some(exchange) = self.exchange(id) else { return };
        let (Route::Coordinator(kind) | Route::Coordinators(kind, _)) = exchange.rule.route else { return };
        let keys = exchange.scan.keys.clone();
        if let Some(active) = self.active() {
            keys.iter().for_each(|key| active.cluster.topology.set_coordinator(kind, key, None));
        }
    }

    /// Asks another broker where that is harmless, else answers with an error.
    fn retry_or_refuse(&mut self, id: ExchangeId, cause: Cause, now: Now, out: &mut Output) {
        let Some(exchange) = self.exchange(id) else { return };
        if cause == Cause::Switch {
            exchange.tried.clear();
        }
        let again = exchange.original.clone().filter(|_| matches!(exchange.rule.fail, Fail::Replay));
        let Some(original) = again.filter(|_| self.active().is_some()) else {
            return self.refuse(id, cause, now, out);
        };
        let Ok(len) = header::request_header(&original[4..]).map(|h| h.len) else { return };
        if let Some(exchange) = self.exchange(id) {
            exchange.state = State::Routing;
        }
        // One request at a time can wait to be routed; those that are tried again go to any broker and never wait.
        let waiting = self.waiting.take();
        self.dispatch(id, BytesMut::from(&original[..]), 4 + len, now, out);
        debug_assert!(self.waiting.is_none(), "a request that is tried again waits for nothing");
        self.waiting = waiting;
    }
}

/// Whether a repetition of every batch (of the chosen partitions) would be recognised by the broker that wrote it.
fn idempotent(scan: &Scan, chosen: Option<&[usize]>) -> bool {
    scan.partitions.iter().enumerate().all(|(i, p)| p.producer.is_some() || !is_chosen(chosen, i))
}

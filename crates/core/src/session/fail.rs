//! What ends requests early: a broker that is gone, or a switch.

use super::{
    Asked, ExchangeId, Link, Output, Peer, Purpose, Session, View,
    dispatch::{close, is_chosen},
    exchange::State,
    refuse::{self, Cause},
};
use crate::{
    Now,
    metrics::CloseReason,
    rules::{Fail, Route, Side, request::Scan},
    signal::Failure,
    topology::NodeId,
};
use bytes::BytesMut;
use pointsman_wire::header;

impl Session {
    /// The connection to a broker failed or could not be made. The last `unsent` requests for it never left whole.
    pub fn link_failed(&mut self, peer: Peer, unsent: usize, failure: Failure, now: Now, out: &mut Output) {
        self.broker_failed(peer, failure, out);
        let Some(link) = self.links.remove(&peer) else { return };
        let node = peer.node;
        self.forget_sessions(peer);
        if link.unanswered {
            let detail =
                format!("broker {node} went away, perhaps with Produce requests that expect no answer");
            close(CloseReason::UpstreamFailed, detail, out);
        }
        // A frame of which only a part has left was not carried out.
        let half = usize::from(self.incoming.as_mut().is_some_and(|i| i.cut(peer, link.pending.back())));
        let sent = link.pending.len().saturating_sub(unsent.max(half));
        for (number, pending) in link.pending.into_iter().enumerate() {
            match pending.purpose {
                Purpose::Exchange { id, .. } => self.lost(id, node, number < sent, now, out),
                Purpose::Coordinator { .. } => self.lookup_lost(node),
                Purpose::Spare { .. } | Purpose::Leave { .. } => {}
            }
        }
        self.route_waiting(now, out);
        self.flush(now, out);
    }

    /// Everything under way to the old cluster ends: each request gets the error that makes its client try again at once.
    /// `switched` says it of produces and of consumers.
    pub(super) fn switch(&mut self, switched: [bool; 2], now: Now, out: &mut Output) {
        let [produces, consumes] = switched;
        if consumes {
            self.fetch_sessions.clear();
            self.share_broker = None;
        }
        if let Some(incoming) = self.incoming.as_mut().filter(|_| produces) {
            incoming.doom();
        }
        for (peer, link) in self.ended_links() {
            out.drop_links.push(peer);
            self.abandon(peer, &link, now, out);
        }
        if self.waiting.as_ref().is_some_and(|w| self.is_orphan(w.id)) {
            self.waiting = None;
        }
        let last = self.first + self.exchanges.len() as u64;
        for id in self.first..last {
            if self.incoming.as_ref().is_some_and(|i| i.is(id)) {
                // It is answered when all of it has come.
                continue;
            }
            if !self.is_orphan(id) {
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

    /// Whether the cluster that a request was routed to serves its side no more, and the answer that says so can be given: while
    /// another cluster is about to follow, it cannot name the new leaders yet.
    fn is_orphan(&self, id: ExchangeId) -> bool {
        let Some(exchange) = self.exchange_of(id) else { return false };
        let serving = self.serving(exchange.side).map(|a| a.since);
        !self.virtual_cluster.waits(exchange.side) && (serving.is_none() || exchange.since != serving)
    }

    /// Takes out the connections to brokers of clusters that serve nothing any more, and those of a cluster that only consumers stay on
    /// which carry produces: their answers must not come.
    fn ended_links(&mut self) -> Vec<(Peer, Link)> {
        let [produce, consume] = [Side::Produce, Side::Consume].map(|s| self.serving(s).map(|a| a.since));
        let serves = |peer: &Peer| {
            let since = Some(peer.since);
            since == produce || (since == consume && !self.carries_produce(peer))
        };
        let ended: Vec<Peer> = self.links.keys().copied().filter(|peer| !serves(peer)).collect();
        ended.into_iter().filter_map(|peer| Some((peer, self.links.remove(&peer)?))).collect()
    }

    /// What consumers had under way on a connection that ends because of produces is as if its broker had gone away.
    fn abandon(&mut self, peer: Peer, link: &Link, now: Now, out: &mut Output) {
        if self.side_of(peer.since).is_none() {
            return;
        }
        self.forget_sessions(peer);
        for pending in &link.pending {
            match pending.purpose {
                Purpose::Exchange { id, .. }
                    if self.exchange_of(id).is_some_and(|e| e.side == Side::Consume) =>
                {
                    self.lost(id, peer.node, true, now, out);
                }
                Purpose::Coordinator { .. } => self.lookup_lost(peer.node),
                _ => {}
            }
        }
        self.route_waiting(now, out);
    }

    fn forget_sessions(&mut self, peer: Peer) {
        if self.side_of(peer.since) == self.side_of_consumers() {
            self.fetch_sessions.retain(|_, n| *n != peer.node);
            self.share_broker = self.share_broker.filter(|n| *n != peer.node);
        }
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
        let view = View::of_exchange(self, id);
        let Some(exchange) = self.exchange(id) else { return };
        let (rule, version) = (exchange.rule, exchange.version);
        let State::Merging(merge) = &mut exchange.state else { return };
        if matches!(rule.route, Route::All(_)) {
            return match merge.outstanding.is_empty() && merge.parts.is_empty() {
                true => self.retry_or_refuse(id, Cause::Broker, now, out),
                false => self.complete_merge(id, now, out),
            };
        }
        let cx = view.as_deref().map(View::context);
        match refuse::part(rule, version, &exchange.scan, chosen, cx.as_ref()) {
            Some(refused) => merge.parts.push(refused),
            None => return self.refuse(id, Cause::Broker, now, out),
        }
        if let Some(exchange) = self.exchange_of(id) {
            self.close_gates(&exchange.scan, Some(chosen), now);
        }
        self.complete_merge(id, now, out);
    }

    fn forget_coordinators(&mut self, id: ExchangeId) {
        let Some(exchange) = self.exchange(id) else { return };
        let (Route::Coordinator(kind) | Route::Coordinators(kind, _)) = exchange.rule.route else { return };
        let (keys, side) = (exchange.scan.keys.clone(), exchange.side);
        if let Some(active) = self.serving(side) {
            keys.iter().for_each(|key| active.cluster.topology.set_coordinator(kind, key, None));
        }
    }

    /// Asks another broker where that is harmless, else answers with an error.
    fn retry_or_refuse(&mut self, id: ExchangeId, cause: Cause, now: Now, out: &mut Output) {
        let Some(exchange) = self.exchange(id) else { return };
        if cause == Cause::Switch {
            exchange.tried.clear();
        }
        let side = exchange.side;
        let again = exchange.original.clone().filter(|_| matches!(exchange.rule.fail, Fail::Replay));
        let Some(original) = again.filter(|_| self.serving(side).is_some()) else {
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

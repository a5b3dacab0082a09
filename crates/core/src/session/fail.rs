//! What ends requests early: a broker that is gone, or a switch.

use super::{ExchangeId, Output, Purpose, Session, dispatch::close, exchange::State, refuse::Cause};
use crate::{
    Now,
    metrics::CloseReason,
    rules::{Fail, request::Scan},
    signal::Failure,
    topology::NodeId,
};
use bytes::BytesMut;
use pointsman_wire::header;

impl Session {
    /// The connection to `node` failed or could not be made. The last `unsent` requests for it never left.
    pub fn link_failed(&mut self, node: NodeId, unsent: usize, failure: Failure, now: Now, out: &mut Output) {
        self.broker_failed(node, failure, out);
        let Some(link) = self.links.remove(&node) else { return };
        self.fetch_sessions.retain(|_, n| *n != node);
        if self.share_broker == Some(node) {
            self.share_broker = None;
        }
        let sent = link.pending.len().saturating_sub(unsent);
        for (number, pending) in link.pending.into_iter().enumerate() {
            match pending.purpose {
                Purpose::Exchange { id, .. } => self.lost(id, node, number < sent, now, out),
                // The next try asks another broker.
                Purpose::Coordinator { .. } => {
                    if let Some(waiting) = &mut self.waiting {
                        waiting.asked = false;
                    }
                }
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
        if self.is_switching() {
            // The answers that name the new leaders can be given in a moment.
            return;
        }
        self.waiting = None;
        let last = self.first + self.exchanges.len() as u64;
        for id in self.first..last {
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

    /// A request whose broker is gone, perhaps with the request.
    fn lost(&mut self, id: ExchangeId, node: NodeId, sent: bool, now: Now, out: &mut Output) {
        let Some(exchange) = self.exchange(id) else { return };
        match &mut exchange.state {
            State::Merging(merge) => merge.outstanding.retain(|n| *n != node),
            State::Streaming => {
                return close(
                    CloseReason::UpstreamFailed,
                    format!("broker {node} went away within a response"),
                    out,
                );
            }
            _ => {}
        }
        if sent && exchange.rule.key == 0 && !idempotent(&exchange.scan) {
            // Whether the broker wrote it is not known, and no error code that all clients retry says so; a closed connection does.
            return close(
                CloseReason::UpstreamFailed,
                format!("broker {node} went away with a Produce request"),
                out,
            );
        }
        if sent && matches!(exchange.rule.fail, Fail::Close) {
            return close(
                CloseReason::UpstreamFailed,
                format!("broker {node} went away with a request"),
                out,
            );
        }
        self.forget_coordinators(id);
        self.retry_or_refuse(id, Cause::Broker, now, out);
    }

    fn forget_coordinators(&mut self, id: ExchangeId) {
        use crate::rules::Route::{Coordinator, Coordinators};
        let Some(exchange) = self.exchange(id) else { return };
        let (Coordinator(kind) | Coordinators(kind, _)) = exchange.rule.route else { return };
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
        // One request at a time can wait to be routed; a second one is refused rather than reordered.
        let Some(original) = again.filter(|_| self.active().is_some() && self.waiting.is_none()) else {
            return self.refuse(id, cause, now, out);
        };
        let Ok(len) = header::request_header(&original[4..]).map(|h| h.len) else { return };
        if let Some(exchange) = self.exchange(id) {
            exchange.state = State::Routing;
        }
        self.dispatch(id, BytesMut::from(&original[..]), 4 + len, now, out);
    }
}

/// Whether a repetition of every batch would be recognised by the broker that wrote it.
fn idempotent(scan: &Scan) -> bool {
    scan.partitions.iter().all(|p| p.producer.is_some())
}

//! The parts of a Produce request that is cut through: where the records of each partition go, and the frame around them.

use super::{
    ExchangeId, Outgoing, Output, Peer, Pending, Purpose, Session, View,
    exchange::{Part, State},
    produce_stream::{Body, Incoming},
    refuse::{self, Cause},
};
use crate::{
    Now, limits,
    rules::{Context, Side, error, request::Scan, transactions},
    topology::NodeId,
};
use bytes::Bytes;
use pointsman_wire::{
    batch::{Batches, HEADER_LEN},
    write::Writer,
};

const PRODUCE: i16 = 0;

/// Where the records of a partition go.
enum Decision {
    Broker(NodeId),
    Refused(i16),
    Nowhere,
    Wait,
}

impl Session {
    /// Decides where the records go that come next, when enough of them is there. Returns whether it is decided.
    pub(super) fn settle(
        &mut self,
        incoming: &mut Incoming,
        body: &mut Body,
        input: &[u8],
        cx: &Context<'_>,
        now: Now,
        out: &mut Output,
    ) -> bool {
        let Some(first) = input.get(..HEADER_LEN.min(body.cursor.blob_left())) else { return false };
        if let Some(partition) = self.exchange(body.id).and_then(|e| e.scan.partitions.last_mut()) {
            partition.note_batch(first, cx);
        }
        match self.decide(incoming, body, cx, now) {
            Decision::Wait => {
                if incoming.until.is_none() {
                    incoming.until = Some(now + limits::LOOKUP_WAIT);
                    self.stale_topology(Side::Produce, out);
                }
                return false;
            }
            Decision::Broker(node) => {
                let records = body.cursor.blob_left();
                body.batches = (!cx.active.producer_ids.pass()).then(|| Batches::new(records));
                let to = Peer { since: cx.active.since, node };
                self.begin_part(incoming, body, to, out);
            }
            Decision::Refused(code) => {
                body.refused.entry(code).or_default().push(self.last_partition(body.id));
            }
            Decision::Nowhere => {}
        }
        incoming.until = None;
        body.undecided = false;
        if body.cursor.blob_left() == 0 {
            incoming.end_part(body, out);
        }
        true
    }

    fn decide(&self, incoming: &Incoming, body: &Body, cx: &Context<'_>, now: Now) -> Decision {
        if incoming.doomed {
            return Decision::Nowhere;
        }
        let Some(scan) = self.scan(body.id) else { return Decision::Nowhere };
        let Some(partition) = scan.partitions.last() else { return Decision::Nowhere };
        if partition.stale_transaction {
            return Decision::Refused(transactions::lost(PRODUCE, body.version));
        }
        let topic = scan.topics.get(partition.topic).and_then(|t| t.name.as_ref());
        let known = topic.and_then(|t| cx.topology.leader(t, partition.index));
        let missing = known.is_none() && topic.is_some_and(|t| !cx.topology.topics.contains_key(t));
        if missing && incoming.until.is_none_or(|until| now < until) {
            return Decision::Wait;
        }
        let Some(node) = known.or_else(|| self.any(body.id, &[], cx)) else {
            return Decision::Refused(error::NOT_LEADER_OR_FOLLOWER);
        };
        let way = self.way(node);
        let admits = |(p, t)| self.gate.admits(p, t, partition.index, way, now);
        let admitted = partition.producer.zip(topic).is_none_or(admits);
        if admitted { Decision::Broker(node) } else { Decision::Refused(error::NOT_LEADER_OR_FOLLOWER) }
    }

    fn scan(&self, id: ExchangeId) -> Option<&Scan> {
        let index = usize::try_from(id.checked_sub(self.first)?).ok()?;
        self.exchanges.get(index).map(|e| &*e.scan)
    }

    fn last_partition(&self, id: ExchangeId) -> usize {
        self.scan(id).map_or(0, |s| s.partitions.len().saturating_sub(1))
    }

    /// Everything before the records leaves.
    fn begin_part(&mut self, incoming: &mut Incoming, body: &Body, to: Peer, out: &mut Output) {
        let chosen = vec![self.last_partition(body.id)];
        let answered = !self.scan(body.id).is_some_and(|s| s.no_response);
        let link = self.links.entry(to).or_default();
        link.unanswered |= !answered;
        let correlation = link.next();
        if answered {
            let purpose = Purpose::Exchange { id: body.id, poll: None };
            link.pending.push_back(Pending { correlation, purpose });
        }
        if let Some(State::Merging(merge)) = self.exchange(body.id).map(|e| &mut e.state)
            && answered
        {
            merge.outstanding.push_back(Part { node: to.node, chosen });
        }
        incoming.to = Some(to);
        out.sends.push(Outgoing { to, frame: body.head(correlation).into(), answered });
    }

    /// All of the request has come.
    pub(super) fn received(&mut self, incoming: Incoming, now: Now, out: &mut Output) {
        let Some(body) = incoming.body else { return };
        let id = body.id;
        self.metrics.splits.add(u64::from(!body.whole));
        let Some(scan) = self.scan(id).cloned() else { return };
        if incoming.doomed && self.virtual_cluster.waits(Side::Produce) {
            // It is refused with everything else when the switch is over.
            if let Some(exchange) = self.exchange(id) {
                exchange.state = State::Routing;
            }
            return;
        }
        if incoming.doomed || (scan.no_response && !body.refused.is_empty()) {
            self.refuse(id, Cause::Switch, now, out);
            return self.flush(now, out);
        }
        let view = View::of(self, Side::Produce);
        let cx = view.as_deref().map(View::context);
        body.refused.values().for_each(|chosen| self.close_gates(&scan, Some(chosen), now));
        let api = (PRODUCE, body.version);
        let refused = body.refused.iter().filter_map(|(code, chosen)| {
            refuse::partitions(api, body.shape, &scan, Some(chosen), *code, cx.as_ref())
        });
        if let Some(exchange) = self.exchange(id) {
            match &mut exchange.state {
                _ if scan.no_response => exchange.state = State::Silent,
                State::Merging(merge) => {
                    merge.parts.extend(refused);
                    merge.open = false;
                }
                _ => {}
            }
        }
        self.complete_merge(id, now, out);
        self.flush(now, out);
    }
}

impl Incoming {
    /// A piece of the frame under way, if there is one.
    pub(super) fn piece(&self, bytes: Bytes, out: &mut Output) {
        if let Some(to) = self.to.filter(|_| !bytes.is_empty()) {
            // Whether an answer will come was said with the first piece.
            out.sends.push(Outgoing { to, frame: bytes, answered: false });
        }
    }

    /// The records of a partition are through. What follows them is the client's own, or in a part the empty tag sections.
    pub(super) fn end_part(&mut self, body: &Body, out: &mut Output) {
        if !body.whole {
            self.piece(Bytes::from_static(&[0; 3][..body.tail()]), out);
            self.to = None;
        }
    }
}

impl Body {
    /// The head of the frame for the partition whose records come next.
    fn head(&self, correlation: i32) -> Vec<u8> {
        let mut head = self.header.to_vec();
        head.extend_from_slice(&self.prelude);
        Writer::new(&mut head).array_len(Some(1), self.flexible);
        head.extend_from_slice(&self.topic);
        Writer::new(&mut head).array_len(Some(1), self.flexible);
        head.extend_from_slice(&self.index);
        head.extend_from_slice(&self.length);
        let records = self.cursor.blob_left();
        let rest = if self.whole { self.len - self.cursor.position() - records } else { self.tail() };
        let size = u32::try_from(head.len() - 4 + records + rest).unwrap_or(u32::MAX);
        head[..4].copy_from_slice(&size.to_be_bytes());
        head[8..12].copy_from_slice(&correlation.to_be_bytes());
        head
    }

    /// Bytes after the records of a part: the tag sections of partition, topic and request.
    fn tail(&self) -> usize {
        if self.flexible { 3 } else { 0 }
    }
}

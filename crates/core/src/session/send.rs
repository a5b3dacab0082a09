//! Frames for brokers: a request whole, or its parts.

use super::{
    ExchangeId, Link, Outgoing, Output, Peer, Pending, Purpose, Session,
    dispatch::{decode_request, is_chosen},
    exchange::{Merge, Part, State},
    positions, refuse,
};
use crate::{
    Now, limits,
    rules::{Context, Keys, Partitions, Route, Side, request::Scan},
    topology::NodeId,
};
use bytes::{Bytes, BytesMut};
use pointsman_wire::{
    header, tables,
    value::{self, Struct, Value},
};
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::Duration,
};

/// A split Fetch is answered this long after its own `max.wait` even if a broker is silent.
const FETCH_GRACE: Duration = Duration::from_millis(100);

/// Where the partitions of a request go.
pub(super) struct Split {
    /// Partitions (indices into the scan) by broker.
    pub(super) groups: BTreeMap<NodeId, Vec<usize>>,
    /// Partitions that go nowhere, by their error.
    pub(super) refused: BTreeMap<i16, Vec<usize>>,
    /// Partitions whose answer is known here, in ascending order.
    pub(super) answered: Vec<usize>,
}

impl Session {
    /// Before a consumer joins again on a cluster it had left, its former self leaves.
    fn dismiss_ghosts(&mut self, id: ExchangeId, to: Peer, out: &mut Output) {
        const JOIN_GROUP: i16 = 11;
        const LEAVE_GROUP: i16 = 13;
        let joins = self.exchange(id).filter(|e| e.rule.key == JOIN_GROUP);
        let Some(group) = joins.and_then(|e| e.scan.keys.first().cloned()) else { return };
        let Some(cluster) = self.serving(Side::Consume).map(|a| a.cluster.name.clone()) else { return };
        let Some((_, version)) = self.virtual_cluster.offer.apis.get(&LEAVE_GROUP).copied() else { return };
        for ghost in self.members.take_ghosts(&cluster, &group) {
            let member = Struct::new().with("MemberId", ghost.id());
            let body = Struct::new()
                .with("GroupId", &*group)
                .with("MemberId", ghost.id())
                .with("Members", vec![member]);
            let link = self.links.entry(to).or_default();
            let correlation = link.next();
            if let Ok(frame) =
                value::encode_request(LEAVE_GROUP, version, correlation, Some("pointsman"), &body)
            {
                link.pending.push_back(Pending { correlation, purpose: Purpose::Leave { ghost, version } });
                out.sends.push(Outgoing { to, frame: frame.into(), answered: true });
            }
        }
    }

    /// A broker of the cluster that the request was routed to.
    pub(super) fn peer(&self, id: ExchangeId, node: NodeId) -> Option<Peer> {
        self.exchange_of(id)?.since.map(|since| Peer { since, node })
    }

    pub(super) fn send_whole(&mut self, id: ExchangeId, node: NodeId, mut frame: BytesMut, out: &mut Output) {
        let Some(to) = self.peer(id, node) else { return };
        self.dismiss_ghosts(id, to, out);
        self.end_no_stranger_session(id, node, &mut frame);
        self.without_session(id, &mut frame);
        let Some(exchange) = self.exchange(id) else { return };
        let silent = exchange.scan.no_response;
        exchange.state = if silent { State::Silent } else { State::Whole };
        exchange.tried.push(node);
        let commits = exchange.scan.ends_for.filter(|_| exchange.scan.commits_transaction);
        if matches!(exchange.rule.route, Route::ShareSession(_)) {
            self.share_broker = Some(node);
        }
        if let Some(producer) = commits {
            self.virtual_cluster.commits.asked(producer);
        }
        let link = self.links.entry(to).or_default();
        link.unanswered |= silent;
        let correlation = link.next();
        frame[8..12].copy_from_slice(&correlation.to_be_bytes());
        if !silent {
            link.pending.push_back(Pending { correlation, purpose: Purpose::Exchange { id, poll: None } });
        }
        out.sends.push(Outgoing { to, frame: frame.freeze(), answered: !silent });
    }

    /// A Fetch that starts anew may name the session that it had before, for the broker to end it. Another broker could have given
    /// the same id to somebody else, so only the session's own broker is told.
    fn end_no_stranger_session(&mut self, id: ExchangeId, node: NodeId, frame: &mut BytesMut) {
        let Some(terms) = self.exchange(id).filter(|e| e.rule.key == 1).map(|e| e.scan.fetch) else { return };
        if terms.session_id == 0 || self.fetch_sessions.get(&terms.session_id) == Some(&node) {
            return;
        }
        let body_at = header::request_header(&frame[4..]).map(|h| 4 + h.len);
        let place =
            body_at.ok().and_then(|at| frame.get_mut(at + terms.session_at..at + terms.session_at + 4));
        if let Some(place) = place {
            place.fill(0);
        }
    }

    pub(super) fn split_partitions(
        &mut self,
        id: ExchangeId,
        frame: &[u8],
        Split { groups, refused, answered }: Split,
        cx: &Context<'_>,
        now: Now,
        out: &mut Output,
    ) {
        if groups.len() > 1 {
            self.metrics.splits.add(1);
        }
        let Some(exchange) = self.exchange(id) else { return };
        let (rule, scan) = (exchange.rule, exchange.scan.clone());
        let Route::Leaders(shape) = rule.route else { return };
        let Some(whole) = decode_request(exchange, frame) else { return };
        let mut known: Vec<Struct> = refused
            .iter()
            .map(|(code, chosen)| refuse::partitions(shape, &scan, Some(chosen), *code, Some(cx)))
            .collect();
        if !answered.is_empty() {
            let (ends, moved) = positions::ends_of_older(shape, &scan, &answered, cx);
            known.push(ends);
            self.tell_moved(moved, out);
        }
        self.metrics.epochs_answered.add(answered.len() as u64);
        let brokers = groups.len();
        let bodies: Vec<(Part, Struct)> = groups
            .into_iter()
            .map(|(node, chosen)| {
                let mut body = only_partitions(&whole, shape, &scan, &chosen);
                if rule.key == 1 {
                    as_poll(&mut body, brokers);
                }
                (Part { node, chosen }, body)
            })
            .collect();
        let wait = u64::try_from(scan.fetch.max_wait_ms.max(0)).unwrap_or(0);
        let deadline = (rule.key == 1).then(|| now + Duration::from_millis(wait) + FETCH_GRACE);
        self.send_parts(id, frame, bodies, known, deadline, now, out);
    }

    pub(super) fn split_keys(
        &mut self,
        id: ExchangeId,
        frame: &[u8],
        groups: BTreeMap<NodeId, Vec<usize>>,
        now: Now,
        out: &mut Output,
    ) {
        self.metrics.splits.add(1);
        let Some(exchange) = self.exchange(id) else { return };
        let Route::Coordinators(_, keys) = exchange.rule.route else { return };
        let Some(whole) = decode_request(exchange, frame) else { return };
        let scan = &exchange.scan;
        let body = |(node, chosen): (NodeId, Vec<usize>)| {
            let body = only_keys(&whole, keys, scan, &chosen);
            (Part { node, chosen }, body)
        };
        let bodies = groups.into_iter().map(body).collect();
        self.send_parts(id, frame, bodies, Vec::new(), None, now, out);
    }

    pub(super) fn send_all(&mut self, id: ExchangeId, frame: &[u8], nodes: Vec<NodeId>, out: &mut Output) {
        let Some(exchange) = self.exchange(id) else { return };
        let Some(whole) = decode_request(exchange, frame) else { return };
        let part = |node| Part { node, chosen: Vec::new() };
        let bodies = nodes.into_iter().map(|node| (part(node), whole.clone())).collect();
        self.send_parts(id, frame, bodies, Vec::new(), None, Now::ZERO, out);
    }

    /// `parts` are the answers that are known already. Parts get the header of the client's `frame`: quotas go by the client id.
    #[allow(clippy::too_many_arguments, reason = "the one place where all kinds of splits come together")]
    fn send_parts(
        &mut self,
        id: ExchangeId,
        frame: &[u8],
        bodies: Vec<(Part, Struct)>,
        parts: Vec<Struct>,
        deadline: Option<Now>,
        now: Now,
        out: &mut Output,
    ) {
        let mut merge = Merge { outstanding: VecDeque::new(), parts, deadline, open: false };
        for (part, body) in bodies {
            self.send_part(id, frame, part, &body, &mut merge, out);
        }
        if let Some(exchange) = self.exchange(id) {
            exchange.tried.extend(merge.outstanding.iter().map(|p| p.node));
            let silent = exchange.scan.no_response;
            exchange.state = if silent { State::Silent } else { State::Merging(merge) };
        }
        self.complete_merge(id, now, out);
    }

    fn send_part(
        &mut self,
        id: ExchangeId,
        whole: &[u8],
        part: Part,
        body: &Struct,
        merge: &mut Merge,
        out: &mut Output,
    ) {
        let Some(to) = self.peer(id, part.node) else { return };
        let Some(exchange) = self.exchange(id) else { return };
        let (key, version, answered) = (exchange.rule.key, exchange.version, !exchange.scan.no_response);
        let link = self.links.entry(to).or_default();
        link.unanswered |= !answered;
        let correlation = link.next();
        let Some(frame) = part_frame(whole, key, version, correlation, body) else { return };
        let poll = (key == 1).then(|| frame.slice(12..));
        match poll.as_ref().and_then(|p| link.take_poll(p, id)) {
            Some(Poll::Answered(answer)) => return merge.parts.push(answer),
            Some(Poll::UnderWay) => return merge.outstanding.push_back(part),
            None => {}
        }
        if answered {
            link.pending.push_back(Pending { correlation, purpose: Purpose::Exchange { id, poll } });
            merge.outstanding.push_back(part);
        }
        out.sends.push(Outgoing { to, frame, answered });
    }
}

/// A frame with the header of `whole` and another body.
pub(super) fn part_frame(
    whole: &[u8],
    key: i16,
    version: i16,
    correlation: i32,
    body: &Struct,
) -> Option<Bytes> {
    let header = header::request_header(&whole[4..]).ok()?.len;
    let mut frame = whole[..4 + header].to_vec();
    value::encode(tables::request(key, version)?, version, body, &mut frame).ok()?;
    let size = u32::try_from(frame.len() - 4).ok()?;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame[8..12].copy_from_slice(&correlation.to_be_bytes());
    Some(frame.into())
}

/// A poll that a split Fetch can take over.
enum Poll {
    Answered(Struct),
    UnderWay,
}

impl Link {
    /// The requests of the client that wait for an answer.
    pub(super) fn exchanges(&self) -> impl Iterator<Item = ExchangeId> {
        self.pending.iter().filter_map(|p| match p.purpose {
            Purpose::Exchange { id, .. } => Some(id),
            _ => None,
        })
    }

    pub(super) fn next(&mut self) -> i32 {
        self.next_correlation = self.next_correlation.wrapping_add(1) & i32::MAX;
        self.next_correlation
    }

    /// The same poll, answered or under way, from a Fetch that was answered without it. Another poll's answer is given up.
    fn take_poll(&mut self, poll: &Bytes, id: ExchangeId) -> Option<Poll> {
        if let Some((body, answer)) = self.spare.take()
            && body == *poll
        {
            return Some(Poll::Answered(answer));
        }
        let same = |p: &&mut Pending| matches!(&p.purpose, Purpose::Spare { poll: old, .. } if old == poll);
        let pending = self.pending.iter_mut().find(same)?;
        pending.purpose = Purpose::Exchange { id, poll: Some(poll.clone()) };
        Some(Poll::UnderWay)
    }
}

/// The request with the chosen partitions only.
fn only_partitions(whole: &Struct, shape: &Partitions, scan: &Scan, chosen: &[usize]) -> Struct {
    let mut number = 0;
    let mut topics: Vec<Value> = Vec::new();
    for topic in whole.structs(shape.topics) {
        let mut kept: Vec<Value> = Vec::new();
        for partition in topic.array(shape.partitions) {
            if is_chosen(Some(chosen), number) {
                kept.push(partition.clone());
            }
            number += 1;
        }
        if !kept.is_empty() {
            topics.push(Value::Struct(without(topic, shape.partitions).with(shape.partitions, kept)));
        }
    }
    debug_assert_eq!(number, scan.partitions.len(), "the scan saw every partition");
    without(whole, shape.topics).with(shape.topics, topics)
}

/// A part of a Fetch: without a session, answered by its broker as soon as there is anything, and with its share of the bytes,
/// because parts are collected.
fn as_poll(part: &mut Struct, brokers: usize) {
    let brokers = i32::try_from(brokers).unwrap_or(i32::MAX).max(1);
    part.set("SessionId", 0);
    part.set("SessionEpoch", -1);
    part.set("ForgottenTopicsData", Vec::<Value>::new());
    part.set("MinBytes", part.i32("MinBytes").min(1));
    part.set("MaxBytes", part.i32("MaxBytes").min(limits::SPLIT_FETCH) / brokers);
}

/// A copy without one field, which may be large.
fn without(whole: &Struct, field: &str) -> Struct {
    let mut copy = Struct::new();
    whole.fields().filter(|(name, _)| *name != field).for_each(|(name, value)| copy.set(name, value.clone()));
    whole.unknown_tags().iter().for_each(|(tag, value)| copy.set_unknown_tag(*tag, value.clone()));
    copy
}

fn only_keys(whole: &Struct, keys: &Keys, scan: &Scan, chosen: &[usize]) -> Struct {
    let wanted: HashSet<&str> = chosen.iter().map(|i| &*scan.keys[*i]).collect();
    let is_wanted = |value: &&Value| match value {
        Value::String(key) => wanted.contains(key.as_str()),
        Value::Struct(item) => wanted.contains(item.str(keys.key)),
        _ => false,
    };
    let kept: Vec<Value> = whole.array(keys.keys).iter().filter(is_wanted).cloned().collect();
    without(whole, keys.keys).with(keys.keys, kept)
}

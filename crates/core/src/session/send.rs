//! Frames for brokers: a request whole, or its parts.

use super::{
    ExchangeId, Link, Outgoing, Output, Pending, Purpose, Session,
    dispatch::decode_request,
    exchange::{Merge, State},
    refuse,
};
use crate::{
    Now,
    rules::{
        Context, Keys, Partitions, Route,
        request::{self, Scan},
    },
    topology::NodeId,
};
use bytes::{Bytes, BytesMut};
use pointsman_wire::value::{self, Struct, Value};
use std::{collections::BTreeMap, time::Duration};

/// A split Fetch is answered this long after its own `max.wait` even if a broker is silent.
const FETCH_GRACE: Duration = Duration::from_millis(100);

/// Where the partitions of a request go.
pub(super) struct Split {
    /// Partitions (indices into the scan) by broker.
    pub(super) groups: BTreeMap<NodeId, Vec<usize>>,
    /// Partitions that go nowhere, with their error.
    pub(super) refused: Vec<(usize, i16)>,
}

impl Session {
    /// Before a consumer joins again on a cluster it had left, its former self leaves.
    fn dismiss_ghosts(&mut self, id: ExchangeId, node: NodeId, out: &mut Output) {
        const JOIN_GROUP: i16 = 11;
        const LEAVE_GROUP: i16 = 13;
        let members = self.members.clone();
        let Some((cluster, since)) = self.active().map(|a| (a.cluster.name.clone(), a.since)) else { return };
        let Some((_, version)) = self.virtual_cluster.offer.apis.get(&LEAVE_GROUP).copied() else { return };
        let Some(group) =
            self.exchange(id).filter(|e| e.rule.key == JOIN_GROUP).and_then(|e| e.scan.keys.first().cloned())
        else {
            return;
        };
        for ghost in members.take_ghosts(&cluster, &group, since) {
            let member = Struct::new().with("MemberId", ghost.as_str());
            let body =
                Struct::new().with("GroupId", &*group).with("MemberId", ghost).with("Members", vec![member]);
            let link = self.links.entry(node).or_default();
            let correlation = link.next();
            if let Ok(frame) =
                value::encode_request(LEAVE_GROUP, version, correlation, Some("pointsman"), &body)
            {
                link.pending.push_back(Pending { correlation, purpose: Purpose::Courtesy });
                out.sends.push(Outgoing { node, frame: frame.into(), answered: true });
            }
        }
    }

    pub(super) fn send_whole(&mut self, id: ExchangeId, node: NodeId, mut frame: BytesMut, out: &mut Output) {
        self.dismiss_ghosts(id, node, out);
        let Some(exchange) = self.exchange(id) else { return };
        let silent = exchange.scan.no_response;
        exchange.state = if silent { State::Silent } else { State::Whole };
        exchange.tried.push(node);
        if matches!(exchange.rule.route, Route::ShareSession(_)) {
            self.share_broker = Some(node);
        }
        let link = self.links.entry(node).or_default();
        let correlation = link.next();
        frame[8..12].copy_from_slice(&correlation.to_be_bytes());
        if !silent {
            link.pending.push_back(Pending { correlation, purpose: Purpose::Exchange { id, poll: None } });
        }
        out.sends.push(Outgoing { node, frame: frame.freeze(), answered: !silent });
    }

    pub(super) fn split_partitions(
        &mut self,
        id: ExchangeId,
        frame: &[u8],
        Split { groups, refused }: Split,
        cx: &Context<'_>,
        now: Now,
        out: &mut Output,
    ) {
        self.metrics.splits.add(1);
        let Some(exchange) = self.exchange(id) else { return };
        let (rule, scan) = (exchange.rule, exchange.scan.clone());
        let Route::Leaders(shape) = rule.route else { return };
        let Some(whole) = decode_request(exchange, frame) else { return };
        let mut parts: Vec<Struct> = Vec::new();
        for code in refused.iter().map(|(_, code)| *code).collect::<std::collections::BTreeSet<_>>() {
            let mine = |number: usize, _: &request::PartitionRef| refused.contains(&(number, code));
            parts.push(refuse::partitions(shape, &scan, mine, code, Some(cx)));
        }
        let bodies: Vec<(NodeId, Struct)> = groups
            .into_iter()
            .map(|(node, chosen)| (node, only_partitions(&whole, shape, &scan, &chosen, rule.key)))
            .collect();
        let wait = u64::try_from(scan.fetch.max_wait_ms.max(0)).unwrap_or(0);
        let deadline = (rule.key == 1).then(|| now + Duration::from_millis(wait) + FETCH_GRACE);
        self.send_parts(id, bodies, parts, deadline, now, out);
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
        let bodies =
            groups.into_iter().map(|(node, chosen)| (node, only_keys(&whole, keys, scan, &chosen))).collect();
        self.send_parts(id, bodies, Vec::new(), None, now, out);
    }

    pub(super) fn send_all(&mut self, id: ExchangeId, frame: &[u8], nodes: Vec<NodeId>, out: &mut Output) {
        let Some(exchange) = self.exchange(id) else { return };
        let Some(whole) = decode_request(exchange, frame) else { return };
        let bodies = nodes.into_iter().map(|node| (node, whole.clone())).collect();
        self.send_parts(id, bodies, Vec::new(), None, Now::ZERO, out);
    }

    fn send_parts(
        &mut self,
        id: ExchangeId,
        bodies: Vec<(NodeId, Struct)>,
        parts: Vec<Struct>,
        deadline: Option<Now>,
        now: Now,
        out: &mut Output,
    ) {
        let Some(exchange) = self.exchange(id) else { return };
        let (key, version, silent) = (exchange.rule.key, exchange.version, exchange.scan.no_response);
        let mut merge = Merge { outstanding: Vec::new(), parts, deadline };
        for (node, body) in bodies {
            let link = self.links.entry(node).or_default();
            let correlation = link.next();
            let Ok(sent) = value::encode_request(key, version, correlation, Some("pointsman"), &body) else {
                continue;
            };
            let frame = Bytes::from(sent);
            let poll = (key == 1).then(|| frame.slice(12..));
            match poll.as_ref().and_then(|p| link.take_poll(p, id)) {
                Some(Poll::Answered(part)) => merge.parts.push(part),
                Some(Poll::UnderWay) => merge.outstanding.push(node),
                None => {
                    if !silent {
                        link.pending
                            .push_back(Pending { correlation, purpose: Purpose::Exchange { id, poll } });
                        merge.outstanding.push(node);
                    }
                    out.sends.push(Outgoing { node, frame, answered: !silent });
                }
            }
        }
        if let Some(exchange) = self.exchange(id) {
            exchange.state = if silent { State::Silent } else { State::Merging(merge) };
        }
        self.complete_merge(id, now, out);
    }
}

/// A poll that a split Fetch can take over.
enum Poll {
    Answered(Struct),
    UnderWay,
}

impl Link {
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

/// The request with the chosen partitions only. A Fetch becomes one without a session.
fn only_partitions(whole: &Struct, shape: &Partitions, scan: &Scan, chosen: &[usize], key: i16) -> Struct {
    let mut part = whole.clone();
    let mut number = 0;
    let mut topics: Vec<Value> = Vec::new();
    for topic in whole.array(shape.topics) {
        let Value::Struct(topic) = topic else { continue };
        let mut kept: Vec<Value> = Vec::new();
        for partition in topic.array(shape.partitions) {
            if chosen.contains(&number) {
                kept.push(partition.clone());
            }
            number += 1;
        }
        if !kept.is_empty() {
            topics.push(Value::Struct(topic.clone().with(shape.partitions, kept)));
        }
    }
    debug_assert_eq!(number, scan.partitions.len(), "the scan saw every partition");
    part.set(shape.topics, topics);
    if key == 1 {
        part.set("SessionId", 0);
        part.set("SessionEpoch", -1);
        part.set("ForgottenTopicsData", Vec::<Value>::new());
        part.set("MinBytes", part.i32("MinBytes").min(1));
    }
    part
}

fn only_keys(whole: &Struct, keys: &Keys, scan: &Scan, chosen: &[usize]) -> Struct {
    let wanted = |value: &Value| {
        let key = match value {
            Value::String(key) => key.as_str(),
            Value::Struct(item) => item.str(keys.key),
            _ => return false,
        };
        chosen.iter().any(|i| *scan.keys[*i] == *key)
    };
    let kept: Vec<Value> = whole.array(keys.keys).iter().filter(|v| wanted(v)).cloned().collect();
    whole.clone().with(keys.keys, kept)
}

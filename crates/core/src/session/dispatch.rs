//! From a client's request to frames for brokers.

use super::{
    BOOTSTRAP, Close, ExchangeId, Link, Outgoing, Output, Pending, Purpose, Session, View, Waiting,
    exchange::{Exchange, Merge, State},
    refuse::{self, Cause},
};
use crate::{
    Now, limits,
    metrics::CloseReason,
    rules::{
        self, Context, Fail, Keys, Partitions, Route, Rule, error, k10_find_coordinator, k18_api_versions,
        k32_describe_configs,
        request::{self, Scan},
    },
    signal::Signal,
    topology::{CoordinatorKind, NodeId},
};
use bytes::{Bytes, BytesMut};
use pointsman_wire::{
    header::{self, RequestHeader},
    tables,
    value::{self, Struct, Value},
};
use std::{collections::BTreeMap, time::Duration};

/// A split Fetch is answered this long after its own `max.wait` even if a broker is silent.
const FETCH_GRACE: Duration = Duration::from_millis(100);

/// Where a request goes.
enum Target {
    Whole(NodeId),
    /// Partitions (indices into the scan) by broker, and errors of partitions that go nowhere.
    Leaders(BTreeMap<NodeId, Vec<usize>>, Vec<(usize, i16)>),
    /// Keys (indices into the scan) by broker.
    Coordinators(BTreeMap<NodeId, Vec<usize>>),
    All(Vec<NodeId>),
    /// Something has to be learned first: coordinators of these keys, or (none) the topology.
    Unknown(CoordinatorKind, Vec<Box<str>>),
    /// The topology lacks a topic.
    UnknownTopic,
    /// No broker is known at all.
    Nowhere,
    /// Answered here.
    Answer(Struct),
}

impl Session {
    /// Takes one complete request frame, size included.
    pub fn request(&mut self, frame: BytesMut, now: Now, out: &mut Output) {
        let header = match header::request_header(&frame[4..]) {
            Ok(header) => (header.key, header.version, header.correlation_id, header.len),
            Err(error) => return self.bad_header(&frame, &error.to_string(), now, out),
        };
        let (key, version, correlation, len) = header;
        if let Some(api) = usize::try_from(key).ok().and_then(|k| self.metrics.apis.get(k)) {
            api.requests.add(1);
        }
        let rule = rules::rule(key).filter(|_| key == 18 || self.virtual_cluster.offer.allows(key, version));
        let Some(rule) = rule else {
            let name = tables::api(key).map_or("an api", |a| a.name);
            let detail = format!(
                "api key {key} version {version} ({name}) is not offered; the client must use ApiVersions"
            );
            return bad_request(detail, out);
        };
        let id = self.first + self.exchanges.len() as u64;
        self.exchanges.push_back(Exchange {
            rule,
            version,
            correlation,
            received: now,
            scan: Scan::default(),
            original: None,
            tried: Vec::new(),
            state: State::Routing,
        });
        match rule.route {
            // An empty offer would tell the client that nothing is supported, which some take as final.
            Route::Local if self.virtual_cluster.offer.apis.is_empty() => {
                close(CloseReason::NoCluster, "no cluster of the chain has been reached yet".into(), out);
            }
            Route::Local => {
                self.answer(id, k18_api_versions::response(&self.virtual_cluster.offer.clone(), 0), out);
            }
            _ => self.dispatch(id, frame, 4 + len, now, out),
        }
        self.flush(now, out);
    }

    /// As Kafka does: an ApiVersions request that is too new gets an answer, anything else ends the connection.
    fn bad_header(&mut self, frame: &[u8], detail: &str, now: Now, out: &mut Output) {
        let key = frame.get(4..6).map(|b| i16::from_be_bytes([b[0], b[1]]));
        let correlation = frame.get(8..12).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(i32::from_be_bytes);
        let (Some(18), Some(correlation), Some(rule)) = (key, correlation, rules::rule(18)) else {
            return bad_request(detail.to_owned(), out);
        };
        let body = k18_api_versions::response(&self.virtual_cluster.offer, k18_api_versions::UNSUPPORTED);
        let Ok(reply) = value::encode_response(18, 0, correlation, &body) else {
            return bad_request(detail.to_owned(), out);
        };
        let (scan, original, tried) = (Scan::default(), None, Vec::new());
        let state = State::Ready(reply.into());
        self.exchanges.push_back(Exchange {
            rule,
            version: 0,
            correlation,
            received: now,
            scan,
            original,
            tried,
            state,
        });
        self.flush(now, out);
    }

    /// Translates a request and routes it. `body_at` counts from the start of the frame.
    pub(super) fn dispatch(
        &mut self,
        id: ExchangeId,
        frame: BytesMut,
        body_at: usize,
        now: Now,
        out: &mut Output,
    ) {
        let Some(view) = View::of(self) else { return self.refuse(id, Cause::Switch, now, out) };
        let Some((rule, version)) = self.exchange(id).map(|e| (e.rule, e.version)) else { return };
        if matches!(rule.fail, Fail::Replay)
            && let Some(exchange) = self.exchange(id)
        {
            exchange.original = Some(Bytes::copy_from_slice(&frame));
        }
        match prepare(rule, version, frame, body_at, &view.context()) {
            Ok((frame, scan)) => {
                if let Some(exchange) = self.exchange(id) {
                    exchange.scan = scan;
                }
                self.waiting = Some(Waiting { id, frame, until: now + limits::LOOKUP_WAIT, asked: false });
                self.route_waiting(now, out);
            }
            Err(detail) => bad_request(detail, out),
        }
    }

    /// Routes the request that waits, if what it waited for is known now or its time is over.
    pub(super) fn route_waiting(&mut self, now: Now, out: &mut Output) {
        let Some(waiting) = self.waiting.take() else { return };
        let Some(view) = View::of(self) else { return self.refuse(waiting.id, Cause::Switch, now, out) };
        let cx = view.context();
        let last_chance = now >= waiting.until;
        let target = self.target(waiting.id, &waiting.frame, &cx, last_chance, now);
        self.carry_out(target, waiting, &cx, now, out);
    }

    fn carry_out(
        &mut self,
        target: Target,
        mut waiting: Waiting,
        cx: &Context<'_>,
        now: Now,
        out: &mut Output,
    ) {
        let id = waiting.id;
        match target {
            Target::Whole(node) => self.send_whole(id, node, waiting.frame, out),
            Target::Leaders(groups, refused) => {
                self.split_partitions(id, &waiting.frame, groups, &refused, cx, now, out)
            }
            Target::Coordinators(groups) => self.split_keys(id, &waiting.frame, groups, now, out),
            Target::All(nodes) => self.send_all(id, &waiting.frame, nodes, out),
            Target::Answer(answer) => self.answer(id, answer, out),
            Target::Nowhere => self.refuse(id, Cause::Broker, now, out),
            Target::UnknownTopic => {
                if !waiting.asked {
                    self.stale_topology(out);
                }
                waiting.asked = true;
                self.waiting = Some(waiting);
            }
            Target::Unknown(kind, keys) => {
                if !waiting.asked {
                    self.ask_coordinators(kind, &keys, out);
                }
                waiting.asked = true;
                self.waiting = Some(waiting);
            }
        }
    }

    fn target(
        &mut self,
        id: ExchangeId,
        frame: &[u8],
        cx: &Context<'_>,
        last_chance: bool,
        now: Now,
    ) -> Target {
        let gate = self.gate.clone();
        let Some(index) = id.checked_sub(self.first).and_then(|i| usize::try_from(i).ok()) else {
            return Target::Nowhere;
        };
        let Some(exchange) = self.exchanges.get(index) else { return Target::Nowhere };
        let Some(any) = self.any(&exchange.tried, cx) else { return Target::Nowhere };
        match exchange.rule.route {
            Route::Local | Route::Any => Target::Whole(any),
            Route::Slot => Target::Whole(self.slot_broker(cx).unwrap_or(any)),
            Route::Controller => Target::Whole(self.controller(exchange, cx).unwrap_or(any)),
            Route::ConfigResources => {
                let named = decode_request(exchange, frame).as_ref().and_then(k32_describe_configs::node);
                Target::Whole(named.filter(|n| cx.topology.brokers.contains_key(n)).unwrap_or(any))
            }
            Route::All(_) => match self.slot {
                Some(slot) => Target::All(cx.topology.brokers_of(slot, cx.virtual_cluster.slots.len())),
                None => Target::All(
                    cx.topology.brokers.iter().filter(|(_, b)| b.listed).map(|(n, _)| *n).collect(),
                ),
            },
            Route::Coordinator(kind) | Route::Coordinators(kind, _) => {
                coordinators(exchange, kind, any, cx, last_chance)
            }
            Route::ShareSession(_) => Target::Whole(self.share_session(exchange, cx).unwrap_or(any)),
            Route::Leaders(_) if exchange.rule.key == 1 && exchange.scan.fetch.session_id != 0 => {
                self.in_fetch_session(exchange, cx)
            }
            Route::Leaders(_) => leaders(exchange, any, cx, last_chance, |p| {
                let (Some(producer), Some(topic)) = (p.producer, exchange.scan.topics[p.topic].name.as_ref())
                else {
                    return true;
                };
                gate.admits(producer, topic, p.index, now)
            }),
        }
    }

    /// A request of a fetch session goes to its broker; one that the broker cannot serve ends the session, and the client starts anew.
    fn in_fetch_session(&self, exchange: &Exchange, cx: &Context<'_>) -> Target {
        let gone = || Target::Answer(Struct::new().with("ErrorCode", error::FETCH_SESSION_ID_NOT_FOUND));
        let Some(node) = self.fetch_sessions.get(&exchange.scan.fetch.session_id).copied() else {
            return gone();
        };
        let scan = &exchange.scan;
        let elsewhere = scan.partitions.iter().any(|p| {
            let name = scan.topics[p.topic].name.as_deref();
            p.fenced || name.and_then(|n| cx.topology.leader(n, p.index)) != Some(node)
        });
        if elsewhere { gone() } else { Target::Whole(node) }
    }

    fn share_session(&self, exchange: &Exchange, cx: &Context<'_>) -> Option<NodeId> {
        let scan = &exchange.scan;
        let leader = |p: &request::PartitionRef| {
            cx.topology.leader(scan.topics.get(p.topic)?.name.as_deref()?, p.index)
        };
        self.share_broker.or_else(|| scan.partitions.iter().find_map(leader)).or_else(|| self.slot_broker(cx))
    }

    /// A broker for a request that any can serve: one that is connected, else the slot's own, else any listed, else a bootstrap server.
    fn any(&self, tried: &[NodeId], cx: &Context<'_>) -> Option<NodeId> {
        let fresh = |node: &NodeId| !tried.contains(node);
        let listed = |node: &NodeId| cx.topology.brokers.get(node).is_some_and(|b| b.listed);
        let connected = self.links.keys().copied().find(|n| fresh(n) && listed(n));
        let own = || self.slot_broker(cx).filter(|n| fresh(n) && listed(n));
        let brokers = || cx.topology.brokers.keys().copied().find(|n| fresh(n) && listed(n));
        let bootstrap = || {
            let count = NodeId::try_from(cx.active.cluster.bootstrap.len()).unwrap_or(0);
            (0..count).map(|i| BOOTSTRAP - i).find(fresh)
        };
        connected.or_else(own).or_else(brokers).or_else(bootstrap)
    }

    fn slot_broker(&self, cx: &Context<'_>) -> Option<NodeId> {
        cx.topology.brokers_of(self.slot?, cx.virtual_cluster.slots.len()).first().copied()
    }

    fn controller(&self, exchange: &Exchange, cx: &Context<'_>) -> Option<NodeId> {
        let controller = cx.topology.controller.filter(|n| !exchange.tried.contains(n))?;
        cx.topology.brokers.get(&controller).filter(|b| b.listed).map(|_| controller)
    }

    fn ask_coordinators(&mut self, kind: CoordinatorKind, keys: &[Box<str>], out: &mut Output) {
        let Some((_, max)) = self.virtual_cluster.offer.apis.get(&10).copied() else { return };
        let Some(view) = View::of(self) else { return };
        let Some(node) = self.any(&[], &view.context()) else { return };
        for key in keys {
            let link = self.links.entry(node).or_default();
            let correlation = link.next();
            let body = k10_find_coordinator::request(kind, key);
            if let Ok(frame) = value::encode_request(10, max, correlation, Some("pointsman"), &body) {
                link.pending.push_back(Pending {
                    correlation,
                    purpose: Purpose::Coordinator { kind, key: key.clone(), version: max },
                });
                out.sends.push(Outgoing { node, frame: frame.into(), answered: true });
            }
        }
    }

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

    fn send_whole(&mut self, id: ExchangeId, node: NodeId, mut frame: BytesMut, out: &mut Output) {
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

    fn split_partitions(
        &mut self,
        id: ExchangeId,
        frame: &[u8],
        groups: BTreeMap<NodeId, Vec<usize>>,
        refused: &[(usize, i16)],
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

    fn split_keys(
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

    fn send_all(&mut self, id: ExchangeId, frame: &[u8], nodes: Vec<NodeId>, out: &mut Output) {
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

    /// Gives an answer that was made here.
    pub(super) fn answer(&mut self, id: ExchangeId, mut body: Struct, out: &mut Output) {
        let Some(exchange) = self.exchange(id) else { return };
        if exchange.scan.no_response {
            exchange.state = State::Silent;
            return;
        }
        let (key, version) = (exchange.rule.key, exchange.version);
        if let Some(message) = tables::response(key, version) {
            refuse::fit(message.fields, &mut body);
        }
        match value::encode_response(key, version, exchange.correlation, &body) {
            Ok(frame) => exchange.state = State::Ready(frame.into()),
            Err(error) => {
                let detail =
                    format!("an answer to api key {key} version {version} cannot be encoded: {error}");
                close(CloseReason::BadResponse, detail, out);
            }
        }
    }

    /// Answers with an error that makes the client try again, or closes the connection when there is none.
    pub(super) fn refuse(&mut self, id: ExchangeId, cause: Cause, now: Now, out: &mut Output) {
        let view = View::of(self);
        let Some(exchange) = self.exchange(id) else { return };
        let (rule, version, scan) = (exchange.rule, exchange.version, exchange.scan.clone());
        if let Some(api) = usize::try_from(rule.key).ok().and_then(|k| self.metrics.apis.get(k)) {
            api.local_errors.add(1);
        }
        self.close_gates(&scan, now);
        if scan.no_response {
            // Without a response only a closed connection tells the producer.
            return close(
                CloseReason::UpstreamFailed,
                "a Produce request with acks=0 could not be forwarded".into(),
                out,
            );
        }
        let cx = view.as_ref().map(View::context);
        match refuse::response(rule, version, &scan, cause, cx.as_ref()) {
            Some(body) => self.answer(id, body, out),
            None if view.is_none() => {
                close(CloseReason::NoCluster, "no cluster of the chain is available".into(), out)
            }
            None if cause == Cause::Switch => {
                close(CloseReason::Switched, "a request in flight has no error that says so".into(), out);
            }
            None => close(CloseReason::UpstreamFailed, "no broker could be reached".into(), out),
        }
    }

    pub(super) fn close_gates(&self, scan: &Scan, now: Now) {
        for partition in &scan.partitions {
            if let (Some(producer), Some(topic)) =
                (partition.producer, scan.topics[partition.topic].name.as_ref())
            {
                self.gate.close(producer, topic, partition.index, now);
            }
        }
    }

    pub(super) fn broker_failed(&self, node: NodeId, failure: crate::signal::Failure, out: &mut Output) {
        if let (Some(cluster), Some(broker)) = (self.cluster(), self.address(node)) {
            out.signals.push(Signal::BrokerFailed { cluster: cluster.clone(), broker, failure });
            out.signals.push(Signal::TopologyStale { cluster });
        }
    }
}

/// A poll that a split Fetch can take over.
enum Poll {
    Answered(Struct),
    UnderWay,
}

impl Link {
    fn next(&mut self) -> i32 {
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

fn bad_request(detail: String, out: &mut Output) {
    close(CloseReason::BadRequest, detail, out);
}

pub(super) fn close(reason: CloseReason, detail: String, out: &mut Output) {
    out.close.get_or_insert(Close { reason, detail });
}

/// Edits and translates a request in place, and scans it.
fn prepare(
    rule: &'static Rule,
    version: i16,
    mut frame: BytesMut,
    body_at: usize,
    cx: &Context<'_>,
) -> Result<(BytesMut, Scan), String> {
    let message = tables::request(rule.key, version).ok_or("the tables lack this version")?;
    if let Some(edit) = rule.edit_request {
        let mut body = value::decode(message, version, &frame.clone().freeze().slice(body_at..))
            .map_err(|e| e.to_string())?;
        edit(&mut body, cx);
        let mut edited = frame[..body_at].to_vec();
        value::encode(message, version, &body, &mut edited).map_err(|e| e.to_string())?;
        let size = u32::try_from(edited.len() - 4).map_err(|e| e.to_string())?;
        edited[..4].copy_from_slice(&size.to_be_bytes());
        frame = BytesMut::from(&edited[..]);
    }
    let scan = request::translate(rule, message, version, &mut frame[body_at..], cx)
        .map_err(|e| format!("{} version {version}: {e}", message.name))?;
    Ok((frame, scan))
}

fn decode_request(exchange: &Exchange, frame: &[u8]) -> Option<Struct> {
    let RequestHeader { len, .. } = header::request_header(&frame[4..]).ok()?;
    let message = tables::request(exchange.rule.key, exchange.version)?;
    value::decode(message, exchange.version, &Bytes::copy_from_slice(&frame[4 + len..])).ok()
}

fn coordinators(
    exchange: &Exchange,
    kind: CoordinatorKind,
    any: NodeId,
    cx: &Context<'_>,
    last_chance: bool,
) -> Target {
    let cell = &cx.active.cluster.topology;
    let mut groups: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for (number, key) in exchange.scan.keys.iter().enumerate() {
        match cell.coordinator(kind, key).filter(|n| cx.topology.brokers.contains_key(n)) {
            Some(node) => groups.entry(node).or_default().push(number),
            None if last_chance => groups.entry(any).or_default().push(number),
            None => unknown.push(key.clone()),
        }
    }
    if !unknown.is_empty() {
        return Target::Unknown(kind, unknown);
    }
    match groups.len() {
        0 => Target::Whole(any),
        1 => Target::Whole(groups.into_keys().next().unwrap_or(any)),
        _ => Target::Coordinators(groups),
    }
}

fn leaders(
    exchange: &Exchange,
    any: NodeId,
    cx: &Context<'_>,
    last_chance: bool,
    admits: impl Fn(&request::PartitionRef) -> bool,
) -> Target {
    let scan = &exchange.scan;
    let mut groups: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    let mut refused = Vec::new();
    for (number, partition) in scan.partitions.iter().enumerate() {
        let topic = scan.topics[partition.topic].name.as_deref();
        if partition.fenced {
            refused.push((number, error::FENCED_LEADER_EPOCH));
            continue;
        }
        let known = topic.and_then(|t| cx.topology.leader(t, partition.index));
        if known.is_none() && topic.is_some_and(|t| !cx.topology.topics.contains_key(t)) && !last_chance {
            return Target::UnknownTopic;
        }
        groups.entry(known.unwrap_or(any)).or_default().push(number);
    }
    // Only a batch that would be sent may open its gate.
    for chosen in groups.values_mut() {
        chosen.retain(|number| {
            let admitted = admits(&scan.partitions[*number]);
            if !admitted {
                refused.push((*number, error::NOT_LEADER_OR_FOLLOWER));
            }
            admitted
        });
    }
    groups.retain(|_, chosen| !chosen.is_empty());
    match groups.len() {
        0 if scan.partitions.is_empty() => Target::Whole(any),
        1 if refused.is_empty() => Target::Whole(groups.into_keys().next().unwrap_or(any)),
        _ => Target::Leaders(groups, refused),
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

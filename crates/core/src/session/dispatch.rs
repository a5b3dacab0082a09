//! From a client's request to frames for brokers.

use super::{
    BOOTSTRAP, Close, ExchangeId, Outgoing, Output, Pending, Purpose, Session, View, Waiting,
    exchange::{Exchange, State},
    refuse::{self, Cause},
    send::Split,
};
use crate::{
    Now, limits,
    metrics::CloseReason,
    rules::{
        self, Context, Fail, Route, Rule, error, k10_find_coordinator, k18_api_versions,
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
    value::{self, Struct},
};
use std::collections::BTreeMap;

/// Where a request goes.
enum Target {
    Whole(NodeId),
    Leaders(Split),
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
            Target::Leaders(split) => self.split_partitions(id, &waiting.frame, split, cx, now, out),
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
                close(CloseReason::NoCluster, "no cluster of the chain is available".into(), out);
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

pub(super) fn decode_request(exchange: &Exchange, frame: &[u8]) -> Option<Struct> {
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
        _ => Target::Leaders(Split { groups, refused }),
    }
}

//! From a client's request to frames for brokers.

use super::{
    Asked, Close, ExchangeId, Outgoing, Output, Peer, Pending, Purpose, Session, View, Waiting,
    exchange::{Exchange, State, Tried},
    refuse::{self, Cause},
    route::Target,
};
use crate::{
    Now, limits,
    metrics::CloseReason,
    rules::{
        self, Context, Fail, Route, Rule, Side, k10_find_coordinator, k18_api_versions,
        request::{self, Scan, ScanError},
        side,
        texts::Texts,
    },
    signal::Signal,
    topology::CoordinatorKind,
};
use bytes::{Bytes, BytesMut};
use pointsman_wire::{
    header::{self, RequestHeader},
    schema::Message,
    tables,
    value::{self, Pieces, Struct},
};

const PRODUCE: i16 = 0;

impl Session {
    /// Takes one complete request frame, size included.
    pub fn request(&mut self, frame: BytesMut, now: Now, out: &mut Output) {
        let header = match header::request_header(&frame[4..]) {
            Ok(header) => (header.key, header.version, header.correlation_id, header.len),
            Err(error) => return self.bad_header(&frame, &error.to_string(), now, out),
        };
        let (key, version, correlation, len) = header;
        let side = side::of_request(key, &frame);
        let Some((id, rule)) = self.admit(key, version, side, correlation, now, out) else { return };
        match rule.route {
            // An empty offer would tell the client that nothing is supported, which some take as final.
            Route::Local if self.virtual_cluster.offer.apis.is_empty() => {
                close(CloseReason::NoCluster, "no cluster of the chain has been reached yet".into(), out);
            }
            Route::Local => {
                self.note_software(&frame);
                self.answer(id, &k18_api_versions::response(&self.virtual_cluster.offer.clone(), 0), out);
            }
            _ => self.dispatch(id, frame, 4 + len, now, out),
        }
        self.weigh(id);
        self.flush(now, out);
    }

    /// Opens the exchange of a request, if its api and version are offered.
    pub(super) fn admit(
        &mut self,
        key: i16,
        version: i16,
        side: Side,
        correlation: i32,
        now: Now,
        out: &mut Output,
    ) -> Option<(ExchangeId, &'static Rule)> {
        if let Some(api) = usize::try_from(key).ok().and_then(|k| self.metrics.apis.get(k)) {
            api.requests.add(1);
        }
        let rule = rules::rule(key).filter(|_| key == 18 || self.virtual_cluster.offer.allows(key, version));
        let Some(rule) = rule else {
            let name = tables::api(key).map_or("an api", |a| a.name);
            let detail = format!(
                "api key {key} version {version} ({name}) is not offered; the client must use ApiVersions"
            );
            bad_request(detail, out);
            return None;
        };
        let id = self.first + self.exchanges.len() as u64;
        self.exchanges.push_back(Exchange {
            rule,
            version,
            side,
            since: None,
            stands_for: None,
            correlation,
            received: now,
            scan: self.spares.take(),
            original: None,
            tried: Tried::new(),
            state: State::Routing,
            weight: 0,
        });
        Some((id, rule))
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
        let (scan, original, tried) = (Box::default(), None, Tried::new());
        let state = State::Ready(reply.into());
        self.exchanges.push_back(Exchange {
            rule,
            version: 0,
            side: Side::Produce,
            since: None,
            stands_for: None,
            correlation,
            received: now,
            scan,
            original,
            tried,
            state,
            weight: 0,
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
        let Some((rule, version)) = self.exchange(id).map(|e| (e.rule, e.version)) else { return };
        let Some(view) = View::of_exchange(self, id) else {
            return self.dispatch_nowhere(id, frame, body_at, now, out);
        };
        if rule.key == PRODUCE {
            self.gate.serves(view.active.since, now);
        }
        if let Some(exchange) = self.exchange(id) {
            exchange.since = Some(view.active.since);
            if matches!(rule.fail, Fail::Replay) {
                exchange.original = Some(Bytes::copy_from_slice(&frame));
            }
        }
        let Some(exchange) = self.exchange(id) else { return };
        match prepare(rule, version, frame, body_at, &view.context(), &mut exchange.scan) {
            Ok(frame) => {
                if exchange.scan.share_coordinator {
                    let request = decode_request(exchange, &frame);
                    return self.answer(
                        id,
                        &k10_find_coordinator::refusal(&request.unwrap_or_default()),
                        out,
                    );
                }
                let Some(frame) = self.end_stale(id, frame, out) else { return };
                let Some(frame) = self.attend_member(id, frame, out) else { return };
                if !self.attend_drain(id, &frame, &view.context(), out) {
                    return;
                }
                let until = now + limits::LOOKUP_WAIT;
                self.waiting = Some(Waiting { id, frame, until, asked: Asked::Nothing });
                self.route_waiting(now, out);
            }
            Err(why) => out.close_for(why),
        }
    }

    /// Without a cluster the request is only read, so that its refusal names everything that it is about.
    fn dispatch_nowhere(
        &mut self,
        id: ExchangeId,
        frame: BytesMut,
        body_at: usize,
        now: Now,
        out: &mut Output,
    ) {
        let view = View::of_none(self);
        let Some(exchange) = self.exchange(id) else { return };
        if let Some(view) = view {
            let (rule, version) = (exchange.rule, exchange.version);
            if let Err(why) = prepare(rule, version, frame, body_at, &view.context(), &mut exchange.scan) {
                return out.close_for(why);
            }
        }
        self.refuse(id, Cause::Switch, now, out);
    }

    /// Routes the request that waits, if what it waited for is known now or its time is over.
    pub(super) fn route_waiting(&mut self, now: Now, out: &mut Output) {
        let side = self.waiting.as_ref().and_then(|w| self.exchange_of(w.id)).map(|e| e.side);
        if side.is_some_and(|side| self.virtual_cluster.waits(side)) {
            return;
        }
        let Some(waiting) = self.waiting.take() else { return };
        let Some(view) = View::of_exchange(self, waiting.id) else {
            return self.refuse(waiting.id, Cause::Switch, now, out);
        };
        let cx = view.context();
        let mut waiting = waiting;
        if waiting.asked == Asked::Topology {
            self.complete_ids(&mut waiting, &cx);
        }
        let last_chance = now >= waiting.until;
        let target = self.target(waiting.id, &waiting.frame, &cx, last_chance, now);
        self.carry_out(target, waiting, &cx, now, out);
    }

    /// A topic that was not known when the request was translated may be known now.
    fn complete_ids(&mut self, waiting: &mut Waiting, cx: &Context<'_>) {
        let Some(exchange) = self.exchange(waiting.id).filter(|e| !e.scan.foreign_ids.is_empty()) else {
            return;
        };
        let message = tables::request(exchange.rule.key, exchange.version);
        let body_at = header::request_header(&waiting.frame[4..]).map(|h| 4 + h.len);
        if let (Some(message), Ok(at)) = (message, body_at) {
            let body = &mut waiting.frame[at..];
            let completed = request::complete(message, exchange.version, body, &mut exchange.scan, cx);
            debug_assert!(completed.is_ok(), "it was walked before");
        }
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
            Target::Answer(answer) => self.answer(id, &answer, out),
            Target::Nowhere => self.refuse(id, Cause::Broker, now, out),
            Target::UnknownTopic => {
                if let (Asked::Nothing, Some(side)) = (waiting.asked, self.exchange_of(id).map(|e| e.side)) {
                    self.stale_topology(side, out);
                }
                waiting.asked = Asked::Topology;
                self.waiting = Some(waiting);
            }
            Target::EarlierJoin => {
                waiting.asked = Asked::EarlierJoin;
                self.waiting = Some(waiting);
            }
            Target::Unknown(kind, keys) => {
                if waiting.asked != Asked::Coordinators {
                    self.ask_coordinators(id, kind, &keys, out);
                }
                waiting.asked = Asked::Coordinators;
                self.waiting = Some(waiting);
            }
        }
    }

    /// Asks for the coordinators of `keys`: with one request where versions allow it.
    fn ask_coordinators(&mut self, id: ExchangeId, kind: CoordinatorKind, keys: &Texts, out: &mut Output) {
        let Some((_, version)) = self.virtual_cluster.offer.apis.get(&10).copied() else { return };
        let Some(view) = View::of_exchange(self, id) else { return };
        let tried = self.exchange(id).map(|e| e.tried.clone()).unwrap_or_default();
        let Some(node) = self.any(id, &tried, &view.context()) else { return };
        let peer = Peer { since: view.active.since, node };
        if version >= k10_find_coordinator::MANY {
            return self.ask_coordinator(peer, kind, None, version, keys, out);
        }
        for key in keys.iter().take(limits::LOOKUPS) {
            self.ask_coordinator(peer, kind, Some(key), version, &Texts::from_iter([key]), out);
        }
    }

    fn ask_coordinator(
        &mut self,
        to: Peer,
        kind: CoordinatorKind,
        key: Option<&str>,
        version: i16,
        keys: &Texts,
        out: &mut Output,
    ) {
        let link = self.links.entry(to).or_default();
        let correlation = link.next();
        let Some(body) = k10_find_coordinator::request(version, kind, keys) else { return };
        if let Ok(frame) = value::request_frame(10, version, correlation, Some("pointsman"), &body) {
            let purpose = Purpose::Coordinator { kind, key: key.map(Into::into), version };
            link.pending.push_back(Pending { correlation, purpose });
            out.sends.push(Outgoing { to, frame: frame.into(), answered: true });
        }
    }

    /// Gives an answer that was made here. What the api's response does not have is left out, so that one builder serves all apis
    /// of a shape.
    pub(super) fn answer(&mut self, id: ExchangeId, body: &Struct, out: &mut Output) {
        let Some(exchange) = self.exchange(id) else { return };
        let (key, version) = exchange.stands_for.unwrap_or((exchange.rule.key, exchange.version));
        let Some(message) = tables::response(key, version) else { return };
        match Pieces::new(message, version).whole(body) {
            Ok(body) => self.answer_with(id, &body, out),
            Err(error) => unanswerable(key, version, &error, out),
        }
    }

    /// The same with a body that is encoded already.
    pub(super) fn answer_with(&mut self, id: ExchangeId, body: &[u8], out: &mut Output) {
        let Some(exchange) = self.exchange(id) else { return };
        if exchange.scan.no_response {
            exchange.state = State::Silent;
            return;
        }
        let (key, version) = exchange.stands_for.unwrap_or((exchange.rule.key, exchange.version));
        match value::response_frame(key, version, exchange.correlation, body) {
            Ok(frame) => exchange.state = State::Ready(frame.into()),
            Err(error) => unanswerable(key, version, &error, out),
        }
        self.weigh(id);
    }

    /// Answers with an error that makes the client try again, or closes the connection when there is none.
    pub(super) fn refuse(&mut self, id: ExchangeId, cause: Cause, now: Now, out: &mut Output) {
        let view = View::of_exchange(self, id);
        let Some(exchange) = self.exchange(id) else { return };
        let rule = exchange.rule;
        let answered = exchange.stands_for.unwrap_or((rule.key, exchange.version));
        let scan = std::mem::take(&mut exchange.scan);
        if let Some(api) = usize::try_from(rule.key).ok().and_then(|k| self.metrics.apis.get(k)) {
            api.local_errors.add(1);
        }
        self.close_gates(&scan, None, now);
        if scan.no_response {
            // Without a response only a closed connection tells the producer.
            return close(
                CloseReason::UpstreamFailed,
                "a Produce request with acks=0 could not be forwarded".into(),
                out,
            );
        }
        let cx = view.as_deref().map(View::context);
        if cause == Cause::Switch {
            self.lost_in_join(rule.key, scan.bare);
        }
        let soften = |code| self.softened(rule.key, code);
        match refuse::response(rule, answered, &scan, cause, cx.as_ref(), soften) {
            Some(body) => {
                drop(scan);
                self.answer_with(id, &body, out);
            }
            None if view.is_none() => {
                close(CloseReason::NoCluster, "no cluster of the chain is available".into(), out);
            }
            None if cause == Cause::Switch => {
                close(CloseReason::Switched, "a request in flight has no error that says so".into(), out);
            }
            None => close(CloseReason::UpstreamFailed, "no broker could be reached".into(), out),
        }
    }

    /// `chosen` of the partitions failed, or all of them.
    pub(super) fn close_gates(&self, scan: &Scan, chosen: Option<&[usize]>, now: Now) {
        let failed = scan.partitions.iter().enumerate().filter(|(i, _)| is_chosen(chosen, *i));
        for (_, partition) in failed {
            if let (Some(producer), Some(topic)) =
                (partition.producer, scan.topics[partition.topic].name.as_ref())
            {
                self.gate.close(producer, topic, partition.index, now);
            }
        }
    }

    pub(super) fn broker_failed(&self, peer: Peer, failure: crate::signal::Failure, out: &mut Output) {
        let active = self.side_of(peer.since).and_then(|side| self.serving(side));
        if let (Some(active), Some(broker)) = (active, self.address(peer)) {
            let cluster = active.cluster.name.clone();
            out.signals.push(Signal::BrokerFailed { cluster: cluster.clone(), broker, failure });
            out.signals.push(Signal::TopologyStale { cluster });
        }
    }
}

/// Whether a number is among the chosen ones, which are in ascending order; none were chosen: all are.
pub(super) fn is_chosen(chosen: Option<&[usize]>, number: usize) -> bool {
    chosen.is_none_or(|c| c.binary_search(&number).is_ok())
}

pub(super) fn bad_request(detail: String, out: &mut Output) {
    close(CloseReason::BadRequest, detail, out);
}

pub(super) fn close(reason: CloseReason, detail: String, out: &mut Output) {
    out.close_for(Close { reason, detail });
}

fn unanswerable(key: i16, version: i16, error: &dyn std::fmt::Display, out: &mut Output) {
    let detail = format!("an answer to api key {key} version {version} cannot be encoded: {error}");
    close(CloseReason::BadResponse, detail, out);
}

impl Output {
    /// The first reason counts.
    fn close_for(&mut self, why: Close) {
        self.close.get_or_insert(why);
    }
}

/// Edits and translates a request in place, and notes in `scan` what it is about.
fn prepare(
    rule: &'static Rule,
    version: i16,
    mut frame: BytesMut,
    body_at: usize,
    cx: &Context<'_>,
    scan: &mut Scan,
) -> Result<BytesMut, Close> {
    let bad = |detail| Close { reason: CloseReason::BadRequest, detail };
    let message =
        tables::request(rule.key, version).ok_or_else(|| bad("the tables lack this version".into()))?;
    let refused = |error: ScanError| {
        let reason = if matches!(error, ScanError::TooMany(_)) {
            CloseReason::TooLarge
        } else {
            CloseReason::BadRequest
        };
        Close { reason, detail: format!("{} version {version}: {error}", message.name) }
    };
    if let Some(edit) = rule.edit_request {
        request::check_size(rule, message, version, &frame[body_at..]).map_err(refused)?;
        frame = edited(message, version, frame, body_at, |body| edit(body, cx)).map_err(bad)?;
    }
    request::translate(rule, message, version, &mut frame[body_at..], cx, scan).map_err(refused)?;
    Ok(frame)
}

/// A frame with another body.
fn edited(
    message: &'static Message,
    version: i16,
    frame: BytesMut,
    body_at: usize,
    edit: impl FnOnce(&mut Struct),
) -> Result<BytesMut, String> {
    let mut edited = frame[..body_at].to_vec();
    let mut body =
        value::decode(message, version, &frame.freeze().slice(body_at..)).map_err(|e| e.to_string())?;
    edit(&mut body);
    value::encode(message, version, &body, &mut edited).map_err(|e| e.to_string())?;
    let size = u32::try_from(edited.len() - 4).map_err(|e| e.to_string())?;
    edited[..4].copy_from_slice(&size.to_be_bytes());
    Ok(BytesMut::from(Bytes::from(edited)))
}

pub(super) fn decode_request(exchange: &Exchange, frame: &[u8]) -> Option<Struct> {
    let RequestHeader { len, .. } = header::request_header(&frame[4..]).ok()?;
    let message = tables::request(exchange.rule.key, exchange.version)?;
    value::decode(message, exchange.version, &Bytes::copy_from_slice(&frame[4 + len..])).ok()
}

//! From brokers' answers to the client's.

use super::{
    Asked, ExchangeId, Output, Peer, Pending, Purpose, Session, View,
    dispatch::close,
    exchange::{Exchange, Part, State},
    layout::Key,
    members::{Came, Ghost},
    merge::{self, Answer, Spots, Unmergeable},
    positions, refuse,
    rejoin::{HEARTBEAT, JOIN_GROUP, LEAVE_GROUP, SYNC_GROUP},
};
use crate::{
    Now, limits,
    metrics::CloseReason,
    rules::{
        Context, Fail, Route, Side, error, k03_metadata, k10_find_coordinator,
        response::{self, Translated},
        transactions,
    },
    signal::{Moved, Signal},
    topology::{CoordinatorKind, NodeId},
};
use bytes::{BufMut, Bytes, BytesMut};
use pointsman_wire::{
    cursor::Kind,
    edit::{Editor, Edits, walk},
    error::DecodeError,
    header,
    schema::Message,
    tables,
    value::{self, Struct},
};
use std::collections::VecDeque;
use uuid::Uuid;

const PRODUCE: i16 = 0;

/// Where a Fetch response of version 7 and later carries its session id, counted from the start of its body.
const FETCH_SESSION_AT: std::ops::Range<usize> = 6..10;

impl Session {
    /// Takes one complete response frame of a broker, size included.
    pub fn response(&mut self, peer: Peer, frame: BytesMut, now: Now, out: &mut Output) {
        let correlation = frame.get(4..8).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(i32::from_be_bytes);
        let pending = self.links.get_mut(&peer).and_then(|l| l.pending.pop_front());
        let Some(Pending { purpose, .. }) = pending.filter(|p| Some(p.correlation) == correlation) else {
            let detail = format!(
                "broker {peer} answered correlation id {correlation:?}, which is not the next one asked"
            );
            return close(CloseReason::BadResponse, detail, out);
        };
        let result = match purpose {
            Purpose::Exchange { id, .. } => self.exchange_response(id, peer.node, frame, now, out),
            Purpose::Coordinator { kind, key, version } => {
                self.coordinator_response(peer, (kind, key.as_deref()), version, &frame, now, out)
            }
            Purpose::Spare { version, poll } => self.spare_response(peer, version, poll, &frame, out),
            Purpose::Leave { ghost, version } => left(ghost, version, frame),
        };
        if let Err(error) = result {
            close(CloseReason::BadResponse, format!("broker {peer}: {error}"), out);
        }
        if self.waiting.as_ref().is_some_and(|w| w.asked == Asked::EarlierJoin) {
            self.route_waiting(now, out);
        }
        self.flush(now, out);
    }

    fn exchange_response(
        &mut self,
        id: ExchangeId,
        node: NodeId,
        frame: BytesMut,
        now: Now,
        out: &mut Output,
    ) -> Result<(), DecodeError> {
        let Some(view) = View::of_exchange(self, id) else { return Ok(()) };
        let Some(exchange) = self.exchange(id) else { return Ok(()) };
        let cx = view.context();
        if matches!(exchange.state, State::Merging(_)) {
            let (part, seen) = translated(exchange, &frame, &cx)?;
            drop(frame);
            self.note(id, &seen, out);
            self.note_written(id, &part, &seen, now)?;
            if let Some(State::Merging(merge)) = self.exchange(id).map(|e| &mut e.state) {
                merge.take(node);
                merge.parts.push(part);
            }
            self.weigh(id);
            self.complete_merge(id, now, out);
            return Ok(());
        }
        if !matches!(exchange.state, State::Whole) {
            return Ok(());
        }
        learn(exchange, &frame, &cx, now)?;
        self.note_member(id, &frame);
        self.note_commit(id, &frame);
        let mut editor = std::mem::take(&mut self.editor);
        let Some(exchange) = self.exchange(id) else { return Ok(()) };
        if exchange.stands_for.is_some() {
            let (answer, seen) = translated(exchange, &frame, &cx)?;
            let answer = value::decode(response_of(exchange)?, exchange.version, &answer)?;
            self.note(id, &seen, out);
            self.answer(id, &self.unfit(&seen, out).unwrap_or(answer), out);
            return Ok(());
        }
        let seen = edits(exchange, &frame, &cx, &mut editor)?;
        self.note(id, &seen, out);
        if let Some(refusal) = self.unfit(&seen, out) {
            self.answer(id, &refusal, out);
            return Ok(());
        }
        let Some(exchange) = self.exchange(id) else { return Ok(()) };
        if seen.unknown_topics > 0 {
            exchange.state = State::Held { frame, node, until: now + limits::LOOKUP_WAIT };
            let side = exchange.side;
            self.weigh(id);
            self.stale_topology(side, out);
            return Ok(());
        }
        let version = exchange.version;
        let (reply, positions) = reply(exchange, frame, editor.edits(), &cx)?;
        self.editor = editor;
        self.tell_moved(positions, out);
        if self.awaited(id, &seen).is_some() {
            let body = body_at(PRODUCE, version, &reply)?;
            self.note_written(id, &reply.slice(body..), &seen, now)?;
        }
        self.ready(id, node, reply);
        Ok(())
    }

    /// A Produce request whose answer the gate must know: something waits for it, or will.
    fn awaited(&self, id: ExchangeId, seen: &Translated) -> Option<&Exchange> {
        let produce = self.exchange_of(id).filter(|e| e.rule.key == PRODUCE)?;
        (seen.refusal || !self.gate.is_open()).then_some(produce)
    }

    /// What brokers answered to batches.
    fn note_written(
        &self,
        id: ExchangeId,
        body: &Bytes,
        seen: &Translated,
        now: Now,
    ) -> Result<(), DecodeError> {
        let Some(exchange) = self.awaited(id, seen) else { return Ok(()) };
        let scan = &exchange.scan;
        let body = value::decode(response_of(exchange)?, exchange.version, body)?;
        let (spots, mut told_of) = (Spots::new(scan), vec![false; scan.partitions.len()]);
        for told in body.structs("Responses") {
            let id = Uuid::from_bytes(told.uuid("TopicId"));
            let key = if id.is_nil() { Key::Name(told.str("Name").as_bytes()) } else { Key::Id(id) };
            let Some(rank) = spots.rank(key) else { continue };
            for partition in told.structs("PartitionResponses") {
                let (index, code) = (partition.i32("Index"), partition.i16("ErrorCode"));
                let Some(number) = spots.next((rank, index), |number| told_of[number]) else { continue };
                told_of[number] = true;
                let asked = scan.partitions[number];
                let topic = scan.topics[asked.topic].name.as_ref();
                if let Some((producer, topic)) = asked.producer.zip(topic) {
                    self.gate.answered(producer, topic, index, code, now);
                }
            }
        }
        Ok(())
    }

    /// Tries held answers again with the newest topology; at their deadline they go as they are.
    pub(super) fn complete_held(&mut self, now: Now, out: &mut Output) {
        for id in self.first..self.first + self.exchanges.len() as u64 {
            let Some(view) = View::of_exchange(self, id) else { continue };
            let Some(exchange) = self.exchange(id) else { return };
            let State::Held { frame, node, until } = &exchange.state else { continue };
            let (due, node, mut editor) = (*until <= now, *node, Editor::new());
            let seen = edits(exchange, frame, &view.context(), &mut editor);
            let known = seen.map(|seen| due || seen.unknown_topics == 0);
            let answer = |_| reply(exchange, frame.clone(), editor.edits(), &view.context());
            match known.and_then(|known| known.then_some(()).map(answer).transpose()) {
                Ok(Some((reply, _))) => self.ready(id, node, reply),
                Ok(None) => {}
                Err(error) => close(CloseReason::BadResponse, error.to_string(), out),
            }
        }
    }

    fn ready(&mut self, id: ExchangeId, node: NodeId, reply: Bytes) {
        self.remember_fetch_session(id, node, &reply);
        if let Some(exchange) = self.exchange(id) {
            exchange.state = State::Ready(reply);
        }
        self.weigh(id);
    }

    /// Finishes a merged answer when every part is there, or, for a Fetch, when a single broker would have answered.
    pub(super) fn complete_merge(&mut self, id: ExchangeId, now: Now, out: &mut Output) {
        let Some(exchange) = self.exchange(id) else { return };
        let State::Merging(merge) = &mut exchange.state else { return };
        let due = merge.deadline.is_some_and(|d| d <= now);
        let satisfied = exchange.rule.key == 1
            && fetch_satisfied(exchange.version, &merge.parts, exchange.scan.fetch.min_bytes);
        if merge.open || (!merge.outstanding.is_empty() && !due && !satisfied) {
            return;
        }
        let parts = std::mem::take(&mut merge.parts);
        let (since, version) = (exchange.since, exchange.version);
        let left = std::mem::take(&mut merge.outstanding);
        match merged(exchange, parts) {
            Ok(body) => self.answer_with(id, &body, out),
            Err(error) => close(CloseReason::BadResponse, error.to_string(), out),
        }
        if let Some(since) = since {
            self.leave_polls(id, since, version, &left);
        }
    }

    /// Polls that a Fetch was answered without stay for the next one.
    fn leave_polls(&mut self, id: ExchangeId, since: u64, version: i16, parts: &VecDeque<Part>) {
        for part in parts {
            let Some(link) = self.links.get_mut(&Peer { since, node: part.node }) else { continue };
            for pending in &mut link.pending {
                if let Purpose::Exchange { id: of, poll } = &mut pending.purpose
                    && *of == id
                {
                    let poll = poll.take().unwrap_or_default();
                    pending.purpose = Purpose::Spare { version, poll };
                }
            }
        }
    }

    fn spare_response(
        &mut self,
        peer: Peer,
        version: i16,
        poll: Bytes,
        frame: &[u8],
        out: &mut Output,
    ) -> Result<(), DecodeError> {
        let Some(view) = View::of(self, Side::Consume) else { return Ok(()) };
        let (answer, seen) = translate_body(1, version, frame, &[], &view.context())?;
        let answer = Answer::from(answer);
        if seen.stale_leader {
            self.stale_topology(Side::Consume, out);
        }
        if let Some(link) = self.links.get_mut(&peer) {
            link.spare = Some((poll, answer));
        }
        Ok(())
    }

    /// Answers merged Fetches whose time is over.
    pub(super) fn complete_due(&mut self, now: Now, out: &mut Output) {
        let last = self.first + self.exchanges.len() as u64;
        for id in self.first..last {
            let due = self.exchange(id).is_some_and(|e| match &e.state {
                State::Merging(merge) => merge.deadline.is_some_and(|d| d <= now),
                _ => false,
            });
            if due {
                self.complete_merge(id, now, out);
            }
        }
    }

    fn coordinator_response(
        &mut self,
        peer: Peer,
        (kind, key): (CoordinatorKind, Option<&str>),
        version: i16,
        frame: &[u8],
        now: Now,
        out: &mut Output,
    ) -> Result<(), DecodeError> {
        let active = self.side_of(peer.since).and_then(|side| self.serving(side));
        k10_find_coordinator::answers(version, &frame[body_at(10, version, frame)?..], key, |key, node| {
            if let Some(active) = active {
                active.cluster.topology.set_coordinator(kind, key, Some(node));
            }
        })?;
        let more = |p: &Pending| matches!(p.purpose, Purpose::Coordinator { .. });
        let answered = !self.links.values().any(|l| l.pending.iter().any(more));
        if let Some(waiting) = self.waiting.as_mut().filter(|w| answered && w.asked == Asked::Coordinators) {
            // What is unknown now, the cluster does not know either: any broker will say so in the words of the api.
            waiting.until = now;
        }
        self.route_waiting(now, out);
        Ok(())
    }

    /// What an answer says about the topology, besides its content.
    fn note(&mut self, id: ExchangeId, seen: &Translated, out: &mut Output) {
        self.tell_moved(seen.positions.clone(), out);
        let Some(side) = self.exchange_of(id).map(|e| e.side) else { return };
        if seen.stale_leader {
            self.stale_topology(side, out);
        }
        let Some((keys, kind)) =
            self.exchange(id).filter(|_| seen.stale_coordinator).and_then(|e| match e.rule.route {
                Route::Coordinator(kind) | Route::Coordinators(kind, _) => Some((e.scan.keys.clone(), kind)),
                _ => None,
            })
        else {
            return;
        };
        if let Some(active) = self.serving(side) {
            keys.iter().for_each(|key| active.cluster.topology.set_coordinator(kind, key, None));
        }
    }

    /// A position that changes is counted and logged.
    pub(super) fn tell_moved(&self, moved: Option<Moved>, out: &mut Output) {
        let Some(moved) = moved else { return };
        let Some(cluster) = self.serving(Side::Consume).map(|a| a.cluster.name.clone()) else { return };
        if moved.group.is_some() {
            self.metrics.positions_given.add(moved.partitions);
        }
        let virtual_cluster = self.virtual_cluster.name.clone();
        out.signals.push(Signal::PositionsMoved { virtual_cluster, cluster, moved });
    }

    /// A producer id that is too large to be marked with its term is kept from the client, who asks again.
    fn unfit(&self, seen: &Translated, out: &mut Output) -> Option<Struct> {
        let id = seen.unfit_producer?;
        let cluster = self.serving(Side::Produce)?.cluster.name.clone();
        out.signals.push(Signal::ProducerIdTooLarge { cluster, id });
        let refusal = Struct::new().with("ErrorCode", error::COORDINATOR_LOAD_IN_PROGRESS);
        Some(refusal.with("ProducerId", -1).with("ProducerEpoch", -1))
    }

    /// Who is in a group where, for the way back.
    fn note_member(&mut self, id: ExchangeId, frame: &BytesMut) {
        let concerned =
            |e: &&Exchange| matches!(e.rule.key, JOIN_GROUP | HEARTBEAT | LEAVE_GROUP | SYNC_GROUP);
        let Some(exchange) = self.exchange_of(id).filter(concerned) else { return };
        let (key, version) = (exchange.rule.key, exchange.version);
        let Some(group) = exchange.scan.keys.first().map(str::to_owned) else { return };
        let (member, bare) = (exchange.scan.member.clone().unwrap_or_default(), exchange.scan.bare);
        let came = match &*member {
            _ if exchange.scan.stripped => Came::Stripped,
            "" => Came::New,
            _ => Came::Known,
        };
        let Some(active) = self.serving(Side::Consume) else { return };
        let (cluster, since) = (active.cluster.name.clone(), active.since);
        let Ok((_, body)) = value::decode_response(key, version, &frame.clone().freeze().slice(4..)) else {
            return;
        };
        self.note_membership(key, &group, &member, &body, since);
        match body.i16("ErrorCode") {
            // A member that was only given its id is waited for by the group all the same.
            0 | error::MEMBER_ID_REQUIRED => {}
            error::UNKNOWN_MEMBER_ID => return self.lost_in_join(key, bare),
            _ => return,
        }
        match key {
            JOIN_GROUP => self.members.joined(&cluster, &group, body.str("MemberId"), since, came),
            SYNC_GROUP => self.members.assigned(&cluster, &group, &member),
            LEAVE_GROUP => {
                body.structs("Members").for_each(|m| self.members.left(&cluster, &group, m.str("MemberId")));
            }
            _ => {}
        }
    }

    /// A commit whose outcome the client is about to learn is no longer in doubt.
    fn note_commit(&mut self, id: ExchangeId, frame: &BytesMut) {
        let ends = self.exchange(id).and_then(|e| Some((e.rule.key, e.version, e.scan.ends_for?)));
        let Some((key, version, producer)) = ends else { return };
        let body = value::decode_response(key, version, &frame.clone().freeze().slice(4..));
        if body.is_ok_and(|(_, body)| transactions::settles(body.i16("ErrorCode"))) {
            self.virtual_cluster.commits.settled(producer);
        }
    }

    pub(super) fn remember_fetch_session(&mut self, id: ExchangeId, node: NodeId, reply: &[u8]) {
        let Some(exchange) = self.exchange(id) else { return };
        if exchange.rule.key != 1 || exchange.version < 7 {
            return;
        }
        let Ok(body) = body_at(1, exchange.version, reply) else { return };
        let session = reply.get(body + FETCH_SESSION_AT.start..body + FETCH_SESSION_AT.end);
        let session = session.and_then(|b| b.try_into().ok()).map_or(0, i32::from_be_bytes);
        let before = exchange.scan.fetch.session_id;
        if before != 0 && session != before {
            self.fetch_sessions.remove(&before);
        }
        if session != 0 && self.fetch_sessions.len() < limits::IN_FLIGHT {
            self.fetch_sessions.insert(session, node);
        }
    }
}

/// Whether a single broker would end its wait: enough bytes, or an error.
fn fetch_satisfied(version: i16, parts: &[Answer], min_bytes: i32) -> bool {
    let Some(min_bytes) = usize::try_from(min_bytes).ok().filter(|min| *min > 0) else {
        // Nobody waits for anything: every broker answers at once.
        return false;
    };
    let Some(message) = tables::response(1, version) else { return true };
    let (mut bytes, mut failed) = (0, false);
    for part in parts {
        let read = walk(message, version, part, |event, value| match event.kind {
            Kind::Blob { len: Some(len) } if event.field.name == "Records" => bytes += len as usize,
            Kind::Scalar if event.field.name == "ErrorCode" => failed |= *value != [0, 0],
            _ => {}
        });
        failed |= read.is_err();
    }
    failed || bytes >= min_bytes
}

/// The one answer that parts make. They are all there, but for those of a Fetch: of anything else, what nobody answered did not happen.
fn merged(exchange: &Exchange, parts: Vec<Answer>) -> Result<Answer, Unmergeable> {
    let (rule, version) = (exchange.rule, exchange.version);
    let message = response_of(exchange)?;
    let body = match rule.route {
        Route::Leaders(shape) => {
            let missing = match rule.fail {
                Fail::Partitions(_, code) if rule.key != 1 => code,
                _ => 0,
            };
            let missing = |index| refuse::partition(shape, index, missing);
            merge::by_partition(message, version, shape, &exchange.scan, &parts, missing, |root| {
                if rule.key == 1 {
                    root.set("SessionId", 0);
                }
            })?
        }
        Route::Coordinators(_, keys) => merge::by_array(message, version, keys.results, &parts)?,
        Route::All(array) => merge::by_array(message, version, array, &parts)?,
        _ => return Ok(parts.into_iter().next().unwrap_or_default()),
    };
    Ok(body.into())
}

fn response_of(exchange: &Exchange) -> Result<&'static Message, DecodeError> {
    let (key, version) = (exchange.rule.key, exchange.version);
    tables::response(key, version).ok_or(DecodeError::UnsupportedVersion { key, version })
}

/// A broker has answered whether a ghost is out of its group.
fn left(ghost: Ghost, version: i16, frame: BytesMut) -> Result<(), DecodeError> {
    let (_, body) = value::decode_response(LEAVE_GROUP, version, &frame.freeze().slice(4..))?;
    let is_out = |code| matches!(code, 0 | error::UNKNOWN_MEMBER_ID);
    if is_out(body.i16("ErrorCode")) && body.structs("Members").all(|m| is_out(m.i16("ErrorCode"))) {
        ghost.forget();
    }
    Ok(())
}

/// Remembers what an answer says of leaders and coordinators.
fn learn(exchange: &Exchange, frame: &BytesMut, cx: &Context<'_>, now: Now) -> Result<(), DecodeError> {
    let cell = &cx.active.cluster.topology;
    match exchange.rule.key {
        3 => {
            let at = body_at(3, exchange.version, frame)?;
            cell.merge(&k03_metadata::observe(exchange.version, &frame[at..], false)?, now);
        }
        10 => {
            let asked = exchange.original.as_ref().and_then(|o| k10_find_coordinator::asked(o));
            let Some((kind, key)) = asked else { return Ok(()) };
            let Some(kind) = k10_find_coordinator::kind(kind) else { return Ok(()) };
            let body = &frame[body_at(10, exchange.version, frame)?..];
            k10_find_coordinator::answers(exchange.version, body, key.as_deref(), |key, node| {
                cell.set_coordinator(kind, key, Some(node));
            })?;
        }
        _ => {}
    }
    Ok(())
}

/// An answer's body in virtual identifiers.
fn translated(
    exchange: &Exchange,
    frame: &[u8],
    cx: &Context<'_>,
) -> Result<(Answer, Translated), DecodeError> {
    let (key, version) = (exchange.rule.key, exchange.version);
    let (mut body, mut seen) = translate_body(key, version, frame, &exchange.scan.foreign_ids, cx)?;
    if positions::concern(key) {
        let message = response_of(exchange)?;
        let mut value = value::decode(message, version, &Bytes::from(std::mem::take(&mut body)))?;
        seen.positions = positions::look(exchange, &mut value, cx);
        value::encode(message, version, &value, &mut body)
            .map_err(|_| DecodeError::Truncated { needed: 1, left: 0 })?;
    }
    Ok((body.into(), seen))
}

fn translate_body(
    key: i16,
    version: i16,
    frame: &[u8],
    foreign: &[uuid::Uuid],
    cx: &Context<'_>,
) -> Result<(Vec<u8>, Translated), DecodeError> {
    let message = tables::response(key, version).ok_or(DecodeError::UnsupportedVersion { key, version })?;
    let at = body_at(key, version, frame)?;
    let mut editor = Editor::new();
    let seen = response::translate(message, version, &frame[at..], foreign, cx, &mut editor)?;
    let edits = editor.edits();
    let mut body = Vec::with_capacity(edits.new_len(frame.len() - at));
    edits.apply(&frame[at..], &mut body);
    Ok((body, seen))
}

/// Notes in `editor` what must change in an answer.
fn edits(
    exchange: &Exchange,
    frame: &[u8],
    cx: &Context<'_>,
    editor: &mut Editor,
) -> Result<Translated, DecodeError> {
    let (key, version) = (exchange.rule.key, exchange.version);
    let message = tables::response(key, version).ok_or(DecodeError::UnsupportedVersion { key, version })?;
    let at = body_at(key, version, frame)?;
    response::translate(message, version, &frame[at..], &exchange.scan.foreign_ids, cx, editor)
}

/// The frame for the client: header as it came, with the client's correlation id; body edited, in its place where lengths allow it.
/// Says too which positions were given.
fn reply(
    exchange: &Exchange,
    mut frame: BytesMut,
    edits: &Edits,
    cx: &Context<'_>,
) -> Result<(Bytes, Option<Moved>), DecodeError> {
    let (key, version) = (exchange.rule.key, exchange.version);
    let at = body_at(key, version, &frame)?;
    if !edits.apply_in_place(&mut frame[at..]) {
        let mut edited = Vec::with_capacity(edits.new_len(frame.len()));
        edited.put_slice(&frame[..at]);
        edits.apply(&frame[at..], &mut edited);
        frame = BytesMut::from(Bytes::from(edited));
    }
    let mut positions = None;
    if exchange.rule.edit_response.is_some() || positions::concern(key) {
        (frame, positions) = edited(exchange, frame, at, cx)?;
    }
    let size = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame[4..8].copy_from_slice(&exchange.correlation.to_be_bytes());
    Ok((frame.freeze(), positions))
}

/// The special editing of the api, of a frame whose body starts `at`.
fn edited(
    exchange: &Exchange,
    mut frame: BytesMut,
    at: usize,
    cx: &Context<'_>,
) -> Result<(BytesMut, Option<Moved>), DecodeError> {
    let (key, version) = (exchange.rule.key, exchange.version);
    let message = tables::response(key, version).ok_or(DecodeError::UnsupportedVersion { key, version })?;
    let mut body = value::decode(message, version, &frame.split_off(at).freeze())?;
    if let Some(edit) = exchange.rule.edit_response {
        edit(&mut body, cx);
    }
    let positions = if positions::concern(key) { positions::look(exchange, &mut body, cx) } else { None };
    let mut edited = frame.to_vec();
    value::encode(message, version, &body, &mut edited)
        .map_err(|_| DecodeError::Truncated { needed: 1, left: 0 })?;
    Ok((BytesMut::from(Bytes::from(edited)), positions))
}

/// Where the body starts in a response frame, size included.
fn body_at(key: i16, version: i16, frame: &[u8]) -> Result<usize, DecodeError> {
    let cut = DecodeError::Truncated { needed: 8, left: frame.len() };
    let len = header::response_header_len(key, version).len_in(frame.get(4..).unwrap_or_default())?;
    len.map(|len| len + 4).ok_or(cut)
}

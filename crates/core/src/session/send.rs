//! Frames for brokers: a request whole, or its parts.

use super::{
    ExchangeId, Link, Outgoing, Output, Peer, Pending, Purpose, Session,
    exchange::{Exchange, Merge, Part, State},
    layout::{Layout, Names},
    merge::Answer,
    positions, refuse,
};
use crate::{
    Now, limits,
    rules::{Context, Route, Side},
    topology::NodeId,
};
use bytes::{Bytes, BytesMut};
use pointsman_wire::{
    cursor::Kind,
    edit::Editor,
    error::DecodeError,
    header,
    schema::Message,
    tables::{self, fetch_request as fetch},
    value::{self, Struct},
    write::Writer,
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// A split Fetch is answered this long after its own `max.wait` even if a broker is silent.
const FETCH_GRACE: Duration = Duration::from_millis(100);

const FETCH: i16 = 1;

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
        let Some(group) = joins.and_then(|e| e.scan.keys.first().map(str::to_owned)) else { return };
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
        let (rule, version) = (exchange.rule, exchange.version);
        let Route::Leaders(shape) = rule.route else { return };
        let scan = std::mem::take(&mut exchange.scan);
        let api = (rule.key, version);
        let refuse = |(code, chosen): (&i16, &Vec<usize>)| {
            refuse::partitions(api, shape, &scan, Some(chosen), *code, Some(cx))
        };
        let mut known: Vec<Answer> = refused.iter().filter_map(refuse).collect();
        if !answered.is_empty() {
            let (ends, moved) = positions::ends_of_older(api, shape, &scan, &answered, cx);
            known.extend(ends);
            self.tell_moved(moved, out);
        }
        self.metrics.epochs_answered.add(answered.len() as u64);
        let Some(exchange) = self.exchange(id) else { return };
        exchange.scan = scan;
        let names = Names {
            within: shape.within,
            items: shape.topics,
            entries: shape.partitions,
            ..Names::default()
        };
        let Ok(whole) = Whole::read(exchange, frame, names, groups.len()) else { return };
        let parts = groups.into_iter().map(|(node, chosen)| {
            let mut body = Vec::new();
            whole.layout.with_entries(&whole.body, &chosen, &mut body);
            (Part { node, chosen }, body)
        });
        let scan = &exchange.scan;
        let wait = u64::try_from(scan.fetch.max_wait_ms.max(0)).unwrap_or(0);
        let deadline = (rule.key == 1).then(|| now + Duration::from_millis(wait) + FETCH_GRACE);
        self.send_parts(id, whole.header, parts, known, deadline, now, out);
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
        let names = Names { items: keys.keys, ..Names::default() };
        let Ok(whole) = Whole::read(exchange, frame, names, groups.len()) else { return };
        let parts = groups.into_iter().map(|(node, chosen)| {
            let mut body = Vec::new();
            whole.layout.with_items(&whole.body, &chosen, &mut body);
            (Part { node, chosen }, body)
        });
        self.send_parts(id, whole.header, parts, Vec::new(), None, now, out);
    }

    pub(super) fn send_all(&mut self, id: ExchangeId, frame: &[u8], nodes: Vec<NodeId>, out: &mut Output) {
        let Some((header, body)) = split_header(frame) else { return };
        let parts = nodes.into_iter().map(|node| (Part { node, chosen: Vec::new() }, body.to_vec()));
        self.send_parts(id, header, parts, Vec::new(), None, Now::ZERO, out);
    }

    /// `known` are the answers that are known already. Parts get the client's `header`: quotas go by the client id.
    #[allow(clippy::too_many_arguments, reason = "the one place where all kinds of splits come together")]
    fn send_parts(
        &mut self,
        id: ExchangeId,
        header: &[u8],
        parts: impl Iterator<Item = (Part, Vec<u8>)>,
        known: Vec<Answer>,
        deadline: Option<Now>,
        now: Now,
        out: &mut Output,
    ) {
        let mut merge = Merge { outstanding: VecDeque::new(), parts: known, deadline, open: false };
        for (part, body) in parts {
            self.send_part(id, header, part, &body, &mut merge, out);
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
        header: &[u8],
        part: Part,
        body: &[u8],
        merge: &mut Merge,
        out: &mut Output,
    ) {
        let Some(to) = self.peer(id, part.node) else { return };
        let Some(exchange) = self.exchange(id) else { return };
        let (key, answered) = (exchange.rule.key, !exchange.scan.no_response);
        let link = self.links.entry(to).or_default();
        link.unanswered |= !answered;
        let correlation = link.next();
        let frame = part_frame(header, correlation, body);
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

/// The header, size included, and the body.
fn split_header(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    frame.split_at_checked(4 + header::request_header(&frame[4..]).ok()?.len)
}

/// A frame with the client's header and another body.
pub(super) fn part_frame(header: &[u8], correlation: i32, body: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(header.len() + body.len());
    frame.extend_from_slice(header);
    frame.extend_from_slice(body);
    let size = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame[8..12].copy_from_slice(&correlation.to_be_bytes());
    frame.into()
}

/// A request that parts are cut from.
struct Whole<'a> {
    /// The client's header, size included.
    header: &'a [u8],
    body: Cow<'a, [u8]>,
    layout: Layout,
}

impl<'a> Whole<'a> {
    fn read(exchange: &Exchange, frame: &'a [u8], names: Names, parts: usize) -> Result<Self, DecodeError> {
        let (key, version) = (exchange.rule.key, exchange.version);
        let message =
            tables::request(key, version).ok_or(DecodeError::UnsupportedVersion { key, version })?;
        let (header, body) = frame.split_at(4 + header::request_header(&frame[4..])?.len);
        let body = match key {
            FETCH => Cow::Owned(as_poll(message, version, body, parts)?),
            _ => Cow::Borrowed(body),
        };
        let layout = Layout::read(message, version, &body, names)?;
        debug_assert_eq!(
            layout.len(),
            exchange.scan.partitions.len().max(exchange.scan.keys.len()),
            "the scan saw every partition and key"
        );
        Ok(Self { header, body, layout })
    }
}

/// A poll that a split Fetch can take over.
enum Poll {
    Answered(Answer),
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

/// A Fetch as its parts are: without a session, answered by its broker as soon as there is anything, and with a share of the bytes,
/// because parts are collected.
fn as_poll(
    message: &'static Message,
    version: i16,
    body: &[u8],
    parts: usize,
) -> Result<Vec<u8>, DecodeError> {
    let parts = i32::try_from(parts).unwrap_or(i32::MAX).max(1);
    let mut editor = Editor::new();
    // Of the array that is emptied.
    let mut forgotten = None;
    let edits = editor.edit(message, version, body, |event, bytes, edits| {
        let number = || bytes.try_into().map_or(0, i32::from_be_bytes);
        let put = match event.field.id {
            fetch::SESSION_ID => 0,
            fetch::SESSION_EPOCH => -1,
            fetch::MIN_BYTES => number().min(1),
            fetch::MAX_BYTES => number().min(limits::SPLIT_FETCH) / parts,
            fetch::FORGOTTEN_TOPICS_DATA if matches!(event.kind, Kind::ArrayStart { .. }) => {
                return forgotten = Some(event.at);
            }
            fetch::FORGOTTEN_TOPICS_DATA if matches!(event.kind, Kind::ArrayEnd) => {
                let mut empty = Vec::new();
                Writer::new(&mut empty).array_len(Some(0), message.is_flexible(version));
                let from = forgotten.unwrap_or(event.at);
                return edits.replace(from, event.at - from, &empty);
            }
            _ => return,
        };
        edits.replace(event.at, event.len, &put.to_be_bytes());
    })?;
    let mut poll = Vec::with_capacity(edits.new_len(body.len()));
    edits.apply(body, &mut poll);
    Ok(poll)
}

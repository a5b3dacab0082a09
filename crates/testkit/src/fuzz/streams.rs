//! What passes without being collected: however the bytes arrive, what leaves is the same.

use super::{
    input::Input,
    make,
    messages::sized,
    world::{Stand, World},
};
use crate::rng::Rng;
use bytes::BytesMut;
use pointsman_core::session::{Output, Peer, Session, stream::STREAM_HEAD};
use pointsman_wire::{decode_response, request_header, tables};
use std::collections::BTreeMap;

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const SHARE_FETCH: i16 = 78;
/// More waits than a request can have partitions here.
const WAITS: usize = 64;

/// A large answer to a Fetch or ShareFetch.
pub(super) fn fetch(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, state, step) = (input.byte(), input.byte(), input.byte());
    let key = if choice % 4 == 0 { SHARE_FETCH } else { FETCH };
    let Some(newest) = tables::api(key).map(|api| api.versions) else { return };
    let version = newest.min + i16::from(choice / 4) % (newest.max - newest.min + 1);
    let answer = input.rest();
    let whole = streamed(key, version, state, answer, usize::MAX);
    let split = streamed(key, version, state, answer, 1 + usize::from(step) % 33);
    assert_eq!(whole.is_some(), split.is_some(), "key {key} version {version}");
    let (Some(whole), Some(split)) = (whole, split) else { return };
    assert_eq!(whole, split, "key {key} version {version}");
    let (size, body) = (answer.len(), bytes::Bytes::from(whole));
    assert_eq!(body.len(), size + 8, "nothing is added or lost");
    assert!(decode_response(key, version, &body.slice(4..)).is_ok(), "the client can decode it");
}

/// What the client gets; `None`: nothing, or not all of it.
fn streamed(key: i16, version: i16, state: u8, answer: &[u8], step: usize) -> Option<Vec<u8>> {
    let mut world = World::new();
    let mut session = world.session(Some(0));
    if state % 2 == 1 {
        session.adopt(world.view(Stand::Active(1)), world.now, &mut Output::default());
    }
    let mut out = Output::default();
    let asked = make::request(key, version, 7, &mut Rng::new((state / 2).into()));
    session.request(sized(&asked), world.now, &mut out);
    let [sent] = &out.sends[..] else { return None };
    let is_whole = sent.frame.get(4..6) == Some(&key.to_be_bytes()) && out.close.is_none();
    let frame = [&sent.frame[8..12], answer].concat();
    if !is_whole || frame.len() < STREAM_HEAD || session.in_flight() != 1 {
        return None;
    }
    let whole = sized(&frame);
    let mut input = BytesMut::from(&whole[..STREAM_HEAD]);
    let mut arrived = STREAM_HEAD;
    let mut stream = session.begin_stream(sent.to, &mut input).ok()?;
    let mut output = input.split_to(stream.body_at.min(input.len())).to_vec();
    loop {
        let passed = stream.advance(&mut input).ok()?;
        output.extend_from_slice(&input.split_to(passed));
        if stream.is_done() {
            session.end_stream(sent.to, world.now, &mut Output::default());
            assert_eq!(session.in_flight(), 0, "a stream that is through is an answer");
            return (input.is_empty() && arrived == whole.len()).then_some(output);
        }
        if arrived == whole.len() {
            return None;
        }
        let more = arrived.saturating_add(step).min(whole.len());
        input.extend_from_slice(&whole[arrived..more]);
        arrived = more;
    }
}

pub(super) fn make_fetch(rng: &mut Rng) -> Vec<u8> {
    let key = if rng.chance(30) { SHARE_FETCH } else { FETCH };
    let Some(versions) = tables::api(key).map(|api| api.versions) else { return Vec::new() };
    let span = usize::try_from(versions.max - versions.min + 1).unwrap_or(1);
    let number = rng.below(span);
    let choice = u8::try_from(4 * number).unwrap_or(0) + u8::from(key == FETCH);
    let version = versions.min + i16::try_from(number).unwrap_or(0);
    let mut input = vec![choice, make::byte(rng), make::byte(rng)];
    input.extend(tables::request(key, version).is_some_and(|m| m.is_flexible(version)).then_some(0));
    if let Some(message) = tables::response(key, version) {
        input.extend(make::body(message, version, rng));
    }
    input
}

/// A large Produce request.
pub(super) fn produce(data: &[u8]) {
    let mut input = Input::new(data);
    let (state, step) = (input.byte(), input.byte());
    let frame = input.rest();
    // What is fed in pieces is longer than any header.
    if !request_header(frame).is_ok_and(|header| header.key == PRODUCE) {
        return;
    }
    let whole = received(state, frame, usize::MAX);
    let split = received(state, frame, 1 + usize::from(step) % 33);
    assert_eq!(whole.closed, split.closed);
    if !whole.closed {
        assert_eq!(whole.sent, split.sent, "every broker gets the same, however it came");
    }
}

/// What came of a request that was fed in pieces.
struct Received {
    sent: BTreeMap<Peer, Vec<u8>>,
    closed: bool,
}

fn received(state: u8, frame: &[u8], step: usize) -> Received {
    let mut world = World::new();
    let mut session = world.session(Some(0));
    let stands: &[Stand] =
        [&[][..], &[Stand::Active(1)], &[Stand::Nothing], &[Stand::Active(1), Stand::Active(0)]]
            [usize::from(state % 4)];
    for stand in stands {
        session.adopt(world.view(*stand), world.now, &mut Output::default());
    }
    let mut out = Output::default();
    session.begin(frame.len());
    let bytes = sized(frame);
    let (mut input, mut arrived) = (BytesMut::new(), 0);
    while arrived < bytes.len() && out.close.is_none() {
        let more = arrived.saturating_add(step).min(bytes.len());
        input.extend_from_slice(&bytes[arrived..more]);
        arrived = more;
        if session.receive(&mut input, world.now, &mut out) {
            break;
        }
        wait(&mut session, &mut world, &mut input, &mut out);
    }
    assert!(!session.is_receiving() || out.close.is_some(), "a request that is all there is taken in");
    let mut sent: BTreeMap<Peer, Vec<u8>> = BTreeMap::new();
    for outgoing in &out.sends {
        sent.entry(outgoing.to).or_default().extend_from_slice(&outgoing.frame);
    }
    Received { sent, closed: out.close.is_some() }
}

/// A leader that is not known is waited for, but never for long.
fn wait(session: &mut Session, world: &mut World, input: &mut BytesMut, out: &mut Output) {
    for _ in 0..WAITS {
        let Some(deadline) = session.deadline().filter(|_| session.is_receiving() && !session.reads()) else {
            return;
        };
        world.now = deadline;
        session.tick(world.now, out);
        session.receive(input, world.now, out);
        if out.close.is_some() {
            return;
        }
    }
}

pub(super) fn make_produce(rng: &mut Rng) -> Vec<u8> {
    let Some(versions) = tables::api(PRODUCE).map(|api| api.versions) else { return Vec::new() };
    let version = 3 + i16::try_from(rng.below(usize::try_from(versions.max - 2).unwrap_or(1))).unwrap_or(0);
    let mut input = vec![make::byte(rng), make::byte(rng)];
    input.extend(make::request(PRODUCE, version, 7, rng));
    input
}

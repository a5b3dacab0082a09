//! One request, or one response, of any api, through a session.

use super::{
    input::Input,
    make,
    world::{Stand, World, offered},
};
use crate::rng::Rng;
use bytes::{Bytes, BytesMut};
use pointsman_core::session::{Output, Session};
use pointsman_wire::{decode_request, decode_response, tables};
use std::time::Duration;

/// A frame, its size in front.
pub(super) fn sized(frame: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::from(&u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes()[..]);
    bytes.extend_from_slice(frame);
    bytes
}

/// Where the session stands when the frame comes.
fn prepared(world: &mut World, state: u8) -> Session {
    let slot = [Some(0), Some(1), Some(2), None][usize::from(state % 4)];
    let mut session = world.session(slot);
    let stands: &[Stand] = match state / 4 % 4 {
        0 => &[],
        1 => &[Stand::Active(1)],
        2 => &[Stand::Active(1), Stand::Active(0)],
        _ => &[Stand::Nothing],
    };
    for stand in stands {
        session.adopt(world.view(*stand), world.now, &mut Output::default());
    }
    session
}

/// What leaves for brokers can be decoded by them.
pub(super) fn check_sends(out: &Output) {
    for outgoing in &out.sends {
        let sent = decode_request(&outgoing.frame.slice(4..));
        assert!(sent.is_ok(), "a broker cannot decode {:?}", outgoing.frame);
    }
}

/// A request, whatever it says; then time passes and the cluster changes.
pub(super) fn request(data: &[u8]) {
    let mut input = Input::new(data);
    let state = input.byte();
    let frame = input.rest();
    let mut world = World::new();
    let mut session = prepared(&mut world, state);
    let mut out = Output::default();
    if frame.len() < 8 {
        return;
    }
    session.request(sized(frame), world.now, &mut out);
    check_sends(&out);
    if out.close.is_some() {
        return;
    }
    world.now += Duration::from_secs(1);
    world.change(state);
    let mut out = Output::default();
    session.tick(world.now, &mut out);
    check_sends(&out);
    session.adopt(world.view(Stand::Active(1)), world.now, &mut out);
    check_sends(&out);
}

pub(super) fn make_request(rng: &mut Rng) -> Vec<u8> {
    let (key, version) = offered()[rng.below(offered().len())];
    let mut input = vec![make::byte(rng)];
    input.extend(make::request(key, version, 7, rng));
    input
}

/// A response of any api, whatever it says, to a request that was sound.
pub(super) fn response(data: &[u8]) {
    let mut input = Input::new(data);
    let (state, seed) = (input.byte(), input.byte());
    let Some((key, version)) = input.one_of(offered()).copied() else { return };
    let mut world = World::new();
    let mut session = prepared(&mut world, state);
    let mut out = Output::default();
    let asked = make::request(key, version, 7, &mut Rng::new(seed.into()));
    session.request(sized(&asked), world.now, &mut out);
    let body = input.rest();
    for sent in std::mem::take(&mut out.sends) {
        let frame = [&sent.frame[8..12], body].concat();
        if frame.len() > 4 {
            session.response(sent.to, sized(&frame), world.now, &mut out);
        }
    }
    check_replies(&out.replies, key, version);
    if out.close.is_none() {
        world.now += Duration::from_secs(1);
        session.tick(world.now, &mut out);
        check_replies(&out.replies, key, version);
    }
}

/// What goes to a client can be decoded by it.
fn check_replies(replies: &[Bytes], key: i16, version: i16) {
    for reply in replies {
        let size = u32::from_be_bytes([reply[0], reply[1], reply[2], reply[3]]);
        assert_eq!(size as usize + 4, reply.len(), "a frame says how long it is");
        let answered = decode_response(key, version, &reply.slice(4..));
        assert!(answered.is_ok(), "api {key} version {version}: the client cannot decode {reply:?}");
    }
}

pub(super) fn make_response(rng: &mut Rng) -> Vec<u8> {
    let number = rng.below(offered().len());
    let (key, version) = offered()[number];
    let mut input = vec![make::byte(rng) & 0x0b, make::byte(rng)];
    input.extend(u16::try_from(number).unwrap_or(0).to_be_bytes());
    let tags = tables::request(key, version).is_some_and(|m| m.is_flexible(version)) && key != 18;
    input.extend(tags.then_some(0));
    if let Some(message) = tables::response(key, version) {
        input.extend(make::body(message, version, rng));
    }
    input
}

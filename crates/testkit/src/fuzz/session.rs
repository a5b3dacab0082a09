//! A whole connection: a client, brokers, failures, a topology that changes and a chain that switches, in any order and with any bytes.
//!
//! What must hold: answers come in the order of the requests, and clients can decode them; what leaves can be decoded by brokers; and
//! when every broker fails and time passes, nothing is left without an answer.

use super::{
    input::Input,
    make,
    messages::sized,
    world::{Stand, World, offered},
};
use crate::rng::Rng;
use bytes::{Bytes, BytesMut};
use pointsman_core::{
    limits,
    session::{
        Output, Peer, Session,
        stream::{Intake, STREAM_HEAD},
    },
    signal::Failure,
};
use pointsman_wire::{decode_request, decode_response, tables};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

const REQUEST: u8 = 0;
const IN_PIECES: u8 = 1;
const ANSWER: u8 = 2;
const STREAMED: u8 = 3;
const FAIL: u8 = 4;
const TICK: u8 = 5;
const STAND: u8 = 6;
const CHANGE: u8 = 7;
const KINDS: u8 = 8;
/// Rounds after which nothing may be left without an answer: more than there are bootstrap servers, brokers and requests.
const ROUNDS: usize = 200;

/// Any bytes, as a play.
pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut play = Play::new(input.byte());
    while !input.is_empty() && !play.closed {
        play.step(&mut input);
    }
    play.end();
}

/// A play that goes on for a while, because its answers fit its requests.
pub(super) fn make(rng: &mut Rng) -> Vec<u8> {
    let mut input = vec![make::byte(rng)];
    let mut play = Play::new(input[0]);
    for _ in 0..4 + rng.below(24) {
        let scene = play.scene(rng);
        play.step(&mut Input::new(&scene));
        input.extend(scene);
        if play.closed {
            break;
        }
    }
    input
}

/// A request of which a broker owes the answer.
#[derive(Debug, Clone, Copy)]
struct Owed {
    correlation: [u8; 4],
    key: i16,
    version: i16,
}

struct Play {
    world: World,
    session: Session,
    /// What the client asked, in order: correlation id, api key, version.
    asked: VecDeque<(i32, i16, i16)>,
    owed: BTreeMap<Peer, VecDeque<Owed>>,
    /// Frames for brokers that have left in part.
    partial: BTreeMap<Peer, Vec<u8>>,
    next: i32,
    closed: bool,
}

impl Play {
    fn new(state: u8) -> Self {
        let mut world = World::new();
        let session = world.session([Some(0), Some(1), Some(2), None][usize::from(state % 4)]);
        let (asked, owed, partial) = (VecDeque::new(), BTreeMap::new(), BTreeMap::new());
        Self { world, session, asked, owed, partial, next: 0, closed: false }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let mut out = Output::default();
        match input.byte() % KINDS {
            kind @ (REQUEST | IN_PIECES) => {
                let len = input.short();
                let frame = input.take(len).to_vec();
                if frame.len() >= 8 && self.session.accepts() {
                    self.ask(frame, kind == IN_PIECES, &mut out);
                }
            }
            kind @ (ANSWER | STREAMED) => {
                let node = input.byte();
                let len = input.short();
                let body = input.take(len);
                self.respond(node, body, kind == STREAMED, &mut out);
            }
            FAIL => {
                let (node, unsent) = (input.byte(), input.byte());
                self.fail(node, usize::from(unsent % 4), &mut out);
            }
            TICK => {
                self.world.now += Duration::from_millis(u64::from(input.byte()) * 8);
                self.session.tick(self.world.now, &mut out);
            }
            STAND => {
                let stands = [
                    Stand::Active(0),
                    Stand::Active(1),
                    Stand::Switching,
                    Stand::Nothing,
                    Stand::Draining(false),
                    Stand::Draining(true),
                ];
                let view = self.world.view(stands[usize::from(input.byte()) % stands.len()]);
                self.session.adopt(view, self.world.now, &mut out);
            }
            _ => {
                self.world.change(input.byte());
                self.session.tick(self.world.now, &mut out);
            }
        }
        self.absorb(out);
    }

    fn ask(&mut self, mut frame: Vec<u8>, pieces: bool, out: &mut Output) {
        self.next += 1;
        let (key, version) =
            (i16::from_be_bytes([frame[0], frame[1]]), i16::from_be_bytes([frame[2], frame[3]]));
        frame[4..8].copy_from_slice(&self.next.to_be_bytes());
        self.asked.push_back((self.next, key, version));
        if !pieces || key != 0 {
            return self.session.request(sized(&frame), self.world.now, out);
        }
        self.session.begin(frame.len());
        let mut bytes = sized(&frame);
        let mut rest = bytes.split_off(bytes.len() / 2);
        if !self.session.receive(&mut bytes, self.world.now, out) && out.close.is_none() {
            bytes.unsplit(std::mem::take(&mut rest));
            // As the caller does: bytes are offered while they are wanted, and again after a wait.
            for _ in 0..ROUNDS {
                if self.session.receive(&mut bytes, self.world.now, out) || out.close.is_some() {
                    break;
                }
                let Some(deadline) = self.session.deadline() else { break };
                self.world.now = self.world.now.max(deadline);
                self.session.tick(self.world.now, out);
            }
        }
        // A client that goes away in the midst of a request.
        self.closed |= self.session.is_receiving();
    }

    fn respond(&mut self, node: u8, body: &[u8], streamed: bool, out: &mut Output) {
        let nodes: Vec<Peer> = self.owed.keys().copied().collect();
        let Some(node) = nodes.get(usize::from(node).checked_rem(nodes.len()).unwrap_or(0)).copied() else {
            return;
        };
        let Some(owed) = self.owed.get_mut(&node).and_then(VecDeque::pop_front) else { return };
        let frame = sized(&[&owed.correlation[..], body].concat());
        match self.session.intake(node, if streamed { limits::COLLECT_RESPONSE + 1 } else { frame.len() - 4 })
        {
            Intake::Stream if frame.len() >= STREAM_HEAD => self.stream(node, frame, out),
            _ => self.session.response(node, frame, self.world.now, out),
        }
        self.owed.retain(|_, owed| !owed.is_empty());
    }

    fn stream(&mut self, node: Peer, mut frame: BytesMut, out: &mut Output) {
        let Ok(mut stream) = self.session.begin_stream(node, &mut frame) else { return self.closed = true };
        let head = frame.split_to(stream.body_at.min(frame.len()));
        self.check_order(i32::from_be_bytes([head[4], head[5], head[6], head[7]]));
        match stream.advance(&mut frame) {
            Ok(passed) if stream.is_done() => {
                assert_eq!(passed, frame.len(), "all of a complete response passes");
                self.session.end_stream(node, self.world.now, out);
            }
            _ => self.closed = true,
        }
    }

    fn fail(&mut self, node: u8, unsent: usize, out: &mut Output) {
        let nodes: Vec<Peer> = self.owed.keys().copied().collect();
        let Some(node) = nodes.get(usize::from(node).checked_rem(nodes.len()).unwrap_or(0)).copied() else {
            return;
        };
        self.fail_node(node, unsent, out);
    }

    fn fail_node(&mut self, node: Peer, unsent: usize, out: &mut Output) {
        self.owed.remove(&node);
        self.partial.remove(&node);
        self.session.link_failed(node, unsent, Failure::Refused, self.world.now, out);
    }

    fn absorb(&mut self, out: Output) {
        for node in out.drop_links {
            self.owed.remove(&node);
            self.partial.remove(&node);
        }
        for outgoing in out.sends {
            let partial = self.partial.entry(outgoing.to).or_default();
            partial.extend_from_slice(&outgoing.frame);
            self.leave(outgoing.to, outgoing.answered);
        }
        for reply in out.replies {
            self.check_reply(&reply);
        }
        self.closed |= out.close.is_some();
        assert!(self.session.in_flight() <= limits::IN_FLIGHT);
    }

    /// Whole frames have left: the broker owes an answer to each.
    fn leave(&mut self, node: Peer, answered: bool) {
        let Some(partial) = self.partial.get_mut(&node) else { return };
        let size = partial.first_chunk::<4>().map_or(usize::MAX, |size| u32::from_be_bytes(*size) as usize);
        assert!(size == usize::MAX || partial.len() <= size + 4, "no more than a frame leaves at once");
        if partial.len() < size.saturating_add(4) {
            return;
        }
        let frame = Bytes::from(std::mem::take(partial)).slice(4..);
        let sent = decode_request(&frame);
        let Ok((key, version, correlation, ..)) = sent else { panic!("a broker cannot decode {frame:?}") };
        if answered || key != 0 {
            let owed = Owed { correlation: correlation.to_be_bytes(), key, version };
            self.owed.entry(node).or_default().push_back(owed);
        }
    }

    fn check_reply(&mut self, reply: &Bytes) {
        let correlation = i32::from_be_bytes([reply[4], reply[5], reply[6], reply[7]]);
        let (key, version) = self.check_order(correlation);
        let read = decode_response(key, version, &reply.slice(4..));
        let too_new = key == 18 && decode_response(18, 0, &reply.slice(4..)).is_ok();
        assert!(read.is_ok() || too_new, "api {key} version {version}: the client cannot decode {reply:?}");
    }

    /// Requests without an answer may be left out, none may be overtaken.
    fn check_order(&mut self, correlation: i32) -> (i16, i16) {
        while let Some((asked, key, version)) = self.asked.pop_front() {
            if asked == correlation {
                return (key, version);
            }
        }
        panic!("an answer to nothing, or out of order: {correlation}");
    }

    /// Everything fails, and time passes.
    fn end(&mut self) {
        for _ in 0..ROUNDS {
            if self.closed || self.session.in_flight() == 0 {
                return;
            }
            let mut out = Output::default();
            let nodes: Vec<Peer> = self.owed.keys().chain(self.partial.keys()).copied().collect();
            nodes.into_iter().for_each(|node| self.fail_node(node, 0, &mut out));
            let unsettled = self.session.is_switching() || self.session.is_apart();
            let view = unsettled.then(|| self.world.view(Stand::Active(1)));
            if let Some(view) = view {
                self.session.adopt(view, self.world.now, &mut out);
            }
            self.world.now += Duration::from_secs(60);
            self.session.tick(self.world.now, &mut out);
            self.absorb(out);
        }
        panic!("{} requests are left without an answer: {:?}", self.session.in_flight(), self.session);
    }

    /// What happens next, as bytes.
    fn scene(&self, rng: &mut Rng) -> Vec<u8> {
        let mut owing: Vec<(u8, Owed)> = Vec::new();
        for (number, owed) in self.owed.values().enumerate() {
            owing.extend(owed.front().map(|first| (u8::try_from(number).unwrap_or(0), *first)));
        }
        match rng.below(100) {
            0..45 if !owing.is_empty() => {
                let (node, owed) = owing[rng.below(owing.len())];
                let answer = answer(owed, rng);
                framed(&[if rng.chance(20) { STREAMED } else { ANSWER }, node], &answer)
            }
            0..80 => {
                // Mostly what clients do most.
                let often = [0, 0, 1, 1, 2, 3, 8, 9, 10, 11, 12, 22, 23, 26, 78];
                let wanted = rng.chance(70).then(|| often[rng.below(often.len())]);
                let apis: Vec<_> =
                    offered().iter().filter(|(key, _)| wanted.is_none_or(|w| w == *key)).collect();
                let (key, version) = *apis[rng.below(apis.len())];
                let frame = make::request(key, version, 0, rng);
                framed(&[if rng.chance(20) { IN_PIECES } else { REQUEST }], &frame)
            }
            80..85 => vec![FAIL, make::byte(rng), make::byte(rng)],
            85..90 => vec![TICK, make::byte(rng)],
            90..95 => vec![STAND, make::byte(rng)],
            _ => vec![CHANGE, make::byte(rng)],
        }
    }
}

fn framed(head: &[u8], body: &[u8]) -> Vec<u8> {
    let body = &body[..body.len().min(usize::from(u16::MAX))];
    [head, &u16::try_from(body.len()).unwrap_or(0).to_be_bytes(), body].concat()
}

/// Header and body of an answer, without the correlation id.
fn answer(owed: Owed, rng: &mut Rng) -> Vec<u8> {
    let (key, version) = (owed.key, owed.version);
    let mut bytes = Vec::new();
    bytes.extend(tables::request(key, version).is_some_and(|m| m.is_flexible(version)).then_some(0));
    if let Some(message) = tables::response(key, version) {
        bytes.extend(make::body(message, version, rng));
    }
    bytes
}

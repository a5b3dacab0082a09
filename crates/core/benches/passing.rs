//! What it costs to let a frame pass: time and memory of the session alone, without sockets. `cargo bench -p pointsman-core`.
//!
//! Each line is a request and its answer, five of which are under way together, as producers have them. Times are the least of many
//! rounds: what else the machine does only ever adds to them.

#![allow(unsafe_code, reason = "a counting allocator cannot be written without")]
#![allow(dead_code, reason = "of what the tests share only a part is used")]

#[path = "../tests/session/bodies.rs"]
mod bodies;
#[path = "../../wire/tests/common/counting.rs"]
mod counting;
#[path = "../tests/session/harness.rs"]
mod harness;

use bodies::{fetch, good, produce};
use bytes::BytesMut;
use harness::Rig;
use pointsman_core::{Now, session::Output};
use pointsman_wire::{
    edit::walk,
    header, tables,
    value::{self, Struct},
};
use std::{
    hint::black_box,
    io::Write,
    time::{Duration, Instant},
};

const PIPELINE: usize = 5;
const ROUNDS: usize = 200;
/// Requests of one round.
const PASSES: usize = 100;
/// After a switch every batch is followed for less than this.
const SETTLED: Duration = Duration::from_secs(60);

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<46} {:>12} {:>12} {:>12}", "", "first term", "after switch", "allocations")?;
    for (name, key, version, body) in cases() {
        let [first, later] = [false, true].map(|switched| pass(key, version, &body, switched));
        writeln!(
            out,
            "{name:<46} {:>9} ns {:>9} ns {:>12}",
            first.0.as_nanos(),
            later.0.as_nanos(),
            first.1 + later.1
        )?;
    }
    writeln!(out, "\nof that, to walk over request and answer")?;
    for (name, key, version, body) in cases() {
        writeln!(out, "{name:<46} {:>9} ns", walked(key, version, &body).as_nanos())?;
    }
    Ok(())
}

fn cases() -> [(&'static str, i16, i16, Struct); 5] {
    let three: bodies::Places<'_> = &[("orders", &[0, 2])];
    let one: bodies::Places<'_> = &[("orders", &[0])];
    let producer = Some((7, 0, 3));
    [
        ("Produce 13, by id, one batch", 0, 13, by_id(produce(one, -1, producer), "TopicData", "Name")),
        ("Produce 13, by id, two batches", 0, 13, by_id(produce(three, -1, producer), "TopicData", "Name")),
        ("Produce 9, by name, one batch", 0, 9, produce(one, -1, producer)),
        ("Fetch 17, by id, one batch", 1, 17, by_id(fetch(one), "Topics", "Topic")),
        ("Fetch 12, by name, one batch", 1, 12, fetch(one)),
    ]
}

/// The request with topics by their virtual ids.
fn by_id(mut body: Struct, topics: &'static str, name: &'static str) -> Struct {
    let id = *Rig::new().virtual_id("orders").as_bytes();
    body.structs_mut(topics).for_each(|topic| {
        topic.remove(name);
        topic.set("TopicId", id);
    });
    body
}

/// One end of a socket: frames are parts of a buffer that is used again when nobody holds a part of it.
struct Socket {
    buffer: BytesMut,
    frame: Vec<u8>,
}

impl Socket {
    fn new(frame: Vec<u8>) -> Self {
        Self { buffer: BytesMut::with_capacity(2 * PIPELINE * frame.len()), frame }
    }

    fn read(&mut self, correlations: impl Iterator<Item = [u8; 4]>, at: usize) {
        self.buffer.reserve(PIPELINE * self.frame.len());
        for correlation in correlations {
            self.frame[at..at + 4].copy_from_slice(&correlation);
            self.buffer.extend_from_slice(&self.frame);
        }
    }

    fn next(&mut self) -> BytesMut {
        self.buffer.split_to(self.frame.len())
    }
}

/// Time of one request with its answer, and how often memory was asked for in a round.
fn pass(key: i16, version: i16, body: &Struct, switched: bool) -> (Duration, usize) {
    let mut rig = Rig::new();
    rig.virtual_id("orders");
    if switched {
        rig.switch();
        rig.now = Now::ZERO + SETTLED;
    }
    rig.ask(key, version, body);
    let sent = rig.sent_one();
    let answer = good(&sent);
    rig.answer(&sent, &answer);
    rig.reply();
    let request = value::encode_request(key, version, 1, Some("client"), body).expect("encodes");
    let response = value::encode_response(key, version, 1, &answer).expect("encodes");
    let (mut client, mut broker) = (Socket::new(request), Socket::new(response));
    let (mut out, mut answers) = (Output::default(), Output::default());
    let mut round = || {
        for _ in 0..PASSES / PIPELINE {
            client.read([[0; 4]; PIPELINE].into_iter(), 8);
            for _ in 0..PIPELINE {
                rig.session.request(client.next(), rig.now, &mut out);
            }
            let correlations = out.sends.iter().map(|s| s.frame[8..12].try_into().expect("four bytes"));
            broker.read(correlations, 4);
            for sent in out.sends.drain(..) {
                rig.session.response(sent.to, broker.next(), rig.now, &mut answers);
            }
            assert_eq!(answers.replies.drain(..).count(), PIPELINE);
        }
    };
    round();
    let asked = counting::calls();
    round();
    let asked = counting::calls() - asked;
    let least = least(round);
    (least / u32::try_from(PASSES).unwrap_or(1), asked)
}

/// The same without anything but the walk.
fn walked(key: i16, version: i16, body: &Struct) -> Duration {
    let mut rig = Rig::new();
    rig.virtual_id("orders");
    rig.ask(key, version, body);
    let answer = good(&rig.sent_one());
    let request = value::encode_request(key, version, 1, Some("client"), body).expect("encodes");
    let response = value::encode_response(key, version, 1, &answer).expect("encodes");
    let from = 4 + header::request_header(&request[4..]).expect("sound").len;
    let body_at =
        4 + header::response_header_len(key, version).len_in(&response[4..]).expect("sound").expect("whole");
    let messages = [tables::request(key, version), tables::response(key, version)].map(|m| m.expect("known"));
    let mut events = 0_usize;
    let round = || {
        for _ in 0..PASSES {
            for (message, bytes) in messages.iter().zip([&request[from..], &response[body_at..]]) {
                walk(message, version, black_box(bytes), |_, _| events += 1).expect("sound");
            }
        }
    };
    let least = least(round);
    black_box(events);
    least / u32::try_from(PASSES).unwrap_or(1)
}

fn least(mut round: impl FnMut()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        round();
        start.elapsed()
    };
    (0..ROUNDS).map(time).min().unwrap_or_default()
}

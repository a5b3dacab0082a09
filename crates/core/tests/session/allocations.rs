//! A frame that passes takes no memory: everything that it needs is there from the frames before.

use crate::{
    bodies::{fetch, good, produce},
    counting::calls,
    harness::{Rig, Sent},
};
use bytes::BytesMut;
use pointsman_core::session::Output;
use pointsman_wire::value::{self, Struct};

/// Requests that are under way together, as producers have them.
const PIPELINE: usize = 5;
/// Frames before the memory that stays has been made.
const FIRST: usize = 3;

/// One end of a socket: frames are parts of a buffer that is used again when nobody holds a part of it.
struct Socket {
    buffer: BytesMut,
    frame: Vec<u8>,
}

impl Socket {
    fn new(frame: Vec<u8>) -> Self {
        Self { buffer: BytesMut::with_capacity(2 * PIPELINE * frame.len()), frame }
    }

    /// As many frames as are under way come at once, the numbered ones.
    fn read(&mut self, correlations: impl Iterator<Item = [u8; 4]>) {
        self.buffer.reserve(PIPELINE * self.frame.len());
        for correlation in correlations {
            self.frame[4..8].copy_from_slice(&correlation);
            self.buffer.extend_from_slice(&self.frame);
        }
    }

    fn next(&mut self) -> BytesMut {
        self.buffer.split_to(self.frame.len())
    }
}

/// Lets [`PIPELINE`] requests and their answers pass, and returns how often memory was asked for.
fn pass(rig: &mut Rig, client: &mut Socket, broker: &mut Socket, out: &mut [Output; 2]) -> usize {
    let before = calls();
    let [out, answers] = out;
    let begin: [u8; 4] = client.frame[4..8].try_into().expect("four bytes");
    client.read([begin; PIPELINE].into_iter());
    for _ in 0..PIPELINE {
        rig.session.request(client.next(), rig.now, out);
    }
    assert_eq!(out.sends.len(), PIPELINE);
    broker.read(out.sends.iter().map(|sent| sent.frame[8..12].try_into().expect("four bytes")));
    for sent in out.sends.drain(..) {
        rig.session.response(sent.to, broker.next(), rig.now, answers);
    }
    assert_eq!(answers.replies.drain(..).count(), PIPELINE);
    calls() - before
}

fn allocations(key: i16, version: i16, body: &Struct, answer: impl Fn(&Sent) -> Struct) -> Vec<usize> {
    let mut rig = Rig::new();
    // Clients were shown it.
    rig.virtual_id("orders");
    rig.ask(key, version, body);
    let sent = rig.sent_one();
    rig.answer(&sent, &answer(&sent));
    rig.reply();
    let request = value::encode_request(key, version, 1, Some("client"), body).expect("encodes");
    let response = value::encode_response(key, version, 1, &answer(&sent)).expect("encodes");
    let (mut client, mut broker) = (Socket::new(request), Socket::new(response));
    let mut out = <[Output; 2]>::default();
    (0..10).map(|_| pass(&mut rig, &mut client, &mut broker, &mut out)).skip(FIRST).collect()
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

#[test]
fn produce_takes_no_memory() {
    let body = produce(&[("orders", &[0, 2])], -1, Some((7, 0, 3)));
    assert_eq!(allocations(0, 9, &body, good), [0; 7]);
    let body = by_id(body, "TopicData", "Name");
    assert_eq!(allocations(0, 13, &body, good), [0; 7]);
}

#[test]
fn fetch_takes_no_memory() {
    let body = fetch(&[("orders", &[0, 2])]);
    assert_eq!(allocations(1, 12, &body, good), [0; 7]);
    let body = by_id(body, "Topics", "Topic");
    assert_eq!(allocations(1, 17, &body, good), [0; 7]);
}

//! Large answers, which pass without being collected.

use crate::{
    identifiers::{Face, NODES, REAL_CLUSTER, REAL_HOST, REAL_PORT, difference, real_in},
    world::{World, frame, offered},
};
use bytes::{Bytes, BytesMut};
use pointsman_wire::value::{self, Struct};

const FETCH: i16 = 1;
const SHARE_FETCH: i16 = 78;

/// What the client gets, in bytes, when the frame comes in pieces that end at `cut` and at its end.
fn streamed(key: i16, version: i16, cut: usize) -> Vec<u8> {
    let mut world = World::new();
    let sent = world.ask(key, version);
    let frame = frame(key, version, &sent, &world.response(key, version, Face::Real));
    let mut input = BytesMut::from(&frame[..]);
    let mut stream = world.session.begin_stream(sent.to, &mut input).expect("begins");
    let mut output = input.split_to(stream.body_at).to_vec();
    let mut rest = input.split_off(cut.min(input.len()));
    for more in [BytesMut::new(), std::mem::take(&mut rest)] {
        input.unsplit(more);
        let passed = stream.advance(&mut input).expect("passes");
        output.extend_from_slice(&input.split_to(passed));
    }
    assert!(stream.is_done() && input.is_empty(), "key {key} version {version}");
    output
}

fn decoded(key: i16, version: i16, frame: Vec<u8>) -> Struct {
    value::decode_response(key, version, &Bytes::from(frame).slice(4..)).expect("the client can decode it").1
}

fn versions() -> impl Iterator<Item = (i16, i16)> {
    offered().into_iter().filter(|(key, _)| matches!(*key, FETCH | SHARE_FETCH))
}

#[test]
fn nothing_real_reaches_a_client_in_a_stream() {
    let bytes: Vec<Vec<u8>> = [
        NODES[0].to_be_bytes().to_vec(),
        i32::from(REAL_PORT).to_be_bytes().to_vec(),
        REAL_HOST.into(),
        REAL_CLUSTER.into(),
    ]
    .into();
    for (key, version) in versions() {
        let frame = streamed(key, version, 90);
        for real in &bytes {
            let leaks = frame.windows(real.len()).any(|window| window == real);
            assert!(!leaks, "key {key} version {version} leaks {real:?}");
        }
        let leak = real_in(&decoded(key, version, frame));
        assert_eq!(leak, None, "key {key} version {version}");
    }
}

#[test]
fn a_stream_shows_what_collecting_it_would_have_but_for_endpoints() {
    for (key, version) in versions() {
        let mut expected = World::new().response(key, version, Face::Shown);
        expected.remove("NodeEndpoints");
        for cut in (0..400).step_by(7) {
            let mut shown = decoded(key, version, streamed(key, version, cut));
            let endpoints = shown.remove("NodeEndpoints");
            assert!(
                endpoints.is_none_or(|e| e.as_array().is_empty()),
                "key {key} version {version}, cut at {cut}"
            );
            let difference = difference(&shown, &expected, "");
            assert_eq!(difference, None, "key {key} version {version}, cut at {cut}");
        }
    }
}

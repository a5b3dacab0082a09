//! Frames and bodies, without anything that they mean.

use super::{input::Input, make, world::offered};
use crate::rng::Rng;
use bytes::Bytes;
use pointsman_wire::{
    Cursor, DecodeError, Editor, Kind, MAX_FRAME, Message, decode, decode_request, decode_response, encode,
    frame_size, request_header, request_header_partial, tables,
};
use std::sync::OnceLock;

/// A frame's size and header, and a request or response with it.
pub(super) fn frame(data: &[u8]) {
    if let Some(Ok(size)) = data.first_chunk().map(|prefix| frame_size(*prefix, MAX_FRAME)) {
        assert!((1..=MAX_FRAME).contains(&size), "{size} bytes");
    }
    let whole = request_header(data);
    for len in 0..data.len().min(48) {
        match request_header_partial(&data[..len]) {
            Ok(Some(early)) => {
                assert_eq!(whole.as_ref(), Ok(&early), "a header is the same however much has come");
            }
            Ok(None) => {}
            Err(error) => {
                assert_eq!(whole.as_ref(), Err(&error), "an error of the start is one of the whole");
            }
        }
    }
    let bytes = Bytes::copy_from_slice(data);
    drop(decode_request(&bytes));
    let mut input = Input::new(data);
    if let Some((key, version)) = input.one_of(offered()) {
        drop(decode_response(*key, *version, &bytes.slice(2.min(data.len())..)));
    }
}

pub(super) fn make_frame(rng: &mut Rng) -> Vec<u8> {
    let (key, version) = offered()[rng.below(offered().len())];
    make::request(key, version, 7, rng)
}

fn messages() -> &'static [(&'static Message, i16)] {
    static ALL: OnceLock<Vec<(&'static Message, i16)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let both = tables::apis().iter().flat_map(|api| api.requests.iter().chain(api.responses).copied());
        both.flat_map(|m| (m.versions.min..=m.versions.max).map(move |version| (m, version))).collect()
    })
}

/// A body: split anywhere it is read alike, what is read can be written, and no edits change nothing.
pub(super) fn cursor(data: &[u8]) {
    let mut input = Input::new(data);
    let Some((message, version)) = input.one_of(messages()).copied() else { return };
    let step = usize::from(input.byte());
    let body = input.rest();
    let whole = walk(message, version, body, usize::MAX);
    assert_eq!(whole, walk(message, version, body, 1 + step % 17), "{} {version}", message.name);
    let read = decode(message, version, &Bytes::copy_from_slice(body));
    let mut editor = Editor::new();
    if let Ok(edits) = editor.edit(message, version, body, |_, _, _| {}) {
        let mut out = Vec::new();
        edits.apply(body, &mut out);
        assert_eq!(out, body, "no edits change nothing");
    }
    let Ok(value) = read else { return };
    let mut written = Vec::new();
    encode(message, version, &value, &mut written).expect("what was read can be written");
    let again =
        decode(message, version, &Bytes::copy_from_slice(&written)).expect("what was written can be read");
    let mut twice = Vec::new();
    encode(message, version, &again, &mut twice).expect("and written again");
    assert_eq!(written, twice);
}

/// The places and kinds of events, chunks joined.
fn walk(
    message: &'static Message,
    version: i16,
    body: &[u8],
    step: usize,
) -> Result<Vec<(usize, usize)>, DecodeError> {
    let mut cursor = Cursor::new(message, version, body.len());
    let (mut events, mut arrived) = (Vec::new(), 0);
    let mut chunks = 0;
    loop {
        let Some(event) = cursor.next(&body[cursor.position()..arrived])? else {
            if arrived == body.len() {
                return Err(DecodeError::Truncated { needed: 1, left: 0 });
            }
            arrived = arrived.saturating_add(step).min(body.len());
            continue;
        };
        assert_eq!(event.at + event.len, cursor.position(), "events cover the body");
        match event.kind {
            Kind::Chunk { last } => {
                chunks += event.len;
                if last {
                    events.push((event.at + event.len, std::mem::take(&mut chunks)));
                }
            }
            Kind::End => return Ok(events),
            _ => events.push((event.at, event.len)),
        }
    }
}

pub(super) fn make_body(rng: &mut Rng) -> Vec<u8> {
    let number = rng.below(messages().len());
    let (message, version) = messages()[number];
    let mut input = u16::try_from(number).unwrap_or(0).to_be_bytes().to_vec();
    input.push(make::byte(rng));
    input.extend(make::body(message, version, rng));
    input
}

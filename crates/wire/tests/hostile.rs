//! Bytes from a peer that means harm: whatever comes, an error or a value, never a panic and never an endless loop.

mod common;

use bytes::Bytes;
use common::{Case, Numbers, bytes_of, cases, events};
use pointsman_wire::{DecodeError, Message, Struct, decode, request_header, request_header_partial, tables};

#[test]
fn a_body_cut_anywhere_is_truncated() {
    for case in cases().iter().filter(|case| !case.body.is_empty()) {
        for len in 0..case.body.len() {
            let cut = decode(case.message, case.version, &case.body.slice(..len));
            assert!(cut.is_err(), "{} cut to {len} of {}", case.name(), case.body.len());
        }
    }
}

#[test]
fn bytes_after_the_last_field_are_passed_over_in_requests_and_refused_in_responses() {
    for case in cases() {
        let mut body = case.body.to_vec();
        body.extend([1, 0, 0]);
        let longer = decode(case.message, case.version, &body.into());
        if case.message.is_request() {
            assert_eq!(longer, decode(case.message, case.version, &case.body), "{}", case.name());
        } else {
            assert_eq!(longer, Err(DecodeError::TrailingBytes { left: 3 }), "{}", case.name());
        }
    }
}

#[test]
fn flipped_bytes_never_panic_and_split_alike() {
    let mut numbers = Numbers::new(2);
    for case in cases().iter().filter(|case| !case.body.is_empty()) {
        for _ in 0..12 {
            let mut body = case.body.to_vec();
            for _ in 0..=numbers.below(3) {
                let at = numbers.below(body.len());
                body[at] = u8::try_from(numbers.below(256)).unwrap();
            }
            let whole = events(case.message, case.version, &body, &mut || usize::MAX / 2);
            let split = events(case.message, case.version, &body, &mut || 1);
            assert_eq!(whole, split, "{}", case.name());
            re_encodes(case, &body.into());
        }
    }
}

/// What was accepted can be written, and is from then on read and written alike.
fn re_encodes(case: &Case, body: &Bytes) {
    let Ok(value) = decode(case.message, case.version, body) else { return };
    let written = bytes_of(case.message, case.version, &value);
    let read = decode(case.message, case.version, &written.clone().into()).expect("what was encoded decodes");
    assert_eq!(bytes_of(case.message, case.version, &read), written, "{}", case.name());
}

#[test]
fn random_bytes_never_panic() {
    let mut numbers = Numbers::new(3);
    for case in cases().iter().step_by(3) {
        for _ in 0..20 {
            let len = numbers.below(64);
            let body: Vec<u8> = (0..len).map(|_| u8::try_from(numbers.below(256)).unwrap()).collect();
            let _ = decode(case.message, case.version, &body.into());
        }
    }
}

#[test]
fn a_huge_count_is_refused_before_anything_is_done() {
    let old = [0x7f, 0xff, 0xff, 0xff];
    let expected = DecodeError::ArrayCount { field: "Topics", count: 0x7fff_ffff, left: 0 };
    assert_eq!(decode_of(tables::request(3, 0), 0, &old), Err(expected));

    let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let expected = DecodeError::ArrayCount { field: "Topics", count: u32::MAX - 1, left: 2 };
    assert_eq!(decode_of(tables::request(3, 9), 9, &compact), Err(expected));
}

#[test]
fn each_fault_has_its_own_error() {
    let metadata = tables::request(3, 12);
    let fault = |body: &[u8]| decode_of(metadata, 12, body).unwrap_err();
    // Body of Metadata 12: topics, allow auto creation, include authorized operations, tags.
    assert_eq!(decode_of(metadata, 12, &[0, 1, 0, 0]).map(|_| ()), Ok(()));
    assert_eq!(fault(&[0, 1, 0, 1]), DecodeError::TagCount { count: 1, left: 0 });
    assert_eq!(fault(&[0, 1, 0, 2, 5, 0, 5, 0]), DecodeError::TagOrder { last: 5, tag: 5 });
    assert_eq!(fault(&[0, 1, 0, 1, 5, 9]), DecodeError::Truncated { needed: 9, left: 0 });
    assert_eq!(fault(&[0xff, 0xff, 0xff, 0xff, 0x1f]), DecodeError::Varint);
    assert_eq!(fault(&[0, 1]), DecodeError::Truncated { needed: 1, left: 0 });

    let delete = tables::request(20, 1);
    let fault = |body: &[u8]| decode_of(delete, 1, body).unwrap_err();
    // Body of DeleteTopics 1: topic names, timeout.
    assert_eq!(fault(&[0xff, 0xff, 0xff, 0xff]), DecodeError::Null { field: "TopicNames" });
    assert_eq!(
        fault(&[0xff, 0xff, 0xff, 0xfe]),
        DecodeError::NegativeLength { field: "TopicNames", length: -2 }
    );
    assert_eq!(fault(&[0, 0, 0, 1, 0xff, 0xff]), DecodeError::Null { field: "TopicNames" });
    assert_eq!(fault(&[0, 0, 0, 1, 0, 1, 0xc3, 0, 0, 0, 0]), DecodeError::Utf8 { field: "TopicNames" });

    let long = [&[2, 0x81, 0x80, 2][..], &[b'a'; 33000], &[0, 0, 0, 0, 0]].concat();
    let expected = DecodeError::StringTooLong { field: "TopicNames", length: 32768 };
    assert_eq!(decode_of(tables::request(20, 4), 4, &long).unwrap_err(), expected);

    // ApiVersions response 3: error, no apis, throttle time, one tag (2: features) that says 9 bytes and has 1.
    let features = [0, 0, 1, 0, 0, 0, 0, 1, 2, 2, 1, 0];
    let expected = DecodeError::TagSize { tag: 2, size: 2, used: 1 };
    assert_eq!(decode_of(tables::response(18, 3), 3, &features).unwrap_err(), expected);
}

#[test]
fn messages_of_errors_say_what_was_expected() {
    let said = DecodeError::ArrayCount { field: "Topics", count: 7, left: 2 }.to_string();
    assert_eq!(said, "expected an array that fits into 2 bytes for Topics, got 7 elements");
    assert_eq!(DecodeError::UnknownApi { key: 99 }.to_string(), "expected an api key of the tables, got 99");
}

#[test]
fn a_header_of_an_unknown_api_or_version_is_refused_as_soon_as_it_is_seen() {
    assert_eq!(request_header_partial(&[0, 99, 0, 0]), Err(DecodeError::UnknownApi { key: 99 }));
    assert_eq!(
        request_header_partial(&[0, 18, 0, 50]),
        Err(DecodeError::UnsupportedVersion { key: 18, version: 50 })
    );
    assert_eq!(request_header_partial(&[0, 18, 0]), Ok(None));
    let negative = [0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xfe];
    assert_eq!(request_header(&negative), Err(DecodeError::NegativeLength { field: "ClientId", length: -2 }));
    let endless_tags =
        [&[0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f][..], &[1; 64]].concat();
    assert_eq!(request_header(&endless_tags), Err(DecodeError::TagOrder { last: 1, tag: 1 }));
}

fn decode_of(message: Option<&'static Message>, version: i16, body: &[u8]) -> Result<Struct, DecodeError> {
    decode(message.expect("a known version"), version, &Bytes::copy_from_slice(body))
}

//! Decoding takes no more memory than the bytes that came justify, whatever they say.

#![allow(unsafe_code, reason = "a counting allocator cannot be written without")]

mod common;
#[path = "common/counting.rs"]
mod counting;

use bytes::Bytes;
use common::{Numbers, cases};
use counting::peak;
use pointsman_wire::{Message, Value, Writer, decode, tables};

/// Bytes that decoding may have in use at its peak, per byte of body. A field of a structure takes a name and a value
/// (56 bytes) and at least one byte on the wire; an element of an array takes a value (40 bytes).
const PER_BYTE: usize = 56;
/// And beside that, for the root and for the small allocations of a tiny body.
const FIXED: usize = 256;

fn check(name: &str, message: &'static Message, version: i16, body: &Bytes) {
    let used = peak(|| decode(message, version, body));
    let allowed = FIXED + PER_BYTE * body.len();
    assert!(
        used <= allowed,
        "{name} took {used} bytes for {} bytes of body, allowed are {allowed}",
        body.len()
    );
}

#[test]
fn every_message_and_its_damaged_forms_stay_within_the_bound() {
    let mut numbers = Numbers::new(4);
    for case in cases().iter().filter(|case| !case.body.is_empty()) {
        check(&case.name(), case.message, case.version, &case.body);
        for _ in 0..8 {
            let mut body = case.body.to_vec();
            let at = numbers.below(body.len());
            body[at] = u8::try_from(numbers.below(256)).unwrap();
            check(&case.name(), case.message, case.version, &body.into());
        }
    }
}

#[test]
fn a_value_has_the_size_that_the_bound_assumes() {
    assert_eq!(size_of::<Value>(), 40);
    assert_eq!(size_of::<(&'static str, Value)>(), PER_BYTE);
}

#[test]
fn arrays_of_the_smallest_elements_stay_within_the_bound() {
    // DescribeGroups 5: an array of empty compact strings, one byte each.
    let groups = [&[0xa1, 0x8d, 0x06][..], &vec![1; 100_000], &[0, 0]].concat();
    check("empty strings", tables::request(15, 5).unwrap(), 5, &groups.into());
    // Metadata 9: an array of structures of an empty name and an empty tag section, two bytes each.
    let topics = [&[0xd1, 0x86, 0x03][..], &[1, 0].repeat(50_000), &[1, 0, 0, 0]].concat();
    check("small structures", tables::request(3, 9).unwrap(), 9, &topics.into());
}

#[test]
fn unknown_tags_stay_within_the_bound() {
    let metadata = tables::request(3, 9).unwrap();
    // Metadata 9: no topics, three booleans, then 16,000 empty tags of three bytes.
    let mut many = Vec::new();
    let mut writer = Writer::new(&mut many);
    writer.raw(&[1, 0, 0, 0]);
    writer.uvarint(16_000);
    for tag in 0..16_000 {
        writer.uvarint(128 + tag);
        writer.uvarint(0);
    }
    check("many tags", metadata, 9, &many.into());
    // 20,000 topics, each with an empty name and one empty tag: four bytes each.
    let topics = [&[0xa1, 0x9c, 0x01][..], &[1, 1, 9, 0].repeat(20_000), &[1, 0, 0, 0]].concat();
    check("a tag each", metadata, 9, &topics.into());
}

#[test]
fn a_count_without_its_elements_takes_nothing() {
    // Metadata 9: 50,000 topics are announced and would fit, the first of them is not right.
    let topics = [&[0xd1, 0x86, 0x03][..], &[9; 100_000], &[0; 4]].concat();
    assert!(peak(|| decode(tables::request(3, 9).unwrap(), 9, &topics.into())) < FIXED);
}

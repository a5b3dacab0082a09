//! Laws that hold for every api, version and direction: what is encoded decodes to the same, any split of the bytes
//! gives the same events, an empty edit changes nothing, and an edit of lengths decodes to exactly the edited value.

mod common;

use common::{Case, Numbers, bytes_of, cases, events};
use pointsman_wire::tables::{self, fetch_response::NODE_ENDPOINTS};
use pointsman_wire::{Cursor, Editor, Edits, Field, Kind, Struct, Type, Value, Writer, decode, walk};

/// Bodies up to this many bytes are split at every byte.
const SMALL: usize = 400;

#[test]
fn what_is_encoded_decodes_to_the_same_and_encodes_to_the_same_bytes() {
    for case in cases() {
        let decoded = decode(case.message, case.version, &case.body);
        let decoded = decoded.unwrap_or_else(|error| panic!("{}: {error}", case.name()));
        assert_eq!(bytes_of(case.message, case.version, &decoded), case.body, "{}", case.name());
        for (name, value) in case.value.fields() {
            assert_eq!(decoded.get(name), value, "{} {name}", case.name());
        }
    }
}

#[test]
fn the_bytes_of_all_events_are_the_body() {
    for case in cases() {
        let mut out = Vec::new();
        walk(case.message, case.version, &case.body, |_, bytes| out.extend_from_slice(bytes)).unwrap();
        assert_eq!(out, case.body, "{}", case.name());
    }
}

#[test]
fn starts_and_ends_come_in_pairs() {
    for case in cases() {
        let mut depth = 0;
        walk(case.message, case.version, &case.body, |event, _| match event.kind {
            Kind::ArrayStart { .. }
            | Kind::ElementStart { .. }
            | Kind::StructStart
            | Kind::TagStart { .. } => depth += 1,
            Kind::ArrayEnd | Kind::ElementEnd | Kind::StructEnd | Kind::TagEnd => depth -= 1,
            _ => assert!(depth >= 0),
        })
        .unwrap();
        assert_eq!(depth, 0, "{}", case.name());
    }
}

#[test]
fn any_split_gives_the_same_events() {
    let mut numbers = Numbers::new(1);
    for case in cases() {
        let whole = events(case.message, case.version, &case.body, &mut || usize::MAX / 2).unwrap();
        if case.body.len() <= SMALL {
            let single = events(case.message, case.version, &case.body, &mut || 1).unwrap();
            assert_eq!(single, whole, "{}", case.name());
        }
        for _ in 0..3 {
            let split =
                events(case.message, case.version, &case.body, &mut || 1 + numbers.below(40)).unwrap();
            assert_eq!(split, whole, "{}", case.name());
        }
    }
}

#[test]
fn a_blob_can_be_passed_over_unseen() {
    for case in cases() {
        let mut cursor = Cursor::new(case.message, case.version, case.body.len());
        loop {
            let left = cursor.blob_left();
            if left > 0 {
                assert_eq!(
                    (cursor.skip(1), cursor.blob_left(), cursor.skip(usize::MAX)),
                    (1, left - 1, left - 1)
                );
            }
            assert_eq!((cursor.blob_left(), cursor.skip(1)), (0, 0));
            let event = cursor.next(&case.body[cursor.position()..]).unwrap().unwrap();
            assert!(!matches!(event.kind, Kind::Chunk { .. }));
            if event.kind == Kind::End {
                break;
            }
            while cursor.blob_left() > 3 {
                assert_eq!(cursor.skip(3), 3);
            }
        }
    }
}

#[test]
fn an_empty_edit_changes_nothing() {
    let mut editor = Editor::new();
    for case in cases() {
        let edits = editor.edit(case.message, case.version, &case.body, |_, _, _| {}).unwrap();
        assert!(edits.is_empty());
        let (mut copied, mut in_place) = (Vec::new(), case.body.to_vec());
        edits.apply(&case.body, &mut copied);
        assert!(edits.apply_in_place(&mut in_place));
        assert!(copied == case.body && in_place == case.body, "{}", case.name());
    }
}

#[test]
fn every_string_made_longer_decodes_to_exactly_that() {
    let mut editor = Editor::new();
    for case in cases() {
        let flexible = case.message.is_flexible(case.version);
        let edits = editor
            .edit(case.message, case.version, &case.body, |event, bytes, edits| {
                let Kind::Text { prefix, null: false } = event.kind else { return };
                let text = std::str::from_utf8(&bytes[usize::from(prefix)..]).unwrap();
                let mut out = Vec::new();
                Writer::new(&mut out).string(&longer(text), flexible);
                edits.replace(event.at, event.len, &out);
            })
            .unwrap();
        let mut out = Vec::new();
        edits.apply(&case.body, &mut out);
        assert_eq!(out.len(), edits.new_len(case.body.len()), "{}", case.name());
        let mut expected = decode(case.message, case.version, &case.body).unwrap();
        each_text(&mut expected, &mut |text| *text = longer(text));
        let edited = decode(case.message, case.version, &out.into());
        assert_eq!(edited.as_ref(), Ok(&expected), "{}", case.name());
    }
}

#[test]
fn every_integer_patched_in_place_decodes_to_exactly_that() {
    let mut editor = Editor::new();
    for case in cases() {
        let edits = editor
            .edit(case.message, case.version, &case.body, |event, bytes, edits| {
                if event.kind == Kind::Scalar && is_int32(event.field) {
                    let value = i32::from_be_bytes(bytes.try_into().unwrap());
                    edits.replace(event.at, event.len, &value.wrapping_add(1000).to_be_bytes());
                }
            })
            .unwrap();
        let (mut in_place, mut copied) = (case.body.to_vec(), Vec::new());
        assert!(edits.apply_in_place(&mut in_place));
        edits.apply(&case.body, &mut copied);
        assert_eq!(in_place, copied, "{}", case.name());
        let mut expected = Vec::new();
        walk(case.message, case.version, &case.body, |event, bytes| match <[u8; 4]>::try_from(bytes) {
            Ok(bytes) if event.kind == Kind::Scalar && is_int32(event.field) => {
                let value = i32::from_be_bytes(bytes).wrapping_add(1000);
                expected.extend_from_slice(&value.to_be_bytes());
            }
            _ => expected.extend_from_slice(bytes),
        })
        .unwrap();
        assert_eq!(copied, expected, "{}", case.name());
    }
}

#[test]
fn every_element_but_the_first_can_be_removed() {
    let mut editor = Editor::new();
    for case in cases() {
        let edits = editor.edit(case.message, case.version, &case.body, remove_second(&case)).unwrap();
        let mut out = Vec::new();
        edits.apply(&case.body, &mut out);
        let mut expected = decode(case.message, case.version, &case.body).unwrap();
        keep_first(&mut expected);
        assert_eq!(
            decode(case.message, case.version, &out.into()).as_ref(),
            Ok(&expected),
            "{}",
            case.name()
        );
    }
}

#[test]
fn an_element_appended_to_a_tagged_array_makes_the_tag_larger() {
    let message = tables::response(1, 16).unwrap();
    let endpoint = |id: i32| Struct::new().with("NodeId", id).with("Host", "h".repeat(70)).with("Port", 9092);
    let body = bytes_of(message, 16, &Struct::new().with("NodeEndpoints", vec![endpoint(1)]));
    let mut editor = Editor::new();
    let edits = editor
        .edit(message, 16, &body, |event, _, edits| match event.kind {
            Kind::ArrayStart { .. } if event.field.id == NODE_ENDPOINTS => {
                edits.replace(event.at, event.len, &[3]);
            }
            Kind::ArrayEnd if event.field.id == NODE_ENDPOINTS => {
                let mut added = Vec::new();
                let mut writer = Writer::new(&mut added);
                writer.i32(2);
                writer.string(&"h".repeat(70), true);
                writer.i32(9092);
                writer.nullable_string(None, true);
                writer.no_tags(true);
                edits.replace(event.at, 0, &added);
            }
            _ => {}
        })
        .unwrap();
    let mut out = Vec::new();
    edits.apply(&body, &mut out);
    let expected = Struct::new().with("NodeEndpoints", vec![endpoint(1), endpoint(2)]);
    assert_eq!(out, bytes_of(message, 16, &expected));
}

#[test]
fn unknown_tags_are_kept() {
    for case in cases().into_iter().filter(|case| case.message.is_flexible(case.version)) {
        let mut value = case.value.clone();
        value.set_unknown_tag(9000, vec![1, 2, 3].into());
        value.set_unknown_tag(9001, vec![].into());
        let body = bytes_of(case.message, case.version, &value);
        let decoded = decode(case.message, case.version, &body.clone().into()).unwrap();
        assert_eq!(decoded.unknown_tags(), value.unknown_tags());
        assert_eq!(bytes_of(case.message, case.version, &decoded), body, "{}", case.name());
        let whole = events(case.message, case.version, &body, &mut || usize::MAX / 2);
        assert_eq!(events(case.message, case.version, &body, &mut || 1), whole);
    }
}

/// Removes the second structure of every array, and edits fields inside it first, which must then not matter.
fn remove_second(case: &Case) -> impl FnMut(&pointsman_wire::Event, &[u8], &mut Edits) + use<> {
    let flexible = case.message.is_flexible(case.version);
    let mut open: Vec<(usize, u32, usize, usize)> = Vec::new();
    move |event, _, edits| match event.kind {
        Kind::ArrayStart { .. } => open.push((0, 0, event.at, event.len)),
        Kind::ElementStart { index } => {
            let top = open.last_mut().expect("an element is in an array");
            (top.0, top.1) = (event.at, index);
        }
        Kind::Scalar if is_int32(event.field) && open.last().is_some_and(|top| top.1 == 1) => {
            edits.replace(event.at, event.len, &[0xff; 4]);
        }
        Kind::ElementEnd => {
            let (start, index, at, len) = *open.last().expect("an element is in an array");
            if index == 1 {
                edits.replace(start, event.at - start, &[]);
                let mut count = Vec::new();
                Writer::new(&mut count).array_len(Some(1), flexible);
                edits.replace(at, len, &count);
            }
        }
        Kind::ArrayEnd => drop(open.pop()),
        _ => {}
    }
}

fn keep_first(value: &mut Struct) {
    let names: Vec<&'static str> = value.fields().map(|(name, _)| name).collect();
    for name in names {
        match value.get_mut(name) {
            Some(Value::Struct(nested)) => keep_first(nested),
            Some(Value::Array(elements)) => {
                if matches!(elements.first(), Some(Value::Struct(_))) {
                    elements.truncate(1);
                }
                elements.iter_mut().filter_map(Value::as_struct_mut).for_each(keep_first);
            }
            _ => {}
        }
    }
}

fn each_text(value: &mut Struct, change: &mut dyn FnMut(&mut String)) {
    let names: Vec<&'static str> = value.fields().map(|(name, _)| name).collect();
    for name in names {
        if let Some(value) = value.get_mut(name) {
            each_text_of(value, change);
        }
    }
}

fn each_text_of(value: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Struct(nested) => each_text(nested, change),
        Value::Array(elements) => elements.iter_mut().for_each(|element| each_text_of(element, change)),
        _ => {}
    }
}

/// Long enough that lengths and tag sizes need another byte of varint.
fn longer(text: &str) -> String {
    format!("{text}{}", "é".repeat(100))
}

fn is_int32(field: &Field) -> bool {
    matches!(field.ty, Type::Int32 | Type::Array(Type::Int32))
}

//! A version of Kafka with a new field cannot slip in: the name of every field either says that it identifies something, and then
//! it is filled and checked, or stands in `harmless.txt`, which people have read.

use crate::{
    identifiers::{Face, NODES, is_somebody_elses, real_in},
    world::virtual_cluster,
};
use bytes::Bytes;
use pointsman_core::{
    rules::{self, Context, request, response},
    topology::Topology,
};
use pointsman_wire::{
    edit::Editor,
    schema::{Entity, Field, Message, Type, Versions},
    tables,
    value::{self, Struct},
};
use std::{collections::BTreeSet, sync::Arc};
use uuid::Uuid;

/// `type name` of fields that identify no cluster.
fn harmless() -> BTreeSet<&'static str> {
    let lines = include_str!("harmless.txt").lines();
    lines.filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

/// The word for a type in the list; none where there is nothing to review.
fn word(ty: &Type) -> Option<String> {
    Some(match ty {
        Type::Bool | Type::Struct(_) => return None,
        Type::Array(element) => format!("[]{}", word(element)?),
        plain => format!("{plain:?}").to_lowercase(),
    })
}

/// The fields of a message that nobody has reviewed.
fn unreviewed(message: &Message) -> Vec<String> {
    let (mut found, list) = (Vec::new(), harmless());
    walk(message.fields, "", &mut |path, field| {
        let Some(word) = word(&field.ty) else { return };
        let known = is_somebody_elses(message.key, path)
            || Face::Real.value(message.key, path, field, Uuid::nil()).is_some();
        let line = format!("{word} {}", field.name);
        if !known && !list.contains(line.as_str()) {
            found.push(format!("{} {path}: {line}", message.name));
        }
    });
    found
}

fn walk(fields: &'static [Field], parent: &str, visit: &mut dyn FnMut(&str, &Field)) {
    for field in fields {
        let path = if parent.is_empty() { field.name.to_owned() } else { format!("{parent}.{}", field.name) };
        visit(&path, field);
        walk(field.ty.fields(), &path, visit);
    }
}

fn messages() -> impl Iterator<Item = &'static Message> {
    let offered = tables::apis().iter().filter(|api| rules::rule(api.key).is_some());
    offered.flat_map(|api| api.requests.iter().chain(api.responses).copied())
}

#[test]
fn every_field_of_every_message_has_been_reviewed() {
    let found: Vec<String> = messages().flat_map(unreviewed).collect();
    assert!(
        found.is_empty(),
        "say in tests/no_leak/identifiers.rs what these identify, or put them into harmless.txt:\n{}",
        found.join("\n")
    );
}

#[test]
fn the_list_names_nothing_that_is_gone() {
    let mut gone = harmless();
    for message in messages() {
        walk(message.fields, "", &mut |_, field| {
            if let Some(word) = word(&field.ty) {
                gone.remove(format!("{word} {}", field.name).as_str());
            }
        });
    }
    assert!(gone.is_empty(), "{gone:?}");
}

/// The Metadata of a Kafka to come, with one field more.
const fn metadata(name: &'static str, fields: &'static [Field]) -> Message {
    Message { key: 3, name, versions: Versions::new(99, 99), flexible: Versions::new(9, i16::MAX), fields }
}

static UNHEARD_OF: Message =
    metadata("MetadataResponse", &[Field::new(0, "Landlord", Type::String, 0, i16::MAX)]);
static UNMARKED: Message =
    metadata("MetadataResponse", &[Field::new(0, "WitnessNodeId", Type::Int32, 0, i16::MAX)]);
static MARKED: Message = metadata(
    "MetadataResponse",
    &[Field::new(0, "WitnessNodeId", Type::Int32, 0, i16::MAX).entity(Entity::BrokerId)],
);
static ASKED: Message =
    metadata("MetadataRequest", &[Field::new(0, "WitnessNodeId", Type::Int32, 0, i16::MAX)]);
static MARKED_ASKED: Message = metadata(
    "MetadataRequest",
    &[Field::new(0, "WitnessNodeId", Type::Int32, 0, i16::MAX).entity(Entity::BrokerId)],
);

fn in_context<T>(look: impl FnOnce(&Context<'_>) -> T) -> T {
    let virtual_cluster = virtual_cluster();
    let active = virtual_cluster.active.clone().expect("active");
    let topology: Arc<Topology> = active.cluster.topology.load();
    look(&Context { virtual_cluster: &virtual_cluster, active: &active, topology: &topology })
}

/// The body as a client gets it when a broker has filled its one field.
fn shown(message: &'static Message) -> Struct {
    let body = Struct::new().with(message.fields[0].name, NODES[0]);
    let mut bytes = Vec::new();
    value::encode(message, 99, &body, &mut bytes).expect("encodes");
    let mut editor = Editor::new();
    in_context(|cx| response::translate(message, 99, &bytes, &[], cx, &mut editor)).expect("decodes");
    let mut out = Vec::new();
    editor.edits().apply(&bytes, &mut out);
    value::decode(message, 99, &Bytes::from(out)).expect("decodes")
}

/// The field as a broker gets it when a client has asked for slot 876.
fn sent(message: &'static Message) -> i32 {
    let mut bytes = Vec::new();
    let body = Struct::new().with(message.fields[0].name, 876);
    value::encode(message, 99, &body, &mut bytes).expect("encodes");
    let rule = rules::rule(3).expect("a rule");
    in_context(|cx| request::translate(rule, message, 99, &mut bytes, cx, &mut Default::default()))
        .expect("decodes");
    value::decode(message, 99, &Bytes::from(bytes)).expect("decodes").i32(message.fields[0].name)
}

#[test]
fn a_new_field_with_a_name_that_nobody_has_seen_fails_the_review() {
    assert_eq!(unreviewed(&UNHEARD_OF), ["MetadataResponse Landlord: string Landlord"]);
    assert!(unreviewed(&UNMARKED).is_empty(), "its name says what it is, so it is filled and checked");
}

#[test]
fn a_new_field_that_identifies_leaks_until_it_is_marked() {
    assert_eq!(real_in(&shown(&UNMARKED)).as_deref(), Some(".WitnessNodeId = Int(7701)"));
    assert_eq!(real_in(&shown(&MARKED)), None);
    assert_eq!(shown(&MARKED).i32("WitnessNodeId"), 0);
    assert_eq!((sent(&ASKED), sent(&MARKED_ASKED)), (876, NODES[0]));
}

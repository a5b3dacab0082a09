//! Filled messages, for tests and for the completeness checks of other crates: every field of a version present, none
//! at its default. What a rule does not translate is then visible in the bytes.

use bytes::Bytes;

use crate::batch;
use crate::schema::{Default, Field, Message, Type};
use crate::value::{Struct, Value};

/// Chooses the value of the field at a dotted path (`Topics.Partitions.LeaderId`); `None` takes the generator's own.
/// For an array it chooses the whole array.
pub type Hook<'a> = &'a mut dyn FnMut(&str, &Field) -> Option<Value>;

/// Elements of every array in a sample.
pub const ELEMENTS: usize = 2;

/// A message with every field of `version` filled: arrays have [`ELEMENTS`] elements, tagged fields are present,
/// nullable ones not null. Integers and strings tell fields apart.
#[must_use]
pub fn sample(message: &'static Message, version: i16, hook: Hook<'_>) -> Struct {
    structure(message.fields, version, "", 0, hook)
}

/// A message in which everything that may be null is null, and everything else filled.
#[must_use]
pub fn sample_of_nulls(message: &'static Message, version: i16) -> Struct {
    sample(message, version, &mut |_, field| field.nullable.contains(version).then_some(Value::Null))
}

/// A batch of format 2 of one opaque record, without a valid CRC.
#[must_use]
pub fn record_batch(base_offset: i64, partition_leader_epoch: i32) -> Bytes {
    let mut bytes = vec![0; batch::HEADER_LEN];
    bytes.extend_from_slice(b"\x10opaque!!");
    let length = i32::try_from(bytes.len() - batch::LOG_OVERHEAD).unwrap_or(0);
    bytes[batch::BATCH_LENGTH_AT..][..4].copy_from_slice(&length.to_be_bytes());
    bytes[batch::MAGIC_AT] = 2;
    bytes[batch::PRODUCER_ID_AT..][..8].copy_from_slice(&(-1i64).to_be_bytes());
    bytes[batch::PRODUCER_EPOCH_AT..][..2].copy_from_slice(&(-1i16).to_be_bytes());
    bytes[batch::BASE_SEQUENCE_AT..][..4].copy_from_slice(&(-1i32).to_be_bytes());
    bytes[batch::RECORDS_COUNT_AT..][..4].copy_from_slice(&1i32.to_be_bytes());
    let patched = batch::patch_base_offset(&mut bytes, base_offset)
        && batch::patch_partition_leader_epoch(&mut bytes, partition_leader_epoch);
    debug_assert!(patched);
    bytes.into()
}

fn structure(fields: &'static [Field], version: i16, parent: &str, index: usize, hook: Hook<'_>) -> Struct {
    let mut out = Struct::new();
    for field in fields.iter().filter(|field| field.versions.contains(version)) {
        let path = if parent.is_empty() { field.name.to_owned() } else { format!("{parent}.{}", field.name) };
        let value = match hook(&path, field) {
            Some(value) => value,
            None => value(&field.ty, field, version, &path, index, hook),
        };
        out.set(field.name, value);
    }
    out
}

fn value(
    ty: &'static Type,
    field: &'static Field,
    version: i16,
    path: &str,
    index: usize,
    hook: Hook<'_>,
) -> Value {
    match ty {
        Type::Bool => Value::Bool(field.default != Default::Bool(true)),
        Type::Float64 => Value::Float(1.5),
        Type::Uuid => Value::Uuid([u8::try_from(field.id % 250).unwrap_or(0) + 1; 16]),
        Type::String => Value::String(format!("{}-{index}", field.name)),
        Type::Bytes => Value::Bytes(Bytes::from(format!("bytes of {}", field.name))),
        Type::Records => record_batch(i64::from(field.id), 7).into(),
        Type::Struct(fields) => structure(fields, version, path, index, hook).into(),
        Type::Array(element) => {
            let elements = (0..ELEMENTS).map(|index| value(element, field, version, path, index, hook));
            Value::Array(elements.collect())
        }
        _ => Value::Int(integer(field, index)),
    }
}

/// From 2 to 121, so that it fits every width and is neither −1, 0, 1 nor, by one step aside, another default.
fn integer(field: &Field, index: usize) -> i64 {
    let value = 2 + i64::from(field.id) % 118 + i64::try_from(index).unwrap_or(0);
    if field.default == Default::Int(value) { value + 1 } else { value }
}

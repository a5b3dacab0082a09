//! Making inputs: messages whose every field has a value that somebody could have sent, or would never send; and damage.

use super::world::{self, GROUP};
use crate::rng::Rng;
use pointsman_wire::{
    sample::{record_batch, sample},
    schema::{Entity, Field, Message, Type},
    value::{self, Struct, Value},
};

/// Numbers at which arithmetic goes wrong.
const EDGES: [i64; 12] = [
    -1,
    0,
    1,
    -2,
    127,
    128,
    i8::MIN as i64,
    i16::MAX as i64,
    i16::MIN as i64,
    i32::MAX as i64,
    i32::MIN as i64,
    i64::MAX,
];

/// A message of this version with odd values here and there.
pub(super) fn message(message: &'static Message, version: i16, rng: &mut Rng) -> Struct {
    sample(message, version, &mut |_, field| odd(field, version, rng))
}

/// The bytes of such a message; none if a value does not fit.
pub(super) fn body(message: &'static Message, version: i16, rng: &mut Rng) -> Vec<u8> {
    let (content, mut bytes) = (self::message(message, version, rng), Vec::new());
    match value::encode(message, version, &content, &mut bytes) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

/// A request frame without its size.
pub(super) fn request(key: i16, version: i16, correlation: i32, rng: &mut Rng) -> Vec<u8> {
    let Some(schema) = pointsman_wire::tables::request(key, version) else { return Vec::new() };
    let client = (!rng.chance(20)).then_some("client");
    let content = message(schema, version, rng);
    value::encode_request(key, version, correlation, client, &content)
        .map_or_else(|_| Vec::new(), |f| f[4..].to_vec())
}

/// `None`: the generator's own value.
fn odd(field: &Field, version: i16, rng: &mut Rng) -> Option<Value> {
    if field.nullable.contains(version) && rng.chance(10) {
        return Some(Value::Null);
    }
    match (&field.ty, field.entity) {
        (Type::String, Entity::TopicName) if rng.chance(80) => {
            Some(pick(rng, &["orders", "lines", "new", ""]).into())
        }
        (Type::String, Entity::GroupId | Entity::TransactionalId) => {
            Some(pick(rng, &[GROUP, GROUP, "other", ""]).into())
        }
        (Type::Uuid, Entity::TopicId) if rng.chance(80) => Some(Value::Uuid(world::topic_id(rng.below(8)))),
        (Type::Int32, _) if field.name == "ReplicaId" && rng.chance(90) => Some((-1).into()),
        (Type::Int32, _) if field.name.contains("Partition") && rng.chance(70) => Some(small(rng, 4)),
        (Type::Int32, Entity::BrokerId) if rng.chance(70) => Some(small(rng, 6)),
        (Type::Int32, Entity::LeaderEpoch) if rng.chance(50) => Some(small(rng, 1200)),
        (Type::Int16, _) if field.name.ends_with("ErrorCode") && rng.chance(70) => Some(0.into()),
        (Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64, _) if rng.chance(15) => {
            Some(edge(&field.ty, rng))
        }
        (Type::Array(_), _) if rng.chance(10) => Some(Vec::<Value>::new().into()),
        (Type::Records, _) => Some(records(rng).into()),
        (Type::Bytes, _) if rng.chance(20) => Some(Value::Bytes(vec![0xff; rng.below(40)].into())),
        _ => None,
    }
}

fn pick<'a>(rng: &mut Rng, choices: &[&'a str]) -> &'a str {
    choices[rng.below(choices.len())]
}

fn small(rng: &mut Rng, below: usize) -> Value {
    i64::try_from(rng.below(below)).unwrap_or(0).into()
}

fn edge(ty: &Type, rng: &mut Rng) -> Value {
    let bits = 8 * ty.fixed_size().unwrap_or(8);
    let edge = EDGES[rng.below(EDGES.len())];
    // Cut to the width of the field, with its sign.
    (edge << (64 - bits) >> (64 - bits)).into()
}

/// Batches, of idempotent producers or not, the last perhaps cut off.
fn records(rng: &mut Rng) -> bytes::Bytes {
    let mut all = Vec::new();
    for _ in 0..rng.below(4) {
        let mut batch = record_batch(7, 3).to_vec();
        if rng.chance(60) {
            batch[43..51].copy_from_slice(&i64::try_from(rng.below(4)).unwrap_or(0).to_be_bytes());
            batch[51..57].copy_from_slice(&[0; 6]);
            batch[56] = u8::try_from(rng.below(4)).unwrap_or(0);
            batch[22] = if rng.chance(20) { 0x10 } else { 0 };
        }
        all.extend(batch);
    }
    all.truncate(all.len() - rng.below(70).min(all.len()) * usize::from(rng.chance(20)));
    all.into()
}

/// Changes a few places, or none.
pub(super) fn damage(input: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.below(4) {
        if input.is_empty() {
            return input.push(byte(rng));
        }
        let at = rng.below(input.len());
        match rng.below(7) {
            0 => input[at] ^= 1 << rng.below(8),
            1 => input[at] = byte(rng),
            2 => input[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5)],
            3 => input.truncate(at),
            4 => drop(input.drain(at..(at + 1 + rng.below(8)).min(input.len()))),
            5 => {
                let part = input[at..(at + 1 + rng.below(40)).min(input.len())].to_vec();
                let to = rng.below(input.len());
                drop(input.splice(to..to, part));
            }
            _ => {
                let value = EDGES[rng.below(EDGES.len())].to_be_bytes();
                let width = [1, 2, 4, 8][rng.below(4)];
                let end = (at + width).min(input.len());
                input[at..end].copy_from_slice(&value[8 - width..][..end - at]);
            }
        }
    }
}

pub(super) fn byte(rng: &mut Rng) -> u8 {
    u8::try_from(rng.below(256)).unwrap_or(0)
}

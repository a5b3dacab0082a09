//! A small DOM of messages, for what is not on the hot path: answers of our own, probes, split and merge, tests.
//!
//! A structure is a list of (name of the schema, value) pairs and the tags that the schema does not know. What is
//! absent is written as the schema's default, so a value built for one version can be written in another.

mod decode;
mod encode;
mod pieces;

use bytes::Bytes;

pub use decode::{DecodedRequest, decode, decode_request, decode_response};
pub use encode::{encode, encode_request, encode_response, request_frame, response_frame};
pub use pieces::{Elements, Pieces};

/// The value of a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Null, or absent.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer of any width, signed or not.
    Int(i64),
    /// A float.
    Float(f64),
    /// A UUID.
    Uuid([u8; 16]),
    /// A string.
    String(String),
    /// Bytes or records.
    Bytes(Bytes),
    /// An array.
    Array(Vec<Value>),
    /// A structure.
    Struct(Struct),
}

static NULL: Value = Value::Null;

impl Value {
    /// What kind of value this is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Uuid(_) => "a UUID",
            Self::String(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "an array",
            Self::Struct(_) => "a structure",
        }
    }

    /// Is it null?
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The integer, if it is one.
    #[must_use]
    pub const fn as_int(&self) -> Option<i64> {
        if let Self::Int(value) = self { Some(*value) } else { None }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The structure, if it is one.
    #[must_use]
    pub const fn as_struct(&self) -> Option<&Struct> {
        if let Self::Struct(fields) = self { Some(fields) } else { None }
    }

    /// The structure to change, if it is one.
    pub const fn as_struct_mut(&mut self) -> Option<&mut Struct> {
        if let Self::Struct(fields) = self { Some(fields) } else { None }
    }

    /// The elements; empty when it is no array.
    #[must_use]
    pub fn as_array(&self) -> &[Self] {
        if let Self::Array(elements) = self { elements } else { &[] }
    }
}

/// A structure: named values in order, and the tags that the schema does not know.
///
/// Two structures are equal when they have the same names with the same values, in whatever order, and the same tags.
#[derive(Clone, Debug, Default)]
pub struct Struct {
    fields: Vec<(&'static str, Value)>,
    /// Boxed, because hardly any structure has them and every value would be larger.
    unknown: Option<Box<UnknownTags>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct UnknownTags {
    /// In ascending order of the tags.
    tags: Vec<(u32, Bytes)>,
}

impl PartialEq for Struct {
    fn eq(&self, other: &Self) -> bool {
        self.fields.len() == other.fields.len()
            && self.unknown_tags() == other.unknown_tags()
            && self.fields.iter().all(|(name, value)| other.entry(name) == Some(value))
    }
}

impl Struct {
    /// A structure without fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { fields: Vec::new(), unknown: None }
    }

    fn with_capacity(fields: usize) -> Self {
        Self { fields: Vec::with_capacity(fields), unknown: None }
    }

    /// The structure with `name` set.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets `name`, in its place if it is there, else at the end.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.get_mut(name) {
            Some(old) => *old = value,
            None => self.fields.push((name, value)),
        }
    }

    /// The value; null when absent.
    #[must_use]
    pub fn get(&self, name: &str) -> &Value {
        self.entry(name).unwrap_or(&NULL)
    }

    /// Is there a value of this name, be it null?
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// The value to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.fields.iter_mut().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Takes the value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.fields.iter().position(|(known, _)| *known == name)?;
        Some(self.fields.remove(at).1)
    }

    /// The integer; 0 when absent.
    #[must_use]
    pub fn int(&self, name: &str) -> i64 {
        self.get(name).as_int().unwrap_or(0)
    }

    /// The integer as 32 bits; 0 when absent or too large.
    #[must_use]
    pub fn i32(&self, name: &str) -> i32 {
        i32::try_from(self.int(name)).unwrap_or(0)
    }

    /// The integer as 16 bits; 0 when absent or too large.
    #[must_use]
    pub fn i16(&self, name: &str) -> i16 {
        i16::try_from(self.int(name)).unwrap_or(0)
    }

    /// The boolean; false when absent.
    #[must_use]
    pub fn bool(&self, name: &str) -> bool {
        matches!(self.get(name), Value::Bool(true))
    }

    /// The string; empty when absent or null.
    #[must_use]
    pub fn str(&self, name: &str) -> &str {
        self.opt_str(name).unwrap_or("")
    }

    /// The string, if there is one.
    #[must_use]
    pub fn opt_str(&self, name: &str) -> Option<&str> {
        self.get(name).as_str()
    }

    /// The bytes, if there are any.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&Bytes> {
        if let Value::Bytes(bytes) = self.get(name) { Some(bytes) } else { None }
    }

    /// The UUID; zero when absent.
    #[must_use]
    pub fn uuid(&self, name: &str) -> [u8; 16] {
        if let Value::Uuid(uuid) = self.get(name) { *uuid } else { [0; 16] }
    }

    /// The elements; empty when absent or null.
    #[must_use]
    pub fn array(&self, name: &str) -> &[Value] {
        self.get(name).as_array()
    }

    /// The elements to change.
    pub fn array_mut(&mut self, name: &str) -> Option<&mut Vec<Value>> {
        if let Value::Array(elements) = self.get_mut(name)? { Some(elements) } else { None }
    }

    /// The nested structure, if there is one.
    #[must_use]
    pub fn nested(&self, name: &str) -> Option<&Self> {
        self.get(name).as_struct()
    }

    /// The elements that are structures.
    pub fn structs(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.array(name).iter().filter_map(Value::as_struct)
    }

    /// The elements that are structures, to change.
    pub fn structs_mut(&mut self, name: &str) -> impl Iterator<Item = &mut Self> {
        let elements = self.array_mut(name).map_or(&mut [][..], Vec::as_mut_slice);
        elements.iter_mut().filter_map(Value::as_struct_mut)
    }

    /// All names and values, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.fields.iter().map(|(name, value)| (*name, value))
    }

    /// The tags that the schema does not know, in ascending order, with their raw values.
    #[must_use]
    pub fn unknown_tags(&self) -> &[(u32, Bytes)] {
        self.unknown.as_ref().map_or(&[], |unknown| unknown.tags.as_slice())
    }

    /// Adds or replaces a tag that the schema does not know.
    pub fn set_unknown_tag(&mut self, tag: u32, value: Bytes) {
        let tags = &mut self.unknown.get_or_insert_default().tags;
        match tags.binary_search_by_key(&tag, |(known, _)| *known) {
            Ok(at) => tags[at].1 = value,
            Err(at) => tags.insert(at, (tag, value)),
        }
    }

    /// Room for `count` unknown tags in all, once it is known that there is one.
    fn reserve_unknown_tags(&mut self, count: usize) {
        let tags = &mut self.unknown.get_or_insert_default().tags;
        tags.reserve_exact(count.saturating_sub(tags.len()));
    }

    fn entry(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

macro_rules! from {
    ($($from:ty => |$value:ident| $into:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $into
            }
        })*
    };
}

from! {
    bool => |value| Self::Bool(value),
    i8 => |value| Self::Int(value.into()),
    i16 => |value| Self::Int(value.into()),
    u16 => |value| Self::Int(value.into()),
    i32 => |value| Self::Int(value.into()),
    u32 => |value| Self::Int(value.into()),
    i64 => |value| Self::Int(value),
    f64 => |value| Self::Float(value),
    [u8; 16] => |value| Self::Uuid(value),
    &str => |value| Self::String(value.to_owned()),
    String => |value| Self::String(value),
    Bytes => |value| Self::Bytes(value),
    Vec<Value> => |value| Self::Array(value),
    Vec<Struct> => |value| Self::Array(value.into_iter().map(Self::Struct).collect()),
    Struct => |value| Self::Struct(value),
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

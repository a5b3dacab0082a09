//! DOM to bytes.
//!
//! What is absent is written as the schema's default; what the version does not have is left out; tagged fields at
//! their default are not written. A name that the message has in no version is a typing error and refused.

use bytes::Bytes;

use super::{Struct, Value};
use crate::error::EncodeError;
use crate::header::{HeaderKind, response_header_len};
use crate::schema::{Default, Field, Message, Type};
use crate::tables;
use crate::write::Writer;

/// Appends the body to `out`. After an error `out` holds a part of it.
pub fn encode(
    message: &'static Message,
    version: i16,
    value: &Struct,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    Encoder::new(message, version, false).structure(message.fields, value, out)
}

/// A whole request frame, size prefix included.
pub fn encode_request(
    key: i16,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    value: &Struct,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = request_header(key, version, correlation_id, client_id)?;
    let message = tables::request(key, version).ok_or(EncodeError::UnsupportedVersion { key, version })?;
    encode(message, version, value, &mut out)?;
    with_size(out)
}

/// The same around a body that is encoded already.
pub fn request_frame(
    key: i16,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    body: &[u8],
) -> Result<Vec<u8>, EncodeError> {
    let mut out = request_header(key, version, correlation_id, client_id)?;
    out.reserve_exact(body.len());
    out.extend_from_slice(body);
    with_size(out)
}

fn request_header(
    key: i16,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Vec<u8>, EncodeError> {
    let message = tables::request(key, version).ok_or(EncodeError::UnsupportedVersion { key, version })?;
    if let Some(length) = client_id.map(str::len).filter(|length| i16::try_from(*length).is_err()) {
        return Err(EncodeError::TooLong { field: "ClientId", length });
    }
    let mut out = vec![0; 4];
    let mut writer = Writer::new(&mut out);
    writer.i16(key);
    writer.i16(version);
    writer.i32(correlation_id);
    writer.nullable_string(client_id, false);
    writer.no_tags(message.is_flexible(version));
    Ok(out)
}

/// A whole response frame, size prefix included, with the header that belongs to (key, version).
pub fn encode_response(
    key: i16,
    version: i16,
    correlation_id: i32,
    value: &Struct,
) -> Result<Vec<u8>, EncodeError> {
    let message = tables::response(key, version).ok_or(EncodeError::UnsupportedVersion { key, version })?;
    let mut out = response_header(key, version, correlation_id);
    encode(message, version, value, &mut out)?;
    with_size(out)
}

/// The same around a body that is encoded already.
pub fn response_frame(
    key: i16,
    version: i16,
    correlation_id: i32,
    body: &[u8],
) -> Result<Vec<u8>, EncodeError> {
    let mut out = response_header(key, version, correlation_id);
    out.reserve_exact(body.len());
    out.extend_from_slice(body);
    with_size(out)
}

fn response_header(key: i16, version: i16, correlation_id: i32) -> Vec<u8> {
    let mut out = vec![0; 4];
    let mut writer = Writer::new(&mut out);
    writer.i32(correlation_id);
    writer.no_tags(response_header_len(key, version) == HeaderKind::V1);
    out
}

fn with_size(mut frame: Vec<u8>) -> Result<Vec<u8>, EncodeError> {
    let length = frame.len() - 4;
    let size = i32::try_from(length).map_err(|_| EncodeError::TooLong { field: "frame", length })?;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    Ok(frame)
}

pub(super) struct Encoder {
    message: &'static str,
    pub(super) version: i16,
    pub(super) flexible: bool,
    /// Names that the message does not have are left out, not refused.
    lenient: bool,
}

impl Encoder {
    pub(super) const fn new(message: &'static Message, version: i16, lenient: bool) -> Self {
        Self { message: message.name, version, flexible: message.is_flexible(version), lenient }
    }

    pub(super) fn structure(
        &self,
        fields: &'static [Field],
        value: &Struct,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        for (name, _) in value.fields.iter().filter(|_| !self.lenient) {
            if !fields.iter().any(|field| field.name == *name) {
                return Err(EncodeError::UnknownField { message: self.message, field: name });
            }
        }
        for field in fields.iter().filter(|field| field.in_sequence(self.version)) {
            self.field(field, value.entry(field.name), out)?;
        }
        if self.flexible { self.tags(fields, value, out) } else { Ok(()) }
    }

    /// The value, or the default when absent.
    pub(super) fn field(
        &self,
        field: &'static Field,
        value: Option<&Value>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let nullable = field.nullable.contains(self.version);
        match value {
            Some(value) => self.value(field, &field.ty, nullable, value, out),
            None => self.value(field, &field.ty, nullable, &default(field, nullable), out),
        }
    }

    fn value(
        &self,
        field: &'static Field,
        ty: &'static Type,
        nullable: bool,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let mut writer = Writer::new(out);
        match (ty, value) {
            (_, Value::Null) if !nullable => return Err(EncodeError::Null { field: field.name }),
            (Type::Struct(_), Value::Null) => writer.i8(-1),
            (Type::String, Value::Null) => writer.nullable_string(None, self.flexible),
            (_, Value::Null) => writer.array_len(None, self.flexible),
            (Type::Bool, Value::Bool(value)) => writer.bool(*value),
            (Type::Float64, Value::Float(value)) => writer.f64(*value),
            (Type::Uuid, Value::Uuid(value)) => writer.uuid(*value),
            (Type::String, Value::String(text)) => {
                fits(field, text.len(), i16::MAX as usize)?;
                writer.string(text, self.flexible);
            }
            (Type::Bytes | Type::Records, Value::Bytes(bytes)) => {
                fits(field, bytes.len(), i32::MAX as usize)?;
                writer.bytes(bytes, self.flexible);
            }
            (Type::Array(element), Value::Array(elements)) => {
                fits(field, elements.len(), i32::MAX as usize)?;
                writer.array_len(Some(elements.len()), self.flexible);
                for each in elements {
                    self.value(field, element, false, each, out)?;
                }
            }
            (Type::Struct(fields), Value::Struct(nested)) => {
                if nullable {
                    writer.i8(1);
                }
                self.structure(fields, nested, out)?;
            }
            (_, Value::Int(value)) => integer(field, ty, *value, &mut writer)?,
            _ => return Err(wrong(field, ty, value)),
        }
        Ok(())
    }

    /// The tag section: known tags that are not at their default, and unknown ones, in ascending order.
    pub(super) fn tags(
        &self,
        fields: &'static [Field],
        value: &Struct,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let mut tags: Vec<(u32, Bytes)> = value.unknown_tags().to_vec();
        for field in fields {
            let (Some(tag), Some(value)) = (field.tag_in(self.version), value.entry(field.name)) else {
                continue;
            };
            if self.is_default(field, value) {
                continue;
            }
            let mut bytes = Vec::new();
            self.field(field, Some(value), &mut bytes)?;
            tags.retain(|(unknown, _)| *unknown != tag);
            tags.push((tag, bytes.into()));
        }
        tags.sort_by_key(|(tag, _)| *tag);
        let mut writer = Writer::new(out);
        writer.uvarint(u32::try_from(tags.len()).unwrap_or(u32::MAX));
        for (tag, bytes) in tags {
            writer.uvarint(tag);
            writer.uvarint(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            writer.raw(&bytes);
        }
        Ok(())
    }

    /// Is this what a reader assumes when the field is not there?
    fn is_default(&self, field: &Field, value: &Value) -> bool {
        match (value, field.default) {
            (Value::Null, Default::Null) => true,
            (Value::Null, _) => !field.nullable.contains(self.version),
            (_, Default::Null) => false,
            (Value::Bool(value), Default::Bool(default)) => *value == default,
            (Value::Int(value), Default::Int(default)) => *value == default,
            (Value::Float(value), Default::Float(default)) => *value == default,
            (Value::String(value), Default::String(default)) => value == default,
            (value, Default::Zero) => self.is_zero(&field.ty, value),
            _ => false,
        }
    }

    fn is_zero(&self, ty: &Type, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Int(value) => *value == 0,
            Value::Float(value) => *value == 0.0,
            Value::Uuid(value) => *value == [0; 16],
            Value::String(value) => value.is_empty(),
            Value::Bytes(value) => value.is_empty(),
            Value::Array(value) => value.is_empty(),
            Value::Struct(value) => self.is_empty(ty.fields(), value),
        }
    }

    /// Has every field of this version its default?
    fn is_empty(&self, fields: &[Field], value: &Struct) -> bool {
        let here = fields.iter().filter(|field| field.versions.contains(self.version));
        let mut set = here.filter_map(|field| Some((field, value.entry(field.name)?)));
        value.unknown_tags().is_empty() && set.all(|(field, value)| self.is_default(field, value))
    }
}

pub(super) fn fits(field: &Field, length: usize, max: usize) -> Result<(), EncodeError> {
    if length > max { Err(EncodeError::TooLong { field: field.name, length }) } else { Ok(()) }
}

fn integer(field: &Field, ty: &Type, value: i64, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    let out_of_range = |_| EncodeError::OutOfRange { field: field.name, value };
    match ty {
        Type::Int8 => writer.i8(value.try_into().map_err(out_of_range)?),
        Type::Int16 => writer.i16(value.try_into().map_err(out_of_range)?),
        Type::Uint16 => writer.u16(value.try_into().map_err(out_of_range)?),
        Type::Int32 => writer.i32(value.try_into().map_err(out_of_range)?),
        Type::Uint32 => writer.u32(value.try_into().map_err(out_of_range)?),
        Type::Int64 => writer.i64(value),
        _ => return Err(wrong(field, ty, &Value::Int(value))),
    }
    Ok(())
}

fn wrong(field: &Field, ty: &Type, value: &Value) -> EncodeError {
    let expected = match ty {
        Type::Bool => "a boolean",
        Type::Float64 => "a float",
        Type::Uuid => "a UUID",
        Type::String => "a string",
        Type::Bytes | Type::Records => "bytes",
        Type::Array(_) => "an array",
        Type::Struct(_) => "a structure",
        _ => "an integer",
    };
    EncodeError::WrongType { field: field.name, expected, got: value.kind() }
}

/// What an absent field is written as.
fn default(field: &Field, nullable: bool) -> Value {
    match field.default {
        Default::Null if nullable => Value::Null,
        Default::Bool(value) => Value::Bool(value),
        Default::Int(value) => Value::Int(value),
        Default::Float(value) => Value::Float(value),
        Default::String(value) => Value::from(value),
        Default::Null | Default::Zero => zero(&field.ty),
    }
}

fn zero(ty: &Type) -> Value {
    match ty {
        Type::Bool => Value::Bool(false),
        Type::Float64 => Value::Float(0.0),
        Type::Uuid => Value::Uuid([0; 16]),
        Type::String => Value::String(String::new()),
        Type::Bytes | Type::Records => Value::Bytes(Bytes::new()),
        Type::Array(_) => Value::Array(Vec::new()),
        Type::Struct(_) => Value::Struct(Struct::new()),
        _ => Value::Int(0),
    }
}

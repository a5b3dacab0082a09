//! Bytes to DOM.
//!
//! The body is walked once without building anything. Only a body that is right from end to end is built, so every
//! count is true by then and memory is taken exactly, never for what is not there.

use bytes::Bytes;

use super::{Struct, Value};
use crate::cursor::{Cursor, Event, Kind};
use crate::edit::walk;
use crate::error::DecodeError;
use crate::header::{request_header, response_header_len};
use crate::schema::{Field, Message, Type};
use crate::tables;

/// (api key, version, correlation id, client id, body).
pub type DecodedRequest = (i16, i16, i32, Option<String>, Struct);

/// The body as a structure. Blobs are slices of `body`, not copies.
pub fn decode(message: &'static Message, version: i16, body: &Bytes) -> Result<Struct, DecodeError> {
    walk(message, version, body, |_, _| {})?;
    let cursor = Cursor::new(message, version, body.len());
    Reader { cursor, version, body }.structure(message.fields)
}

/// The request in a frame without its size prefix. A client id that is not UTF-8 is shown with replacements.
pub fn decode_request(frame: &Bytes) -> Result<DecodedRequest, DecodeError> {
    let header = request_header(frame)?;
    let (key, version) = (header.key, header.version);
    let client_id = header.client_id.map(|id| String::from_utf8_lossy(id).into_owned());
    let message = tables::request(key, version).ok_or(DecodeError::UnsupportedVersion { key, version })?;
    let body = decode(message, version, &frame.slice(header.len..))?;
    Ok((key, version, header.correlation_id, client_id, body))
}

/// The response in a frame without its size prefix: correlation id and body.
pub fn decode_response(key: i16, version: i16, frame: &Bytes) -> Result<(i32, Struct), DecodeError> {
    let message = tables::response(key, version).ok_or(DecodeError::UnsupportedVersion { key, version })?;
    let short = DecodeError::Truncated { needed: 1, left: 0 };
    let len = response_header_len(key, version).len_in(frame)?.ok_or(short)?;
    let id = frame.first_chunk().copied().ok_or(short)?;
    Ok((i32::from_be_bytes(id), decode(message, version, &frame.slice(len..))?))
}

struct Reader<'a> {
    cursor: Cursor,
    version: i16,
    body: &'a Bytes,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Event, DecodeError> {
        let input = &self.body[self.cursor.position()..];
        self.cursor.next(input)?.ok_or(DecodeError::Truncated { needed: 1, left: 0 })
    }

    /// Everything up to the end of the structure whose start has been passed.
    fn structure(&mut self, fields: &'static [Field]) -> Result<Struct, DecodeError> {
        let here = fields.iter().filter(|field| field.in_sequence(self.version)).count();
        let mut out = Struct::with_capacity(here);
        let mut tags = 0;
        loop {
            let event = self.next()?;
            match event.kind {
                Kind::ElementEnd | Kind::StructEnd | Kind::End => return Ok(out),
                Kind::Tags { count } => tags = count as usize,
                Kind::TagStart { .. } => out.fields.reserve_exact(1),
                Kind::TagEnd => {}
                // What a request has after its last field says nothing.
                Kind::Trailing | Kind::Chunk { .. } => {}
                Kind::UnknownTag { tag, size } => {
                    let value = self.blob(event.at + event.len, size)?;
                    out.reserve_unknown_tags(tags);
                    out.set_unknown_tag(tag, value);
                }
                _ => {
                    let value = self.value(&event, &event.field.ty)?;
                    out.fields.push((event.field.name, value));
                }
            }
        }
    }

    /// The value that begins with `event`.
    fn value(&mut self, event: &Event, ty: &'static Type) -> Result<Value, DecodeError> {
        let bytes = &self.body[event.at..event.at + event.len];
        match event.kind {
            Kind::Scalar => Ok(scalar(ty, bytes)),
            Kind::Text { null: true, .. } | Kind::Null | Kind::Blob { len: None } => Ok(Value::Null),
            Kind::Text { prefix, .. } => {
                let text = std::str::from_utf8(&bytes[usize::from(prefix)..]);
                Ok(Value::from(text.map_err(|_| DecodeError::Utf8 { field: event.field.name })?))
            }
            Kind::Blob { len: Some(len) } => Ok(Value::Bytes(self.blob(event.at + event.len, len)?)),
            Kind::ArrayStart { count } => self.array(count, ty),
            _ => Ok(Value::Struct(self.structure(ty.fields())?)),
        }
    }

    fn array(&mut self, count: Option<u32>, ty: &'static Type) -> Result<Value, DecodeError> {
        let element = if let Type::Array(element) = ty { element } else { ty };
        let mut elements = Vec::with_capacity(count.unwrap_or(0) as usize);
        loop {
            let event = self.next()?;
            match event.kind {
                Kind::ArrayEnd => break,
                _ => elements.push(self.value(&event, element)?),
            }
        }
        Ok(if count.is_some() { Value::Array(elements) } else { Value::Null })
    }

    /// The `len` bytes at `at`, whose head has been passed. Empty ones have no chunk.
    fn blob(&mut self, at: usize, len: u32) -> Result<Bytes, DecodeError> {
        if len > 0 {
            self.next()?;
        }
        Ok(self.body.slice(at..at + len as usize))
    }
}

/// A value of fixed size; the bytes are as many as its type has.
fn scalar(ty: &Type, bytes: &[u8]) -> Value {
    match (ty, bytes) {
        (Type::Bool, [byte]) => Value::Bool(*byte != 0),
        (Type::Float64, _) => Value::Float(f64::from_be_bytes(fixed(bytes))),
        (Type::Uuid, _) => Value::Uuid(fixed(bytes)),
        (Type::Int8, [byte]) => Value::from(i8::from_be_bytes([*byte])),
        (Type::Int16, _) => Value::from(i16::from_be_bytes(fixed(bytes))),
        (Type::Uint16, _) => Value::from(u16::from_be_bytes(fixed(bytes))),
        (Type::Int32, _) => Value::from(i32::from_be_bytes(fixed(bytes))),
        (Type::Uint32, _) => Value::from(u32::from_be_bytes(fixed(bytes))),
        _ => Value::from(i64::from_be_bytes(fixed(bytes))),
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

//! Request and response headers: the only part of a frame that every frame is decoded for.
//!
//! Request header v1 is (key, version, correlation id, client id), v2 of the flexible versions adds a tag section.
//! The client id is a nullable string with a two-byte length in both. Response header v0 is the correlation id, v1 adds
//! a tag section; ApiVersions is always answered with v0, so that a client can read the answer to any version.

use crate::error::DecodeError;
use crate::schema::Message;
use crate::{tables, uvarint};

/// Where the correlation id sits in a request, counted after the size prefix.
pub const REQUEST_CORRELATION_AT: usize = 4;
/// Where the correlation id sits in a response, counted after the size prefix.
pub const RESPONSE_CORRELATION_AT: usize = 0;
/// Bytes of a correlation id.
pub const CORRELATION_LEN: usize = 4;

/// Api key, version and correlation id: what every request begins with, of any header version.
const FIXED: usize = 8;
/// ApiVersions, whose response header never has tags (KIP-511).
const API_VERSIONS: i16 = 18;

/// A request's header, borrowed from the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// The api key.
    pub key: i16,
    /// The api version.
    pub version: i16,
    /// The number that the response will carry.
    pub correlation_id: i32,
    /// The client's name for itself, raw; nothing says that it is UTF-8.
    pub client_id: Option<&'a [u8]>,
    /// Bytes of the whole header with its tag section: where the body starts, counted after the size prefix.
    pub len: usize,
}

/// The header of the whole frame `bytes` (after the size prefix).
///
/// For an unknown api or version only the first eight bytes are sure; [`correlation_id`] reads them.
pub fn request_header(bytes: &[u8]) -> Result<RequestHeader<'_>, DecodeError> {
    request_header_partial(bytes)?.ok_or(DecodeError::Truncated { needed: 1, left: 0 })
}

/// The header, or `None` when `bytes` end inside it.
pub fn request_header_partial(bytes: &[u8]) -> Result<Option<RequestHeader<'_>>, DecodeError> {
    let (Some(key), Some(version)) = (int16(bytes, 0), int16(bytes, 2)) else { return Ok(None) };
    let message = known_request(key, version)?;
    let (Some(correlation_id), Some(length)) = (correlation_id(bytes), int16(bytes, FIXED)) else {
        return Ok(None);
    };
    let start = FIXED + 2;
    let (client_id, mut len) = match usize::try_from(length) {
        Ok(length) => match bytes.get(start..start + length) {
            Some(id) => (Some(id), start + length),
            None => return Ok(None),
        },
        Err(_) if length == -1 => (None, start),
        Err(_) => return Err(DecodeError::NegativeLength { field: "ClientId", length: length.into() }),
    };
    if message.is_flexible(version) {
        match tags_len(&bytes[len..])? {
            Some(tags) => len += tags,
            None => return Ok(None),
        }
    }
    Ok(Some(RequestHeader { key, version, correlation_id, client_id, len }))
}

/// The correlation id of a request whose frame starts with `bytes`, whatever its api.
#[must_use]
pub fn correlation_id(bytes: &[u8]) -> Option<i32> {
    bytes.get(REQUEST_CORRELATION_AT..FIXED)?.try_into().ok().map(i32::from_be_bytes)
}

/// The shape of a response's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderKind {
    /// The correlation id, 4 bytes.
    V0,
    /// The correlation id and a tag section.
    V1,
}

impl HeaderKind {
    /// The bytes of the header of a response that starts with `bytes` (after the size prefix); `None` when they end
    /// inside it. A tag section may hold tags; none of a header is known.
    pub fn len_in(self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        let Some(rest) = bytes.get(CORRELATION_LEN..) else { return Ok(None) };
        match self {
            Self::V0 => Ok(Some(CORRELATION_LEN)),
            Self::V1 => Ok(tags_len(rest)?.map(|tags| CORRELATION_LEN + tags)),
        }
    }
}

/// The shape of the header in front of the response to (key, version); v0 for what no table knows, since such a
/// request is never forwarded.
#[must_use]
pub fn response_header_len(key: i16, version: i16) -> HeaderKind {
    let flexible = known_request(key, version).is_ok_and(|message| message.is_flexible(version));
    if flexible && key != API_VERSIONS { HeaderKind::V1 } else { HeaderKind::V0 }
}

fn known_request(key: i16, version: i16) -> Result<&'static Message, DecodeError> {
    let api = tables::api(key).ok_or(DecodeError::UnknownApi { key })?;
    let known = api.requests.iter().copied().find(|message| message.versions.contains(version));
    known.ok_or(DecodeError::UnsupportedVersion { key, version })
}

fn int16(bytes: &[u8], at: usize) -> Option<i16> {
    bytes.get(at..at + 2)?.try_into().ok().map(i16::from_be_bytes)
}

/// The bytes of the tag section at the start of `bytes`; no tag of a header is known. The loop ends with the bytes,
/// whatever the count says.
fn tags_len(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    let Some((count, mut at)) = uvarint::read(bytes)? else { return Ok(None) };
    let mut last = None;
    for _ in 0..count {
        let Some((tag, tag_len)) = uvarint::read(&bytes[at..])? else { return Ok(None) };
        if let Some(last) = last.filter(|last| *last >= tag) {
            return Err(DecodeError::TagOrder { last, tag });
        }
        let Some((size, size_len)) = uvarint::read(&bytes[at + tag_len..])? else { return Ok(None) };
        at += tag_len + size_len + size as usize;
        if at > bytes.len() {
            return Ok(None);
        }
        last = Some(tag);
    }
    Ok(Some(at))
}

//! Kafka's bytes: frames, schema tables, a suspendable cursor, edits, and a small DOM.
//!
//! Everything here works on bytes that the caller brings and says what it found or what it needs: no socket, no
//! thread, no clock. It knows what a message looks like, never what a message means: that is `pointsman-core`.
//! Numbers from the wire are hostile; each is checked against the bytes that are there before anything is done with it.

pub mod batch;
pub mod crc;
pub mod cursor;
pub mod edit;
pub mod error;
pub mod frame;
pub mod header;
pub mod sample;
pub mod schema;
pub mod tables;
mod uvarint;
pub mod value;
pub mod write;

pub use batch::{BatchHeader, Batches};
pub use cursor::{Cursor, Event, Kind};
pub use edit::{Editor, Edits, walk};
pub use error::{DecodeError, EncodeError};
pub use frame::{MAX_FRAME, frame_size};
pub use header::{HeaderKind, RequestHeader, request_header, request_header_partial, response_header_len};
pub use schema::{Api, Entity, Field, Message, Type, Versions};
pub use value::{
    Struct, Value, decode, decode_request, decode_response, encode, encode_request, encode_response,
};
pub use write::Writer;

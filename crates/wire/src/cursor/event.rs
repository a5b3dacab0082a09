//! What a cursor says: one event per scalar, string, head, piece, start or end that it passed.
//!
//! The events of a body, in order and without gaps, cover all its bytes; so whoever copies the bytes of every event has
//! copied the body.

use crate::schema::Field;

/// What the cursor passed.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The field it belongs to; [`NO_FIELD`](crate::schema::NO_FIELD) for the end, the root's tag section and unknown tags.
    pub field: &'static Field,
    /// What it is.
    pub kind: Kind,
    /// Where it starts, in bytes from the start of the body.
    pub at: usize,
    /// The wire bytes it takes; 0 for events that only mark a place.
    pub len: usize,
}

/// The kinds of events. Starts and ends always come in pairs, also for null arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value of fixed size, also as an element of an array (then `field` is the array's).
    Scalar,
    /// A whole string: `prefix` bytes of length, then the text.
    Text {
        /// Bytes of the length prefix.
        prefix: u8,
        /// Is it null? Then the prefix is all.
        null: bool,
    },
    /// The length prefix of bytes or records; `None` is null. Chunks follow when the length is not 0.
    Blob {
        /// The length in bytes of what follows.
        len: Option<u32>,
    },
    /// A piece of a blob or of an unknown tag: as much as has arrived, one byte or more.
    Chunk {
        /// Is this the end of the blob?
        last: bool,
    },
    /// The count of an array; `None` is null. An `ArrayEnd` follows in any case.
    ArrayStart {
        /// The number of elements.
        count: Option<u32>,
    },
    /// The start of a structure in an array. Elements of other types are `Scalar`, `Text` or `Blob`.
    ElementStart {
        /// The number of the element, from 0.
        index: u32,
    },
    /// The end of a structure in an array, after its tag section.
    ElementEnd,
    /// The end of an array.
    ArrayEnd,
    /// The start of a nested structure; its bytes are the presence byte of a nullable one.
    StructStart,
    /// The end of a nested structure, after its tag section.
    StructEnd,
    /// A nested structure that is null; its byte is the presence byte.
    Null,
    /// Tag and size of a tagged field that the schema knows. Its value follows.
    TagStart {
        /// The tag.
        tag: u32,
        /// The size of the value in bytes.
        size: u32,
        /// Where the size's varint starts, in bytes from the start of the body.
        size_at: usize,
        /// Bytes of the size's varint.
        size_len: u8,
    },
    /// The end of a known tagged field.
    TagEnd,
    /// Tag and size of a field that the schema does not know. Chunks follow when the size is not 0.
    UnknownTag {
        /// The tag.
        tag: u32,
        /// The size of the value in bytes.
        size: u32,
    },
    /// The number of tagged fields of a structure.
    Tags {
        /// The number.
        count: u32,
    },
    /// A request has bytes after its last field; chunks follow. librdkafka writes such (its Metadata request for all topics
    /// has three), and brokers pass over them. In a response they are an error.
    Trailing,
    /// The end of the message: all bytes are used. Comes again when asked again.
    End,
}

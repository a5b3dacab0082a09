//! What can be wrong with bytes, and with a value that is to become bytes.
//!
//! Each fault has its own variant, because the variants are close reasons and metric labels too. A message says what
//! was expected and what came; it never holds contents of a frame.

use std::fmt;

/// Why bytes are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The size prefix of a frame is zero, negative or over the limit.
    FrameSize {
        /// The size that came, as the signed number it is on the wire.
        size: i32,
        /// The largest size allowed.
        max: usize,
    },
    /// No table has this api key.
    UnknownApi {
        /// The key that came.
        key: i16,
    },
    /// The api is known, this version of it is not.
    UnsupportedVersion {
        /// The api key.
        key: i16,
        /// The version that came.
        version: i16,
    },
    /// The message, or the tagged field that encloses the value, ends before the value does.
    Truncated {
        /// The bytes that the value needs at least.
        needed: usize,
        /// The bytes that are left.
        left: usize,
    },
    /// An unsigned varint goes on after its fifth byte or passes 32 bits.
    Varint,
    /// A length is negative, and not −1.
    NegativeLength {
        /// The field.
        field: &'static str,
        /// The length that came.
        length: i32,
    },
    /// A null where the field has no null in this version.
    Null {
        /// The field.
        field: &'static str,
    },
    /// A string longer than 32767 bytes.
    StringTooLong {
        /// The field.
        field: &'static str,
        /// The length that came.
        length: usize,
    },
    /// A string that is not UTF-8.
    Utf8 {
        /// The field.
        field: &'static str,
    },
    /// An array has more elements than the bytes left can hold.
    ArrayCount {
        /// The field.
        field: &'static str,
        /// The count that came.
        count: u32,
        /// The bytes that are left.
        left: usize,
    },
    /// A tag section has more tags than the bytes left can hold.
    TagCount {
        /// The count that came.
        count: u32,
        /// The bytes that are left.
        left: usize,
    },
    /// Tags are not in ascending order, or one comes twice.
    TagOrder {
        /// The tag before.
        last: u32,
        /// The tag that came.
        tag: u32,
    },
    /// A tagged field's value ends before its size says.
    TagSize {
        /// The tag.
        tag: u32,
        /// The size that came.
        size: u32,
        /// The bytes that the value took.
        used: usize,
    },
    /// The message ended and bytes are left.
    TrailingBytes {
        /// How many.
        left: usize,
    },
    /// The structure nests deeper than any Kafka message does.
    Depth {
        /// The deepest nesting allowed.
        max: usize,
    },
}

impl DecodeError {
    /// A short stable word, for metric labels and close reasons.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::FrameSize { .. } => "frame_size",
            Self::UnknownApi { .. } => "unknown_api",
            Self::UnsupportedVersion { .. } => "unsupported_version",
            Self::Truncated { .. } => "truncated",
            Self::Varint => "varint",
            Self::NegativeLength { .. } => "negative_length",
            Self::Null { .. } => "null",
            Self::StringTooLong { .. } => "string_too_long",
            Self::Utf8 { .. } => "utf8",
            Self::ArrayCount { .. } => "array_count",
            Self::TagCount { .. } => "tag_count",
            Self::TagOrder { .. } => "tag_order",
            Self::TagSize { .. } => "tag_size",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::Depth { .. } => "depth",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::FrameSize { size, max } => {
                write!(f, "expected a frame of 1 to {max} bytes, got a size of {size}")
            }
            Self::UnknownApi { key } => write!(f, "expected an api key of the tables, got {key}"),
            Self::UnsupportedVersion { key, version } => {
                write!(f, "expected a version of api {key} that the tables have, got {version}")
            }
            Self::Truncated { needed, left } => {
                write!(f, "expected at least {needed} more bytes, the message has {left}")
            }
            Self::Varint => write!(f, "expected a varint of at most 5 bytes and 32 bits, got a longer one"),
            Self::NegativeLength { field, length } => {
                write!(f, "expected a length of −1 or more for {field}, got {length}")
            }
            Self::Null { field } => write!(f, "expected a value for {field}, got null"),
            Self::StringTooLong { field, length } => {
                write!(f, "expected a string of at most 32767 bytes for {field}, got {length}")
            }
            Self::Utf8 { field } => write!(f, "expected UTF-8 for {field}, got other bytes"),
            Self::ArrayCount { field, count, left } => {
                write!(f, "expected an array that fits into {left} bytes for {field}, got {count} elements")
            }
            Self::TagCount { count, left } => {
                write!(f, "expected a tag section that fits into {left} bytes, got {count} tags")
            }
            Self::TagOrder { last, tag } => {
                write!(f, "expected a tag above {last}, got {tag}")
            }
            Self::TagSize { tag, size, used } => {
                write!(f, "expected {size} bytes in tagged field {tag}, its value has {used}")
            }
            Self::TrailingBytes { left } => {
                write!(f, "expected the end of the message, got {left} more bytes")
            }
            Self::Depth { max } => write!(f, "expected at most {max} nested structures, got more"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Why a value cannot be written as the message it should be. Always a fault of the caller, never of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// No table has this api key and version.
    UnsupportedVersion {
        /// The api key.
        key: i16,
        /// The version.
        version: i16,
    },
    /// The value has a name that the message does not have in any version.
    UnknownField {
        /// The message.
        message: &'static str,
        /// The name.
        field: &'static str,
    },
    /// The value is of another kind than the field.
    WrongType {
        /// The field.
        field: &'static str,
        /// What the field is.
        expected: &'static str,
        /// What the value is.
        got: &'static str,
    },
    /// The integer does not fit the field's width.
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The integer.
        value: i64,
    },
    /// Null, where the field has no null in this version.
    Null {
        /// The field.
        field: &'static str,
    },
    /// The string, bytes, array or frame is longer than the protocol can say.
    TooLong {
        /// The field.
        field: &'static str,
        /// The length.
        length: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedVersion { key, version } => {
                write!(f, "expected an api and version of the tables, got api {key} version {version}")
            }
            Self::UnknownField { message, field } => {
                write!(f, "expected a field of {message}, got the name {field}")
            }
            Self::WrongType { field, expected, got } => {
                write!(f, "expected {expected} for {field}, got {got}")
            }
            Self::OutOfRange { field, value } => {
                write!(f, "expected a number within the width of {field}, got {value}")
            }
            Self::Null { field } => write!(f, "expected a value for {field}, got null"),
            Self::TooLong { field, length } => {
                write!(f, "expected {field} to fit its length prefix, got {length} bytes or elements")
            }
        }
    }
}

impl std::error::Error for EncodeError {}

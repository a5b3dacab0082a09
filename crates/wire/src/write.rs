//! Appending the protocol's primitive types to a buffer.
//!
//! For headers and answers that are written field by field; whole messages are written by `value::encode`, which
//! checks what this does not: that a text fits its length prefix.

use crate::uvarint;

/// Writes at the end of a buffer that the caller owns.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// The bytes in the buffer, also those from before.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.out.len()
    }

    /// Is the buffer empty?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A boolean as one byte.
    pub fn bool(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    /// One byte, signed.
    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    /// Two bytes, signed.
    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    /// Two bytes, unsigned.
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// Four bytes, signed.
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// Four bytes, unsigned.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes, IEEE 754.
    pub fn f64(&mut self, value: f64) {
        self.raw(&value.to_be_bytes());
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self, value: [u8; 16]) {
        self.raw(&value);
    }

    /// An unsigned varint.
    pub fn uvarint(&mut self, value: u32) {
        uvarint::write(value, self.out);
    }

    /// An empty tag section where flexible, nothing otherwise.
    pub fn no_tags(&mut self, flexible: bool) {
        if flexible {
            self.out.push(0);
        }
    }

    /// A string of at most 32767 bytes; a longer one is a fault of the caller.
    pub fn string(&mut self, value: &str, flexible: bool) {
        self.nullable_string(Some(value), flexible);
    }

    /// A string of at most 32767 bytes, or null.
    pub fn nullable_string(&mut self, value: Option<&str>, flexible: bool) {
        debug_assert!(value.is_none_or(|text| i16::try_from(text.len()).is_ok()));
        if flexible {
            self.compact_len(value.map(str::len));
        } else {
            self.i16(value.map_or(-1, |text| i16::try_from(text.len()).unwrap_or(i16::MAX)));
        }
        self.raw(value.unwrap_or("").as_bytes());
    }

    /// Bytes (or records) with their length.
    pub fn bytes(&mut self, value: &[u8], flexible: bool) {
        self.nullable_bytes(Some(value), flexible);
    }

    /// Bytes (or records) with their length, or null.
    pub fn nullable_bytes(&mut self, value: Option<&[u8]>, flexible: bool) {
        self.array_len(value.map(<[u8]>::len), flexible);
        self.raw(value.unwrap_or(&[]));
    }

    /// The count of an array, or null; also the length of bytes, which is written the same way.
    pub fn array_len(&mut self, count: Option<usize>, flexible: bool) {
        if flexible {
            self.compact_len(count);
        } else {
            self.i32(count.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX)));
        }
    }

    fn compact_len(&mut self, len: Option<usize>) {
        self.uvarint(len.map_or(0, |len| u32::try_from(len).unwrap_or(u32::MAX - 1).saturating_add(1)));
    }
}

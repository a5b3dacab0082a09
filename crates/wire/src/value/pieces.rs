//! Bodies whose long arrays are written element by element, so that they never stand in memory as values.

use super::Struct;
use super::encode::{Encoder, fits};
use crate::error::EncodeError;
use crate::schema::{Field, Message};
use crate::write::Writer;

/// Writes the elements of an array; gets the fields that an element has, and the buffer to append to.
pub type Elements<'a> = &'a mut dyn FnMut(&'static [Field], &mut Vec<u8>) -> Result<(), EncodeError>;

/// A writer of one version of a message. What a value has and the message has not is left out.
pub struct Pieces {
    message: &'static Message,
    encoder: Encoder,
}

impl Pieces {
    /// A writer of this message.
    #[must_use]
    pub const fn new(message: &'static Message, version: i16) -> Self {
        Self { message, encoder: Encoder::new(message, version, true) }
    }

    /// The body, all at once.
    pub fn whole(&self, value: &Struct) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        self.element(self.message.fields, value, &mut out)?;
        Ok(out)
    }

    /// The body, in which `elements` writes the `count` elements of `array`. It is not called where the version has no such array.
    pub fn root(
        &self,
        value: &Struct,
        array: (&str, usize),
        elements: Elements<'_>,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        self.structure(self.message.fields, value, array, &mut out, elements)?;
        Ok(out)
    }

    /// The same of a structure within the body.
    pub fn structure(
        &self,
        fields: &'static [Field],
        value: &Struct,
        (array, count): (&str, usize),
        out: &mut Vec<u8>,
        elements: Elements<'_>,
    ) -> Result<(), EncodeError> {
        let encoder = &self.encoder;
        for field in fields.iter().filter(|field| field.in_sequence(encoder.version)) {
            if field.name == array {
                fits(field, count, i32::MAX as usize)?;
                Writer::new(out).array_len(Some(count), encoder.flexible);
                elements(field.ty.fields(), out)?;
            } else {
                encoder.field(field, value.entry(field.name), out)?;
            }
        }
        if encoder.flexible { encoder.tags(fields, value, out) } else { Ok(()) }
    }

    /// A structure as it is.
    pub fn element(
        &self,
        fields: &'static [Field],
        value: &Struct,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.encoder.structure(fields, value, out)
    }
}

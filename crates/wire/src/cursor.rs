//! One walker for every message of every version, which can stop at any byte and go on when more have come.
//!
//! The cursor reads the schema tables and the bytes side by side and says what it passes: a scalar, a string, the head
//! of an array, a piece of a blob. It holds no bytes and allocates nothing: its memory is a fixed stack, as deep as
//! Kafka's deepest message. It decides nothing and changes nothing; edits are made from its events (see `edit`).
//!
//! ```text
//!            ┌────────── next field ◀─────────────┐
//!   Fields ──┤ struct → Fields   array → Array    │ each frame pops when it is through, with its End event
//!            │ bytes  → Blob     other: one event ┘
//!            └─ no field left ─▶ (flexible) tag count ─▶ known tag → Tag → value │ unknown → Blob ─▶ … ─▶ pop
//! ```

mod event;

use crate::error::DecodeError;
use crate::schema::{Field, Message, NO_FIELD, Type};
use crate::uvarint;

pub use event::{Event, Kind};

/// The deepest nesting of structures, arrays and tagged fields; the deepest Kafka message needs fewer (a test says so).
pub const MAX_DEPTH: usize = 16;

/// The longest string in bytes that Kafka accepts.
const MAX_STRING: usize = i16::MAX as usize;

/// Up to so many elements of an array are looked at as they come. The count of more is checked against the bytes that they need at least,
/// so that whoever makes room for them is not misled.
const FEW: u32 = 8;

/// How far into what; the stack of these is all that the cursor remembers.
#[derive(Clone, Copy)]
enum Frame {
    Fields(Fields),
    Array { field: &'static Field, element: &'static Type, index: u32, count: u32 },
    Tag(Tag),
    Blob { field: &'static Field, left: usize },
}

#[derive(Clone, Copy)]
struct Fields {
    owner: &'static Field,
    fields: &'static [Field],
    next: u16,
    place: Place,
    /// Tags still to come; `None` until the count has been read.
    tags: Option<u32>,
    last_tag: Option<u32>,
}

/// A known tagged field: its value's first byte and the one after its last.
#[derive(Clone, Copy)]
struct Tag {
    field: &'static Field,
    tag: u32,
    start: usize,
    end: usize,
    /// The limit around it.
    outer: usize,
    /// The event that begins the value has been given.
    opened: bool,
}

#[derive(Clone, Copy)]
enum Place {
    Root,
    Element,
    Nested,
}

/// The walker over one body.
#[derive(Clone)]
pub struct Cursor {
    version: i16,
    flexible: bool,
    /// Bytes after the last field are passed over, not refused.
    lenient: bool,
    /// Bytes of the body used so far.
    position: usize,
    /// Where the innermost known tagged field, or the body, ends. Nothing is read beyond it.
    limit: usize,
    /// Frames in use; 0 after the end.
    depth: usize,
    stack: [Frame; MAX_DEPTH],
}

/// An event, or a value, or the need for more bytes.
type Step<T> = Result<Option<T>, DecodeError>;

impl Cursor {
    /// A cursor at the start of a body of `len` bytes.
    #[must_use]
    pub fn new(message: &'static Message, version: i16, len: usize) -> Self {
        let root = Fields::new(&NO_FIELD, message.fields, Place::Root);
        Self {
            version,
            flexible: message.is_flexible(version),
            lenient: message.is_request(),
            position: 0,
            limit: len,
            depth: 1,
            stack: [Frame::Fields(root); MAX_DEPTH],
        }
    }

    /// Bytes of the body used so far: where the next input must start.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// The next event, from `input`: the bytes of the body from [`position`](Self::position) on, as far as they have
    /// arrived. `Ok(None)` means that the next event needs more than that; only chunks take what there is. After an
    /// error the cursor must not be used again.
    #[allow(clippy::should_implement_trait, reason = "the input makes it no iterator")]
    #[inline]
    pub fn next(&mut self, input: &[u8]) -> Step<Event> {
        let left = self.limit - self.position;
        let input = &input[..input.len().min(left)];
        let Some(top) = self.depth.checked_sub(1) else {
            return Ok(Some(self.mark(&NO_FIELD, Kind::End)));
        };
        match &self.stack[top] {
            Frame::Fields(fields) => {
                let (list, next) = (fields.fields, fields.next);
                self.fields(top, list, next, input)
            }
            Frame::Array { field, element, index, count } => {
                let (field, element, index, count) = (*field, *element, *index, *count);
                self.array(top, field, element, index, count, input)
            }
            Frame::Tag(tag) => {
                let tag = *tag;
                self.tag(top, tag, input)
            }
            Frame::Blob { field, left } => {
                let (field, left) = (*field, *left);
                Ok(self.chunk(top, field, left, input))
            }
        }
    }

    #[inline]
    fn fields(&mut self, top: usize, list: &'static [Field], next: u16, input: &[u8]) -> Step<Event> {
        let version = self.version;
        for (field, next) in list[usize::from(next)..].iter().zip(next + 1..) {
            if field.in_sequence(version) {
                // What `value` says is passed on where it stands: to take it apart here costs as much as to make it.
                let step = self.value(field, &field.ty, field.nullable.contains(version), input);
                if let (Ok(Some(_)), Frame::Fields(fields)) = (&step, &mut self.stack[top]) {
                    fields.next = next;
                }
                return step;
            }
        }
        self.after_fields(top, input)
    }

    fn after_fields(&mut self, top: usize, input: &[u8]) -> Step<Event> {
        let Frame::Fields(mut fields) = self.stack[top] else { return Ok(None) };
        fields.next = u16::try_from(fields.fields.len()).unwrap_or(u16::MAX);
        match fields.tags {
            None if self.flexible => self.tag_count(top, fields, input),
            None | Some(0) => self.fields_end(fields),
            Some(left) => self.tag_start(top, fields, left, input),
        }
    }

    fn fields_end(&mut self, fields: Fields) -> Step<Event> {
        let left = self.limit - self.position;
        if self.lenient && left > 0 && matches!(fields.place, Place::Root) {
            self.push_blob(&NO_FIELD, left)?;
            return Ok(Some(self.mark(&NO_FIELD, Kind::Trailing)));
        }
        self.depth -= 1;
        let kind = match fields.place {
            Place::Element => Kind::ElementEnd,
            Place::Nested => Kind::StructEnd,
            Place::Root if left > 0 => return Err(DecodeError::TrailingBytes { left }),
            Place::Root => Kind::End,
        };
        Ok(Some(self.mark(fields.owner, kind)))
    }

    fn tag_count(&mut self, top: usize, fields: Fields, input: &[u8]) -> Step<Event> {
        let Some((count, len)) = self.uvarint(input)? else { return Ok(None) };
        let left = self.limit - self.position - len;
        if count as usize > left / 2 {
            return Err(DecodeError::TagCount { count, left });
        }
        self.stack[top] = Frame::Fields(Fields { tags: Some(count), ..fields });
        Ok(Some(self.take(fields.owner, Kind::Tags { count }, len)))
    }

    fn tag_start(&mut self, top: usize, mut fields: Fields, left: u32, input: &[u8]) -> Step<Event> {
        let Some((tag, tag_len)) = self.uvarint(input)? else { return Ok(None) };
        if let Some(last) = fields.last_tag.filter(|last| *last >= tag) {
            return Err(DecodeError::TagOrder { last, tag });
        }
        let Some((size, size_len)) = self.uvarint_at(tag_len, input)? else { return Ok(None) };
        let value = size as usize;
        self.room(tag_len + size_len, value)?;
        fields.tags = Some(left - 1);
        fields.last_tag = Some(tag);
        self.stack[top] = Frame::Fields(fields);
        let size_at = self.position + tag_len;
        let start = size_at + size_len;
        let Some(field) = fields.fields.iter().find(|field| field.tag_in(self.version) == Some(tag)) else {
            self.push_blob(&NO_FIELD, value)?;
            return Ok(Some(self.take(&NO_FIELD, Kind::UnknownTag { tag, size }, tag_len + size_len)));
        };
        let end = start + value;
        self.push(Frame::Tag(Tag { field, tag, start, end, outer: self.limit, opened: false }))?;
        self.limit = end;
        let size_len_byte = u8::try_from(size_len).unwrap_or(u8::MAX);
        let kind = Kind::TagStart { tag, size, size_at, size_len: size_len_byte };
        Ok(Some(self.take(field, kind, tag_len + size_len)))
    }

    /// The value of a known tagged field, or its end.
    fn tag(&mut self, top: usize, tag: Tag, input: &[u8]) -> Step<Event> {
        if !tag.opened {
            let field = tag.field;
            let step = self.value(field, &field.ty, field.nullable.contains(self.version), input);
            if let Ok(Some(_)) = step {
                self.stack[top] = Frame::Tag(Tag { opened: true, ..tag });
            }
            return step;
        }
        if self.position != tag.end {
            let size = u32::try_from(tag.end - tag.start).unwrap_or(u32::MAX);
            return Err(DecodeError::TagSize { tag: tag.tag, size, used: self.position - tag.start });
        }
        self.depth -= 1;
        self.limit = tag.outer;
        Ok(Some(self.mark(tag.field, Kind::TagEnd)))
    }

    fn array(
        &mut self,
        top: usize,
        field: &'static Field,
        element: &'static Type,
        index: u32,
        count: u32,
        input: &[u8],
    ) -> Step<Event> {
        if index == count {
            self.depth -= 1;
            return Ok(Some(self.mark(field, Kind::ArrayEnd)));
        }
        let Type::Struct(fields) = element else {
            let step = self.value(field, element, false, input);
            if let (Ok(Some(_)), Frame::Array { index, .. }) = (&step, &mut self.stack[top]) {
                *index += 1;
            }
            return step;
        };
        self.push(Frame::Fields(Fields::new(field, fields, Place::Element)))?;
        if let Frame::Array { index, .. } = &mut self.stack[top] {
            *index += 1;
        }
        Ok(Some(self.mark(field, Kind::ElementStart { index })))
    }

    /// Bytes still to come of the blob that the cursor is in; 0 when the next event is no chunk.
    #[must_use]
    pub const fn blob_left(&self) -> usize {
        if self.depth == 0 {
            return 0;
        }
        if let Frame::Blob { left, .. } = self.stack[self.depth - 1] { left } else { 0 }
    }

    /// Passes over up to `len` bytes of the blob that the cursor is in, unseen (the kernel may have moved them), instead
    /// of taking them as chunks. Returns how many.
    pub fn skip(&mut self, len: usize) -> usize {
        let left = self.blob_left();
        let len = len.min(left);
        if len > 0 {
            if let Frame::Blob { left, .. } = &mut self.stack[self.depth - 1] {
                *left -= len;
            }
            self.depth -= usize::from(len == left);
            self.position += len;
        }
        len
    }

    fn chunk(&mut self, top: usize, field: &'static Field, left: usize, input: &[u8]) -> Option<Event> {
        let len = left.min(input.len());
        if len == 0 {
            return None;
        }
        let last = len == left;
        if last {
            self.depth -= 1;
        } else {
            self.stack[top] = Frame::Blob { field, left: left - len };
        }
        Some(self.take(field, Kind::Chunk { last }, len))
    }

    #[inline]
    fn value(
        &mut self,
        field: &'static Field,
        ty: &'static Type,
        nullable: bool,
        input: &[u8],
    ) -> Step<Event> {
        if let Some(len) = ty.fixed_size() {
            self.room(0, len)?;
            return Ok((input.len() >= len).then(|| self.take(field, Kind::Scalar, len)));
        }
        match ty {
            Type::String => self.text(field, nullable, input),
            Type::Array(element) => self.array_start(field, element, nullable, input),
            Type::Struct(fields) => self.struct_start(field, fields, nullable, input),
            _ => self.blob(field, nullable, input),
        }
    }

    fn text(&mut self, field: &'static Field, nullable: bool, input: &[u8]) -> Step<Event> {
        let Some((length, prefix)) = self.length(field, 2, nullable, input)? else { return Ok(None) };
        let null = length.is_none();
        let length = length.unwrap_or(0) as usize;
        if length > MAX_STRING {
            return Err(DecodeError::StringTooLong { field: field.name, length });
        }
        self.room(prefix, length)?;
        let Some(text) = input.get(prefix..prefix + length) else { return Ok(None) };
        if std::str::from_utf8(text).is_err() {
            return Err(DecodeError::Utf8 { field: field.name });
        }
        let kind = Kind::Text { prefix: u8::try_from(prefix).unwrap_or(u8::MAX), null };
        Ok(Some(self.take(field, kind, prefix + length)))
    }

    fn blob(&mut self, field: &'static Field, nullable: bool, input: &[u8]) -> Step<Event> {
        let Some((len, prefix)) = self.length(field, 4, nullable, input)? else { return Ok(None) };
        let length = len.unwrap_or(0) as usize;
        self.room(prefix, length)?;
        self.push_blob(field, length)?;
        Ok(Some(self.take(field, Kind::Blob { len }, prefix)))
    }

    fn array_start(
        &mut self,
        field: &'static Field,
        element: &'static Type,
        nullable: bool,
        input: &[u8],
    ) -> Step<Event> {
        let Some((count, prefix)) = self.length(field, 4, nullable, input)? else { return Ok(None) };
        let elements = count.unwrap_or(0);
        let left = self.limit - self.position - prefix;
        let too_many = |least: usize| elements as usize > left / least.max(1);
        if too_many(1) || (elements > FEW && too_many(self.min_size(element, false))) {
            return Err(DecodeError::ArrayCount { field: field.name, count: elements, left });
        }
        self.push(Frame::Array { field, element, index: 0, count: elements })?;
        Ok(Some(self.take(field, Kind::ArrayStart { count }, prefix)))
    }

    fn struct_start(
        &mut self,
        field: &'static Field,
        fields: &'static [Field],
        nullable: bool,
        input: &[u8],
    ) -> Step<Event> {
        let len = usize::from(nullable);
        self.room(0, len)?;
        if nullable {
            match input.first() {
                None => return Ok(None),
                // Kafka takes any negative byte for null, and writes −1.
                Some(presence) if *presence >= 0x80 => return Ok(Some(self.take(field, Kind::Null, len))),
                Some(_) => {}
            }
        }
        self.push(Frame::Fields(Fields::new(field, fields, Place::Nested)))?;
        Ok(Some(self.take(field, Kind::StructStart, len)))
    }

    /// The length or count at the start of `input` and its bytes: of `width` bytes, or a varint where flexible.
    fn length(
        &self,
        field: &'static Field,
        width: usize,
        nullable: bool,
        input: &[u8],
    ) -> Step<(Option<u32>, usize)> {
        let (length, prefix) = if self.flexible {
            let Some((value, len)) = self.uvarint(input)? else { return Ok(None) };
            (value.checked_sub(1), len)
        } else {
            self.room(0, width)?;
            let Some(bytes) = input.get(..width) else { return Ok(None) };
            let length = match *bytes {
                [a, b] => i32::from(i16::from_be_bytes([a, b])),
                [a, b, c, d] => i32::from_be_bytes([a, b, c, d]),
                _ => 0,
            };
            if length < -1 {
                return Err(DecodeError::NegativeLength { field: field.name, length });
            }
            (u32::try_from(length).ok(), width)
        };
        if length.is_none() && !nullable {
            return Err(DecodeError::Null { field: field.name });
        }
        Ok(Some((length, prefix)))
    }

    /// The fewest bytes that a value of this type takes.
    fn min_size(&self, ty: &Type, nullable: bool) -> usize {
        match ty {
            Type::Struct(_) if nullable => 1,
            Type::Struct(fields) => {
                let here = fields.iter().filter(|field| field.in_sequence(self.version));
                let sizes = here.map(|field| self.min_size(&field.ty, field.nullable.contains(self.version)));
                sizes.sum::<usize>() + usize::from(self.flexible)
            }
            Type::String | Type::Bytes | Type::Records | Type::Array(_) if self.flexible => 1,
            Type::String => 2,
            Type::Bytes | Type::Records | Type::Array(_) => 4,
            _ => ty.fixed_size().unwrap_or(1),
        }
    }

    fn uvarint(&self, input: &[u8]) -> Step<(u32, usize)> {
        self.uvarint_at(0, input)
    }

    /// The varint `at` bytes into the input; one that goes on after the limit is an error, not a need.
    fn uvarint_at(&self, at: usize, input: &[u8]) -> Step<(u32, usize)> {
        let value = uvarint::read(input.get(at..).unwrap_or(&[]))?;
        if value.is_none() && input.len() == self.limit - self.position {
            return Err(DecodeError::Truncated { needed: 1, left: 0 });
        }
        Ok(value)
    }

    /// Are `len` bytes left after the next `used`?
    #[inline]
    fn room(&self, used: usize, len: usize) -> Result<(), DecodeError> {
        let left = self.limit - self.position - used;
        if len > left { Err(DecodeError::Truncated { needed: len, left }) } else { Ok(()) }
    }

    fn push(&mut self, frame: Frame) -> Result<(), DecodeError> {
        let slot = self.stack.get_mut(self.depth).ok_or(DecodeError::Depth { max: MAX_DEPTH })?;
        *slot = frame;
        self.depth += 1;
        Ok(())
    }

    fn push_blob(&mut self, field: &'static Field, left: usize) -> Result<(), DecodeError> {
        if left == 0 { Ok(()) } else { self.push(Frame::Blob { field, left }) }
    }

    /// An event that marks a place.
    const fn mark(&self, field: &'static Field, kind: Kind) -> Event {
        Event { field, kind, at: self.position, len: 0 }
    }

    /// An event over the next `len` bytes, which are thereby used.
    #[inline]
    const fn take(&mut self, field: &'static Field, kind: Kind, len: usize) -> Event {
        let at = self.position;
        self.position += len;
        Event { field, kind, at, len }
    }
}

impl Fields {
    const fn new(owner: &'static Field, fields: &'static [Field], place: Place) -> Self {
        Self { owner, fields, next: 0, place, tags: None, last_tag: None }
    }
}

//! Changing a few fields of a complete body without decoding the rest.
//!
//! An edit replaces a range of the body by other bytes. Rules make edits while a cursor walks; the sizes of tagged
//! fields around a changed length are corrected here, so that no rule has to know that tags have sizes. Counts of
//! arrays are a rule's own business: only it knows what it removed.

use std::cmp::Reverse;

use crate::cursor::{Cursor, Event, Kind};
use crate::error::DecodeError;
use crate::schema::Message;
use crate::uvarint;

/// A list of replacements over one body; reusable after [`clear`](Self::clear).
///
/// Edits may come in any order. One that lies within another is dropped with the range that the other replaces, so an
/// element can be removed after a field in it was edited; of two for the same range the later one counts. Insertions at
/// the start of a replaced range are kept, and several at one place stay in the order in which they came. Edits that
/// overlap without one being inside the other are a fault of the caller.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    edits: Vec<Edit>,
    /// The new bytes of all edits, one after the other.
    bytes: Vec<u8>,
    /// `edits` are in order of position and without those inside others.
    settled: bool,
}

/// `len` bytes at `at` become `bytes[from..to]`. Bodies are below 4 GiB, and an answer may have an edit for each four bytes.
#[derive(Clone, Copy, Debug)]
struct Edit {
    at: u32,
    len: u32,
    from: u32,
    to: u32,
}

impl Edit {
    fn new(at: usize, len: usize, from: usize, to: usize) -> Self {
        let [at, len, from, to] = [at, len, from, to].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        Self { at, len, from, to }
    }

    const fn new_len(&self) -> usize {
        (self.to - self.from) as usize
    }

    const fn at(&self) -> usize {
        self.at as usize
    }

    const fn len(&self) -> usize {
        self.len as usize
    }

    const fn end(&self) -> usize {
        self.at() + self.len()
    }

    /// The new bytes, out of those of all edits.
    fn with<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.from as usize..self.to as usize]
    }
}

impl Edits {
    /// No edits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the `len` bytes at `at` (of the body as it was) by `with`. `len` 0 inserts, an empty `with` removes.
    pub fn replace(&mut self, at: usize, len: usize, with: &[u8]) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(with);
        let settled = self.edits.last().is_none_or(|last| last.end() <= at && last.at() < at);
        self.settled = settled && (self.settled || self.edits.is_empty());
        self.edits.push(Edit::new(at, len, from, self.bytes.len()));
    }

    /// Are there no edits?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Forgets all edits, keeps the memory.
    pub fn clear(&mut self) {
        self.edits.clear();
        self.bytes.clear();
        self.settled = false;
    }

    /// Appends the edited body to `out`.
    pub fn apply(&self, body: &[u8], out: &mut Vec<u8>) {
        let mut used = 0;
        self.each(|edit| {
            let at = edit.at().clamp(used, body.len());
            out.extend_from_slice(&body[used..at]);
            out.extend_from_slice(edit.with(&self.bytes));
            used = edit.end().clamp(at, body.len());
        });
        out.extend_from_slice(&body[used..]);
    }

    /// Edits the body where it is when no edit changes a length; otherwise leaves it alone and returns false.
    #[must_use]
    pub fn apply_in_place(&self, body: &mut [u8]) -> bool {
        let fits = |edit: &Edit| edit.new_len() == edit.len() && edit.end() <= body.len();
        if !self.edits.iter().all(fits) {
            return false;
        }
        self.each(|edit| body[edit.at()..edit.end()].copy_from_slice(edit.with(&self.bytes)));
        true
    }

    /// The length of the edited body.
    #[must_use]
    pub fn new_len(&self, body_len: usize) -> usize {
        let mut len = body_len;
        self.each(|edit| len = (len + edit.new_len()).saturating_sub(edit.len()));
        len
    }

    /// Calls `apply` with each edit that counts, in order of position.
    fn each(&self, mut apply: impl FnMut(&Edit)) {
        if self.settled {
            self.edits.iter().for_each(apply);
        } else {
            settle(self.edits.clone()).iter().for_each(&mut apply);
        }
    }

    fn settle(&mut self) {
        if !self.settled {
            self.edits = settle(std::mem::take(&mut self.edits));
            self.settled = true;
        }
    }
}

/// In order of position (insertions first, then the longest), without edits that lie within the range of another.
fn settle(mut edits: Vec<Edit>) -> Vec<Edit> {
    edits.sort_by_key(|edit| (edit.at, edit.len > 0, Reverse(edit.len)));
    edits.dedup_by(|later, earlier| {
        let again = later.len > 0 && (later.at, later.len) == (earlier.at, earlier.len);
        if again {
            *earlier = *later;
        }
        again
    });
    let mut covered = 0;
    edits.retain(|edit| {
        let inside = edit.at() < covered;
        debug_assert!(!inside || edit.end() <= covered, "edits overlap without one being inside the other");
        covered = covered.max(edit.end());
        !inside
    });
    edits
}

/// Walks over a complete body; `visit` gets each event with its bytes.
pub fn walk(
    message: &'static Message,
    version: i16,
    body: &[u8],
    mut visit: impl FnMut(&Event, &[u8]),
) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(message, version, body.len());
    loop {
        let at = cursor.position();
        let step = cursor.next(&body[at..]);
        match &step {
            Ok(Some(event)) => {
                visit(event, &body[at..at + event.len]);
                if matches!(event.kind, Kind::End) {
                    return Ok(());
                }
            }
            Ok(None) => return Err(DecodeError::Truncated { needed: 1, left: 0 }),
            Err(_) => return step.map(|_| ()),
        }
    }
}

/// Walks over bodies and collects edits; reusable, so that steady work allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    edits: Edits,
    /// The tagged fields passed, each after those inside it.
    tags: Vec<TagSpan>,
    /// Those that the walk is in.
    open: Vec<TagSpan>,
}

#[derive(Clone, Copy, Debug)]
struct TagSpan {
    start: usize,
    size: usize,
    size_at: usize,
    size_len: usize,
}

impl Editor {
    /// An editor without memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Walks over a complete body. `visit` gets each event with its bytes and the edits to add to; the result is those
    /// edits and the corrected sizes of the tagged fields around them. They are valid for this `body` only. An
    /// insertion exactly at the end of a known tagged field belongs to that field.
    pub fn edit(
        &mut self,
        message: &'static Message,
        version: i16,
        body: &[u8],
        mut visit: impl FnMut(&Event, &[u8], &mut Edits),
    ) -> Result<&Edits, DecodeError> {
        self.edits.clear();
        self.tags.clear();
        self.open.clear();
        let Self { edits, tags, open } = self;
        walk(message, version, body, |event, bytes| {
            match event.kind {
                Kind::TagStart { size, size_at, size_len, .. } => {
                    let size_len = usize::from(size_len);
                    open.push(TagSpan { start: size_at + size_len, size: size as usize, size_at, size_len });
                }
                Kind::TagEnd => tags.extend(open.pop()),
                _ => {}
            }
            visit(event, bytes, edits);
        })?;
        self.correct_tags();
        Ok(&self.edits)
    }

    /// The edits of the last [`edit`](Self::edit).
    #[must_use]
    pub const fn edits(&self) -> &Edits {
        &self.edits
    }

    /// Adds an edit of the size of each tagged field in which lengths changed, the inner ones first, since a size that
    /// takes more bytes than before makes the outer field longer too.
    fn correct_tags(&mut self) {
        if self.edits.edits.iter().all(|edit| edit.len() == edit.new_len()) {
            return;
        }
        self.edits.settle();
        let mut sizes: Vec<Edit> = Vec::new();
        for tag in &self.tags {
            let (from, to) = (tag.start, tag.start + tag.size);
            let edits = &self.edits.edits;
            let first = edits.partition_point(|edit| edit.at() < from);
            let inside =
                edits[first..].iter().take_while(|edit| edit.at() < to || (edit.at() == to && edit.len == 0));
            let inner = sizes.iter().rev().take_while(|edit| edit.at() >= from);
            let (mut added, mut removed) = (0, 0);
            for edit in inside.chain(inner) {
                added += edit.new_len();
                removed += edit.len();
            }
            let size = (tag.size + added).saturating_sub(removed);
            if size != tag.size {
                let from = self.edits.bytes.len();
                uvarint::write(u32::try_from(size).unwrap_or(u32::MAX), &mut self.edits.bytes);
                sizes.push(Edit::new(tag.size_at, tag.size_len, from, self.edits.bytes.len()));
            }
        }
        if !sizes.is_empty() {
            self.edits.edits.append(&mut sizes);
            self.edits.settled = false;
            self.edits.settle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(edits: &Edits) -> String {
        let mut out = Vec::new();
        edits.apply(b"0123456789", &mut out);
        assert_eq!(out.len(), edits.new_len(10));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn edits_apply_in_order_of_position_not_of_coming() {
        let mut edits = Edits::new();
        edits.replace(8, 1, b"eight");
        edits.replace(0, 2, b"");
        edits.replace(4, 0, b"+");
        assert_eq!(applied(&edits), "23+4567eight9");
        assert!(!edits.apply_in_place(&mut b"0123456789".to_owned()));
    }

    #[test]
    fn a_removed_range_takes_the_edits_in_it_along() {
        let mut edits = Edits::new();
        edits.replace(2, 0, b"<");
        edits.replace(2, 1, b"x");
        edits.replace(4, 2, b"longer");
        edits.replace(2, 5, b"");
        edits.replace(7, 0, b">");
        assert_eq!(applied(&edits), "01<>789");
    }

    #[test]
    fn of_two_edits_of_one_range_the_later_counts() {
        let mut edits = Edits::new();
        edits.replace(3, 1, b"a");
        edits.replace(3, 1, b"b");
        edits.replace(5, 0, b"1");
        edits.replace(5, 0, b"2");
        assert_eq!(applied(&edits), "012b41256789");
        edits.clear();
        assert!(edits.is_empty() && applied(&edits) == "0123456789");
    }

    #[test]
    fn an_edit_beyond_the_body_does_not_panic() {
        let mut edits = Edits::new();
        edits.replace(9, 5, b"end");
        let mut out = Vec::new();
        edits.apply(b"0123456789", &mut out);
        assert_eq!(out, b"012345678end");
        assert!(!edits.apply_in_place(&mut b"0123456789".to_owned()));
    }
}

//! Where things stand in a body that is taken apart or put together: places in its bytes, never values made of them.
//!
//! Requests are split, and answers are merged, by copying ranges. Beside the bytes themselves that takes 4 bytes for an item without
//! entries, 40 for one with them, 8 for an entry, and 28 for what items stand in where that is not the root.

use pointsman_wire::{
    cursor::{Event, Kind},
    edit::walk,
    error::DecodeError,
    schema::{Field, Message},
    write::Writer,
};
use std::ops::Range;
use uuid::Uuid;

/// The fields that matter, by name. Where there is none, the name is empty.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names {
    /// The array at the root that items stand in, each of its elements with an array of them. Without one that array is at the root.
    pub(super) within: &'static str,
    /// The array of items.
    pub(super) items: &'static str,
    /// In an item: its name. If it has a topic id too, that goes before.
    pub(super) name: &'static str,
    /// In an item: an array. Without one, items are not looked into.
    pub(super) entries: &'static str,
    /// In an entry: its number.
    pub(super) index: &'static str,
}

/// The same, as the cursor calls them.
struct Ids {
    within: u16,
    producer: u16,
    items: u16,
    name: u16,
    topic_id: u16,
    entries: u16,
    index: u16,
}

/// No field has it, and no event without one.
const NONE: u16 = u16::MAX - 1;

impl Ids {
    fn new(message: &'static Message, names: Names) -> Self {
        let within = find(message.fields, names.within);
        let around = within.map_or(message.fields, |field| field.ty.fields());
        let items = find(around, names.items);
        let inside = items.map_or(&[][..], |field| field.ty.fields());
        let entries = find(inside, names.entries);
        let entry = entries.map_or(&[][..], |field| field.ty.fields());
        let id = |field: Option<&Field>| field.map_or(NONE, |f| f.id);
        Self {
            within: id(within),
            producer: id(within.and_then(|_| find(around, "ProducerId"))),
            items: id(items),
            name: id(find(inside, names.name)),
            topic_id: id(find(inside, "TopicId")),
            entries: id(entries),
            index: id(find(entry, names.index)),
        }
    }
}

fn find(fields: &'static [Field], name: &str) -> Option<&'static Field> {
    fields.iter().find(|field| field.name == name)
}

/// Where the items of a body stand, and their entries.
#[derive(Debug, Default)]
pub(super) struct Layout {
    flexible: bool,
    /// The array at the root, with its count.
    array: Span,
    /// Where its first element begins.
    first_at: u32,
    /// What items stand in, unless it is the root.
    groups: Vec<Group>,
    /// The items, if they are looked into.
    items: Vec<Item>,
    /// Where each entry of all items ends, or each item that is not looked into. It begins where the one before it ends.
    ends: Vec<u32>,
    /// The number that each entry says it has.
    indices: Vec<i32>,
}

/// A range of a body.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    from: u32,
    to: u32,
}

impl Span {
    fn of(self, body: &[u8]) -> &[u8] {
        body.get(self.from as usize..self.to as usize).unwrap_or_default()
    }
}

/// An element that items stand in: a marker of a producer's.
#[derive(Debug, Clone, Copy)]
struct Group {
    whole: Span,
    producer: Span,
    /// Its items, with the count.
    array: Span,
    /// The number of its first item, among those of all groups.
    first: u32,
}

/// An item.
#[derive(Debug, Clone, Copy)]
struct Item {
    whole: Span,
    name: Span,
    id: Span,
    /// Its array, with the count.
    array: Span,
    /// Where the first entry begins.
    first_at: u32,
    /// The number of the first entry, among those of all items.
    first: u32,
}

/// What an item is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Name(&'a [u8]),
    Id(Uuid),
    /// Of a marker: its producer, and the name.
    Marked(i64, &'a [u8]),
}

impl Layout {
    /// Reads a complete body.
    pub(super) fn read(
        message: &'static Message,
        version: i16,
        body: &[u8],
        names: Names,
    ) -> Result<Self, DecodeError> {
        let ids = Ids::new(message, names);
        let mut layout = Self { flexible: message.is_flexible(version), ..Self::default() };
        let end = short(body.len());
        layout.array = Span { from: end, to: end };
        walk(message, version, body, |event, bytes| layout.note(&ids, event, bytes))?;
        Ok(layout)
    }

    fn note(&mut self, ids: &Ids, event: &Event, bytes: &[u8]) {
        let (id, from, to) = (event.field.id, short(event.at), short(event.at + event.len));
        if id == ids.within {
            return self.note_group(event.kind, Span { from, to });
        }
        if let Some(group) = self.groups.last_mut().filter(|_| id == ids.producer) {
            group.producer = Span { from, to };
            return;
        }
        if id == ids.items {
            return self.note_item(event.kind, ids.entries != NONE, Span { from, to });
        }
        let Some(item) = self.items.last_mut() else { return };
        match event.kind {
            Kind::ArrayStart { .. } if id == ids.entries => {
                (item.array, item.first_at) = (Span { from, to }, to);
            }
            Kind::ElementEnd | Kind::Scalar if id == ids.entries => {
                item.array.to = to;
                self.ends.push(to);
            }
            Kind::Scalar if id == ids.index => {
                self.indices.push(bytes.try_into().map_or(-1, i32::from_be_bytes));
            }
            Kind::Scalar if id == ids.topic_id => item.id = Span { from, to },
            Kind::Text { prefix, .. } if id == ids.name => {
                item.name = Span { from: from + u32::from(prefix), to }
            }
            _ => {}
        }
    }

    fn note_group(&mut self, kind: Kind, span: Span) {
        match kind {
            Kind::ArrayStart { .. } => self.array = span,
            Kind::ElementStart { .. } => {
                let nothing = Span { from: span.to, to: span.to };
                let first = short(self.items.len());
                self.groups.push(Group { whole: span, producer: nothing, array: nothing, first });
            }
            Kind::ElementEnd => {
                self.array.to = span.to;
                if let Some(group) = self.groups.last_mut() {
                    group.whole.to = span.to;
                }
            }
            _ => {}
        }
    }

    fn note_item(&mut self, kind: Kind, looked_into: bool, span: Span) {
        let array = self.groups.last_mut().map_or(&mut self.array, |group| &mut group.array);
        match kind {
            Kind::ArrayStart { .. } => (*array, self.first_at) = (span, span.to),
            Kind::ElementStart { .. } if looked_into => {
                let nothing = Span { from: span.to, to: span.to };
                let (first, first_at) = (short(self.ends.len()), span.to);
                self.items.push(Item {
                    whole: span,
                    name: nothing,
                    id: nothing,
                    array: nothing,
                    first_at,
                    first,
                });
            }
            Kind::ElementEnd | Kind::Text { .. } => {
                array.to = span.to;
                match self.items.last_mut() {
                    Some(item) => item.whole.to = span.to,
                    None => self.ends.push(span.to),
                }
            }
            _ => {}
        }
    }

    /// How many entries all items have, or how many items there are that are not looked into.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of all items.
    pub(super) fn items<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        Span { from: self.first_at, to: self.array.to }.of(body)
    }

    /// The body without items.
    pub(super) fn envelope(&self, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.around(body, 0, &mut out, |_| {});
        out
    }

    /// The body with the chosen items only, which are not looked into; numbers are in ascending order.
    pub(super) fn with_items(&self, body: &[u8], chosen: &[usize], out: &mut Vec<u8>) {
        self.around(body, chosen.len(), out, |out| {
            chosen
                .iter()
                .for_each(|number| out.extend_from_slice(self.span(self.first_at, 0, *number).of(body)));
        });
    }

    /// The body with the chosen entries only, and the items and groups that have such; numbers are in ascending order.
    pub(super) fn with_entries(&self, body: &[u8], chosen: &[usize], out: &mut Vec<u8>) {
        if self.groups.is_empty() {
            return self.around(body, self.runs(chosen).count(), out, |out| self.items_of(body, chosen, out));
        }
        let parts = || chosen.chunk_by(|a, b| self.group_of(*a) == self.group_of(*b));
        self.around(body, parts().count(), out, |out| {
            for part in parts() {
                let Some(group) = part.first().and_then(|number| self.groups.get(self.group_of(*number)))
                else {
                    continue;
                };
                out.extend_from_slice(Span { to: group.array.from, ..group.whole }.of(body));
                Writer::new(out).array_len(Some(self.runs(part).count()), self.flexible);
                self.items_of(body, part, out);
                out.extend_from_slice(Span { from: group.array.to, ..group.whole }.of(body));
            }
        });
    }

    /// Entries by the items that they belong to.
    fn runs<'a>(&self, chosen: &'a [usize]) -> impl Iterator<Item = &'a [usize]> {
        chosen.chunk_by(|a, b| self.item_of(*a) == self.item_of(*b))
    }

    /// The items of the chosen entries, with these only.
    fn items_of(&self, body: &[u8], chosen: &[usize], out: &mut Vec<u8>) {
        for run in self.runs(chosen) {
            let Some(item) = run.first().and_then(|number| self.items.get(self.item_of(*number))) else {
                continue;
            };
            out.extend_from_slice(Span { to: item.array.from, ..item.whole }.of(body));
            Writer::new(out).array_len(Some(run.len()), self.flexible);
            run.iter().for_each(|number| out.extend_from_slice(self.entry(item, *number).of(body)));
            out.extend_from_slice(Span { from: item.array.to, ..item.whole }.of(body));
        }
    }

    /// What stands before and behind the array, and a count of items with what writes them.
    fn around(&self, body: &[u8], count: usize, out: &mut Vec<u8>, items: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(Span { from: 0, to: self.array.from }.of(body));
        if (self.array.from as usize) < body.len() {
            Writer::new(out).array_len(Some(count), self.flexible);
            items(out);
        }
        out.extend_from_slice(Span { from: self.array.to, to: short(body.len()) }.of(body));
    }

    /// Which item an entry belongs to.
    fn item_of(&self, number: usize) -> usize {
        self.items.partition_point(|item| item.first as usize <= number).saturating_sub(1)
    }

    /// Which group an entry belongs to.
    fn group_of(&self, number: usize) -> usize {
        self.group_of_item(self.item_of(number))
    }

    fn group_of_item(&self, item: usize) -> usize {
        self.groups.partition_point(|group| group.first as usize <= item).saturating_sub(1)
    }

    fn entry(&self, item: &Item, number: usize) -> Span {
        self.span(item.first_at, item.first as usize, number)
    }

    /// What ends at a number, where `first` begins at `first_at`.
    fn span(&self, first_at: u32, first: usize, number: usize) -> Span {
        let end = |number: usize| self.ends.get(number).copied().unwrap_or(0);
        Span { from: if number == first { first_at } else { end(number - 1) }, to: end(number) }
    }

    /// Calls `visit` with the key of each item, and with the number that each of its entries has and where it stands.
    pub(super) fn each(
        &self,
        body: &[u8],
        mut visit: impl FnMut(Key<'_>, &mut dyn Iterator<Item = (i32, Range<u32>)>),
    ) {
        for (number, item) in self.items.iter().enumerate() {
            let end = self.items.get(number + 1).map_or(self.ends.len(), |next| next.first as usize);
            let entries = (item.first as usize..end).map(|entry| {
                let span = self.entry(item, entry);
                (self.indices.get(entry).copied().unwrap_or(-1), span.from..span.to)
            });
            visit(self.key(body, number, item), &mut { entries });
        }
    }

    fn key<'a>(&self, body: &'a [u8], number: usize, item: &Item) -> Key<'a> {
        let name = item.name.of(body);
        if let Some(group) = self.groups.get(self.group_of_item(number)) {
            return Key::Marked(group.producer.of(body).try_into().map_or(-1, i64::from_be_bytes), name);
        }
        match Uuid::from_slice(item.id.of(body)).ok().filter(|id| !id.is_nil()) {
            Some(id) => Key::Id(id),
            None => Key::Name(name),
        }
    }
}

/// Bodies are below 4 GiB.
fn short(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

//! What a message looks like: the types of the generated tables.
//!
//! Kafka publishes its messages as JSON; `cargo xtask tables` turns them into static values of these types, which the
//! cursor, the DOM and the rules all read. Nothing here is ever built at run time, and nothing here knows about bytes.

/// An inclusive range of api versions. Empty is `(0, -1)`; the JSON's "3+" ends in `i16::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The first version of the range.
    pub min: i16,
    /// The last version of the range, included.
    pub max: i16,
}

impl Versions {
    /// The range without a version ("none" in the JSON).
    pub const NONE: Self = Self { min: 0, max: -1 };

    /// The range from `min` to `max`, both included.
    #[must_use]
    pub const fn new(min: i16, max: i16) -> Self {
        Self { min, max }
    }

    /// Is `version` in the range?
    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// Is there no version in the range?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.min > self.max
    }
}

/// The type of a field, as in the JSON.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// One byte, 0 is false.
    Bool,
    /// One byte, signed.
    Int8,
    /// Two bytes, signed, big-endian (as all that follow).
    Int16,
    /// Two bytes, unsigned.
    Uint16,
    /// Four bytes, signed.
    Int32,
    /// Four bytes, unsigned.
    Uint32,
    /// Eight bytes, signed.
    Int64,
    /// Eight bytes, IEEE 754.
    Float64,
    /// Sixteen bytes.
    Uuid,
    /// UTF-8 after a length: int16, or in flexible versions an unsigned varint of length + 1.
    String,
    /// Bytes after a length: int32, or in flexible versions an unsigned varint of length + 1.
    Bytes,
    /// Record batches; on the wire the same as [`Type::Bytes`].
    Records,
    /// A nested structure.
    Struct(&'static [Field]),
    /// An array after a count: int32, or in flexible versions an unsigned varint of count + 1.
    Array(&'static Type),
}

impl Type {
    /// Wire bytes of a value whose size does not depend on the value; `None` for all others.
    #[must_use]
    pub const fn fixed_size(&self) -> Option<usize> {
        match self {
            Self::Bool | Self::Int8 => Some(1),
            Self::Int16 | Self::Uint16 => Some(2),
            Self::Int32 | Self::Uint32 => Some(4),
            Self::Int64 | Self::Float64 => Some(8),
            Self::Uuid => Some(16),
            _ => None,
        }
    }

    /// The fields of a structure, or of an array's structure; empty for everything else.
    #[must_use]
    pub const fn fields(&self) -> &'static [Field] {
        match self {
            Self::Struct(fields) | Self::Array(Self::Struct(fields)) => fields,
            _ => &[],
        }
    }
}

/// Whose identifier a field holds: what a rule must translate. From the JSON's `entityType`, else from the generator's
/// own list (the JSON marks neither hosts nor topic ids nor epochs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entity {
    /// Nothing that is scoped to a cluster, or something that no general rule may touch.
    None,
    /// A node id (brokers, and controllers where the protocol mixes them).
    BrokerId,
    /// A topic's name.
    TopicName,
    /// A topic's id (KIP-516).
    TopicId,
    /// A producer id, without its epoch.
    ProducerId,
    /// A transactional id.
    TransactionalId,
    /// A group's id, of any group type.
    GroupId,
    /// The host of a broker or controller. Never a client's host, an ACL's, or a Streams application's.
    Host,
    /// The port that belongs to a [`Entity::Host`].
    Port,
    /// A rack, a client's or a broker's.
    Rack,
    /// The id of a cluster.
    ClusterId,
    /// A leader epoch of a partition.
    LeaderEpoch,
    /// A logical offset in a partition's log.
    Offset,
    /// The id of a log directory (KIP-858).
    DirectoryId,
}

/// The value of a field that is absent: older than its first version, or a tagged field that is not there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// Zero, false, the empty string, bytes or array, the zero UUID, a structure of defaults: the type's own default.
    Zero,
    /// Null.
    Null,
    /// An integer of whatever width the field has.
    Int(i64),
    /// A boolean.
    Bool(bool),
    /// A string.
    String(&'static str),
    /// A float.
    Float(f64),
}

/// One field of a message or of a nested structure.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Unique per dotted path within (api, direction), the same in the newest and the old definition.
    pub id: u16,
    /// The name in the JSON, e.g. `ThrottleTimeMs`.
    pub name: &'static str,
    /// The type of the value.
    pub ty: Type,
    /// The versions in which the field is on the wire.
    pub versions: Versions,
    /// The versions in which the value may be null.
    pub nullable: Versions,
    /// The tag, for a tagged field.
    pub tag: Option<u32>,
    /// The versions in which the field sits in the tag section.
    pub tagged: Versions,
    /// Whose identifier the value is.
    pub entity: Entity,
    /// The value when absent.
    pub default: Default,
}

impl Field {
    /// A plain field: not nullable, not tagged, no entity, default zero.
    #[must_use]
    pub const fn new(id: u16, name: &'static str, ty: Type, min: i16, max: i16) -> Self {
        Self {
            id,
            name,
            ty,
            versions: Versions::new(min, max),
            nullable: Versions::NONE,
            tag: None,
            tagged: Versions::NONE,
            entity: Entity::None,
            default: Default::Zero,
        }
    }

    /// The same field, nullable from `min` to `max`.
    #[must_use]
    pub const fn nullable(mut self, min: i16, max: i16) -> Self {
        self.nullable = Versions::new(min, max);
        self
    }

    /// The same field, tagged with `tag` from `min` to `max`.
    #[must_use]
    pub const fn tagged(mut self, tag: u32, min: i16, max: i16) -> Self {
        self.tag = Some(tag);
        self.tagged = Versions::new(min, max);
        self
    }

    /// The same field, holding an identifier of `entity`.
    #[must_use]
    pub const fn entity(mut self, entity: Entity) -> Self {
        self.entity = entity;
        self
    }

    /// The same field with another default than zero.
    #[must_use]
    pub const fn or(mut self, default: Default) -> Self {
        self.default = default;
        self
    }

    /// Is the field written in sequence (not in the tag section) in `version`?
    #[must_use]
    pub const fn in_sequence(&self, version: i16) -> bool {
        self.versions.contains(version) && !self.tagged.contains(version)
    }

    /// Is the field in the tag section in `version`, and under which tag?
    #[must_use]
    pub const fn tag_in(&self, version: i16) -> Option<u32> {
        if self.versions.contains(version) && self.tagged.contains(version) { self.tag } else { None }
    }
}

/// The field of events that belong to no field: the root's tag section, unknown tags, the end.
pub static NO_FIELD: Field = Field::new(u16::MAX, "", Type::Struct(&[]), 0, -1);

/// One definition of a request or response, for a range of versions.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// The api key.
    pub key: i16,
    /// The name in the JSON, e.g. `FetchRequest`.
    pub name: &'static str,
    /// The versions that this definition describes.
    pub versions: Versions,
    /// The versions with compact lengths and tag sections (KIP-482).
    pub flexible: Versions,
    /// The fields at the root.
    pub fields: &'static [Field],
}

impl Message {
    /// Does `version` use compact lengths and tag sections?
    #[must_use]
    pub const fn is_flexible(&self, version: i16) -> bool {
        self.flexible.contains(version)
    }

    /// Is it a request?
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.name.ends_with("Request")
    }
}

/// One api: its key and all definitions of its two messages.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// The api key.
    pub key: i16,
    /// The name without `Request`, e.g. `Fetch`.
    pub name: &'static str,
    /// All versions that some definition describes: those of the newest Kafka and those of the last line that still
    /// had the old ones.
    pub versions: Versions,
    /// The definitions of the request, newest first, without overlap.
    pub requests: &'static [&'static Message],
    /// The definitions of the response, newest first, without overlap.
    pub responses: &'static [&'static Message],
    /// Does a broker's listener serve it? (Some of those are between brokers all the same.)
    pub broker: bool,
    /// The first version that the newest Kafka does not enable by default (`latestVersionUnstable`).
    pub unstable_from: Option<i16>,
}

//! The shapes that requests are split by and responses merged by.

/// Arrays of topics with arrays of partitions, in a request and its response. Names are those of the schema tables.
#[derive(Debug, Clone, Copy)]
pub struct Partitions {
    /// Request and response: the array that the topics stand in, each of its elements with an array of them; empty where they stand at
    /// the root.
    pub within: &'static str,
    /// Request: the array of topics.
    pub topics: &'static str,
    /// Request and response: the topic's name.
    pub name: &'static str,
    /// Request: the array of partitions of a topic.
    pub partitions: &'static str,
    /// Request: the partition's index.
    pub index: &'static str,
    /// Response: the array of topics.
    pub response_topics: &'static str,
    /// Response: the topic's name.
    pub response_name: &'static str,
    /// Response: the array of partitions of a topic.
    pub response_partitions: &'static str,
    /// Response: the partition's index.
    pub response_index: &'static str,
    /// Response: the partition's error.
    pub response_error: &'static str,
    /// Field ids in the request, for the cursor.
    pub ids: PartitionIds,
}

/// Field ids of a [`Partitions`] shape in the request.
#[derive(Debug, Clone, Copy)]
pub struct PartitionIds {
    /// The topic's name; `NONE` if the api never has it.
    pub name: u16,
    /// The topic's id; `NONE` if the api never has it.
    pub topic_id: u16,
    /// The partition's index.
    pub index: u16,
    /// The record batches; `NONE` unless the api carries them.
    pub records: u16,
    /// The client's idea of the current leader epoch; `NONE` unless the api carries it.
    pub current_epoch: u16,
}

impl PartitionIds {
    /// No such field.
    pub const NONE: u16 = u16::MAX - 1;
    /// None of them.
    pub const NOTHING: Self = Self {
        name: Self::NONE,
        topic_id: Self::NONE,
        index: Self::NONE,
        records: Self::NONE,
        current_epoch: Self::NONE,
    };
}

impl Partitions {
    /// The shape that most apis have: `Topics` with `Partitions` in both directions, named and numbered alike.
    pub const fn alike(name: &'static str, index: &'static str, ids: PartitionIds) -> Self {
        Self {
            within: "",
            topics: "Topics",
            name,
            partitions: "Partitions",
            index,
            response_topics: "Topics",
            response_name: name,
            response_partitions: "Partitions",
            response_index: index,
            response_error: "ErrorCode",
            ids,
        }
    }

    /// The same, but that a partition of the request is its number alone.
    pub const fn numbers(name: &'static str, ids: PartitionIds) -> Self {
        let partitions = "PartitionIndexes";
        Self { partitions, index: "", response_index: "PartitionIndex", ..Self::alike(name, "", ids) }
    }
}

/// An array of keys (group ids, transactional ids) in a request, and of results by key in its response.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// Request: the array.
    pub keys: &'static str,
    /// Request: the field of the key, or empty where the array is of strings.
    pub key: &'static str,
    /// Response: the array.
    pub results: &'static str,
    /// Response: the field of the key.
    pub result_key: &'static str,
    /// First version whose response can carry an error of a key, or of the whole answer.
    pub error_since: i16,
}

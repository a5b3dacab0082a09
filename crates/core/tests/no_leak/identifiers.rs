//! What identifies a cluster, judged by the names and types of fields alone: not by the marks that the translation itself goes by.
//!
//! Each identifier has three faces: what brokers say ([`Face::Real`]), what clients must be shown for it ([`Face::Shown`]), and what
//! clients say that brokers must get it for ([`Face::Asked`]). Only slots tell the last two apart: many slots may stand for a broker.

use bytes::Bytes;
use pointsman_core::producer_ids::ProducerIds;
use pointsman_wire::{
    sample::record_batch,
    schema::{Field, Type},
    value::{Struct, Value},
};
use uuid::Uuid;

pub(crate) const NODES: [i32; 2] = [7701, 7702];
pub(crate) const REAL_HOST: &str = "real-broker.internal";
pub(crate) const REAL_PORT: u16 = 19_092;
pub(crate) const REAL_CLUSTER: &str = "REAL-cluster-id-000000";
pub(crate) const REAL_TOPIC: Uuid = Uuid::from_u128(0x7ea1_7ea1_7ea1_7ea1_7ea1_7ea1_7ea1_7ea1);
pub(crate) const REAL_DIRECTORY: Uuid = Uuid::from_u128(0xd1d1_d1d1_d1d1_d1d1_d1d1_d1d1_d1d1_d1d1);
pub(crate) const REAL_EPOCH: i32 = 77_003;
pub(crate) const REAL_PRODUCER: i64 = 770_077;

/// So many that a slot is told from other numbers.
pub(crate) const SLOTS: u16 = 1000;
/// Slots that stand for the two nodes, the first of which are 0 and 1.
pub(crate) const ASKED_SLOTS: [i32; 2] = [876, 877];
pub(crate) const PROXY_HOST: &str = "proxy.example.com";
pub(crate) const FIRST_PORT: u16 = 9092;
pub(crate) const VIRTUAL_CLUSTER: &str = "VIRTUAL-cluster-id-000";
pub(crate) const EPOCH_BASE: i32 = 1_000_000;
pub(crate) const TERM: u32 = 3;

/// Configurations whose value holds node ids.
const REPLICAS: &str = "leader.replication.throttled.replicas";

/// From which side an identifier is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    Real,
    Shown,
    Asked,
}

pub(crate) fn producers() -> ProducerIds {
    ProducerIds::new("main", TERM)
}

impl Face {
    fn node(self, number: usize) -> i32 {
        match self {
            Self::Real => NODES[number],
            Self::Shown => i32::try_from(number).expect("small"),
            Self::Asked => ASKED_SLOTS[number],
        }
    }

    fn epoch(self) -> i32 {
        if self == Self::Real { REAL_EPOCH } else { EPOCH_BASE + REAL_EPOCH }
    }

    fn producer(self) -> i64 {
        if self == Self::Real { REAL_PRODUCER } else { producers().given(REAL_PRODUCER).expect("fits") }
    }

    fn cluster(self) -> &'static str {
        if self == Self::Real { REAL_CLUSTER } else { VIRTUAL_CLUSTER }
    }

    /// `partition:node`, as a configuration lists throttled replicas.
    fn replicas(self) -> String {
        format!("0:{},1:{}", self.node(0), self.node(1))
    }

    /// The value of a field that identifies something; `None`: it identifies nothing.
    pub(crate) fn value(self, key: i16, path: &str, field: &Field, virtual_topic: Uuid) -> Option<Value> {
        if is_somebody_elses(key, path) {
            return None;
        }
        let real = self == Self::Real;
        let name = field.name;
        Some(match &field.ty {
            Type::Int32 if is_node(name) => self.node(0).into(),
            Type::Array(Type::Int32) if is_node_list(name) => {
                vec![Value::from(self.node(0)), Value::from(self.node(1))].into()
            }
            Type::String if name == "Host" => if real { REAL_HOST } else { PROXY_HOST }.into(),
            Type::Int32 | Type::Uint16 if name == "Port" => {
                i32::from(if real { REAL_PORT } else { FIRST_PORT }).into()
            }
            Type::String if name == "ClusterId" => self.cluster().into(),
            // Of a follower's Fetch: clients have none to give.
            Type::Uuid if name.contains("Directory") && key == 1 => Value::Uuid([0; 16]),
            Type::Uuid if name.contains("Directory") => {
                Value::Uuid(if real { REAL_DIRECTORY } else { Uuid::nil() }.into_bytes())
            }
            Type::Uuid if name == "TopicId" => {
                Value::Uuid(if real { REAL_TOPIC } else { virtual_topic }.into_bytes())
            }
            Type::Int32 if is_epoch(path) => self.epoch().into(),
            Type::Int64 if name.ends_with("ProducerId") => self.producer().into(),
            Type::Array(Type::Int64) if name == "ProducerIdFilters" => {
                vec![Value::from(self.producer())].into()
            }
            Type::Records => self.batch(key).into(),
            _ => return self.configuration(key, path, field),
        })
    }

    /// Resources that are brokers are named by their node id, and the values of some configurations are addresses and ids.
    fn configuration(self, key: i16, path: &str, field: &Field) -> Option<Value> {
        const BROKER: i32 = 4;
        if !matches!(key, 19 | 32 | 33 | 44 | 74) {
            return None;
        }
        match field.name {
            "ResourceType" => Some(BROKER.into()),
            "ResourceName" => Some(self.node(0).to_string().into()),
            "Name" if path.ends_with("Configs.Name") => Some(REPLICAS.into()),
            "Value" => Some(self.replicas().into()),
            _ => None,
        }
    }

    /// A batch as it is on the way: consumers see the epoch of its leader, brokers look at its producer.
    fn batch(self, key: i16) -> Bytes {
        if key != 0 {
            return record_batch(5, self.epoch());
        }
        let mut batch = record_batch(0, -1).to_vec();
        batch[43..51].copy_from_slice(&self.producer().to_be_bytes());
        batch[51..57].copy_from_slice(&[0; 6]);
        let crc = crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        batch.into()
    }
}

/// CRC-32C bit by bit, of its own so that the one under test is not believed.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// Addresses of clients and of Streams applications, patterns of ACLs, and the ids of aborted transactions, which a consumer
/// compares with those in the batches beside them.
pub(crate) fn is_somebody_elses(key: i16, path: &str) -> bool {
    path.contains("UserEndpoint")
        || path.contains("AbortedTransactions")
        || (matches!(key, 29..=31) && path.ends_with("Host"))
}

fn is_node(name: &str) -> bool {
    let ends =
        ["NodeId", "BrokerId", "LeaderId", "ReplicaId", "ControllerId", "PreferredReadReplica", "VoterId"];
    ends.iter().any(|end| name.ends_with(end))
}

fn is_node_list(name: &str) -> bool {
    ["Nodes", "Replicas", "LastKnownElr", "BrokerIds"].iter().any(|end| name.ends_with(end))
}

fn is_epoch(path: &str) -> bool {
    let names = ["LeaderEpoch", "LastFetchedEpoch", "DivergingEpoch.Epoch", "SnapshotId.Epoch"];
    names.iter().any(|name| path.ends_with(name))
}

/// The first identifier of the cluster in a broker's words, with its path.
pub(crate) fn real_in(body: &Struct) -> Option<String> {
    let is_real = |value: &Value| match value {
        Value::Int(n) => {
            let numbers = [i64::from(REAL_PORT), i64::from(REAL_EPOCH), REAL_PRODUCER];
            numbers.contains(n) || NODES.iter().any(|node| i64::from(*node) == *n)
        }
        Value::String(s) => {
            let texts =
                [REAL_HOST.to_owned(), REAL_CLUSTER.into(), NODES[0].to_string(), NODES[1].to_string()];
            texts.iter().any(|text| s.contains(text))
        }
        Value::Uuid(id) => [REAL_TOPIC, REAL_DIRECTORY].iter().any(|real| real.as_bytes() == id),
        Value::Bytes(bytes) => contains(bytes, &REAL_EPOCH.to_be_bytes()),
        _ => false,
    };
    first(body, "", &is_real)
}

/// The first identifier of the virtual cluster, as clients have them, with its path.
pub(crate) fn virtual_in(body: &Struct, virtual_topic: Uuid) -> Option<String> {
    let is_virtual = |value: &Value| match value {
        Value::Int(n) => {
            let numbers = [i64::from(Face::Asked.epoch()), Face::Asked.producer()];
            numbers.contains(n) || ASKED_SLOTS.iter().any(|slot| i64::from(*slot) == *n)
        }
        Value::String(s) => {
            let texts = [VIRTUAL_CLUSTER.to_owned(), ASKED_SLOTS[0].to_string(), ASKED_SLOTS[1].to_string()];
            texts.iter().any(|text| s.contains(text))
        }
        Value::Uuid(id) => virtual_topic.as_bytes() == id,
        Value::Bytes(bytes) => contains(bytes, &Face::Asked.producer().to_be_bytes()),
        _ => false,
    };
    first(body, "", &is_virtual)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn first(fields: &Struct, path: &str, is_one: &dyn Fn(&Value) -> bool) -> Option<String> {
    fields.fields().find_map(|(name, value)| first_in(value, &format!("{path}.{name}"), is_one))
}

fn first_in(value: &Value, path: &str, is_one: &dyn Fn(&Value) -> bool) -> Option<String> {
    match value {
        // See `is_somebody_elses`.
        Value::Array(_) if path.ends_with(".AbortedTransactions") => None,
        Value::Array(items) => items.iter().find_map(|item| first_in(item, path, is_one)),
        Value::Struct(fields) => first(fields, path, is_one),
        value => is_one(value).then(|| format!("{path} = {value:?}")),
    }
}

/// Where two bodies differ, with what was found and what was expected.
pub(crate) fn difference(found: &Struct, expected: &Struct, path: &str) -> Option<String> {
    let names = expected.fields().map(|(name, _)| name).chain(found.fields().map(|(name, _)| name));
    names.into_iter().find_map(|name| {
        let path = format!("{path}.{name}");
        differ(found.get(name), expected.get(name), &path)
    })
}

pub(crate) fn differ(found: &Value, expected: &Value, path: &str) -> Option<String> {
    match (found, expected) {
        (Value::Struct(found), Value::Struct(expected)) => difference(found, expected, path),
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            found.iter().zip(expected).find_map(|(found, expected)| differ(found, expected, path))
        }
        // An absent tagged field is read as nothing.
        (Value::Null, Value::Int(0) | Value::Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])) => None,
        _ => (found != expected).then(|| format!("{path} = {found:?}, expected {expected:?}")),
    }
}

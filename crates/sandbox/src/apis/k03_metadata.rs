//! Metadata: the brokers that live, and topics as this broker knows them.

use super::{Answer, Call, HOST, array, ints};
use crate::{
    errors::{INVALID_TOPIC, LEADER_NOT_AVAILABLE, NONE, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION},
    world::{Coordinated, Image, Partition, Topic, World},
};
use pointsman_wire::{Struct, Value};
use uuid::Uuid;

/// What is answered for operations that nobody asked about.
const NO_OPERATIONS: i64 = i32::MIN as i64;
/// All operations that a topic, or a cluster, has.
const TOPIC_OPERATIONS: i64 = 0x0df8;
const CLUSTER_OPERATIONS: i64 = 0x37a0;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let world = call.shared.lock();
    let view = &world.brokers[call.broker].view;
    let brokers = view.live().map(|b| broker(&world, b));
    let topics: Vec<Struct> = if wants_all(call) {
        view.topics.iter().map(|(name, topic)| told(call, &world, view, name, topic)).collect()
    } else {
        call.request.structs("Topics").map(|asked| one(call, &world, view, asked)).collect()
    };
    let operations = call.request.bool("IncludeClusterAuthorizedOperations");
    Answer::Body(
        Struct::new()
            .with("Brokers", array(brokers))
            .with("ClusterId", world.cluster_id.as_str())
            .with("ControllerId", controller(&world, call.broker))
            .with("Topics", array(topics))
            .with("ClusterAuthorizedOperations", if operations { CLUSTER_OPERATIONS } else { NO_OPERATIONS }),
    )
}

/// In KRaft any live broker is named: changes of metadata are forwarded.
pub(super) fn controller(world: &World, broker: usize) -> i32 {
    let view = &world.brokers[broker].view;
    world.opt_node_id(view.live().nth(usize::try_from(view.offset).unwrap_or(0) % view.live().count().max(1)))
}

fn wants_all(call: &Call<'_>) -> bool {
    let topics = call.request.get("Topics");
    topics.is_null() || (call.version == 0 && topics.as_array().is_empty())
}

fn broker(world: &World, broker: usize) -> Struct {
    Struct::new()
        .with("NodeId", world.node_id(broker))
        .with("Host", HOST)
        .with("Port", i32::from(world.brokers[broker].port))
        .with("Rack", Value::Null)
}

fn one(call: &Call<'_>, world: &World, view: &Image, asked: &Struct) -> Struct {
    let id = Uuid::from_bytes(asked.uuid("TopicId"));
    let name = asked.opt_str("Name");
    let known = match name {
        Some(name) => view.topics.get_key_value(name),
        None => view.name_of(id).and_then(|name| view.topics.get_key_value(name)),
    };
    if let Some((name, topic)) = known {
        return told(call, world, view, name, topic);
    }
    let code = match name {
        None => UNKNOWN_TOPIC_ID,
        Some(name) if !valid_name(name) => INVALID_TOPIC,
        Some(_) => UNKNOWN_TOPIC_OR_PARTITION,
    };
    Struct::new()
        .with("ErrorCode", code)
        .with("Name", asked.get("Name").clone())
        .with("TopicId", Value::Uuid(if name.is_none() { id.into_bytes() } else { [0; 16] }))
        .with("IsInternal", false)
        .with("Partitions", array([]))
        .with("TopicAuthorizedOperations", NO_OPERATIONS)
}

/// 1 to 249 of letters, digits, dot, underscore and dash, and not "." or "..".
pub(super) fn valid_name(name: &str) -> bool {
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    legal && (1..=249).contains(&name.len()) && name != "." && name != ".."
}

fn told(call: &Call<'_>, world: &World, view: &Image, name: &str, topic: &Topic) -> Struct {
    let partitions = (0..).zip(&topic.partitions).map(|(index, p)| partition(world, view, index, p));
    let operations = call.request.bool("IncludeTopicAuthorizedOperations");
    Struct::new()
        .with("ErrorCode", NONE)
        .with("Name", name)
        .with("TopicId", Value::Uuid(topic.id.into_bytes()))
        .with("IsInternal", Coordinated::ALL.iter().any(|kind| kind.topic() == name))
        .with("Partitions", array(partitions))
        .with("TopicAuthorizedOperations", if operations { TOPIC_OPERATIONS } else { NO_OPERATIONS })
}

/// One partition, also for DescribeTopicPartitions, which has the same fields.
pub(super) fn partition(world: &World, view: &Image, index: i32, p: &Partition) -> Struct {
    let nodes = |brokers: &[usize]| ints(brokers.iter().map(|b| world.node_id(*b)));
    let offline: Vec<usize> = p.replicas.iter().copied().filter(|b| view.fenced[*b]).collect();
    Struct::new()
        .with("ErrorCode", if p.leader.is_some() { NONE } else { LEADER_NOT_AVAILABLE })
        .with("PartitionIndex", index)
        .with("LeaderId", world.opt_node_id(p.leader))
        .with("LeaderEpoch", p.leader_epoch)
        .with("ReplicaNodes", nodes(&p.replicas))
        .with("IsrNodes", nodes(&p.isr))
        .with("OfflineReplicas", nodes(&offline))
}

//! Metadata: any broker knows. Clients see every slot as a live broker; what the answer says of leaders is remembered.

use super::{Context, Fail, Route, Rule};
use crate::{
    config::Address,
    topology::{Observation, Partition, Topic},
};
use pointsman_wire::value::{Struct, Value};
use uuid::Uuid;

pub(super) const RULE: Rule =
    Rule { edit_response: Some(show_slots), ..Rule::new(3, Route::Any, Fail::Replay) };

/// All slots, always: also those whose broker is dead, and those that share one.
fn show_slots(response: &mut Struct, cx: &Context<'_>) {
    let brokers = slots(cx, "NodeId");
    response.set("Brokers", brokers);
}

/// The virtual brokers as an array of structs with their id in `id`.
pub(super) fn slots(cx: &Context<'_>, id: &'static str) -> Vec<Struct> {
    let slots = &cx.virtual_cluster.slots;
    let broker = |(slot, address): (usize, &Address)| {
        let node = cx.topology.brokers_of(slot, slots.len()).first().copied();
        let rack = node.and_then(|n| cx.topology.brokers.get(&n)).and_then(|b| b.rack.as_deref());
        Struct::new()
            .with(id, i32::try_from(slot).unwrap_or(i32::MAX))
            .with("Host", &*address.host)
            .with("Port", i32::from(address.port))
            .with("Rack", rack)
    };
    slots.iter().enumerate().map(broker).collect()
}

/// What a Metadata response, still with real ids, says of the cluster.
pub fn observe(response: &Struct, all_topics: bool) -> Observation {
    let broker = |b: &Struct| {
        let address = Address { host: b.str("Host").into(), port: u16::try_from(b.i32("Port")).unwrap_or(0) };
        (b.i32("NodeId"), address, b.opt_str("Rack").map(Into::into))
    };
    Observation {
        cluster_id: response.opt_str("ClusterId").map(Into::into),
        controller: Some(response.i32("ControllerId")).filter(|id| *id >= 0 && response.has("ControllerId")),
        brokers: response.structs("Brokers").map(broker).collect(),
        topics: response.structs("Topics").filter(|t| t.i16("ErrorCode") == 0).filter_map(topic).collect(),
        all_topics,
    }
}

fn topic(topic: &Struct) -> Option<Topic> {
    let name = topic.opt_str("Name")?.into();
    let listed: Vec<&Struct> = topic.structs("Partitions").collect();
    let count = listed
        .iter()
        .filter_map(|p| usize::try_from(p.i32("PartitionIndex")).ok())
        .max()
        .map_or(0, |i| i + 1);
    // An index that the answer does not justify is refused rather than allocated for.
    if count > listed.len() {
        return None;
    }
    let mut partitions = vec![Partition::UNKNOWN; count];
    for p in listed {
        let Ok(index) = usize::try_from(p.i32("PartitionIndex")) else { continue };
        let epoch = if p.has("LeaderEpoch") { p.i32("LeaderEpoch") } else { -1 };
        partitions[index] = Partition { leader: p.i32("LeaderId"), epoch };
    }
    let id = match topic.get("TopicId") {
        Value::Uuid(bytes) => Uuid::from_bytes(*bytes),
        _ => Uuid::nil(),
    };
    Some(Topic { name, id, partitions })
}

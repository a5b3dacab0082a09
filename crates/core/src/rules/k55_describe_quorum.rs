//! DescribeQuorum: any broker knows. Voters may be controllers that are no brokers: no slot stands for them, and their addresses are
//! none of the client's business.

use super::{Context, Fail, Route, Rule};
use pointsman_wire::value::Struct;
use std::collections::BTreeMap;

/// Its node ids are numbered here, not one by one: clients want each only once.
pub(super) const KEY: i16 = 55;

pub(super) const RULE: Rule =
    Rule { edit_response: Some(to_virtual), ..Rule::new(KEY, Route::Any, Fail::Replay) };

fn to_virtual(response: &mut Struct, cx: &Context<'_>) {
    let mut numbers = BTreeMap::new();
    each_id(response, &mut |id| {
        numbers.insert(id, id);
        id
    });
    number(&mut numbers, cx);
    each_id(response, &mut |id| numbers.get(&id).copied().unwrap_or(-1));
    response.structs_mut("Nodes").for_each(|node| drop(node.remove("Listeners")));
}

/// A broker that a slot stands for gets its number, every other node one above the slots, in the order of their ids.
fn number(numbers: &mut BTreeMap<i32, i32>, cx: &Context<'_>) {
    let mut next = i32::try_from(cx.virtual_cluster.slots.len()).unwrap_or(i32::MAX);
    for (id, number) in numbers.iter_mut().filter(|(id, _)| **id >= 0) {
        let slot = cx.slot(*id);
        if cx.node(slot) == *id {
            *number = slot;
        } else {
            *number = next;
            next = next.saturating_add(1);
        }
    }
}

fn each_id(response: &mut Struct, change: &mut dyn FnMut(i32) -> i32) {
    let mut field = |holder: &mut Struct, name: &'static str| {
        if holder.has(name) {
            let changed = change(holder.i32(name));
            holder.set(name, changed);
        }
    };
    for partition in response.structs_mut("Topics").flat_map(|t| t.structs_mut("Partitions")) {
        field(partition, "LeaderId");
        for replicas in ["CurrentVoters", "Observers"] {
            partition.structs_mut(replicas).for_each(|replica| field(replica, "ReplicaId"));
        }
    }
    response.structs_mut("Nodes").for_each(|node| field(node, "NodeId"));
}

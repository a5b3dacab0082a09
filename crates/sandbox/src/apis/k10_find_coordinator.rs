//! FindCoordinator: the leader of the partition that the data of a group or a transactional id is in.

use super::{Answer, Call, HOST, array};
use crate::{
    errors::{COORDINATOR_NOT_AVAILABLE, INVALID_REQUEST, NONE},
    world::{COORDINATOR_PARTITIONS, Coordinated, Topic, World},
};
use pointsman_wire::{Struct, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

const GROUP: i64 = 0;
const TRANSACTION: i64 = 1;
/// The first version that asks for several at once.
const BATCHED: i16 = 4;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    call.shared.change(|world| {
        let kind = match call.request.int("KeyType") {
            GROUP => Some(Coordinated::Groups),
            TRANSACTION => Some(Coordinated::Transactions),
            _ => None,
        };
        if call.version < BATCHED {
            return Answer::Body(find(call, world, kind, call.request.str("Key"), false));
        }
        let keys = call.request.array("CoordinatorKeys").iter().filter_map(Value::as_str);
        let found: Vec<Struct> = keys.map(|key| find(call, world, kind, key, true)).collect();
        Answer::Body(Struct::new().with("Coordinators", array(found)))
    })
}

fn find(call: &Call<'_>, world: &mut World, kind: Option<Coordinated>, key: &str, named: bool) -> Struct {
    let answer = |code: i16, message: Option<&str>, node: i32, host: &str, port: i32| {
        let told = Struct::new()
            .with("ErrorCode", code)
            .with("ErrorMessage", message.map_or(Value::Null, Value::from))
            .with("NodeId", node)
            .with("Host", host)
            .with("Port", port);
        if named { told.with("Key", key) } else { told }
    };
    let Some(kind) = kind else {
        let message = "the sandbox has groups and transactions, but no share groups";
        return answer(INVALID_REQUEST, Some(message), -1, "", -1);
    };
    let Some(broker) = coordinator(call, world, kind, key) else {
        return answer(COORDINATOR_NOT_AVAILABLE, None, -1, "", -1);
    };
    answer(NONE, None, world.node_id(broker), HOST, i32::from(world.brokers[broker].port))
}

/// The coordinators' topic is made when it is first needed, and served from the next request on.
fn coordinator(call: &Call<'_>, world: &mut World, kind: Coordinated, key: &str) -> Option<usize> {
    let view = &world.brokers[call.broker].view;
    if view.topics.contains_key(kind.topic()) {
        return view.coordinator(kind, key);
    }
    if world.controller_for(call.broker).is_some() && !world.image.topics.contains_key(kind.topic()) {
        let count = usize::try_from(COORDINATOR_PARTITIONS).unwrap_or(1);
        let partitions = world.place(0, count, world.spec.replication())?;
        let configs = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        world.add_topic(kind.topic(), Topic { id: Uuid::new_v4(), partitions, configs });
    }
    None
}

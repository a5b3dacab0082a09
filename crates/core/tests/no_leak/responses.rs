//! From brokers to clients.

use crate::{
    identifiers::{Face, REAL_PRODUCER, difference, producers, real_in},
    world::{World, offered},
};
use pointsman_core::rules;
use pointsman_wire::value::{Struct, Value};

#[test]
fn nothing_real_reaches_a_client_in_any_api_and_version_offered() {
    for (key, version) in offered() {
        let shown = World::new().through(key, version);
        if let Some(leak) = real_in(&shown) {
            panic!("api key {key} version {version} leaks {leak}");
        }
    }
    assert!(offered().len() > 250, "only {} api versions were checked", offered().len());
}

#[test]
fn every_identifier_becomes_the_virtual_one_and_nothing_else_changes() {
    for (key, version) in offered() {
        let mut world = World::new();
        let mut expected = world.response(key, version, Face::Shown);
        let mut shown = world.through(key, version);
        for body in [&mut expected, &mut shown] {
            set_aside(key, body);
        }
        if let Some(difference) = difference(&shown, &expected, "") {
            panic!("api key {key} version {version}: {difference}");
        }
    }
}

/// What is not translated but made here; it has tests of its own.
fn set_aside(key: i16, body: &mut Struct) {
    if matches!(key, 3 | 60) {
        body.remove("Brokers");
    }
    if key == 55 {
        body.structs_mut("Nodes").for_each(|node| drop(node.remove("Listeners")));
    }
}

#[test]
fn the_check_would_see_a_leak_in_every_api_that_carries_identifiers() {
    let world = World::new();
    for key in [0, 1, 3, 10, 22, 26, 27, 32, 33, 44, 46, 55, 60, 61, 65, 66, 74, 75, 78, 79, 90] {
        let (_, max) = rules::ours().apis[&key];
        assert!(real_in(&world.response(key, max, Face::Real)).is_some(), "api key {key}");
    }
}

#[test]
fn producer_ids_that_come_out_are_those_that_clients_have() {
    let given = producers().given(REAL_PRODUCER).expect("fits");
    assert_eq!(World::new().through(22, 4).int("ProducerId"), given);
    assert_eq!(World::new().through(26, 5).int("ProducerId"), given);
    let marked = World::new().through(27, 1);
    assert!(marked.structs("Markers").all(|marker| marker.int("ProducerId") == given));
    for key in [65, 66] {
        let shown = World::new().through(key, 0);
        assert!(shown.structs("TransactionStates").all(|state| state.int("ProducerId") == given));
    }
}

#[test]
fn node_ids_and_addresses_that_come_out_are_those_of_slots() {
    let metadata = World::new().through(3, 12);
    let brokers: Vec<_> = metadata.structs("Brokers").map(|b| (b.i32("NodeId"), b.i32("Port"))).collect();
    assert_eq!(brokers, (0..1000).map(|n| (n, 9092 + n)).collect::<Vec<_>>());
    let described = World::new().through(60, 1);
    assert_eq!(described.array("Brokers").len(), brokers.len(), "every slot is a live broker there too");
    let partition =
        metadata.structs("Topics").next().and_then(|t| t.structs("Partitions").next()).expect("one");
    assert_eq!((partition.i32("LeaderId"), partition.array("ReplicaNodes").len()), (0, 2));
    let coordinator = World::new().through(10, 2);
    assert_eq!(
        (coordinator.i32("NodeId"), coordinator.str("Host"), coordinator.i32("Port")),
        (0, "proxy.example.com", 9092)
    );
}

#[test]
fn configurations_show_neither_addresses_nor_real_ids() {
    let configs = [
        ("advertised.listeners", Value::Null),
        ("host.name", Value::Null),
        ("node.id", Value::from("0")),
        ("follower.replication.throttled.replicas", Value::from("0:0,1:1")),
        ("num.io.threads", Value::from("0:7701,1:7702")),
    ];
    for (name, expected) in configs {
        let mut world = World::new();
        let sent = world.ask(32, 4);
        let mut body = world.response(32, 4, Face::Real);
        body.structs_mut("Results").flat_map(|r| r.structs_mut("Configs")).for_each(|c| c.set("Name", name));
        let shown = world.respond(32, 4, &sent, &body);
        let configs: Vec<&Struct> = shown.structs("Results").flat_map(|r| r.structs("Configs")).collect();
        let synonyms = configs.iter().flat_map(|c| c.structs("Synonyms"));
        let values: Vec<&Value> = configs.iter().copied().chain(synonyms).map(|c| c.get("Value")).collect();
        assert!(values.len() > 4 && values.iter().all(|value| **value == expected), "{name}: {values:?}");
    }
}

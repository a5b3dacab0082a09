//! From clients to brokers.

use crate::{
    identifiers::{Face, difference, virtual_in},
    world::{World, offered},
};
use pointsman_core::rules;
use pointsman_wire::value::{self, Struct};

/// What a broker gets when a client fills every field.
fn sent(world: &mut World, key: i16, version: i16) -> Struct {
    let sent = world.ask(key, version);
    let (found, at, .., body) =
        value::decode_request(&sent.frame.slice(4..)).expect("a broker can decode it");
    assert_eq!((found, at), (key, version));
    body
}

#[test]
fn nothing_virtual_reaches_a_broker_in_any_api_and_version_offered() {
    for (key, version) in offered() {
        let mut world = World::new();
        let sent = sent(&mut world, key, version);
        if let Some(leak) = virtual_in(&sent, world.virtual_topic) {
            panic!("api key {key} version {version} sends {leak}");
        }
    }
}

#[test]
fn every_identifier_becomes_the_real_one_and_nothing_else_changes() {
    for (key, version) in offered() {
        let mut world = World::new();
        let mut expected = world.request(key, version, Face::Real);
        if key == 1 && expected.has("RackId") {
            // A consumer's rack would make the leader send it to another broker.
            expected.set("RackId", "-".repeat(expected.str("RackId").len()));
        }
        let sent = sent(&mut world, key, version);
        if let Some(difference) = difference(&sent, &expected, "") {
            panic!("api key {key} version {version}: {difference}");
        }
    }
}

#[test]
fn the_check_would_see_a_leak_in_every_api_that_carries_identifiers() {
    let world = World::new();
    for key in [0, 1, 2, 3, 8, 9, 19, 20, 22, 23, 24, 25, 26, 28, 32, 33, 37, 44, 45, 64, 66, 68, 78, 79] {
        let (_, max) = rules::ours().apis[&key];
        let body = world.request(key, max, Face::Asked);
        assert!(virtual_in(&body, world.virtual_topic).is_some(), "api key {key}");
    }
}

//! A session takes no more memory for a frame than its bytes justify, whatever they say.

use crate::{
    bodies::{fetch, list_offsets, metadata, produce},
    counting::peak,
    harness::Rig,
};
use pointsman_core::{limits, rules};
use pointsman_wire::{
    sample::sample,
    tables,
    value::{self, Struct, Value},
};

/// Bytes that a session may have in use at its peak while it takes in a frame, per byte of it. Most of it takes the refusal of a request that
/// asks for many keys of no length: an answer of 12 bytes for each. What each kind of request may cost is in `bound`.
const PER_BYTE: usize = 48;
/// And beside that, for small frames.
const FIXED: usize = 64 << 10;

fn check(what: &str, frame: &[u8], used: usize) {
    let allowed = FIXED + PER_BYTE * frame.len();
    println!("{what}: {} bytes took {used}, {} a byte", frame.len(), used / frame.len());
    assert!(used <= allowed, "{what}: {used} bytes for {} bytes, allowed are {allowed}", frame.len());
}

/// The peak while the session takes the frame in, and while a switch ends it.
fn request(what: &str, rig: &mut Rig, frame: &[u8]) {
    let used = peak(|| rig.feed(frame));
    check(what, frame, used);
    let used = peak(|| rig.switch());
    check(&format!("{what}, then a switch"), frame, used);
}

fn encoded(key: i16, version: i16, body: &Struct) -> Vec<u8> {
    value::encode_request(key, version, 1, Some("client"), body).expect("encodes")
}

#[test]
fn requests_of_every_api_and_their_damaged_forms_stay_within_the_bound() {
    for (key, (min, max)) in rules::ours().apis {
        for version in [min, max] {
            let message = tables::request(key, version).expect("offered");
            let body = sample(message, version, &mut |_, f| (f.name == "ReplicaId").then(|| (-1).into()));
            let frame = encoded(key, version, &body);
            for at in (8..frame.len()).step_by(7) {
                let mut damaged = frame.clone();
                damaged[at] ^= 0xff;
                request(&format!("api {key} version {version}"), &mut Rig::new(), &damaged);
            }
        }
    }
}

#[test]
fn requests_of_very_many_small_things_stay_within_the_bound() {
    let indices: Vec<i32> = (0..50_000).collect();
    let places: &[(&str, &[i32])] = &[("orders", &indices)];
    let names: Vec<Struct> = (0..100_000).map(|_| Struct::new().with("Name", "")).collect();
    let groups: Vec<Value> = (0..100_000).map(|_| Value::from("")).collect();
    let many = [
        ("ListOffsets", encoded(2, 7, &list_offsets(places))),
        ("Fetch", encoded(1, 12, &fetch(places))),
        ("Produce", encoded(0, 9, &produce(&[("orders", &indices[..8_000])], -1, None))),
        ("Metadata", encoded(3, 9, &metadata().with("Topics", names))),
        ("DescribeGroups", encoded(15, 5, &Struct::new().with("Groups", groups))),
    ];
    for (what, frame) in many {
        assert!(frame.len() < limits::MAX_CONTROL_REQUEST);
        request(what, &mut Rig::new(), &frame);
        let mut rig = Rig::new();
        rig.no_cluster();
        request(&format!("{what}, without a cluster"), &mut rig, &frame);
    }
}

#[test]
fn responses_of_very_many_small_things_stay_within_the_bound() {
    for (key, version, body) in [(3, 9, metadata()), (1, 12, fetch(&[("orders", &[0])]))] {
        let mut rig = Rig::new();
        rig.ask(key, version, &body);
        let sent = rig.sent_one();
        let partitions: Vec<Struct> = (0..50_000).map(|_| Struct::new()).collect();
        let topic = Struct::new().with("Partitions", partitions);
        let array = if key == 3 { "Topics" } else { "Responses" };
        let answer = Struct::new().with(array, vec![topic]);
        let frame = value::encode_response(key, version, sent.correlation, &answer).expect("encodes");
        let used = peak(|| rig.respond(sent.to, &frame));
        check(&format!("answer of api {key}"), &frame, used);
    }
}

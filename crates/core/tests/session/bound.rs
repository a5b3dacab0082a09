//! What very many tiny things cost: a session's memory is bounded by the bytes that it got and those that it gives, whatever a
//! request or an answer is made of. Every api, its oldest and its newest version, every way that a request can go.

use crate::{
    counting::peak,
    harness::{Rig, Sent, cluster, primary_topics},
};
use bytes::Bytes;
use pointsman_core::{
    limits,
    metrics::CloseReason,
    rules::{self, Fail, Keys, Partitions, Route, Rule},
    session::stream::Intake,
    topology::CoordinatorKind,
};
use pointsman_wire::{
    schema::{Entity, Field, Message, Type},
    tables,
    value::{self, Struct, Value},
};
use std::collections::BTreeMap;

/// Bytes of a frame: small, because each is fed many times. What is bounded is bounded per byte.
const FRAME: usize = 8 << 10;
/// For what does not grow with the frame.
const FIXED: usize = 48 << 10;

/// What a session may take at its peak per byte that it got, and per byte that it gives: a buffer that grows is copied from one half
/// its size, so that for a moment three times as much is there.
#[derive(Clone, Copy)]
struct Bound {
    got: usize,
    given: usize,
}

/// It goes on whole, and so does its answer: a copy, and what is remembered of each partition (48 bytes for 4 on the wire) or key.
const PASS: Bound = Bound { got: 44, given: 3 };
/// It is answered here: the same, and the answer twice.
const REFUSE: Bound = Bound { got: 44, given: 4 };
/// It is cut into parts, or put together from them: where each begins.
const SPLIT: Bound = Bound { got: 44, given: 4 };
/// It is decoded and encoded again, because text in it must change: 56 bytes for a field of one byte.
const EDIT: Bound = Bound { got: 72, given: 4 };

/// Peaks by what was done, for the one who reads the output.
#[derive(Default)]
struct Peaks(BTreeMap<&'static str, (usize, String)>);

impl Peaks {
    fn check(&mut self, kind: &'static str, what: &str, bound: Bound, got: usize, given: usize, used: usize) {
        let per_byte = used.saturating_sub(FIXED) / got.max(1);
        let worst = self.0.entry(kind).or_default();
        if per_byte >= worst.0 {
            *worst = (per_byte, format!("{what}: {got} bytes got, {given} given, {used} used"));
        }
        let allowed = FIXED + bound.got * got + bound.given * given;
        assert!(used <= allowed, "{kind}, {what}: {used} bytes for {got} and {given}, allowed are {allowed}");
    }

    fn print(&self) {
        self.0.iter().for_each(|(kind, (per_byte, what))| println!("{kind}: {per_byte} a byte, {what}"));
    }
}

/// The message with one of its arrays as long as a frame allows, and everything else at its default; one for each array.
fn longest(message: &'static Message, version: i16) -> Vec<(String, Struct)> {
    let mut found = Vec::new();
    arrays(message.fields, version, &mut |path| {
        let with = |count: usize| plain(message).with_array(path, count);
        let size = |count| encoded(message, version, &with(count)).len();
        let each = size(2) - size(1);
        let count = ((FRAME - size(0).min(FRAME)) / each.max(1)).min(limits::REQUEST_ENTRIES - 100);
        found.push((path.iter().map(|f| f.name).collect::<Vec<_>>().join("."), with(count)));
    });
    found
}

/// A request that calls itself no replica, and wants an answer.
fn plain(message: &'static Message) -> Struct {
    let is_meant = |field: &&Field| matches!(field.name, "ReplicaId" | "Acks");
    message.fields.iter().filter(is_meant).fold(Struct::new(), |body, field| body.with(field.name, -1))
}

fn encoded(message: &'static Message, version: i16, body: &Struct) -> Vec<u8> {
    let mut bytes = Vec::new();
    value::encode(message, version, body, &mut bytes).expect("encodes");
    bytes
}

/// Calls `visit` with the path to each array of the version.
fn arrays(fields: &'static [Field], version: i16, visit: &mut dyn FnMut(&[&'static Field])) {
    for field in fields.iter().filter(|f| f.in_sequence(version)) {
        if matches!(field.ty, Type::Array(_)) {
            visit(&[field]);
            arrays(field.ty.fields(), version, &mut |inner| visit(&[&[field], inner].concat()));
        }
    }
}

trait WithArray {
    fn with_array(self, path: &[&'static Field], count: usize) -> Self;
}

impl WithArray for Struct {
    /// One element at each step of the way, and `count` at its end.
    fn with_array(self, path: &[&'static Field], count: usize) -> Self {
        let [field, rest @ ..] = path else { return self };
        let elements: Vec<Value> = match rest {
            [] => (0..count).map(|_| tiny(field)).collect(),
            _ => vec![Struct::new().with_array(rest, count).into()],
        };
        self.with(field.name, elements)
    }
}

/// The smallest element of an array.
fn tiny(array: &Field) -> Value {
    match array.ty {
        Type::Array(Type::Struct(_)) => Struct::new().into(),
        Type::Array(Type::String) => "".into(),
        Type::Array(Type::Uuid) => [0; 16].into(),
        Type::Array(Type::Bytes) => Bytes::new().into(),
        _ => 0.into(),
    }
}

fn frame(key: i16, version: i16, body: &Struct) -> Vec<u8> {
    value::encode_request(key, version, 1, Some("client"), body).expect("encodes")
}

fn each_version(mut visit: impl FnMut(&'static Rule, i16)) {
    for (key, (min, max)) in rules::ours().apis {
        let rule = rules::rule(key).expect("it is ours");
        visit(rule, min);
        if max != min {
            visit(rule, max);
        }
    }
}

fn is_edited(rule: &Rule) -> bool {
    // The refusals of these are made from all of the request.
    rule.edit_request.is_some() || matches!(rule.route, Route::Slot(_) | Route::ConfigResources)
}

/// Every broker of the primary fails until nobody is left.
fn all_fail(rig: &mut Rig) {
    for _ in 0..4 {
        for node in [1, 2, 3, -1000, -1001] {
            rig.fail(node, 0);
        }
    }
}

fn given(rig: &mut Rig) -> usize {
    let sent: usize = rig.sent_bytes().iter().map(Bytes::len).sum();
    sent + rig.raw_replies().iter().map(Bytes::len).sum::<usize>()
}

#[test]
fn requests_of_every_api_cost_a_small_multiple_wherever_they_go() {
    let mut peaks = Peaks::default();
    each_version(|rule, version| {
        let message = tables::request(rule.key, version).expect("offered");
        for (path, body) in longest(message, version) {
            let frame = frame(rule.key, version, &body);
            let what = format!("{} {version} {path}", message.name);
            let of = |bound| if is_edited(rule) { EDIT } else { bound };

            let mut rig = Rig::new();
            let used = peak(|| rig.feed(&frame));
            peaks.check("passes", &what, of(PASS), frame.len(), given(&mut rig), used);
            assert!(
                rig.close.is_none() || rig.close.as_ref().is_some_and(|c| c.reason != CloseReason::TooLarge)
            );
            let used = peak(|| rig.switch());
            peaks.check("is ended by a switch", &what, of(REFUSE), frame.len(), given(&mut rig), used);

            let mut rig = Rig::new();
            rig.feed(&frame);
            let used = peak(|| rig.wait(limits::LOOKUP_WAIT));
            peaks.check("waits for a topology", &what, of(PASS), frame.len(), given(&mut rig), used);
            let used = peak(|| all_fail(&mut rig));
            peaks.check("is ended by its brokers", &what, of(REFUSE), frame.len(), given(&mut rig), used);

            let mut rig = Rig::new();
            rig.no_cluster();
            let used = peak(|| rig.feed(&frame));
            peaks.check("finds no cluster", &what, of(REFUSE), frame.len(), given(&mut rig), used);
        }
    });
    peaks.print();
}

/// Where the topics of WriteTxnMarkers are.
const MARKERS: &str = "Markers";
const WRITE_TXN_MARKERS: i16 = 27;

/// A request for as many partitions as fit, of two brokers by turns.
fn of_partitions(rule: &Rule, version: i16, shape: &Partitions, rig: &Rig) -> Option<Struct> {
    let message = tables::request(rule.key, version)?;
    let find =
        |fields: &'static [Field], name| fields.iter().find(|f| f.name == name && f.in_sequence(version));
    let markers = find(message.fields, shape.within);
    let topics = find(markers.map_or(message.fields, |markers| markers.ty.fields()), shape.topics)?;
    let by_name = topics.ty.fields().iter().any(|f| f.name == shape.name && f.versions.contains(version));
    let topic = if by_name {
        Struct::new().with(shape.name, "orders")
    } else {
        Struct::new().with("TopicId", *rig.virtual_id("orders").as_bytes())
    };
    let body = |count: i32| {
        let each = (0..count).map(|number| match shape.index {
            "" => Value::from(number % 2),
            index => {
                let entry = Struct::new().with(index, number % 2);
                // Epochs of the first generation.
                let fields =
                    topics.ty.fields().iter().find(|f| f.name == shape.partitions).map(|f| f.ty.fields());
                let epochs = fields.unwrap_or_default().iter().filter(|f| f.entity == Entity::LeaderEpoch);
                epochs.fold(entry, |entry, field| entry.with(field.name, -1)).into()
            }
        });
        let topic = topic.clone().with(shape.partitions, each.collect::<Vec<Value>>());
        let topics = plain(message).with(shape.topics, vec![topic]);
        if markers.is_some() { Struct::new().with(MARKERS, vec![topics]) } else { topics }
    };
    let size = |count| encoded(message, version, &body(count)).len();
    Some(body(i32::try_from(FRAME / (size(2) - size(1))).expect("small")))
}

/// A request for as many keys as fit, of two coordinators by turns.
fn of_keys(rule: &Rule, version: i16, keys: &Keys) -> Option<Struct> {
    let message = tables::request(rule.key, version)?;
    message.fields.iter().find(|f| f.name == keys.keys && f.in_sequence(version))?;
    let body = |count: usize| {
        let each = (0..count).map(|number| {
            let key = ["a", "b"][number % 2];
            if keys.key.is_empty() { key.into() } else { Struct::new().with(keys.key, key).into() }
        });
        plain(message).with(keys.keys, each.collect::<Vec<Value>>())
    };
    let size = |count| encoded(message, version, &body(count)).len();
    Some(body(FRAME / (size(2) - size(1))))
}

/// A broker's answer to its part: an entry for each partition or key, and nothing in it.
fn answer(rule: &Rule, sent: &Sent) -> Vec<u8> {
    let tiny = match rule.route {
        Route::Leaders(shape) => {
            let marker = sent.body.structs(MARKERS).next();
            let topics = marker.unwrap_or(&sent.body).structs(shape.topics).map(|topic| {
                let index =
                    |p: &Value| p.as_int().unwrap_or_else(|| p.as_struct().map_or(0, |p| p.int(shape.index)));
                let each = topic
                    .array(shape.partitions)
                    .iter()
                    .map(|p| Struct::new().with(shape.response_index, index(p)));
                let partitions: Vec<Struct> = each.collect();
                let told = if topic.has("TopicId") {
                    Struct::new().with("TopicId", topic.uuid("TopicId"))
                } else {
                    Struct::new().with(shape.response_name, topic.str(shape.name))
                };
                told.with(shape.response_partitions, partitions)
            });
            let topics = Struct::new().with(shape.response_topics, topics.collect::<Vec<_>>());
            if marker.is_some() { Struct::new().with(MARKERS, vec![topics]) } else { topics }
        }
        Route::Coordinators(_, keys) => {
            let count = sent.body.array(keys.keys).len();
            Struct::new().with(keys.results, vec![Struct::new(); count])
        }
        Route::All(array) => Struct::new().with(array, vec![Struct::new(); 2_000]),
        _ => Struct::new(),
    };
    value::encode_response(sent.key, sent.version, sent.correlation, &tiny).expect("encodes")
}

fn split_rig() -> Rig {
    let primary = cluster("primary", Some(primary_topics()));
    for kind in [CoordinatorKind::Group, CoordinatorKind::Transaction] {
        primary.topology.set_coordinator(kind, "a", Some(1));
        primary.topology.set_coordinator(kind, "b", Some(2));
    }
    Rig::with(primary, None)
}

#[test]
fn requests_that_are_split_and_merged_cost_a_small_multiple() {
    let (mut peaks, mut split) = (Peaks::default(), 0);
    each_version(|rule, version| {
        let body = match (rule.route, rule.fail) {
            (Route::Leaders(shape), _) | (_, Fail::Partitions(shape, _)) => {
                of_partitions(rule, version, shape, &split_rig())
            }
            (Route::Coordinators(_, keys), _) => of_keys(rule, version, keys),
            (Route::All(_), _) => Some(Struct::new()),
            _ => None,
        };
        let Some(body) = body else { return };
        let frame = frame(rule.key, version, &body);
        let what = format!("api {} version {version}", rule.key);

        let mut rig = split_rig();
        let used = peak(|| rig.feed(&frame));
        let sent = rig.sent();
        let out: usize = sent.iter().map(|s| s.len).sum();
        peaks.check("is split", &what, SPLIT, frame.len(), out, used);
        if sent.len() < 2 {
            return;
        }
        split += 1;
        let answers: Vec<_> = sent.iter().map(|sent| (sent.to, answer(rule, sent))).collect();
        let got: usize = answers.iter().map(|(_, answer)| answer.len()).sum();
        let used = peak(|| answers.iter().for_each(|(to, answer)| rig.respond(*to, answer)));
        assert!(rig.close.is_none(), "{what}: {:?}", rig.close);
        let replies = rig.raw_replies();
        assert_eq!(replies.len(), 1, "{what}");
        peaks.check("is merged", &what, SPLIT, got, replies[0].len(), used);

        let mut rig = split_rig();
        rig.feed(&frame);
        let used = peak(|| rig.switch());
        peaks.check("is ended by a switch", &what, REFUSE, frame.len(), given(&mut rig), used);

        let mut rig = split_rig();
        rig.feed(&frame);
        let used = peak(|| rig.fail(1, 0));
        peaks.check("loses a part", &what, REFUSE, frame.len(), given(&mut rig), used);
    });
    peaks.print();
    assert!(split >= 20, "only {split} were split");
}

#[test]
fn answers_of_every_api_cost_a_small_multiple() {
    let mut peaks = Peaks::default();
    each_version(|rule, version| {
        let (asks, message) = (tables::request(rule.key, version), tables::response(rule.key, version));
        let (Some(asks), Some(message)) = (asks, message) else { return };
        for (path, body) in longest(message, version) {
            let mut rig = Rig::new();
            rig.feed(&frame(rule.key, version, &plain(asks)));
            rig.wait(limits::LOOKUP_WAIT);
            let Some(sent) = rig.sent().into_iter().find(|sent| sent.key == rule.key) else { continue };
            let answer = value::encode_response(rule.key, version, sent.correlation, &body).expect("encodes");
            let used = peak(|| rig.respond(sent.to, &answer));
            let what = format!("{} {version} {path}", message.name);
            let bound = if is_decoded(rule) { EDIT } else { PASS };
            peaks.check("is answered", &what, bound, answer.len(), given(&mut rig), used);
        }
    });
    peaks.print();
}

/// Answers whose text must change, or that say where groups are.
fn is_decoded(rule: &Rule) -> bool {
    rule.edit_response.is_some() || matches!(rule.key, 8 | 9 | 10 | 11 | 13 | 28 | 42 | 47)
}

#[test]
fn a_request_that_names_too_many_things_is_refused_before_anything_is_made_of_it() {
    let mut refused = 0;
    for (key, (_, version)) in rules::ours().apis {
        let rule = rules::rule(key).expect("it is ours");
        let message = tables::request(key, version).expect("offered");
        let array = match rule.route {
            Route::Leaders(shape) if shape.within.is_empty() => shape.topics,
            Route::Leaders(shape) => shape.within,
            Route::Coordinators(_, keys) => keys.keys,
            _ => continue,
        };
        let array = message.fields.iter().find(|field| field.name == array).expect("it has one");
        let body = plain(message).with_array(&[array], limits::REQUEST_ENTRIES + 1);
        let frame = frame(key, version, &body);
        let mut rig = Rig::new();
        let used = peak(|| rig.feed(&frame));
        let close = rig.close.take().expect("closed");
        assert_eq!(close.reason, CloseReason::TooLarge, "{}", close.detail);
        assert!(close.detail.contains(&limits::REQUEST_ENTRIES.to_string()), "{}", close.detail);
        // The frame is copied by the test.
        assert!(used <= frame.len() + FIXED, "api {key} version {version}: {used} for {}", frame.len());
        refused += 1;
    }
    assert!(refused >= 12, "only {refused} were refused");
}

/// Of a request with as many entries as are taken in, whatever becomes of it: as the limits say.
const WORST: usize = 110 * limits::REQUEST_ENTRIES;
/// The same of one that is decoded or taken apart, or whose answer is put together.
const WORST_APART: usize = 340 * limits::REQUEST_ENTRIES;

#[test]
fn the_most_that_is_taken_in_of_one_request_costs_what_the_limits_say() {
    let keys = vec![Value::from(""); limits::REQUEST_ENTRIES - 10];
    let indices: Vec<Value> =
        (0..i32::try_from(keys.len()).expect("small")).map(|n| (n % 2).into()).collect();
    let by_index = |name: &'static str| -> Vec<Value> {
        let entry = |index: &Value| Struct::new().with(name, index.clone()).with("CurrentLeaderEpoch", 3);
        indices.iter().map(|index| entry(index).into()).collect()
    };
    let topic = |partitions, entries| Struct::new().with("Name", "orders").with(partitions, entries);
    let marker = Struct::new().with("Topics", vec![topic("PartitionIndexes", indices.clone())]);
    let empty = vec![Value::from(Struct::new()); keys.len()];
    let requests = [
        (15, 5, Struct::new().with("Groups", keys.clone())),
        (65, 0, Struct::new().with("TransactionalIds", keys)),
        (24, 3, Struct::new().with("V3AndBelowTopics", vec![topic("Partitions", indices.clone())])),
        (WRITE_TXN_MARKERS, 2, Struct::new().with(MARKERS, vec![marker])),
        (61, 0, Struct::new().with("Topics", vec![topic("PartitionIndexes", indices.clone())])),
        (
            2,
            7,
            Struct::new()
                .with("ReplicaId", -1)
                .with("Topics", vec![topic("Partitions", by_index("PartitionIndex"))]),
        ),
        (
            1,
            12,
            Struct::new().with("ReplicaId", -1).with(
                "Topics",
                vec![Struct::new().with("Topic", "orders").with("Partitions", by_index("Partition"))],
            ),
        ),
        (19, 7, Struct::new().with("Topics", empty.clone())),
        (32, 4, Struct::new().with("Resources", empty)),
    ];
    for (key, version, body) in requests {
        let frame = frame(key, version, &body);
        drop(body);
        let mut used = Vec::new();
        let mut rig = split_rig();
        used.push(peak(|| rig.feed(&frame)));
        used.push(peak(|| rig.switch()));
        rig.raw_replies();
        // Epochs and producer ids are of before now, so some are refused here, each partition as often as it is named.
        let refused = peak(|| rig.feed(&frame));
        let mut rig = split_rig();
        rig.no_cluster();
        used.push(peak(|| rig.feed(&frame)));
        println!("api {key} version {version}: {} bytes, peaks {used:?}, {refused}", frame.len());
        assert!(refused <= WORST_APART, "api {key} version {version}: {refused}");
        assert!(rig.close.is_none_or(|close| close.reason != CloseReason::TooLarge));
        let apart = key == 1 || is_edited(rules::rule(key).expect("it is ours"));
        let most = if apart { WORST_APART } else { WORST };
        assert!(used.iter().all(|used| *used <= most), "api {key} version {version}: {used:?}");
    }
}

#[test]
fn no_request_is_read_while_those_in_flight_hold_too_much() {
    let mut rig = split_rig();
    let index = |number: i32| Struct::new().with("PartitionIndex", number % 2);
    let partitions: Vec<Struct> = (0..100_000).map(index).collect();
    let topic = Struct::new().with("Name", "orders").with("Partitions", partitions);
    let frame = frame(2, 7, &Struct::new().with("ReplicaId", -1).with("Topics", vec![topic]));
    let mut fed = 0;
    while rig.session.accepts() {
        rig.feed(&frame);
        fed += 1;
    }
    // 48 bytes a partition: three fit, and one may exceed.
    assert_eq!(fed, 4);
    rig.switch();
    assert_eq!(rig.raw_replies().len(), fed);
    assert!(rig.session.accepts(), "they are answered, and hold nothing any more");
}

#[test]
fn answers_that_wait_for_the_first_one_do_not_pile_up() {
    let mut rig = Rig::new();
    let all = Struct::new().with("Topics", Value::Null);
    rig.ask(3, 9, &all);
    let sent = rig.sent_one();
    rig.answer(&sent, &Struct::new());
    rig.raw_replies();
    // Brokers know nothing of each other's answers.
    rig.primary.topology.set_coordinator(CoordinatorKind::Group, "a", Some(2));
    rig.ask(12, 4, &Struct::new().with("GroupId", "a"));
    let first = rig.sent_one();
    for _ in 0..4 {
        rig.ask(3, 9, &all);
    }
    let later = rig.sent();
    assert!(later.iter().all(|sent| sent.to != first.to));
    let topics = vec![Struct::new().with("ErrorCode", 3).with("Name", "x".repeat(30_000)); 300];
    let answer = Struct::new().with("Topics", topics);
    let mut taken = 0;
    for sent in &later {
        let bytes = value::encode_response(3, 9, sent.correlation, &answer).expect("encodes");
        if rig.session.intake(sent.to, bytes.len() - 4) == Intake::Wait {
            break;
        }
        rig.respond(sent.to, &bytes);
        taken += 1;
    }
    assert_eq!(taken, 2, "9 MB each");
    assert!(rig.raw_replies().is_empty());
    // when
    rig.answer(&first, &Struct::new());
    // then
    assert_eq!(rig.raw_replies().len(), 3);
    assert_eq!(rig.session.intake(later[2].to, 9_000_000), Intake::Collect);
}

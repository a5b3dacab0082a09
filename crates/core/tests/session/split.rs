//! A request over several brokers: split by real leader, merged in the order of the request.

use crate::{
    bodies::{
        Places, at, code, each, errors, good, list_offsets, of, offset_for_leader_epoch, places, produce,
    },
    harness::{Rig, Sent, observation, primary_topics, topic},
};
use pointsman_core::Now;
use pointsman_wire::value::{Struct, Value};
use std::time::Duration;

const MIXED: Places<'static> = &[("orders", &[2, 1, 0]), ("lines", &[2, 0])];

/// Feeds a request over three brokers and checks how it is split.
fn split(rig: &mut Rig, key: i16, version: i16, body: &Struct) -> Vec<Sent> {
    rig.ask(key, version, body);
    let sent = rig.sent();
    let split: Vec<_> = sent.iter().map(|s| (s.node, places(s))).collect();
    assert_eq!(
        split,
        [
            (1, vec![at("orders", 2), at("orders", 0)]),
            (2, vec![at("orders", 1), at("lines", 0)]),
            (3, vec![at("lines", 2)]),
        ]
    );
    sent
}

fn answer_backwards(rig: &mut Rig, sent: &[Sent]) {
    for request in sent.iter().rev() {
        assert!(rig.replies().is_empty(), "one answer, when all parts are there");
        rig.answer(request, &good(request));
    }
}

#[test]
fn produce_is_split_by_leader_and_merged_in_the_order_of_the_request() {
    for version in [3, 8, 9, 12] {
        let mut rig = Rig::new();
        let sent = split(&mut rig, 0, version, &produce(MIXED, -1, None));
        answer_backwards(&mut rig, &sent);
        assert_eq!(
            each(0, &rig.reply(), "BaseOffset"),
            [
                of("orders", 2, 1000),
                of("orders", 1, 2000),
                of("orders", 0, 1000),
                of("lines", 2, 3000),
                of("lines", 0, 2000),
            ]
        );
    }
}

#[test]
fn list_offsets_and_offset_for_leader_epoch_are_split_the_same_way() {
    for (key, version, field, body) in [
        (2, 1, "Offset", list_offsets(MIXED)),
        (2, 9, "Offset", list_offsets(MIXED)),
        (23, 3, "EndOffset", offset_for_leader_epoch(MIXED, 3, 3)),
        (23, 4, "EndOffset", offset_for_leader_epoch(MIXED, 3, 3)),
    ] {
        let mut rig = Rig::new();
        let sent = split(&mut rig, key, version, &body);
        answer_backwards(&mut rig, &sent);
        let brokers: Vec<_> = each(key, &rig.reply(), field).iter().map(|e| e.2).collect();
        assert_eq!(brokers, [1, 2, 1, 3, 2], "api key {key}");
    }
}

#[test]
fn parts_carry_the_client_id_that_the_client_gave_itself() {
    let mut rig = Rig::new();
    let sent = split(&mut rig, 0, 9, &produce(MIXED, -1, None));
    assert!(sent.iter().all(|s| s.client_id.as_deref() == Some("client")), "quotas go by it");
}

#[test]
fn a_partition_that_a_broker_leaves_out_is_not_acknowledged() {
    for (key, version, body) in [(0, 9, produce(MIXED, -1, None)), (2, 5, list_offsets(MIXED))] {
        let mut rig = Rig::new();
        let sent = split(&mut rig, key, version, &body);
        for request in &sent[1..] {
            rig.answer(request, &good(request));
        }
        let topics = if key == 0 { "Responses" } else { "Topics" };
        rig.answer(&sent[0], &Struct::new().with(topics, Vec::<Value>::new()));
        assert_eq!(
            errors(key, &rig.reply()),
            [
                code("orders", 2, 6),
                code("orders", 1, 0),
                code("orders", 0, 6),
                code("lines", 2, 0),
                code("lines", 0, 0),
            ]
        );
    }
}

#[test]
fn errors_throttle_and_endpoints_of_all_parts_are_kept() {
    let mut rig = Rig::new();
    let sent = split(&mut rig, 0, 10, &produce(MIXED, -1, None));
    for request in &sent {
        let mut answer = good(request).with("ThrottleTimeMs", 10 * request.node);
        let first =
            answer.structs_mut("Responses").next().and_then(|t| t.structs_mut("PartitionResponses").next());
        let first = first.expect("a partition");
        first.set("ErrorCode", 6);
        let other = request.node % 3 + 1;
        first.set("CurrentLeader", Struct::new().with("LeaderId", other).with("LeaderEpoch", 9));
        let endpoint = Struct::new().with("NodeId", other).with("Host", "real.internal").with("Port", 9000);
        rig.answer(request, &answer.with("NodeEndpoints", vec![endpoint]));
    }
    let reply = rig.reply();
    assert_eq!(reply.i32("ThrottleTimeMs"), 30);
    let mut endpoints: Vec<_> =
        reply.structs("NodeEndpoints").map(|e| (e.i32("NodeId"), e.i32("Port"))).collect();
    endpoints.sort_unstable();
    assert_eq!(endpoints, [(0, 9092), (1, 9093), (2, 9094)]);
    let codes: Vec<_> = errors(0, &reply).iter().map(|e| e.2).collect();
    assert_eq!(codes, [6, 6, 0, 6, 0]);
    assert!(rig.signals.iter().any(|s| matches!(s, pointsman_core::signal::Signal::TopologyStale { .. })));
}

#[test]
fn a_topic_without_partitions_and_one_named_twice_stay_as_they_were_asked() {
    let mut rig = Rig::new();
    rig.ask(2, 5, &list_offsets(&[("orders", &[0]), ("lines", &[]), ("orders", &[1])]));
    for request in rig.sent() {
        rig.answer(&request, &good(&request));
    }
    let reply = rig.reply();
    let names: Vec<_> = reply.structs("Topics").map(|t| t.str("Name").to_owned()).collect();
    assert_eq!(names, ["orders", "lines", "orders"]);
    assert_eq!(each(2, &reply, "Offset"), [of("orders", 0, 1), of("orders", 1, 2)]);
}

#[test]
fn a_partition_without_leader_is_asked_for_at_some_broker_and_its_error_comes_back() {
    let mut rig = Rig::new();
    let mut topics = primary_topics();
    topics.push(topic("headless", 0xa8, &[-1], 4));
    rig.primary.topology.merge(&observation("primary", topics), Now::ZERO);
    rig.tick();
    rig.ask(0, 9, &produce(&[("headless", &[0])], -1, None));
    let sent = rig.sent_one();
    let mut answer = good(&sent);
    for topic in answer.structs_mut("Responses") {
        topic.structs_mut("PartitionResponses").for_each(|p| p.set("ErrorCode", 5));
    }
    rig.answer(&sent, &answer);
    assert_eq!(errors(0, &rig.reply()), [code("headless", 0, 5)]);
}

/// Time that this thread has had of a processor: what else the machine does is not in it.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = stat.split_whitespace().next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanoseconds.expect("nanoseconds on a processor"))
}

/// The shortest of three times that a request for these partitions takes, there and back.
fn time_of(topics: &[(String, Vec<i32>)]) -> Duration {
    let observed = (0_u32..).zip(topics).map(|(n, (name, indices))| {
        let leaders: Vec<i32> =
            indices.iter().map(|i| 1 + i32::from((n + i.cast_unsigned()) % 2 == 1)).collect();
        topic(name, 0x10_0000 + u128::from(n), &leaders, 1)
    });
    let observed: Vec<_> = observed.collect();
    let wanted: Vec<(&str, &[i32])> = topics.iter().map(|(name, indices)| (&**name, &**indices)).collect();
    let once = || {
        let mut rig = Rig::new();
        rig.primary.topology.merge(&observation("primary", observed.clone()), Now::ZERO);
        rig.tick();
        let body = list_offsets(&wanted);
        let started = processor_time();
        rig.ask(2, 5, &body);
        let sent = rig.sent();
        assert_eq!(sent.len(), 2);
        sent.iter().for_each(|request| rig.answer(request, &good(request)));
        assert_eq!(each(2, &rig.reply(), "Offset").len(), topics.iter().map(|t| t.1.len()).sum::<usize>());
        processor_time().saturating_sub(started)
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}

/// Eight times as much takes some eight times as long; were it squared, 64 times.
fn assert_linear(small: Duration, large: Duration) {
    assert!(large < small * 24, "{small:?}, and eight times as much {large:?}");
}

#[test]
fn requests_of_very_many_partitions_are_split_in_linear_time() {
    let wide = |count| vec![("wide".to_owned(), (0..count).collect())];
    assert_linear(time_of(&wide(4_000)), time_of(&wide(32_000)));
}

#[test]
fn requests_of_very_many_topics_are_split_in_linear_time() {
    let many = |count: i32| (0..count).map(|n| (format!("t{n}"), vec![0])).collect::<Vec<_>>();
    assert_linear(time_of(&many(3_000)), time_of(&many(24_000)));
}

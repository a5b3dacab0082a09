//! Topic ids and leader epochs, both ways.

use crate::{
    bodies::{
        Places, each, errors, fetch, good, list_offsets, metadata, offset_for_leader_epoch, produce,
        with_data,
    },
    harness::{BASE, MS, Rig, address, observation, primary_topics, topic},
};
use pointsman_core::{Now, limits};
use pointsman_wire::{
    batch::BatchHeader,
    value::{Struct, Value},
};
use uuid::Uuid;

const ONE: Places<'static> = &[("orders", &[0])];

/// The body with topic ids instead of names.
fn by_id(mut body: Struct, topics: &'static str, name: &str, id: Uuid) -> Struct {
    body.structs_mut(topics).for_each(|t| {
        t.remove(name);
        t.set("TopicId", id.into_bytes());
    });
    body
}

fn with_epoch(epoch: i32) -> Struct {
    let mut body = fetch(ONE);
    let partitions = body.structs_mut("Topics").flat_map(|t| t.structs_mut("Partitions"));
    partitions.for_each(|p| p.set("CurrentLeaderEpoch", epoch));
    body
}

#[test]
fn topic_ids_are_translated_both_ways_on_both_clusters() {
    let mut rig = Rig::new();
    let id = rig.virtual_id("orders");
    for real in [0xa1_u128, 0xb1] {
        for (key, version, topics, response, body) in [
            (0, 13, "TopicData", "Responses", by_id(produce(ONE, -1, None), "TopicData", "Name", id)),
            (1, 16, "Topics", "Responses", by_id(fetch(ONE), "Topics", "Topic", id)),
        ] {
            rig.ask(key, version, &body);
            let sent = rig.sent_one();
            let asked = sent.body.structs(topics).next().expect("a topic").uuid("TopicId");
            assert_eq!(Uuid::from_bytes(asked), Uuid::from_u128(real));
            rig.answer(&sent, &good(&sent));
            let shown = rig.reply().structs(response).next().expect("a topic").uuid("TopicId");
            assert_eq!(Uuid::from_bytes(shown), id);
        }
        rig.switch();
    }
}

#[test]
fn metadata_shows_the_same_id_after_a_switch() {
    let mut rig = Rig::new();
    let mut shown = Vec::new();
    for real in [0xa1_u128, 0xb1] {
        rig.ask(3, 12, &metadata());
        let sent = rig.sent_one();
        let topic = Struct::new().with("Name", "orders").with("TopicId", Uuid::from_u128(real).into_bytes());
        rig.answer(&sent, &Struct::new().with("Topics", vec![topic]));
        shown.push(rig.reply().structs("Topics").next().expect("a topic").uuid("TopicId"));
        rig.switch();
    }
    assert_eq!(shown[0], shown[1]);
    assert_eq!(Uuid::from_bytes(shown[0]), rig.virtual_id("orders"));
}

#[test]
fn an_unknown_real_id_is_held_until_the_topology_knows_it() {
    // given an answer with the id of a topic that was made a moment ago
    let mut rig = Rig::new();
    rig.primary.topology.set_coordinator(pointsman_core::topology::CoordinatorKind::Group, "g", Some(2));
    rig.ask(
        68,
        0,
        &Struct::new().with("GroupId", "g").with("MemberId", "m").with("SubscribedTopicNames", Value::Null),
    );
    let sent = rig.sent_one();
    let partitions = Struct::new().with("TopicId", [7; 16]).with("Partitions", vec![Value::from(0)]);
    let assignment = Struct::new().with("TopicPartitions", vec![partitions]);
    rig.answer(&sent, &Struct::new().with("Assignment", assignment));
    assert!(rig.replies().is_empty() && !rig.signals.is_empty());
    // when
    let mut topics = primary_topics();
    topics.push(topic("new", u128::from_be_bytes([7; 16]), &[1], 0));
    rig.primary.topology.merge(&observation("primary", topics), Now::ZERO);
    rig.tick();
    // then
    let reply = rig.reply();
    let shown =
        reply.nested("Assignment").and_then(|a| a.structs("TopicPartitions").next()).expect("assigned");
    assert_eq!(Uuid::from_bytes(shown.uuid("TopicId")), rig.virtual_id("new"));
}

#[test]
fn an_answer_is_held_for_a_moment_only_and_never_leaks() {
    let mut rig = Rig::new();
    let id = rig.virtual_id("orders");
    rig.ask(1, 16, &by_id(fetch(ONE), "Topics", "Topic", id));
    let sent = rig.sent_one();
    let mut answer = good(&sent);
    answer.structs_mut("Responses").for_each(|t| t.set("TopicId", [7; 16]));
    rig.answer(&sent, &answer);
    rig.wait(limits::LOOKUP_WAIT - MS);
    assert!(rig.replies().is_empty());
    rig.wait(MS);
    assert_eq!(rig.reply().structs("Responses").next().expect("a topic").uuid("TopicId"), [0; 16]);
}

#[test]
fn an_id_that_stands_for_no_topic_comes_back_as_it_was_asked() {
    let mut rig = Rig::new();
    let stranger = Uuid::from_u128(0xdead);
    rig.ask(1, 16, &by_id(fetch(ONE), "Topics", "Topic", stranger));
    let sent = rig.sent_one();
    let mut answer = good(&sent);
    answer
        .structs_mut("Responses")
        .flat_map(|t| t.structs_mut("Partitions"))
        .for_each(|p| p.set("ErrorCode", 100));
    rig.answer(&sent, &answer);
    let reply = rig.reply();
    let topic = reply.structs("Responses").next().expect("a topic");
    assert_eq!(Uuid::from_bytes(topic.uuid("TopicId")), stranger);
    assert_eq!(errors(1, &reply).first().map(|e| e.2), Some(100));
}

#[test]
fn epochs_are_translated_both_ways_after_a_switch() {
    let mut rig = Rig::new();
    rig.switch();
    rig.ask(1, 12, &with_epoch(BASE + 5));
    let sent = rig.sent_one();
    let partition =
        sent.body.structs("Topics").flat_map(|t| t.structs("Partitions")).next().expect("one").clone();
    assert_eq!(partition.i32("CurrentLeaderEpoch"), 5);
    rig.answer(&sent, &with_data(&sent, 5));
    let reply = rig.reply();
    let partition = reply.structs("Responses").flat_map(|t| t.structs("Partitions")).next().expect("one");
    let header = BatchHeader::parse(partition.bytes("Records").expect("data")).expect("a batch");
    assert_eq!(header.partition_leader_epoch, BASE + 5);

    rig.ask(2, 5, &list_offsets(ONE));
    let sent = rig.sent_one();
    rig.answer(&sent, &good(&sent));
    assert_eq!(each(2, &rig.reply(), "LeaderEpoch")[0].2, i64::from(BASE + 3));
    rig.ask(23, 4, &offset_for_leader_epoch(ONE, BASE + 5, BASE + 4));
    let sent = rig.sent_one();
    let partition = sent.body.structs("Topics").flat_map(|t| t.structs("Partitions")).next().expect("one");
    assert_eq!((partition.i32("CurrentLeaderEpoch"), partition.i32("LeaderEpoch")), (5, 4));
}

#[test]
fn epochs_of_a_split_fetch_are_translated_too() {
    let mut rig = Rig::new();
    rig.switch();
    rig.ask(1, 12, &fetch(&[("orders", &[0, 1])]));
    let sent = rig.sent();
    rig.answer(&sent[0], &with_data(&sent[0], 5));
    let reply = rig.reply();
    let batches =
        reply.structs("Responses").flat_map(|t| t.structs("Partitions")).filter_map(|p| p.bytes("Records"));
    let epochs: Vec<_> =
        batches.filter_map(|b| BatchHeader::parse(b)).map(|h| h.partition_leader_epoch).collect();
    assert_eq!(epochs, [BASE + 5]);
}

#[test]
fn the_epoch_of_an_older_generation_is_fenced() {
    let mut rig = Rig::new();
    rig.switch();
    rig.ask(1, 12, &with_epoch(3));
    assert!(rig.sent().is_empty(), "no broker would know it");
    let reply = rig.reply();
    assert_eq!(errors(1, &reply).first().map(|e| e.2), Some(74));
    let partition = reply.structs("Responses").flat_map(|t| t.structs("Partitions")).next().expect("one");
    let leader = partition.nested("CurrentLeader").expect("where to go instead");
    assert_eq!((leader.i32("LeaderId"), leader.i32("LeaderEpoch")), (1, BASE + 5));
    rig.ask(23, 4, &offset_for_leader_epoch(&[("orders", &[0]), ("lines", &[0])], 3, 3));
    assert_eq!(errors(23, &rig.reply()).iter().map(|e| e.2).collect::<Vec<_>>(), [74, 74]);
}

#[test]
fn only_the_partitions_with_old_epochs_are_fenced() {
    let mut rig = Rig::new();
    rig.switch();
    let mut body = list_offsets(&[("orders", &[0, 1])]);
    let partitions = body.structs_mut("Topics").flat_map(|t| t.structs_mut("Partitions"));
    partitions.zip([3, BASE + 5]).for_each(|(p, epoch)| p.set("CurrentLeaderEpoch", epoch));
    rig.ask(2, 5, &body);
    let sent = rig.sent_one();
    assert_eq!(sent.node, 1);
    rig.answer(&sent, &good(&sent));
    assert_eq!(errors(2, &rig.reply()).iter().map(|e| e.2).collect::<Vec<_>>(), [74, 0]);
}

#[test]
fn an_unknown_epoch_stays_unknown() {
    let mut rig = Rig::new();
    rig.switch();
    rig.ask(2, 5, &list_offsets(ONE));
    let sent = rig.sent_one();
    let mut answer = good(&sent);
    answer
        .structs_mut("Topics")
        .flat_map(|t| t.structs_mut("Partitions"))
        .for_each(|p| p.set("LeaderEpoch", -1));
    rig.answer(&sent, &answer);
    assert_eq!(each(2, &rig.reply(), "LeaderEpoch")[0].2, -1);
}

#[test]
fn metadata_of_a_client_that_knows_no_epochs_does_not_make_them_forgotten() {
    // given an answer in a version that has none
    let mut rig = Rig::new();
    rig.ask(3, 4, &Struct::new().with("Topics", Value::Null).with("AllowAutoTopicCreation", false));
    let sent = rig.sent_one();
    let partitions: Vec<_> =
        (0..3).map(|i| Struct::new().with("PartitionIndex", i).with("LeaderId", 3)).collect();
    let brokers: Vec<_> = (1..=3)
        .map(|n| {
            let address = address("primary", n);
            Struct::new().with("NodeId", n).with("Host", &*address.host).with("Port", i32::from(address.port))
        })
        .collect();
    let topic = Struct::new().with("Name", "orders").with("Partitions", partitions);
    // when
    rig.answer(&sent, &Struct::new().with("Brokers", brokers).with("Topics", vec![topic]));
    // then
    let known = rig.primary.topology.load().topics["orders"].partitions[0];
    assert_eq!((known.leader, known.epoch), (1, 3));
}

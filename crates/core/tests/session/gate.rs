//! The order of an idempotent producer's batches around a switch (trap 19 of the reference): a later batch must not reach the
//! new cluster before the one that was failed.

use crate::{
    bodies::{Places, batch, code, errors, good, places, produce},
    harness::{Rig, observation, topic},
};
use pointsman_core::session::Session;
use pointsman_wire::value::Struct;
use std::sync::Arc;

const ONE: Places<'static> = &[("orders", &[0])];

fn send(rig: &mut Rig, places: Places<'_>, sequence: i32) {
    rig.ask(0, 9, &produce(places, -1, Some((7, 0, sequence))));
}

#[test]
fn later_batches_are_refused_until_the_failed_one_has_come_again() {
    // given two batches that a switch failed
    let mut rig = Rig::new();
    send(&mut rig, ONE, 10);
    send(&mut rig, ONE, 11);
    rig.sent();
    rig.switch();
    assert_eq!(rig.replies().len(), 2);
    // when the next one, already on its way, comes first
    send(&mut rig, ONE, 12);
    // then
    assert!(rig.sent().is_empty());
    assert_eq!(errors(0, &rig.reply()), [code("orders", 0, 6)]);
    for sequence in [10, 11, 12] {
        send(&mut rig, ONE, sequence);
        let sent = rig.sent_one();
        rig.answer(&sent, &good(&sent));
        assert_eq!(errors(0, &rig.reply()), [code("orders", 0, 0)], "sequence {sequence}");
    }
}

#[test]
fn it_holds_over_connections_of_the_same_virtual_cluster() {
    let mut rig = Rig::new();
    send(&mut rig, ONE, 10);
    rig.switch();
    rig.replies();
    let mut other = Rig::new();
    other.session = Session::new(rig.view.clone(), Some(1), rig.gate.clone(), Arc::default());
    send(&mut other, ONE, 12);
    assert_eq!(errors(0, &other.reply()), [code("orders", 0, 6)]);
}

#[test]
fn no_other_connection_overtakes_the_failed_batch_on_its_way() {
    // given
    let mut rig = Rig::new();
    send(&mut rig, ONE, 10);
    rig.switch();
    rig.replies();
    rig.sent();
    let mut other = Rig::new();
    other.session = Session::new(rig.view.clone(), Some(1), rig.gate.clone(), Arc::default());
    // when it has left again, but no broker has it yet
    send(&mut rig, ONE, 10);
    let failed = rig.sent_one();
    // then
    send(&mut other, ONE, 12);
    assert_eq!(errors(0, &other.reply()), [code("orders", 0, 6)]);
    send(&mut rig, ONE, 11);
    let behind = rig.sent_one();
    rig.answer(&failed, &good(&failed));
    send(&mut other, ONE, 12);
    assert_eq!(errors(0, &other.reply()), [code("orders", 0, 6)], "11 could still be overtaken");
    rig.answer(&behind, &good(&behind));
    send(&mut other, ONE, 12);
    assert_eq!(other.sent().len(), 1);
}

#[test]
fn a_failed_batch_that_the_broker_refuses_is_waited_for_again() {
    for places in [ONE, &[("orders", &[0, 1, 2]), ("lines", &[0])]] {
        let mut rig = Rig::new();
        send(&mut rig, ONE, 10);
        rig.switch();
        rig.replies();
        rig.sent();
        send(&mut rig, places, 10);
        for sent in rig.sent() {
            let mut answer = good(&sent);
            for topic in answer.structs_mut("Responses") {
                topic.structs_mut("PartitionResponses").for_each(|p| p.set("ErrorCode", 6));
            }
            rig.answer(&sent, &answer);
        }
        rig.reply();
        send(&mut rig, ONE, 11);
        assert_eq!(errors(0, &rig.reply()), [code("orders", 0, 6)]);
    }
}

/// Sends two batches in one request to one broker, which answers the other way round, each with its code.
fn answered_backwards(rig: &mut Rig, batches: [(i32, i32); 2], codes: [i16; 2]) {
    let mut request = produce(&[("orders", &batches.map(|batch| batch.0))], -1, None);
    for topic in request.structs_mut("TopicData") {
        for (partition, (_, sequence)) in topic.structs_mut("PartitionData").zip(batches) {
            partition.set("Records", batch(Some((7, 0, sequence))));
        }
    }
    rig.ask(0, 9, &request);
    let sent = rig.sent_one();
    let told = |index: i32, code| Struct::new().with("Index", index).with("ErrorCode", code);
    let told = [told(batches[1].0, codes[1]), told(batches[0].0, codes[0])];
    let topic = Struct::new().with("Name", "orders").with("PartitionResponses", told.to_vec());
    rig.answer(&sent, &Struct::new().with("Responses", vec![topic]));
    rig.reply();
}

#[test]
fn a_broker_answers_in_whatever_order() {
    let mut rig = Rig::new();
    answered_backwards(&mut rig, [(0, 10), (2, 10)], [6, 0]);
    send(&mut rig, &[("orders", &[2])], 11);
    assert_eq!(rig.sent().len(), 1, "it was taken");
    send(&mut rig, ONE, 11);
    assert!(rig.sent().is_empty(), "10 has to come again");
}

#[test]
fn of_a_partition_that_is_named_twice_each_batch_has_its_own_answer() {
    let mut rig = Rig::new();
    answered_backwards(&mut rig, [(0, 10), (0, 11)], [6, 6]);
    send(&mut rig, ONE, 12);
    assert!(rig.sent().is_empty());
    for sequence in [10, 11] {
        send(&mut rig, ONE, 12);
        assert!(rig.sent().is_empty(), "{sequence} has to come again");
        send(&mut rig, ONE, sequence);
        let sent = rig.sent_one();
        rig.answer(&sent, &good(&sent));
    }
    send(&mut rig, ONE, 12);
    assert_eq!(rig.sent().len(), 1);
}

#[test]
fn a_batch_that_a_broker_does_not_take_is_waited_for() {
    // given a broker that is no leader any more, and a later batch that goes to the new one
    let mut rig = Rig::new();
    rig.switch();
    send(&mut rig, ONE, 10);
    let sent = rig.sent_one();
    let mut answer = good(&sent);
    for topic in answer.structs_mut("Responses") {
        topic.structs_mut("PartitionResponses").for_each(|p| p.set("ErrorCode", 6));
    }
    // when
    rig.answer(&sent, &answer);
    rig.reply();
    // then
    send(&mut rig, ONE, 11);
    assert_eq!(errors(0, &rig.reply()), [code("orders", 0, 6)]);
    send(&mut rig, ONE, 10);
    assert_eq!(rig.sent().len(), 1);
}

/// Leaders move most when a cluster has just come back, and no broker of it has state of the producer yet.
#[test]
fn after_a_switch_no_batch_overtakes_one_under_way_to_a_former_leader() {
    let mut rig = Rig::new();
    send(&mut rig, ONE, 9);
    let sent = rig.sent_one();
    rig.answer(&sent, &good(&sent));
    rig.reply();
    rig.switch();
    // given
    send(&mut rig, ONE, 10);
    let to_former = rig.sent_one();
    let moved = observation("secondary", vec![topic("orders", 0xb1, &[3, 1, 2], 6)]);
    rig.secondary.topology.merge(&moved, rig.now);
    rig.tick();
    // when
    send(&mut rig, ONE, 11);
    // then
    assert!(rig.sent().is_empty());
    rig.answer(&to_former, &good(&to_former));
    let answers: Vec<_> = rig.replies().iter().map(|reply| errors(0, &reply.body)).collect();
    assert_eq!(answers, [[code("orders", 0, 0)], [code("orders", 0, 6)]]);
    send(&mut rig, ONE, 11);
    assert_eq!(rig.sent_one().node, 3);
}

#[test]
fn only_the_refused_partitions_of_a_request_are_refused() {
    let mut rig = Rig::new();
    send(&mut rig, ONE, 10);
    rig.switch();
    rig.replies();
    rig.sent();
    send(&mut rig, &[("orders", &[0, 1, 2])], 12);
    let sent = rig.sent();
    assert!(sent.iter().flat_map(places).all(|p| p.1 != 0), "{sent:#?}");
    for request in &sent {
        rig.answer(request, &good(request));
    }
    assert_eq!(errors(0, &rig.reply()), [code("orders", 0, 6), code("orders", 1, 0), code("orders", 2, 0)]);
}

#[test]
fn a_new_epoch_of_the_producer_opens_it() {
    let mut rig = Rig::new();
    send(&mut rig, ONE, 10);
    rig.switch();
    rig.replies();
    rig.sent();
    rig.ask(0, 9, &produce(ONE, -1, Some((7, 1, 0))));
    assert_eq!(rig.sent().len(), 1);
}

#[test]
fn producers_without_idempotence_pass() {
    let mut rig = Rig::new();
    rig.ask(0, 9, &produce(ONE, -1, None));
    rig.switch();
    rig.replies();
    rig.sent();
    rig.ask(0, 9, &produce(ONE, -1, None));
    assert_eq!(rig.sent().len(), 1);
}

#[test]
fn a_lost_broker_closes_the_gate_of_its_own_partitions_only() {
    let mut rig = Rig::new();
    send(&mut rig, &[("orders", &[0, 1])], 10);
    let sent = rig.sent();
    rig.fail(1, 0);
    rig.answer(&sent[1], &good(&sent[1]));
    assert_eq!(errors(0, &rig.reply()), [code("orders", 0, 6), code("orders", 1, 0)]);
    send(&mut rig, &[("orders", &[1])], 11);
    let sent = rig.sent_one();
    rig.answer(&sent, &good(&sent));
    assert_eq!(errors(0, &rig.reply()), [code("orders", 1, 0)], "that partition lost nothing");
    send(&mut rig, ONE, 11);
    assert_eq!(errors(0, &rig.reply()), [code("orders", 0, 6)]);
}

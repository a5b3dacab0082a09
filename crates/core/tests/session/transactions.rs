//! Transactions that a switch interrupts: their clients abort and go on, and nothing of them is committed.

use crate::{
    bodies::{errors, good},
    harness::{Rig, Sent},
    produce_stream::{feed, frame},
    producer_ids::{produce_records, sound},
};
use pointsman_core::{producer_ids::ProducerIds, rules, topology::CoordinatorKind};
use pointsman_wire::value::{Struct, Value};

const INIT_PRODUCER_ID: i16 = 22;
const ADD_PARTITIONS: i16 = 24;
const ADD_OFFSETS: i16 = 25;
const END_TXN: i16 = 26;
const TXN_OFFSET_COMMIT: i16 = 28;
const TRANSACTIONAL: i16 = 16;

/// A producer that got real id 5 in the first term, and coordinators that are known on both clusters.
fn rig() -> Rig {
    let rig = Rig::new();
    for cluster in [&rig.primary, &rig.secondary] {
        cluster.topology.set_coordinator(CoordinatorKind::Transaction, "tx", Some(2));
        cluster.topology.set_coordinator(CoordinatorKind::Group, "g", Some(3));
    }
    rig
}

fn of(id: i64) -> Struct {
    Struct::new().with("TransactionalId", "tx").with("ProducerId", id).with("ProducerEpoch", 3)
}

fn end(id: i64, commit: bool) -> Struct {
    of(id).with("Committed", commit)
}

fn topics(name: &str) -> Vec<Struct> {
    vec![Struct::new().with("Name", name).with("Partitions", vec![Value::from(1)])]
}

fn add_partitions(id: i64) -> Struct {
    Struct::new()
        .with("V3AndBelowTransactionalId", "tx")
        .with("V3AndBelowProducerId", id)
        .with("V3AndBelowTopics", topics("orders"))
}

fn offsets(id: i64) -> Struct {
    let partition = Struct::new().with("PartitionIndex", 1).with("CommittedOffset", 7);
    let topic = Struct::new().with("Name", "orders").with("Partitions", vec![partition]);
    of(id).with("GroupId", "g").with("Topics", vec![topic])
}

/// Every request of a transaction but its end, in every version of clients.
fn requests(id: i64) -> Vec<(i16, i16, Struct, i16)> {
    let mut all = Vec::new();
    (0..=3).for_each(|v| all.push((ADD_PARTITIONS, v, add_partitions(id), 59)));
    (0..=4).for_each(|v| all.push((ADD_OFFSETS, v, of(id).with("GroupId", "g"), 59)));
    (0..=5).for_each(|v| all.push((TXN_OFFSET_COMMIT, v, offsets(id), if v < 4 { 25 } else { 120 })));
    (0..=5).for_each(|v| all.push((END_TXN, v, end(id, true), if v < 5 { 59 } else { 120 })));
    all
}

/// The error of an answer to one of them.
fn error(key: i16, body: &Struct) -> i16 {
    let nested = |topics: &str, partitions: &str, code: &str| {
        body.structs(topics).flat_map(|t| t.structs(partitions)).next().expect("one").i16(code)
    };
    match key {
        ADD_PARTITIONS => nested("ResultsByTopicV3AndBelow", "ResultsByPartition", "PartitionErrorCode"),
        TXN_OFFSET_COMMIT => nested("Topics", "Partitions", "ErrorCode"),
        _ => body.i16("ErrorCode"),
    }
}

fn id_in(sent: &Sent) -> i64 {
    sent.body.int(if sent.key == ADD_PARTITIONS { "V3AndBelowProducerId" } else { "ProducerId" })
}

#[test]
fn in_its_own_term_a_transaction_passes_with_the_real_id() {
    for term in 0..3 {
        let mut rig = rig();
        (1..=term).for_each(|term| if term == 1 { rig.switch() } else { rig.switch_back() });
        let id = ProducerIds::new("main", term).given(5).expect("fits");
        for (key, version, body, _) in requests(id).into_iter().chain([(END_TXN, 3, end(id, false), 0)]) {
            rig.ask(key, version, &body);
            let sent = rig.sent_one();
            assert_eq!((sent.key, id_in(&sent)), (key, 5), "key {key} version {version} in term {term}");
            rig.answer(&sent, &Struct::new());
            rig.replies();
        }
    }
}

#[test]
fn after_a_switch_nothing_of_a_transaction_reaches_the_other_cluster() {
    let mut rig = rig();
    rig.switch();
    for (key, version, body, expected) in requests(5) {
        rig.ask(key, version, &body);
        assert!(rig.sent().is_empty(), "key {key} version {version}");
        assert_eq!(error(key, &rig.reply()), expected, "key {key} version {version}");
        assert_eq!(rig.close.take().is_some(), key == ADD_PARTITIONS);
    }
    rig.switch_back();
    rig.ask(END_TXN, 5, &end(5, true));
    assert_eq!(rig.reply().i16("ErrorCode"), 120, "nor the cluster where it began");
    assert!(rig.session.accepts() && rig.close.is_none());
}

/// The broker may have carried it out: the application must not be told that it can abort.
#[test]
fn a_commit_that_a_switch_left_in_doubt_fences_its_producer() {
    for (version, fenced) in [(1, 47), (4, 90), (5, 90)] {
        let mut rig = rig();
        rig.ask(END_TXN, version, &end(5, true));
        rig.sent_one();
        rig.switch();
        assert_eq!(rig.reply().i16("ErrorCode"), 16, "the client asks again");
        rig.ask(END_TXN, version, &end(5, true));
        assert_eq!(rig.reply().i16("ErrorCode"), fenced, "version {version}");
        rig.ask(END_TXN, version, &end(7, true));
        assert_ne!(rig.reply().i16("ErrorCode"), fenced, "one that was never asked for");
    }
}

#[test]
fn a_commit_is_in_doubt_until_it_is_answered_for_good() {
    for (error, expected) in [(0, 120), (48, 120), (51, 90), (16, 90)] {
        let mut rig = rig();
        rig.ask(END_TXN, 5, &end(5, true));
        let sent = rig.sent_one();
        rig.answer(&sent, &Struct::new().with("ErrorCode", error));
        assert_eq!(rig.reply().i16("ErrorCode"), error);
        rig.switch();
        rig.ask(END_TXN, 5, &end(5, true));
        assert_eq!(rig.reply().i16("ErrorCode"), expected, "after {error}");
    }
}

/// Java's client looks at the commit behind it only when something moves.
#[test]
fn a_refused_partition_ends_the_connection_where_nothing_else_moves() {
    for busy in [false, true] {
        let mut rig = rig();
        rig.switch();
        if busy {
            rig.ask(0, 9, &produce_records(&[("orders", &[1])], &sound(-1, 0, 0, 50)));
            rig.sent_one();
        }
        rig.ask(ADD_PARTITIONS, 3, &add_partitions(5));
        assert_eq!(rig.close.is_some(), !busy);
        if !busy {
            assert_eq!(error(ADD_PARTITIONS, &rig.reply()), 59);
        }
    }
}

#[test]
fn batches_of_an_old_transaction_are_refused_one_by_one() {
    for (version, expected) in [(9, 48), (11, 120), (12, 120)] {
        let mut rig = rig();
        rig.switch();
        let old = sound(5, 4, TRANSACTIONAL, 50);
        let fresh = sound(ProducerIds::new("main", 1).given(6).expect("fits"), 0, TRANSACTIONAL, 50);
        let mut body = produce_records(&[("orders", &[0, 1])], &old);
        let topic = body.structs_mut("TopicData").next().expect("one");
        topic.structs_mut("PartitionData").next().expect("two").set("Records", fresh);
        rig.ask(0, version, &body);
        let sent = rig.sent_one();
        rig.answer(&sent, &good(&sent));
        assert_eq!(errors(0, &rig.reply()).iter().map(|e| e.2).collect::<Vec<_>>(), [0, expected]);
        assert!(feed(&mut rig, &frame(version, &body), [99]));
        let (sent, _) = rig.sent_pieces();
        assert_eq!(sent.len(), 1);
        rig.answer(&sent[0], &good(&sent[0]));
        assert_eq!(errors(0, &rig.reply()).iter().map(|e| e.2).collect::<Vec<_>>(), [0, expected]);
        // Whole.
        rig.ask(0, version, &produce_records(&[("orders", &[1])], &old));
        assert!(rig.sent().is_empty());
        assert_eq!(errors(0, &rig.reply())[0].2, expected);
    }
}

#[test]
fn an_abort_succeeds_and_gives_the_producer_an_id_of_the_active_cluster() {
    let mut rig = rig();
    rig.ask(
        INIT_PRODUCER_ID,
        4,
        &Struct::new().with("TransactionalId", "tx").with("TransactionTimeoutMs", 12_345),
    );
    let sent = rig.sent_one();
    rig.answer(&sent, &Struct::new().with("ProducerId", 5).with("ProducerEpoch", 3));
    rig.reply();
    rig.switch();
    rig.ask(END_TXN, 5, &end(5, false));
    let asked = rig.sent_one();
    assert_eq!((asked.key, asked.node, asked.client_id.as_deref()), (INIT_PRODUCER_ID, 2, Some("client")));
    assert_eq!((asked.body.str("TransactionalId"), asked.body.i32("TransactionTimeoutMs")), ("tx", 12_345));
    assert_eq!((asked.body.int("ProducerId"), asked.body.i16("ProducerEpoch")), (-1, -1));
    rig.answer(&asked, &Struct::new().with("ProducerId", 8).with("ProducerEpoch", 1));
    let reply = rig.reply();
    let given = ProducerIds::new("main", 1).given(8).expect("fits");
    assert_eq!((reply.i16("ErrorCode"), reply.int("ProducerId"), reply.i16("ProducerEpoch")), (0, given, 1));
    rig.ask(END_TXN, 5, &end(given, true));
    let sent = rig.sent_one();
    assert_eq!((sent.key, id_in(&sent)), (END_TXN, 8));
    rig.answer(&sent, &Struct::new().with("ProducerId", 8).with("ProducerEpoch", 2));
    assert_eq!(rig.reply().int("ProducerId"), given, "the next transaction's");
}

#[test]
fn a_producer_that_aborts_on_another_connection_keeps_its_timeout() {
    let mut rig = rig();
    rig.commits.set_timeout("tx", 10_000);
    rig.switch();
    rig.ask(END_TXN, 5, &end(5, false));
    assert_eq!(rig.sent_one().body.i32("TransactionTimeoutMs"), 10_000);
}

#[test]
fn an_abort_of_an_older_client_succeeds_here() {
    for version in 0..5 {
        let mut rig = rig();
        rig.switch();
        rig.ask(END_TXN, version, &end(5, false));
        assert!(rig.sent().is_empty());
        assert_eq!(rig.reply().i16("ErrorCode"), 0);
    }
}

#[test]
fn an_abort_that_cannot_get_an_id_is_tried_again_by_the_client() {
    let mut rig = rig();
    rig.switch();
    rig.ask(END_TXN, 5, &end(5, false));
    let asked = rig.sent_one();
    rig.answer(&asked, &Struct::new().with("ErrorCode", 51).with("ProducerId", -1).with("ProducerEpoch", -1));
    let reply = rig.reply();
    assert_eq!((reply.i16("ErrorCode"), reply.int("ProducerId")), (51, -1));
    // at another switch too
    rig.ask(END_TXN, 5, &end(5, false));
    rig.sent_one();
    rig.switch_back();
    let reply = rig.reply();
    assert_eq!((reply.i16("ErrorCode"), reply.int("ProducerId")), (14, -1));
}

#[test]
fn a_request_for_an_id_with_one_of_another_term_asks_for_a_new_one() {
    let (_, newest) = rules::ours().apis[&INIT_PRODUCER_ID];
    for version in 3..=newest {
        let mut rig = rig();
        rig.ask(INIT_PRODUCER_ID, version, &of(5));
        let sent = rig.sent_one();
        assert_eq!((id_in(&sent), sent.body.i16("ProducerEpoch")), (5, 3), "in its own term it is told");
        rig.answer(&sent, &Struct::new().with("ProducerId", 5).with("ProducerEpoch", 4));
        rig.reply();
        rig.switch();
        rig.ask(INIT_PRODUCER_ID, version, &of(5));
        let sent = rig.sent_one();
        assert_eq!((id_in(&sent), sent.body.i16("ProducerEpoch")), (-1, -1));
        rig.answer(&sent, &Struct::new().with("ProducerId", 1).with("ProducerEpoch", 0));
        assert_eq!(rig.reply().int("ProducerId"), ProducerIds::new("main", 1).given(1).expect("fits"));
    }
}

//! Producer ids over switches: a client keeps the id that it has, and no cluster meets one that it knows from before.

use crate::{
    bodies::{Places, batch, code, errors, good, newest, produce},
    harness::{Rig, Sent},
    produce_stream::{feed, frame},
};
use bytes::Bytes;
use pointsman_core::{limits, producer_ids::ProducerIds, signal::Signal};
use pointsman_wire::{
    batch::{ATTRIBUTES_AT, CRC_AT, HEADER_LEN, PRODUCER_ID_AT},
    crc::crc32c,
    value::{Struct, Value},
};
use std::collections::HashSet;

const INIT_PRODUCER_ID: i16 = 22;
const DESCRIBE_PRODUCERS: i16 = 61;
const LIST_TRANSACTIONS: i16 = 66;
const SOME: Places<'static> = &[("orders", &[0, 1, 2]), ("lines", &[2])];
const ONE: Places<'static> = &[("orders", &[1])];

/// A batch with a right checksum, of as many bytes of records as asked.
pub(crate) fn sound(id: i64, sequence: i32, attributes: i16, records: usize) -> Bytes {
    let mut whole = batch(Some((id, 0, sequence))).to_vec();
    whole.truncate(HEADER_LEN);
    whole.extend((0..records).map(|n| n.to_le_bytes()[0]));
    let length = i32::try_from(whole.len() - 12).expect("small");
    whole[8..12].copy_from_slice(&length.to_be_bytes());
    whole[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.to_be_bytes());
    let crc = crc32c(&whole[ATTRIBUTES_AT..]);
    whole[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    whole.into()
}

pub(crate) fn produce_records(places: Places<'_>, records: &Bytes) -> Struct {
    let mut body = produce(places, -1, None);
    for topic in body.structs_mut("TopicData") {
        topic.structs_mut("PartitionData").for_each(|p| p.set("Records", records.clone()));
    }
    body
}

fn records(sent: &Sent) -> Vec<Bytes> {
    let partitions = sent.body.structs("TopicData").flat_map(|t| t.structs("PartitionData"));
    partitions.map(|p| p.bytes("Records").expect("records").clone()).collect()
}

/// The producer id of a batch whose checksum is right.
fn id_of(batch: &[u8]) -> i64 {
    let crc = u32::from_be_bytes(batch[CRC_AT..CRC_AT + 4].try_into().expect("four"));
    assert_eq!(crc, crc32c(&batch[ATTRIBUTES_AT..]), "the checksum is right");
    i64::from_be_bytes(batch[PRODUCER_ID_AT..PRODUCER_ID_AT + 8].try_into().expect("eight"))
}

/// The ids of the batches that leave for a batch of `id`, however it is sent: all alike.
pub(crate) fn left(rig: &mut Rig, id: i64, sequence: i32) -> i64 {
    let batch = sound(id, sequence, 0, 700);
    for places in [ONE, SOME] {
        rig.ask(0, 9, &produce_records(places, &batch));
    }
    let mut sent = rig.sent();
    for places in [ONE, SOME] {
        let frame = frame(9, &produce_records(places, &batch));
        assert!(feed(rig, &frame, [100, 103, 200]));
        sent.extend(rig.sent_pieces().0);
    }
    let ids: HashSet<i64> = sent.iter().flat_map(records).map(|r| id_of(&r)).collect();
    for sent in &sent {
        rig.answer(sent, &good(sent));
    }
    assert!(rig.replies().iter().all(|r| errors(0, &r.body).iter().all(|e| e.2 == 0)));
    assert_eq!(ids.len(), 1, "whole, split, and in pieces");
    ids.into_iter().next().expect("one")
}

pub(crate) fn init(rig: &mut Rig, real: i64) -> i64 {
    rig.ask(INIT_PRODUCER_ID, 4, &Struct::new().with("TransactionalId", Value::Null).with("ProducerId", -1));
    let sent = rig.sent_one();
    rig.answer(&sent, &Struct::new().with("ProducerId", real).with("ProducerEpoch", 0));
    rig.reply().int("ProducerId")
}

#[test]
fn from_a_to_b_and_back_the_client_keeps_its_id_and_no_cluster_knows_it() {
    let mut rig = Rig::new();
    let id = init(&mut rig, 5);
    let first = left(&mut rig, id, 0);
    assert_eq!((id, first), (5, 5), "in the first term nothing is touched");
    rig.switch();
    let second = left(&mut rig, id, 1);
    let other = init(&mut rig, 5);
    assert_eq!(left(&mut rig, other, 0), 5, "the cluster knows the id that it gave");
    rig.switch_back();
    let third = left(&mut rig, id, 2);
    let other_third = left(&mut rig, other, 1);
    let all: HashSet<i64> = [id, other, second, third, other_third].into();
    assert_eq!(all.len(), 5, "{all:x?}");
    assert_eq!(init(&mut rig, 5), ProducerIds::new("main", 2).given(5).expect("fits"));
}

#[test]
fn every_batch_of_a_partition_is_patched_and_nothing_else() {
    let (one, two) = (sound(7, 3, 0, 1000), sound(8, 4, 0, 10));
    let rest = Bytes::from_static(b"no batch");
    let plain = sound(-1, -1, 0, 50);
    let blob = Bytes::from([&one[..], &two[..], &plain[..], &rest[..]].concat());
    let ids = ProducerIds::new("main", 1);
    let expected = [
        &sound(ids.upstream(7), 3, 0, 1000)[..],
        &sound(ids.upstream(8), 4, 0, 10)[..],
        &plain[..],
        &rest[..],
    ]
    .concat();
    let whole = frame(9, &produce_records(ONE, &blob));
    let mut rig = Rig::new();
    rig.switch();
    rig.ask(0, 9, &produce_records(ONE, &blob));
    assert_eq!(records(&rig.sent_one()), [&expected[..]]);
    for cut in 1..whole.len() {
        assert!(feed(&mut rig, &whole, [cut]));
        let (sent, left) = rig.sent_pieces();
        assert!(left.is_empty());
        assert_eq!(records(&sent[0]), [&expected[..]], "cut at {cut}");
    }
    assert!(feed(&mut rig, &whole, 1..whole.len()), "byte by byte");
    assert_eq!(records(&rig.sent_pieces().0[0]), [&expected[..]]);
}

#[test]
fn a_large_request_is_patched_as_it_passes() {
    let mut rig = Rig::new();
    rig.switch();
    let batch = sound(5, 0, 0, 3 * limits::COLLECT_REQUEST);
    let whole = frame(12, &produce_records(ONE, &batch));
    rig.begin(1, (0, 12), whole.len() - 4);
    let mut input = bytes::BytesMut::from(&whole[..whole.len() / 2]);
    assert!(!rig.receive(&mut input) && input.is_empty(), "nothing is kept");
    assert_eq!(rig.sent_nodes().first(), Some(&1));
    input.extend_from_slice(&whole[whole.len() / 2..]);
    assert!(rig.receive(&mut input));
    let (sent, _) = rig.sent_pieces();
    assert_eq!(id_of(&records(&sent[0])[0]), ProducerIds::new("main", 1).upstream(5));
}

#[test]
fn what_is_no_batch_passes_as_it_is() {
    let mut rig = Rig::new();
    rig.switch();
    let mut negative = sound(5, 0, 0, 100).to_vec();
    negative[8..12].copy_from_slice(&(-1i32).to_be_bytes());
    let short = sound(5, 0, 0, 100).slice(..40);
    let mut old = sound(5, 0, 0, 100).to_vec();
    old[16] = 1;
    for blob in [Bytes::from(negative), short, Bytes::from(old), Bytes::from_static(b"x")] {
        let body = produce_records(ONE, &blob);
        rig.ask(0, 9, &body);
        assert_eq!(records(&rig.sent_one()), [&blob[..]]);
        assert!(feed(&mut rig, &frame(9, &body), [40]));
        assert_eq!(records(&rig.sent_pieces().0[0]), [&blob[..]]);
    }
}

#[test]
fn the_gate_knows_producers_by_the_id_that_clients_have() {
    let mut rig = Rig::new();
    let batch = |sequence| produce_records(ONE, &sound(5, sequence, 0, 20));
    rig.ask(0, 9, &batch(10));
    rig.sent();
    rig.switch();
    assert_eq!(errors(0, &rig.reply()), [code("orders", 1, 6)]);
    rig.ask(0, 9, &batch(11));
    assert_eq!(errors(0, &rig.reply()), [code("orders", 1, 6)], "it waits for the one before");
    rig.ask(0, 9, &batch(10));
    rig.sent_one();
    rig.switch_back();
    assert_eq!(errors(0, &rig.reply()), [code("orders", 1, 6)], "in flight at the second switch too");
    assert!(feed(&mut rig, &frame(9, &batch(11)), [90]));
    assert_eq!(errors(0, &rig.reply()), [code("orders", 1, 6)]);
    rig.ask(0, 9, &batch(10));
    assert_eq!(id_of(&records(&rig.sent_one())[0]), ProducerIds::new("main", 2).upstream(5));
}

#[test]
fn an_id_that_is_too_large_is_refused_and_reported() {
    for switches in 0..2 {
        let mut rig = Rig::new();
        (0..switches).for_each(|_| rig.switch());
        rig.ask(INIT_PRODUCER_ID, 4, &Struct::new().with("TransactionalId", Value::Null));
        let sent = rig.sent_one();
        rig.answer(&sent, &Struct::new().with("ProducerId", 1i64 << 36).with("ProducerEpoch", 0));
        let reply = rig.reply();
        let told = (reply.i16("ErrorCode"), reply.int("ProducerId"), reply.i16("ProducerEpoch"));
        assert_eq!(told, (14, -1, -1), "a retriable error");
        let cluster = ["primary", "secondary"][switches].into();
        assert_eq!(rig.signals, [Signal::ProducerIdTooLarge { cluster, id: 1 << 36 }]);
    }
}

#[test]
fn an_error_names_no_id() {
    let mut rig = Rig::new();
    rig.switch();
    rig.ask(INIT_PRODUCER_ID, 4, &Struct::new().with("TransactionalId", Value::Null));
    let sent = rig.sent_one();
    rig.answer(&sent, &Struct::new().with("ErrorCode", 15).with("ProducerId", -1).with("ProducerEpoch", -1));
    let reply = rig.reply();
    assert_eq!((reply.i16("ErrorCode"), reply.int("ProducerId")), (15, -1));
}

#[test]
fn descriptions_show_the_ids_that_clients_have_and_filters_take_them() {
    let mut rig = Rig::new();
    rig.switch();
    let ids = ProducerIds::new("main", 1);
    let own = ids.given(9).expect("fits");
    let topic = Struct::new().with("Name", "orders").with("PartitionIndexes", vec![Value::from(1)]);
    rig.ask(DESCRIBE_PRODUCERS, 0, &Struct::new().with("Topics", vec![topic]));
    let sent = rig.sent_one();
    let active = |id: i64| Struct::new().with("ProducerId", id).with("CurrentTxnStartOffset", -1);
    let partition = Struct::new()
        .with("PartitionIndex", 1)
        .with("ActiveProducers", vec![active(ids.upstream(5)), active(9), active(-1)]);
    let topic = Struct::new().with("Name", "orders").with("Partitions", vec![partition]);
    rig.answer(&sent, &Struct::new().with("Topics", vec![topic]));
    let reply = rig.reply();
    let partition = reply.structs("Topics").next().and_then(|t| t.structs("Partitions").next()).expect("one");
    let shown: Vec<i64> = partition.structs("ActiveProducers").map(|p| p.int("ProducerId")).collect();
    assert_eq!(shown, [5, own, -1]);

    let filters = [own, 5, -1].map(Value::from).to_vec();
    rig.ask(LIST_TRANSACTIONS, 1, &Struct::new().with("ProducerIdFilters", filters));
    let sent = rig.sent_one();
    let asked: Vec<i64> = sent
        .body
        .array("ProducerIdFilters")
        .iter()
        .map(|id| if let Value::Int(id) = id { *id } else { 0 })
        .collect();
    assert_eq!(asked, [9, ids.upstream(5), -1]);
    let state = Struct::new().with("TransactionalId", "t").with("ProducerId", 9);
    rig.answer(&sent, &Struct::new().with("TransactionStates", vec![state]));
    let shown = rig.reply().structs("TransactionStates").map(|s| s.int("ProducerId")).collect::<Vec<_>>();
    assert_eq!(shown, [own]);
}

#[test]
fn what_is_fetched_keeps_the_logs_own_ids() {
    let mut rig = Rig::new();
    rig.switch();
    let batch = sound(9, 0, 16, 30);
    rig.ask(1, 12, &crate::bodies::fetch(ONE));
    let sent = rig.sent_one();
    let mut body = good(&sent);
    for topic in body.structs_mut("Responses") {
        for partition in topic.structs_mut("Partitions") {
            partition.set("Records", batch.clone());
            partition
                .set("AbortedTransactions", vec![Struct::new().with("ProducerId", 9).with("FirstOffset", 3)]);
        }
    }
    rig.answer(&sent, &body);
    let reply = rig.reply();
    let partition =
        reply.structs("Responses").next().and_then(|t| t.structs("Partitions").next()).expect("one");
    let aborted: Vec<i64> = partition.structs("AbortedTransactions").map(|a| a.int("ProducerId")).collect();
    assert_eq!((aborted, id_of(partition.bytes("Records").expect("records"))), (vec![9], 9));
    assert!(newest(1) >= 12);
}

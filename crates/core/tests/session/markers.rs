//! WriteTxnMarkers: an administrator ends transactions that hang, of several producers, in partitions of several brokers.

use crate::harness::{Rig, Sent};
use pointsman_core::producer_ids::ProducerIds;
use pointsman_wire::value::{Struct, Value};

const WRITE_TXN_MARKERS: i16 = 27;
const VERSIONS: [i16; 3] = [0, 1, 2];

/// A producer, and the partitions that its marker is for.
type Marker = (i64, Vec<(&'static str, Vec<i32>)>);

fn request(markers: &[Marker]) -> Struct {
    let marker = |(producer, topics): &Marker| {
        let topic = |(name, indices): &(&'static str, Vec<i32>)| {
            let indices: Vec<Value> = indices.iter().map(|index| Value::from(*index)).collect();
            Struct::new().with("Name", *name).with("PartitionIndexes", indices)
        };
        Struct::new()
            .with("ProducerId", *producer)
            .with("ProducerEpoch", 3)
            .with("TransactionResult", true)
            .with("Topics", topics.iter().map(topic).collect::<Vec<_>>())
            .with("CoordinatorEpoch", 8)
    };
    Struct::new().with("Markers", markers.iter().map(marker).collect::<Vec<_>>())
}

/// The producers and partitions that a broker got.
fn asked(body: &Struct) -> Vec<(i64, String, i64)> {
    let mut found = Vec::new();
    for marker in body.structs("Markers") {
        let head =
            (marker.i16("ProducerEpoch"), marker.bool("TransactionResult"), marker.i32("CoordinatorEpoch"));
        assert_eq!(head, (3, true, 8), "it is the client's marker");
        for topic in marker.structs("Topics") {
            let indices = topic.array("PartitionIndexes").iter().filter_map(Value::as_int);
            found
                .extend(indices.map(|index| (marker.int("ProducerId"), topic.str("Name").to_owned(), index)));
        }
    }
    found
}

/// Producers, partitions and error codes of an answer.
fn told(body: &Struct) -> Vec<(i64, String, i32, i16)> {
    let mut found = Vec::new();
    for marker in body.structs("Markers") {
        for topic in marker.structs("Topics") {
            let codes = topic.structs("Partitions").map(|p| (p.i32("PartitionIndex"), p.i16("ErrorCode")));
            found.extend(
                codes.map(|(index, code)| {
                    (marker.int("ProducerId"), topic.str("Name").to_owned(), index, code)
                }),
            );
        }
    }
    found
}

/// A broker's answer: in whatever order, and a code that tells which broker it was.
fn answer(sent: &Sent) -> Struct {
    let code = 100 + i16::try_from(sent.node).expect("small");
    let each = asked(&sent.body).into_iter().rev().map(|(producer, name, index)| {
        let partition = Struct::new().with("PartitionIndex", index).with("ErrorCode", code);
        let topic = Struct::new().with("Name", name).with("Partitions", vec![partition]);
        Struct::new().with("ProducerId", producer).with("Topics", vec![topic])
    });
    Struct::new().with("Markers", each.collect::<Vec<_>>())
}

fn orders(producer: i64, index: i32, code: i16) -> (i64, String, i32, i16) {
    (producer, "orders".into(), index, code)
}

/// Two producers in the same partition, and one without partitions.
fn mixed() -> Vec<Marker> {
    vec![
        (7, vec![("orders", vec![2, 1]), ("lines", vec![2])]),
        (9, vec![]),
        (8, vec![("lines", vec![0]), ("orders", vec![]), ("orders", vec![1])]),
    ]
}

#[test]
fn markers_go_to_the_leader_of_each_partition_and_their_answers_come_back_as_they_were_asked() {
    for version in VERSIONS {
        let mut rig = Rig::new();
        rig.ask(WRITE_TXN_MARKERS, version, &request(&mixed()));
        let sent = rig.sent();
        let split: Vec<_> = sent.iter().map(|s| (s.node, asked(&s.body))).collect();
        let at = |producer, name: &str, index| (producer, name.to_owned(), index);
        assert_eq!(
            split,
            [
                (1, vec![at(7, "orders", 2)]),
                (2, vec![at(7, "orders", 1), at(8, "lines", 0), at(8, "orders", 1)]),
                (3, vec![at(7, "lines", 2)]),
            ],
            "version {version}"
        );
        for sent in sent.iter().rev() {
            assert!(rig.replies().is_empty(), "one answer, when all parts are there");
            rig.answer(sent, &answer(sent));
        }
        let lines = |producer, index, code| (producer, "lines".to_owned(), index, code);
        assert_eq!(
            told(&rig.reply()),
            [orders(7, 2, 101), orders(7, 1, 102), lines(7, 2, 103), lines(8, 0, 102), orders(8, 1, 102),]
        );
    }
}

#[test]
fn what_a_broker_leaves_out_was_not_written() {
    let mut rig = Rig::new();
    rig.ask(WRITE_TXN_MARKERS, 1, &request(&[(7, vec![("orders", vec![0, 1])])]));
    let sent = rig.sent();
    rig.answer(&sent[0], &Struct::new());
    rig.answer(&sent[1], &answer(&sent[1]));
    assert_eq!(told(&rig.reply()), [orders(7, 0, 6), orders(7, 1, 102)]);
}

#[test]
fn a_marker_that_cannot_be_written_is_asked_for_again() {
    let asked = request(&[(7, vec![("orders", vec![0, 1])]), (8, vec![("orders", vec![1])])]);
    for version in VERSIONS {
        let mut rig = Rig::new();
        rig.ask(WRITE_TXN_MARKERS, version, &asked);
        let sent = rig.sent();
        rig.fail(2, 0);
        rig.answer(&sent[0], &answer(&sent[0]));
        let codes = [orders(7, 0, 101), orders(7, 1, 6), orders(8, 1, 6)];
        assert_eq!(told(&rig.reply()), codes, "a broker went away");

        let all = [orders(7, 0, 6), orders(7, 1, 6), orders(8, 1, 6)];
        rig.ask(WRITE_TXN_MARKERS, version, &asked);
        rig.switch();
        assert_eq!(told(&rig.reply()), all, "a switch");

        let mut rig = Rig::new();
        rig.no_cluster();
        rig.ask(WRITE_TXN_MARKERS, version, &asked);
        assert_eq!(told(&rig.reply()), all, "no cluster");
    }
}

#[test]
fn after_a_switch_ids_are_those_that_clients_know_and_none_of_before_reaches_the_cluster() {
    let before = 5;
    let now = ProducerIds::new("main", 1).given(5).expect("fits");
    for version in VERSIONS {
        let mut rig = Rig::new();
        rig.switch();
        // when all of it is for one broker
        rig.ask(WRITE_TXN_MARKERS, version, &request(&[(now, vec![("orders", vec![1])])]));
        let sent = rig.sent_one();
        assert_eq!(asked(&sent.body), [(5, "orders".to_owned(), 1)]);
        rig.answer(&sent, &answer(&sent));
        let code = 100 + i16::try_from(sent.node).expect("small");
        assert_eq!(told(&rig.reply()), [orders(now, 1, code)]);
        // when some of it is of the cluster before
        let both = [(before, vec![("orders", vec![1])]), (now, vec![("orders", vec![1])])];
        rig.ask(WRITE_TXN_MARKERS, version, &request(&both));
        let sent = rig.sent_one();
        assert_eq!(asked(&sent.body), [(5, "orders".to_owned(), 1)]);
        rig.answer(&sent, &answer(&sent));
        assert_eq!(told(&rig.reply()), [orders(before, 1, 59), orders(now, 1, code)]);
        // when all of it is
        rig.ask(WRITE_TXN_MARKERS, version, &request(&both[..1]));
        assert!(rig.sent().is_empty());
        assert_eq!(told(&rig.reply()), [orders(before, 1, 59)]);
    }
}

#[test]
fn a_request_without_partitions_is_any_brokers() {
    let mut rig = Rig::new();
    rig.ask(WRITE_TXN_MARKERS, 1, &request(&[(7, vec![])]));
    let sent = rig.sent_one();
    rig.answer(&sent, &Struct::new());
    assert!(rig.reply().array("Markers").is_empty());
}

#[test]
fn no_marker_that_the_cluster_must_not_see_is_sent_even_without_partitions() {
    let ids = ProducerIds::new("main", 1);
    let (before, now) = (5, ids.given(5).expect("fits"));
    let as_logs_have_it = ids.upstream(before);
    for stale in [before, as_logs_have_it] {
        let mut rig = Rig::new();
        rig.switch();
        rig.ask(WRITE_TXN_MARKERS, 1, &request(&[(stale, vec![]), (now, vec![("orders", vec![1])])]));
        let sent = rig.sent_one();
        assert_eq!(sent.body.structs("Markers").map(|m| m.int("ProducerId")).collect::<Vec<_>>(), [5]);
        rig.answer(&sent, &answer(&sent));
        assert_eq!(told(&rig.reply()).iter().map(|t| t.0).collect::<Vec<_>>(), [now]);
        rig.ask(WRITE_TXN_MARKERS, 1, &request(&[(stale, vec![("orders", vec![])])]));
        assert!(rig.sent().is_empty());
        assert!(told(&rig.reply()).is_empty());
        rig.ask(WRITE_TXN_MARKERS, 1, &request(&[(stale, vec![("orders", vec![1])])]));
        assert!(rig.sent().is_empty());
        assert_eq!(told(&rig.reply()), [orders(stale, 1, 59)]);
    }
}

#[test]
fn what_a_broker_says_once_is_told_wherever_it_was_asked() {
    let twice = request(&[(7, vec![("orders", vec![1, 0, 1])]), (7, vec![("orders", vec![1])])]);
    let mut rig = Rig::new();
    rig.ask(WRITE_TXN_MARKERS, 1, &twice);
    for sent in rig.sent() {
        let mut once = asked(&sent.body);
        once.dedup();
        let topics: Vec<Marker> = vec![(7, vec![("orders", vec![i32::try_from(once[0].2).expect("small")])])];
        let sole = Sent { body: request(&topics), ..sent };
        rig.answer(&sole, &answer(&sole));
    }
    let codes = [orders(7, 1, 102), orders(7, 0, 101), orders(7, 1, 102), orders(7, 1, 102)];
    assert_eq!(told(&rig.reply()), codes);
}

//! Transactions as the log shows them: markers, the last stable offset, and what readers of committed records are told.

use pointsman_wire::{Struct, Value};

use super::records::{Batch, batches};
use super::topic::{From, Topic, fetch_request, list_offsets_request, partitions, records};
use super::transactional::{END_BUMPS, END_STAYS, PRODUCE_ADDS, Producer};
use super::{Case, Context, check, each, eventually, only, same};

pub(crate) const CASES: &[Case] = &[
    ("txn_log_commit", commit),
    ("txn_log_abort", abort),
    ("txn_log_stable_offset", stable_offset),
    ("txn_log_interleaved", interleaved),
    ("txn_log_long_poll", long_poll),
    ("txn_log_list_offsets", list_offsets),
    ("txn_log_not_begun", not_begun),
    ("txn_log_without_id", without_id),
    ("txn_log_mixed", mixed),
    ("txn_log_first_sequence", first_sequence),
    ("txn_log_after_the_end", after_the_end),
    ("txn_log_producers", producers),
    ("txn_log_write_markers", write_markers),
];

/// What a reader sees of partition 0: high watermark, last stable offset, (base offset, control batch) of each batch, and
/// (producer id, first offset) of aborted transactions.
#[derive(Debug, PartialEq)]
struct Seen {
    high_watermark: i64,
    stable: i64,
    batches: Vec<(i64, bool)>,
    aborted: Option<Vec<(i64, i64)>>,
}

fn request(topic: &Topic, offset: i64, committed: bool) -> Struct {
    fetch_request(topic, &[From::offset(0, offset)]).with("IsolationLevel", i8::from(committed))
}

fn read(
    context: &Context<'_>,
    version: i16,
    topic: &Topic,
    offset: i64,
    committed: bool,
) -> Result<Seen, String> {
    let answer = context.leader(topic, 0)?.call(1, version, &request(topic, offset, committed))?;
    let of = only("partitions", partitions(&answer, "Partitions"))?;
    same("error", of.i16("ErrorCode"), 0)?;
    let aborted = (!of.get("AbortedTransactions").is_null()).then(|| {
        let mut aborted: Vec<(i64, i64)> =
            of.structs("AbortedTransactions").map(|t| (t.int("ProducerId"), t.int("FirstOffset"))).collect();
        aborted.sort_unstable();
        aborted
    });
    Ok(Seen {
        high_watermark: of.int("HighWatermark"),
        stable: of.int("LastStableOffset"),
        batches: batches(&records(of)).iter().map(|b| (b.base_offset, b.is_control())).collect(),
        aborted,
    })
}

/// Waits until the last stable offset is this one: markers are written after the answer to the end.
fn wait_stable(context: &Context<'_>, topic: &Topic, offset: i64) -> Result<(), String> {
    eventually(|| same("stable offset", read(context, context.newest(1), topic, 0, false)?.stable, offset))
}

/// (key, value) of the only record in a control batch.
fn marker(blob: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    // Length, attributes, timestamp delta, offset delta, all of them one byte here.
    let record = blob.get(pointsman_wire::batch::HEADER_LEN + 4..)?;
    let (key_len, rest) = record.split_first()?;
    let (key, rest) = rest.split_at_checked(usize::from(key_len >> 1))?;
    let (value_len, rest) = rest.split_first()?;
    let (value, _) = rest.split_at_checked(usize::from(value_len >> 1))?;
    Some((key.to_vec(), value.to_vec()))
}

/// A marker of version 0: its type as key, the coordinator's epoch as value.
fn check_marker(context: &Context<'_>, topic: &Topic, offset: i64, commit: u8) -> Result<(), String> {
    let found = context.leader(topic, 0)?.fetch(context, topic, From::offset(0, offset))?;
    let blob = records(&found);
    let header = *batches(&blob).first().ok_or("no batch")?;
    let shape = (header.attributes & 0x3f, header.base_sequence, header.records_count);
    same("marker's attributes, sequence, count", shape, (0x30, -1, 1))?;
    let (key, value) = marker(&blob).ok_or("no record")?;
    same("key", key, vec![0, 0, 0, commit])?;
    same("bytes of the value, and its version", (value.len(), &value[..2]), (6, &[0, 0][..]))
}

/// A committed transaction: in every version of EndTxn one marker follows it, and then readers of committed records see it.
fn commit(context: &Context<'_>) -> Result<(), String> {
    each(context.versions(26), |version| {
        let topic = context.topic(&format!("txn-commit-{version}"), 1, 3, &[])?;
        let mut producer = Producer::new(context, &format!("txn-commit-{version}"))?;
        producer.begin(&topic, 0)?;
        same("first", producer.send(&topic, &["a", "b"])?, 0)?;
        same("the end", producer.end(version, true)?.0, 0)?;
        wait_stable(context, &topic, 3)?;
        check_marker(context, &topic, 2, 1)?;
        each(context.versions(1), |fetch| {
            let seen = read(context, fetch, &topic, 0, true)?;
            same("batches", seen.batches, vec![(0, false), (2, true)])?;
            check(seen.aborted.as_ref().is_none_or(Vec::is_empty), || format!("{:?}", seen.aborted))
        })
    })
}

/// An aborted one: readers of committed records are told who wrote what is void, and from where on.
fn abort(context: &Context<'_>) -> Result<(), String> {
    each(context.versions(26), |version| {
        let topic = context.topic(&format!("txn-abort-{version}"), 1, 3, &[])?;
        let mut producer = Producer::new(context, &format!("txn-abort-{version}"))?;
        producer.begin(&topic, 0)?;
        producer.send(&topic, &["a", "b"])?;
        same("the end", producer.end(version, false)?.0, 0)?;
        wait_stable(context, &topic, 3)?;
        check_marker(context, &topic, 2, 0)?;
        each(context.versions(1), |fetch| {
            let all = vec![(0, false), (2, true)];
            let seen = read(context, fetch, &topic, 0, true)?;
            same("batches", &seen.batches, &all)?;
            same("aborted", seen.aborted, Some(vec![(producer.id, 0)]))?;
            // Who reads everything is told nothing.
            let seen = read(context, fetch, &topic, 0, false)?;
            same("all batches", &seen.batches, &all)?;
            same("nothing told", seen.aborted, None)
        })
    })
}

/// While a transaction is open, what follows its first record is not stable: not even records of others.
fn stable_offset(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-stable", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-stable")?;
    let mut conn = context.leader(&topic, 0)?;
    conn.append(context, &topic, 0, &Batch::of(&["before"]))?;
    producer.begin(&topic, 0)?;
    wait_stable(context, &topic, 1)?;
    same("offset", producer.send(&topic, &["a"])?, 1)?;
    conn.append(context, &topic, 0, &Batch::of(&["after"]))?;
    each(context.versions(1), |version| {
        let seen = read(context, version, &topic, 0, true)?;
        same("marks", (seen.high_watermark, seen.stable), (3, 1))?;
        same("committed batches", seen.batches, vec![(0, false)])?;
        let seen = read(context, version, &topic, 0, false)?;
        same("marks", (seen.high_watermark, seen.stable), (3, 1))?;
        same("all batches", seen.batches.len(), 3)?;
        // Between the stable offset and the end there is nothing to read, which is no error.
        same("behind it", read(context, version, &topic, 2, true)?.batches, Vec::new())
    })?;
    producer.finish(true)?;
    wait_stable(context, &topic, 4)
}

/// Two transactions in one log: the one that ends first waits for the one that began first.
fn interleaved(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-interleaved", 1, 3, &[])?;
    let mut one = Producer::new(context, "txn-interleaved-1")?;
    let mut two = Producer::new(context, "txn-interleaved-2")?;
    one.begin(&topic, 0)?;
    two.begin(&topic, 0)?;
    same("offsets", (one.send(&topic, &["a"])?, two.send(&topic, &["b"])?), (0, 1))?;
    two.finish(false)?;
    two.wait_state("CompleteAbort")?;
    let version = context.newest(1);
    eventually(|| {
        let seen = read(context, version, &topic, 0, true)?;
        same("marks", (seen.high_watermark, seen.stable), (3, 0))?;
        same("batches", seen.batches, Vec::new())
    })?;
    same("offset", one.send(&topic, &["c"])?, 3)?;
    one.finish(true)?;
    wait_stable(context, &topic, 5)?;
    let seen = read(context, version, &topic, 0, true)?;
    same("batches", seen.batches, vec![(0, false), (1, false), (2, true), (3, false), (4, true)])?;
    same("aborted", seen.aborted, Some(vec![(two.id, 1)]))?;
    // Who begins behind the aborted transaction's marker need not know of it.
    let seen = read(context, version, &topic, 3, true)?;
    same("after it", (seen.batches, seen.aborted), (vec![(3, false), (4, true)], Some(Vec::new())))
}

/// A reader of committed records who waits is answered when the transaction ends.
fn long_poll(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-poll", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-poll")?;
    producer.begin(&topic, 0)?;
    producer.send(&topic, &["a"])?;
    let version = context.newest(1);
    let mut conn = context.leader(&topic, 0)?;
    let waiting = request(&topic, 0, true).with("MaxWaitMs", 15_000).with("MinBytes", 1);
    conn.send(1, version, &waiting)?;
    check(conn.is_silent()?, || "an answer before the end".to_owned())?;
    producer.finish(true)?;
    let answer = conn.receive(1, version)?.1;
    let of = only("partitions", partitions(&answer, "Partitions"))?;
    check(!records(of).is_empty(), || "the wait ended without records".to_owned())
}

/// The latest offset is the last stable one for who reads committed records.
fn list_offsets(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-list-offsets", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-list-offsets")?;
    let mut conn = context.leader(&topic, 0)?;
    conn.append(context, &topic, 0, &Batch::of(&["a"]).at(1_600_000_000_000))?;
    producer.begin(&topic, 0)?;
    producer.send(&topic, &["b"])?;
    each(2..=context.newest(2), |version| {
        let mut ask = |timestamp: i64, committed: bool| {
            let request = list_offsets_request(&topic, 0, timestamp, -1);
            let request = request.with("IsolationLevel", i8::from(committed));
            let answer = conn.call(2, version, &request)?;
            let of = only("offsets", answer.structs("Topics").flat_map(|t| t.structs("Partitions")))?;
            Ok::<_, String>((of.i16("ErrorCode"), of.int("Offset")))
        };
        same("latest of all", ask(-1, false)?, (0, 2))?;
        same("latest that is stable", ask(-1, true)?, (0, 1))?;
        same("by time", ask(1_650_000_000_000, false)?, (0, 1))?;
        same("by time, what is stable", ask(1_650_000_000_000, true)?, (0, -1))
    })?;
    producer.finish(true)
}

/// A batch of a transaction that the partition is not in: up to v10 of Produce 48, in v11 120. Later versions add it.
fn not_begun(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-not-begun", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-not-begun")?;
    each(3..=PRODUCE_ADDS - 1, |version| {
        let error = producer.try_send(version, &topic, 0, &["a"])?.0;
        // A broker asks about several producers at once, and now and then gives an older version the error of a newer one beside it.
        let expected = if version < 11 { &[48, 120][..] } else { &[120] };
        check(expected.contains(&error), || format!("produce: expected one of {expected:?}, saw {error}"))
    })?;
    each(PRODUCE_ADDS..=context.newest(0), |version| {
        same("produce", producer.try_send(version, &topic, 0, &["a"])?.0, 0)
    })?;
    same("state", producer.describe()?.str("TransactionState"), "Ongoing")?;
    producer.finish(true)
}

/// Batches of a transaction in a request without a transactional id: 53.
fn without_id(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-without-id", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-without-id")?;
    producer.begin(&topic, 0)?;
    let answer = context.leader(&topic, 0)?.produce(context, &topic, 0, &producer.batch(&["a"]))?;
    same("error", answer.i16("ErrorCode"), 53)?;
    producer.finish(false)
}

/// A producer with an open transaction may not write anything beside it (48).
fn mixed(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-mixed", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-mixed")?;
    producer.begin(&topic, 0)?;
    producer.send(&topic, &["a"])?;
    let beside = Batch::of(&["b"]).by(producer.id, producer.epoch, 1);
    let answer = context.leader(&topic, 0)?.produce(context, &topic, 0, &beside)?;
    same("error", answer.i16("ErrorCode"), 48)?;
    same("the next of the transaction", producer.send(&topic, &["b"])?, 1)?;
    producer.finish(true)
}

/// The first batch that a partition gets of a producer may have any sequence number with transaction version 1; with
/// version 2 it must be 0 (45).
fn first_sequence(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-first", 1, 3, &[])?;
    let mut one = Producer::new(context, "txn-first-1")?;
    one.begin(&topic, 0)?;
    one.skip(7);
    same("version 1", one.send(&topic, &["a"])?, 0)?;
    one.finish(true)?;
    let mut two = Producer::new(context, "txn-first-2")?;
    two.skip(7);
    same("version 2", two.try_send(PRODUCE_ADDS, &topic, 0, &["a"])?.0, 45)
}

/// With transaction version 1 sequence numbers go on after an end; with version 2 they begin anew, with the new epoch.
fn after_the_end(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-after", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-after")?;
    for offset in [0, 2, 4] {
        producer.begin(&topic, 0)?;
        same("offset", producer.send(&topic, &["a"])?, offset)?;
        same("end", producer.end(END_STAYS, true)?.0, 0)?;
        wait_stable(context, &topic, offset + 2)?;
    }
    for offset in [6, 8] {
        eventually(|| same("produce", producer.try_send(PRODUCE_ADDS, &topic, 0, &["b"])?, (0, offset)))?;
        let (error, _, epoch) = producer.end(END_BUMPS, true)?;
        same("end", error, 0)?;
        producer.restart(epoch);
        wait_stable(context, &topic, offset + 2)?;
    }
    Ok(())
}

/// DescribeProducers: where an open transaction began, and what is left after its end.
fn producers(context: &Context<'_>) -> Result<(), String> {
    const DESCRIBE_PRODUCERS: i16 = 61;
    let topic = context.topic("txn-producers", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-producers")?;
    let mut conn = context.leader(&topic, 0)?;
    conn.append(context, &topic, 0, &Batch::of(&["before"]))?;
    let mut describe = || {
        let indexes = vec![Value::from(0)];
        let wanted = Struct::new().with("Name", topic.name.as_str()).with("PartitionIndexes", indexes);
        let request = Struct::new().with("Topics", vec![wanted]);
        let answer = conn.call(DESCRIBE_PRODUCERS, context.newest(DESCRIBE_PRODUCERS), &request)?;
        let of = only("partitions", answer.structs("Topics").flat_map(|t| t.structs("Partitions")))?;
        same("error", of.i16("ErrorCode"), 0)?;
        only("producers", of.structs("ActiveProducers")).cloned()
    };
    producer.begin(&topic, 0)?;
    producer.send(&topic, &["a", "b"])?;
    let seen = describe()?;
    let numbers = (seen.int("ProducerId"), seen.i32("ProducerEpoch"), seen.i32("LastSequence"));
    same("open", numbers, (producer.id, producer.epoch.into(), 1))?;
    let marks = (seen.i32("CoordinatorEpoch"), seen.int("CurrentTxnStartOffset"));
    same("open", marks, (-1, 1))?;
    let (error, _, epoch) = producer.end(END_BUMPS, true)?;
    same("end", error, 0)?;
    wait_stable(context, &topic, 4)?;
    let seen = describe()?;
    let numbers = (seen.int("ProducerId"), seen.i32("ProducerEpoch"), seen.i32("LastSequence"));
    same("ended", numbers, (producer.id, epoch.into(), -1))?;
    same("no transaction", seen.int("CurrentTxnStartOffset"), -1)?;
    check(seen.i32("CoordinatorEpoch") >= 0, || format!("{seen:?}"))
}

/// An administrator aborts a transaction that hangs, by writing the marker itself.
fn write_markers(context: &Context<'_>) -> Result<(), String> {
    const WRITE_MARKERS: i16 = 27;
    each(context.versions(WRITE_MARKERS), |version| {
        let topic = context.topic(&format!("txn-markers-{version}"), 1, 3, &[])?;
        let mut producer = Producer::new(context, &format!("txn-markers-{version}"))?;
        producer.init()?;
        producer.begin(&topic, 0)?;
        producer.send(&topic, &["a"])?;
        let write = |epoch: i16, index: i32| {
            let indexes = vec![Value::from(index)];
            let of = Struct::new().with("Name", topic.name.as_str()).with("PartitionIndexes", indexes);
            let marker = Struct::new()
                .with("ProducerId", producer.id)
                .with("ProducerEpoch", epoch)
                .with("TransactionResult", false)
                .with("Topics", vec![of])
                .with("CoordinatorEpoch", 0);
            let request = Struct::new().with("Markers", vec![marker]);
            let answer = context.leader(&topic, 0)?.call(WRITE_MARKERS, version, &request)?;
            let of = only("markers", answer.structs("Markers"))?;
            same("producer", of.int("ProducerId"), producer.id)?;
            let of = only("partitions", of.structs("Topics").flat_map(|t| t.structs("Partitions")))?;
            Ok::<_, String>(of.i16("ErrorCode"))
        };
        same("another partition", write(producer.epoch, 9)?, 3)?;
        same("an older epoch", write(producer.epoch - 1, 0)?, 47)?;
        same("the marker", write(producer.epoch, 0)?, 0)?;
        let seen = read(context, context.newest(1), &topic, 0, true)?;
        same("batches", seen.batches, vec![(0, false), (1, true)])?;
        same("aborted", seen.aborted, Some(vec![(producer.id, 0)]))
    })
}

//! Transactions as their coordinator sees them: ids and epochs, what belongs to a transaction, its end, and who is fenced.

use pointsman_wire::{Struct, Value};

use super::transactional::{
    ADD_OFFSETS, ADD_PARTITIONS, DESCRIBE, END, END_BUMPS, END_STAYS, INIT, PRODUCE_ADDS, Producer,
    coordinator,
};
use super::{Case, Context, check, each, eventually, only, same};

pub(crate) const CASES: &[Case] = &[
    // First, because it waits longest.
    ("txn_times_out", times_out),
    ("txn_times_out_2", times_out_2),
    ("txn_versions", versions),
    ("txn_features", features),
    ("txn_init", init),
    ("txn_init_refused", init_refused),
    ("txn_init_expected", init_expected),
    ("txn_not_coordinator", not_coordinator),
    ("txn_unknown_id", unknown_id),
    ("txn_add_partitions", add_partitions),
    ("txn_add_unknown_partition", add_unknown_partition),
    ("txn_add_several", add_several),
    ("txn_verify_only", verify_only),
    ("txn_wrong_producer", wrong_producer),
    ("txn_end_without_begin", end_without_begin),
    ("txn_end_twice", end_twice),
    ("txn_end_bumps", end_bumps),
    ("txn_end_bumps_twice", end_bumps_twice),
    ("txn_fencing", fencing),
    ("txn_fencing_2", fencing_2),
    ("txn_described", described),
    ("txn_listed", listed),
];

/// Oldest and newest version of each api of transactions in Apache Kafka 4.3.1.
const OFFERED: &[(i16, i16, i16)] =
    &[(24, 0, 5), (25, 0, 4), (26, 0, 5), (27, 1, 2), (28, 0, 5), (61, 0, 0), (65, 0, 0), (66, 0, 2)];

fn versions(context: &Context<'_>) -> Result<(), String> {
    OFFERED.iter().try_for_each(|(key, oldest, newest)| {
        same(&format!("api {key}"), context.versions(*key), *oldest..=*newest)
    })
}

/// The features that clients look at before they use transaction version 2.
fn features(context: &Context<'_>) -> Result<(), String> {
    let named = Struct::new().with("ClientSoftwareName", "conformance").with("ClientSoftwareVersion", "1.0");
    let answer = context.broker(0)?.call(18, context.newest(18), &named)?;
    let levels = |array, name: &str, min, max| {
        let found = answer.structs(array).find(|f| f.str("Name") == name);
        found.map(|f| (f.i16(min), f.i16(max)))
    };
    let supported = levels("SupportedFeatures", "transaction.version", "MinVersion", "MaxVersion");
    same("supported", supported, Some((0, 2)))?;
    let level = levels("FinalizedFeatures", "transaction.version", "MinVersionLevel", "MaxVersionLevel");
    same("finalized", level, Some((2, 2)))
}

/// A new transactional id gets a producer id with epoch 0, and each new introduction the next epoch.
fn init(context: &Context<'_>) -> Result<(), String> {
    let mut producer = Producer::new(context, "txn-init")?;
    same("epoch", producer.epoch, 0)?;
    let (id, mut epoch) = (producer.id, 0);
    each(context.versions(INIT), |version| {
        epoch += 1;
        same("again", producer.try_init(version, (-1, -1))?, (0, id, epoch))
    })?;
    let other = Producer::new(context, "txn-init-other")?;
    check(other.id != id, || "two transactional ids have one producer id".to_owned())
}

/// An empty transactional id (42), and time-outs that are none or longer than 15 minutes (50).
fn init_refused(context: &Context<'_>) -> Result<(), String> {
    let mut producer = Producer::named(context, "txn-init-refused")?;
    each(context.versions(INIT), |version| {
        for (timeout, error) in [(0, 50), (-1, 50), (900_001, 50), (900_000, 0)] {
            producer.timeout = timeout;
            eventually(|| same(&format!("{timeout} ms"), producer.try_init(version, (-1, -1))?.0, error))?;
        }
        let request = producer.init_request((-1, -1)).with("TransactionalId", "");
        same("empty", producer.conn.call(INIT, version, &request)?.i16("ErrorCode"), 42)
    })
}

/// A client that goes on after an error says what it is (from v3 on): the epoch rises, and a retry changes nothing. Whoever
/// says something else is fenced: 47 up to v3, then 90.
fn init_expected(context: &Context<'_>) -> Result<(), String> {
    let mut producer = Producer::new(context, "txn-init-expected")?;
    let id = producer.id;
    let mut epoch = producer.epoch;
    each(3..=context.newest(INIT), |version| {
        let fenced = if version < 4 { 47 } else { 90 };
        same("go on", producer.try_init(version, (id, epoch))?, (0, id, epoch + 1))?;
        same("a retry", producer.try_init(version, (id, epoch))?, (0, id, epoch + 1))?;
        epoch += 1;
        same("another epoch", producer.try_init(version, (id, epoch + 5))?, (fenced, -1, -1))?;
        same("another id", producer.try_init(version, (id + 1_000_000, epoch))?, (fenced, -1, -1))?;
        same("an epoch without an id", producer.try_init(version, (-1, epoch))?.0, 42)?;
        same("an id without an epoch", producer.try_init(version, (id, -1))?.0, 42)
    })
}

/// Only the coordinator serves a transactional id; everybody else says 16.
fn not_coordinator(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-elsewhere", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-elsewhere")?;
    let other = (coordinator(context, 0, &producer.name)? + 1) % 3;
    producer.conn = context.broker(other)?;
    same("init", producer.try_init(context.newest(INIT), (-1, -1))?.0, 16)?;
    each(context.versions(ADD_PARTITIONS), |version| {
        same("add partitions", producer.add(version, &[(&topic.name, &[0])])?, vec![16])
    })?;
    same("add offsets", producer.add_offsets(context.newest(ADD_OFFSETS), "raw-txn-group")?, 16)?;
    same("end", producer.end(context.newest(END), true)?, (16, -1, -1))?;
    same("describe", producer.describe()?.i16("ErrorCode"), 16)
}

/// A transactional id that nobody has introduced has no transactions: 49, and 105 when described.
fn unknown_id(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-unknown", 1, 3, &[])?;
    drop(Producer::new(context, "txn-unknown")?);
    let mut producer = Producer::named(context, "txn-unknown-2")?;
    (producer.id, producer.epoch) = (5, 0);
    eventually(|| same("describe", producer.describe()?.i16("ErrorCode"), 105))?;
    each(context.versions(ADD_PARTITIONS), |version| {
        same("add partitions", producer.add(version, &[(&topic.name, &[0])])?, vec![49])
    })?;
    each(context.versions(ADD_OFFSETS), |version| {
        same("add offsets", producer.add_offsets(version, "raw-txn-group")?, 49)
    })?;
    each(context.versions(END), |version| same("end", producer.end(version, true)?.0, 49))
}

/// Partitions join in every version, again and again; the transaction is "Ongoing" and has all of them.
fn add_partitions(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-add", 6, 3, &[])?;
    let mut producer = Producer::new(context, "txn-add")?;
    each(context.versions(ADD_PARTITIONS), |version| {
        let some = [0, i32::from(version)];
        let expected = if version == 0 { vec![0] } else { vec![0, 0] };
        let some = if version == 0 { &some[..1] } else { &some[..] };
        same("add", producer.add(version, &[(&topic.name, some)])?, expected)
    })?;
    let seen = producer.describe()?;
    same("state", seen.str("TransactionState"), "Ongoing")?;
    let of = only("topics", seen.structs("Topics"))?;
    same("topic", of.str("Topic"), topic.name.as_str())?;
    same("partitions", of.array("Partitions").len(), 6)?;
    check(seen.int("TransactionStartTimeMs") > 0, || "no start time".to_owned())?;
    producer.finish(false)
}

/// One partition that does not exist (3) keeps the others out (55).
fn add_unknown_partition(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-add-unknown", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-add-unknown")?;
    each(context.versions(ADD_PARTITIONS), |version| {
        same("add", producer.add(version, &[(&topic.name, &[0, 7])])?, vec![55, 3])?;
        let topics: [(&str, &[i32]); 2] = [(&topic.name, &[0]), ("raw-zzz-none", &[0])];
        same("no topic", producer.add(version, &topics)?, vec![55, 3])
    })?;
    same("state", producer.describe()?.str("TransactionState"), "Empty")
}

/// From v4 on several transactions in one request, each answered by itself.
fn add_several(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-several", 1, 3, &[])?;
    let mut one = Producer::new(context, "txn-several")?;
    let unknown = one.as_of(77, 0)?;
    each(4..=context.newest(ADD_PARTITIONS), |version| {
        let mut request = one.add_request(version, &[(&topic.name, &[0])]);
        let other = unknown.add_request(version, &[(&topic.name, &[0])]);
        let other = only("transactions", other.structs("Transactions"))?.clone();
        let other = other.with("TransactionalId", format!("{}-none", one.name));
        let all = request.array_mut("Transactions").ok_or("no transactions")?;
        all.push(Value::Struct(other));
        let answer = one.conn.call(ADD_PARTITIONS, version, &request)?;
        let mut seen: Vec<(String, i16)> = answer
            .structs("ResultsByTransaction")
            .map(|of| {
                let mut parts = of.structs("TopicResults").flat_map(|t| t.structs("ResultsByPartition"));
                let error = parts.next().map_or(-2, |p| p.i16("PartitionErrorCode"));
                (of.str("TransactionalId").to_owned(), error)
            })
            .collect();
        seen.sort();
        check(seen.len() == 2 && seen[0] == (one.name.clone(), 0) && [16, 49].contains(&seen[1].1), || {
            format!("{seen:?}")
        })
    })?;
    one.finish(false)
}

/// A leader asks whether a partition is in the transaction, and adds nothing: with what is not there the transaction can only
/// be aborted (120).
fn verify_only(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-verify", 2, 3, &[])?;
    let mut producer = Producer::new(context, "txn-verify")?;
    producer.begin(&topic, 0)?;
    each(4..=context.newest(ADD_PARTITIONS), |version| {
        let mut request = producer.add_request(version, &[(&topic.name, &[0, 1])]);
        for of in request.structs_mut("Transactions") {
            of.set("VerifyOnly", true);
        }
        let answer = producer.conn.call(ADD_PARTITIONS, version, &request)?;
        let of = only("transactions", answer.structs("ResultsByTransaction"))?;
        let mut seen: Vec<(i32, i16)> = of
            .structs("TopicResults")
            .flat_map(|t| t.structs("ResultsByPartition"))
            .map(|p| (p.i32("PartitionIndex"), p.i16("PartitionErrorCode")))
            .collect();
        seen.sort_unstable();
        same("errors", seen, vec![(0, 0), (1, 120)])
    })?;
    producer.finish(false)
}

/// Another producer id is 49. Another epoch is fenced: 47 in the first two versions, then 90.
fn wrong_producer(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-wrong", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-wrong")?;
    producer.begin(&topic, 0)?;
    let (id, epoch) = (producer.id, producer.epoch);
    for (wrong, is_id) in [((id + 1_000_000, epoch), true), ((id, epoch + 1), false)] {
        (producer.id, producer.epoch) = wrong;
        let error = |version| match version {
            _ if is_id => 49,
            ..=1 => 47,
            _ => 90,
        };
        each(context.versions(ADD_PARTITIONS), |version| {
            same("add partitions", producer.add(version, &[(&topic.name, &[0])])?, vec![error(version)])
        })?;
        each(context.versions(ADD_OFFSETS), |version| {
            same("add offsets", producer.add_offsets(version, "raw-txn-group")?, error(version))
        })?;
        each(context.versions(END), |version| same("end", producer.end(version, true)?.0, error(version)))?;
    }
    (producer.id, producer.epoch) = (id, epoch);
    producer.finish(false)
}

/// Nothing was begun, so there is nothing to end (48). With transaction version 2 an abort is well, and raises the epoch.
fn end_without_begin(context: &Context<'_>) -> Result<(), String> {
    let mut producer = Producer::new(context, "txn-end-empty")?;
    let epoch = producer.epoch;
    each(0..=END_STAYS, |version| {
        same("commit", producer.end(version, true)?.0, 48)?;
        same("abort", producer.end(version, false)?.0, 48)
    })?;
    same("commit, version 2", producer.end(END_BUMPS, true)?, (48, -1, -1))?;
    same("abort, version 2", producer.end(END_BUMPS, false)?, (0, producer.id, epoch + 1))?;
    producer.restart(epoch + 1);
    producer.wait_state("CompleteAbort")?;
    same("again", producer.end(END_BUMPS, false)?, (0, producer.id, epoch + 2))
}

/// With transaction version 1 the same end may come twice; the other one may not (48).
fn end_twice(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-end-twice", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-end-twice")?;
    for (commit, state) in [(true, "CompleteCommit"), (false, "CompleteAbort")] {
        each(0..=END_STAYS, |version| {
            producer.begin(&topic, 0)?;
            same("the end", producer.end(version, commit)?.0, 0)?;
            producer.wait_state(state)?;
            same("again", producer.end(version, commit)?.0, 0)?;
            same("the other", producer.end(version, !commit)?.0, 48)
        })?;
    }
    Ok(())
}

/// With transaction version 2 each end raises the epoch, and its answer says so.
fn end_bumps(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-end-bumps", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-end-bumps")?;
    for (commit, state) in [(true, "CompleteCommit"), (false, "CompleteAbort")] {
        let epoch = producer.epoch;
        let sent = eventually(|| {
            let sent = producer.try_send(PRODUCE_ADDS, &topic, 0, &["a"])?;
            same("produce", sent.0, 0)
        });
        sent?;
        same("the end", producer.end(END_BUMPS, commit)?, (0, producer.id, epoch + 1))?;
        let before = producer.as_of(producer.id, epoch)?;
        producer.restart(epoch + 1);
        producer.wait_state(state)?;
        let mut late = before;
        same("late produce", late.try_send(PRODUCE_ADDS, &topic, 0, &["b"])?.0, 47)?;
        same("late add", late.add(context.newest(ADD_PARTITIONS), &[(&topic.name, &[0])])?, vec![90])?;
    }
    Ok(())
}

/// A retry of an end has the epoch of before, and is answered as the first one was; the other end may not come (48), and
/// nothing was begun since.
fn end_bumps_twice(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-bumps-twice", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-bumps-twice")?;
    for (commit, state) in [(true, "CompleteCommit"), (false, "CompleteAbort")] {
        let epoch = producer.epoch;
        eventually(|| same("produce", producer.try_send(PRODUCE_ADDS, &topic, 0, &["a"])?.0, 0))?;
        same("the end", producer.end(END_BUMPS, commit)?, (0, producer.id, epoch + 1))?;
        producer.wait_state(state)?;
        same("a retry", producer.end(END_BUMPS, commit)?, (0, producer.id, epoch + 1))?;
        same("the other", producer.end(END_BUMPS, !commit)?, (48, -1, -1))?;
        producer.restart(epoch + 1);
        same("commit of nothing", producer.end(END_BUMPS, true)?, (48, -1, -1))?;
    }
    Ok(())
}

/// Who introduces itself ends the transaction of the one before it: first 51, then the producer id with a higher epoch. The
/// one before is fenced everywhere.
fn fencing(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-fencing", 1, 3, &[])?;
    let mut old = Producer::new(context, "txn-fencing")?;
    old.begin(&topic, 0)?;
    old.send(&topic, &["a"])?;
    let mut new = old.as_of(-1, -1)?;
    same("first", new.try_init(context.newest(INIT), (-1, -1))?, (51, -1, -1))?;
    new.init()?;
    same("producer", new.id, old.id)?;
    // The fence and the introduction raise it by one each.
    same("epoch", new.epoch, old.epoch + 2)?;
    new.wait_state("Empty")?;
    same("produce", old.try_send(PRODUCE_ADDS - 1, &topic, 0, &["b"])?.0, 47)?;
    same("produce, version 2", old.try_send(PRODUCE_ADDS, &topic, 0, &["b"])?.0, 47)?;
    same("add partitions", old.add(3, &[(&topic.name, &[0])])?, vec![90])?;
    same("add offsets", old.add_offsets(context.newest(ADD_OFFSETS), "raw-txn-group")?, 90)?;
    same("commit", old.end(END_STAYS, true)?.0, 90)?;
    same("abort, version 2", old.end(END_BUMPS, false)?, (90, -1, -1))?;
    same("init", old.try_init(context.newest(INIT), (old.id, old.epoch))?, (90, -1, -1))?;
    new.begin(&topic, 0)?;
    new.send(&topic, &["c"])?;
    new.finish(true)
}

/// The same for a transaction of version 2.
fn fencing_2(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-fencing-2", 1, 3, &[])?;
    let mut old = Producer::new(context, "txn-fencing-2")?;
    same("produce", old.try_send(PRODUCE_ADDS, &topic, 0, &["a"])?.0, 0)?;
    let mut new = old.as_of(-1, -1)?;
    same("first", new.try_init(context.newest(INIT), (-1, -1))?, (51, -1, -1))?;
    new.init()?;
    same("producer", new.id, old.id)?;
    same("epoch", new.epoch, old.epoch + 2)?;
    same("produce", old.try_send(PRODUCE_ADDS, &topic, 0, &["b"])?.0, 47)?;
    same("commit", old.end(END_BUMPS, true)?, (90, -1, -1))?;
    eventually(|| same("produce", new.try_send(PRODUCE_ADDS, &topic, 0, &["c"])?.0, 0))?;
    same("end", new.end(END_BUMPS, true)?, (0, new.id, new.epoch + 1))
}

/// A transaction that is open for longer than its producer asked for is aborted, and its producer fenced.
fn times_out(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-times-out", 1, 3, &[])?;
    let mut producer = Producer::named(context, "txn-times-out")?;
    producer.timeout = 1_000;
    producer.init()?;
    producer.begin(&topic, 0)?;
    producer.send(&topic, &["a"])?;
    producer.wait_state("CompleteAbort")?;
    let seen = producer.describe()?;
    same("time-out", seen.i32("TransactionTimeoutMs"), 1_000)?;
    same("epoch", seen.i16("ProducerEpoch"), producer.epoch + 1)?;
    same("produce", producer.try_send(PRODUCE_ADDS - 1, &topic, 0, &["b"])?.0, 47)?;
    same("commit", producer.end(END_STAYS, true)?.0, 90)?;
    let (epoch, id) = (producer.epoch, producer.id);
    producer.init()?;
    same("the next epoch", (producer.id, producer.epoch), (id, epoch + 2))
}

/// The same with transaction version 2: the end that comes too late looks like a retry of the abort.
fn times_out_2(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-times-out-2", 1, 3, &[])?;
    let mut producer = Producer::named(context, "txn-times-out-2")?;
    producer.timeout = 1_000;
    producer.init()?;
    let epoch = producer.epoch;
    same("produce", producer.try_send(PRODUCE_ADDS, &topic, 0, &["a"])?.0, 0)?;
    producer.wait_state("CompleteAbort")?;
    same("epoch", producer.describe()?.i16("ProducerEpoch"), epoch + 1)?;
    same("produce", producer.try_send(PRODUCE_ADDS, &topic, 0, &["b"])?.0, 47)?;
    same("commit", producer.end(END_BUMPS, true)?, (48, -1, -1))?;
    same("abort", producer.end(END_BUMPS, false)?, (0, producer.id, epoch + 1))
}

/// DescribeTransactions, from before the first transaction to after it.
fn described(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-described", 2, 3, &[])?;
    let mut producer = Producer::new(context, "txn-described")?;
    let state = |seen: &Struct| {
        let partitions: usize = seen.structs("Topics").map(|t| t.array("Partitions").len()).sum();
        (seen.i16("ErrorCode"), seen.str("TransactionState").to_owned(), partitions)
    };
    let seen = producer.describe()?;
    same("new", state(&seen), (0, "Empty".to_owned(), 0))?;
    let who = (seen.int("ProducerId"), seen.i16("ProducerEpoch"), seen.i32("TransactionTimeoutMs"));
    same("producer", who, (producer.id, producer.epoch, 60_000))?;
    same("start", seen.int("TransactionStartTimeMs"), -1)?;
    producer.begin(&topic, 0)?;
    producer.begin(&topic, 1)?;
    same("open", state(&producer.describe()?), (0, "Ongoing".to_owned(), 2))?;
    producer.finish(true)?;
    producer.wait_state("CompleteCommit")?;
    same("committed", state(&producer.describe()?), (0, "CompleteCommit".to_owned(), 0))?;
    let request = Struct::new().with("TransactionalIds", vec![Value::from("")]);
    let answer = producer.conn.call(DESCRIBE, context.newest(DESCRIBE), &request)?;
    same("no id", only("transactions", answer.structs("TransactionStates"))?.i16("ErrorCode"), 42)
}

/// ListTransactions, filtered by state and producer, from v1 on by age, and from v2 on by a pattern.
fn listed(context: &Context<'_>) -> Result<(), String> {
    const LIST: i16 = 66;
    let topic = context.topic("txn-listed", 1, 3, &[])?;
    let mut producer = Producer::new(context, "txn-listed")?;
    producer.begin(&topic, 0)?;
    let (id, name) = (producer.id, producer.name.clone());
    let mut find = |version: i16, request: &Struct| {
        let answer = producer.conn.call(LIST, version, request)?;
        same("error", answer.i16("ErrorCode"), 0)?;
        let found = answer.structs("TransactionStates").find(|t| t.str("TransactionalId") == name);
        let found = found.map(|t| (t.int("ProducerId"), t.str("TransactionState").to_owned()));
        let unknown: Vec<String> =
            answer.array("UnknownStateFilters").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Ok::<_, String>((found, unknown))
    };
    let here = || Some((id, "Ongoing".to_owned()));
    let states = |names: &[&str]| {
        let names: Vec<Value> = names.iter().map(|name| Value::from(*name)).collect();
        Struct::new().with("StateFilters", names)
    };
    let none = Vec::<String>::new();
    each(context.versions(LIST), |version| {
        let ids = |id: i64| Struct::new().with("ProducerIdFilters", vec![Value::from(id)]);
        same("all", find(version, &Struct::new())?, (here(), none.clone()))?;
        same("its state", find(version, &states(&["Ongoing"]))?, (here(), none.clone()))?;
        same("another", find(version, &states(&["Empty"]))?, (None, none.clone()))?;
        let strange = find(version, &states(&["Ongoing", "Strange"]))?;
        same("an unknown state", strange, (here(), vec!["Strange".to_owned()]))?;
        same("its producer", find(version, &ids(id))?, (here(), none.clone()))?;
        same("another producer", find(version, &ids(id + 1_000_000))?, (None, none.clone()))
    })?;
    each(1..=context.newest(LIST), |version| {
        let older = Struct::new().with("DurationFilter", 3_600_000_i64);
        same("older than an hour", find(version, &older)?.0, None)
    })?;
    each(2..=context.newest(LIST), |version| {
        let pattern = |text: &str| Struct::new().with("TransactionalIdPattern", text);
        same("its pattern", find(version, &pattern("raw-txn-lis.*"))?.0, here())?;
        same("part of it", find(version, &pattern("raw-txn-lis"))?.0, None)
    })?;
    producer.finish(false)
}

//! Fetch without sessions: what comes back, how much of it, and when.

use std::time::{Duration, Instant};

use pointsman_wire::{Struct, Value};

use super::records::{Batch, batches};
use super::topic::{From, Topic, fetch_request, partitions, records};
use super::{Case, Context, check, each, eventually, only, same};

pub(crate) const CASES: &[Case] = &[
    ("fetch_every_version", every_version),
    ("fetch_inside_a_batch", inside_a_batch),
    ("fetch_out_of_range", out_of_range),
    ("fetch_unknown_topic", unknown_topic),
    ("fetch_from_a_follower", from_a_follower),
    ("fetch_leader_epochs", leader_epochs),
    ("fetch_diverging_epoch", diverging_epoch),
    ("fetch_waits", waits),
    ("fetch_min_bytes", min_bytes),
    ("fetch_max_bytes", max_bytes),
    ("fetch_error_ends_the_wait", error_ends_the_wait),
];

/// A topic of one partition with `batches` batches of one record of 1000 bytes, replicated everywhere.
fn filled(context: &Context<'_>, name: &str, batches: i64) -> Result<Topic, String> {
    let topic = context.topic(name, 1, 3, &[])?;
    let mut conn = context.leader(&topic, 0)?;
    let value = "x".repeat(1000);
    for _ in 0..batches {
        conn.append(context, &topic, 0, &Batch::of(&[&value]))?;
    }
    eventually(|| {
        let fetched = conn.fetch(context, &topic, From::offset(0, batches))?;
        same("high watermark", fetched.int("HighWatermark"), batches)
    })?;
    Ok(topic)
}

fn every_version(context: &Context<'_>) -> Result<(), String> {
    let topic = filled(context, "fetch", 3)?;
    let mut conn = context.leader(&topic, 0)?;
    each(context.versions(1), |version| {
        let answer = conn.call(1, version, &fetch_request(&topic, &[From::offset(0, 0)]))?;
        same("session", answer.int("SessionId"), 0)?;
        let found = only("partitions", partitions(&answer, "Partitions"))?;
        same("error", found.i16("ErrorCode"), 0)?;
        same("high watermark", found.int("HighWatermark"), 3)?;
        check(version < 4 || found.int("LastStableOffset") == 3, || "last stable offset".to_owned())?;
        let offsets: Vec<i64> = batches(&records(found)).iter().map(|batch| batch.base_offset).collect();
        same("batches", offsets, vec![0, 1, 2])?;
        let topic_answer = only("topics", answer.structs("Responses"))?;
        match version {
            ..=12 => same("topic", topic_answer.str("Topic"), topic.name.as_str()),
            _ => same("topic id", topic_answer.uuid("TopicId"), topic.id),
        }
    })
}

/// Batches are sent whole: the reader drops the records before its offset.
fn inside_a_batch(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("fetch-inside", 1, 1, &[])?;
    let mut conn = context.leader(&topic, 0)?;
    conn.append(context, &topic, 0, &Batch::of(&["a", "b", "c"]))?;
    let fetched = conn.fetch(context, &topic, From::offset(0, 2))?;
    same("base offset", batches(&records(&fetched))[0].base_offset, 0)?;
    // At the end there is nothing, and that is no error.
    let fetched = conn.fetch(context, &topic, From::offset(0, 3))?;
    same("at the end", (fetched.i16("ErrorCode"), records(&fetched).len()), (0, 0))
}

fn out_of_range(context: &Context<'_>) -> Result<(), String> {
    let topic = filled(context, "fetch-range", 2)?;
    let mut conn = context.leader(&topic, 0)?;
    each(context.versions(1), |version| {
        for offset in [3, 1000] {
            let answer = conn.call(1, version, &fetch_request(&topic, &[From::offset(0, offset)]))?;
            let found = only("partitions", partitions(&answer, "Partitions"))?;
            same("error", found.i16("ErrorCode"), 1)?;
            same("high watermark", found.int("HighWatermark"), -1)?;
        }
        Ok(())
    })
}

fn unknown_topic(context: &Context<'_>) -> Result<(), String> {
    let unknown = Topic { name: "raw-none".to_owned(), id: [9; 16] };
    let mut conn = context.broker(0)?;
    each(context.versions(1), |version| {
        let answer = conn.call(1, version, &fetch_request(&unknown, &[From::offset(0, 0)]))?;
        same("top-level error", answer.i16("ErrorCode"), 0)?;
        let found = only("partitions", partitions(&answer, "Partitions"))?;
        same("error", found.i16("ErrorCode"), if version < 13 { 3 } else { 100 })
    })?;
    let topic = filled(context, "fetch-partition", 0)?;
    let found = context.leader(&topic, 0)?.fetch(context, &topic, From::offset(7, 0))?;
    same("unknown partition", found.i16("ErrorCode"), 3)
}

/// Up to v10 only the leader serves consumers (6). From v11 on every replica does, with a rack or without one.
fn from_a_follower(context: &Context<'_>) -> Result<(), String> {
    let topic = filled(context, "fetch-follower", 1)?;
    let place = context.place(&topic, 0)?;
    let leader = context.index(place.leader)?;
    let mut conn = context.broker((leader + 1) % 3)?;
    each(context.versions(1), |version| {
        let answer = conn.call(1, version, &fetch_request(&topic, &[From::offset(0, 0)]))?;
        let found = only("partitions", partitions(&answer, "Partitions"))?;
        if version >= 11 {
            return same("error", found.i16("ErrorCode"), 0);
        }
        same("error", found.i16("ErrorCode"), 6)
    })?;
    // A broker without a replica: 6, and from v16 on the answer says where the leader is.
    let topic = context.topic("fetch-elsewhere", 1, 1, &[])?;
    let place = context.place(&topic, 0)?;
    let leader = context.index(place.leader)?;
    let mut conn = context.broker((leader + 1) % 3)?;
    each(context.versions(1), |version| {
        let answer = conn.call(1, version, &fetch_request(&topic, &[From::offset(0, 0)]))?;
        let found = only("partitions", partitions(&answer, "Partitions"))?;
        same("error", found.i16("ErrorCode"), 6)?;
        if version >= 16 {
            let current = found.nested("CurrentLeader").ok_or("no current leader")?;
            same(
                "leader",
                (current.i32("LeaderId"), current.i32("LeaderEpoch")),
                (place.leader, place.epoch),
            )?;
            let endpoint = only("endpoints", answer.structs("NodeEndpoints"))?;
            same("endpoint", endpoint.int("Port"), i64::from(context.servers()[leader].port()))?;
        }
        Ok(())
    })
}

/// The epoch that the client knows: an older one is fenced (74), a newer one unknown (75).
fn leader_epochs(context: &Context<'_>) -> Result<(), String> {
    let topic = filled(context, "fetch-epochs", 1)?;
    let epoch = context.place(&topic, 0)?.epoch;
    let mut conn = context.leader(&topic, 0)?;
    each(9..=context.newest(1), |version| {
        for (leader_epoch, error) in [(epoch, 0), (epoch + 1, 75), (-1, 0)] {
            let from = From { leader_epoch, ..From::offset(0, 0) };
            let answer = conn.call(1, version, &fetch_request(&topic, &[from]))?;
            let found = only("partitions", partitions(&answer, "Partitions"))?;
            same(&format!("error of epoch {leader_epoch}"), found.i16("ErrorCode"), error)?;
        }
        Ok(())
    })
}

/// A last fetched epoch that ends before the fetch offset is answered with where it ends, and without records.
fn diverging_epoch(context: &Context<'_>) -> Result<(), String> {
    let topic = filled(context, "fetch-diverging", 3)?;
    let epoch = context.place(&topic, 0)?.epoch;
    let mut conn = context.leader(&topic, 0)?;
    each(12..=context.newest(1), |version| {
        let from = From { fetched_epoch: epoch, ..From::offset(0, 3) };
        let answer = conn.call(1, version, &fetch_request(&topic, &[from]))?;
        let found = only("partitions", partitions(&answer, "Partitions"))?;
        same("error", found.i16("ErrorCode"), 0)?;
        let diverging =
            |found: &Struct| found.nested("DivergingEpoch").map(|d| (d.i32("Epoch"), d.int("EndOffset")));
        check(diverging(found).is_none_or(|d| d == (-1, -1)), || {
            format!("diverging {:?}", diverging(found))
        })?;
        let from = From { fetched_epoch: epoch, ..From::offset(0, 9) };
        let answer = conn.call(1, version, &fetch_request(&topic, &[from]))?;
        let found = only("partitions", partitions(&answer, "Partitions"))?;
        same("error of a diverging one", found.i16("ErrorCode"), 0)?;
        same("diverging epoch", diverging(found), Some((epoch, 3)))?;
        same("records", records(found).len(), 0)
    })
}

/// With nothing to read the answer takes the maximal wait; a record that comes meanwhile ends it at once.
fn waits(context: &Context<'_>) -> Result<(), String> {
    let topic = filled(context, "fetch-waits", 0)?;
    let version = context.newest(1);
    let mut request = fetch_request(&topic, &[From::offset(0, 0)]);
    request.set("MinBytes", 1);
    request.set("MaxWaitMs", 400);
    let mut conn = context.leader(&topic, 0)?;
    let begun = Instant::now();
    conn.call(1, version, &request)?;
    let took = begun.elapsed();
    check(took >= Duration::from_millis(390), || format!("an empty answer after {took:?}"))?;
    request.set("MaxWaitMs", 15_000);
    let begun = Instant::now();
    conn.send(1, version, &request)?;
    context.leader(&topic, 0)?.append(context, &topic, 0, &Batch::of(&["a"]))?;
    let (_, answer) = conn.receive(1, version)?;
    let found = only("partitions", partitions(&answer, "Partitions"))?;
    check(!records(found).is_empty(), || "no record".to_owned())?;
    check(begun.elapsed() < Duration::from_secs(8), || {
        format!("the record came after {:?}", begun.elapsed())
    })?;
    // MinBytes 0 never waits.
    let begun = Instant::now();
    let mut at_once = fetch_request(&topic, &[From::offset(0, 1)]);
    at_once.set("MaxWaitMs", 15_000);
    conn.call(1, version, &at_once)?;
    check(begun.elapsed() < Duration::from_secs(8), || format!("MinBytes 0 took {:?}", begun.elapsed()))
}

/// Fewer bytes than the minimum are held back until the wait is over, and then sent.
fn min_bytes(context: &Context<'_>) -> Result<(), String> {
    let topic = filled(context, "fetch-min", 2)?;
    let version = context.newest(1);
    let mut request = fetch_request(&topic, &[From::offset(0, 0)]);
    request.set("MinBytes", 5000);
    request.set("MaxWaitMs", 400);
    let mut conn = context.leader(&topic, 0)?;
    let begun = Instant::now();
    let answer = conn.call(1, version, &request)?;
    let took = begun.elapsed();
    check(took >= Duration::from_millis(390), || format!("too few bytes after {took:?}"))?;
    let found = only("partitions", partitions(&answer, "Partitions"))?;
    same("batches", batches(&records(found)).len(), 2)
}

/// A partition gives whole batches up to its limit, and always at least one; so does the whole answer.
fn max_bytes(context: &Context<'_>) -> Result<(), String> {
    let topic = filled(context, "fetch-max", 5)?;
    let mut conn = context.leader(&topic, 0)?;
    each(context.versions(1), |version| {
        let mut fetch = |partition: i32, all: i32| {
            let from = From { max_bytes: partition, ..From::offset(0, 0) };
            let mut request = fetch_request(&topic, &[from]);
            request.set("MaxBytes", all);
            let answer = conn.call(1, version, &request)?;
            let found = only("partitions", partitions(&answer, "Partitions"))?;
            Ok::<_, String>((batches(&records(found)).len(), records(found).len()))
        };
        let (whole, size) = fetch(1 << 20, 1 << 20)?;
        same("all", whole, 5)?;
        let one = size / 5;
        let limit = |bytes: usize| i32::try_from(bytes).unwrap_or(i32::MAX);
        same("a limit of one byte", fetch(1, 1 << 20)?, (1, one))?;
        same("a limit of one byte for all", fetch(1 << 20, 1)?, (1, one))?;
        // The limit cuts bytes, not batches: the last batch may be a part.
        same("two and a half", fetch(limit(one * 5 / 2), 1 << 20)?.0, 2)
    })
}

/// A partition with an error is told at once, however long the wait.
fn error_ends_the_wait(context: &Context<'_>) -> Result<(), String> {
    let topic = filled(context, "fetch-error", 1)?;
    let mut request = fetch_request(&topic, &[From::offset(0, 99)]);
    request.set("MinBytes", 1);
    request.set("MaxWaitMs", 15_000);
    let begun = Instant::now();
    let answer = context.leader(&topic, 0)?.call(1, context.newest(1), &request)?;
    same("error", only("partitions", partitions(&answer, "Partitions"))?.i16("ErrorCode"), 1)?;
    check(begun.elapsed() < Duration::from_secs(8), || format!("after {:?}", begun.elapsed()))?;
    // An empty request has nothing to wait for.
    let begun = Instant::now();
    request.set("Topics", Vec::<Value>::new());
    let answer = context.broker(0)?.call(1, context.newest(1), &request)?;
    same("topics", answer.array("Responses").len(), 0)?;
    check(begun.elapsed() < Duration::from_secs(8), || format!("nothing after {:?}", begun.elapsed()))
}

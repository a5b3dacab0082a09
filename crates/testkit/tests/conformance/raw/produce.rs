//! Produce: what is taken, what is refused, and with which error.

use pointsman_wire::Struct;

use super::records::{Batch, batches};
use super::topic::{From, Topic, partitions, produce_request, records};
use super::{Case, Context, check, each, only, same};

pub(crate) const CASES: &[Case] = &[
    ("produce_every_version", every_version),
    ("produce_below_3", below_3),
    ("produce_appends_as_sent", appends_as_sent),
    ("produce_bad_crc", bad_crc),
    ("produce_base_offset", base_offset),
    ("produce_too_large", too_large),
    ("produce_to_a_follower", to_a_follower),
    ("produce_unknown_topic", unknown_topic),
    ("produce_unknown_partition", unknown_partition),
    ("produce_bad_acks", bad_acks),
    ("produce_two_partitions", two_partitions),
    ("produce_two_batches", two_batches),
    ("produce_log_append_time", log_append_time),
    ("produce_min_isr_above_replicas", min_isr_above_replicas),
];

/// The oldest version that is served; older ones are offered all the same.
const OLDEST: i16 = 3;

fn send(
    context: &Context<'_>,
    topic: &Topic,
    version: i16,
    acks: i16,
    batch: &Batch,
) -> Result<Struct, String> {
    let request = produce_request(topic, 0, acks, batch.bytes());
    let answer = context.leader(topic, 0)?.call(0, version, &request)?;
    only("produced partitions", partitions(&answer, "PartitionResponses")).cloned()
}

fn every_version(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce", 1, 3, &[])?;
    let mut expected = 0;
    each(OLDEST..=context.newest(0), |version| {
        for acks in [-1, 1] {
            let answer = send(context, &topic, version, acks, &Batch::of(&["a", "b"]))?;
            same("error", answer.i16("ErrorCode"), 0)?;
            same("base offset", answer.int("BaseOffset"), expected)?;
            same("log append time", answer.int("LogAppendTimeMs"), -1)?;
            check(version < 5 || answer.int("LogStartOffset") == 0, || "log start offset".to_owned())?;
            expected += 2;
        }
        Ok(())
    })
}

/// ApiVersions names Produce from 0 on, because old librdkafka needs it, but 0 to 2 close the connection.
fn below_3(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-old", 1, 1, &[])?;
    each(*context.versions(0).start()..=2, |version| {
        let mut conn = context.leader(&topic, 0)?;
        conn.send(0, version, &produce_request(&topic, 0, 1, Batch::of(&["a"]).bytes()))?;
        check(conn.frame()?.is_none(), || "it is answered".to_owned())
    })
}

/// A client numbers the records of a batch from 0; the checksum does not cover that.
fn base_offset(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-base-offset", 1, 1, &[])?;
    let mut conn = context.leader(&topic, 0)?;
    for base in [1_i64, -1] {
        let mut batch = Batch::of(&["a", "b"]).bytes().to_vec();
        batch[..8].copy_from_slice(&base.to_be_bytes());
        let answer = conn.call(0, context.newest(0), &produce_request(&topic, 0, -1, batch.into()))?;
        let told = only("produced partitions", partitions(&answer, "PartitionResponses"))?;
        same(&format!("error at base offset {base}"), told.i16("ErrorCode"), 87)?;
    }
    same("the end of the log", conn.append(context, &topic, 0, &Batch::of(&["c"]))?, 0)
}

/// Only the base offset and the leader epoch of a batch are the broker's.
fn appends_as_sent(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-as-sent", 1, 3, &[])?;
    let epoch = context.place(&topic, 0)?.epoch;
    let mut conn = context.leader(&topic, 0)?;
    conn.append(context, &topic, 0, &Batch::of(&["first"]))?;
    let batch = Batch::of(&["a", "", "c"]).bytes();
    conn.append(context, &topic, 0, &Batch::of(&["a", "", "c"]))?;
    let fetched = super::eventually(|| {
        let fetched = conn.fetch(context, &topic, From::offset(0, 1))?;
        same("high watermark", fetched.int("HighWatermark"), 4)?;
        Ok(fetched)
    })?;
    let records = records(&fetched);
    let mut expected = batch.to_vec();
    expected[..8].copy_from_slice(&1_i64.to_be_bytes());
    expected[12..16].copy_from_slice(&epoch.to_be_bytes());
    same("the batch", records.to_vec(), expected)
}

fn bad_crc(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-crc", 1, 3, &[])?;
    each(OLDEST..=context.newest(0), |version| {
        let mut batch = Batch::of(&["broken"]).bytes().to_vec();
        let last = batch.len() - 2;
        batch[last] ^= 1;
        let request = produce_request(&topic, 0, -1, batch.into());
        let answer = context.leader(&topic, 0)?.call(0, version, &request)?;
        let partition = only("partitions", partitions(&answer, "PartitionResponses"))?;
        same("error", partition.i16("ErrorCode"), 2)?;
        same("base offset", partition.int("BaseOffset"), -1)
    })
}

fn too_large(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-large", 1, 3, &[("max.message.bytes", "1000")])?;
    let large = "x".repeat(1000);
    each(OLDEST..=context.newest(0), |version| {
        let answer = send(context, &topic, version, -1, &Batch::of(&[&large]))?;
        same("error", answer.i16("ErrorCode"), 10)
    })?;
    let fits = "x".repeat(900);
    same(
        "a smaller one",
        send(context, &topic, context.newest(0), -1, &Batch::of(&[&fits]))?.i16("ErrorCode"),
        0,
    )
}

/// From v10 on the answer names the leader and where it is, so that no metadata request is needed.
fn to_a_follower(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-follower", 1, 3, &[])?;
    let place = context.place(&topic, 0)?;
    let leader = context.index(place.leader)?;
    let mut conn = context.broker((leader + 1) % 3)?;
    each(OLDEST..=context.newest(0), |version| {
        let request = produce_request(&topic, 0, -1, Batch::of(&["a"]).bytes());
        let answer = conn.call(0, version, &request)?;
        let partition = only("partitions", partitions(&answer, "PartitionResponses"))?;
        same("error", partition.i16("ErrorCode"), 6)?;
        if version < 10 {
            return Ok(());
        }
        let current = partition.nested("CurrentLeader").ok_or("no current leader")?;
        let named = (current.i32("LeaderId"), current.i32("LeaderEpoch"));
        same("current leader", named, (place.leader, place.epoch))?;
        let endpoint = only("endpoints", answer.structs("NodeEndpoints"))?;
        let port = i64::from(context.servers()[leader].port());
        same("endpoint", (endpoint.i32("NodeId"), endpoint.int("Port")), (place.leader, port))
    })
}

/// Up to v12 topics are named (3), from v13 on they have ids (100).
fn unknown_topic(context: &Context<'_>) -> Result<(), String> {
    let unknown = Topic { name: "raw-none".to_owned(), id: [9; 16] };
    let mut conn = context.broker(0)?;
    each(OLDEST..=context.newest(0), |version| {
        let request = produce_request(&unknown, 0, -1, Batch::of(&["a"]).bytes());
        let answer = conn.call(0, version, &request)?;
        let partition = only("partitions", partitions(&answer, "PartitionResponses"))?;
        same("error", partition.i16("ErrorCode"), if version < 13 { 3 } else { 100 })
    })
}

fn unknown_partition(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-partition", 1, 3, &[])?;
    let mut conn = context.leader(&topic, 0)?;
    each(OLDEST..=context.newest(0), |version| {
        let request = produce_request(&topic, 5, -1, Batch::of(&["a"]).bytes());
        let answer = conn.call(0, version, &request)?;
        let partition = only("partitions", partitions(&answer, "PartitionResponses"))?;
        same("error", partition.i16("ErrorCode"), 3)
    })
}

fn bad_acks(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-acks", 1, 3, &[])?;
    each(OLDEST..=context.newest(0), |version| {
        same("error", send(context, &topic, version, 2, &Batch::of(&["a"]))?.i16("ErrorCode"), 21)
    })
}

/// Partitions of one request fail one by one.
fn two_partitions(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-two", 2, 1, &[])?;
    let (one, other) = (context.place(&topic, 0)?, context.place(&topic, 1)?);
    check(one.leader != other.leader, || format!("{} leads both", one.leader))?;
    let data = |index: i32| Struct::new().with("Index", index).with("Records", Batch::of(&["a"]).bytes());
    let wanted = Struct::new()
        .with("Name", topic.name.as_str())
        .with("TopicId", topic.id)
        .with("PartitionData", vec![data(0), data(1)]);
    let request = Struct::new().with("Acks", -1).with("TimeoutMs", 5000).with("TopicData", vec![wanted]);
    let answer = context.leader(&topic, 0)?.call(0, context.newest(0), &request)?;
    let mut errors: Vec<_> =
        partitions(&answer, "PartitionResponses").map(|p| (p.i32("Index"), p.i16("ErrorCode"))).collect();
    errors.sort_unstable();
    same("errors", errors, vec![(0, 0), (1, 6)])
}

/// A partition's records may be one batch only: with two, the record is invalid (87).
fn two_batches(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-batches", 1, 1, &[])?;
    let both = [Batch::of(&["a"]).bytes(), Batch::of(&["b"]).bytes()].concat();
    let mut conn = context.leader(&topic, 0)?;
    let answer = conn.call(0, context.newest(0), &produce_request(&topic, 0, -1, both.into()))?;
    let partition = only("partitions", partitions(&answer, "PartitionResponses"))?;
    same("error", partition.i16("ErrorCode"), 87)
}

/// A topic with fewer replicas than `min.insync.replicas` is written with acks=all all the same: the number of its
/// replicas counts.
fn min_isr_above_replicas(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-min-isr", 1, 1, &[("min.insync.replicas", "2")])?;
    same("error", send(context, &topic, context.newest(0), -1, &Batch::of(&["a"]))?.i16("ErrorCode"), 0)
}

/// The broker's time is in the answer and in the stored batch, whose attribute says so.
fn log_append_time(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("produce-time", 1, 3, &[("message.timestamp.type", "LogAppendTime")])?;
    let answer = send(context, &topic, context.newest(0), -1, &Batch::of(&["a"]).at(5))?;
    let time = answer.int("LogAppendTimeMs");
    check(time > 1_600_000_000_000, || format!("log append time {time}"))?;
    let mut conn = context.leader(&topic, 0)?;
    let fetched = conn.fetch(context, &topic, From::offset(0, 0))?;
    let blob = records(&fetched);
    let header = batches(&blob).pop().ok_or("nothing fetched")?;
    same("timestamp type", header.attributes & 8, 8)?;
    let max = blob[35..43].first_chunk::<8>().map(|bytes| i64::from_be_bytes(*bytes));
    same("max timestamp", max, Some(time))
}

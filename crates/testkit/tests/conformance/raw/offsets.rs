//! ListOffsets and OffsetForLeaderEpoch.

use pointsman_wire::Struct;

use super::records::Batch;
use super::topic::{From, Topic, list_offsets_request};
use super::{Case, Context, check, each, eventually, only, same};

pub(crate) const CASES: &[Case] = &[
    ("list_offsets", list_offsets),
    ("list_offsets_by_time", by_time),
    ("list_offsets_max_timestamp", max_timestamp),
    ("list_offsets_epochs", epochs),
    ("list_offsets_refused", refused),
    ("offset_for_leader_epoch", for_leader_epoch),
];

/// Three batches of one record with the times 1000, 3000, 2000.
fn topic(context: &Context<'_>, name: &str) -> Result<Topic, String> {
    let topic = context.topic(name, 1, 3, &[])?;
    let mut conn = context.leader(&topic, 0)?;
    for time in [1000, 3000, 2000] {
        conn.append(context, &topic, 0, &Batch::of(&["a"]).at(time))?;
    }
    eventually(|| {
        same("high watermark", conn.fetch(context, &topic, From::offset(0, 3))?.int("HighWatermark"), 3)
    })?;
    Ok(topic)
}

/// (error, timestamp, offset, leader epoch)
fn ask(
    context: &Context<'_>,
    topic: &Topic,
    version: i16,
    time: i64,
) -> Result<(i16, i64, i64, i32), String> {
    let request = list_offsets_request(topic, 0, time, -1);
    let answer = context.leader(topic, 0)?.call(2, version, &request)?;
    let found = only("offsets", answer.structs("Topics").flat_map(|t| t.structs("Partitions")))?;
    let epoch = if found.has("LeaderEpoch") { found.i32("LeaderEpoch") } else { -1 };
    Ok((found.i16("ErrorCode"), found.int("Timestamp"), found.int("Offset"), epoch))
}

fn list_offsets(context: &Context<'_>) -> Result<(), String> {
    let topic = topic(context, "offsets")?;
    let epoch = context.place(&topic, 0)?.epoch;
    each(context.versions(2), |version| {
        let epoch = if version < 4 { -1 } else { epoch };
        same("the end", ask(context, &topic, version, -1)?, (0, -1, 3, epoch))?;
        same("the beginning", ask(context, &topic, version, -2)?, (0, -1, 0, epoch))
    })
}

/// The first record whose time is not before the asked one; after the last time there is none.
fn by_time(context: &Context<'_>) -> Result<(), String> {
    let topic = topic(context, "offsets-time")?;
    let epoch = context.place(&topic, 0)?.epoch;
    each(context.versions(2), |version| {
        let epoch = if version < 4 { -1 } else { epoch };
        same("before all", ask(context, &topic, version, 0)?, (0, 1000, 0, epoch))?;
        same("exactly", ask(context, &topic, version, 1000)?, (0, 1000, 0, epoch))?;
        same("the first in order", ask(context, &topic, version, 1500)?, (0, 3000, 1, epoch))?;
        same("after all", ask(context, &topic, version, 3001)?, (0, -1, -1, -1))
    })
}

/// −3 is the record with the greatest time, from v7 on.
fn max_timestamp(context: &Context<'_>) -> Result<(), String> {
    let topic = topic(context, "offsets-max")?;
    let epoch = context.place(&topic, 0)?.epoch;
    each(7..=context.newest(2), |version| {
        same("the newest", ask(context, &topic, version, -3)?, (0, 3000, 1, epoch))
    })?;
    let empty = context.topic("offsets-max-empty", 1, 3, &[])?;
    each(7..=context.newest(2), |version| {
        same("of nothing", ask(context, &empty, version, -3)?, (0, -1, -1, -1))
    })
}

fn epochs(context: &Context<'_>) -> Result<(), String> {
    let topic = topic(context, "offsets-epochs")?;
    let epoch = context.place(&topic, 0)?.epoch;
    each(4..=context.newest(2), |version| {
        for (asked, error) in [(epoch, 0), (epoch + 1, 75)] {
            let request = list_offsets_request(&topic, 0, -1, asked);
            let answer = context.leader(&topic, 0)?.call(2, version, &request)?;
            let found = only("offsets", answer.structs("Topics").flat_map(|t| t.structs("Partitions")))?;
            same("error", found.i16("ErrorCode"), error)?;
        }
        Ok(())
    })
}

fn refused(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("offsets-refused", 1, 3, &[])?;
    let leader = context.index(context.place(&topic, 0)?.leader)?;
    let unknown = Topic { name: "raw-none".to_owned(), id: [0; 16] };
    each(context.versions(2), |version| {
        let ask = |broker: usize, topic: &Topic| {
            let request = list_offsets_request(topic, 0, -1, -1);
            let answer = context.broker(broker)?.call(2, version, &request)?;
            let found = only("offsets", answer.structs("Topics").flat_map(|t| t.structs("Partitions")))?;
            Ok::<_, String>(found.i16("ErrorCode"))
        };
        same("a follower", ask((leader + 1) % 3, &topic)?, 6)?;
        same("an unknown topic", ask(leader, &unknown)?, 3)
    })
}

/// The end of an epoch: that of the current one is the end of the log; one that was never there is answered with −1.
fn for_leader_epoch(context: &Context<'_>) -> Result<(), String> {
    let topic = topic(context, "epoch-end")?;
    let place = context.place(&topic, 0)?;
    each(context.versions(23), |version| {
        let answer = end_of_epoch(context, &topic, version, -1, place.epoch)?;
        same("the current one", answer, (0, place.epoch, 3))?;
        same("a later one", end_of_epoch(context, &topic, version, -1, place.epoch + 1)?, (0, -1, -1))?;
        same("fenced", end_of_epoch(context, &topic, version, place.epoch + 1, place.epoch)?.0, 75)?;
        check(place.epoch >= 0, || "no epoch".to_owned())
    })
}

/// (error, epoch, end offset)
pub(super) fn end_of_epoch(
    context: &Context<'_>,
    topic: &Topic,
    version: i16,
    current: i32,
    epoch: i32,
) -> Result<(i16, i32, i64), String> {
    let partition =
        Struct::new().with("Partition", 0).with("CurrentLeaderEpoch", current).with("LeaderEpoch", epoch);
    let wanted = Struct::new().with("Topic", topic.name.as_str()).with("Partitions", vec![partition]);
    let request = Struct::new().with("ReplicaId", -1).with("Topics", vec![wanted]);
    let answer = context.leader(topic, 0)?.call(23, version, &request)?;
    let found = only("epochs", answer.structs("Topics").flat_map(|t| t.structs("Partitions")))?;
    Ok((found.i16("ErrorCode"), found.i32("LeaderEpoch"), found.int("EndOffset")))
}

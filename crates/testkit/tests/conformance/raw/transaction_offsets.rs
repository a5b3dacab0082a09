//! Offsets that a group commits in a transaction: pending until its end, and then there or not.

use pointsman_wire::Struct;

use super::group::Member;
use super::topic::Topic;
use super::transactional::{ADD_OFFSETS, END_BUMPS, OFFSET_COMMIT, Producer};
use super::{Case, Context, each, eventually, only, same};

pub(crate) const CASES: &[Case] = &[
    ("txn_offsets_committed", committed),
    ("txn_offsets_aborted", aborted),
    ("txn_offsets_newer_commit_stays", newer_commit_stays),
    ("txn_offsets_not_begun", not_begun),
    ("txn_offsets_of_a_member", of_a_member),
    ("txn_offsets_unknown_partition", unknown_partition),
    ("txn_offsets_fenced", fenced),
];

const FETCH: i16 = 9;
const COMMIT: i16 = 8;
/// From this version on the group joins the transaction with its first commit.
const COMMIT_ADDS: i16 = 5;

fn partition(index: i32, offset: i64) -> Struct {
    Struct::new()
        .with("PartitionIndex", index)
        .with("CommittedOffset", offset)
        .with("CommittedLeaderEpoch", 0)
        .with("CommittedMetadata", "note")
}

/// The error of a commit in a transaction; `member` is (generation, id).
fn commit(
    producer: &Producer<'_, '_>,
    member: &mut Member<'_, '_>,
    version: i16,
    topic: &str,
    offset: i64,
    (generation, id): (i32, &str),
) -> Result<i16, String> {
    let topic = Struct::new().with("Name", topic).with("Partitions", vec![partition(0, offset)]);
    let request = Struct::new()
        .with("TransactionalId", producer.name.as_str())
        .with("GroupId", member.group.as_str())
        .with("ProducerId", producer.id)
        .with("ProducerEpoch", producer.epoch)
        .with("GenerationId", generation)
        .with("MemberId", id)
        .with("Topics", vec![topic]);
    let answer = member.conn.call(OFFSET_COMMIT, version, &request)?;
    let partitions = answer.structs("Topics").flat_map(|t| t.structs("Partitions"));
    Ok(only("committed partitions", partitions)?.i16("ErrorCode"))
}

/// Error and offset that a reader is told who wants what is stable, or whatever there is.
fn fetch(
    context: &Context<'_>,
    member: &mut Member<'_, '_>,
    topic: &Topic,
    stable: bool,
) -> Result<(i16, i64), String> {
    let indexes = vec![pointsman_wire::Value::from(0)];
    let wanted = Struct::new()
        .with("Name", topic.name.as_str())
        .with("TopicId", topic.id)
        .with("PartitionIndexes", indexes);
    let group = Struct::new().with("GroupId", member.group.as_str()).with("Topics", vec![wanted]);
    let request = Struct::new().with("Groups", vec![group]).with("RequireStable", stable);
    let answer = member.conn.call(FETCH, context.newest(FETCH), &request)?;
    let group = only("groups", answer.structs("Groups"))?;
    same("the group's error", group.i16("ErrorCode"), 0)?;
    let of = only("partitions", group.structs("Topics").flat_map(|t| t.structs("Partitions")))?;
    Ok((of.i16("ErrorCode"), of.int("CommittedOffset")))
}

const NOBODY: (i32, &str) = (-1, "");

/// The group joins the transaction; again if the end of the one before is still under way.
fn begin(context: &Context<'_>, producer: &mut Producer<'_, '_>, group: &str) -> Result<(), String> {
    let version = context.newest(ADD_OFFSETS);
    eventually(|| same("AddOffsetsToTxn", producer.add_offsets(version, group)?, 0))
}

/// Pending offsets are not stable (88); after the commit they are there, in every version.
fn committed(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-offsets", 1, 3, &[])?;
    let mut member = Member::new(context, "txn-offsets")?;
    let mut producer = Producer::new(context, "txn-offsets")?;
    let mut before = -1;
    each(context.versions(OFFSET_COMMIT), |version| {
        let offset = 100 + i64::from(version);
        if version < COMMIT_ADDS {
            begin(context, &mut producer, &member.group)?;
        }
        eventually(|| {
            same("commit", commit(&producer, &mut member, version, &topic.name, offset, NOBODY)?, 0)
        })?;
        same("pending", fetch(context, &mut member, &topic, true)?, (88, -1))?;
        same("what there is", fetch(context, &mut member, &topic, false)?, (0, before))?;
        let end = if version < COMMIT_ADDS { END_BUMPS - 1 } else { END_BUMPS };
        let (error, _, epoch) = producer.end(end, true)?;
        same("end", error, 0)?;
        if end == END_BUMPS {
            producer.restart(epoch);
        }
        eventually(|| same("stable", fetch(context, &mut member, &topic, true)?, (0, offset)))?;
        before = offset;
        Ok(())
    })
}

fn aborted(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-offsets-aborted", 1, 3, &[])?;
    let mut member = Member::new(context, "txn-offsets-aborted")?;
    let mut producer = Producer::new(context, "txn-offsets-aborted")?;
    let version = context.newest(OFFSET_COMMIT);
    same("commit", commit(&producer, &mut member, version, &topic.name, 7, NOBODY)?, 0)?;
    same("pending", fetch(context, &mut member, &topic, true)?, (88, -1))?;
    same("end", producer.end(END_BUMPS, false)?.0, 0)?;
    eventually(|| same("stable", fetch(context, &mut member, &topic, true)?, (0, -1)))
}

/// A commit outside of the transaction that came later is not overwritten by its end.
fn newer_commit_stays(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-offsets-newer", 1, 3, &[])?;
    let mut member = Member::new(context, "txn-offsets-newer")?;
    let mut producer = Producer::new(context, "txn-offsets-newer")?;
    let version = context.newest(OFFSET_COMMIT);
    same("commit", commit(&producer, &mut member, version, &topic.name, 7, NOBODY)?, 0)?;
    let wanted = Struct::new()
        .with("Name", topic.name.as_str())
        .with("TopicId", topic.id)
        .with("Partitions", vec![partition(0, 3)]);
    let request = Struct::new()
        .with("GroupId", member.group.as_str())
        .with("GenerationIdOrMemberEpoch", -1)
        .with("Topics", vec![wanted]);
    let answer = member.conn.call(COMMIT, context.newest(COMMIT), &request)?;
    let of = only("partitions", answer.structs("Topics").flat_map(|t| t.structs("Partitions")))?;
    same("plain commit", of.i16("ErrorCode"), 0)?;
    same("end", producer.end(END_BUMPS, true)?.0, 0)?;
    eventually(|| same("stable", fetch(context, &mut member, &topic, true)?, (0, 3)))
}

/// A group that is not in the transaction: 48 in the versions that must say so.
fn not_begun(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-offsets-not-begun", 1, 3, &[])?;
    let mut member = Member::new(context, "txn-offsets-not-begun")?;
    let producer = Producer::new(context, "txn-offsets-not-begun")?;
    each(0..=COMMIT_ADDS - 1, |version| {
        let error = if version < 4 { 48 } else { 120 };
        same("commit", commit(&producer, &mut member, version, &topic.name, 7, NOBODY)?, error)
    })
}

/// From v3 on a member says who it is: a wrong generation is 22, a wrong id 25. Who says nothing may commit.
fn of_a_member(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-offsets-member", 1, 3, &[])?;
    let mut member = Member::alone(context, "txn-offsets-member")?;
    let mut producer = Producer::new(context, "txn-offsets-member")?;
    begin(context, &mut producer, &member.group.clone())?;
    let (generation, id) = (member.generation, member.id.clone());
    each(3..=context.newest(OFFSET_COMMIT), |version| {
        let mut by = |who: (i32, &str)| commit(&producer, &mut member, version, &topic.name, 7, who);
        same("wrong generation", by((generation + 1, &id))?, 22)?;
        same("wrong member", by((generation, "somebody"))?, 25)?;
        same("the member", by((generation, &id))?, 0)?;
        same("nobody", by(NOBODY)?, 0)
    })?;
    producer.finish(true)?;
    // A generation of a group that does not exist.
    let mut other = Member::new(context, "txn-offsets-no-group")?;
    let mut producer = Producer::new(context, "txn-offsets-no-group")?;
    begin(context, &mut producer, &other.group.clone())?;
    let error =
        commit(&producer, &mut other, context.newest(OFFSET_COMMIT), &topic.name, 7, (1, "somebody"))?;
    same("no group", error, 22)?;
    producer.finish(false)
}

fn unknown_partition(context: &Context<'_>) -> Result<(), String> {
    let mut member = Member::new(context, "txn-offsets-unknown")?;
    let mut producer = Producer::new(context, "txn-offsets-unknown")?;
    begin(context, &mut producer, &member.group.clone())?;
    each(context.versions(OFFSET_COMMIT), |version| {
        same("commit", commit(&producer, &mut member, version, "raw-none", 7, NOBODY)?, 3)
    })?;
    producer.finish(false)
}

/// The epoch of before is refused with 47, another producer id with 49.
fn fenced(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("txn-offsets-fenced", 1, 3, &[])?;
    let mut member = Member::new(context, "txn-offsets-fenced")?;
    let old = Producer::new(context, "txn-offsets-fenced")?;
    let new = Producer::new(context, "txn-offsets-fenced")?;
    same("epoch", new.epoch, old.epoch + 1)?;
    let mut stranger = new.as_of(new.id + 1_000_000, 0)?;
    stranger.epoch = 0;
    each(context.versions(OFFSET_COMMIT), |version| {
        same("old epoch", commit(&old, &mut member, version, &topic.name, 7, NOBODY)?, 47)?;
        same("stranger", commit(&stranger, &mut member, version, &topic.name, 7, NOBODY)?, 49)
    })
}

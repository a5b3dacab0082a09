//! Committed offsets: written by members and by administrators, read by one group or several.

use pointsman_wire::{Struct, Value};

use super::group::Member;
use super::topic::Topic;
use super::{Case, Context, check, each, only, same};

pub(crate) const CASES: &[Case] = &[
    ("commit_and_fetch", commit_and_fetch),
    ("commit_by_a_member", commit_by_a_member),
    ("commit_without_a_group", commit_without_a_group),
    ("commit_unknown_topic", commit_unknown_topic),
    ("commit_metadata_too_large", commit_metadata_too_large),
    ("offset_fetch_nothing", offset_fetch_nothing),
    ("offset_fetch_all_topics", offset_fetch_all_topics),
    ("offset_fetch_groups", offset_fetch_groups),
];

const COMMIT: i16 = 8;
const FETCH: i16 = 9;

fn commit_request(member: &Member<'_, '_>, topic: &Topic, offset: i64, metadata: &str) -> Struct {
    let partition = Struct::new()
        .with("PartitionIndex", 0)
        .with("CommittedOffset", offset)
        .with("CommittedLeaderEpoch", 0)
        .with("CommittedMetadata", metadata);
    let wanted = Struct::new()
        .with("Name", topic.name.as_str())
        .with("TopicId", topic.id)
        .with("Partitions", vec![partition]);
    Struct::new()
        .with("GroupId", member.group.as_str())
        .with("GenerationIdOrMemberEpoch", member.generation)
        .with("MemberId", member.id.as_str())
        .with("Topics", vec![wanted])
}

/// The error of a commit.
fn commit(member: &mut Member<'_, '_>, version: i16, topic: &Topic, offset: i64) -> Result<i16, String> {
    let request = commit_request(member, topic, offset, "note");
    let answer = member.conn.call(COMMIT, version, &request)?;
    let partitions = answer.structs("Topics").flat_map(|t| t.structs("Partitions"));
    Ok(only("committed partitions", partitions)?.i16("ErrorCode"))
}

/// A request for the offsets of groups; up to v7 there can be only one. `topic` null asks for all.
fn fetch_request(version: i16, groups: &[&str], topic: Option<&Topic>) -> Struct {
    let wanted = |topic: &Topic| {
        let wanted = Struct::new().with("Name", topic.name.as_str());
        let wanted = if version < 8 { wanted } else { wanted.with("TopicId", topic.id) };
        vec![wanted.with("PartitionIndexes", vec![Value::from(0), Value::from(1)])]
    };
    if version < 8 {
        return Struct::new().with("GroupId", groups[0]).with("Topics", topic.map(wanted));
    }
    let groups: Vec<Struct> = groups
        .iter()
        .map(|group| Struct::new().with("GroupId", *group).with("Topics", topic.map(wanted)))
        .collect();
    Struct::new().with("Groups", groups)
}

/// (error, committed offset, metadata) of each partition in order.
type Offsets = Vec<(i16, i64, Option<String>)>;

fn offsets(of: &Struct) -> Offsets {
    let mut found: Vec<&Struct> = of.structs("Topics").flat_map(|t| t.structs("Partitions")).collect();
    found.sort_by_key(|p| p.i32("PartitionIndex"));
    let read =
        |p: &Struct| (p.i16("ErrorCode"), p.int("CommittedOffset"), p.opt_str("Metadata").map(str::to_owned));
    found.into_iter().map(read).collect()
}

/// The offsets of one group: the group's error and those of its partitions.
fn fetch(member: &mut Member<'_, '_>, version: i16, topic: Option<&Topic>) -> Result<(i16, Offsets), String> {
    let group = member.group.clone();
    let answer = member.conn.call(FETCH, version, &fetch_request(version, &[&group], topic))?;
    let of = if version < 8 { &answer } else { only("groups", answer.structs("Groups"))? };
    Ok((of.i16("ErrorCode"), offsets(of)))
}

fn note(offset: i64) -> (i16, i64, Option<String>) {
    (0, offset, Some("note".to_owned()))
}

/// A partition without a committed offset is −1 with empty metadata, and no error.
fn none() -> (i16, i64, Option<String>) {
    (0, -1, Some(String::new()))
}

/// In every version; a version with topic ids and one with names read what the other wrote.
fn commit_and_fetch(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("commit", 2, 3, &[])?;
    let mut member = Member::alone(context, "commit")?;
    each(context.versions(COMMIT), |written| {
        let offset = 100 + i64::from(written);
        same("commit", commit(&mut member, written, &topic, offset)?, 0)?;
        each(context.versions(FETCH), |read| {
            same("offsets", fetch(&mut member, read, Some(&topic))?, (0, vec![note(offset), none()]))
        })
    })
}

/// A member's commit needs its generation and its id.
fn commit_by_a_member(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("commit-member", 1, 3, &[])?;
    let mut member = Member::alone(context, "commit-member")?;
    let (id, generation) = (member.id.clone(), member.generation);
    each(context.versions(COMMIT), |version| {
        member.generation = generation + 1;
        same("wrong generation", commit(&mut member, version, &topic, 5)?, 22)?;
        member.generation = generation;
        member.id = "somebody-else".to_owned();
        same("unknown member", commit(&mut member, version, &topic, 5)?, 25)?;
        // A group with members takes no offsets from outside.
        (member.id, member.generation) = (String::new(), -1);
        same("from outside", commit(&mut member, version, &topic, 5)?, 25)?;
        (member.id, member.generation) = (id.clone(), generation);
        same("the member itself", commit(&mut member, version, &topic, 5)?, 0)
    })
}

/// Without members anybody may commit, with generation −1; the group exists from then on, as "Empty".
fn commit_without_a_group(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("commit-alone", 2, 3, &[])?;
    let mut member = Member::new(context, "commit-alone")?;
    each(context.versions(COMMIT), |version| same("commit", commit(&mut member, version, &topic, 9)?, 0))?;
    same("offsets", fetch(&mut member, context.newest(FETCH), Some(&topic))?.1, vec![note(9), none()])?;
    // A generation without a group: 22, from v9 on 69.
    let mut other = Member::new(context, "commit-none")?;
    (other.id, other.generation) = ("somebody".to_owned(), 3);
    each(context.versions(COMMIT), |version| {
        let error = if version < 9 { 22 } else { 69 };
        same("a generation of no group", commit(&mut other, version, &topic, 9)?, error)
    })
}

/// By name (up to v9) 3, by id 100.
fn commit_unknown_topic(context: &Context<'_>) -> Result<(), String> {
    let mut member = Member::new(context, "commit-unknown")?;
    let unknown = Topic { name: "raw-none".to_owned(), id: [9; 16] };
    each(context.versions(COMMIT), |version| {
        same("error", commit(&mut member, version, &unknown, 1)?, if version < 10 { 3 } else { 100 })
    })
}

/// The limit is 4096 bytes.
fn commit_metadata_too_large(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("commit-metadata", 1, 3, &[])?;
    let mut member = Member::new(context, "commit-metadata")?;
    for (length, error) in [(4096, 0), (4097, 12)] {
        let request = commit_request(&member, &topic, 1, &"x".repeat(length));
        let answer = member.conn.call(COMMIT, context.newest(COMMIT), &request)?;
        let mut partitions = answer.structs("Topics").flat_map(|t| t.structs("Partitions"));
        same(&format!("{length} bytes"), partitions.next().map(|p| p.i16("ErrorCode")), Some(error))?;
    }
    Ok(())
}

/// A group that does not exist has no offsets, which is no error.
fn offset_fetch_nothing(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("fetch-nothing", 2, 3, &[])?;
    let mut member = Member::new(context, "fetch-nothing")?;
    each(context.versions(FETCH), |version| {
        same("offsets", fetch(&mut member, version, Some(&topic))?, (0, vec![none(), none()]))
    })
}

/// Null topics, from v2 on: all that has been committed.
fn offset_fetch_all_topics(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("fetch-all", 2, 3, &[])?;
    let mut member = Member::new(context, "fetch-all")?;
    commit(&mut member, context.newest(COMMIT), &topic, 4)?;
    each(2..=context.newest(FETCH), |version| {
        same("offsets", fetch(&mut member, version, None)?, (0, vec![note(4)]))
    })
}

/// Several groups in one request, from v8 on; each is answered by itself.
fn offset_fetch_groups(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("fetch-groups", 2, 3, &[])?;
    let mut one = Member::new(context, "fetch-groups")?;
    commit(&mut one, context.newest(COMMIT), &topic, 6)?;
    let here = super::group::coordinator(context, &one.group)?;
    let elsewhere = (0..100)
        .map(|n| format!("raw-elsewhere-{n}"))
        .find(|group| super::group::coordinator(context, group).is_ok_and(|there| there != here))
        .ok_or("one broker coordinates everything")?;
    each(8..=context.newest(FETCH), |version| {
        let request = fetch_request(version, &[&one.group, &elsewhere], Some(&topic));
        let answer = one.conn.call(FETCH, version, &request)?;
        same("groups", answer.array("Groups").len(), 2)?;
        for found in answer.structs("Groups") {
            if found.str("GroupId") == one.group {
                same("here", (found.i16("ErrorCode"), offsets(found)), (0, vec![note(6), none()]))?;
            } else {
                same("elsewhere", found.i16("ErrorCode"), 16)?;
                check(found.array("Topics").is_empty(), || "topics with an error".to_owned())?;
            }
        }
        Ok(())
    })
}

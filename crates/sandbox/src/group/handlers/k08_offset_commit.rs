//! OffsetCommit: positions of a group are stored, topics named or, from version 10 on, by their ids.

use super::{Call, View, i32_or, partition_error, text};
use crate::group::{Committed, Groups, MemberRef, NewOffset, codes};
use pointsman_wire::Struct;

/// The partitions of a topic, each with its error code.
struct Topic<'a> {
    fields: &'a Struct,
    partitions: Vec<(i32, i16)>,
}

pub(super) fn handle(groups: &mut Groups, call: &Call<'_>) -> Struct {
    let mut offsets = Vec::new();
    let mut topics: Vec<Topic<'_>> =
        call.request.structs("Topics").map(|topic| check(call, topic, &mut offsets)).collect();
    if !offsets.is_empty() {
        let results = commit(groups, call, offsets);
        let open = topics
            .iter_mut()
            .flat_map(|topic| &mut topic.partitions)
            .filter(|(_, code)| *code == codes::NONE);
        match results {
            Ok(results) => open.zip(results).for_each(|((_, code), result)| *code = result),
            Err(error) => open.for_each(|(_, code)| *code = error),
        }
    }
    Struct::new().with("Topics", topics.iter().map(|topic| response(call, topic)).collect::<Vec<_>>())
}

fn commit(groups: &mut Groups, call: &Call<'_>, offsets: Vec<NewOffset>) -> Result<Vec<i16>, i16> {
    let member = MemberRef {
        group: call.request.str("GroupId").to_owned(),
        member_id: call.request.str("MemberId").to_owned(),
        instance_id: text(call.request, "GroupInstanceId"),
        generation: i32_or(call.request, "GenerationIdOrMemberEpoch", -1),
    };
    let missing = if call.version >= 9 { codes::GROUP_ID_NOT_FOUND } else { codes::ILLEGAL_GENERATION };
    call.view.coordinates(&member.group)?;
    // Clients of before cannot know that the group's members have epochs.
    let known = |error| match error {
        codes::STALE_MEMBER_EPOCH if call.version < 9 => codes::UNSUPPORTED_VERSION,
        error => error,
    };
    groups.commit(call.now, &member, missing, offsets).map_err(known)
}

/// Finds out which partitions exist; what they commit goes to `offsets`.
fn check<'a>(call: &Call<'_>, topic: &'a Struct, offsets: &mut Vec<NewOffset>) -> Topic<'a> {
    let name = name(call, topic);
    let mut partitions = Vec::new();
    for partition in topic.structs("Partitions") {
        let index = partition.i32("PartitionIndex");
        partitions.push((index, error(call.view, name.as_deref(), index)));
        if let (Some(topic), Some((_, codes::NONE))) = (name.clone(), partitions.last()) {
            offsets.push(NewOffset { topic, partition: index, committed: committed(partition) });
        }
    }
    Topic { fields: topic, partitions }
}

/// The topic's name; `None`: its id is not known.
fn name(call: &Call<'_>, topic: &Struct) -> Option<String> {
    if call.version >= 10 { call.view.topic_name(topic.uuid("TopicId")) } else { text(topic, "Name") }
}

fn error(view: &dyn View, topic: Option<&str>, index: i32) -> i16 {
    match topic {
        None => codes::UNKNOWN_TOPIC_ID,
        Some(topic) if view.has_partition(topic, index) => codes::NONE,
        Some(_) => codes::UNKNOWN_TOPIC_OR_PARTITION,
    }
}

pub(super) fn committed(partition: &Struct) -> Committed {
    Committed {
        offset: partition.int("CommittedOffset"),
        leader_epoch: i32_or(partition, "CommittedLeaderEpoch", -1),
        metadata: partition.str("CommittedMetadata").to_owned(),
    }
}

fn response(call: &Call<'_>, topic: &Topic<'_>) -> Struct {
    let partitions = topic.partitions.iter().map(|(index, code)| partition_error(*index, *code));
    let response = Struct::new().with("Partitions", partitions.collect::<Vec<_>>());
    if call.version >= 10 {
        response.with("TopicId", topic.fields.uuid("TopicId"))
    } else {
        response.with("Name", topic.fields.str("Name"))
    }
}

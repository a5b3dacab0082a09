//! OffsetFetch: stored positions, of one group or, from version 8 on, of several. From version 7 on a client may want only what
//! no open transaction can change.

use super::{Call, i32_or, i32s};
use crate::group::{Committed, Groups, codes};
use pointsman_wire::Struct;

pub(super) fn handle(groups: &Groups, call: &Call<'_>) -> Struct {
    if call.version >= 8 {
        let each = call.request.structs("Groups").map(|asked| {
            let response = Struct::new().with("GroupId", asked.str("GroupId"));
            let reads = || {
                let epoch = i32_or(asked, "MemberEpoch", -1);
                groups.check_reader(asked.str("GroupId"), asked.opt_str("MemberId"), epoch)
            };
            match call.view.coordinates(asked.str("GroupId")).and_then(|()| reads()) {
                Ok(()) => response.with("Topics", topics(groups, call, asked)),
                Err(error) => response.with("ErrorCode", error),
            }
        });
        return Struct::new().with("Groups", each.collect::<Vec<_>>());
    }
    match call.view.coordinates(call.request.str("GroupId")) {
        Ok(()) => Struct::new().with("Topics", topics(groups, call, call.request)),
        Err(error) if call.version >= 2 => Struct::new().with("ErrorCode", error),
        Err(error) => Struct::new().with("Topics", refused(call, error)),
    }
}

/// The topics of one group: those that are asked for, or all when that is null.
fn topics(groups: &Groups, call: &Call<'_>, asked: &Struct) -> Vec<Struct> {
    let group = asked.str("GroupId");
    if asked.get("Topics").is_null() {
        return all(groups, call, group);
    }
    asked.structs("Topics").map(|topic| named(groups, call, group, topic)).collect()
}

/// A topic by name, whether it exists or not, or by its id.
fn named(groups: &Groups, call: &Call<'_>, group: &str, asked: &Struct) -> Struct {
    let indexes = i32s(asked, "PartitionIndexes");
    if call.version < 10 {
        let name = asked.str("Name");
        let partitions = indexes.map(|index| stored(groups, call, (group, name, index)));
        return Struct::new().with("Name", name).with("Partitions", partitions.collect::<Vec<_>>());
    }
    let id = asked.uuid("TopicId");
    let partitions: Vec<Struct> = match call.view.topic_name(id) {
        Some(name) => indexes.map(|index| stored(groups, call, (group, &name, index))).collect(),
        None => indexes.map(|index| failed(index, codes::UNKNOWN_TOPIC_ID)).collect(),
    };
    Struct::new().with("TopicId", id).with("Partitions", partitions)
}

/// Everything that the group has stored. A topic without an id cannot be told from version 10 on.
fn all(groups: &Groups, call: &Call<'_>, group: &str) -> Vec<Struct> {
    let told = groups.all_committed(group).filter_map(|(name, stored)| {
        let partitions = stored.keys().map(|index| self::stored(groups, call, (group, name, *index)));
        let topic = Struct::new().with("Partitions", partitions.collect::<Vec<_>>());
        if call.version >= 10 {
            call.view.topic_id(name).map(|id| topic.with("TopicId", id))
        } else {
            Some(topic.with("Name", name))
        }
    });
    told.collect()
}

/// What is stored, unless the client wants it stable and it is not.
fn stored(groups: &Groups, call: &Call<'_>, (group, topic, index): (&str, &str, i32)) -> Struct {
    if call.request.bool("RequireStable") && groups.is_pending(group, topic, index) {
        return failed(index, codes::UNSTABLE_OFFSET_COMMIT);
    }
    partition(index, groups.committed(group, topic, index))
}

fn partition(index: i32, committed: Option<&Committed>) -> Struct {
    Struct::new()
        .with("PartitionIndex", index)
        .with("CommittedOffset", committed.map_or(-1, |committed| committed.offset))
        .with("CommittedLeaderEpoch", committed.map_or(-1, |committed| committed.leader_epoch))
        .with("Metadata", committed.map_or("", |committed| &committed.metadata))
}

fn failed(index: i32, error: i16) -> Struct {
    partition(index, None).with("ErrorCode", error)
}

/// Before version 2 only partitions have an error code.
fn refused(call: &Call<'_>, error: i16) -> Vec<Struct> {
    let refuse = |topic: &Struct| {
        let partitions = i32s(topic, "PartitionIndexes").map(|index| failed(index, error));
        Struct::new().with("Name", topic.str("Name")).with("Partitions", partitions.collect::<Vec<_>>())
    };
    call.request.structs("Topics").map(refuse).collect()
}

//! TxnOffsetCommit: positions of a group that count when a transaction is committed.

use super::{Call, i32_or, k08_offset_commit::committed, partition_error, text};
use crate::group::{Groups, MemberRef, NewOffset, codes};
use pointsman_wire::Struct;

pub(super) fn handle(groups: &mut Groups, call: &Call<'_>) -> Struct {
    let mut offsets = Vec::new();
    for topic in call.request.structs("Topics") {
        let name = topic.str("Name");
        let known =
            topic.structs("Partitions").filter(|p| call.view.has_partition(name, p.i32("PartitionIndex")));
        offsets.extend(known.map(|p| NewOffset {
            topic: name.to_owned(),
            partition: p.i32("PartitionIndex"),
            committed: committed(p),
        }));
    }
    let results = if offsets.is_empty() { Ok(Vec::new()) } else { commit(groups, call, offsets) };
    let mut results = results.map(Vec::into_iter);
    let topics = call.request.structs("Topics").map(|topic| {
        let name = topic.str("Name");
        let partitions = topic.structs("Partitions").map(|partition| {
            let index = partition.i32("PartitionIndex");
            let code = match &mut results {
                _ if !call.view.has_partition(name, index) => codes::UNKNOWN_TOPIC_OR_PARTITION,
                Ok(each) => each.next().unwrap_or(codes::NONE),
                Err(error) => *error,
            };
            partition_error(index, code)
        });
        Struct::new().with("Name", name).with("Partitions", partitions.collect::<Vec<_>>())
    });
    Struct::new().with("Topics", topics.collect::<Vec<_>>())
}

/// One code for each offset, or one for all of them.
fn commit(groups: &mut Groups, call: &Call<'_>, offsets: Vec<NewOffset>) -> Result<Vec<i16>, i16> {
    let member = MemberRef {
        group: call.request.str("GroupId").to_owned(),
        member_id: call.request.str("MemberId").to_owned(),
        instance_id: text(call.request, "GroupInstanceId"),
        generation: i32_or(call.request, "GenerationId", -1),
    };
    call.view.coordinates(&member.group)?;
    call.transaction?;
    let known = |error| match error {
        codes::STALE_MEMBER_EPOCH => codes::ILLEGAL_GENERATION,
        error => error,
    };
    groups.commit_pending(call.now, &member, call.request.int("ProducerId"), offsets).map_err(known)
}

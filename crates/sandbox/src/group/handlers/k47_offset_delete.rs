//! OffsetDelete: stored positions of a group go, unless a member reads the topic.

use super::{Call, partition_error};
use crate::group::{Groups, codes};
use pointsman_wire::Struct;

/// A partition of the request and its error code.
struct Partition<'a> {
    topic: &'a str,
    index: i32,
    error: i16,
}

pub(super) fn handle(groups: &mut Groups, call: &Call<'_>) -> Struct {
    let mut partitions: Vec<Partition<'_>> =
        call.request.structs("Topics").flat_map(|t| check(call, t)).collect();
    let exist = || partitions.iter().filter(|partition| partition.error == codes::NONE);
    let offsets: Vec<(String, i32)> = exist().map(|p| (p.topic.to_owned(), p.index)).collect();
    let results = match delete(groups, call, &offsets) {
        Ok(results) => results,
        Err(error) => return Struct::new().with("ErrorCode", error),
    };
    let open = partitions.iter_mut().filter(|partition| partition.error == codes::NONE);
    open.zip(results).for_each(|(partition, result)| partition.error = result);
    let topics = call.request.structs("Topics").map(|topic| {
        let name = topic.str("Name");
        let ours = partitions.iter().filter(|partition| partition.topic == name);
        let ours: Vec<Struct> = ours.map(|p| partition_error(p.index, p.error)).collect();
        Struct::new().with("Name", name).with("Partitions", ours)
    });
    Struct::new().with("Topics", topics.collect::<Vec<_>>())
}

fn check<'a>(call: &Call<'_>, topic: &'a Struct) -> Vec<Partition<'a>> {
    let name = topic.str("Name");
    let partition = |partition: &Struct| {
        let index = partition.i32("PartitionIndex");
        let exists = call.view.has_partition(name, index);
        let error = if exists { codes::NONE } else { codes::UNKNOWN_TOPIC_OR_PARTITION };
        Partition { topic: name, index, error }
    };
    topic.structs("Partitions").map(partition).collect()
}

fn delete(groups: &mut Groups, call: &Call<'_>, offsets: &[(String, i32)]) -> Result<Vec<i16>, i16> {
    let group = call.request.str("GroupId");
    if group.is_empty() {
        return Err(codes::INVALID_GROUP_ID);
    }
    call.view.coordinates(group)?;
    groups.delete_offsets(group, offsets)
}

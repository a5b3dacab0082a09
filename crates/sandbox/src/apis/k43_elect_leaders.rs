//! ElectLeaders: the preferred replicas lead again.

use super::{Answer, Call, array, int_list, ints};
use crate::{
    errors::{
        ELECTION_NOT_NEEDED, NONE, PREFERRED_LEADER_NOT_AVAILABLE, REQUEST_TIMED_OUT,
        UNKNOWN_TOPIC_OR_PARTITION,
    },
    world::World,
};
use pointsman_wire::{Struct, Value};

pub(super) async fn handle(call: Call<'_>) -> Answer {
    if !call.controller(call.deadline("TimeoutMs")).await {
        return Answer::Body(
            Struct::new().with("ErrorCode", REQUEST_TIMED_OUT).with("ReplicaElectionResults", array([])),
        );
    }
    call.shared.change(|world| {
        let every = call.request.get("TopicPartitions").is_null();
        let all: Vec<Struct> = world
            .image
            .topics
            .iter()
            .map(|(name, topic)| {
                let indexes = (0..).zip(&topic.partitions).map(|(index, _)| index);
                Struct::new().with("Topic", name.to_string()).with("Partitions", ints(indexes))
            })
            .collect();
        let asked: Vec<&Struct> =
            if every { all.iter().collect() } else { call.request.structs("TopicPartitions").collect() };
        let told = asked.into_iter().map(|topic| {
            let name = topic.str("Topic");
            let results = int_list(topic.array("Partitions")).map(|index| (index, elect(world, name, index)));
            // Asked for everything, what needs nothing is left out.
            let results = results.filter(|(_, code)| !(every && *code == ELECTION_NOT_NEEDED));
            let results = results.map(|(index, code)| {
                Struct::new()
                    .with("PartitionId", index)
                    .with("ErrorCode", code)
                    .with("ErrorMessage", Value::Null)
            });
            let results: Vec<Struct> = results.collect();
            Struct::new().with("Topic", name).with("PartitionResult", array(results))
        });
        let told: Vec<Struct> = told.collect();
        Answer::Body(Struct::new().with("ReplicaElectionResults", array(told)))
    })
}

fn elect(world: &mut World, topic: &str, index: i32) -> i16 {
    let Some(partition) = world.image.partition(topic, index) else { return UNKNOWN_TOPIC_OR_PARTITION };
    if partition.leader == partition.replicas.first().copied() {
        return ELECTION_NOT_NEEDED;
    }
    let elected = usize::try_from(index).is_ok_and(|index| world.elect_preferred(topic, index));
    if elected { NONE } else { PREFERRED_LEADER_NOT_AVAILABLE }
}

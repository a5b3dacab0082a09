//! DescribeProducers: what a log remembers of idempotent producers.

use super::{Answer, Call, array, int_list};
use crate::{errors::NONE, world::World};
use pointsman_wire::{Struct, Value};

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let mut world = call.shared.lock();
    let topics: Vec<Struct> = call
        .request
        .structs("Topics")
        .map(|topic| {
            let name = topic.str("Name");
            let indexes = int_list(topic.array("PartitionIndexes"));
            let partitions: Vec<Struct> = indexes.map(|i| partition(call, &mut world, name, i)).collect();
            Struct::new().with("Name", name).with("Partitions", array(partitions))
        })
        .collect();
    Answer::Body(Struct::new().with("Topics", array(topics)))
}

fn partition(call: &Call<'_>, world: &mut World, topic: &str, index: i32) -> Struct {
    let led = world.led(call.broker, topic, index, -1);
    let code = crate::log::code(&led);
    let states: Vec<Struct> = led.map_or_else(
        |_| Vec::new(),
        |led| {
            let state = |(id, epoch, sequence, timestamp): (i64, i16, i32, i64)| {
                Struct::new()
                    .with("ProducerId", id)
                    .with("ProducerEpoch", i32::from(epoch))
                    .with("LastSequence", sequence)
                    .with("LastTimestamp", timestamp)
                    .with("CoordinatorEpoch", -1)
                    .with("CurrentTxnStartOffset", -1)
            };
            world.log(call.broker, led.key).producer_states().map(state).collect()
        },
    );
    debug_assert!(code == NONE || states.is_empty());
    Struct::new()
        .with("PartitionIndex", index)
        .with("ErrorCode", code)
        .with("ErrorMessage", Value::Null)
        .with("ActiveProducers", array(states))
}

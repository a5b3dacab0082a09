//! DescribeProducers: what a log remembers of idempotent producers and of their transactions.

use super::{Answer, Call, array, int_list};
use crate::{errors::NONE, log::ProducerState, world::World};
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
            let state = |of: ProducerState| {
                Struct::new()
                    .with("ProducerId", of.id)
                    .with("ProducerEpoch", i32::from(of.epoch))
                    .with("LastSequence", of.last_sequence)
                    .with("LastTimestamp", of.last_timestamp)
                    .with("CoordinatorEpoch", of.coordinator_epoch)
                    .with("CurrentTxnStartOffset", of.transaction_start)
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

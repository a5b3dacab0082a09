//! OffsetForLeaderEpoch: where an epoch ended, so that a client notices that its log was cut.

use super::{Answer, Call, array};
use crate::{errors::NONE, world::World};
use pointsman_wire::Struct;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let mut world = call.shared.lock();
    let topics: Vec<Struct> = call
        .request
        .structs("Topics")
        .map(|topic| {
            let name = topic.str("Topic");
            let partitions: Vec<Struct> =
                topic.structs("Partitions").map(|p| partition(call, &mut world, name, p)).collect();
            Struct::new().with("Topic", name).with("Partitions", array(partitions))
        })
        .collect();
    Answer::Body(Struct::new().with("Topics", array(topics)))
}

fn partition(call: &Call<'_>, world: &mut World, topic: &str, asked: &Struct) -> Struct {
    let index = asked.i32("Partition");
    let found = world.led(call.broker, topic, index, asked.i32("CurrentLeaderEpoch")).map(|led| {
        let log = world.log(call.broker, led.key);
        let (epoch, end) = log.end_of_epoch(asked.i32("LeaderEpoch"));
        // A client is not told of what is not committed.
        (epoch, end.min(log.high_watermark.max(log.start())))
    });
    let (code, (epoch, end)) = match found {
        Ok((epoch, end)) => (NONE, (epoch, end)),
        Err(code) => (code, (-1, -1)),
    };
    Struct::new()
        .with("Partition", index)
        .with("ErrorCode", code)
        .with("LeaderEpoch", epoch)
        .with("EndOffset", end)
}

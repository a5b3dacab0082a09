//! DeleteRecords: moves the start of a log.

use super::{Answer, Call, array};
use crate::{
    errors::{NONE, OFFSET_OUT_OF_RANGE},
    world::World,
};
use pointsman_wire::Struct;

/// "Up to the high watermark".
const ALL: i64 = -1;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    call.shared.change(|world| {
        let topics = call.request.structs("Topics").map(|topic| {
            let name = topic.str("Name");
            let partitions: Vec<Struct> =
                topic.structs("Partitions").map(|p| partition(call, world, name, p)).collect();
            Struct::new().with("Name", name).with("Partitions", array(partitions))
        });
        let topics: Vec<Struct> = topics.collect();
        Answer::Body(Struct::new().with("Topics", array(topics)))
    })
}

fn partition(call: &Call<'_>, world: &mut World, topic: &str, asked: &Struct) -> Struct {
    let index = asked.i32("PartitionIndex");
    let deleted = world.led(call.broker, topic, index, -1).and_then(|led| {
        let log = world.log(call.broker, led.key);
        let before = if asked.int("Offset") == ALL { log.high_watermark } else { asked.int("Offset") };
        if before < 0 || before > log.high_watermark {
            return Err(OFFSET_OUT_OF_RANGE);
        }
        log.delete_before(before);
        let start = log.start();
        world.replicate(call.broker, led.key, &led.partition);
        Ok(start)
    });
    let (code, low) = match deleted {
        Ok(start) => (NONE, start),
        Err(code) => (code, -1),
    };
    Struct::new().with("PartitionIndex", index).with("LowWatermark", low).with("ErrorCode", code)
}

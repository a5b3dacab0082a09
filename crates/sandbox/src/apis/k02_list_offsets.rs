//! ListOffsets: the ends of a log, and offsets by time.

use super::{Answer, Call, array};
use crate::{errors::NONE, world::World};
use pointsman_wire::Struct;

/// `IsolationLevel` of who wants only what is committed.
const READ_COMMITTED: i64 = 1;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let mut world = call.shared.lock();
    let topics: Vec<Struct> = call
        .request
        .structs("Topics")
        .map(|topic| {
            let name = topic.str("Name");
            let partitions: Vec<Struct> =
                topic.structs("Partitions").map(|p| partition(call, &mut world, name, p)).collect();
            Struct::new().with("Name", name).with("Partitions", array(partitions))
        })
        .collect();
    Answer::Body(Struct::new().with("Topics", array(topics)))
}

fn partition(call: &Call<'_>, world: &mut World, topic: &str, asked: &Struct) -> Struct {
    let index = asked.i32("PartitionIndex");
    let committed = call.version >= 2 && call.request.int("IsolationLevel") == READ_COMMITTED;
    let epoch = if call.version >= 4 { asked.i32("CurrentLeaderEpoch") } else { -1 };
    let found = world.led(call.broker, topic, index, epoch).map(|led| {
        let log = world.log(call.broker, led.key);
        let readable = if committed { log.last_stable() } else { log.high_watermark };
        match asked.int("Timestamp") {
            LATEST => (readable, -1, log.epoch_at(readable)),
            EARLIEST | EARLIEST_LOCAL => (log.start(), -1, log.epoch_at(log.start())),
            MAX_TIMESTAMP => log.newest_time(readable).unwrap_or((-1, -1, -1)),
            time if time >= 0 => log.find_time(time, readable).unwrap_or((-1, -1, -1)),
            // Tiered storage: there is none.
            _ => (-1, -1, -1),
        }
    });
    let (code, (offset, timestamp, epoch)) = match found {
        Ok(found) => (NONE, found),
        Err(code) => (code, (-1, -1, -1)),
    };
    Struct::new()
        .with("PartitionIndex", index)
        .with("ErrorCode", code)
        .with("Timestamp", timestamp)
        .with("Offset", offset)
        .with("LeaderEpoch", epoch)
}

//! CreatePartitions: more partitions for a topic.

use super::{Answer, Call, array, k19_create_topics::assigned};
use crate::{
    errors::{
        INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR, NONE, REQUEST_TIMED_OUT, UNKNOWN_TOPIC_OR_PARTITION,
    },
    world::World,
};
use pointsman_wire::{Struct, Value};

pub(super) async fn handle(call: Call<'_>) -> Answer {
    let ready = call.controller(call.deadline("TimeoutMs")).await;
    call.shared.change(|world| {
        let told = call.request.structs("Topics").map(|asked| {
            let done = if ready {
                grow(&call, world, asked)
            } else {
                Err((REQUEST_TIMED_OUT, "no controller".into()))
            };
            let (code, message) = match done {
                Ok(()) => (NONE, Value::Null),
                Err((code, message)) => (code, Value::from(message)),
            };
            Struct::new()
                .with("Name", asked.str("Name"))
                .with("ErrorCode", code)
                .with("ErrorMessage", message)
        });
        let told: Vec<Struct> = told.collect();
        Answer::Body(Struct::new().with("Results", array(told)))
    })
}

fn grow(call: &Call<'_>, world: &mut World, asked: &Struct) -> Result<(), (i16, String)> {
    let name = asked.str("Name");
    let topic = world.image.topics.get(name);
    let topic = topic
        .ok_or((UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.".into()))?;
    let (now, factor) = (topic.partitions.len(), topic.partitions.first().map_or(1, |p| p.replicas.len()));
    let count = usize::try_from(asked.i32("Count")).unwrap_or(0);
    if count <= now {
        let message =
            format!("The topic {name} currently has {now} partition(s); {count} would not be an increase.");
        return Err((INVALID_PARTITIONS, message));
    }
    let more = if asked.array("Assignments").is_empty() {
        let few = || (INVALID_REPLICATION_FACTOR, "not enough brokers".to_owned());
        world.place(now, count - now, factor).ok_or_else(few)?
    } else {
        assigned(world, (0..).zip(asked.structs("Assignments")))?
    };
    if !call.request.bool("ValidateOnly") {
        world.add_partitions(name, more);
    }
    Ok(())
}

//! DescribeQuorum: brokers ask the active controller, so without one there is no answer until there is.

use super::{Answer, Call, HOST, array};
use crate::errors::{INVALID_REQUEST, NONE};
use pointsman_wire::{Struct, Value};
use std::time::{Duration, Instant};

const METADATA_TOPIC: &str = "__cluster_metadata";
/// A broker gives up forwarding after so long, without an answer.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn handle(call: Call<'_>) -> Answer {
    if !call.controller(Instant::now() + FORWARD_TIMEOUT).await {
        return Answer::Close;
    }
    let asked = call.request.structs("Topics").any(|t| t.str("TopicName") == METADATA_TOPIC);
    if !asked {
        return Answer::Body(Struct::new().with("ErrorCode", INVALID_REQUEST).with("Topics", array([])));
    }
    let world = call.shared.lock();
    let state = |broker: usize| {
        Struct::new()
            .with("ReplicaId", world.node_id(broker))
            .with("LogEndOffset", world.brokers[broker].view.offset)
            .with("LastFetchTimestamp", -1)
            .with("LastCaughtUpTimestamp", -1)
    };
    let partition = Struct::new()
        .with("PartitionIndex", 0)
        .with("ErrorCode", NONE)
        .with("ErrorMessage", Value::Null)
        .with("LeaderId", world.opt_node_id(world.image.controller))
        .with("LeaderEpoch", world.controller_epoch)
        .with("HighWatermark", world.image.offset)
        .with("CurrentVoters", array((0..world.brokers.len()).map(state)))
        .with("Observers", array([]));
    let listener = |broker: usize| {
        Struct::new()
            .with("Name", "PLAINTEXT")
            .with("Host", HOST)
            .with("Port", i32::from(world.brokers[broker].port))
    };
    let node = |broker: usize| {
        Struct::new().with("NodeId", world.node_id(broker)).with("Listeners", array([listener(broker)]))
    };
    let topic = Struct::new().with("TopicName", METADATA_TOPIC).with("Partitions", array([partition]));
    Answer::Body(
        Struct::new()
            .with("ErrorCode", NONE)
            .with("ErrorMessage", Value::Null)
            .with("Topics", array([topic]))
            .with("Nodes", array((0..world.brokers.len()).map(node))),
    )
}

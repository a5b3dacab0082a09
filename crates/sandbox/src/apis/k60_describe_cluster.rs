//! DescribeCluster.

use super::{Answer, Call, HOST, array, k03_metadata::controller};
use crate::errors::NONE;
use pointsman_wire::{Struct, Value};

/// "Not asked."
const NO_OPERATIONS: i64 = i32::MIN as i64;
/// All operations that a cluster has.
const OPERATIONS: i64 = 0x37a0;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let world = call.shared.lock();
    let view = &world.brokers[call.broker].view;
    let with_fenced = call.request.bool("IncludeFencedBrokers");
    let listed = (0..world.brokers.len()).filter(|b| with_fenced || !view.fenced[*b]);
    let broker = |b: usize| {
        Struct::new()
            .with("BrokerId", world.node_id(b))
            .with("Host", HOST)
            .with("Port", i32::from(world.brokers[b].port))
            .with("Rack", Value::Null)
            .with("IsFenced", view.fenced[b])
    };
    let operations = call.request.bool("IncludeClusterAuthorizedOperations");
    Answer::Body(
        Struct::new()
            .with("ErrorCode", NONE)
            .with("ErrorMessage", Value::Null)
            .with("EndpointType", 1)
            .with("ClusterId", world.cluster_id.as_str())
            .with("ControllerId", controller(&world, call.broker))
            .with("Brokers", array(listed.map(broker)))
            .with("ClusterAuthorizedOperations", if operations { OPERATIONS } else { NO_OPERATIONS }),
    )
}

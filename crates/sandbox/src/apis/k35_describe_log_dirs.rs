//! DescribeLogDirs: one directory, which is memory.

use super::{Answer, Call, array, int_list};
use crate::errors::NONE;
use pointsman_wire::Struct;
use std::collections::BTreeMap;

const DIRECTORY: &str = "/memory";

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let world = call.shared.lock();
    let broker = &world.brokers[call.broker];
    let all = call.request.get("Topics").is_null();
    let wants = |name: &str, index: i32| {
        all || call
            .request
            .structs("Topics")
            .any(|t| t.str("Topic") == name && int_list(t.array("Partitions")).any(|asked| asked == index))
    };
    let mut topics: BTreeMap<&str, Vec<Struct>> = BTreeMap::new();
    for ((id, index), log) in &broker.logs {
        let Some(name) = broker.view.name_of(*id).filter(|name| wants(name, *index)) else { continue };
        let told = Struct::new()
            .with("PartitionIndex", *index)
            .with("PartitionSize", i64::try_from(log.size()).unwrap_or(i64::MAX))
            .with("OffsetLag", 0)
            .with("IsFutureKey", false);
        topics.entry(name).or_default().push(told);
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| Struct::new().with("Name", name).with("Partitions", array(partitions)));
    let directory = Struct::new()
        .with("ErrorCode", NONE)
        .with("LogDir", DIRECTORY)
        .with("Topics", array(topics))
        .with("TotalBytes", -1)
        .with("UsableBytes", -1);
    Answer::Body(Struct::new().with("ErrorCode", NONE).with("Results", array([directory])))
}

//! AlterReplicaLogDirs: moves replicas of the broker that the addressed slot stands for, and of no other.

use super::{Fail, Route, Rule, error};
use pointsman_wire::value::Struct;

pub(super) const RULE: Rule = Rule::new(34, Route::Slot(refusal), Fail::Close);

/// The answer when it cannot be known which broker is meant.
fn refusal(request: &Struct) -> Struct {
    let topics = request.structs("Dirs").flat_map(|dir| dir.structs("Topics"));
    let refused =
        |index: i32| Struct::new().with("PartitionIndex", index).with("ErrorCode", error::INVALID_REQUEST);
    let result = |topic: &Struct| {
        let indices = topic.array("Partitions").iter().filter_map(|p| i32::try_from(p.as_int()?).ok());
        let partitions: Vec<Struct> = indices.map(refused).collect();
        Struct::new().with("TopicName", topic.str("Name")).with("Partitions", partitions)
    };
    Struct::new().with("Results", topics.map(result).collect::<Vec<_>>())
}

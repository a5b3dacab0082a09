//! Values of configurations that hold node ids or addresses.

use pointsman_wire::value::{Struct, Value};

/// Configurations whose value is a list of `partition:node`, or `*`.
const REPLICAS: [&str; 2] =
    ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];
/// Configurations whose value is an address of the real cluster, or a list of ids and addresses.
const ADDRESSES: [&str; 10] = [
    "advertised.listeners",
    "listeners",
    "controller.quorum.voters",
    "controller.quorum.bootstrap.servers",
    "zookeeper.connect",
    "listener.security.protocol.map",
    // Up to Kafka 2.8.
    "advertised.host.name",
    "advertised.port",
    "host.name",
    "port",
];
/// Configurations whose value is the node's own id.
const NODE_IDS: [&str; 2] = ["node.id", "broker.id"];

/// Translates the node ids in the configurations of a resource or topic.
pub(super) fn translate(holder: &mut Struct, node: impl Fn(i32) -> i32) {
    for config in holder.structs_mut("Configs") {
        if !REPLICAS.contains(&config.str("Name")) {
            continue;
        }
        rewrite(config, &node);
        config.structs_mut("Synonyms").for_each(|synonym| rewrite(synonym, &node));
    }
}

fn rewrite(config: &mut Struct, node: &impl Fn(i32) -> i32) {
    if let Some(value) = config.opt_str("Value") {
        let value = replicas(value, node);
        config.set("Value", value);
    }
}

fn replicas(value: &str, node: &impl Fn(i32) -> i32) -> String {
    let one =
        |replica: &str| match replica.split_once(':').and_then(|(p, n)| Some((p, n.trim().parse().ok()?))) {
            Some((partition, id)) => format!("{partition}:{}", node(id)),
            None => replica.to_owned(),
        };
    value.split(',').map(one).collect::<Vec<_>>().join(",")
}

/// Takes the real cluster's addresses out of the configurations of a resource. `name`: what the resource is called.
pub(super) fn hide(resource: &mut Struct, name: &str) {
    for config in resource.structs_mut("Configs") {
        let value = match config.str("Name") {
            config if ADDRESSES.contains(&config) => Value::Null,
            config if NODE_IDS.contains(&config) => Value::from(name),
            _ => continue,
        };
        config.set("Value", value.clone());
        config.structs_mut("Synonyms").for_each(|synonym| synonym.set("Value", value.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttled_replicas_are_renumbered_and_everything_else_stays() {
        let add = |node: i32| node + 100;
        assert_eq!(replicas("0:1,12:3", &add), "0:101,12:103");
        for other in ["*", "", "none", "0:x,:", "1:2:3"] {
            assert_eq!(replicas(other, &add), other);
        }
    }
}

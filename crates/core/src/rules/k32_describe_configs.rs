//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources: a BROKER resource is named by its node id, and that
//! broker answers.
//!
//! The values of some broker configurations are addresses and ids of the real cluster: clients get none of them.

use super::{Context, Fail, Route, Rule};
use pointsman_wire::value::{Struct, Value};

/// Resource types that name a node: BROKER and BROKER_LOGGER.
const NODE_RESOURCES: [i64; 2] = [4, 8];
/// Configurations whose value is an address, or a list of ids or addresses.
const ADDRESSES: [&str; 8] = [
    "advertised.listeners",
    "listeners",
    "controller.quorum.voters",
    "controller.quorum.bootstrap.servers",
    "zookeeper.connect",
    "leader.replication.throttled.replicas",
    "follower.replication.throttled.replicas",
    "listener.security.protocol.map",
];
/// Configurations whose value is the node's own id.
const NODE_IDS: [&str; 3] = ["node.id", "broker.id", "reserved.broker.max.id"];

const fn rule(key: i16, fail: Fail) -> Rule {
    Rule {
        edit_request: Some(to_real),
        edit_response: Some(to_virtual),
        ..Rule::new(key, Route::ConfigResources, fail)
    }
}

pub(super) const DESCRIBE: Rule = rule(32, Fail::Replay);
pub(super) const ALTER: Rule = rule(33, Fail::Close);
pub(super) const INCREMENTAL_ALTER: Rule = rule(44, Fail::Close);
pub(super) const LIST: Rule =
    Rule { edit_response: Some(to_virtual), ..Rule::new(74, Route::Any, Fail::Replay) };

/// The real node that the first resource names, if it names one.
pub(crate) fn node(request: &Struct) -> Option<i32> {
    let mut nodes = request.structs("Resources").filter(|r| NODE_RESOURCES.contains(&r.int("ResourceType")));
    nodes.find_map(|r| r.str("ResourceName").parse().ok())
}

fn to_real(request: &mut Struct, cx: &Context<'_>) {
    rename(request, "Resources", |slot| cx.node(slot));
}

fn to_virtual(response: &mut Struct, cx: &Context<'_>) {
    for array in ["Results", "Responses", "ConfigResources"] {
        rename(response, array, |node| cx.slot(node));
    }
    for result in response.array_mut("Results").into_iter().flatten() {
        let Value::Struct(result) = result else { continue };
        let name = result.str("ResourceName").to_owned();
        for config in result.array_mut("Configs").into_iter().flatten() {
            if let Value::Struct(config) = config {
                hide(config, &name);
            }
        }
    }
}

fn rename(message: &mut Struct, array: &'static str, translate: impl Fn(i32) -> i32) {
    for resource in message.array_mut(array).into_iter().flatten() {
        let Value::Struct(resource) = resource else { continue };
        if !NODE_RESOURCES.contains(&resource.int("ResourceType")) {
            continue;
        }
        if let Ok(node) = resource.str("ResourceName").parse::<i32>() {
            resource.set("ResourceName", translate(node).to_string());
        }
    }
}

fn hide(config: &mut Struct, resource: &str) {
    let name = config.str("Name").to_owned();
    let value = if ADDRESSES.contains(&name.as_str()) {
        Value::Null
    } else if NODE_IDS.contains(&name.as_str()) {
        Value::from(resource)
    } else {
        return;
    };
    config.set("Value", value.clone());
    for synonym in config.array_mut("Synonyms").into_iter().flatten() {
        if let Value::Struct(synonym) = synonym {
            synonym.set("Value", value.clone());
        }
    }
}

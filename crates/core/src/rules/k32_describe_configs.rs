//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources: a BROKER resource is named by its node id, and that
//! broker answers.
//!
//! The values of some broker configurations are addresses and ids of the real cluster: clients get none of them.

use super::{Context, Fail, Route, Rule, configs};
use pointsman_wire::value::Struct;

/// Resource types that name a node: BROKER and BROKER_LOGGER.
const NODE_RESOURCES: [i64; 2] = [4, 8];

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
    for resource in request.structs_mut("Resources") {
        rename(resource, |slot| cx.node(slot));
        configs::translate(resource, |slot| cx.node(slot));
    }
}

fn to_virtual(response: &mut Struct, cx: &Context<'_>) {
    for array in ["Results", "Responses", "ConfigResources"] {
        for resource in response.structs_mut(array) {
            rename(resource, |node| cx.slot(node));
            configs::translate(resource, |node| cx.slot(node));
            let name = resource.str("ResourceName").to_owned();
            configs::hide(resource, &name);
        }
    }
}

fn rename(resource: &mut Struct, translate: impl Fn(i32) -> i32) {
    if !NODE_RESOURCES.contains(&resource.int("ResourceType")) {
        return;
    }
    if let Ok(node) = resource.str("ResourceName").parse::<i32>() {
        resource.set("ResourceName", translate(node).to_string());
    }
}

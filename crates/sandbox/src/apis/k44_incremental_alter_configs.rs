//! IncrementalAlterConfigs, and the older AlterConfigs (33), which replaces everything.

use super::{
    Answer, Call, array,
    k32_describe_configs::{BROKER, TOPIC, broker_of},
};
use crate::{
    configs,
    errors::{INVALID_CONFIG, INVALID_REQUEST, NONE, REQUEST_TIMED_OUT, UNKNOWN_TOPIC_OR_PARTITION},
    world::World,
};
use pointsman_wire::{Struct, Value};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const INCREMENTAL: i16 = 44;
/// These requests name no time-out.
const WAIT: Duration = Duration::from_secs(30);

const SET: i64 = 0;
const DELETE: i64 = 1;
const APPEND: i64 = 2;
const SUBTRACT: i64 = 3;

type Configs = BTreeMap<String, String>;

pub(super) async fn handle(call: Call<'_>) -> Answer {
    let ready = call.controller(Instant::now() + WAIT).await;
    call.shared.change(|world| {
        let told = call.request.structs("Resources").map(|resource| {
            let done = if ready {
                alter(&call, world, resource)
            } else {
                Err((REQUEST_TIMED_OUT, "no controller".into()))
            };
            let (code, message) = match done {
                Ok(()) => (NONE, Value::Null),
                Err((code, message)) => (code, Value::from(message)),
            };
            Struct::new()
                .with("ErrorCode", code)
                .with("ErrorMessage", message)
                .with("ResourceType", resource.int("ResourceType"))
                .with("ResourceName", resource.str("ResourceName"))
        });
        let told: Vec<Struct> = told.collect();
        Answer::Body(Struct::new().with("Responses", array(told)))
    })
}

fn alter(call: &Call<'_>, world: &mut World, resource: &Struct) -> Result<(), (i16, String)> {
    let name = resource.str("ResourceName");
    let only_check = call.request.bool("ValidateOnly");
    match resource.int("ResourceType") {
        TOPIC => {
            let topic = world.image.topics.get(name);
            let topic = topic.ok_or((UNKNOWN_TOPIC_OR_PARTITION, "The topic does not exist.".to_owned()))?;
            let after = changed(call, resource, &topic.configs, configs::check_topic)?;
            if !only_check {
                world.edit(|image| {
                    if let Some(topic) = image.topics.get_mut(name) {
                        topic.configs = after;
                    }
                });
            }
            Ok(())
        }
        BROKER => {
            let broker = broker_of(world, name)?;
            let before = world.image.broker_configs.get(&broker).cloned().unwrap_or_default();
            let after = changed(call, resource, &before, configs::check_broker)?;
            if !only_check {
                world.edit(|image| image.broker_configs.insert(broker, after));
            }
            Ok(())
        }
        kind => Err((INVALID_REQUEST, format!("resource type {kind} has no configuration here"))),
    }
}

fn changed(
    call: &Call<'_>,
    resource: &Struct,
    before: &Configs,
    check: impl Fn(&str, &str) -> Result<(), String>,
) -> Result<Configs, (i16, String)> {
    let incremental = call.key == INCREMENTAL;
    let mut after = if incremental { before.clone() } else { Configs::new() };
    for config in resource.structs("Configs") {
        let key = config.str("Name");
        let operation = if incremental { config.int("ConfigOperation") } else { SET };
        let value = match (operation, config.opt_str("Value")) {
            (DELETE, _) => None,
            (SET, Some(value)) => Some(value.to_owned()),
            (APPEND | SUBTRACT, Some(value)) => Some(listed(after.get(key), value, operation == APPEND)),
            (SET, None) if !incremental => None,
            _ => return Err((INVALID_CONFIG, format!("Null value not supported for : {key}"))),
        };
        check(key, value.as_deref().unwrap_or("1"))
            .or_else(
                |message| {
                    if value.is_none() && !message.starts_with("Unknown") { Ok(()) } else { Err(message) }
                },
            )
            .map_err(|message| (INVALID_CONFIG, message))?;
        match value {
            Some(value) => after.insert(key.to_owned(), value),
            None => after.remove(key),
        };
    }
    Ok(after)
}

/// A list with elements added or taken away.
fn listed(before: Option<&String>, change: &str, add: bool) -> String {
    let mut elements: Vec<&str> =
        before.map_or(Vec::new(), |b| b.split(',').filter(|e| !e.is_empty()).collect());
    for element in change.split(',') {
        elements.retain(|e| *e != element);
        if add {
            elements.push(element);
        }
    }
    elements.join(",")
}

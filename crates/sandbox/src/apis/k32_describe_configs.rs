//! DescribeConfigs: of topics and brokers.

use super::{Answer, Call, array};
use crate::{
    configs::{
        self, DEFAULT, DYNAMIC_BROKER, DYNAMIC_DEFAULT_BROKER, DYNAMIC_TOPIC, Kind, STATIC_BROKER, Setting,
    },
    errors::{INVALID_REQUEST, NONE, UNKNOWN_TOPIC_OR_PARTITION},
    world::World,
};
use pointsman_wire::{Struct, Value};
use std::collections::BTreeMap;

pub(super) const TOPIC: i64 = 2;
pub(super) const BROKER: i64 = 4;

/// The values that are set, each with its source, in the order in which they count.
type Layers<'a> = Vec<(&'a BTreeMap<String, String>, i8)>;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let world = call.shared.lock();
    let results: Vec<Struct> = call
        .request
        .structs("Resources")
        .map(|resource| {
            let (code, message, configs) = match describe(call, &world, resource) {
                Ok(configs) => (NONE, Value::Null, configs),
                Err((code, message)) => (code, Value::from(message), Vec::new()),
            };
            Struct::new()
                .with("ErrorCode", code)
                .with("ErrorMessage", message)
                .with("ResourceType", resource.int("ResourceType"))
                .with("ResourceName", resource.str("ResourceName"))
                .with("Configs", array(configs))
        })
        .collect();
    Answer::Body(Struct::new().with("Results", array(results)))
}

fn describe(call: &Call<'_>, world: &World, resource: &Struct) -> Result<Vec<Struct>, (i16, String)> {
    let name = resource.str("ResourceName");
    let wanted = |setting: &&Setting| {
        let keys = resource.get("ConfigurationKeys");
        keys.is_null() || keys.as_array().iter().any(|k| k.as_str() == Some(setting.0))
    };
    match resource.int("ResourceType") {
        TOPIC => {
            let topic = world.brokers[call.broker].view.topics.get(name);
            let unknown =
                || (UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.".to_owned());
            let topic = topic.ok_or_else(unknown)?;
            let server =
                BTreeMap::from([("min.insync.replicas".to_owned(), world.default_min_isr().to_string())]);
            let layers: Layers<'_> = vec![(&topic.configs, DYNAMIC_TOPIC), (&server, STATIC_BROKER)];
            Ok(configs::TOPIC.iter().filter(wanted).map(|s| entry(call, *s, &layers)).collect())
        }
        BROKER => {
            let broker = broker_of(world, name)?;
            let view = &world.brokers[call.broker].view;
            let empty = BTreeMap::new();
            let own = view.broker_configs.get(&broker).unwrap_or(&empty);
            let all = view.broker_configs.get(&None).unwrap_or(&empty);
            let server =
                BTreeMap::from([("min.insync.replicas".to_owned(), world.default_min_isr().to_string())]);
            let layers: Layers<'_> = match broker {
                Some(_) => {
                    vec![(own, DYNAMIC_BROKER), (all, DYNAMIC_DEFAULT_BROKER), (&server, STATIC_BROKER)]
                }
                None => vec![(all, DYNAMIC_DEFAULT_BROKER)],
            };
            let listed = configs::BROKER.iter().filter(wanted);
            // Of the cluster-wide defaults, which no broker has alone, only what was set is told.
            let listed = listed.filter(|s| broker.is_some() || all.contains_key(s.0));
            Ok(listed.map(|s| entry(call, *s, &layers)).collect())
        }
        kind => Err((INVALID_REQUEST, format!("resource type {kind} has no configuration here"))),
    }
}

/// The broker of a resource name; an empty name is the cluster-wide default.
pub(super) fn broker_of(world: &World, name: &str) -> Result<Option<usize>, (i16, String)> {
    if name.is_empty() {
        return Ok(None);
    }
    let broker = name.parse().ok().and_then(|node| world.broker_of(node));
    broker.map(Some).ok_or_else(|| (INVALID_REQUEST, format!("no broker {name}")))
}

fn entry(call: &Call<'_>, setting: Setting, layers: &Layers<'_>) -> Struct {
    let (name, default, kind) = setting;
    let mut values: Vec<(&str, i8)> =
        layers.iter().filter_map(|(set, source)| Some((set.get(name)?.as_str(), *source))).collect();
    values.push((default, DEFAULT));
    let (value, source) = values[0];
    let synonym = |(value, source): &(&str, i8)| {
        Struct::new().with("Name", name).with("Value", *value).with("Source", *source)
    };
    let synonyms =
        if call.request.bool("IncludeSynonyms") { values.iter().map(synonym).collect() } else { Vec::new() };
    Struct::new()
        .with("Name", name)
        .with("Value", value)
        .with("ReadOnly", false)
        .with("ConfigSource", source)
        .with("IsSensitive", false)
        .with("Synonyms", array(synonyms))
        .with("ConfigType", number(kind))
        .with("Documentation", Value::Null)
}

fn number(kind: Kind) -> i8 {
    kind as i8
}

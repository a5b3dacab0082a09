//! DeleteTopics.

use super::{Answer, Call, array};
use crate::errors::{NONE, REQUEST_TIMED_OUT, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION};
use pointsman_wire::{Struct, Value};
use uuid::Uuid;

pub(super) async fn handle(call: Call<'_>) -> Answer {
    let ready = call.controller(call.deadline("TimeoutMs")).await;
    call.shared.change(|world| {
        let by_name =
            call.request.array("TopicNames").iter().filter_map(Value::as_str).map(|n| (Some(n), Uuid::nil()));
        let listed =
            call.request.structs("Topics").map(|t| (t.opt_str("Name"), Uuid::from_bytes(t.uuid("TopicId"))));
        let asked: Vec<(Option<&str>, Uuid)> = by_name.chain(listed).collect();
        let told = asked.into_iter().map(|(name, id)| {
            let found = match name {
                Some(name) => world.image.topics.get_key_value(name).map(|(n, t)| (n.to_string(), t.id)),
                None => world.image.name_of(id).map(|n| (n.to_string(), id)),
            };
            let code = match &found {
                _ if !ready => REQUEST_TIMED_OUT,
                Some((name, _)) if world.remove_topic(name) => NONE,
                _ if name.is_none() => UNKNOWN_TOPIC_ID,
                _ => UNKNOWN_TOPIC_OR_PARTITION,
            };
            let (name, id) = found.map_or((name.map(str::to_owned), id), |(name, id)| (Some(name), id));
            Struct::new()
                .with("Name", name.map_or(Value::Null, Value::from))
                .with("TopicId", Value::Uuid(id.into_bytes()))
                .with("ErrorCode", code)
                .with("ErrorMessage", Value::Null)
        });
        let told: Vec<Struct> = told.collect();
        Answer::Body(Struct::new().with("Responses", array(told)))
    })
}

//! ConsumerGroupHeartbeat: a member joins, lives, gives up, gets and leaves, all in one api (KIP-848).

use super::{Call, i32s, millis, strings, text};
use crate::group::{
    Groups, codes,
    consumer::{AWAY, Heartbeat, HeartbeatReply, Held, has_assignor},
};
use pointsman_wire::{Struct, Value};
use uuid::Uuid;

/// The first version in which members choose their ids themselves (KIP-1082).
const CHOOSES_ID: i16 = 1;
const LEAVES: i32 = -1;

pub(super) fn handle(groups: &mut Groups, call: &Call<'_>) -> Struct {
    match heartbeat(groups, call) {
        Ok(reply) => response(groups, &reply),
        Err(error) => Struct::new().with("ErrorCode", error),
    }
}

fn heartbeat(groups: &mut Groups, call: &Call<'_>) -> Result<HeartbeatReply, i16> {
    let request = read(call);
    let group = call.request.str("GroupId");
    if !is_valid(call, &request) {
        return Err(codes::INVALID_REQUEST);
    }
    if request.assignor.as_deref().is_some_and(|name| !has_assignor(name)) {
        return Err(codes::UNSUPPORTED_ASSIGNOR);
    }
    call.view.coordinates(group)?;
    if request.epoch < 0 {
        let instance_id = request.instance_id.as_deref();
        return groups.leave_consumers(group, &request.member_id, instance_id, request.epoch);
    }
    groups.consumer_heartbeat(call.now, group, &request, call.view)
}

fn read(call: &Call<'_>) -> Heartbeat {
    let fields = call.request;
    let id = fields.str("MemberId");
    let made = id.is_empty() && call.version < CHOOSES_ID && fields.i32("MemberEpoch") == 0;
    let timeout = fields.i32("RebalanceTimeoutMs");
    let given = |name: &str| !fields.get(name).is_null();
    Heartbeat {
        member_id: if made { Uuid::new_v4().to_string() } else { id.to_owned() },
        epoch: fields.i32("MemberEpoch"),
        instance_id: text(fields, "InstanceId"),
        client_id: call.client_id.to_owned(),
        client_host: format!("/{}", call.client_host),
        rebalance_timeout: (timeout != -1).then(|| millis(timeout)),
        topics: given("SubscribedTopicNames")
            .then(|| strings(fields, "SubscribedTopicNames").map(str::to_owned).collect()),
        pattern: text(fields, "SubscribedTopicRegex").filter(|_| call.version >= CHOOSES_ID),
        assignor: text(fields, "ServerAssignor"),
        owned: given("TopicPartitions").then(|| held(fields)),
    }
}

fn held(fields: &Struct) -> Held {
    let of = |topic: &Struct| {
        let id = topic.uuid("TopicId");
        i32s(topic, "Partitions").map(move |index| (id, index)).collect::<Vec<_>>()
    };
    fields.structs("TopicPartitions").flat_map(of).collect()
}

/// Is this what a member in its epoch can say?
fn is_valid(call: &Call<'_>, request: &Heartbeat) -> bool {
    let is_empty = |name: &str| call.request.opt_str(name).is_some_and(str::is_empty);
    if is_empty("GroupId") || is_empty("InstanceId") || is_empty("RackId") || request.member_id.is_empty() {
        return false;
    }
    let names = request.topics.as_ref().is_some_and(|topics| !topics.is_empty());
    let pattern = request.pattern.as_deref().is_some_and(|text| !text.is_empty());
    match request.epoch {
        1.. | LEAVES => true,
        0 => {
            let nothing = request.owned.as_ref().is_some_and(Held::is_empty);
            request.rebalance_timeout.is_some() && nothing && (names || pattern)
        }
        AWAY => request.instance_id.is_some(),
        _ => false,
    }
}

fn response(groups: &Groups, reply: &HeartbeatReply) -> Struct {
    let interval = i32::try_from(groups.heartbeat_interval().as_millis()).unwrap_or(i32::MAX);
    let assignment = reply.assignment.as_ref().map(|held| {
        let topics = super::by_topic(held).into_iter().map(|(id, indexes)| {
            let indexes: Vec<Value> = indexes.into_iter().map(Value::from).collect();
            Struct::new().with("TopicId", id).with("Partitions", indexes)
        });
        Struct::new().with("TopicPartitions", topics.collect::<Vec<_>>())
    });
    Struct::new()
        .with("MemberId", reply.member_id.as_str())
        .with("MemberEpoch", reply.epoch)
        .with("HeartbeatIntervalMs", interval)
        .with("Assignment", assignment.map_or(Value::Null, Value::Struct))
}

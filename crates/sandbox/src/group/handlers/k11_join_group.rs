//! JoinGroup: a member takes part in the next generation.

use super::{Call, Reply, bytes, i32_or, millis, reply, text};
use crate::group::{Groups, JoinReply, JoinRequest, Protocol, codes};
use pointsman_wire::{Struct, Value};

pub(super) fn handle(groups: &mut Groups, call: &Call<'_>) -> Reply {
    let request = parse(call);
    if let Some(error) = refusal(call, &request.group) {
        let id = if error == codes::INVALID_GROUP_ID { request.member_id.as_str() } else { "" };
        return Reply::Ready(response(call.version, &JoinReply::error(id, error)));
    }
    reply(groups.join(call.now, &request), |joined| response(call.version, joined))
}

fn refusal(call: &Call<'_>, group: &str) -> Option<i16> {
    if group.is_empty() { Some(codes::INVALID_GROUP_ID) } else { call.view.coordinates(group).err() }
}

fn parse(call: &Call<'_>) -> JoinRequest {
    let request = call.request;
    let session_timeout = request.i32("SessionTimeoutMs");
    let protocol = |protocol: &Struct| Protocol {
        name: protocol.str("Name").to_owned(),
        metadata: bytes(protocol, "Metadata"),
    };
    JoinRequest {
        group: request.str("GroupId").to_owned(),
        member_id: request.str("MemberId").to_owned(),
        instance_id: text(request, "GroupInstanceId"),
        client_id: call.client_id.to_owned(),
        client_host: format!("/{}", call.client_host),
        session_timeout: millis(session_timeout),
        rebalance_timeout: millis(i32_or(request, "RebalanceTimeoutMs", session_timeout)),
        protocol_type: request.str("ProtocolType").to_owned(),
        protocols: request.structs("Protocols").map(protocol).collect(),
        needs_member_id: call.version >= 4,
        may_skip_assignment: call.version >= 9,
    }
}

pub(super) fn response(version: i16, reply: &JoinReply) -> Struct {
    let members = reply.members.iter().map(|member| {
        Struct::new()
            .with("MemberId", member.member_id.as_str())
            .with("GroupInstanceId", member.instance_id.clone())
            .with("Metadata", member.metadata.clone())
    });
    Struct::new()
        .with("ErrorCode", reply.error)
        .with("GenerationId", reply.generation)
        .with("ProtocolType", reply.protocol_type.clone())
        .with("ProtocolName", protocol_name(version, reply))
        .with("Leader", reply.leader.as_str())
        .with("SkipAssignment", reply.skip_assignment)
        .with("MemberId", reply.member_id.as_str())
        .with("Members", members.collect::<Vec<_>>())
}

/// No protocol is null where that is possible, else empty.
fn protocol_name(version: i16, reply: &JoinReply) -> Value {
    let name = reply.protocol.clone().filter(|name| !name.is_empty());
    if version >= 7 { name.into() } else { name.unwrap_or_default().into() }
}

//! SyncGroup: the leader hands in what it assigned, and every member gets its part.

use super::{Call, Reply, bytes, reply, text};
use crate::group::{Groups, MemberRef, SyncReply, SyncRequest, codes};
use pointsman_wire::Struct;

pub(super) fn handle(groups: &mut Groups, call: &Call<'_>) -> Reply {
    let request = parse(call);
    if let Err(error) = check(call, &request) {
        return Reply::Ready(response(&SyncReply::error(error)));
    }
    reply(groups.sync(call.now, &request), response)
}

/// From version 5 on a member has to say which protocol it knows of.
fn check(call: &Call<'_>, request: &SyncRequest) -> Result<(), i16> {
    if call.version >= 5 && (request.protocol_type.is_none() || request.protocol.is_none()) {
        return Err(codes::INCONSISTENT_GROUP_PROTOCOL);
    }
    if request.member.group.is_empty() {
        return Err(codes::INVALID_GROUP_ID);
    }
    call.view.coordinates(&request.member.group)
}

fn parse(call: &Call<'_>) -> SyncRequest {
    let request = call.request;
    let assignment = |fields: &Struct| (fields.str("MemberId").to_owned(), bytes(fields, "Assignment"));
    SyncRequest {
        member: MemberRef {
            group: request.str("GroupId").to_owned(),
            member_id: request.str("MemberId").to_owned(),
            instance_id: text(request, "GroupInstanceId"),
            generation: request.i32("GenerationId"),
        },
        protocol_type: text(request, "ProtocolType"),
        protocol: text(request, "ProtocolName"),
        assignments: request.structs("Assignments").map(assignment).collect(),
    }
}

pub(super) fn response(reply: &SyncReply) -> Struct {
    Struct::new()
        .with("ErrorCode", reply.error)
        .with("ProtocolType", reply.protocol_type.clone())
        .with("ProtocolName", reply.protocol.clone())
        .with("Assignment", reply.assignment.clone())
}

//! Heartbeat: a member lives.

use super::{Call, text};
use crate::group::{Groups, MemberRef, codes};
use pointsman_wire::Struct;

pub(super) fn handle(groups: &mut Groups, call: &Call<'_>) -> Struct {
    let error = heartbeat(groups, call).err().unwrap_or(codes::NONE);
    Struct::new().with("ErrorCode", error)
}

fn heartbeat(groups: &mut Groups, call: &Call<'_>) -> Result<(), i16> {
    let member = MemberRef {
        group: call.request.str("GroupId").to_owned(),
        member_id: call.request.str("MemberId").to_owned(),
        instance_id: text(call.request, "GroupInstanceId"),
        generation: call.request.i32("GenerationId"),
    };
    if member.group.is_empty() {
        return Err(codes::INVALID_GROUP_ID);
    }
    match call.view.coordinates(&member.group) {
        // The group is about to be here.
        Err(codes::COORDINATOR_LOAD_IN_PROGRESS) => Ok(()),
        Err(error) => Err(error),
        Ok(()) => groups.heartbeat(call.now, &member),
    }
}

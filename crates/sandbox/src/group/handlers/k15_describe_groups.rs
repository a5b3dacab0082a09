//! DescribeGroups: states, members and their assignments.

use super::{Call, strings};
use crate::group::{Description, Groups, codes, state::State};
use pointsman_wire::Struct;

/// What may be done to a group, as bits: read (3), delete (6), describe (8), describe (10) and alter (11) configurations.
pub(super) const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub(super) fn handle(groups: &Groups, call: &Call<'_>) -> Struct {
    let described = strings(call.request, "Groups").map(|id| describe(groups, call, id));
    Struct::new().with("Groups", described.collect::<Vec<_>>())
}

fn describe(groups: &Groups, call: &Call<'_>, id: &str) -> Struct {
    let response = Struct::new().with("GroupId", id);
    if let Err(error) = call.view.coordinates(id) {
        return response.with("ErrorCode", error);
    }
    let Some(group) = groups.describe(id) else { return missing(call, id) };
    let members = group.members.iter().map(|member| {
        Struct::new()
            .with("MemberId", member.member_id.as_str())
            .with("GroupInstanceId", member.instance_id.clone())
            .with("ClientId", member.client_id.as_str())
            .with("ClientHost", member.client_host.as_str())
            .with("MemberMetadata", member.metadata.clone())
            .with("MemberAssignment", member.assignment.clone())
    });
    let members: Vec<Struct> = members.collect();
    with_operations(call, with_head(response, &group).with("Members", members))
}

fn with_head(response: Struct, group: &Description) -> Struct {
    response
        .with("GroupState", group.state)
        .with("ProtocolType", group.protocol_type.as_str())
        .with("ProtocolData", group.protocol.as_str())
}

/// A group that does not exist is a dead one; from version 6 on it is an error, too (KIP-1043).
fn missing(call: &Call<'_>, id: &str) -> Struct {
    let response = Struct::new().with("GroupId", id).with("GroupState", State::Dead.name());
    if call.version < 6 {
        return with_operations(call, response);
    }
    let message = format!("Group {id} not found.");
    response.with("ErrorCode", codes::GROUP_ID_NOT_FOUND).with("ErrorMessage", message)
}

/// Without authorization everybody may do everything.
fn with_operations(call: &Call<'_>, response: Struct) -> Struct {
    if call.version >= 3 && call.request.bool("IncludeAuthorizedOperations") {
        return response.with("AuthorizedOperations", ALL_OPERATIONS);
    }
    response
}

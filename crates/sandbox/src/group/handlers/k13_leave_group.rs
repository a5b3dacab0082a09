//! LeaveGroup: one member goes or, from version 3 on, several do.

use super::{Call, text};
use crate::group::{Groups, Leaver, codes};
use pointsman_wire::Struct;

pub(super) fn handle(groups: &mut Groups, call: &Call<'_>) -> Struct {
    let leavers = leavers(call);
    let results = match leave(groups, call, &leavers) {
        Ok(results) => results,
        Err(error) => return Struct::new().with("ErrorCode", error),
    };
    if call.version < 3 {
        return Struct::new().with("ErrorCode", results.first().copied().unwrap_or(codes::NONE));
    }
    let members = leavers.iter().zip(results).map(|(leaver, error)| {
        Struct::new()
            .with("MemberId", leaver.member_id.as_str())
            .with("GroupInstanceId", leaver.instance_id.clone())
            .with("ErrorCode", error)
    });
    Struct::new().with("Members", members.collect::<Vec<_>>())
}

fn leavers(call: &Call<'_>) -> Vec<Leaver> {
    let leaver = |fields: &Struct| Leaver {
        member_id: fields.str("MemberId").to_owned(),
        instance_id: text(fields, "GroupInstanceId"),
    };
    if call.version < 3 {
        return vec![leaver(call.request)];
    }
    call.request.structs("Members").map(leaver).collect()
}

fn leave(groups: &mut Groups, call: &Call<'_>, leavers: &[Leaver]) -> Result<Vec<i16>, i16> {
    let group = call.request.str("GroupId");
    if group.is_empty() {
        return Err(codes::INVALID_GROUP_ID);
    }
    call.view.coordinates(group)?;
    groups.leave(call.now, group, leavers)
}

//! ListGroups: the groups that this broker coordinates.

use super::{Call, strings};
use crate::group::{Groups, Listed};
use pointsman_wire::Struct;

pub(super) fn handle(groups: &Groups, call: &Call<'_>) -> Struct {
    let types: Vec<&str> = strings(call.request, "TypesFilter").collect();
    let states: Vec<&str> = strings(call.request, "StatesFilter").map(str::trim).collect();
    let any = |wanted: &[&str], is: &str| {
        wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(is))
    };
    let listed = groups
        .list()
        .filter(|group| any(&types, group.kind) && any(&states, group.state))
        .filter(|group| call.view.coordinates(&group.group).is_ok());
    Struct::new().with("Groups", listed.map(|group| entry(&group)).collect::<Vec<_>>())
}

fn entry(group: &Listed) -> Struct {
    Struct::new()
        .with("GroupId", group.group.as_str())
        .with("ProtocolType", group.protocol_type.as_str())
        .with("GroupState", group.state)
        .with("GroupType", group.kind)
}

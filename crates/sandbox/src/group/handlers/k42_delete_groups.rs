//! DeleteGroups: groups without members go, with their offsets.

use super::{Call, strings};
use crate::group::{Groups, codes};
use pointsman_wire::Struct;

pub(super) fn handle(groups: &mut Groups, call: &Call<'_>) -> Struct {
    let mut names: Vec<&str> = Vec::new();
    for name in strings(call.request, "GroupsNames") {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let results = names.into_iter().map(|name| {
        let deleted = call.view.coordinates(name).and_then(|()| groups.delete(name));
        Struct::new().with("GroupId", name).with("ErrorCode", deleted.err().unwrap_or(codes::NONE))
    });
    Struct::new().with("Results", results.collect::<Vec<_>>())
}

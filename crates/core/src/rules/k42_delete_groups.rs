//! DeleteGroups: to the coordinator of each group.

use super::{Fail, Keys, Route, Rule, error};
use crate::topology::CoordinatorKind::Group;

const KEYS: Keys =
    Keys { keys: "GroupsNames", key: "", results: "Results", result_key: "GroupId", error_since: 0 };

pub(super) const RULE: Rule =
    Rule::new(42, Route::Coordinators(Group, &KEYS), Fail::Keys(&KEYS, error::NOT_COORDINATOR));

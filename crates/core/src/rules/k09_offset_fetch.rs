//! OffsetFetch: to the coordinator of each group (version 8 and later can ask for several).

use super::{Fail, Keys, Route, Rule, error};
use crate::topology::CoordinatorKind::Group;

const KEYS: Keys =
    Keys { keys: "Groups", key: "GroupId", results: "Groups", result_key: "GroupId", error_since: 2 };

pub(super) const RULE: Rule =
    Rule::new(9, Route::Coordinators(Group, &KEYS), Fail::Keys(&KEYS, error::NOT_COORDINATOR));

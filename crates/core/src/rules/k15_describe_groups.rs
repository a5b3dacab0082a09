//! DescribeGroups: to the coordinator of each group.

use super::{Fail, Keys, Route, Rule, error};
use crate::topology::CoordinatorKind::Group;

const KEYS: Keys = Keys { keys: "Groups", key: "", results: "Groups", result_key: "GroupId", error_since: 0 };

pub(super) const RULE: Rule =
    Rule::new(15, Route::Coordinators(Group, &KEYS), Fail::Keys(&KEYS, error::NOT_COORDINATOR));

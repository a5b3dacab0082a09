//! ListGroups: each broker lists the groups it coordinates, so every broker behind the slot is asked.

use super::{Fail, Route, Rule};

pub(super) const RULE: Rule = Rule::new(16, Route::All("Groups"), Fail::Replay);

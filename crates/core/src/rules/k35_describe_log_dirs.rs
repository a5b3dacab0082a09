//! DescribeLogDirs: the directories of the broker that the addressed slot stands for, and of no other.

use super::{Fail, Route, Rule, error};
use pointsman_wire::value::Struct;

pub(super) const RULE: Rule = Rule::new(35, Route::Slot(refusal), Fail::Replay);

/// The answer when it cannot be known which broker is meant. Up to version 2 an empty answer alone says that it is refused.
fn refusal(_: &Struct) -> Struct {
    Struct::new().with("ErrorCode", error::INVALID_REQUEST)
}

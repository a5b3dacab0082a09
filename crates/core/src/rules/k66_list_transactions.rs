//! ListTransactions: each broker lists the transactions it coordinates, so every broker behind the slot is asked.

use super::{Fail, Route, Rule};

pub(super) const RULE: Rule = Rule::new(66, Route::All("TransactionStates"), Fail::Replay);

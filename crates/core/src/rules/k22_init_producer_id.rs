//! InitProducerId: to the transaction coordinator, or without a transactional id to any broker.

use super::{Fail, Route, Rule, error};
use crate::topology::CoordinatorKind::Transaction;

// Not "not coordinator": a producer without a transactional id has no coordinator to look for.
pub(super) const RULE: Rule = Rule::new(
    22,
    Route::Coordinator(Transaction),
    Fail::TopLevel(error::COORDINATOR_LOAD_IN_PROGRESS, error::COORDINATOR_LOAD_IN_PROGRESS),
);

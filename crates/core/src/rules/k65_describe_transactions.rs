//! DescribeTransactions: to the coordinator of each transactional id.

use super::{Fail, Keys, Route, Rule, error};
use crate::topology::CoordinatorKind::Transaction;

const KEYS: Keys = Keys {
    keys: "TransactionalIds",
    key: "",
    results: "TransactionStates",
    result_key: "TransactionalId",
    error_since: 0,
};

pub(super) const RULE: Rule =
    Rule::new(65, Route::Coordinators(Transaction, &KEYS), Fail::Keys(&KEYS, error::NOT_COORDINATOR));

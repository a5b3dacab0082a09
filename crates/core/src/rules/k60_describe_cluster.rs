//! DescribeCluster: any broker knows. Clients see every slot as a live broker.

use super::{Fail, Route, Rule};

pub(super) const RULE: Rule = Rule { brokers: Some("BrokerId"), ..Rule::new(60, Route::Any, Fail::Replay) };

//! What is known not to work through Pointsman, and why. docs/clients.md says so to users.
//!
//! A case that is listed here must fail there: one that works is a difference too, so that the list stays true.

use super::{Row, Shape};

/// Cases that do not work.
struct Limit {
    case: &'static str,
    /// Only in this shape.
    shape: Option<Shape>,
}

const LIMITS: &[Limit] = &[
    // DescribeLogDirs is asked of the broker at the other end of the connection; of one port for all slots nobody knows which.
    Limit { case: "log_dirs", shape: Some(Shape::One) },
    Limit { case: "tool_log_dirs", shape: Some(Shape::One) },
    // Ending the transaction of another producer is WriteTxnMarkers, which belongs to brokers and is not offered.
    Limit { case: "txn_admin", shape: None },
];

/// Whether a case is known not to work.
pub(super) fn listed(row: &Row) -> bool {
    let shape = |limit: &Limit| limit.shape.is_none_or(|shape| shape == row.shape);
    LIMITS.iter().any(|limit| limit.case == row.case && shape(limit))
}

//! What is known not to work through Pointsman, and why. docs/clients.md says so to users.
//!
//! A case that is listed here must fail there: one that works is a difference too, so that the list stays true.

use super::{Row, Shape};
use crate::conformance::Library;

/// Cases that do not work.
struct Limit {
    case: &'static str,
    /// Only in this shape.
    shape: Option<Shape>,
    /// Only these clients; none: all.
    only: &'static [Library],
}

const fn limit(case: &'static str, shape: Option<Shape>, only: &'static [Library]) -> Limit {
    Limit { case, shape, only }
}

const LIMITS: &[Limit] = &[
    // DescribeLogDirs is asked of the broker at the other end of the connection; of one port for all slots nobody knows which.
    limit("log_dirs", Some(Shape::One), &[]),
    limit("tool_log_dirs", Some(Shape::One), &[]),
    // It takes all nodes at one address for the same one, so one port is one slot for it: it is shown one broker.
    limit("describe_cluster", Some(Shape::One), &[Library::Kcat]),
];

/// Whether a case is known not to work.
pub(super) fn listed(row: &Row) -> bool {
    let shape = |limit: &Limit| limit.shape.is_none_or(|shape| shape == row.shape);
    let client = |limit: &Limit| limit.only.is_empty() || limit.only.contains(&row.library);
    LIMITS.iter().any(|limit| limit.case == row.case && shape(limit) && client(limit))
}

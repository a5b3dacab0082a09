//! The shape with a switch in the middle: clients produce and consume in a group while Pointsman is switched by command, there
//! and back.
//!
//! Two independent clusters, perhaps of different releases. Of each client a producer and a group consumer, with a topic of
//! their own and the library's defaults. First they do the same directly on the primary: who cannot is not held against
//! Pointsman. What must hold over a switch is what docs/failover.md promises, see [`judge()`].

mod judge;
mod run;
mod table;
mod versions;

pub use judge::{Seen, Verdict, judge};
pub use run::run;
pub use table::table;

use super::Skip;
use crate::conformance::Library;
use crate::kafka::Release;

/// How one client fared.
#[derive(Clone, Debug)]
pub struct Row {
    /// The client.
    pub library: Library,
    /// Directly on the primary, without a switch.
    pub direct: super::Outcome,
    /// Over the switches; nothing when it does not even work directly.
    pub verdict: Option<Verdict>,
}

/// The whole shape.
#[derive(Clone, Debug)]
pub struct Report {
    /// The releases of the two clusters.
    pub releases: [Release; 2],
    /// The clients.
    pub rows: Vec<Row>,
    /// The clients that are not among them.
    pub skips: Vec<Skip>,
    /// Apis that both clusters offer, and that Pointsman offers.
    pub apis: usize,
    /// Versions that Pointsman offers although a cluster does not have them.
    pub too_new: Vec<String>,
    /// Switches that did not work.
    pub failed: Vec<String>,
}

impl Report {
    /// What broke a promise, in words.
    pub fn broken(&self) -> Vec<String> {
        let of = |row: &Row| {
            let broken = row.verdict.iter().flat_map(|verdict| verdict.broken.clone());
            broken.map(|what| format!("{} (switch): {what}", row.library.name())).collect::<Vec<_>>()
        };
        let offered = self.too_new.iter().map(|what| format!("offered: {what}"));
        let failed = self.failed.iter().cloned();
        self.rows.iter().flat_map(of).chain(offered).chain(failed).collect()
    }
}

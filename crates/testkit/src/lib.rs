//! Test tools that need the real thing: launchers of real Apache Kafka and of five real client libraries, the
//! reading of a cluster's logs, a checker of what clients saw against what clusters hold, and the drills
//! and the benchmark made of them.
//!
//! Nothing here may know how a proxy works: drill and benchmark judge any proxy by the same rules. The one exception
//! is the simulator, which runs Pointsman's own pure failover machine and is behind the feature `sim`.

#[cfg(feature = "bench")]
pub mod bench;
mod build;
pub mod cache;
pub mod clients;
pub mod conformance;
pub mod drill;
#[cfg(feature = "mirror")]
pub mod ferry;
#[cfg(feature = "fuzz")]
pub mod fuzz;
pub mod history;
pub mod kafka;
pub mod log;
pub mod matrix;
pub mod pointsman;
pub mod process;
mod proxies;
mod rng;
#[cfg(feature = "sim")]
pub mod sim;
pub mod skip;

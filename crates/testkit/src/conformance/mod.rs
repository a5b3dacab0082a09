//! What a Kafka cluster does, written down as tests that run unchanged against any [`Subject`].
//!
//! The measure is Apache Kafka 4.3.1: nothing is expected here that it was not seen to do. The embedded Kafka is the
//! second subject; where it is allowed to differ stands in [`differences`], and nowhere else. Client cases are here:
//! each library runs them in a process of its own and prints what it observed. Raw cases speak the protocol themselves
//! and need its tables, so they live with the test.

mod cases;
mod clients;
pub mod differences;
mod install;
mod library;
mod subject;
mod verdict;

pub use cases::{CASES, ClientCase, Feature, MORE};
pub use clients::{Task, run};
pub use library::{Library, OnePort};
pub use subject::Subject;
pub use verdict::{Finding, judge};

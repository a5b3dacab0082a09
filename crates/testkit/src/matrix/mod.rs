//! The client matrix: every client, every feature, directly on real Kafka and through Pointsman.
//!
//! The same program runs the same cases in both ways, and only the difference counts: what fails directly is not held against
//! the proxy. Shapes are the ways in which Pointsman is reached; the first one is the brokers themselves.

mod compare;
mod limits;
mod options;
mod stage;
mod table;

pub use compare::{Outcome, Row, Skip, Tested, differences};
pub use options::{Options, Shape, USAGE};
pub use stage::Stage;
pub use table::table;

use std::io::Write;

use crate::conformance::{CASES, ClientCase, Library, MORE};
use crate::process::last_lines;

/// Runs the matrix and prints the table. An error names the differences.
pub fn run(options: &Options) -> Result<(), String> {
    let binary = options.binary.clone().map_or_else(crate::build::debug, Ok)?;
    let stage = Stage::start(&binary, &options.shapes)?;
    let tested = test(&stage, &options.clients, options.quick);
    let mut out = std::io::stdout();
    writeln!(out, "{}", table(&tested)).map_err(|e| format!("standard output: {e}"))?;
    let found = differences(&tested.rows);
    if found.is_empty() { Ok(()) } else { Err(format!("{} differences:\n{}", found.len(), found.join("\n"))) }
}

/// Runs the cases of clients one after the other: directly, then through each shape of the stage.
pub fn test(stage: &Stage, clients: &[Library], quick: bool) -> Tested {
    let mut tested = Tested::default();
    for library in clients {
        match library.install() {
            Ok(program) => tested.rows.extend(stage.compare(*library, &program, &cases(*library, quick))),
            Err(why) => tested.skips.push(Skip { library: *library, why: last_lines(&why, 1) }),
        }
    }
    tested
}

/// The cases of a library; `quick`: those that say most about a proxy in the least time.
fn cases(library: Library, quick: bool) -> Vec<&'static ClientCase> {
    let wanted = |case: &&ClientCase| case.runs_with(library) && (!quick || case.quick());
    CASES.iter().chain(MORE).filter(wanted).collect()
}

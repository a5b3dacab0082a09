//! The client matrix: every client, every feature, directly on real Kafka and through Pointsman.
//!
//! The same program runs the same cases in both ways, and only the difference counts: what fails directly is not held against
//! the proxy. Shapes are the ways in which Pointsman is reached. A third one, [`switch`], has another judge: it moves clients
//! between two clusters while they produce and consume.

mod compare;
mod limits;
mod options;
mod stage;
pub mod switch;
mod table;

pub use compare::{Outcome, Row, Skip, Tested, differences};
pub use options::{Options, Shape, USAGE};
pub use stage::Stage;
pub use table::table;

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use crate::conformance::{CASES, ClientCase, Library, MORE};
use crate::process::last_lines;

/// Clients that run at once. Most of their time they wait for the brokers.
const SIDE_BY_SIDE: usize = 3;

/// Runs the matrix and prints the table. An error names the differences.
pub fn run(options: &Options) -> Result<(), String> {
    let binary = options.binary.clone().map_or_else(crate::build::debug, Ok)?;
    let mut found = Vec::new();
    if !options.shapes.is_empty() {
        let tested = test(&Stage::start(&binary, &options.shapes)?, &options.clients, options.quick);
        print(&table(&tested))?;
        found.extend(differences(&tested.rows));
    }
    if options.switch {
        let report = switch::run(&binary, &options.clients, options.brokers, stage::BROKERS)?;
        print(&switch::table(&report))?;
        found.extend(report.broken());
    }
    if found.is_empty() { Ok(()) } else { Err(format!("{} differences:\n{}", found.len(), found.join("\n"))) }
}

fn print(text: &str) -> Result<(), String> {
    writeln!(std::io::stdout(), "{text}").map_err(|e| format!("standard output: {e}"))
}

/// Runs the cases of clients, some clients side by side: each one directly, and then through each shape of the stage.
pub fn test(stage: &Stage, clients: &[Library], quick: bool) -> Tested {
    let left = Mutex::new(clients.iter().copied());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut tested = Tested::default();
        while let Some(library) = next() {
            match library.install() {
                Ok(program) => tested.rows.extend(stage.compare(library, &program, &cases(library, quick))),
                Err(why) => tested.skips.push(Skip { library, why: last_lines(&why, 1) }),
            }
        }
        tested
    };
    let mut all = Tested::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(work)).collect();
        for tested in workers.into_iter().filter_map(|worker| worker.join().ok()) {
            all.rows.extend(tested.rows);
            all.skips.extend(tested.skips);
        }
    });
    all
}

/// The cases of a library; `quick`: those that say most about a proxy in the least time.
fn cases(library: Library, quick: bool) -> Vec<&'static ClientCase> {
    let wanted = |case: &&ClientCase| case.runs_with(library) && (!quick || case.quick());
    CASES.iter().chain(MORE).filter(wanted).collect()
}

//! The gate and the generators of the workspace: `cargo xtask <name>`.

mod bench;
mod ci;
mod coverage;
mod fuzz;
mod release;
mod tables;
mod testkit;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = args.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    let outcome = match name {
        "bench" => bench::run(rest),
        "ci" => ci::run(rest),
        "coverage" => coverage::run(rest),
        "drill" => testkit::drill(rest),
        "fuzz" => fuzz::run(rest),
        "matrix" => testkit::matrix(rest),
        "release" => release::run(rest),
        "tables" => tables::run(rest),
        "tidy" => tidy::run(rest),
        _ => Err(format!(
            "expected a task (bench, ci, coverage, drill, fuzz, matrix, release, tables, tidy), got {name:?}"
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

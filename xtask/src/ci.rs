//! `cargo xtask ci`: the one gate. Plain cargo is enough; what needs more is skipped, and every skip is counted and said.

mod report;

use crate::tidy;
use report::Report;
use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Instant,
};

/// Names the file that skipped tests are written to, a line each; see `pointsman_testkit::skip`.
const SKIP_FILE: &str = "POINTSMAN_SKIPPED_TESTS";

/// One step of the gate.
struct Step {
    name: &'static str,
    run: fn(&mut Report) -> Result<(), String>,
}

const STEPS: [Step; 6] = [
    Step { name: "format", run: |_| silent(&mut cargo(&["fmt", "--all", "--check"])) },
    Step { name: "tidy", run: |_| tidy::run(&[]) },
    Step {
        name: "clippy",
        run: |_| {
            silent(&mut cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
        },
    },
    Step { name: "generated pages", run: generated },
    Step { name: "tests", run: tests },
    Step {
        name: "documentation",
        run: |_| {
            let args = ["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"];
            silent(cargo(&args).env("RUSTDOCFLAGS", "-D warnings"))
        },
    },
];

/// Runs every step until one fails, and says how each ended.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if let Some(word) = args.first() {
        return Err(format!("expected nothing after `ci`, got {word}"));
    }
    let mut report = Report::default();
    let mut failed = None;
    for step in &STEPS {
        println!("==> {}", step.name);
        let begun = Instant::now();
        let outcome = (step.run)(&mut report);
        report.step(step.name, begun.elapsed(), outcome.is_ok());
        if let Err(message) = outcome {
            failed = Some(format!("{} failed: {message}", step.name));
            break;
        }
    }
    print!("\n{report}");
    failed.map_or(Ok(()), Err)
}

fn cargo(args: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(args).current_dir(tidy::root());
    command
}

/// Runs a program whose output is for people.
fn silent(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// Whether what generators wrote is what they would write now. A generator that cannot run here says so and is skipped.
fn generated(report: &mut Report) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    read(Command::new(program).args(["tables", "--check"]), |line| {
        println!("{line}");
        if line.contains("skipped") {
            report.skip(line);
        }
    })
}

fn tests(report: &mut Report) -> Result<(), String> {
    let file = std::env::temp_dir().join(format!("pointsman-skipped-{}", std::process::id()));
    let args = ["test", "--workspace", "--no-fail-fast", "--", "--show-output"];
    let outcome = read(cargo(&args).env(SKIP_FILE, &file), |line| {
        for shown in report.test_line(line) {
            println!("{shown}");
        }
    });
    for line in std::fs::read_to_string(&file).unwrap_or_default().lines() {
        report.skip(line);
    }
    drop(std::fs::remove_file(&file));
    outcome
}

/// Runs a program and looks at each line of its output as it comes.
fn read(command: &mut Command, mut line: impl FnMut(&str)) -> Result<(), String> {
    let program = command.get_program().to_owned();
    let failed = |error: std::io::Error| format!("{program:?}: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let output = child.stdout.take().ok_or("no output")?;
    for bytes in BufReader::new(output).split(b'\n') {
        line(&String::from_utf8_lossy(&bytes.map_err(failed)?));
    }
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

//! One process per library: it is told which cases to run and prints what it observed, one line per case.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::cases::ClientCase;
use super::{Finding, Library};
use crate::clients::Program;
use crate::process::{Process, last_lines, run_dir};

/// How long a library may take for all its cases: they are many, or each one starts programs of its own.
const LIMIT: Duration = Duration::from_secs(300);

/// What a program prints of a case: the facts it observed, or the error that stopped it.
#[derive(Debug, Deserialize)]
struct Line {
    case: String,
    ok: bool,
    detail: Value,
}

/// Which cases of a library run where.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// The library.
    pub library: Library,
    /// Where it finds its cluster: addresses, separated by commas.
    pub bootstrap: &'a str,
    /// Begins the names of its topics and groups: no other task on the same cluster may have it.
    pub prefix: &'a str,
    /// The cases.
    pub cases: &'a [&'a ClientCase],
}

/// Runs a task. A finding's case is `<library>/<case>`.
pub fn run(program: &Program, task: &Task<'_>) -> Vec<Finding> {
    if task.cases.is_empty() {
        return Vec::new();
    }
    let seen = observe(program, task);
    let outcome = |case: &ClientCase| match &seen {
        Err(error) => Err(error.clone()),
        Ok(lines) => judge(case, lines.get(case.name)).map_err(|e| format!("{e}\n{}", log_tail(task.prefix))),
    };
    let name = |case: &ClientCase| format!("{}/{}", task.library.name(), case.name);
    task.cases.iter().map(|case| Finding { case: name(case), outcome: outcome(case) }).collect()
}

fn observe(program: &Program, task: &Task<'_>) -> Result<BTreeMap<String, Line>, String> {
    let names: Vec<&str> = task.cases.iter().map(|case| case.name).collect();
    let told = json!({"bootstrap": task.bootstrap, "prefix": task.prefix, "cases": names});
    let mut command = program.command();
    command.arg(told.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
    let log = File::create(log_path(task.prefix)).map_err(|e| format!("log of {}: {e}", task.prefix))?;
    let mut process = Process::spawn(&format!("{} conformance", task.prefix), command.stderr(log))?;
    let output = lines(process.take_stdout().ok_or("a program without output")?);
    let deadline = Instant::now() + LIMIT;
    let mut seen = BTreeMap::new();
    while seen.len() < task.cases.len() {
        // Both an ended program and a slow one leave cases without a line, and those fail.
        let Ok(line) = output.recv_timeout(deadline.saturating_duration_since(Instant::now())) else { break };
        if let Ok(line) = serde_json::from_str::<Line>(&line) {
            seen.insert(line.case.clone(), line);
        }
    }
    Ok(seen)
}

fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

/// The observed facts must contain the expected ones; what else a program observed is not judged.
fn judge(case: &ClientCase, line: Option<&Line>) -> Result<(), String> {
    let line = line.ok_or_else(|| "the program said nothing of it".to_owned())?;
    if !line.ok {
        return Err(line.detail.as_str().map_or_else(|| line.detail.to_string(), str::to_owned));
    }
    let expected: Value = serde_json::from_str(case.expect).map_err(|e| format!("{}: {e}", case.expect))?;
    let wrong: Vec<String> = expected
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| line.detail[name.as_str()] != **value)
        .map(|(name, value)| format!("{name}: expected {value}, saw {}", line.detail[name.as_str()]))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

fn log_path(prefix: &str) -> PathBuf {
    run_dir().join(format!("conformance-{prefix}.log"))
}

fn log_tail(prefix: &str) -> String {
    let text = fs::read(log_path(prefix)).unwrap_or_default();
    last_lines(&String::from_utf8_lossy(&text), 5)
}

#[cfg(test)]
mod tests {
    use super::super::cases::{CASES, Feature, MORE};
    use super::*;

    #[test]
    fn every_expected_fact_must_be_observed() {
        let case = ClientCase {
            name: "a",
            feature: Feature::Produce,
            expect: r#"{"read": 3}"#,
            without: &[],
            only: &[],
        };
        let line = |ok, detail| Line { case: "a".to_owned(), ok, detail };
        assert!(judge(&case, Some(&line(true, json!({"read": 3, "more": 1})))).is_ok());
        assert!(judge(&case, Some(&line(true, json!({"read": 2})))).unwrap_err().contains("saw 2"));
        assert!(judge(&case, Some(&line(false, json!("broken")))).unwrap_err().contains("broken"));
        assert!(judge(&case, None).is_err());
    }

    #[test]
    fn what_is_expected_is_json() {
        for case in CASES.iter().chain(MORE) {
            assert!(serde_json::from_str::<Value>(case.expect).is_ok_and(|v| v.is_object()), "{}", case.name);
        }
    }
}

//! What the gate counts: steps with their durations, and tests that passed, failed or were skipped.
//!
//! A test that cannot run here passes for cargo; it says `SKIPPED: reason` or `SKIPPED name: reason`, and counts as skipped.

use std::{collections::BTreeSet, fmt, time::Duration};

/// The counts so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<(&'static str, Duration, bool)>,
    passed: usize,
    failed: usize,
    ignored: usize,
    skips: BTreeSet<String>,
    /// Skips that no test counted as passed, e.g. of a generator.
    outside: usize,
    /// Output of the test program that runs now.
    program: Vec<String>,
}

impl Report {
    pub(crate) fn step(&mut self, name: &'static str, duration: Duration, good: bool) {
        self.steps.push((name, duration, good));
    }

    /// Something that could not run here; the same words count once.
    pub(crate) fn skip(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() || !self.skips.insert(line.to_owned()) {
            return;
        }
        self.outside += usize::from(!line.starts_with("SKIPPED"));
    }

    /// Takes one line of `cargo test`; returns what people should see of it now.
    pub(crate) fn test_line(&mut self, line: &str) -> Vec<String> {
        if line.starts_with("SKIPPED") {
            self.skip(line);
        }
        if line.starts_with("running ") {
            self.program.clear();
        }
        self.program.push(line.to_owned());
        let Some(result) = line.strip_prefix("test result: ") else { return Vec::new() };
        let counts: Vec<usize> = result.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [passed, failed, ignored, ..] = counts[..] else { return vec![line.to_owned()] };
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
        let output = std::mem::take(&mut self.program);
        match (failed, passed + ignored) {
            (0, 0) => Vec::new(),
            (0, _) => vec![line.to_owned()],
            _ => output,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.skips {
            writeln!(f, "skipped: {}", line.trim_start_matches("SKIPPED").trim_start_matches([':', ' ']))?;
        }
        for (name, duration, good) in &self.steps {
            let word = if *good { "ok" } else { "FAILED" };
            writeln!(f, "{name:16} {:7.1} s  {word}", duration.as_secs_f64())?;
        }
        let by_tests = self.skips.len() - self.outside;
        let passed = self.passed.saturating_sub(by_tests);
        let skipped = self.skips.len() + self.ignored;
        writeln!(f, "{passed} passed, {} failed, {skipped} skipped", self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_and_skips_are_not_passes() {
        let mut report = Report::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "SKIPPED: promtool is not installed",
            "SKIPPED real_kafka: no java",
            "SKIPPED real_kafka: no java",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "running 2 tests",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ] {
            report.test_line(line);
        }
        report.skip("tables: skipped, java is needed");
        report.step("tests", Duration::from_millis(1_500), false);

        let expected = "\
skipped: real_kafka: no java
skipped: promtool is not installed
skipped: tables: skipped, java is needed
tests                1.5 s  FAILED
2 passed, 1 failed, 4 skipped
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn the_output_of_a_program_is_shown_only_when_it_failed() {
        let mut report = Report::default();
        let result = |word: &str, failed: usize| {
            format!("test result: {word}. 1 passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out")
        };
        assert!(report.test_line("running 1 test").is_empty());
        assert_eq!(report.test_line(&result("ok", 0)), [result("ok", 0)]);
        report.test_line("running 2 tests");
        report.test_line("thread 'x' panicked");
        let expected = ["running 2 tests".to_owned(), "thread 'x' panicked".into(), result("FAILED", 1)];
        assert_eq!(report.test_line(&result("FAILED", 1)), expected);
    }
}

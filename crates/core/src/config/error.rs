//! What is wrong with a configuration file: every fault at once, each with its place and its remedy.
//!
//! The same text is printed by `check`, logged at a reload and returned by the admin API. It quotes what was written
//! for a key that was understood, and never the value of a key that was not: that value may be a secret.

use std::{fmt, sync::Arc};

/// A place in the file, both numbers from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

impl Mark {
    /// The start of the file: where a fault of the whole file is reported.
    pub(super) const START: Mark = Mark { line: 1, column: 1 };
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ConfigError {
    /// Name of the file, as the caller gave it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Path of the key, e.g. `virtual_clusters.main.listen`; empty for the file as a whole.
    pub path: String,
    /// What was expected and what came.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, path, problem, remedy } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        write!(f, "{problem}; {remedy}")
    }
}

/// All faults of a file, in its order; never empty.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Faults while they are collected.
#[derive(Debug)]
pub(super) struct Problems {
    file: Arc<str>,
    errors: Vec<ConfigError>,
}

impl Problems {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.into(), errors: Vec::new() }
    }

    pub(super) fn add(
        &mut self,
        mark: Mark,
        path: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.errors.push(ConfigError {
            file: self.file.clone(),
            line: mark.line,
            column: mark.column,
            path: path.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// The value, if nothing was wrong.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, ConfigErrors> {
        self.errors.sort_by_key(|e| (e.line, e.column));
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(ConfigErrors(self.errors)),
        }
    }
}

/// The known key that an unknown one most likely means.
pub(super) fn closest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    let allowed = (unknown.chars().count() / 3).clamp(1, 3);
    let best = known.iter().map(|k| (distance(unknown, k), *k)).min()?;
    (best.0 <= allowed).then_some(best.1)
}

/// Edits between two words, a transposition counting as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_key() {
        let known = ["bootstrap_servers", "region", "health"];
        assert_eq!(closest("bootstrap_server", &known), Some("bootstrap_servers"));
        assert_eq!(closest("regoin", &known), Some("region"));
        assert_eq!(closest("Health", &known), Some("health"));
        assert_eq!(closest("password", &known), None);
    }
}

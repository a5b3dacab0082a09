//! Typed access to the YAML tree: each value is asked for by what it must be, and a wrong one is reported in place.
//!
//! A reader that returns `None` has reported why. It must never quote the value of a key that it does not know.

use super::{
    error::{Mark, Problems, closest},
    yaml::{Node, Value},
};
use std::{ops::RangeInclusive, time::Duration};

/// Longest quotation of a wrong value.
const QUOTED: usize = 60;

/// The keys that a mapping may have.
pub(super) struct Keys {
    /// Keys of this release.
    pub(super) known: &'static [&'static str],
    /// Keys of the design that this release does not support yet.
    pub(super) later: &'static [&'static str],
}

/// A value with the path of its key.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    pub(super) node: &'a Node,
    /// Where the key stands; of a list's element, the element.
    pub(super) key: Mark,
    pub(super) path: String,
}

/// A mapping whose keys are all known.
#[derive(Debug, Clone)]
pub(super) struct Table<'a> {
    pub(super) path: String,
    pub(super) mark: Mark,
    entries: Vec<(&'a str, Field<'a>)>,
}

impl<'a> Table<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&Field<'a>> {
        self.entries.iter().find(|(k, _)| *k == key).map(|(_, field)| field)
    }

    /// A key that must be there.
    pub(super) fn require(&self, key: &str, remedy: &str, problems: &mut Problems) -> Option<&Field<'a>> {
        let found = self.get(key);
        if found.is_none() {
            problems.add(self.mark, &join(&self.path, key), "this key is required, but missing", remedy);
        }
        found
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &Field<'a>)> {
        self.entries.iter().map(|(key, field)| (*key, field))
    }

    /// Reports the keys that this release does not know.
    pub(super) fn expect_keys(&self, keys: &Keys, problems: &mut Problems) {
        for (key, field) in &self.entries {
            if keys.known.contains(key) {
                continue;
            }
            if keys.later.contains(key) {
                field.refuse_later(&format!("`{key}`"), problems);
                continue;
            }
            let remedy = match closest(key, keys.known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the keys here are {}", words(keys.known)),
            };
            problems.add(field.key, &field.path, format!("`{}` is no known key", cut(key)), remedy);
        }
    }
}

impl<'a> Field<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self { node, key: node.mark, path: String::new() }
    }

    /// Reports a wrong value: what was expected instead, and what would be right.
    pub(super) fn expected(&self, expected: &str, remedy: impl Into<String>, problems: &mut Problems) {
        let problem = format!("expected {expected}, found {}", found(self.node));
        problems.add(self.node.mark, &self.path, problem, remedy);
    }

    /// Reports something that a later release will support.
    pub(super) fn refuse_later(&self, what: &str, problems: &mut Problems) {
        let problem = format!("{what} is not supported by this version");
        problems.add(self.key, &self.path, problem, "remove it");
    }

    /// A mapping of any keys, each at most once.
    pub(super) fn mapping(&self, expected: &str, remedy: &str, problems: &mut Problems) -> Option<Table<'a>> {
        let Value::Mapping(written) = &self.node.value else {
            self.expected(expected, remedy, problems);
            return None;
        };
        let mut entries: Vec<(&'a str, Field<'a>)> = Vec::new();
        for (key, node) in written {
            let path = join(&self.path, &key.text);
            if let Some((_, first)) = entries.iter().find(|(k, _)| *k == key.text) {
                let problem = format!("this key was already given in line {}", first.key.line);
                problems.add(key.mark, &path, problem, "keep one of them");
                continue;
            }
            entries.push((key.text.as_str(), Field { node, key: key.mark, path }));
        }
        Some(Table { path: self.path.clone(), mark: self.key, entries })
    }

    /// A mapping of these keys.
    pub(super) fn table(
        &self,
        keys: &Keys,
        expected: &str,
        remedy: &str,
        problems: &mut Problems,
    ) -> Option<Table<'a>> {
        let table = self.mapping(expected, remedy, problems)?;
        table.expect_keys(keys, problems);
        Some(table)
    }

    /// The elements of a list with at least one.
    pub(super) fn list(&self, expected: &str, remedy: &str, problems: &mut Problems) -> Vec<Field<'a>> {
        let Value::List(items) = &self.node.value else {
            self.expected(expected, remedy, problems);
            return Vec::new();
        };
        if items.is_empty() {
            problems.add(
                self.node.mark,
                &self.path,
                format!("expected {expected}, found an empty list"),
                remedy,
            );
        }
        let element = |(i, node): (usize, &'a Node)| Field {
            node,
            key: node.mark,
            path: format!("{}[{i}]", self.path),
        };
        items.iter().enumerate().map(element).collect()
    }

    /// Text that is not empty.
    pub(super) fn text(&self, expected: &str, remedy: &str, problems: &mut Problems) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, .. } if !text.trim().is_empty() && !self.node.is_null() => {
                Some(text.trim())
            }
            _ => {
                self.expected(expected, remedy, problems);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        self.choice(&[("true", true), ("false", false)], problems)
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        if let Value::Scalar { text, .. } = &self.node.value
            && let Some((_, value)) = words.iter().find(|(word, _)| word == text)
        {
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let expected = names.join(" or ");
        self.expected(&expected, format!("write {expected}"), problems);
        None
    }

    /// A whole number in a range.
    pub(super) fn integer(&self, range: RangeInclusive<u32>, problems: &mut Problems) -> Option<u32> {
        if let Some(number) = self.node.number().filter(|number| range.contains(number)) {
            return Some(number);
        }
        let unquoted = match &self.node.value {
            Value::Scalar { text, .. } => text.parse().ok().filter(|number| range.contains(number)),
            _ => None,
        };
        let (min, max) = range.into_inner();
        let remedy = match unquoted {
            Some(number) => format!("write {number} without quotes"),
            None => format!("write a number, e.g. {}", 3.clamp(min, max)),
        };
        self.expected(&format!("a whole number from {min} to {max}"), remedy, problems);
        None
    }

    /// A duration with its unit, in a range.
    pub(super) fn duration(
        &self,
        range: RangeInclusive<Duration>,
        problems: &mut Problems,
    ) -> Option<Duration> {
        let text = match &self.node.value {
            Value::Scalar { text, .. } => text.trim(),
            _ => "",
        };
        let (min, max) = range.clone().into_inner();
        let between = format!("from {} to {}", duration_text(min), duration_text(max));
        match parse_duration(text) {
            Some(duration) if range.contains(&duration) => return Some(duration),
            Some(duration) => {
                let nearest = duration_text(duration.clamp(min, max));
                self.expected(
                    &format!("a duration {between}"),
                    format!("the nearest allowed is {nearest}"),
                    problems,
                );
            }
            None if text.parse::<u64>().is_ok() => {
                self.expected(
                    "a duration with a unit",
                    format!("write {text}ms, {text}s or {text}m"),
                    problems,
                );
            }
            None => self.expected("a duration", "write a number with a unit: 500ms, 1s, 2m or 1h", problems),
        }
        None
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let seconds = match text[digits..].trim_start() {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// A duration as it would be written in the file, e.g. `500ms` or `2m`.
pub fn duration_text(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0 => "0s".into(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

/// A wrong value in words: shortened, and without what stands before an `@`.
fn found(node: &Node) -> String {
    match &node.value {
        _ if node.is_null() => "nothing".into(),
        Value::Scalar { text, .. } if text.trim().is_empty() => "an empty text".into(),
        Value::Scalar { text, plain: true } => format!("`{}`", cut(text)),
        Value::Scalar { text, plain: false } => format!("the text `{}`", cut(text)),
        Value::List(_) => "a list".into(),
        Value::Mapping(_) => "a mapping".into(),
    }
}

/// Text for a message: one line, bounded, without credentials of a URL or address.
pub(super) fn cut(text: &str) -> String {
    let shown = match text.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => text.to_owned(),
    };
    let line: String = shown.chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.chars().count() > QUOTED { line + "…" } else { line }
}

/// `a`, `b` and `c`.
pub(super) fn words(list: &[&str]) -> String {
    let quoted: Vec<String> = list.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { cut(key) } else { format!("{path}.{}", cut(key)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["0s", "500ms", "1s", "90s", "2m", "1h"] {
            assert_eq!(parse_duration(text).map(duration_text).as_deref(), Some(text));
        }
        for text in ["", "1", "1 day", "s", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_quotation_never_shows_what_stands_before_an_at_sign() {
        assert_eq!(cut("admin:hunter2@kafka:9092"), "…@kafka:9092");
    }
}

//! An Envoy file as a tree that remembers what was read of it, so that the rest can be named.
//!
//! Keys may be written as in protobuf (`port_value`) or as in its JSON (`portValue`): Envoy takes both.

use pointsman_core::config::yaml::{self, Node, Value};
use std::{cell::RefCell, collections::BTreeSet, path::Path, time::Duration};

/// What is wrong with the file, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    line: usize,
    words: String,
}

impl Fault {
    /// In words, for a file of this name.
    pub(super) fn at(&self, file: &Path) -> String {
        format!("{}:{}: {}", file.display(), self.line, self.words)
    }
}

/// A file, and the paths in it that were read.
pub(super) struct Source {
    root: Node,
    used: RefCell<BTreeSet<String>>,
}

/// Something that nobody has read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unused {
    /// E.g. `static_resources.clusters[0].circuit_breakers`.
    pub(super) path: String,
    pub(super) line: usize,
}

impl Source {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let root = yaml::parse(text)
            .map_err(|m| Fault { line: m.mark.line, words: format!("{}; {}", m.problem, m.remedy) })?
            .filter(|node| matches!(node.value, Value::Mapping(_)))
            .ok_or(Fault {
                line: 1,
                words: "expected an Envoy bootstrap file: a mapping with `static_resources`".into(),
            })?;
        Ok(Self { root, used: RefCell::default() })
    }

    pub(super) fn root(&self) -> Part<'_> {
        Part { node: &self.root, path: String::new(), line: 1, source: self }
    }

    /// Everything below what was read that was not.
    pub(super) fn unused(&self) -> Vec<Unused> {
        let mut found = Vec::new();
        self.root().collect_unused(&mut found);
        found
    }
}

/// A value in the file.
#[derive(Clone)]
pub(super) struct Part<'a> {
    node: &'a Node,
    pub(super) path: String,
    /// The line of its key.
    pub(super) line: usize,
    source: &'a Source,
}

impl<'a> Part<'a> {
    /// The value of a key, which is read from now on.
    pub(super) fn get(&self, key: &str) -> Option<Part<'a>> {
        let part = self.peek(key)?;
        self.read();
        part.read();
        Some(part)
    }

    /// The value at the end of several keys.
    pub(super) fn at(&self, keys: &[&str]) -> Option<Part<'a>> {
        keys.iter().try_fold(self.clone(), |part, key| part.get(key))
    }

    /// The value of a key, only looked at.
    pub(super) fn peek(&self, key: &str) -> Option<Part<'a>> {
        self.children()
            .into_iter()
            .find(|(name, _)| name.as_deref().is_some_and(|name| snake(name) == key))
            .map(|c| c.1)
    }

    /// The value of a key that must be there.
    pub(super) fn need(&self, key: &str) -> Result<Part<'a>, Fault> {
        self.get(key).ok_or_else(|| self.fault(&format!("expected `{key}` in it, found none")))
    }

    /// The elements of a list, each of them not read yet.
    pub(super) fn items(&self) -> Vec<Part<'a>> {
        match &self.node.value {
            Value::List(_) => self.children().into_iter().map(|(_, part)| part).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn read(&self) {
        self.source.used.borrow_mut().insert(self.path.clone());
    }

    pub(super) fn text(&self) -> Result<&'a str, Fault> {
        match &self.node.value {
            Value::Scalar { text, .. } if !text.is_empty() => Ok(text),
            _ => Err(self.fault("expected a text")),
        }
    }

    /// A whole number; JSON of protobuf may quote it.
    pub(super) fn number(&self) -> Result<u32, Fault> {
        self.text()?.parse().map_err(|_| self.fault("expected a whole number"))
    }

    pub(super) fn port(&self) -> Result<u16, Fault> {
        let port = self.text()?.parse().ok().filter(|port| *port != 0);
        port.ok_or_else(|| self.fault("expected a port from 1 to 65535"))
    }

    pub(super) fn is(&self, word: &str) -> bool {
        matches!(&self.node.value, Value::Scalar { text, .. } if text == word)
    }

    /// A duration as protobuf writes it in JSON, `2s` or `0.25s`; up to the next millisecond.
    pub(super) fn duration(&self) -> Result<Duration, Fault> {
        let wrong = || self.fault("expected a duration such as 2s or 0.25s");
        let seconds: f64 = self.text()?.strip_suffix('s').and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        let duration = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
        let ms = duration.as_nanos().div_ceil(1_000_000);
        u64::try_from(ms).map(Duration::from_millis).map_err(|_| wrong())
    }

    pub(super) fn fault(&self, words: &str) -> Fault {
        let at = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        Fault { line: self.line, words: format!("{at}{words}") }
    }

    /// Keys or elements with what they hold.
    fn children(&self) -> Vec<(Option<String>, Part<'a>)> {
        let part = |node: &'a Node, path: String, line| Part { node, path, line, source: self.source };
        match &self.node.value {
            Value::Mapping(entries) => entries
                .iter()
                .map(|(key, node)| {
                    let dot = if self.path.is_empty() { "" } else { "." };
                    let path = format!("{}{dot}{}", self.path, key.text);
                    (Some(key.text.clone()), part(node, path, key.mark.line))
                })
                .collect(),
            Value::List(items) => {
                let element = |(i, node): (usize, &'a Node)| {
                    (None, part(node, format!("{}[{i}]", self.path), node.mark.line))
                };
                items.iter().enumerate().map(element).collect()
            }
            Value::Scalar { .. } => Vec::new(),
        }
    }

    fn collect_unused(&self, found: &mut Vec<Unused>) {
        for (_, child) in self.children() {
            let used = self.source.used.borrow().contains(&child.path);
            if used || matches!((&self.node.value, &child.node.value), (Value::List(_), Value::List(_))) {
                child.collect_unused(found);
            } else {
                found.push(Unused { path: child.path, line: child.line });
            }
        }
    }
}

/// `portValue` → `port_value`.
pub(super) fn snake(key: &str) -> String {
    let mut out = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_read_is_named() {
        let source = Source::parse("a: { portValue: 7, c: 1 }\nl: [{ x: 1, y: 2 }, { x: 3 }]\nz: [1]\n")
            .expect("YAML");
        let root = source.root();
        assert_eq!(root.at(&["a", "port_value"]).expect("it").port(), Ok(7));
        let items = root.get("l").expect("it").items();
        assert_eq!(items[0].get("x").expect("it").number(), Ok(1));
        root.peek("z").expect("it");
        let unused: Vec<String> = source.unused().iter().map(|u| format!("{}:{}", u.path, u.line)).collect();
        assert_eq!(unused, ["a.c:1", "l[0].y:2", "l[1]:2", "z:3"]);
    }

    #[test]
    fn durations_are_those_of_protobuf() {
        let of = |text: &str| {
            Source::parse(&format!("d: {text}")).expect("YAML").root().need("d").and_then(|d| d.duration())
        };
        let ms = |ms| Ok(Duration::from_millis(ms));
        assert_eq!(["2s", "0.25s", "0.0001s", "\"1.5s\""].map(of), [ms(2_000), ms(250), ms(1), ms(1_500)]);
        for wrong in ["2", "2m", "-1s", "1e99s", "NaNs", "s", "[]"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}

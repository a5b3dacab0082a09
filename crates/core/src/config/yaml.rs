//! YAML text as a tree in which every key and value knows its place in the file.
//!
//! Only what a configuration needs: one document of scalars, lists and mappings with text keys; anchors and aliases
//! within a bound, so that a small file cannot unfold into a large one. No tags. It must not interpret values.

pub use super::error::Mark;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput};
use std::collections::HashMap;

/// Depth of nesting: the format itself needs 6.
const MAX_DEPTH: usize = 32;
/// Values in all, after aliases are written out.
const MAX_NODES: usize = 50_000;

/// A value and where it starts.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it starts.
    pub mark: Mark,
    /// What it is.
    pub value: Value,
}

/// What a value is, before anything is interpreted.
#[derive(Debug, Clone)]
pub enum Value {
    /// Text; `plain` when it was written without quotes, so that it may be a number, a boolean or nothing.
    Scalar {
        /// As written, without its quotes.
        text: String,
        /// Whether it had none.
        plain: bool,
    },
    /// `[a, b]`, or lines with `-`.
    List(Vec<Node>),
    /// Keys in the order of the file, duplicates included.
    Mapping(Vec<(Key, Node)>),
}

/// A key and where it starts.
#[derive(Debug, Clone)]
pub struct Key {
    /// Where it starts.
    pub mark: Mark,
    /// As written, without its quotes.
    pub text: String,
}

impl Node {
    /// Whether nothing was written, or YAML's word for it.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// Whether this is that word, quoted or not.
    pub fn is_text(&self, word: &str) -> bool {
        matches!(&self.value, Value::Scalar { text, .. } if text == word)
    }

    /// A whole number, written without quotes.
    pub fn number(&self) -> Option<u32> {
        match &self.value {
            Value::Scalar { text, plain: true } => text.parse().ok(),
            _ => None,
        }
    }

    fn size(&self) -> usize {
        match &self.value {
            Value::Scalar { .. } => 1,
            Value::List(items) => 1 + items.iter().map(Node::size).sum::<usize>(),
            Value::Mapping(entries) => 1 + entries.iter().map(|(_, v)| 1 + v.size()).sum::<usize>(),
        }
    }
}

/// Text that is no YAML of this kind: where, what, and what would be right.
#[derive(Debug)]
pub struct Malformed {
    /// Where it stops being one.
    pub mark: Mark,
    /// What was found.
    pub problem: String,
    /// What would be right.
    pub remedy: &'static str,
}

/// The root of the document; `None` for an empty file.
///
/// # Errors
/// The first place where it is no YAML of this kind.
pub fn parse(text: &str) -> Result<Option<Node>, Malformed> {
    let mut tree = Tree::default();
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|e| Malformed {
            mark: mark(e.marker()),
            problem: format!("this is not valid YAML: {}", e.info()),
            remedy: "correct the indentation, the brackets or the quotes here",
        })?;
        tree.take(event, mark(&span.start))?;
    }
    Ok(tree.root)
}

fn mark(marker: &Marker) -> Mark {
    Mark { line: marker.line(), column: marker.col() + 1 }
}

/// The tree while it is built.
#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

/// A list or mapping whose end has not come yet.
struct Open {
    mark: Mark,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Mapping(Vec<(Key, Node)>, Option<Key>),
}

impl Tree {
    fn take(&mut self, event: Event<'_>, mark: Mark) -> Result<(), Malformed> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), mark)?;
                let plain = style == ScalarStyle::Plain;
                let node = Node { mark, value: Value::Scalar { text: text.into_owned(), plain } };
                self.put(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.is_some(), mark)?;
                self.descend(mark, anchor, OpenKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.is_some(), mark)?;
                self.descend(mark, anchor, OpenKind::Mapping(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.ascend(),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.put(node, 0),
                None => malformed(mark, "this alias stands inside its own anchor", "write the value out"),
            },
            Event::DocumentStart(_) if self.root.is_some() => malformed(
                mark,
                "expected one YAML document, found a second",
                "remove the line `---` or `...`",
            ),
            _ => Ok(()),
        }
    }

    fn descend(&mut self, mark: Mark, anchor: usize, kind: OpenKind) -> Result<(), Malformed> {
        if self.open.len() >= MAX_DEPTH {
            return malformed(mark, "this is nested too deeply", "keep to the keys of the documentation");
        }
        self.open.push(Open { mark, anchor, kind });
        Ok(())
    }

    fn ascend(&mut self) -> Result<(), Malformed> {
        let Some(Open { mark, anchor, kind }) = self.open.pop() else { return Ok(()) };
        let value = match kind {
            OpenKind::List(items) => Value::List(items),
            OpenKind::Mapping(entries, _) => Value::Mapping(entries),
        };
        self.put(Node { mark, value }, anchor)
    }

    /// Adds a complete value to what is open around it.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Malformed> {
        self.nodes += node.size();
        if self.nodes > MAX_NODES {
            return malformed(
                node.mark,
                "the file has too many values",
                "use fewer aliases or a smaller file",
            );
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Mapping(entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(as_key(node)?),
            },
        }
        Ok(())
    }
}

fn as_key(node: Node) -> Result<Key, Malformed> {
    match node.value {
        Value::Scalar { text, .. } => Ok(Key { mark: node.mark, text }),
        _ => Err(Malformed {
            mark: node.mark,
            problem: "expected a name before the colon, found a list or mapping".into(),
            remedy: "write `key: value`",
        }),
    }
}

fn refuse_tag(tagged: bool, mark: Mark) -> Result<(), Malformed> {
    if tagged { malformed(mark, "YAML tags are not supported", "remove the word with `!`") } else { Ok(()) }
}

fn malformed<T>(mark: Mark, problem: &str, remedy: &'static str) -> Result<T, Malformed> {
    Err(Malformed { mark, problem: problem.into(), remedy })
}

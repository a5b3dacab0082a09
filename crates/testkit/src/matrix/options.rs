//! The options of the matrix.

use std::path::PathBuf;
use std::str::FromStr;

use crate::conformance::Library;

/// How to call it.
pub const USAGE: &str = "\
cargo xtask matrix [options]
  --clients a,b         default all: java, java-3.9, java-2.8, tools, librdkafka, franz,
                        kafka-python, aiokafka
  --shape a,b           of slots (a port for each slot) and one (one port for everything); default both
  --quick               only the cases that the gate runs
  --binary FILE         the pointsman to test, default: cargo build";

/// How Pointsman is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// A range of ports, one for each slot.
    Slots,
    /// One port for everything.
    One,
}

impl Shape {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 2] = [Self::Slots, Self::One];

    /// The name used in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slots => "slots",
            Self::One => "one port",
        }
    }

    /// The part of names of topics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Slots => "slots",
            Self::One => "one",
        }
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|shape| shape.word() == text);
        found.ok_or_else(|| format!("--shape: expected slots or one, got {text:?}"))
    }
}

/// What is to be tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The clients.
    pub clients: Vec<Library>,
    /// The shapes.
    pub shapes: Vec<Shape>,
    /// Only a part of the cases.
    pub quick: bool,
    /// The binary under test.
    pub binary: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { clients: Library::ALL.to_vec(), shapes: Shape::ALL.to_vec(), quick: false, binary: None }
    }
}

impl Options {
    /// Reads the arguments after `matrix`.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut args = args.iter();
        let mut options = Self::default();
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
            match name.as_str() {
                "--clients" => options.clients = list(value()?)?,
                "--shape" => options.shapes = list(value()?)?,
                "--quick" => options.quick = true,
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                _ => return Err(format!("unknown option {name}\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn list<T: FromStr<Err = String>>(text: &str) -> Result<Vec<T>, String> {
    text.split(',').map(T::from_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_nonsense_is_refused() {
        let parse = |text: &str| Options::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let expected = Options {
            clients: vec![Library::Franz, Library::Java],
            shapes: vec![Shape::One],
            quick: true,
            binary: None,
        };
        assert_eq!(parse("--clients franz,java --shape one --quick"), Ok(expected));
        for wrong in ["--clients perl", "--shape round", "--shape", "all"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_client_is_in_the_usage() {
        for library in Library::ALL {
            assert!(USAGE.contains(library.name()), "{}", library.name());
        }
    }
}

//! The options of the matrix.

use std::path::PathBuf;
use std::str::FromStr;

use crate::conformance::Library;
use crate::kafka::Release;

/// How to call it.
pub const USAGE: &str = "\
cargo xtask matrix [options]
  --clients a,b         default all: java, java-3.9, java-2.8, streams, tools, librdkafka, kcat, franz,
                        sarama, kafka-python, aiokafka, kafkajs
  --shape a,b           of slots (a port for each slot), one (one port for everything) and switch
                        (produce and consume while Pointsman moves everybody there and back); default all
  --brokers A,B         releases of the two clusters of the shape switch, of 2.8, 3.9, 4.3; default 4.3,4.3.
                        With it, this shape alone is run, unless --shape says otherwise
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
        found.ok_or_else(|| format!("--shape: expected slots, one or switch, got {text:?}"))
    }
}

/// What is to be tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The clients.
    pub clients: Vec<Library>,
    /// The shapes in which directly and through Pointsman are compared.
    pub shapes: Vec<Shape>,
    /// Whether clients are moved between clusters, too.
    pub switch: bool,
    /// The releases of the two clusters that they are moved between.
    pub brokers: [Release; 2],
    /// Only a part of the cases.
    pub quick: bool,
    /// The binary under test.
    pub binary: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clients: Library::ALL.to_vec(),
            shapes: Shape::ALL.to_vec(),
            switch: true,
            brokers: [Release::Current; 2],
            quick: false,
            binary: None,
        }
    }
}

impl Options {
    /// Reads the arguments after `matrix`.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut args = args.iter();
        let mut options = Self::default();
        let mut shapes = None;
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
            match name.as_str() {
                "--clients" => options.clients = list(value()?)?,
                "--shape" => shapes = Some(value()?.as_str()),
                "--brokers" => {
                    let pair = list(value()?)?;
                    options.brokers = <[Release; 2]>::try_from(pair)
                        .map_err(|_| format!("--brokers: expected two releases\n{USAGE}"))?;
                    shapes = shapes.or(Some("switch"));
                }
                "--quick" => options.quick = true,
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                _ => return Err(format!("unknown option {name}\n{USAGE}")),
            }
        }
        options.choose(shapes)?;
        Ok(options)
    }

    fn choose(&mut self, shapes: Option<&str>) -> Result<(), String> {
        if let Some(shapes) = shapes {
            let (switch, compared): (Vec<&str>, Vec<&str>) =
                shapes.split(',').partition(|shape| *shape == "switch");
            self.switch = !switch.is_empty();
            self.shapes = compared.into_iter().map(Shape::from_str).collect::<Result<_, _>>()?;
        }
        Ok(())
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
            switch: false,
            quick: true,
            ..Options::default()
        };
        assert_eq!(parse("--clients franz,java --shape one --quick"), Ok(expected));
        let both = Options { shapes: vec![Shape::One], ..Options::default() };
        assert_eq!(parse("--shape one,switch"), Ok(both));
        let brokers = [Release::V39, Release::Current];
        assert_eq!(parse("--brokers 3.9,4.3"), Ok(Options { shapes: vec![], brokers, ..Options::default() }));
        for wrong in
            ["--clients perl", "--shape round", "--shape", "all", "--brokers 3.9", "--brokers 3.9,5.0"]
        {
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

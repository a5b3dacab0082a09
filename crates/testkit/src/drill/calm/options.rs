//! The options of the drill.

use std::path::PathBuf;
use std::time::Duration;

use super::super::options::{clients, seconds};
use super::Trouble;
use crate::clients::ClientKind;

/// How to call it.
pub const USAGE: &str = "\
cargo xtask drill calm [options]
  --only a,b            of minority, rolling, busy, slow; default all
  --lasting SECONDS     how long a trouble lasts, default 60; a rolling restart takes what it takes
  --clients a,b         of java, librdkafka, franz, kafka-python, aiokafka; default all
  --binary FILE         the pointsman to test, default: cargo build --release
  --json                print the records as JSON";

/// The options of the drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The troubles, in this order.
    pub troubles: Vec<Trouble>,
    /// How long each lasts.
    pub lasting: Duration,
    /// The client libraries, all at once.
    pub clients: Vec<ClientKind>,
    /// The binary under test.
    pub binary: Option<PathBuf>,
    /// Records as JSON.
    pub json: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            troubles: Trouble::ALL.to_vec(),
            lasting: Duration::from_secs(60),
            clients: ClientKind::ALL.to_vec(),
            binary: None,
            json: false,
        }
    }
}

impl Options {
    /// Reads the arguments after `drill calm`.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut args = args.iter();
        let mut options = Self::default();
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
            match name.as_str() {
                "--only" => options.troubles = troubles(value()?)?,
                "--lasting" => options.lasting = seconds(name, value()?)?,
                "--clients" => options.clients = clients(value()?)?,
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                "--json" => options.json = true,
                _ => return Err(format!("unknown option {name}\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn troubles(list: &str) -> Result<Vec<Trouble>, String> {
    list.split(',').map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_nonsense_is_refused() {
        let parse = |text: &str| Options::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let options = parse("--only rolling,slow --lasting 2.5 --clients franz --json").unwrap();
        assert_eq!(options.troubles, [Trouble::Rolling, Trouble::Slow]);
        assert_eq!((options.lasting, options.json), (Duration::from_millis(2500), true));
        assert_eq!(options.clients, [ClientKind::Franz]);
        for wrong in ["--only calm", "--only", "--lasting x", "--runs 1", "calm"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

//! The options of the drill.

use std::path::PathBuf;
use std::time::Duration;

use super::super::options::{self, duration, number, seconds};
use crate::clients::ClientKind;

/// How to call it.
pub const USAGE: &str = "\
cargo xtask drill pingpong [options]
  --switches N          switches by command, to and fro, default 50
  --seed N              of the pauses between them, default 1
  --pause MIN-MAX       bounds of the pauses in milliseconds, default 200-3000
  --clients a,b         of java, librdkafka, franz, kafka-python, aiokafka; default all
  --rate N              records per second and producer, default 100
  --consumer-drain TIME how long consumers may stay at each switch, such as 4s; default: Pointsman's own
  --observe SECONDS     longest wait for every producer after the last switch, default 30
  --binary FILE         the pointsman to test, default: cargo build --release
  --mirror              a mirror copies from the cluster that serves to the other one: identical offsets
  --without a,b         of gate, generation: Pointsman does without them, and the drill must find it out
  --json                print the summary as JSON";

/// The options of the drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of switches.
    pub switches: usize,
    /// Seed of the pauses.
    pub seed: u64,
    /// Shortest and longest pause between two switches, in milliseconds.
    pub pause: (usize, usize),
    /// The client libraries, all at once.
    pub clients: Vec<ClientKind>,
    /// Records per second of each producer.
    pub rate: u32,
    /// How long consumers may stay on the cluster that is left; `None`: as by default.
    pub consumer_drain: Option<Duration>,
    /// Longest wait for every producer after the last switch.
    pub observe: Duration,
    /// The binary under test.
    pub binary: Option<PathBuf>,
    /// Whether a mirror makes the clusters hold the same logs.
    pub mirror: bool,
    /// Mechanisms that Pointsman does without.
    pub without: Vec<String>,
    /// Summary as JSON.
    pub json: bool,
}

/// What Pointsman can do without, for the proof that it cannot.
const MECHANISMS: [&str; 2] = ["gate", "generation"];

impl Default for Options {
    fn default() -> Self {
        Self {
            switches: 50,
            seed: 1,
            pause: (200, 3000),
            clients: ClientKind::ALL.to_vec(),
            rate: 100,
            consumer_drain: None,
            observe: Duration::from_secs(30),
            binary: None,
            mirror: false,
            without: Vec::new(),
            json: false,
        }
    }
}

impl Options {
    /// Reads the arguments after `drill pingpong`.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        Self::default().read(args, USAGE)
    }

    /// Reads arguments over these defaults.
    pub(in crate::drill) fn read(self, args: &[String], usage: &str) -> Result<Self, String> {
        let mut args = args.iter();
        let mut options = self;
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{name} needs a value\n{usage}"));
            match name.as_str() {
                "--switches" => options.switches = number(name, value()?)?,
                "--seed" => {
                    let text = value()?;
                    options.seed =
                        text.parse().map_err(|_| format!("{name}: expected a number, got {text:?}"))?;
                }
                "--pause" => options.pause = range(name, value()?)?,
                "--clients" => options.clients = options::clients(value()?)?,
                "--rate" => {
                    let rate = number(name, value()?)?;
                    options.rate = u32::try_from(rate).map_err(|_| format!("{name}: {rate} is too much"))?;
                }
                "--consumer-drain" => options.consumer_drain = Some(duration(name, value()?)?),
                "--observe" => options.observe = seconds(name, value()?)?,
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                "--mirror" => options.mirror = true,
                "--without" => options.without = mechanisms(name, value()?)?,
                "--json" => options.json = true,
                _ => return Err(format!("unknown option {name}\n{usage}")),
            }
        }
        Ok(options)
    }
}

fn mechanisms(name: &str, list: &str) -> Result<Vec<String>, String> {
    let chosen: Vec<String> = list.split(',').map(str::to_owned).collect();
    match chosen.iter().find(|one| !MECHANISMS.contains(&one.as_str())) {
        None => Ok(chosen),
        Some(other) => Err(format!("{name}: expected {}, got {other:?}", MECHANISMS.join(" or "))),
    }
}

fn range(name: &str, text: &str) -> Result<(usize, usize), String> {
    let bounds = text.split_once('-').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    let bounds = bounds.filter(|(from, to)| from <= to);
    bounds.ok_or_else(|| format!("{name}: expected milliseconds such as 200-3000, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_nonsense_is_refused() {
        let parse = |text: &str| Options::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let options = parse(
            "--switches 4 --seed 7 --pause 10-20 --rate 5 --consumer-drain 700ms --clients franz --mirror --without gate,generation --json",
        );
        let expected = Options {
            switches: 4,
            seed: 7,
            pause: (10, 20),
            clients: vec![ClientKind::Franz],
            rate: 5,
            consumer_drain: Some(Duration::from_millis(700)),
            mirror: true,
            without: vec!["gate".to_owned(), "generation".to_owned()],
            json: true,
            ..Options::default()
        };
        assert_eq!(options, Ok(expected));
        for wrong in [
            "--switches 0",
            "--pause 3",
            "--consumer-drain 4",
            "--pause 9-3",
            "--seed x",
            "--seed",
            "--without order",
            "failover",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

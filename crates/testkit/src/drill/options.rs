//! The options of a drill.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::clients::ClientKind;

/// How to call it.
pub const USAGE: &str = "\
cargo xtask drill failover [options]    (another one: cargo xtask drill pingpong)
  --runs N              runs, default 1
  --clients a,b         of java, librdkafka, franz, kafka-python, aiokafka; default all, but with passthrough and envoy those that
                        can move: franz-go knows topics by an id that is another one on the other cluster
  --via WHAT            pointsman (default), passthrough (Pointsman in that mode: brokers advertise its ports), tcp (an ideal
                        TCP switch), envoy (with an aggregator of the quorum; it closes connections to a cluster without one),
                        envoy-open (the same, but it leaves them open, as by default), direct (no proxy)
  --fault FAULT         kill (default: SIGKILL) or pause (SIGSTOP)
  --minority            first take down two of five and see that nothing switches, then the third
  --hold SECONDS        how long the primary must be well before the failback, default 5
  --consumer-drain TIME how long consumers may stay at the failback, such as 4s; default: Pointsman's own
  --observe SECONDS     longest wait for each move, default 20, with Envoy 90
  --binary FILE         the pointsman to test (with --via envoy and envoy-open: the envoy), default: cargo build --release
  --json                print the summary as JSON";

/// What stands between clients and clusters.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Pointsman.
    Pointsman,
    /// Pointsman that forwards bytes, behind brokers that advertise its ports.
    Passthrough,
    /// The ideal TCP switch.
    Tcp,
    /// Envoy, and what tells it of a cluster's quorum. It closes connections to a cluster that has none.
    Envoy,
    /// Envoy that leaves them open, which is its default.
    EnvoyOpen,
    /// Nothing: what Kafka itself does.
    Direct,
}

impl Via {
    /// Whether brokers must advertise its ports, because nothing translates what they say.
    pub(super) fn is_advertised(self) -> bool {
        self.is_envoy() || matches!(self, Self::Passthrough | Self::Tcp)
    }

    /// Whether it is Envoy, in one setting or the other.
    pub(super) fn is_envoy(self) -> bool {
        matches!(self, Self::Envoy | Self::EnvoyOpen)
    }

    /// How long a move may take, so that what is slow is seen to come to an end.
    fn patience(self) -> Duration {
        Duration::from_secs(if self.is_envoy() { 90 } else { 20 })
    }

    /// Whether it is Pointsman, which must keep its promises.
    pub(super) fn is_pointsman(self) -> bool {
        matches!(self, Self::Pointsman | Self::Passthrough)
    }

    /// Whether clients of this library can follow it to the other cluster.
    pub(super) fn moves(self, client: ClientKind) -> bool {
        !self.is_advertised() || client != ClientKind::Franz
    }
}

/// What happens to three of five brokers.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Pause,
}

/// The options of a drill.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of runs.
    pub runs: usize,
    /// The client libraries, all at once.
    pub clients: Vec<ClientKind>,
    /// The proxy.
    pub via: Via,
    /// The fault.
    pub fault: Fault,
    /// Two brokers first, the third later.
    pub minority: bool,
    /// How long the primary must be well before the failback.
    pub hold: Duration,
    /// How long consumers may stay on the cluster that is left; `None`: as by default.
    pub consumer_drain: Option<Duration>,
    /// Longest wait for each move.
    pub observe: Duration,
    /// The binary under test.
    pub binary: Option<PathBuf>,
    /// Summary as JSON.
    pub json: bool,
    /// Pointsman is told that the clusters hold the same logs. Only the ping-pong drill sets it.
    pub mirrored: bool,
    /// Mechanisms that Pointsman must do without, in the words of its feature `broken`. Only the ping-pong drill sets it.
    pub without: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            runs: 1,
            clients: ClientKind::ALL.to_vec(),
            via: Via::Pointsman,
            fault: Fault::Kill,
            minority: false,
            hold: Duration::from_secs(5),
            consumer_drain: None,
            observe: Via::Pointsman.patience(),
            binary: None,
            json: false,
            mirrored: false,
            without: Vec::new(),
        }
    }
}

impl Options {
    /// Reads the arguments after `drill failover`.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut args = args.iter();
        let mut options = Self::default();
        let (mut given, mut observe) = (None, None);
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
            match name.as_str() {
                "--runs" => options.runs = number(name, value()?)?,
                "--clients" => given = Some(clients(value()?)?),
                "--via" => options.via = value()?.parse()?,
                "--fault" => options.fault = value()?.parse()?,
                "--minority" => options.minority = true,
                "--hold" => options.hold = seconds(name, value()?)?,
                "--consumer-drain" => options.consumer_drain = Some(duration(name, value()?)?),
                "--observe" => observe = Some(seconds(name, value()?)?),
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                "--json" => options.json = true,
                _ => return Err(format!("unknown option {name}\n{USAGE}")),
            }
        }
        if options.via == Via::Passthrough || options.via.is_envoy() {
            options.clients.retain(|kind| options.via.moves(*kind));
        }
        options.clients = given.unwrap_or(options.clients);
        options.observe = observe.unwrap_or(options.via.patience());
        Ok(options)
    }
}

pub(super) fn number(name: &str, value: &str) -> Result<usize, String> {
    let parsed = value.parse().ok().filter(|n| *n > 0);
    parsed.ok_or_else(|| format!("{name}: expected a positive number, got {value:?}"))
}

/// Such as `4s` or `500ms`, as in the configuration.
pub(super) fn duration(name: &str, value: &str) -> Result<Duration, String> {
    let number = |text: &str| text.parse().ok();
    let millis = value.strip_suffix("ms").and_then(number).map(Duration::from_millis);
    let read = millis.or_else(|| value.strip_suffix('s').and_then(number).map(Duration::from_secs));
    read.ok_or_else(|| format!("{name}: expected a time such as 4s or 500ms, got {value:?}"))
}

pub(super) fn clients(list: &str) -> Result<Vec<ClientKind>, String> {
    list.split(',').map(ClientKind::from_str).collect()
}

pub(super) fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    let parsed = value.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    parsed.ok_or_else(|| format!("{name}: expected seconds, got {value:?}"))
}

impl FromStr for Via {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pointsman" => Ok(Self::Pointsman),
            "passthrough" => Ok(Self::Passthrough),
            "tcp" => Ok(Self::Tcp),
            "envoy" => Ok(Self::Envoy),
            "envoy-open" => Ok(Self::EnvoyOpen),
            "direct" => Ok(Self::Direct),
            _ => Err(format!(
                "--via: expected pointsman, passthrough, tcp, envoy, envoy-open or direct, got {text:?}"
            )),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "kill" => Ok(Self::Kill),
            "pause" => Ok(Self::Pause),
            _ => Err(format!("--fault: expected kill or pause, got {text:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_nonsense_is_refused() {
        let parse = |text: &str| Options::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let options = parse("--runs 20 --clients java,franz --via tcp --fault pause --hold 0.5").unwrap();
        assert_eq!((options.runs, options.via, options.fault), (20, Via::Tcp, Fault::Pause));
        assert_eq!(options.clients, [ClientKind::Java, ClientKind::Franz]);
        assert_eq!(options.hold, Duration::from_millis(500));
        let passthrough = parse("--via passthrough").unwrap();
        assert_eq!(passthrough.clients.len(), 4, "franz-go cannot move there");
        assert!(!passthrough.clients.contains(&ClientKind::Franz));
        assert_eq!(parse("--clients franz --via passthrough").unwrap().clients, [ClientKind::Franz]);
        let observe = |text| parse(text).unwrap().observe.as_secs();
        assert_eq!((observe("--via tcp"), observe("--via envoy-open")), (20, 90), "Envoy is slow");
        assert_eq!(observe("--observe 30 --via envoy"), 30);
        for wrong in ["--runs 0", "--via x", "--clients perl", "--runs", "x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

//! The options of a benchmark.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

/// How to call it.
pub(super) const USAGE: &str = "\
cargo xtask bench [options]
  --goals               ten rounds of 1 s of what the goals are about (3 s where the rate is fixed: a p99 needs more), and whether
                        they are reached (about 16 minutes)
  --quick               one round of 1 s on the sink: produce, fetch, small, latency (about a minute)
  --rounds N            rounds, default 3; published figures need 10
  --seconds S           length of one measurement, default 3
  --subjects a,b        of direct, splice, copy, pointsman, switched, passthrough, nginx, haproxy, envoy; default all
  --workloads a,b       of produce, produce-large, fetch, fetch-small, small, latency, many, hundred, slow, idle, busy, half;
                        default all
  --sides a,b           of sink, kafka; default both
  --connections N       connections of the workload idle, default 1000
  --rate N              requests per second of the workloads latency, many, hundred and slow, default 2000
  --binary FILE         the pointsman to measure, default: cargo build --release
  --profile WORKLOAD    one subject (the first of --subjects, default pointsman) on the sink under perf";

/// What stands between the generator and the brokers.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    /// Nothing.
    Direct,
    /// A loop around splice(2): the floor of what moves bytes without a look at them.
    Splice,
    /// A loop around read(2) and write(2) with 256 KiB.
    Copy,
    /// Pointsman.
    Pointsman,
    /// Pointsman after a switch: producer ids and leader epochs are translated.
    Switched,
    /// Pointsman that forwards bytes.
    Passthrough,
    /// nginx with its stream module.
    Nginx,
    /// HAProxy in TCP mode.
    Haproxy,
    /// Envoy with its filter `tcp_proxy`.
    Envoy,
}

/// What the generator does.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Workload {
    /// Produce requests of 16 partitions with a batch of 16 KiB each.
    Produce,
    /// Produce requests of 4 partitions with a batch of 960 KiB each.
    ProduceLarge,
    /// Fetch responses of 4 partitions with 1 MiB each.
    Fetch,
    /// Fetch responses of one partition with 64 KiB.
    FetchSmall,
    /// Produce requests of one record of 100 bytes.
    Small,
    /// Produce requests of one record of 1 KiB at a fixed rate, whatever the answers do.
    Latency,
    /// A thousand connections that each send something small now and then.
    Many,
    /// Ninety-nine connections that each send something small now and then.
    Hundred,
    /// The same, beside a consumer that has asked for much and does not read it.
    Slow,
    /// Connections that have been used and do nothing.
    Idle,
    /// A hundred connections that send as fast as they can.
    Busy,
    /// Produce requests of a batch of 16 KiB at half of the rate that a direct connection reaches.
    Half,
}

/// Where the requests end.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    /// A broker that forgets what it takes.
    Sink,
    /// One broker of Apache Kafka.
    Kafka,
}

macro_rules! names {
    ($type:ident: $($name:literal => $variant:ident),* $(,)?) => {
        impl $type {
            /// All of them, in the order of the tables.
            pub(super) const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in options and tables.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().copied().find(|one| one.name() == text);
                found.ok_or_else(|| format!("{text:?} is none of {}", [$($name),*].join(", ")))
            }
        }
    };
}

names!(Subject: "direct" => Direct, "splice" => Splice, "copy" => Copy, "pointsman" => Pointsman, "switched" => Switched,
    "passthrough" => Passthrough, "nginx" => Nginx, "haproxy" => Haproxy, "envoy" => Envoy);
names!(Workload: "produce" => Produce, "produce-large" => ProduceLarge, "fetch" => Fetch, "fetch-small" => FetchSmall,
    "small" => Small, "latency" => Latency, "many" => Many, "hundred" => Hundred, "slow" => Slow,
    "idle" => Idle, "busy" => Busy, "half" => Half);
names!(Side: "sink" => Sink, "kafka" => Kafka);

impl Subject {
    /// The proxies that others use, which know nothing of Kafka.
    pub(super) const fn is_tcp_proxy(self) -> bool {
        matches!(self, Self::Nginx | Self::Haproxy | Self::Envoy)
    }
}

impl Workload {
    /// Requests are sent when they are due, whatever the answers do.
    const fn has_fixed_rate(self) -> bool {
        matches!(self, Self::Latency | Self::Many | Self::Hundred | Self::Slow | Self::Half)
    }
}

/// The options of a benchmark.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) rounds: usize,
    pub(super) seconds: Duration,
    pub(super) subjects: Vec<Subject>,
    pub(super) workloads: Vec<Workload>,
    pub(super) sides: Vec<Side>,
    pub(super) connections: usize,
    pub(super) rate: u32,
    pub(super) binary: Option<PathBuf>,
    pub(super) profile: Option<Workload>,
    /// Only what the goals are about.
    pub(super) goals: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rounds: 3,
            seconds: Duration::from_secs(3),
            subjects: Subject::ALL.to_vec(),
            workloads: Workload::ALL.to_vec(),
            sides: Side::ALL.to_vec(),
            connections: 1000,
            rate: 2000,
            binary: None,
            profile: None,
            goals: false,
        }
    }
}

impl Options {
    /// Reads the arguments after `bench`.
    pub(super) fn parse(args: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut subjects = None;
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
            match name.as_str() {
                "--quick" => options.quick(),
                "--goals" => options.goals(),
                "--rounds" => options.rounds = positive(name, value()?)?,
                "--seconds" => options.seconds = seconds(name, value()?)?,
                "--subjects" => subjects = Some(list(name, value()?)?),
                "--workloads" => options.workloads = list(name, value()?)?,
                "--sides" => options.sides = list(name, value()?)?,
                "--connections" => options.connections = positive(name, value()?)?,
                "--rate" => options.rate = positive(name, value()?)?,
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                "--profile" => options.profile = Some(value()?.parse()?),
                _ => return Err(format!("unknown option {name}\n{USAGE}")),
            }
        }
        let default =
            if options.profile.is_some() { vec![Subject::Pointsman] } else { Subject::ALL.to_vec() };
        options.subjects = subjects.unwrap_or(default);
        Ok(options)
    }

    fn goals(&mut self) {
        self.goals = true;
        self.rounds = 10;
        self.seconds = Duration::from_secs(1);
        self.connections = 10_000;
    }

    /// How long one measurement takes: of the goals, those at a fixed rate are about a p99, for which 2,000 requests are too few.
    pub(super) fn length(&self, workload: Workload) -> Duration {
        if self.goals && workload.has_fixed_rate() { self.seconds * 3 } else { self.seconds }
    }

    /// Whether a subject is to be measured so: of the goals each is about some subjects on one side only.
    pub(super) fn wants(&self, side: Side, workload: Workload, subject: Subject) -> bool {
        let floor = subject == Subject::Splice;
        let forwards = subject == Subject::Passthrough;
        let others = subject.is_tcp_proxy() || matches!(subject, Subject::Direct | Subject::Pointsman);
        let wanted = match (side, workload) {
            (Side::Sink, Workload::Produce | Workload::Fetch) => others || floor || forwards,
            (Side::Sink, Workload::ProduceLarge) => subject.is_tcp_proxy() || floor || forwards,
            (Side::Sink, Workload::Small) => others || floor,
            (Side::Sink, Workload::Latency) => others,
            (Side::Sink, Workload::Idle) => subject == Subject::Pointsman || forwards,
            (Side::Sink, Workload::Busy | Workload::Hundred | Workload::Slow) => {
                subject == Subject::Pointsman
            }
            (Side::Kafka, Workload::Half) => matches!(subject, Subject::Direct | Subject::Pointsman),
            _ => false,
        };
        wanted || !self.goals
    }

    fn quick(&mut self) {
        self.rounds = 1;
        self.seconds = Duration::from_secs(1);
        self.sides = vec![Side::Sink];
        self.workloads = vec![Workload::Produce, Workload::Fetch, Workload::Small, Workload::Latency];
    }
}

fn list<T: FromStr<Err = String>>(name: &str, value: &str) -> Result<Vec<T>, String> {
    value.split(',').map(|one| one.parse().map_err(|e| format!("{name}: {e}"))).collect()
}

fn positive<T: FromStr + PartialOrd + Default>(name: &str, value: &str) -> Result<T, String> {
    let parsed = value.parse().ok().filter(|n| *n > T::default());
    parsed.ok_or_else(|| format!("{name}: expected a positive number, got {value:?}"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    let parsed = value.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    parsed.filter(|d| !d.is_zero()).ok_or_else(|| format!("{name}: expected seconds, got {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        let options =
            parse("--quick --rounds 10 --subjects direct,copy --workloads fetch-small --seconds 0.2")
                .unwrap();
        assert_eq!((options.rounds, options.seconds), (10, Duration::from_millis(200)));
        assert_eq!(options.subjects, [Subject::Direct, Subject::Copy]);
        assert_eq!(options.workloads, [Workload::FetchSmall]);
        assert_eq!(options.sides, [Side::Sink]);
        assert_eq!(parse("").unwrap().subjects.len(), Subject::ALL.len());
    }

    #[test]
    fn the_goals_need_some_subjects_only() {
        let goals = parse("--goals --seconds 2").unwrap();
        assert_eq!((goals.rounds, goals.seconds, goals.connections), (10, Duration::from_secs(2), 10_000));
        let length = |options: &Options, workload| options.length(workload).as_secs();
        assert_eq!([length(&goals, Workload::Produce), length(&goals, Workload::Slow)], [2, 6]);
        assert_eq!(length(&parse("--seconds 2").unwrap(), Workload::Slow), 2);
        assert!(goals.wants(Side::Sink, Workload::Produce, Subject::Splice));
        assert!(!goals.wants(Side::Kafka, Workload::Produce, Subject::Splice));
        assert!(!goals.wants(Side::Sink, Workload::Busy, Subject::Nginx));
        assert!(goals.wants(Side::Sink, Workload::ProduceLarge, Subject::Passthrough));
        assert!(!goals.wants(Side::Sink, Workload::ProduceLarge, Subject::Pointsman));
        assert!(!goals.wants(Side::Sink, Workload::Small, Subject::Passthrough));
        assert!(parse("").unwrap().wants(Side::Sink, Workload::Busy, Subject::Nginx));
    }

    #[test]
    fn a_profile_is_of_pointsman_unless_said_otherwise() {
        assert_eq!(parse("--profile fetch").unwrap().subjects, [Subject::Pointsman]);
        assert_eq!(parse("--profile fetch --subjects nginx").unwrap().subjects, [Subject::Nginx]);
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in
            ["--rounds 0", "--rounds", "--subjects squid", "--seconds 0", "--sides x", "--profile x", "x"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

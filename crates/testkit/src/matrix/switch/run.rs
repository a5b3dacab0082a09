//! The run: two clusters, Pointsman before them, some clients at a time.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Report, Row, Seen, judge, versions};
use crate::clients::{ClientKind, Driver, DriverSpec, Event, Mode, Program, install};
use crate::conformance::Library;
use crate::history::ClientHistory;
use crate::kafka::{Cluster, ClusterSpec, Kafka, Release};
use crate::log::ClusterLog;
use crate::matrix::Skip;
use crate::pointsman::{Place, Pointsman, Spec};
use crate::process::{last_lines, wait_for};

const PARTITIONS: u32 = 3;
const RATE: u32 = 20;
/// Topics per second of each administrator.
const ADMIN_RATE: u32 = 2;
/// Clients that run at once, each with three processes.
const AT_ONCE: usize = 3;
/// Nothing falls back by itself.
const HOLD: Duration = Duration::from_secs(3600);
/// Longest wait for what a client must do, on a machine that does other things too.
const LIMIT: Duration = Duration::from_secs(90);
/// Longest wait until a client that was told to stop has ended.
const CLOSE: Duration = Duration::from_secs(30);

struct Ground {
    kafka: Kafka,
    clusters: [Cluster; 2],
    place: Place,
    _pointsman: Pointsman,
}

/// One producer, one consumer and one administrator.
struct Client {
    library: Library,
    topic: String,
    producer: Driver,
    consumer: Driver,
    admin: Driver,
    stuck: Vec<String>,
}

/// Runs the clients that have drivers, between two clusters of so many brokers.
pub fn run(
    binary: &Path,
    clients: &[Library],
    releases: [Release; 2],
    brokers: u16,
) -> Result<Report, String> {
    let ground = Ground::start(binary, releases, brokers)?;
    let (mut programs, mut skips) = (Vec::new(), Vec::new());
    for library in clients {
        match program(*library) {
            Ok(program) => programs.push((*library, program)),
            Err(why) => skips.push(Skip { library: *library, why: last_lines(&why, 1) }),
        }
    }
    let addresses = [ground.clusters[0].address(0), ground.clusters[1].address(0)];
    let (apis, too_new) = versions::compare(ground.place.addresses()[0], addresses)?;
    let mut report = Report { releases, rows: Vec::new(), skips, apis, too_new, failed: Vec::new() };
    for some in programs.chunks(AT_ONCE) {
        ground.play(some, &mut report)?;
    }
    Ok(report)
}

fn program(library: Library) -> Result<Program, String> {
    let kind: ClientKind =
        library.driver().ok_or("no program that goes on over a switch is written for it")?;
    install(kind)
}

impl Ground {
    fn start(binary: &Path, releases: [Release; 2], brokers: u16) -> Result<Self, String> {
        let kafka = Kafka::install()?;
        let spawn = |name: &str, release: Release| {
            Cluster::spawn(&kafka.release(release)?, ClusterSpec::new(name, usize::from(brokers)))
        };
        let mut clusters = [spawn("primary", releases[0])?, spawn("secondary", releases[1])?];
        clusters.iter_mut().try_for_each(Cluster::wait_ready)?;
        let chain = [("primary", clusters[0].bootstrap()), ("secondary", clusters[1].bootstrap())];
        let place = Place::free(binary, brokers)?;
        let pointsman = Pointsman::start(&place, &Spec::new(&chain, HOLD, "log"))?;
        Ok(Self { kafka, clusters, place, _pointsman: pointsman })
    }

    /// Directly, then over two switches.
    fn play(&self, programs: &[(Library, Program)], report: &mut Report) -> Result<(), String> {
        let direct = self.direct(programs)?;
        let able: Vec<_> = programs.iter().zip(&direct).filter(|(_, direct)| direct.is_ok()).collect();
        let mut clients = Vec::new();
        for ((library, program), _) in &able {
            let topic = self.topic("switch", *library, &self.clusters)?;
            clients.push(Client::start(*library, program, &self.place.bootstrap(), topic)?);
        }
        for client in &mut clients {
            client.goes_on("at the beginning", 0);
        }
        for cluster in ["secondary", "primary"] {
            match self.place.switch(cluster) {
                Ok(()) => {
                    let since = now_ns();
                    clients.iter_mut().for_each(|client| client.goes_on(&format!("on the {cluster}"), since));
                }
                Err(why) => report.failed.push(format!("switch to {cluster}: {why}")),
            }
        }
        stop_producers(&mut clients);
        let mut verdicts = Vec::new();
        let mut logs = Vec::new();
        for client in &clients {
            let [primary, secondary] = [0, 1].map(|of| self.log(of, &client.topic));
            let (primary, secondary) = (primary?, secondary?);
            client.wait_read(|value| primary.copies(value) > 0);
            logs.push((primary, secondary));
        }
        let ended = end(clients);
        let [one, other] = [0, 1].map(|of| self.topics(of));
        let topics = one?.into_iter().chain(other?).collect();
        for (client, (primary, secondary)) in ended.into_iter().zip(&logs) {
            let (history, made, stuck) = (&client.history, &client.made, client.stuck);
            let seen = Seen { history, primary, secondary, made, topics: &topics, stuck };
            verdicts.push((client.library, judge(&seen)));
        }
        for ((library, _), direct) in programs.iter().zip(direct) {
            let verdict = verdicts.iter().find(|(of, _)| of == library).map(|(_, verdict)| verdict.clone());
            report.rows.push(Row { library: *library, direct, verdict });
        }
        Ok(())
    }

    fn direct(&self, programs: &[(Library, Program)]) -> Result<Vec<Result<(), String>>, String> {
        let mut clients = Vec::new();
        for (library, program) in programs {
            let topic = self.topic("direct", *library, &self.clusters[..1])?;
            clients.push(Client::start(*library, program, &self.clusters[0].bootstrap(), topic)?);
        }
        for client in &mut clients {
            client.goes_on("directly", 0);
        }
        stop_producers(&mut clients);
        clients.iter().for_each(|client| client.wait_read(|_| true));
        let ended = end(clients).into_iter();
        Ok(ended.map(|c| if c.stuck.is_empty() { Ok(()) } else { Err(c.stuck.join("; ")) }).collect())
    }

    fn topic(&self, way: &str, library: Library, clusters: &[Cluster]) -> Result<String, String> {
        let name = format!("{way}-{}", library.name());
        for cluster in clusters {
            cluster.create_topic(&name, PARTITIONS as usize, cluster.size().min(3), &[])?;
            cluster.wait_in_sync(&name, LIMIT)?;
        }
        Ok(name)
    }

    fn topics(&self, of: usize) -> Result<Vec<String>, String> {
        self.kafka.admin()?.list_topics(&self.clusters[of].bootstrap())
    }

    fn log(&self, of: usize, topic: &str) -> Result<ClusterLog, String> {
        ClusterLog::read(&self.kafka, &self.clusters[of], topic)
    }
}

impl Client {
    fn start(library: Library, program: &Program, bootstrap: &str, topic: String) -> Result<Self, String> {
        let driver = |mode, rate, topic: &str| {
            let spec = DriverSpec {
                partitions: PARTITIONS,
                rate,
                flush_ms: 20_000,
                group: topic.to_owned(),
                ..DriverSpec::new(mode, library.name(), bootstrap, topic)
            };
            Driver::start(program, &spec)
        };
        let producer = driver(Mode::Produce, RATE, &topic)?;
        let consumer = driver(Mode::Consume, RATE, &topic)?;
        let admin = driver(Mode::Administer, ADMIN_RATE, &made(&topic))?;
        Ok(Self { library, topic, producer, consumer, admin, stuck: Vec::new() })
    }

    /// Waits until every partition was acknowledged and read, and a topic made, since a moment.
    fn goes_on(&mut self, when: &str, since: u64) {
        let all = PARTITIONS as usize;
        for (what, driver, expected) in [
            ("producer", &self.producer, all),
            ("consumer", &self.consumer, all),
            ("administrator", &self.admin, 1),
        ] {
            let all = |events: &[Event]| partitions(events, since).len() == expected;
            if let Err(state) = driver.wait(LIMIT, all) {
                self.stuck.push(format!("the {what} does not go on {when}: {state}"));
            }
        }
    }
}

fn partitions(events: &[Event], since: u64) -> HashSet<u32> {
    let of = |event: &Event| match event {
        Event::Ack { t, p, .. } | Event::Rec { t, p, .. } if *t >= since => Some(*p),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

/// What the topics of an administrator begin with.
fn made(topic: &str) -> String {
    format!("made-{topic}")
}

struct Ended {
    library: Library,
    history: ClientHistory,
    made: Vec<String>,
    stuck: Vec<String>,
}

/// Stops what produces and makes topics, and waits for the end of the former.
fn stop_producers(clients: &mut [Client]) {
    for client in &mut *clients {
        client.producer.stop();
        client.admin.stop();
    }
    for client in clients {
        let done = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Done { .. }));
        if client.producer.wait(CLOSE, done).is_err() {
            client.stuck.push("the producer does not end".to_owned());
        }
    }
}

/// Stops the consumers, and waits for the end of everything.
fn end(mut clients: Vec<Client>) -> Vec<Ended> {
    for client in &mut clients {
        client.consumer.stop();
    }
    let end = |client: Client| {
        let (name, produced) = (client.library.name(), client.producer.finish(CLOSE));
        let mut history = ClientHistory::new(name, &produced, &client.consumer.finish(CLOSE));
        let mut admin = ClientHistory::new(&made(&client.topic), &client.admin.finish(CLOSE), &[]);
        history.errors.append(&mut admin.errors);
        let made = admin.acks.into_iter().map(|ack| ack.value).collect();
        Ended { library: client.library, history, made, stuck: client.stuck }
    };
    clients.into_iter().map(end).collect()
}

impl Client {
    /// Waits until every acknowledged record that `counts` has been read. A consumer may be amid reading again what it had not committed,
    /// so that it has read the last one is not enough. What is not read at the end of the wait is found by the judge.
    fn wait_read(&self, counts: impl Fn(&str) -> bool) {
        let name = self.library.name();
        let mut wanted: HashSet<String> = self.producer.look(|events| {
            let acked = events.iter().filter_map(|event| match event {
                Event::Ack { seq, .. } => Some(format!("{name}-{seq}")),
                _ => None,
            });
            acked.filter(|value| counts(value)).collect()
        });
        let _ = wait_for(LIMIT, || {
            self.consumer.look(|events| {
                for event in events {
                    if let Event::Rec { v, .. } = event {
                        wanted.remove(v);
                    }
                }
            });
            if wanted.is_empty() { Ok(()) } else { Err(format!("{} records are missing", wanted.len())) }
        });
    }
}

/// The wall clock that the drivers stamp their lines with.
fn now_ns() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

//! The clusters, the proxy and the clients of the demo.

use super::say;
use crate::run::Running;
use pointsman_core::{config::Config, snapshot::Snapshot};
use pointsman_testkit::{
    clients::{ClientKind, Driver, DriverSpec, Event, Mode, Program, install},
    history::ClientHistory,
    kafka::{Cluster, ClusterSpec, Kafka, free_ports},
    log::ClusterLog,
    process::wait_for,
};
use std::{
    collections::HashSet,
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{runtime::Runtime, sync::watch};

pub(super) const PARTITIONS: u32 = 6;
const TOPIC: &str = "demo";
const SLOTS: u16 = 5;
const FIRST_PORT: u16 = 9092;
const PRODUCERS: [&str; 2] = ["producer-1", "producer-2"];
const IN_SYNC: Duration = Duration::from_secs(60);
const CLOSE: Duration = Duration::from_secs(10);

/// Everything on stage.
pub(super) struct Stage {
    kafka: Kafka,
    pub(super) primary: Cluster,
    pub(super) secondary: Cluster,
    producers: Vec<Driver>,
    consumer: Driver,
    running: Option<Running>,
    moves: Moves,
}

/// Every change of the active cluster: when, and which one since then.
type Moves = Arc<Mutex<Vec<(u64, Option<Arc<str>>)>>>;

impl Stage {
    /// Starts all of it and waits until every producer and the consumer are at work on every partition.
    pub(super) fn set(runtime: &Runtime) -> Result<Self, String> {
        Kafka::available()?;
        say("fetching Apache Kafka, if this is the first time ...");
        let kafka = Kafka::install()?;
        let program = install(ClientKind::Java)?;
        say("starting a primary of 5 brokers and a secondary of 3 ...");
        let mut primary = Cluster::spawn(&kafka, ClusterSpec::new("primary", 5))?;
        let mut secondary = Cluster::spawn(&kafka, ClusterSpec::new("secondary", 3))?;
        primary.wait_ready()?;
        secondary.wait_ready()?;
        for cluster in [&primary, &secondary] {
            cluster.create_topic(TOPIC, PARTITIONS as usize, 3, &[("min.insync.replicas", "2")])?;
            cluster.wait_in_sync(TOPIC, IN_SYNC)?;
        }
        let first = first_free_port()?;
        let config = config(&primary, &secondary, first)?;
        let running = runtime.block_on(Running::start(config)).map_err(|e| e.to_string())?;
        let moves = note_moves(runtime, running.snapshots());
        say(&format!("Pointsman serves 127.0.0.1:{first}-{}: any Kafka client can join", first + SLOTS - 1));
        let (producers, consumer) = clients(&program, first)?;
        Ok(Self { kafka, primary, secondary, producers, consumer, running: Some(running), moves })
    }

    /// When a cluster became active, at or after `since`.
    pub(super) fn active_since(&self, name: &str, since: u64) -> Result<u64, String> {
        let moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        let found = moves.iter().find(|(at, active)| *at >= since && active.as_deref() == Some(name));
        let serving = moves.last().and_then(|(_, active)| active.as_deref()).unwrap_or("no cluster");
        found.map(|(at, _)| *at).ok_or_else(|| format!("{serving} serves"))
    }

    /// Waits until each producer has been acknowledged, and the consumer has read, on every partition since `since`.
    pub(super) fn wait_traffic(&self, since: u64, limit: Duration) -> Result<(), String> {
        wait_for(limit, || self.traffic(since))
    }

    fn traffic(&self, since: u64) -> Result<(), String> {
        for driver in self.producers.iter().chain([&self.consumer]) {
            let seen = driver.look(|events| partitions_since(events, since));
            if seen < PARTITIONS as usize {
                return Err(format!("{}: {seen} of {PARTITIONS} partitions", driver.client()));
            }
        }
        Ok(())
    }

    /// Stops the producers, lets the consumer catch up with what was acknowledged since `since`, and collects what everybody saw.
    pub(super) fn finish(&mut self, since: u64) -> Vec<ClientHistory> {
        self.producers.iter_mut().for_each(Driver::stop);
        // A consumer that does not catch up is a result too.
        let _ = wait_for(CLOSE, || self.caught_up(since));
        self.consumer.stop();
        let consumed = self.consumer.look(<[Event]>::to_vec);
        let produced = self.producers.iter().map(|p| (p.client().to_owned(), p.look(<[Event]>::to_vec)));
        let mut histories: Vec<ClientHistory> =
            produced.map(|(client, events)| ClientHistory::new(&client, &events, &[])).collect();
        histories.push(ClientHistory::new("consumer", &[], &consumed));
        histories
    }

    fn caught_up(&self, since: u64) -> Result<(), String> {
        let got: HashSet<String> = self.consumer.look(|events| events.iter().filter_map(value).collect());
        for producer in &self.producers {
            let missing = producer.look(|events| {
                let acked = events.iter().filter_map(|event| match event {
                    Event::Ack { t, seq, .. } if *t >= since => Some(format!("{}-{seq}", producer.client())),
                    _ => None,
                });
                acked.filter(|value| !got.contains(value)).count()
            });
            if missing > 0 {
                return Err(format!("{missing} records of {} not consumed", producer.client()));
            }
        }
        Ok(())
    }

    /// The logs of both clusters.
    pub(super) fn logs(&self) -> Result<(ClusterLog, ClusterLog), String> {
        let read = |cluster| ClusterLog::read(&self.kafka, cluster, TOPIC);
        Ok((read(&self.primary)?, read(&self.secondary)?))
    }

    /// Waits until the primary's replicas are in sync again.
    pub(super) fn wait_primary_in_sync(&self) -> Result<(), String> {
        self.primary.wait_in_sync(TOPIC, IN_SYNC)
    }

    /// Leaves everything running until Ctrl-C.
    pub(super) fn stay(&self, runtime: &Runtime) {
        say("everything is still running; Ctrl-C ends it");
        let _ = runtime.block_on(tokio::signal::ctrl_c());
    }

    /// Ends everything.
    pub(super) fn strike(mut self, runtime: &Runtime) {
        if let Some(running) = self.running.take() {
            runtime.block_on(running.stop());
        }
    }
}

fn note_moves(runtime: &Runtime, mut snapshots: watch::Receiver<Arc<Snapshot>>) -> Moves {
    let moves = Moves::default();
    let noted = moves.clone();
    runtime.spawn(async move {
        loop {
            note_move(&noted, active(&snapshots.borrow_and_update()));
            if snapshots.changed().await.is_err() {
                return;
            }
        }
    });
    moves
}

fn note_move(moves: &Moves, active: Option<Arc<str>>) {
    let mut moves = moves.lock().unwrap_or_else(PoisonError::into_inner);
    if moves.last().is_none_or(|(_, last)| *last != active) {
        moves.push((now_ns(), active));
    }
}

fn active(snapshot: &Snapshot) -> Option<Arc<str>> {
    snapshot.virtual_clusters.first()?.active.as_ref().map(|a| a.cluster.name.clone())
}

fn clients(program: &Program, first: u16) -> Result<(Vec<Driver>, Driver), String> {
    let bootstrap = format!("127.0.0.1:{first}");
    let start = |mode, name: &str| Driver::start(program, &DriverSpec::new(mode, name, &bootstrap, TOPIC));
    let consumer = start(Mode::Consume, "consumer")?;
    let producers = PRODUCERS.iter().map(|name| start(Mode::Produce, name)).collect::<Result<_, _>>()?;
    Ok((producers, consumer))
}

fn config(primary: &Cluster, secondary: &Cluster, first: u16) -> Result<Config, String> {
    let servers = |cluster: &Cluster| cluster.bootstrap().replace(',', ", ");
    let admin = free_ports(1)?[0];
    let state = std::env::temp_dir().join(format!("pointsman-demo-{}.json", std::process::id()));
    let text = format!(
        "admin: {{ listen: 127.0.0.1:{admin} }}\n\
         state: {{ file: {} }}\n\
         clusters:\n  primary: {{ bootstrap_servers: [{}] }}\n  secondary: {{ bootstrap_servers: [{}] }}\n\
         virtual_clusters:\n  main:\n    listen: 127.0.0.1:{first}-{}\n    chain: [primary, secondary]\n    \
         failover: {{ hold: 3s }}\n",
        state.display(),
        servers(primary),
        servers(secondary),
        first + SLOTS - 1,
    );
    Config::parse(&text, "the demo's configuration", std::path::Path::new("")).map_err(|e| e.to_string())
}

/// The first range of ports from 9092 on in which all are free.
fn first_free_port() -> Result<u16, String> {
    let free = |port: &u16| (*port..port + SLOTS).all(|p| TcpListener::bind(("127.0.0.1", p)).is_ok());
    let found = (FIRST_PORT..u16::MAX - SLOTS).step_by(usize::from(SLOTS)).take(1000).find(free);
    found.ok_or_else(|| "no five ports in a row are free".to_owned())
}

fn value(event: &Event) -> Option<String> {
    match event {
        Event::Rec { v, .. } => Some(v.clone()),
        _ => None,
    }
}

fn partitions_since(events: &[Event], since: u64) -> usize {
    let partition = |event: &Event| match event {
        Event::Ack { t, p, .. } | Event::Rec { t, p, .. } if *t >= since => Some(*p),
        _ => None,
    };
    events.iter().filter_map(partition).collect::<HashSet<u32>>().len()
}

/// The wall clock that the clients stamp their lines with.
pub(super) fn now_ns() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

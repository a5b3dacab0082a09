//! Metadata of one cluster: all topics, every [`ALL_TOPICS_INTERVAL`] and whenever routing met something unknown.
//!
//! One broker is asked, on a kept connection, healthy ones first; the next one if it fails. What it says goes straight
//! into the shared topology. Where probes do not speak Kafka, this is also how brokers and versions become known.

use crate::{
    clock::Clock,
    kafka::{CallError, Connection, LastGood, dial},
    tasks::Tasks,
};
use pointsman_core::{
    config::Address,
    limits::{ALL_TOPICS_INTERVAL, METADATA_GAP},
    offer::Offer,
    topology::{Observation, TopologyCell},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};

/// Deadline of one answer; it doubles up to [`MAX_DEADLINE`] while no broker keeps it, because a large cluster needs longer.
const DEADLINE: Duration = Duration::from_secs(2);
const MAX_DEADLINE: Duration = Duration::from_secs(16);
/// Pause after no broker could be asked.
const RETRY: Duration = Duration::from_secs(1);

/// What a refresh found.
#[derive(Debug)]
pub(crate) struct Refreshed {
    /// The broker that was asked.
    pub(crate) broker: Address,
    /// What it can do.
    pub(crate) offer: Offer,
    /// The brokers it listed.
    pub(crate) brokers: Vec<(i32, Address)>,
    /// Partitions without leader, of how many.
    pub(crate) leaderless: (usize, usize),
}

/// The handle of the task; dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Refresher {
    stale: Arc<Notify>,
    brokers: watch::Sender<Vec<Address>>,
    tasks: Tasks,
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.tasks.stop.cancel();
    }
}

impl Refresher {
    /// Starts the task. It begins as soon as it knows a broker; `report` must not block.
    pub(crate) fn start(
        topology: Arc<TopologyCell>,
        clock: Clock,
        tasks: &Tasks,
        report: impl Fn(Refreshed) + Send + Sync + 'static,
    ) -> Self {
        let tasks = tasks.child();
        let stale = Arc::new(Notify::new());
        let (brokers, known) = watch::channel(Vec::new());
        let task = Task { topology, clock, known, kept: None, deadline: DEADLINE };
        tasks.spawn(task.run(stale.clone(), report));
        Self { stale, brokers, tasks }
    }

    /// Asks for metadata soon; questions closer together than [`METADATA_GAP`] are one.
    pub(crate) fn refresh(&self) {
        self.stale.notify_one();
    }

    /// Sets whom to ask, best first.
    pub(crate) fn set_brokers(&self, brokers: Vec<Address>) {
        self.brokers.send_if_modified(|known| {
            let changed = *known != brokers;
            *known = brokers;
            changed
        });
    }
}

struct Task {
    topology: Arc<TopologyCell>,
    clock: Clock,
    known: watch::Receiver<Vec<Address>>,
    kept: Option<(Address, Connection)>,
    deadline: Duration,
}

impl Task {
    async fn run(mut self, stale: Arc<Notify>, report: impl Fn(Refreshed)) {
        if self.known.wait_for(|brokers| !brokers.is_empty()).await.is_err() {
            return;
        }
        loop {
            let asked = Instant::now();
            let pause = match self.refresh().await {
                Some(refreshed) => {
                    report(refreshed);
                    ALL_TOPICS_INTERVAL
                }
                None => RETRY,
            };
            sleep_until(asked + METADATA_GAP).await;
            tokio::select! {
                () = stale.notified() => {}
                () = sleep_until(asked + pause) => {}
            }
        }
    }

    async fn refresh(&mut self) -> Option<Refreshed> {
        let brokers = self.known.borrow_and_update().clone();
        for broker in brokers {
            match timeout(self.deadline, self.ask(&broker)).await {
                Ok(Ok((offer, observation))) => {
                    self.deadline = DEADLINE;
                    return Some(self.take(broker, offer, &observation));
                }
                Ok(Err(error)) => tracing::debug!(%broker, "no metadata: {error}"),
                Err(_) => {
                    tracing::debug!(%broker, "no metadata within {:?}", self.deadline);
                    self.deadline = (self.deadline * 2).min(MAX_DEADLINE);
                }
            }
        }
        None
    }

    async fn ask(&mut self, broker: &Address) -> Result<(Offer, Observation), CallError> {
        if let Some((_, mut connection)) = self.kept.take().filter(|(whose, _)| whose == broker)
            && let Ok(answer) = Self::ask_on(&mut connection).await
        {
            self.kept = Some((broker.clone(), connection));
            return Ok(answer);
        }
        let mut connection = Connection::new(dial(broker, &LastGood::default()).await?);
        let answer = Self::ask_on(&mut connection).await?;
        self.kept = Some((broker.clone(), connection));
        Ok(answer)
    }

    async fn ask_on(connection: &mut Connection) -> Result<(Offer, Observation), CallError> {
        let offer = connection.api_versions().await?;
        Ok((offer, connection.metadata(true).await?))
    }

    fn take(&self, broker: Address, offer: Offer, observation: &Observation) -> Refreshed {
        self.topology.merge(observation, self.clock.now());
        let partitions = || observation.topics.iter().flat_map(|t| &t.partitions);
        let leaderless = partitions().filter(|p| p.leader < 0).count();
        let brokers = observation.brokers.iter().map(|(node, a, _)| (*node, a.clone())).collect();
        Refreshed { broker, offer, brokers, leaderless: (leaderless, partitions().count()) }
    }
}

//! The task that fetches the partitions of one assignment: from all leaders at once, one long poll per leader.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use pointsman_wire::Struct;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{ConsumerConfig, Event, Told, offsets, progress::Round, response};
use crate::client::{
    ClientError,
    backoff::Backoff,
    cluster::{Cluster, Lane},
    codes,
    connection::Connection,
};

const FETCH: i16 = 1;
/// From this version on topics go by their ids.
const TOPIC_IDS: i16 = 13;

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The offset of the next record.
    pub(crate) offset: i64,
    /// The leader epoch of the record before it; −1 when it is not known (KIP-320).
    pub(crate) epoch: i32,
}

struct Partition {
    /// `None`: the policy decides, and the cluster has yet to say where that is.
    position: Option<Position>,
    under_way: bool,
    not_before: Instant,
    backoff: Backoff,
}

/// What a task brings back about the partitions that it took along.
enum Done {
    Fetched { node: i32, partitions: Vec<i32>, answer: Result<Struct, ClientError> },
    Reset { partitions: Vec<i32>, answer: Result<BTreeMap<i32, Result<Position, ClientError>>, ClientError> },
    Refreshed(Result<(), ClientError>),
}

pub(super) struct Fetcher {
    config: ConsumerConfig,
    cluster: Arc<Cluster>,
    events: mpsc::Sender<Told>,
    round: Round,
    partitions: BTreeMap<i32, Partition>,
    /// Nodes that hold a fetch of ours.
    polled: HashSet<i32>,
    tasks: JoinSet<Done>,
    stale: bool,
    refreshing: bool,
    refresh_not_before: Instant,
    refresh_backoff: Backoff,
}

impl Fetcher {
    pub(super) fn new(
        config: ConsumerConfig,
        cluster: Arc<Cluster>,
        events: mpsc::Sender<Told>,
        round: Round,
        assigned: &[i32],
    ) -> Self {
        let now = Instant::now();
        let partition =
            || Partition { position: None, under_way: false, not_before: now, backoff: cluster.backoff() };
        Self {
            partitions: assigned.iter().map(|index| (*index, partition())).collect(),
            refresh_backoff: cluster.backoff(),
            config,
            cluster,
            events,
            round,
            polled: HashSet::new(),
            tasks: JoinSet::new(),
            stale: false,
            refreshing: false,
            refresh_not_before: now,
        }
    }

    /// Runs until it is dropped, or nobody takes events any more.
    pub(super) async fn run(mut self) {
        let assigned = Event::Assigned(self.partitions.keys().copied().collect());
        self.tell(assigned).await;
        self.begin_at_committed().await;
        while !self.events.is_closed() {
            let now = Instant::now();
            self.refresh(now);
            self.reset(now);
            self.poll(now);
            let wake = self.wake(now);
            tokio::select! {
                Some(done) = self.tasks.join_next() => {
                    if let Ok(done) = done {
                        self.done(done).await;
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
                () = self.events.closed() => return,
            }
        }
    }

    async fn tell(&self, event: Event) {
        // When nobody takes events any more, `run` ends.
        let _ = self.events.send(Told { event, behind: None }).await;
    }

    async fn note(&self, words: String) {
        self.tell(Event::Note(words)).await;
    }

    async fn begin_at_committed(&mut self) {
        let indexes: Vec<i32> = self.partitions.keys().copied().collect();
        let mut backoff = self.cluster.backoff();
        while !indexes.is_empty() {
            match self.committed(&indexes).await {
                Ok(found) => {
                    for (index, position) in found {
                        self.partitions.entry(index).and_modify(|p| p.position = Some(position));
                    }
                    return;
                }
                Err(error) => {
                    if !error.is_retriable() {
                        self.tell(Event::Error(error)).await;
                    }
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    async fn committed(&self, indexes: &[i32]) -> Result<BTreeMap<i32, Position>, ClientError> {
        let address = self.cluster.find_coordinator(&self.config.group).await?;
        let connection = self.cluster.connection(Lane::Control, &address).await?;
        offsets::committed(&connection, &self.config.group, &self.config.topic, indexes).await
    }

    fn refresh(&mut self, now: Instant) {
        let due = self.cluster.due().is_none_or(|due| due <= now);
        if self.refreshing || !(self.stale || due) || now < self.refresh_not_before {
            return;
        }
        self.refreshing = true;
        let (cluster, topics) = (Arc::clone(&self.cluster), vec![self.config.topic.clone()]);
        let seen = cluster.generation();
        self.tasks.spawn(async move { Done::Refreshed(cluster.refresh(&topics, seen).await) });
    }

    /// Partitions by leader that wait for nothing and have a position, or have none.
    fn ready(&mut self, now: Instant, positioned: bool) -> BTreeMap<i32, Vec<i32>> {
        let ready = |p: &Partition| !p.under_way && now >= p.not_before && p.position.is_some() == positioned;
        let indexes: Vec<i32> =
            self.partitions.iter().filter(|(_, p)| ready(p)).map(|(index, _)| *index).collect();
        let (led, orphans) = self.cluster.by_leader(&self.config.topic, &indexes);
        self.stale |= !orphans.is_empty();
        led
    }

    fn take(&mut self, indexes: &[i32]) {
        for index in indexes {
            self.partitions.entry(*index).and_modify(|p| p.under_way = true);
        }
    }

    /// Asks where partitions without a position begin or end.
    fn reset(&mut self, now: Instant) {
        for (node, partitions) in self.ready(now, false) {
            self.take(&partitions);
            let (cluster, topic, which) =
                (Arc::clone(&self.cluster), self.config.topic.clone(), self.config.reset);
            self.tasks.spawn(async move {
                let answer = match cluster.node(Lane::Control, node).await {
                    Ok(connection) => offsets::list(&cluster, &connection, &topic, &partitions, which).await,
                    Err(error) => Err(error),
                };
                Done::Reset { partitions, answer }
            });
        }
    }

    /// Sends a fetch to every leader that has none of ours.
    fn poll(&mut self, now: Instant) {
        for (node, partitions) in self.ready(now, true) {
            if !self.polled.insert(node) {
                continue;
            }
            self.take(&partitions);
            let id = self.cluster.metadata(|m| m.topic(&self.config.topic).map(|t| t.id)).unwrap_or_default();
            let most = if id.is_nil() { TOPIC_IDS - 1 } else { i16::MAX };
            let body = self.request(id.into_bytes(), &partitions);
            let cluster = Arc::clone(&self.cluster);
            let fetch = async move {
                let connection: Arc<Connection> = cluster.node(Lane::Data, node).await?;
                connection.call(FETCH, connection.version(FETCH, most)?, &body).await
            };
            self.tasks.spawn(async move { Done::Fetched { node, partitions, answer: fetch.await } });
        }
    }

    fn request(&self, id: [u8; 16], indexes: &[i32]) -> Struct {
        let topic = self.config.topic.as_str();
        let partition = |index: &i32| {
            let position = self.partitions.get(index)?.position?;
            let epoch = self.cluster.metadata(|m| m.leader(topic, *index)).map_or(-1, |leader| leader.epoch);
            let partition = Struct::new()
                .with("Partition", *index)
                .with("CurrentLeaderEpoch", epoch)
                .with("FetchOffset", position.offset)
                .with("LastFetchedEpoch", position.epoch)
                .with("PartitionMaxBytes", self.config.partition_max_bytes);
            Some(partition)
        };
        let partitions: Vec<Struct> = indexes.iter().filter_map(partition).collect();
        let topic = Struct::new().with("Topic", topic).with("TopicId", id).with("Partitions", partitions);
        let wait = i32::try_from(self.config.max_wait.as_millis()).unwrap_or(i32::MAX);
        Struct::new()
            .with("MaxWaitMs", wait)
            .with("MinBytes", 1)
            .with("MaxBytes", self.config.max_bytes)
            .with("Topics", vec![topic])
    }

    /// When to look again if nothing comes back.
    fn wake(&self, now: Instant) -> Instant {
        let waiting = self.partitions.values().filter(|p| !p.under_way).map(|p| p.not_before);
        let refresh = if self.stale { Some(self.refresh_not_before) } else { self.cluster.due() };
        let refresh = refresh.filter(|_| !self.refreshing).map(|at| at.max(self.refresh_not_before));
        let next = waiting.filter(|at| *at > now).chain(refresh).min();
        next.unwrap_or_else(|| now + self.config.client.metadata_max_age)
    }

    async fn done(&mut self, done: Done) {
        match done {
            Done::Refreshed(result) => {
                self.refreshing = false;
                self.stale = result.is_err();
                if result.is_ok() {
                    self.refresh_backoff.reset();
                }
                self.refresh_not_before = Instant::now() + self.refresh_backoff.next();
            }
            Done::Reset { partitions, answer } => self.resets(partitions, answer).await,
            Done::Fetched { node, partitions, answer } => {
                self.polled.remove(&node);
                self.fetched(partitions, answer).await;
            }
        }
    }

    async fn resets(
        &mut self,
        partitions: Vec<i32>,
        answer: Result<BTreeMap<i32, Result<Position, ClientError>>, ClientError>,
    ) {
        for index in partitions {
            self.partitions.entry(index).and_modify(|p| p.under_way = false);
            let told = match &answer {
                Ok(found) => found.get(&index).cloned(),
                Err(error) => Some(Err(error.clone())),
            };
            match told {
                Some(Ok(position)) => self.move_to(index, position),
                Some(Err(error)) => self.failed(index, error, false).await,
                None => {}
            }
        }
    }

    fn move_to(&mut self, index: i32, position: Position) {
        if let Some(partition) = self.partitions.get_mut(&index) {
            partition.position = Some(position);
            partition.backoff.reset();
        }
    }

    async fn failed(&mut self, index: i32, error: ClientError, new_leader: bool) {
        self.stale |= error.protocol_code().is_none_or(codes::stale_metadata);
        if let Some(partition) = self.partitions.get_mut(&index) {
            let wait = if new_leader { Duration::ZERO } else { partition.backoff.next() };
            partition.not_before = Instant::now() + wait;
        }
        if !error.is_retriable() {
            self.tell(Event::Error(error)).await;
        }
    }

    async fn fetched(&mut self, partitions: Vec<i32>, answer: Result<Struct, ClientError>) {
        for index in &partitions {
            self.partitions.entry(*index).and_modify(|p| p.under_way = false);
        }
        let checked = answer.and_then(|a| ClientError::check("Fetch", a.i16("ErrorCode")).map(|()| a));
        let answer = match checked {
            Ok(answer) => answer,
            Err(error) => {
                for index in partitions {
                    self.failed(index, error.clone(), false).await;
                }
                return;
            }
        };
        for index in partitions {
            let Some(position) = self.partitions.get(&index).and_then(|p| p.position) else { continue };
            let told = response::read(&self.cluster, &self.config.topic, &answer, index, position);
            self.take_in(index, position, told).await;
        }
    }

    async fn take_in(&mut self, index: i32, position: Position, told: response::Told) {
        match told {
            response::Told::Records(records, behind) => {
                self.move_to(index, behind);
                if !records.is_empty() {
                    let event = Event::Records { partition: index, records };
                    let _ = self.events.send(Told { event, behind: Some((self.round, behind)) }).await;
                }
            }
            response::Told::OutOfRange => {
                let (from, policy) = (position.offset, self.config.reset);
                self.partitions.entry(index).and_modify(|p| p.position = None);
                self.note(format!("partition {index}: the log has no offset {from}; going to {policy:?}"))
                    .await;
            }
            response::Told::Diverged(end) => {
                let from = position.offset;
                self.move_to(index, end);
                let to = end.offset;
                self.note(format!("partition {index}: the log was truncated; going from {from} to {to}"))
                    .await;
            }
            response::Told::Failed { error, new_leader } => self.failed(index, error, new_leader).await,
        }
    }
}

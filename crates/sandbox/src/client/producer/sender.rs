//! The task of a producer: one loop that owns all partitions, and short tasks that only wait for one answer each.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use pointsman_wire::{Struct, Value};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    ProduceError, ProducerConfig,
    partition::{Batch, Partition, Pending},
    request::{self, PRODUCE, TOPIC_IDS, Verdict},
    sequencer::{Identity, Outcome, Sending},
};
use crate::client::{
    ClientError,
    backoff::Backoff,
    batch::{self, Stamp},
    cluster::{Cluster, Lane},
    connection::{Answer, Connection},
};

const INIT_PRODUCER_ID: i16 = 22;

/// A record for a partition.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) partition: i32,
    pub(super) pending: Pending,
}

/// What a task brings back.
enum Done {
    Produced { node: i32, tokens: Vec<(i32, u64)>, answer: Result<Struct, ClientError> },
    Connected { node: i32, connection: Result<Arc<Connection>, ClientError> },
    Refreshed(Result<(), ClientError>),
    Named(Result<Identity, ClientError>),
}

/// One broker that leads partitions.
#[derive(Default)]
struct Node {
    connection: Option<Arc<Connection>>,
    connecting: bool,
    under_way: usize,
}

pub(super) struct Sender {
    config: ProducerConfig,
    cluster: Arc<Cluster>,
    queue: mpsc::Receiver<Queued>,
    closing: bool,
    partitions: BTreeMap<i32, Partition>,
    nodes: HashMap<i32, Node>,
    identity: Option<Identity>,
    tasks: JoinSet<Done>,
    metadata: Chore,
    naming: Chore,
}

/// Something that one task at a time does, with back-off.
struct Chore {
    wanted: bool,
    running: bool,
    not_before: Instant,
    backoff: Backoff,
}

impl Chore {
    fn new(backoff: Backoff) -> Self {
        Self { wanted: true, running: false, not_before: Instant::now(), backoff }
    }

    /// Is it time? Then it counts as begun.
    fn begin(&mut self, now: Instant) -> bool {
        let begin = self.wanted && !self.running && now >= self.not_before;
        self.running |= begin;
        begin
    }

    fn end(&mut self, worked: bool) {
        self.running = false;
        self.wanted = !worked;
        if worked {
            self.backoff.reset();
        }
        self.not_before = Instant::now() + self.backoff.clone().next();
        if !worked {
            self.backoff.next();
        }
    }

    fn wake(&self) -> Option<Instant> {
        (self.wanted && !self.running).then_some(self.not_before)
    }
}

impl Sender {
    pub(super) fn new(config: ProducerConfig, queue: mpsc::Receiver<Queued>) -> Self {
        let cluster = Arc::new(Cluster::new(config.client.clone()));
        let (metadata, naming) = (Chore::new(cluster.backoff()), Chore::new(cluster.backoff()));
        Self {
            config,
            cluster,
            queue,
            closing: false,
            partitions: BTreeMap::new(),
            nodes: HashMap::new(),
            identity: None,
            tasks: JoinSet::new(),
            metadata,
            naming,
        }
    }

    pub(super) async fn run(mut self) {
        while !(self.closing && self.partitions.values().all(Partition::is_empty)) {
            let now = Instant::now();
            self.expire(now);
            self.chores(now);
            self.send_ready(now);
            let wake = self.wake();
            tokio::select! {
                queued = self.queue.recv(), if !self.closing => match queued {
                    Some(queued) => self.push(queued),
                    None => self.closing = true,
                },
                Some(done) = self.tasks.join_next() => {
                    if let Ok(done) = done {
                        self.done(done);
                    }
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    fn push(&mut self, queued: Queued) {
        let (now, backoff) = (Instant::now(), self.cluster.backoff());
        let partition =
            self.partitions.entry(queued.partition).or_insert_with(|| Partition::new(backoff, now));
        partition.push(queued.pending, now, self.config.batch_size);
        if let Some(identity) = self.identity.filter(|_| !partition.is_named()) {
            partition.name(identity, self.config.max_in_flight);
        }
    }

    fn expire(&mut self, now: Instant) {
        for partition in self.partitions.values_mut() {
            for batch in partition.expire(now, self.config.delivery_timeout) {
                batch.failed(&ProduceError::TimedOut { last: partition.last_error.clone() });
            }
        }
    }

    fn wake(&self) -> Option<Instant> {
        let now = Instant::now();
        let later = self.partitions.values().filter_map(|p| p.wake(now, &self.config, self.closing));
        let metadata = self.metadata.wake().or_else(|| self.cluster.due().filter(|_| !self.metadata.running));
        later.chain(metadata).chain(self.naming.wake()).min()
    }

    /// Starts what is wanted besides sending: metadata, and a name.
    fn chores(&mut self, now: Instant) {
        self.metadata.wanted |= self.cluster.due().is_some_and(|due| due <= now);
        if self.metadata.begin(now) {
            let (cluster, topics) = (Arc::clone(&self.cluster), vec![self.config.topic.clone()]);
            let seen = cluster.generation();
            self.tasks.spawn(async move { Done::Refreshed(cluster.refresh(&topics, seen).await) });
        }
        self.naming.wanted |= self.partitions.values().any(Partition::wants_identity);
        if self.naming.begin(now) {
            let cluster = Arc::clone(&self.cluster);
            self.tasks.spawn(async move { Done::Named(init_producer_id(&cluster).await) });
        }
    }

    /// Sends everything that is ready and has a leader with room.
    fn send_ready(&mut self, now: Instant) {
        loop {
            let ready: Vec<i32> = self
                .partitions
                .iter()
                .filter(|(_, p)| p.is_ready(now, &self.config, self.closing))
                .map(|(partition, _)| *partition)
                .collect();
            let (led, orphans) = self.cluster.by_leader(&self.config.topic, &ready);
            self.metadata.wanted |= !orphans.is_empty();
            let mut sent = false;
            for (node, partitions) in led {
                sent |= self.send_to(node, &partitions);
            }
            if !sent {
                return;
            }
        }
    }

    /// Sends one batch of each of the partitions to their leader, if there is a connection with room.
    fn send_to(&mut self, id: i32, partitions: &[i32]) -> bool {
        let node = self.nodes.entry(id).or_default();
        let open = node.connection.as_ref().filter(|connection| connection.is_open());
        let Some(connection) = open.cloned() else {
            node.connection = None;
            if !node.connecting {
                node.connecting = true;
                let cluster = Arc::clone(&self.cluster);
                let connect = async move { cluster.node(Lane::Data, id).await };
                self.tasks.spawn(async move { Done::Connected { node: id, connection: connect.await } });
            }
            return false;
        };
        if node.under_way >= self.config.max_in_flight.max(1) {
            return false;
        }
        node.under_way += 1;
        let (tokens, data) = self.take(partitions);
        let answer = self.submit(&connection, data);
        self.tasks.spawn(async move {
            let answer = match answer {
                Ok(answer) => answer.get().await,
                Err(error) => Err(error),
            };
            Done::Produced { node: id, tokens, answer }
        });
        true
    }

    fn submit(&self, connection: &Connection, data: Vec<Struct>) -> Result<Answer, ClientError> {
        let topic = &self.config.topic;
        let id = self.cluster.metadata(|m| m.topic(topic).map(|t| t.id)).unwrap_or_default();
        let most = if id.is_nil() { TOPIC_IDS - 1 } else { i16::MAX };
        let version = connection.version(PRODUCE, most)?;
        let timeout = i32::try_from(self.config.client.request_timeout.as_millis()).unwrap_or(i32::MAX);
        connection.submit(PRODUCE, version, &request::produce(topic, id, timeout, data))
    }

    /// The next batch of each partition, marked as under way.
    fn take(&mut self, partitions: &[i32]) -> (Vec<(i32, u64)>, Vec<Struct>) {
        let mut taken = (Vec::new(), Vec::new());
        for index in partitions {
            let Some(partition) = self.partitions.get_mut(index) else { continue };
            let new =
                partition.sequencer().is_some_and(|s| s.may_admit()).then(|| partition.next()).flatten();
            let Some(sequencer) = partition.sequencer() else { continue };
            let sending = match new {
                Some(batch) => {
                    let count = batch.count();
                    Some(sequencer.admit(batch, count))
                }
                None => sequencer.resend(),
            };
            if let Some(Sending { token, identity, sequence, batch }) = sending {
                let stamp = Stamp { id: identity.id, epoch: identity.epoch, sequence };
                let records = batch::encode(&batch.records, stamp);
                taken.0.push((*index, token));
                taken.1.push(Struct::new().with("Index", *index).with("Records", records));
            }
        }
        taken
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Produced { node, tokens, answer } => self.produced(node, tokens, &answer),
            Done::Connected { node, connection } => self.connected(node, connection),
            Done::Refreshed(result) => {
                self.metadata.end(result.is_ok());
                if let Err(error) = result {
                    self.note(&error);
                }
            }
            Done::Named(Ok(identity)) => {
                self.naming.end(true);
                self.identity = Some(identity);
                for partition in self.partitions.values_mut() {
                    partition.name(identity, self.config.max_in_flight);
                }
            }
            Done::Named(Err(error)) => {
                self.naming.end(false);
                self.note(&error);
                if !error.is_retriable() {
                    self.refuse(&ProduceError::Refused(error));
                }
            }
        }
    }

    /// Gives everything up that is not under way.
    fn refuse(&mut self, error: &ProduceError) {
        let now = Instant::now();
        for partition in self.partitions.values_mut() {
            for batch in partition.expire(now, Duration::ZERO) {
                batch.failed(error);
            }
        }
    }

    /// Remembers why nothing goes on, for the records that time out.
    fn note(&mut self, error: &ClientError) {
        for partition in self.partitions.values_mut() {
            partition.last_error = Some(error.clone());
        }
    }

    fn connected(&mut self, id: i32, connection: Result<Arc<Connection>, ClientError>) {
        let node = self.nodes.entry(id).or_default();
        node.connecting = false;
        match connection {
            Ok(connection) => node.connection = Some(connection),
            Err(error) => self.unreachable(id, &error),
        }
    }

    /// The leader has probably moved. Everything it led waits a moment, and metadata is asked meanwhile.
    fn unreachable(&mut self, id: i32, error: &ClientError) {
        self.metadata.wanted = true;
        let all: Vec<i32> = self.partitions.keys().copied().collect();
        let led = self.cluster.by_leader(&self.config.topic, &all).0.remove(&id).unwrap_or_default();
        for index in led {
            if let Some(partition) = self.partitions.get_mut(&index) {
                partition.last_error = Some(error.clone());
                partition.not_before = Instant::now() + partition.backoff.next();
            }
        }
    }

    fn produced(&mut self, id: i32, tokens: Vec<(i32, u64)>, answer: &Result<Struct, ClientError>) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.under_way = node.under_way.saturating_sub(1);
        }
        for (index, token) in tokens {
            let verdict = match answer {
                Ok(answer) => request::verdict(&self.cluster, &self.config.topic, answer, index),
                Err(error) => Verdict::unanswered(error),
            };
            self.metadata.wanted |= verdict.stale;
            self.settle(index, token, verdict);
        }
    }

    fn settle(&mut self, index: i32, token: u64, verdict: Verdict) {
        let Some(partition) = self.partitions.get_mut(&index) else { return };
        let settled = partition.sequencer().and_then(|s| s.settle(token, verdict.outcome));
        if let Some(batch) = settled {
            finish(batch, index, &verdict);
        }
        match verdict.outcome {
            Outcome::Acked => {
                partition.backoff.reset();
                partition.last_error = None;
            }
            _ => {
                let wait = if verdict.new_leader { Duration::ZERO } else { partition.backoff.next() };
                partition.not_before = Instant::now() + wait;
                partition.last_error = verdict.error;
            }
        }
    }
}

fn finish(batch: Batch, partition: i32, verdict: &Verdict) {
    match (&verdict.error, verdict.outcome) {
        (_, Outcome::Acked) => batch.acked(partition, verdict.base_offset),
        (Some(error), _) => batch.failed(&ProduceError::Refused(error.clone())),
        (None, _) => batch.failed(&ProduceError::Closed),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Asks for a producer id. Without a transactional id every broker gives a new one.
async fn init_producer_id(cluster: &Cluster) -> Result<Identity, ClientError> {
    cluster
        .ask_any(|connection| async move {
            let version = connection.version(INIT_PRODUCER_ID, i16::MAX)?;
            let body =
                Struct::new().with("TransactionalId", Value::Null).with("TransactionTimeoutMs", i32::MAX);
            let answer = connection.call(INIT_PRODUCER_ID, version, &body).await?;
            ClientError::check("InitProducerId", answer.i16("ErrorCode"))?;
            Ok(Identity { id: answer.int("ProducerId"), epoch: answer.i16("ProducerEpoch") })
        })
        .await
}

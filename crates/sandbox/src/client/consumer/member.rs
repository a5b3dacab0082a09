//! The task of a member: the group protocol. What it is assigned is fetched by a task of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use pointsman_wire::Struct;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    ConsumerConfig, Event, Told,
    assignor::assign,
    fetch::{Fetcher, Position},
    progress::Progress,
    protocol::{Partitions, decode_assignment, decode_subscription},
    requests::{self, HEARTBEAT, JOIN_GROUP, Joined, LEAVE_GROUP, Membership, SYNC_GROUP},
};
use crate::client::{
    ClientError,
    backoff::Backoff,
    cluster::{Cluster, Lane},
    codes,
    connection::Connection,
};

/// A join is answered at the end of the rebalance; so much longer it may take to arrive.
const JOIN_SLACK: Duration = Duration::from_secs(5);

/// Why a member stops fetching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The group distributes anew; what was processed can still be committed.
    Rebalance,
    /// The group goes on without us.
    Lost,
}

pub(super) struct Member {
    config: ConsumerConfig,
    cluster: Arc<Cluster>,
    events: mpsc::Sender<Told>,
    progress: Arc<Progress>,
    stopped: watch::Receiver<bool>,
    coordinator: Option<String>,
    me: Membership,
    /// Partitions of the topics that were assigned, when we lead the group.
    counts: Option<BTreeMap<String, usize>>,
    committed: BTreeMap<i32, Position>,
    backoff: Backoff,
    noted: String,
}

impl Member {
    pub(super) fn new(
        config: ConsumerConfig,
        events: mpsc::Sender<Told>,
        progress: Arc<Progress>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let cluster = Arc::new(Cluster::new(config.client.clone()));
        let backoff = cluster.backoff();
        Self {
            config,
            cluster,
            events,
            progress,
            stopped,
            coordinator: None,
            me: Membership::NONE,
            counts: None,
            committed: BTreeMap::new(),
            backoff,
            noted: String::new(),
        }
    }

    /// Runs until it is stopped; then commits and leaves.
    pub(super) async fn run(mut self) {
        let mut stopped = self.stopped.clone();
        loop {
            let joined = tokio::select! {
                joined = self.join() => joined,
                _ = stopped.wait_for(|stopped| *stopped) => break,
            };
            let Ok(assigned) = joined else { continue };
            let mut fetching = JoinSet::new();
            fetching.spawn(self.fetcher(&assigned).run());
            let end = tokio::select! {
                end = self.keep_alive() => Some(end),
                _ = stopped.wait_for(|stopped| *stopped) => None,
            };
            drop(fetching);
            self.give_up(end).await;
            if end.is_none() {
                break;
            }
        }
        self.leave().await;
    }

    fn fetcher(&self, assigned: &[i32]) -> Fetcher {
        let (cluster, events) = (Arc::clone(&self.cluster), self.events.clone());
        Fetcher::new(self.config.clone(), cluster, events, self.progress.round(), assigned)
    }

    /// Joins and learns what is assigned. After a failure it has already waited when it returns.
    async fn join(&mut self) -> Result<Vec<i32>, ()> {
        match self.try_join().await {
            Ok(assigned) => {
                self.backoff.reset();
                self.noted.clear();
                Ok(assigned.get(&self.config.topic).cloned().unwrap_or_default())
            }
            Err(error) => {
                let end = self.judge(&error);
                let wait = self.backoff.next();
                // A rebalance that begins while we sync is over only after the next join.
                if end != Some(End::Rebalance) {
                    tokio::time::sleep(wait).await;
                }
                Err(())
            }
        }
    }

    async fn try_join(&mut self) -> Result<Partitions, ClientError> {
        let connection = self.coordinator().await?;
        let joined = self.join_group(&connection).await?;
        let assignments = match &joined.members {
            Some(members) => self.assignments(members).await?,
            None => {
                self.counts = None;
                BTreeMap::new()
            }
        };
        let body = requests::sync(&self.config, &self.me, &joined.protocol, &assignments);
        let answer = self.ask(&connection, SYNC_GROUP, i16::MAX, &body, self.join_limit()).await?;
        let bytes = answer.bytes("Assignment").cloned().unwrap_or_default();
        decode_assignment(&bytes).ok_or_else(|| ClientError::Protocol {
            address: connection.address().to_owned(),
            what: "an assignment that ends early".to_owned(),
        })
    }

    async fn join_group(&mut self, connection: &Connection) -> Result<Joined, ClientError> {
        let version = connection.version(JOIN_GROUP, i16::MAX)?;
        loop {
            let body = requests::join(&self.config, &self.me);
            let answer = connection.call_within(JOIN_GROUP, version, &body, self.join_limit()).await?;
            let code = answer.i16("ErrorCode");
            if code == codes::MEMBER_ID_REQUIRED && self.me.id.is_empty() {
                answer.str("MemberId").clone_into(&mut self.me.id);
                continue;
            }
            ClientError::check("JoinGroup", code)?;
            self.me =
                Membership { id: answer.str("MemberId").to_owned(), generation: answer.i32("GenerationId") };
            return Ok(requests::joined(&answer));
        }
    }

    fn join_limit(&self) -> Duration {
        self.config.rebalance_timeout + JOIN_SLACK
    }

    /// What everyone gets, decided by us as the leader of the group.
    async fn assignments(
        &mut self,
        members: &BTreeMap<String, bytes::Bytes>,
    ) -> Result<BTreeMap<String, Partitions>, ClientError> {
        let subscription = |bytes| decode_subscription(bytes).unwrap_or_default();
        let subscriptions: BTreeMap<String, Vec<String>> =
            members.iter().map(|(member, bytes)| (member.clone(), subscription(bytes))).collect();
        let topics: BTreeSet<String> = subscriptions.values().flatten().cloned().collect();
        let topics = Vec::from_iter(topics);
        self.cluster.refresh(&topics, self.cluster.generation()).await?;
        let counts = self.partition_counts(topics.iter());
        let assignments = assign(&subscriptions, &counts);
        self.counts = Some(counts);
        Ok(assignments)
    }

    fn partition_counts<'a>(&self, topics: impl Iterator<Item = &'a String>) -> BTreeMap<String, usize> {
        self.cluster.metadata(|m| {
            let count = |name: &String| m.topic(name).map_or(0, |topic| topic.leaders.len());
            topics.map(|name| (name.clone(), count(name))).collect()
        })
    }

    /// Heartbeats and commits, until there is a reason to stop fetching.
    async fn keep_alive(&mut self) -> End {
        let mut heartbeat = Instant::now() + self.config.heartbeat_interval;
        let mut commit = Instant::now() + self.config.commit_interval;
        loop {
            tokio::time::sleep_until(heartbeat.min(commit)).await;
            let commits = commit <= heartbeat;
            let result = if commits { self.commit_changes().await } else { self.heartbeat().await };
            let now = Instant::now();
            let wait = match result {
                Ok(()) => {
                    self.backoff.reset();
                    None
                }
                Err(error) => match self.judge(&error) {
                    Some(end) => return end,
                    None => Some(self.backoff.next()),
                },
            };
            if commits {
                commit = now + wait.unwrap_or(self.config.commit_interval);
            } else {
                heartbeat = now + wait.unwrap_or(self.config.heartbeat_interval);
            }
            if self.topics_changed() {
                return End::Rebalance;
            }
        }
    }

    /// The leader distributes anew when a topic has other partitions than it distributed.
    fn topics_changed(&self) -> bool {
        self.counts.as_ref().is_some_and(|counts| self.partition_counts(counts.keys()) != *counts)
    }

    async fn heartbeat(&mut self) -> Result<(), ClientError> {
        let connection = self.coordinator().await?;
        let limit = self.config.client.request_timeout.min(self.config.session_timeout / 2);
        let body = requests::heartbeat(&self.config, &self.me);
        self.ask(&connection, HEARTBEAT, i16::MAX, &body, limit).await.map(drop)
    }

    async fn commit_changes(&mut self) -> Result<(), ClientError> {
        let processed = self.progress.processed();
        self.commit(&processed).await
    }

    async fn commit(&mut self, processed: &BTreeMap<i32, Position>) -> Result<(), ClientError> {
        let new = |(index, position): &(&i32, &Position)| self.committed.get(index) != Some(position);
        let changes: BTreeMap<_, _> = processed.iter().filter(new).map(|(i, p)| (*i, *p)).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let connection = self.coordinator().await?;
        let (key, most) = (requests::OFFSET_COMMIT, requests::OFFSET_COMMIT_MAX);
        let body = requests::commit(&self.config, &self.me, &changes);
        let limit = self.config.client.request_timeout;
        let answer = self.ask(&connection, key, most, &body, limit).await?;
        for partition in answer.structs("Topics").flat_map(|t| t.structs("Partitions")) {
            ClientError::check("OffsetCommit", partition.i16("ErrorCode"))?;
        }
        self.committed.extend(changes);
        Ok(())
    }

    /// Ends the round: nothing of it is handed out any more, and what was processed is committed if it still can be.
    async fn give_up(&mut self, end: Option<End>) {
        let limit = self.config.session_timeout.min(self.config.rebalance_timeout) / 2;
        let processed = self.progress.end_round(limit).await;
        if end != Some(End::Lost) {
            self.last_commit(&processed, Instant::now() + limit).await;
        }
        self.committed.clear();
    }

    async fn last_commit(&mut self, processed: &BTreeMap<i32, Position>, deadline: Instant) {
        while let Err(error) = self.commit(processed).await {
            // While members are awaited a commit of the old generation is taken; when it is not, it is too late.
            let lost = self.judge(&error).is_some();
            let wait = self.backoff.next();
            if lost || Instant::now() + wait > deadline {
                self.note(format!("some records will come again: {error}"));
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Leaves the group, so that the others need not wait for the session time-out.
    async fn leave(&mut self) {
        if self.me.id.is_empty() {
            return;
        }
        // The group's own connection may be waiting for the answer of a join.
        let Ok(address) = self.coordinator_address().await else { return };
        let Ok(connection) = self.cluster.connection(Lane::Control, &address).await else { return };
        let Ok(version) = connection.version(LEAVE_GROUP, i16::MAX) else { return };
        // If it fails, the session time-out does the same.
        let _ =
            connection.call(LEAVE_GROUP, version, &requests::leave(&self.config, &self.me, version)).await;
    }

    async fn ask(
        &self,
        connection: &Connection,
        key: i16,
        most: i16,
        body: &Struct,
        limit: Duration,
    ) -> Result<Struct, ClientError> {
        let version = connection.version(key, most)?;
        let answer = connection.call_within(key, version, body, limit).await?;
        ClientError::check(crate::client::connection::api_name(key), answer.i16("ErrorCode"))?;
        Ok(answer)
    }

    async fn coordinator(&mut self) -> Result<Arc<Connection>, ClientError> {
        let address = self.coordinator_address().await?;
        self.cluster.connection(Lane::Group, &address).await
    }

    async fn coordinator_address(&mut self) -> Result<String, ClientError> {
        if let Some(address) = &self.coordinator {
            return Ok(address.clone());
        }
        let address = self.cluster.find_coordinator(&self.config.group).await?;
        self.coordinator = Some(address.clone());
        Ok(address)
    }

    /// Draws the consequences of an error; says whether it ends the assignment.
    fn judge(&mut self, error: &ClientError) -> Option<End> {
        let end = match error.protocol_code() {
            Some(codes::REBALANCE_IN_PROGRESS) => return Some(End::Rebalance),
            Some(codes::ILLEGAL_GENERATION) => {
                self.me.generation = -1;
                Some(End::Lost)
            }
            // A commit for a group that is gone is answered with 69 from version 9 on.
            Some(codes::UNKNOWN_MEMBER_ID | codes::FENCED_INSTANCE_ID | codes::GROUP_ID_NOT_FOUND) => {
                self.me = Membership::NONE;
                Some(End::Lost)
            }
            Some(codes::COORDINATOR_LOAD_IN_PROGRESS) => None,
            Some(code) if codes::retriable(code) => {
                self.coordinator = None;
                None
            }
            Some(_) => {
                self.tell(Event::Error(error.clone()));
                Some(End::Lost)
            }
            None => {
                self.coordinator = None;
                None
            }
        };
        self.note(error.to_string());
        end
    }

    /// Tells what happened, unless that was told last or nobody listens: the group must not wait for the application.
    fn note(&mut self, words: String) {
        if words != self.noted {
            self.noted.clone_from(&words);
            self.tell(Event::Note(words));
        }
    }

    fn tell(&self, event: Event) {
        // Notes are left out when the application lets events pile up.
        let _ = self.events.try_send(Told { event, behind: None });
    }
}

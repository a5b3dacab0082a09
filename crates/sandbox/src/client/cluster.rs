//! One client's way to a cluster: its metadata and its connections, opened when needed and opened again when broken.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pointsman_wire::{Struct, Value};
use tokio::time::Instant;

use super::{
    ClientConfig, ClientError,
    backoff::Backoff,
    codes,
    connection::Connection,
    metadata::{self, Metadata},
};

const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;

/// What a connection is for. Answers come in order, so what waits long must not share one with what is urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Metadata and everything short.
    Control,
    /// Produce and Fetch.
    Data,
    /// The group protocol, where a join waits for other members.
    Group,
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

/// The way to a cluster. Its connections end when it is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    config: ClientConfig,
    state: Mutex<State>,
    slots: Mutex<HashMap<(Lane, String), Slot>>,
    /// Held while metadata is asked for, so that many who want it ask once.
    refreshing: tokio::sync::Mutex<()>,
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    metadata: Metadata,
    /// Counts answers, so that one can tell whether an answer is newer than what one saw.
    generation: u64,
    updated: Option<Instant>,
}

impl Cluster {
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self {
            config,
            state: Mutex::default(),
            slots: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.config
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(&self.config)
    }

    /// Looks at the metadata, or changes it.
    pub(crate) fn metadata<T>(&self, look: impl FnOnce(&mut Metadata) -> T) -> T {
        look(&mut self.state().metadata)
    }

    /// How many answers there have been, for [`refresh`](Self::refresh).
    pub(crate) fn generation(&self) -> u64 {
        self.state().generation
    }

    /// When metadata is due again by its age; `None` when there is none yet.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.state().updated.map(|at| at + self.config.metadata_max_age)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the metadata of `topics`, unless somebody did since `seen`. Known brokers are asked first, from another
    /// one each time; when none answers, those of the bootstrap list.
    pub(crate) async fn refresh(&self, topics: &[String], seen: u64) -> Result<(), ClientError> {
        let _turn = self.refreshing.lock().await;
        if self.generation() > seen {
            return Ok(());
        }
        let answer = self.ask_any(|connection| ask_metadata(connection, topics)).await?;
        let mut state = self.state();
        state.metadata.update(&answer);
        state.generation += 1;
        state.updated = Some(Instant::now());
        let addresses: Vec<String> = state.metadata.brokers().values().cloned().collect();
        drop(state);
        self.forget_connections_but(&addresses);
        Ok(())
    }

    fn forget_connections_but(&self, addresses: &[String]) {
        let wanted =
            |address: &String| addresses.contains(address) || self.config.bootstrap.contains(address);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(_, address), _| wanted(address));
    }

    /// Asks one broker after the other until one gives an answer that is no error.
    pub(crate) async fn ask_any<T, F>(&self, ask: impl Fn(Arc<Connection>) -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut last = ClientError::Nowhere { what: "broker: the bootstrap list is empty".to_owned() };
        for address in self.candidates() {
            let answer = match self.connection(Lane::Control, &address).await {
                Ok(connection) => ask(connection).await,
                Err(error) => Err(error),
            };
            match answer {
                Err(error) if error.is_retriable() => last = error,
                answer => return answer,
            }
        }
        Err(last)
    }

    /// Known brokers, each time from the next one on; then the bootstrap list.
    fn candidates(&self) -> Vec<String> {
        let mut addresses: Vec<String> = self.metadata(|m| m.brokers().values().cloned().collect());
        if !addresses.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % addresses.len();
            addresses.rotate_left(first);
        }
        let more: Vec<_> = self.config.bootstrap.iter().filter(|a| !addresses.contains(a)).cloned().collect();
        addresses.extend(more);
        addresses
    }

    /// The connection of this lane to an address: the open one, or a new one.
    pub(crate) async fn connection(&self, lane: Lane, address: &str) -> Result<Arc<Connection>, ClientError> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry((lane, address.to_owned())).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.is_open()) {
            return Ok(Arc::clone(connection));
        }
        *slot = None;
        let connection = Arc::new(Connection::open(address, &self.config).await?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// The connection of this lane to a node.
    pub(crate) async fn node(&self, lane: Lane, node: i32) -> Result<Arc<Connection>, ClientError> {
        let address = self.metadata(|m| m.address(node).map(str::to_owned));
        let nowhere = || ClientError::Nowhere { what: format!("address of node {node}") };
        self.connection(lane, &address.ok_or_else(nowhere)?).await
    }

    /// The address of a group's coordinator, asked of any broker.
    pub(crate) async fn find_coordinator(&self, group: &str) -> Result<String, ClientError> {
        self.ask_any(|connection| async move {
            let version = connection.version(FIND_COORDINATOR, i16::MAX)?;
            let keys = Value::Array(vec![group.into()]);
            let body = if version >= 4 {
                Struct::new().with("CoordinatorKeys", keys)
            } else {
                Struct::new().with("Key", group)
            };
            let answer = connection.call(FIND_COORDINATOR, version, &body).await?;
            let found = answer.structs("Coordinators").next().unwrap_or(&answer);
            ClientError::check("FindCoordinator", found.i16("ErrorCode"))?;
            let nowhere = || ClientError::Nowhere { what: format!("coordinator of {group}") };
            metadata::address(found).ok_or_else(nowhere)
        })
        .await
    }

    /// Partitions by the node that leads them, and those that nobody leads.
    pub(crate) fn by_leader(&self, topic: &str, partitions: &[i32]) -> (BTreeMap<i32, Vec<i32>>, Vec<i32>) {
        let mut led: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        let mut orphans = Vec::new();
        let state = self.state();
        for partition in partitions {
            match state.metadata.leader(topic, *partition) {
                Some(leader) => led.entry(leader.node).or_default().push(*partition),
                None => orphans.push(*partition),
            }
        }
        (led, orphans)
    }

    /// Waits until the topic is known with all its leaders.
    ///
    /// # Errors
    /// It is not, within `limit`.
    pub(crate) async fn know(&self, topic: &str, limit: Duration) -> Result<(), ClientError> {
        let (deadline, mut backoff) = (Instant::now() + limit, self.backoff());
        loop {
            let asked = self.refresh(&[topic.to_owned()], self.generation()).await;
            let state = self.metadata(|m| (m.topic(topic).is_some(), m.topic_error(topic)));
            let error = match (asked, state) {
                (Ok(()), (true, None)) if self.all_led(topic) => return Ok(()),
                (Ok(()), (_, Some(code))) => ClientError::code("Metadata", code),
                (Ok(()), _) => ClientError::code("Metadata", codes::LEADER_NOT_AVAILABLE),
                (Err(error), _) => error,
            };
            let wait = backoff.next();
            if !error.is_retriable() || Instant::now() + wait > deadline {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn all_led(&self, topic: &str) -> bool {
        self.metadata(|m| {
            m.topic(topic).is_some_and(|t| !t.leaders.is_empty() && t.leaders.iter().all(|l| l.node >= 0))
        })
    }
}

async fn ask_metadata(connection: Arc<Connection>, topics: &[String]) -> Result<Struct, ClientError> {
    let version = connection.version(METADATA, i16::MAX)?;
    let topics: Vec<Struct> = topics.iter().map(|name| Struct::new().with("Name", name.as_str())).collect();
    let body = Struct::new().with("Topics", topics).with("AllowAutoTopicCreation", false);
    let answer = connection.call(METADATA, version, &body).await?;
    ClientError::check("Metadata", answer.i16("ErrorCode"))?;
    Ok(answer)
}

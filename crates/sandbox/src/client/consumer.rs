//! A member of a classic consumer group: joins, fetches from all leaders at once, commits, and rejoins when it must.
//!
//! ```text
//!   find coordinator ─▶ join ─▶ sync ─▶ committed offsets ─▶ fetch, heartbeat, commit ─▶ revoke (commit) ─┐
//!          ▲              ▲                                                                               │
//!          │              └───────────────────────── rebalance ───────────────────────────────────────────┤
//!          └──────────── coordinator gone                                                       close ─▶ leave
//! ```
//!
//! It commits what was processed: the records of an event count as processed when the next event is asked for. So a
//! record is handed out again after a crash, never skipped.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use self::{
    fetch::Position,
    member::Member,
    progress::{Progress, Round},
};
use super::{ClientConfig, ClientError};

pub use super::batch::StoredRecord;

pub mod assignor;
pub(crate) mod fetch;
mod member;
pub(crate) mod offsets;
mod progress;
pub mod protocol;
mod requests;
mod response;

/// Events that may wait for [`Consumer::next`]; each holds at most one partition's part of a response.
const EVENTS: usize = 8;

/// Where to begin in a partition without a committed offset, or with one that the log does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// At the first record there is.
    Earliest,
    /// Behind the last record there is.
    Latest,
}

/// Settings of a consumer. The defaults are those of the Java client, except that it begins at the earliest record.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// Where the cluster is, and how long to wait for it.
    pub client: ClientConfig,
    /// The group.
    pub group: String,
    /// The topic; it must exist.
    pub topic: String,
    /// The name of this member in the group (KIP-345): who joins under it takes the place of who did before, and nobody waits for
    /// that one's session to end. Default none; where there is one, no two members may have the same.
    pub instance: Option<String>,
    /// Where to begin without a usable offset. Default [`Reset::Earliest`].
    pub reset: Reset,
    /// How long the coordinator waits for a sign of life. Default 45 s; within the broker's limits (6 s to 30 min).
    pub session_timeout: Duration,
    /// Time between two heartbeats. Default 3 s; above 0, at most a third of `session_timeout`.
    pub heartbeat_interval: Duration,
    /// How long a member may take to come back at a rebalance. Default 60 s; above 0.
    pub rebalance_timeout: Duration,
    /// Time between two commits. Default 5 s; above 0.
    pub commit_interval: Duration,
    /// How long a broker holds a fetch when there is nothing new. Default 500 ms; 0 or more, below the request time-out.
    pub max_wait: Duration,
    /// Bytes of one response. Default 50 MiB; above 0.
    pub max_bytes: i32,
    /// Bytes of one partition in a response; a larger batch comes nevertheless. Default 1 MiB; above 0.
    pub partition_max_bytes: i32,
}

impl ConsumerConfig {
    /// The defaults for a group and a topic.
    #[must_use]
    pub fn new(client: ClientConfig, group: &str, topic: &str) -> Self {
        Self {
            client,
            group: group.to_owned(),
            topic: topic.to_owned(),
            instance: None,
            reset: Reset::Earliest,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            rebalance_timeout: Duration::from_secs(60),
            commit_interval: Duration::from_secs(5),
            max_wait: Duration::from_millis(500),
            max_bytes: 50 * 1024 * 1024,
            partition_max_bytes: 1024 * 1024,
        }
    }
}

/// What a consumer tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Records of one partition, in order.
    Records {
        /// The partition.
        partition: i32,
        /// At least one record.
        records: Vec<StoredRecord>,
    },
    /// The group has given this member these partitions, instead of those it had.
    Assigned(Vec<i32>),
    /// Something happened that the consumer mends itself.
    Note(String),
    /// Something that does not go away by itself, such as a lack of authorisation. The consumer goes on trying.
    Error(ClientError),
}

/// An event with the round of the group it belongs to, and for records with the position behind them.
#[derive(Debug)]
pub(crate) struct Told {
    event: Event,
    behind: Option<(Round, Position)>,
}

/// A running member. Dropping it ends it without leaving the group; see [`close`](Self::close).
#[derive(Debug)]
pub struct Consumer {
    events: mpsc::Receiver<Told>,
    progress: Arc<Progress>,
    stop: watch::Sender<bool>,
    task: JoinSet<()>,
}

impl Consumer {
    /// Starts a member. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(config: ConsumerConfig) -> Self {
        let (teller, events) = mpsc::channel(EVENTS);
        let (stop, stopped) = watch::channel(false);
        let progress = Arc::new(Progress::default());
        let mut task = JoinSet::new();
        task.spawn(Member::new(config, teller, Arc::clone(&progress), stopped).run());
        Self { events, progress, stop, task }
    }

    /// The next event. Asking for it says that the records of the last one are processed. Cancel-safe.
    pub async fn next(&mut self) -> Event {
        loop {
            self.progress.asked();
            let Some(told) = self.events.recv().await else {
                // Only a fault in the task itself ends it before `close`.
                return std::future::pending().await;
            };
            match (told.event, told.behind) {
                (Event::Records { partition, records }, Some((round, position))) => {
                    // What a former assignment had fetched belongs to somebody else now.
                    if self.progress.hand_out(round, partition, position) {
                        return Event::Records { partition, records };
                    }
                }
                (event, _) => return event,
            }
        }
    }

    /// Commits what was handed out, leaves the group and ends, for as long as `deadline`.
    ///
    /// # Errors
    /// It did not come to that in time; the group will miss this member only after its session time-out.
    pub async fn close(mut self, deadline: Duration) -> Result<(), ClientError> {
        self.progress.asked();
        self.stop.send_replace(true);
        // Nobody takes events any more, and nobody may wait for room among them.
        self.events.close();
        let ended = timeout(deadline, self.task.join_next()).await;
        let late = |_| ClientError::TimedOut { address: "the coordinator".to_owned(), api: "LeaveGroup" };
        ended.map(drop).map_err(late)
    }
}

//! Whether a broker reaches a metadata quorum.
//!
//! In KRaft, Metadata names any live broker as controller and so proves nothing; DescribeQuorum is forwarded to the real
//! one. While controllers elect a leader it hangs at every broker, and that is no failure: only after
//! [`METADATA_QUORUM_GRACE`] without a good answer the broker counts as cut off. It is asked on a connection of its own,
//! because a broker answers one request after the other.

use super::fair::{Timed, fair};
use crate::kafka::{CallError, Connection, LastGood, dial};
use pointsman_core::{config::Address, limits::METADATA_QUORUM_GRACE};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
/// Where the question cannot be asked, it is tried again after this time: rights and versions change.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Deadline of one question. Several in a row must fail, so that one long pause of this process is no verdict.
const DEADLINE: Duration = Duration::from_secs(2);
const IN_A_ROW: u32 = 3;

/// What is known of the way to the metadata quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Not asked yet, or a leader answered lately.
    Well,
    /// So many questions since then had no good answer.
    Lost(Instant, u32),
    /// The broker does not offer the question: ZooKeeper mode, or an old version.
    Unsupported,
    /// The credentials do not allow it.
    NotAllowed,
}

/// The shared answer.
#[derive(Debug, Clone)]
pub(crate) struct QuorumWatch(Arc<Mutex<Reach>>);

impl QuorumWatch {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Reach::Well)))
    }

    pub(crate) fn reach(&self) -> Reach {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long the broker has been cut off, if that is beyond doubt.
    pub(crate) fn cut_off(&self) -> Option<Duration> {
        match self.reach() {
            Reach::Lost(since, times) if times >= IN_A_ROW => {
                Some(since.elapsed()).filter(|elapsed| *elapsed >= METADATA_QUORUM_GRACE)
            }
            _ => None,
        }
    }

    fn set(&self, reach: Reach) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reach;
    }

    fn lost(&self, asked: Instant) {
        let (since, times) = match self.reach() {
            Reach::Lost(since, times) => (since, times),
            _ => (asked, 0),
        };
        self.set(Reach::Lost(since, times.saturating_add(1)));
    }

    /// Asks on and on.
    pub(crate) async fn run(self, broker: Address, interval: Duration) {
        let known = LastGood::default();
        let mut connection = None;
        loop {
            let asked = Instant::now();
            let pause = match fair(DEADLINE, ask(&broker, &known, &mut connection)).await {
                Timed::Done(answer) => self.take(&answer, asked, interval),
                Timed::Silent => {
                    connection = None;
                    self.lost(asked);
                    interval
                }
                Timed::Starved => {
                    connection = None;
                    interval
                }
            };
            sleep(pause).await;
        }
    }

    fn take(&self, answer: &Result<Option<i32>, CallError>, asked: Instant, interval: Duration) -> Duration {
        match answer {
            Ok(Some(leader)) if *leader >= 0 => self.set(Reach::Well),
            Ok(Some(_)) => self.lost(asked),
            Ok(None) => {
                self.set(Reach::Unsupported);
                return ASK_AGAIN;
            }
            Err(CallError::Code(TOPIC_AUTHORIZATION_FAILED | CLUSTER_AUTHORIZATION_FAILED)) => {
                self.set(Reach::NotAllowed);
                return ASK_AGAIN;
            }
            Err(CallError::Code(_)) => self.lost(asked),
            // The broker itself does not answer: that is the business of the other probes.
            Err(_) => {}
        }
        interval
    }
}

async fn ask(
    broker: &Address,
    known: &LastGood,
    kept: &mut Option<Connection>,
) -> Result<Option<i32>, CallError> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => {
            let mut new = Connection::new(dial(broker, known).await?);
            new.api_versions().await?;
            new
        }
    };
    let answer = connection.quorum_leader().await;
    if matches!(answer, Ok(_) | Err(CallError::Code(_))) {
        *kept = Some(connection);
    }
    answer
}

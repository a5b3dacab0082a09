//! Whether a broker reaches a metadata quorum.
//!
//! In KRaft, Metadata names any live broker as controller and so proves nothing. Two signs prove something:
//! - the offset up to which the broker has read the metadata. It comes with every ApiVersions and moves every half second
//!   while there is a quorum, so while it moves nothing else is asked;
//! - DescribeQuorum, which the broker forwards to the controller. A good answer proves a quorum. No answer proves little:
//!   it hangs while controllers elect a leader, and for up to half a minute at a controller that is paused, long after
//!   the others have elected another one.
//!
//! So a broker counts as cut off only when for [`METADATA_QUORUM_GRACE`] the offset stood still and no question had a good
//! answer. It is asked on a connection of its own, because a broker answers one request after the other.

use super::fair::{Timed, fair};
use crate::kafka::{CallError, Connection, LastGood, dial};
use pointsman_core::{config::Address, limits::METADATA_QUORUM_GRACE};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
/// Where the question cannot be asked, it is tried again after this time: rights and versions change.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Metadata that has stood still for so long is a reason to ask. It moves every half second by default.
const STILL: Duration = Duration::from_millis(1_500);
/// Deadline of one question. Several in a row must fail, so that one long pause of this process is no verdict.
const DEADLINE: Duration = Duration::from_secs(2);
const IN_A_ROW: u32 = 3;

/// What is known of the way to the metadata quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Not asked yet, or there was a sign of life lately.
    Well,
    /// So many questions since then had no good answer.
    Lost(Instant, u32),
    /// The broker does not offer the question: ZooKeeper mode, or an old version.
    Unsupported,
    /// The credentials do not allow it.
    NotAllowed,
}

#[derive(Debug)]
struct Known {
    reach: Reach,
    /// Newest offset of the metadata, and when it last moved.
    offset: Option<(i64, Instant)>,
}

/// The shared answer.
#[derive(Debug, Clone)]
pub(crate) struct QuorumWatch(Arc<Mutex<Known>>);

impl QuorumWatch {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Known { reach: Reach::Well, offset: None })))
    }

    pub(crate) fn reach(&self) -> Reach {
        self.known().reach
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

    /// Takes in how far the broker has read the metadata.
    pub(crate) fn saw_offset(&self, offset: i64) {
        let mut known = self.known();
        if known.offset.is_some_and(|(before, _)| before == offset) {
            return;
        }
        let moved = known.offset.replace((offset, Instant::now())).is_some();
        if moved && matches!(known.reach, Reach::Lost(..)) {
            known.reach = Reach::Well;
        }
    }

    /// Whether the metadata moved since.
    fn moved_since(&self, then: Instant) -> bool {
        self.known().offset.is_some_and(|(_, at)| at >= then)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, reach: Reach) {
        self.known().reach = reach;
    }

    fn lost(&self, asked: Instant) {
        if self.moved_since(asked) {
            return;
        }
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
        let mut asked_once = false;
        loop {
            let asked = Instant::now();
            // Once is always asked: whether it can be asked at all is something operators want to know.
            if std::mem::replace(&mut asked_once, true) && self.moved_since(asked - STILL) {
                sleep(interval).await;
                continue;
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn questions_without_answer_cut_a_broker_off_after_the_grace() {
        let watch = QuorumWatch::new();
        let first = Instant::now();
        for _ in 0..3 {
            watch.lost(first);
            assert_eq!(watch.cut_off(), None);
        }
        advance(METADATA_QUORUM_GRACE).await;
        assert_eq!(watch.cut_off(), Some(METADATA_QUORUM_GRACE));
        assert_eq!(watch.take(&Ok(Some(1)), first, SECOND), SECOND);
        assert_eq!(watch.cut_off(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_long_pause_is_no_verdict() {
        let watch = QuorumWatch::new();
        watch.lost(Instant::now());
        advance(METADATA_QUORUM_GRACE * 10).await;
        assert_eq!(watch.cut_off(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_hangs_at_a_paused_controller_means_nothing_while_metadata_moves() {
        let watch = QuorumWatch::new();
        for offset in 0..30 {
            let asked = Instant::now();
            advance(SECOND).await;
            watch.saw_offset(offset);
            watch.lost(asked);
            assert_eq!(watch.cut_off(), None);
        }
        for _ in 0..8 {
            let asked = Instant::now();
            advance(SECOND).await;
            watch.saw_offset(29);
            watch.lost(asked);
        }
        assert!(watch.cut_off().is_some(), "now it stands still: {watch:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_question_cannot_be_asked_nothing_is_concluded() {
        let watch = QuorumWatch::new();
        assert_eq!(watch.take(&Ok(None), Instant::now(), SECOND), ASK_AGAIN);
        assert_eq!(watch.reach(), Reach::Unsupported);
        assert_eq!(watch.take(&Err(CallError::Code(31)), Instant::now(), SECOND), ASK_AGAIN);
        advance(METADATA_QUORUM_GRACE * 2).await;
        assert_eq!((watch.reach(), watch.cut_off()), (Reach::NotAllowed, None));
    }
}

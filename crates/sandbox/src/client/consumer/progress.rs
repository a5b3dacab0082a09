//! How far the application has come, shared between the handle and the member's task.
//!
//! Rounds number the assignments. What belongs to a former round is not handed out, and while the application works on
//! records of the present round, the round does not end: another member gets the partition with all of them committed.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use super::fetch::Position;

/// The number of an assignment.
pub(crate) type Round = u64;

/// Positions behind what was processed.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    state: Mutex<State>,
    idle: Notify,
}

#[derive(Debug, Default)]
struct State {
    round: Round,
    processed: BTreeMap<i32, Position>,
    /// What the application works on.
    out: Option<(i32, Position)>,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The application asks for more: it is done with what it had.
    pub(crate) fn asked(&self) {
        let mut state = self.state();
        if let Some((partition, position)) = state.out.take() {
            state.processed.insert(partition, position);
        }
        drop(state);
        self.idle.notify_waiters();
    }

    /// Is this still ours to hand out? Then the application works on it from now on.
    pub(crate) fn hand_out(&self, round: Round, partition: i32, behind: Position) -> bool {
        let mut state = self.state();
        let current = state.round == round;
        if current {
            state.out = Some((partition, behind));
        }
        current
    }

    /// The number of the present assignment.
    pub(crate) fn round(&self) -> Round {
        self.state().round
    }

    /// What was processed in this round.
    pub(crate) fn processed(&self) -> BTreeMap<i32, Position> {
        self.state().processed.clone()
    }

    /// Ends the round and returns what was processed in it. Waits for the application to finish what it works on, for
    /// as long as `limit`.
    pub(crate) async fn end_round(&self, limit: Duration) -> BTreeMap<i32, Position> {
        self.state().round += 1;
        let _ = timeout(limit, self.until_idle()).await;
        let mut state = self.state();
        state.out = None;
        std::mem::take(&mut state.processed)
    }

    async fn until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.state().out.is_none() {
                return;
            }
            idle.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Position = Position { offset: 5, epoch: 1 };

    #[tokio::test]
    async fn what_is_worked_on_is_committed_and_nothing_of_the_old_round_is_handed_out() {
        let progress = Progress::default();
        let round = progress.round();
        assert!(progress.hand_out(round, 0, FIRST));
        assert!(progress.processed().is_empty(), "not processed yet");
        let (ended, ()) = tokio::join!(progress.end_round(Duration::from_secs(10)), async {
            assert!(!progress.hand_out(round, 1, FIRST), "the round has ended");
            progress.asked();
        });
        assert_eq!(ended, BTreeMap::from([(0, FIRST)]));
        assert!(progress.processed().is_empty());
    }

    #[tokio::test]
    async fn an_application_that_does_not_come_back_is_not_waited_for_for_ever() {
        let progress = Progress::default();
        assert!(progress.hand_out(progress.round(), 0, FIRST));
        assert_eq!(progress.end_round(Duration::ZERO).await, BTreeMap::new());
        progress.asked();
        assert!(progress.processed().is_empty(), "it was worked on in the former round");
    }
}

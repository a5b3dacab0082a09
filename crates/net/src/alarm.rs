//! A timer that is set seldom although its time changes often.

use std::{future::Future, pin::Pin, task::Context};
use tokio::time::{Instant, Sleep, sleep_until};

/// Rings at the time asked for last. One that is set for an earlier time stays so, and is set anew only when that comes: a ring too
/// many costs less than setting it for each wait.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    set: bool,
}

impl Alarm {
    /// Whether `due` has come. If not, the task is woken by then.
    pub(crate) fn poll(&mut self, due: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(due) = due else { return false };
        loop {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if !self.set || sleep.deadline() > due {
                sleep.as_mut().reset(due);
                self.set = true;
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.set = false;
            if due <= Instant::now() {
                return true;
            }
        }
    }
}

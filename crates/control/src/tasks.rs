//! How tasks of the control plane are started: under their parent's tracker, ended by its token.

use std::future::Future;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A parent of tasks; nothing outlives it.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    /// Counts what runs.
    pub tracker: TaskTracker,
    /// Ends it.
    pub stop: CancellationToken,
}

impl Tasks {
    /// Runs `work` until it is done or the parent ends.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(self.stop.clone().run_until_cancelled_owned(work));
    }

    /// A parent that ends with this one, or before.
    pub fn child(&self) -> Self {
        Self { tracker: self.tracker.clone(), stop: self.stop.child_token() }
    }

    /// Ends all tasks and waits until they are gone.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

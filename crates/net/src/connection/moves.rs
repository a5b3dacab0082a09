//! A connection goes on on another thread when its own has much to do and that one little.
//!
//! ```text
//!  the task of the connection ─▶ run ─▶ rests, and moves ─▶ a task on the other thread ─▶ run ─▶ …
//!            └─────────────────────── waits for it ◀──────────────── why it ends ◀──────────┘
//! ```

use super::Connection;
use crate::{alarm::Alarm, workers::Place};
use pointsman_core::{metrics::CloseReason, session::Close};
use std::{io, panic::resume_unwind};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

/// Why a task ends.
pub(super) enum End {
    /// The connection is over.
    Closed(Close),
    /// It goes on there.
    Moves(Box<Connection>, Place),
}

/// Why a connection is polled no more.
pub(super) enum Stop {
    Close(Close),
    Move(Place),
}

impl Connection {
    /// Runs until either side ends it, on whatever threads; returns why. In a box, because a future that takes a connection and
    /// passes it on has room for it twice.
    pub(crate) async fn live(self: Box<Self>) -> Close {
        let mut end = self.run().await;
        loop {
            let (connection, place) = match end {
                End::Closed(close) => return close,
                End::Moves(connection, place) => (connection, place),
            };
            let thread = place.handle().clone();
            let moved = AbortOnDropHandle::new(thread.spawn(connection.go_on(place)));
            end = match moved.await.map_err(JoinError::try_into_panic) {
                Ok(end) => end,
                Err(Ok(panic)) => resume_unwind(panic),
                Err(Err(_)) => {
                    let detail = "its thread has ended".into();
                    End::Closed(Close { reason: CloseReason::Drained, detail })
                }
            };
        }
    }

    /// Goes on on another thread.
    async fn go_on(self: Box<Self>, place: Place) -> End {
        let (metrics, upstreams) = (self.shared.metrics.clone(), self.upstreams.len());
        match self.moved_to(place) {
            Ok(connection) => Box::new(connection).run().await,
            Err(error) => {
                metrics.upstreams.sub(upstreams as u64);
                let detail = format!("its sockets cannot be used on another thread: {error}");
                End::Closed(Close { reason: CloseReason::OutOfResources, detail })
            }
        }
    }

    /// Sockets and timers belong to a thread; all else is the same wherever it is.
    fn moved_to(self, place: Place) -> io::Result<Self> {
        let client = place.take(self.client)?;
        let upstreams = self.upstreams.moved_to(&place)?;
        Ok(Self { client, upstreams, place, alarm: Alarm::default(), ..self })
    }

    /// Where to go on after work that keeps this thread busy. Attempts to connect stay where they were begun.
    pub(super) fn better_place(&self) -> Option<Place> {
        if self.upstreams.are_open() { self.place.better(self.now) } else { None }
    }
}

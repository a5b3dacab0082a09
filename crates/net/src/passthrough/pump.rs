//! Both directions of an established connection on one task, and everything that may end it.

use super::{
    connection::{Arrival, Bound, Standing, close},
    direction::{Direction, Failed, Waits},
};
use crate::{herald::Listening, listener::Shared};
use pointsman_core::{
    config::OnSwitch,
    metrics::{CloseReason, VirtualClusterMetrics},
    session::Close,
    snapshot::Snapshot,
};
use socket2::SockRef;
use std::{future::poll_fn, io, pin::Pin, sync::Arc, task::Poll, time::Duration};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, Sleep, sleep_until},
};

/// At the end of the process connections end one by one within this time.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) struct Pump {
    shared: Arc<Shared>,
    client: TcpStream,
    broker: TcpStream,
    bound: Bound,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    listening: Listening,
    up: Direction,
    down: Direction,
    /// The broker's end came before the client's.
    broker_first: bool,
    /// When something last moved.
    moved: Instant,
    /// When it ends whatever moves, and why.
    cut: Option<(Instant, CloseReason)>,
    _open: Open,
}

/// Counts an open connection to a broker.
struct Open(Arc<VirtualClusterMetrics>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.upstreams.dec();
    }
}

/// Why a wait ended.
enum Wake {
    Snapshot,
    Ready,
    Timer,
    Stop,
    Abort,
}

impl Pump {
    pub(super) fn new(arrival: Arrival, broker: TcpStream, bound: Bound, head: Vec<u8>) -> Self {
        let Arrival { shared, client, snapshots, listening, .. } = arrival;
        shared.metrics.upstreams.inc();
        let open = Open(shared.metrics.clone());
        Self {
            shared,
            client,
            broker,
            bound,
            snapshots,
            listening,
            up: Direction::new(head),
            down: Direction::new(Vec::new()),
            broker_first: false,
            moved: Instant::now(),
            cut: None,
            _open: open,
        }
    }

    /// Moves bytes until the end.
    pub(super) async fn run(mut self) -> Close {
        let end = self.work().await;
        if !orderly(end.reason) {
            // What is still in buffers of the kernel must reach nobody.
            reset(&self.client);
            reset(&self.broker);
        }
        end
    }

    async fn work(&mut self) -> Close {
        let timer = sleep_until(self.due());
        tokio::pin!(timer);
        loop {
            let waits = match self.advance() {
                Ok(waits) => waits,
                Err(close) => return close,
            };
            let ended = match self.wait(waits, timer.as_mut()).await {
                Wake::Ready => None,
                Wake::Snapshot => self.adopt(),
                Wake::Timer => self.tick(timer.as_mut()),
                Wake::Stop => {
                    self.cut_within(FAREWELL, CloseReason::Drained);
                    None
                }
                Wake::Abort => Some(cut(CloseReason::Drained)),
            };
            if let Some(close) = ended {
                return close;
            }
            if self.cut.is_some_and(|(at, _)| at < timer.deadline()) {
                timer.as_mut().reset(self.due());
            }
        }
    }

    fn advance(&mut self) -> Result<[Waits; 2], Close> {
        let Self { shared, client, broker, up, down, .. } = self;
        let metrics = &shared.metrics;
        let up = up.advance(client, broker, &shared.pipes, &metrics.bytes_in);
        let down = down.advance(broker, client, &shared.pipes, &metrics.bytes_out);
        let up = up.map_err(|failed| match failed {
            Failed::Source(error) => self.client_failed(&error),
            Failed::Sink(error) => self.broker_failed(&error),
        })?;
        let down = down.map_err(|failed| match failed {
            Failed::Source(error) => self.broker_failed(&error),
            Failed::Sink(error) => self.client_failed(&error),
        })?;
        match (up, down) {
            (Waits::Done, Waits::Done) if self.broker_first => {
                return Err(close(CloseReason::BrokerClosed, "the broker closed the connection"));
            }
            (Waits::Done, Waits::Done) => {
                return Err(close(CloseReason::ClientClosed, "the client closed the connection"));
            }
            (Waits::Done, _) => self.broker_first = false,
            (_, Waits::Done) => self.broker_first = true,
            _ => {}
        }
        Ok([up, down])
    }

    async fn wait(&mut self, [up, down]: [Waits; 2], mut timer: Pin<&mut Sleep>) -> Wake {
        let Self { client, broker, snapshots, listening, cut, moved, .. } = self;
        let wake = poll_fn(|cx| {
            listening.listen(cx.waker());
            if listening.is_aborting() {
                return Poll::Ready(Wake::Abort);
            }
            if snapshots.has_changed().unwrap_or(false) {
                return Poll::Ready(Wake::Snapshot);
            }
            if listening.is_stopping() && cut.is_none() {
                return Poll::Ready(Wake::Stop);
            }
            // A failure shows when the bytes are moved.
            if up.poll(client, broker, cx).is_ready() | down.poll(broker, client, cx).is_ready() {
                return Poll::Ready(Wake::Ready);
            }
            timer.as_mut().poll(cx).map(|()| Wake::Timer)
        })
        .await;
        if matches!(wake, Wake::Ready) {
            *moved = Instant::now();
        }
        wake
    }

    /// Decisions come before bytes: a connection whose slot leads elsewhere ends before a byte of the other cluster is seen.
    fn adopt(&mut self) -> Option<Close> {
        let snapshot = self.snapshots.borrow_and_update().clone();
        match (self.bound.standing(&self.shared.name, &snapshot), self.bound.rules.on_switch) {
            (Standing::Stays, _) => {}
            (Standing::Leaves { planned: true }, OnSwitch::Drain(time)) => {
                self.cut_within(time, CloseReason::Switched);
            }
            (Standing::Leaves { .. }, _) => {
                return Some(cut(CloseReason::Switched));
            }
        }
        self.bound.mark.advance(snapshot.generation);
        None
    }

    fn cut_within(&mut self, time: Duration, why: CloseReason) {
        let at = Instant::now() + self.shared.spread.within(time);
        self.cut.get_or_insert((at, why));
    }

    fn tick(&mut self, timer: Pin<&mut Sleep>) -> Option<Close> {
        let now = Instant::now();
        if let Some((_, why)) = self.cut.filter(|(at, _)| *at <= now) {
            return Some(cut(why));
        }
        let idle = self.bound.rules.idle_timeout;
        if self.moved + idle <= now {
            return Some(close(CloseReason::Idle, format!("nothing moved for {idle:?}")));
        }
        timer.reset(self.due());
        None
    }

    fn due(&self) -> Instant {
        let idle = self.moved + self.bound.rules.idle_timeout;
        self.cut.map_or(idle, |(at, _)| idle.min(at))
    }

    fn client_failed(&self, error: &io::Error) -> Close {
        close(CloseReason::ClientError, error.to_string())
    }

    fn broker_failed(&self, error: &io::Error) -> Close {
        self.shared.broker_failed(&self.bound.cluster, &self.bound.broker, error);
        close(CloseReason::UpstreamFailed, format!("broker {}: {error}", self.bound.broker))
    }
}

fn cut(reason: CloseReason) -> Close {
    let why = match reason {
        CloseReason::Switched => "its slot leads to another cluster",
        _ => "the process is shutting down",
    };
    close(reason, why)
}

/// Whether both sides are given what was sent to them before.
fn orderly(reason: CloseReason) -> bool {
    use CloseReason::{BrokerClosed, ClientClosed, Drained, Idle};
    matches!(reason, ClientClosed | BrokerClosed | Idle | Drained)
}

/// Dropped after this, a connection is reset, and what has not left yet never does.
pub(super) fn reset(stream: &TcpStream) {
    // Where that fails the connection has ended already.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

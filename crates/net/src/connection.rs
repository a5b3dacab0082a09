//! One client connection: a task that owns the client's socket, its session, and its own connections to brokers.
//!
//! ```text
//!   ┌──▶ adopt snapshot ─▶ client: read, request ─▶ brokers: write, read, answer ─▶ client: write ──┐
//!   └───────────── as long as something moved; then wait for whatever was not ready ◀──────────────┘
//! ```
//!
//! Both directions run on one task, so nothing is handed between threads. The task is one hand-written poll: what is asked for and
//! not ready has noted the task's waker by that, so that a wait costs nothing more. Whatever has no room is not read: bytes stay in
//! the kernel, and the other side feels it.

mod moves;
mod records;
mod requests;

use crate::{
    alarm::Alarm,
    dial,
    fence::Mark,
    herald::Listening,
    input,
    listener::Shared,
    queue::WriteQueue,
    upstream::{Upstream, Upstreams},
    workers::Place,
};
use bytes::BytesMut;
use moves::{End, Stop};
use pointsman_core::{
    Now, limits,
    metrics::CloseReason,
    session::{
        Close, Output, Peer, Session,
        stream::{Intake, STREAM_HEAD},
    },
    signal::Failure,
    snapshot::Snapshot,
};
use pointsman_wire::frame;
use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout},
};

/// What was answered before a close is given so long to reach the client.
const LINGER: Duration = Duration::from_secs(1);
/// Rounds of work before other tasks get their turn.
const ROUNDS: usize = 16;

pub(crate) struct Connection {
    shared: Arc<Shared>,
    place: Place,
    client: TcpStream,
    session: Session,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Wakes the task when something concerns all connections.
    herald: Listening,
    mark: Mark,
    /// Generation to report once what was answered before it has left: so many bytes in all.
    adopted: Option<(u64, u64)>,
    input: BytesMut,
    output: WriteQueue,
    upstreams: Upstreams,
    /// What the session says, in memory that is used again.
    said: Output,
    alarm: Alarm,
    closing: Option<Close>,
    /// The time when this round began, or the one before it.
    now: Now,
    /// When the client last sent something, or was begun to be read from.
    progress: Now,
    /// Whether it was read from in the last round.
    reading: bool,
    draining: bool,
    /// The broker that gets records which the kernel has under way.
    moving: Option<Peer>,
    /// The kernel has moved records of the last large request.
    large: bool,
    /// The client closed its side: what it had sent is delivered until then.
    farewell: Option<Now>,
}

impl Connection {
    pub(crate) fn new(
        shared: Arc<Shared>,
        place: Place,
        client: TcpStream,
        session: Session,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        herald: Listening,
        mark: Mark,
    ) -> Self {
        let now = shared.now();
        Self {
            shared,
            place,
            client,
            session,
            snapshots,
            herald,
            mark,
            adopted: None,
            input: BytesMut::new(),
            output: WriteQueue::default(),
            upstreams: Upstreams::default(),
            said: Output::default(),
            alarm: Alarm::default(),
            closing: None,
            now,
            progress: now,
            reading: false,
            draining: false,
            moving: None,
            large: false,
            farewell: None,
        }
    }

    async fn run(mut self: Box<Self>) -> End {
        let close = match poll_fn(|cx| self.poll(cx)).await {
            Stop::Close(close) => close,
            Stop::Move(place) => return End::Moves(self, place),
        };
        if !self.herald.is_aborting() {
            self.linger().await;
        }
        self.shared.metrics.upstreams.sub(self.upstreams.len() as u64);
        End::Closed(close)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        // First, so that nothing said from now on is missed.
        self.herald.listen(cx.waker());
        for round in 0..ROUNDS {
            // The second round nearly always finds nothing to do, and takes the time of the first.
            if round != 1 {
                self.now = self.shared.now();
            }
            let moved = self.round(cx);
            if let Some(close) = self.closing.take() {
                return Poll::Ready(Stop::Close(close));
            }
            if !moved && !self.rings(cx) {
                self.rest();
                let better = if round > 0 { self.better_place() } else { None };
                return better.map_or(Poll::Pending, |place| Poll::Ready(Stop::Move(place)));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One pass over everything. Returns whether something has changed, so that there may be more to do.
    fn round(&mut self, cx: &mut Context<'_>) -> bool {
        self.heed();
        self.adopt_snapshot();
        if self.session.poll_topology(cx.waker()) {
            self.tick();
        }
        let mut moved = self.serve_client(cx);
        let mut next = 0;
        while let Some(peer) = self.upstreams.peer(next) {
            moved |= self.serve_upstream(peer, cx);
            next += 1;
        }
        moved |= self.write_client(cx);
        if self.farewell.is_some() && self.is_delivered() {
            self.close(CloseReason::ClientClosed, "the client closed its connection".into());
        }
        if self.draining && self.session.in_flight() == 0 && self.output.is_empty() {
            self.close(CloseReason::Drained, "the process is shutting down".into());
        }
        moved
    }

    /// Decisions come before bytes: an answer of a cluster that is no longer active is never delivered after the switch was published.
    fn adopt_snapshot(&mut self) {
        if self.snapshots.has_changed().unwrap_or(false) {
            let snapshot = self.snapshots.borrow_and_update().clone();
            let answered_before = self.output.gone + self.output.len as u64;
            match snapshot.virtual_cluster(&self.shared.name) {
                Some(virtual_cluster) => {
                    self.session.adopt(virtual_cluster.clone(), self.now, &mut self.said);
                    self.apply();
                }
                None => self.close(CloseReason::Drained, "the virtual cluster is gone".into()),
            }
            // What consumers who stay are answered afterwards does not hold it up.
            self.adopted = Some((snapshot.generation, answered_before));
        }
        if self.session.topology_moved() {
            self.tick();
        }
    }

    /// What the process says to all connections.
    fn heed(&mut self) {
        self.draining |= self.herald.is_stopping();
        if self.herald.is_aborting() {
            self.close(CloseReason::Drained, "cut at the shutdown deadline".into());
        }
    }

    fn tick(&mut self) {
        self.session.tick(self.now, &mut self.said);
        self.apply();
        self.check_progress();
        if self.farewell.is_some_and(|until| until <= self.now) {
            let detail = "the client closed its connection before its last requests were delivered";
            self.close(CloseReason::ClientClosed, detail.into());
        }
    }

    /// Whether something is due that waits for the time. If not, the task is woken when it is.
    fn rings(&mut self, cx: &mut Context<'_>) -> bool {
        let due = self.deadline();
        let rings = self.alarm.poll(due, cx);
        if rings {
            self.now = self.shared.now();
            self.tick();
        }
        rings
    }

    /// Nothing more can be done now: memory that only work needs goes back.
    fn rest(&mut self) {
        input::park(&mut self.input);
        self.upstreams.each(|upstream| input::park(&mut upstream.input));
    }

    fn deadline(&self) -> Option<Instant> {
        let next = self.session.deadline().into_iter().chain(self.stalled_at()).chain(self.farewell).min();
        next.map(|at| self.shared.instant(at))
    }

    fn serve_upstream(&mut self, peer: Peer, cx: &mut Context<'_>) -> bool {
        let Some(upstream) = self.upstreams.get_mut(peer) else { return false };
        let written = match upstream.poll_write(cx) {
            Ok(written) => written,
            Err(error) => return self.upstream_failed(peer, &error),
        };
        if self.output.len >= limits::DOWNSTREAM_QUEUE {
            return written;
        }
        // What is left from the last read may have its turn now.
        if std::mem::take(&mut upstream.paused) {
            self.consume(peer);
        }
        if let Some(moved) = self.move_down(peer, cx) {
            return moved || written;
        }
        let Some(upstream) = self.upstreams.get_mut(peer).filter(|u| !u.paused) else { return written };
        match upstream.poll_read(cx) {
            Poll::Pending => written,
            Poll::Ready(Ok(n)) => {
                self.consume(peer);
                if let Some(upstream) = self.upstreams.get_mut(peer) {
                    upstream.has_read(n);
                }
                true
            }
            Poll::Ready(Err(error)) => self.upstream_failed(peer, &error),
        }
    }

    /// Takes in what came from a broker, frame by frame.
    fn consume(&mut self, peer: Peer) {
        while self.closing.is_none() {
            let Some(upstream) = self.upstreams.get_mut(peer) else { return };
            if upstream.stream.is_some() {
                if !self.pass_through(peer) {
                    return;
                }
                continue;
            }
            let Some(prefix) = upstream.input.first_chunk::<4>() else { return };
            let size = match frame::frame_size(*prefix, limits::MAX_RESPONSE) {
                Ok(size) => size,
                Err(error) => return self.close(CloseReason::BadResponse, format!("broker {peer}: {error}")),
            };
            match self.session.intake(peer, size) {
                Intake::Collect if upstream.input.len() >= size + 4 => {
                    upstream.large = false;
                    let frame = upstream.input.split_to(size + 4);
                    self.session.response(peer, frame, self.now, &mut self.said);
                    self.apply();
                }
                Intake::Collect => return,
                Intake::Stream if upstream.input.len() >= STREAM_HEAD => self.begin_stream(peer),
                Intake::Stream => return,
                Intake::Wait => {
                    upstream.paused = true;
                    return;
                }
                Intake::TooLarge => {
                    let detail =
                        format!("broker {peer} sends {size} bytes, more than any answer to what was asked");
                    return self.close(CloseReason::BadResponse, detail);
                }
            }
        }
    }

    fn begin_stream(&mut self, peer: Peer) {
        let Some(upstream) = self.upstreams.get_mut(peer) else { return };
        match self.session.begin_stream(peer, &mut upstream.input) {
            Ok(stream) => {
                self.output.push(upstream.input.split_to(stream.body_at).freeze());
                upstream.begin_stream(stream);
            }
            Err(error) => self.close(CloseReason::BadResponse, format!("broker {peer}: {error}")),
        }
    }

    /// Passes on what has come of a streamed response. Returns whether it is complete.
    fn pass_through(&mut self, peer: Peer) -> bool {
        let Some(upstream) = self.upstreams.get_mut(peer) else { return false };
        let Some(stream) = &mut upstream.stream else { return true };
        match stream.advance(&mut upstream.input) {
            Ok(n) => {
                if n > 0 {
                    self.output.push(upstream.input.split_to(n).freeze());
                }
                if !stream.is_done() {
                    return false;
                }
                upstream.stream = None;
                self.session.end_stream(peer, self.now, &mut self.said);
                self.apply();
                true
            }
            Err(error) => {
                self.close(CloseReason::BadResponse, format!("broker {peer}: {error}"));
                false
            }
        }
    }

    /// Carries out what the session said.
    fn apply(&mut self) {
        let Self { said, upstreams, shared, session, .. } = self;
        for peer in said.drop_links.drain(..) {
            if upstreams.remove(peer).is_some() {
                shared.metrics.upstreams.dec();
            }
        }
        for outgoing in said.sends.drain(..) {
            let to = outgoing.to;
            upstreams.get_or_insert(to, || connect(to, session, shared)).push(outgoing);
        }
        for reply in said.replies.drain(..) {
            self.output.push(reply);
        }
        for signal in said.signals.drain(..) {
            // A full queue means that the control plane has enough to look at.
            let _ = shared.signals.try_send(signal);
        }
        if let Some(close) = said.close.take() {
            self.closing.get_or_insert(close);
        }
    }

    /// Returns that something has changed.
    fn upstream_failed(&mut self, peer: Peer, error: &io::Error) -> bool {
        let Some(upstream) = self.upstreams.remove(peer) else { return true };
        self.shared.metrics.upstreams.dec();
        if upstream.stream.is_some() {
            let detail = format!("broker {peer} went away within a response: {error}");
            self.close(CloseReason::UpstreamFailed, detail);
            return true;
        }
        let failure: Failure = dial::failure(error);
        self.session.link_failed(peer, upstream.unsent(), failure, self.now, &mut self.said);
        self.apply();
        true
    }

    fn write_client(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.output.len;
        match self.output.poll_write(&mut self.client, cx) {
            Ok(_) => {}
            // Nobody is there to read it.
            Err(_) if self.farewell.is_some() => self.output = WriteQueue::default(),
            Err(error) => self.close(CloseReason::ClientError, error.to_string()),
        }
        let written = before - self.output.len;
        if written > 0 {
            self.shared.metrics.bytes_out.add(written as u64);
        }
        if let Some((generation, until)) = self.adopted
            && self.output.gone >= until
        {
            self.adopted = None;
            self.mark.advance(generation);
        }
        written > 0
    }

    fn close(&mut self, reason: CloseReason, detail: String) {
        self.closing.get_or_insert(Close { reason, detail });
    }

    async fn linger(&mut self) {
        let flush = poll_fn(|cx| match self.output.poll_write(&mut self.client, cx) {
            Ok(_) if !self.output.is_empty() => Poll::Pending,
            _ => Poll::Ready(()),
        });
        // A client that does not read loses what it was not going to read.
        let _ = timeout(LINGER, flush).await;
    }
}

/// Begins a connection to a broker.
fn connect(peer: Peer, session: &Session, shared: &Arc<Shared>) -> Upstream {
    shared.metrics.upstreams.inc();
    let (address, shared) = (session.address(peer), shared.clone());
    let connecting = async move {
        let address = address.ok_or_else(|| io::Error::other("the broker's address is not known"))?;
        shared.names.dial(&address).await
    };
    Upstream::new(peer, Box::pin(connecting))
}

//! One client connection: a task that owns the client's socket, its session, and its own connections to brokers.
//!
//! ```text
//!          ┌────────────── wait: socket, brokers, snapshot, topology, timer ◀─┐
//!          ▼                                                                  │
//!   adopt snapshot ─▶ brokers: write, read, answer ─▶ client: read, request ─▶ client: write
//! ```
//!
//! Both directions run on one task, so nothing is handed between threads. Whatever has no room is not read: bytes stay in
//! the kernel, and the other side feels it.

mod requests;

use crate::{
    dial,
    fence::Mark,
    listener::Shared,
    upstream::{Upstream, WriteQueue},
};
use bytes::{Buf, BytesMut};
use pointsman_core::{
    Now, limits,
    metrics::CloseReason,
    session::{
        Close, Output, Session,
        stream::{Intake, STREAM_HEAD},
    },
    signal::Failure,
    snapshot::Snapshot,
    topology::NodeId,
};
use pointsman_wire::frame;
use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// What was answered before a close is given so long to reach the client.
const LINGER: Duration = Duration::from_secs(1);
/// Rounds of work without a wait, before other tasks get their turn.
const ROUNDS: usize = 16;

pub(crate) struct Connection {
    shared: Arc<Shared>,
    client: TcpStream,
    session: Session,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    mark: Mark,
    /// Generation to report once what was answered before it has left.
    adopted: Option<u64>,
    input: BytesMut,
    output: WriteQueue,
    upstreams: BTreeMap<NodeId, Upstream>,
    closing: Option<Close>,
    /// When the client last sent something, or was begun to be read from.
    progress: Now,
    /// Whether it was read from in the last round.
    reading: bool,
    draining: bool,
    /// The client closed its side: what it had sent is delivered until then.
    farewell: Option<Now>,
    /// Nobody publishes snapshots any more.
    orphaned: bool,
}

/// Why a wait ended.
enum Wake {
    Snapshot,
    Ready(io::Result<()>),
    Upstream(NodeId, io::Result<()>),
    Timer,
    Drain,
}

impl Connection {
    pub(crate) fn new(
        shared: Arc<Shared>,
        client: TcpStream,
        session: Session,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        mark: Mark,
    ) -> Self {
        let progress = shared.now();
        Self {
            shared,
            client,
            session,
            snapshots,
            mark,
            adopted: None,
            input: BytesMut::new(),
            output: WriteQueue::default(),
            upstreams: BTreeMap::new(),
            closing: None,
            progress,
            reading: false,
            draining: false,
            farewell: None,
            orphaned: false,
        }
    }

    /// Runs until either side ends it; returns why.
    pub(crate) async fn run(mut self, drain: CancellationToken) -> Close {
        loop {
            for _ in 0..ROUNDS {
                if !self.round() {
                    break;
                }
            }
            if let Some(close) = self.closing.take() {
                self.linger().await;
                self.shared.metrics.upstreams.sub(self.upstreams.len() as u64);
                return close;
            }
            match self.wait(&drain).await {
                // Waiting for a change marks it as seen: look at it again.
                Wake::Snapshot => self.snapshots.mark_changed(),
                Wake::Ready(Ok(())) | Wake::Upstream(_, Ok(())) => {}
                Wake::Timer => self.tick(),
                Wake::Drain => self.draining = true,
                Wake::Ready(Err(error)) => self.close(CloseReason::ClientError, error.to_string()),
                Wake::Upstream(node, Err(error)) => self.upstream_failed(node, &error),
            }
        }
    }

    async fn wait(&mut self, drain: &CancellationToken) -> Wake {
        let (deadline, reads) = (self.deadline(), self.reads());
        let Self { client, session, snapshots, output, upstreams, orphaned, .. } = self;
        let room = output.len < limits::DOWNSTREAM_QUEUE;
        let ready =
            std::future::poll_fn(|cx| poll_ready(client, session, output, upstreams, reads, room, cx));
        tokio::select! {
            biased;
            changed = snapshots.changed(), if !*orphaned => {
                *orphaned = changed.is_err();
                if *orphaned { Wake::Drain } else { Wake::Snapshot }
            }
            wake = ready => wake,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Wake::Timer,
            () = drain.cancelled(), if !self.draining => Wake::Drain,
        }
    }

    /// One pass over everything that is ready. Returns whether there may be more.
    fn round(&mut self) -> bool {
        self.adopt_snapshot();
        let mut more = false;
        for node in self.upstreams.keys().copied().collect::<Vec<_>>() {
            more |= self.serve_upstream(node);
        }
        more |= self.serve_client();
        self.write_client();
        if self.farewell.is_some() && self.is_delivered() {
            self.close(CloseReason::ClientClosed, "the client closed its connection".into());
        }
        if self.draining && self.session.in_flight() == 0 && self.output.is_empty() {
            self.close(CloseReason::Drained, "the process is shutting down".into());
        }
        more && self.closing.is_none()
    }

    /// Decisions come before bytes: an answer of a cluster that is no longer active is never delivered after the switch was published.
    fn adopt_snapshot(&mut self) {
        if self.snapshots.has_changed().unwrap_or(false) {
            let snapshot = self.snapshots.borrow_and_update().clone();
            let mut out = Output::default();
            match snapshot.virtual_cluster(&self.shared.name) {
                Some(virtual_cluster) => {
                    self.session.adopt(virtual_cluster.clone(), self.shared.now(), &mut out);
                }
                None => self.close(CloseReason::Drained, "the virtual cluster is gone".into()),
            }
            self.apply(out);
            self.adopted = Some(snapshot.generation);
        }
        if self.session.topology_moved() {
            self.tick();
        }
    }

    fn tick(&mut self) {
        let mut out = Output::default();
        let now = self.shared.now();
        self.session.tick(now, &mut out);
        self.apply(out);
        self.check_progress(now);
        if self.farewell.is_some_and(|until| until <= now) {
            let detail = "the client closed its connection before its last requests were delivered";
            self.close(CloseReason::ClientClosed, detail.into());
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let next = self.session.deadline().into_iter().chain(self.stalled_at()).chain(self.farewell).min();
        next.map(|at| self.shared.instant(at))
    }

    fn serve_upstream(&mut self, node: NodeId) -> bool {
        let Some(upstream) = self.upstreams.get_mut(&node) else { return false };
        if let Err(error) = upstream.write() {
            self.upstream_failed(node, &error);
            return true;
        }
        if self.output.len >= limits::DOWNSTREAM_QUEUE {
            return false;
        }
        // What is left from the last read may have its turn now.
        if upstream.paused {
            upstream.paused = false;
            self.consume(node);
        }
        let Some(upstream) = self.upstreams.get_mut(&node) else { return false };
        if upstream.paused {
            return false;
        }
        match upstream.read() {
            Ok(0) => false,
            Ok(_) => {
                self.consume(node);
                true
            }
            Err(error) => {
                self.upstream_failed(node, &error);
                true
            }
        }
    }

    /// Takes in what came from a broker, frame by frame.
    fn consume(&mut self, node: NodeId) {
        while self.closing.is_none() {
            let Some(upstream) = self.upstreams.get_mut(&node) else { return };
            if upstream.stream.is_some() {
                if !self.pass_through(node) {
                    return;
                }
                continue;
            }
            let Some(prefix) = upstream.input.first_chunk::<4>() else { return };
            let size = match frame::frame_size(*prefix, limits::MAX_RESPONSE) {
                Ok(size) => size,
                Err(error) => return self.close(CloseReason::BadResponse, format!("broker {node}: {error}")),
            };
            match self.session.intake(node, size) {
                Intake::Collect if upstream.input.len() >= size + 4 => {
                    let frame = upstream.input.split_to(size + 4);
                    let mut out = Output::default();
                    self.session.response(node, frame, self.shared.now(), &mut out);
                    self.apply(out);
                }
                Intake::Collect => return,
                Intake::Stream if upstream.input.len() >= STREAM_HEAD => self.begin_stream(node),
                Intake::Stream => return,
                Intake::Wait => {
                    upstream.paused = true;
                    return;
                }
                Intake::TooLarge => {
                    let detail =
                        format!("broker {node} sends {size} bytes, more than any answer to what was asked");
                    return self.close(CloseReason::BadResponse, detail);
                }
            }
        }
    }

    fn begin_stream(&mut self, node: NodeId) {
        let Some(upstream) = self.upstreams.get_mut(&node) else { return };
        match self.session.begin_stream(node, &mut upstream.input) {
            Ok(stream) => {
                self.output.push(upstream.input.split_to(stream.body_at).freeze());
                upstream.stream = Some(stream);
            }
            Err(error) => self.close(CloseReason::BadResponse, format!("broker {node}: {error}")),
        }
    }

    /// Passes on what has come of a streamed response. Returns whether it is complete.
    fn pass_through(&mut self, node: NodeId) -> bool {
        let Some(upstream) = self.upstreams.get_mut(&node) else { return false };
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
                let mut out = Output::default();
                self.session.end_stream(node, self.shared.now(), &mut out);
                self.apply(out);
                true
            }
            Err(error) => {
                self.close(CloseReason::BadResponse, format!("broker {node}: {error}"));
                false
            }
        }
    }

    fn apply(&mut self, out: Output) {
        for node in out.drop_links {
            if self.upstreams.remove(&node).is_some() {
                self.shared.metrics.upstreams.dec();
            }
        }
        for outgoing in out.sends {
            let node = outgoing.node;
            if !self.upstreams.contains_key(&node) {
                let Some(connecting) = self.connect(node) else { continue };
                self.upstreams.insert(node, connecting);
                self.shared.metrics.upstreams.inc();
            }
            if let Some(upstream) = self.upstreams.get_mut(&node) {
                upstream.push(outgoing);
            }
        }
        for reply in out.replies {
            self.output.push(reply);
        }
        for signal in out.signals {
            // A full queue means that the control plane has enough to look at.
            let _ = self.shared.signals.try_send(signal);
        }
        if let Some(close) = out.close {
            self.closing.get_or_insert(close);
        }
    }

    fn connect(&self, node: NodeId) -> Option<Upstream> {
        let address = self.session.address(node);
        let shared = self.shared.clone();
        Some(Upstream::new(Box::pin(async move {
            let address = address.ok_or_else(|| io::Error::other("the broker's address is not known"))?;
            shared.names.dial(&address).await
        })))
    }

    fn upstream_failed(&mut self, node: NodeId, error: &io::Error) {
        let Some(upstream) = self.upstreams.remove(&node) else { return };
        self.shared.metrics.upstreams.dec();
        if upstream.stream.is_some() {
            return self.close(
                CloseReason::UpstreamFailed,
                format!("broker {node} went away within a response: {error}"),
            );
        }
        let mut out = Output::default();
        let failure: Failure = dial::failure(error);
        self.session.link_failed(node, upstream.unsent(), failure, self.shared.now(), &mut out);
        self.apply(out);
    }

    fn write_client(&mut self) {
        let before = self.output.len;
        match self.output.write(&self.client) {
            Ok(_) => {}
            // Nobody is there to read it.
            Err(_) if self.farewell.is_some() => self.output = WriteQueue::default(),
            Err(error) => self.close(CloseReason::ClientError, error.to_string()),
        }
        self.shared.metrics.bytes_out.add((before - self.output.len) as u64);
        if self.output.is_empty()
            && let Some(generation) = self.adopted.take()
        {
            self.mark.advance(generation);
        }
    }

    fn close(&mut self, reason: CloseReason, detail: String) {
        self.closing.get_or_insert(Close { reason, detail });
    }

    async fn linger(&mut self) {
        let flush = async {
            while !self.output.is_empty() && self.client.writable().await.is_ok() {
                if self.output.write(&self.client).is_err() {
                    return;
                }
            }
        };
        // A client that does not read loses what it was not going to read.
        let _ = timeout(LINGER, flush).await;
        self.input.advance(self.input.len());
    }
}

fn queued(upstreams: &BTreeMap<NodeId, Upstream>) -> usize {
    upstreams.values().map(Upstream::queued).sum()
}

fn poll_ready(
    client: &TcpStream,
    session: &Session,
    output: &WriteQueue,
    upstreams: &mut BTreeMap<NodeId, Upstream>,
    reads: bool,
    room: bool,
    cx: &mut Context<'_>,
) -> Poll<Wake> {
    for (node, upstream) in upstreams.iter_mut() {
        if let Poll::Ready(result) = upstream.poll_ready(cx, room) {
            return Poll::Ready(Wake::Upstream(*node, result));
        }
    }
    if session.poll_topology(cx.waker()) {
        return Poll::Ready(Wake::Timer);
    }
    if reads && let Poll::Ready(result) = client.poll_read_ready(cx) {
        return Poll::Ready(Wake::Ready(result));
    }
    if !output.is_empty()
        && let Poll::Ready(result) = client.poll_write_ready(cx)
    {
        return Poll::Ready(Wake::Ready(result));
    }
    Poll::Pending
}

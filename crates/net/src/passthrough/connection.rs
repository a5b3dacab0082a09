//! A connection from its arrival to its end: to which broker it goes, and when it may not go there any more.

use super::{
    hello::{self, Hello, MAX_HELLO},
    pump::Pump,
};
use crate::{
    dial,
    fence::{Generations, Mark},
    herald::Listening,
    listener::Shared,
    workers::Place,
};
use pointsman_core::{
    config::{Address, Passthrough},
    limits,
    metrics::CloseReason,
    passthrough::{Outliers, Slot, View},
    session::Close,
    signal::Signal,
    snapshot::{Cluster, Snapshot},
};
use std::{io, sync::Arc};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// A client that has just come.
pub(crate) struct Arrival {
    pub(crate) shared: Arc<Shared>,
    pub(crate) client: TcpStream,
    /// `None`: the server name will tell.
    pub(crate) slot: Option<usize>,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) generations: Arc<Generations>,
    pub(crate) listening: Listening,
}

/// Where a connection goes. While this is there, a switch waits for it.
pub(super) struct Bound {
    pub(super) slot: usize,
    pub(super) cluster: Arc<Cluster>,
    pub(super) broker: Address,
    /// Generation that led the slot there.
    since: u64,
    pub(super) rules: Arc<Passthrough>,
    outliers: Arc<Outliers>,
    pub(super) mark: Mark,
}

/// What a newer snapshot means for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its slot still leads where it goes.
    Stays,
    /// It does not; whether what is left may be drained.
    Leaves { planned: bool },
}

impl Bound {
    pub(super) fn standing(&self, name: &str, snapshot: &Snapshot) -> Standing {
        match view(name, snapshot).and_then(|view| view.slots.get(self.slot)) {
            Some(Slot::To { since, .. }) if *since == self.since => Standing::Stays,
            Some(Slot::To { planned, .. } | Slot::Wait { planned }) => Standing::Leaves { planned: *planned },
            Some(Slot::Nowhere) | None => Standing::Leaves { planned: false },
        }
    }
}

pub(super) fn close(reason: CloseReason, detail: impl Into<String>) -> Close {
    Close { reason, detail: detail.into() }
}

fn view<'a>(name: &str, snapshot: &'a Snapshot) -> Option<&'a View> {
    snapshot.virtual_cluster(name)?.passthrough.as_ref()
}

/// Serves a client until either side, a switch or the end of the process ends it; returns why. The place is taken until then.
pub(crate) async fn run(mut arrival: Arrival, stop: CancellationToken, _place: Place) -> Close {
    match arrival.connect(&stop).await {
        Ok((bound, broker, head)) => {
            drop(stop);
            Pump::new(arrival, broker, bound, head).run().await
        }
        Err(close) => {
            // The client learns at once that nobody serves it here.
            super::pump::reset(&arrival.client);
            close
        }
    }
}

impl Arrival {
    async fn connect(&mut self, stop: &CancellationToken) -> Result<(Bound, TcpStream, Vec<u8>), Close> {
        let (slot, head) = match self.slot {
            Some(slot) => (slot, Vec::new()),
            None => tokio::select! {
                named = self.named() => named?,
                () = stop.cancelled() => return Err(shutting_down()),
            },
        };
        loop {
            let bound = self.choose(slot).await?;
            if let Some((bound, broker)) = self.dial(bound, stop).await? {
                return Ok((bound, broker, head));
            }
        }
    }

    /// The slot that the client names, and what was read to know it.
    async fn named(&mut self) -> Result<(usize, Vec<u8>), Close> {
        let late = |_| {
            close(CloseReason::HelloTimeout, format!("no ClientHello within {:?}", limits::HELLO_TIMEOUT))
        };
        let (name, head) =
            timeout(limits::HELLO_TIMEOUT, read_hello(&mut self.client)).await.map_err(late)??;
        let snapshot = self.snapshots.borrow().clone();
        let virtual_cluster = snapshot.virtual_cluster(&self.shared.name);
        let found = virtual_cluster.and_then(|v| {
            let names = v.passthrough.as_ref()?.rules.sni.as_ref()?;
            if *names.bootstrap == *name {
                let next = usize::try_from(self.shared.spread.next()).unwrap_or(0);
                return next.checked_rem(v.slots.len());
            }
            v.slots.iter().position(|slot| *slot.host == *name)
        });
        let unknown = || close(CloseReason::UnknownHost, "the ClientHello names a host that is no slot");
        Ok((found.ok_or_else(unknown)?, head))
    }

    /// Binds to the cluster that the slot leads to, waiting for a switch that is under way.
    async fn choose(&mut self, slot: usize) -> Result<Bound, Close> {
        let deadline = Instant::now() + limits::PASSTHROUGH_WAIT;
        let nowhere = || close(CloseReason::NoCluster, "no cluster is available");
        loop {
            let snapshot = self.snapshots.borrow_and_update().clone();
            let view = view(&self.shared.name, &snapshot).ok_or_else(nowhere)?;
            match view.slots.get(slot) {
                Some(Slot::To { cluster, since, .. }) => {
                    let mark = self.generations.mark(snapshot.generation);
                    // A fence that was passed before the mark was there has not waited for it.
                    if self.snapshots.has_changed().unwrap_or(false) {
                        continue;
                    }
                    let now = self.shared.now();
                    let broker = view.outliers.pick(&cluster.bootstrap, slot, now).ok_or_else(nowhere)?;
                    return Ok(Bound {
                        slot,
                        cluster: cluster.clone(),
                        broker: broker.clone(),
                        since: *since,
                        rules: view.rules.clone(),
                        outliers: view.outliers.clone(),
                        mark,
                    });
                }
                Some(Slot::Wait { .. }) => {
                    let changed = timeout_at(deadline, self.snapshots.changed()).await;
                    if !matches!(changed, Ok(Ok(()))) {
                        return Err(nowhere());
                    }
                }
                Some(Slot::Nowhere) | None => return Err(nowhere()),
            }
        }
    }

    /// Connects; `None`: the slot leads elsewhere meanwhile, and nothing was sent yet.
    async fn dial(
        &mut self,
        mut bound: Bound,
        stop: &CancellationToken,
    ) -> Result<Option<(Bound, TcpStream)>, Close> {
        let shared = self.shared.clone();
        let address = bound.broker.clone();
        let dialling = shared.names.dial_within(&address, bound.rules.connect_timeout);
        tokio::pin!(dialling);
        loop {
            tokio::select! {
                biased;
                changed = self.snapshots.changed() => {
                    changed.map_err(|_| shutting_down())?;
                    let snapshot = self.snapshots.borrow_and_update().clone();
                    if bound.standing(&shared.name, &snapshot) != Standing::Stays {
                        return Ok(None);
                    }
                    bound.mark.advance(snapshot.generation);
                }
                dialled = &mut dialling => {
                    return match dialled {
                        Ok(broker) => {
                            bound.outliers.well(&address);
                            Ok(Some((bound, broker)))
                        }
                        Err(error) => self.failed(&bound, &error),
                    };
                }
                () = stop.cancelled() => return Err(shutting_down()),
            }
        }
    }

    /// A broker cannot be reached. If it loses its slots by that, the next one of the ring is tried.
    fn failed(&self, bound: &Bound, error: &io::Error) -> Result<Option<(Bound, TcpStream)>, Close> {
        self.shared.broker_failed(&bound.cluster, &bound.broker, error);
        let (servers, rules) = (&bound.cluster.bootstrap, &bound.rules.outliers);
        if bound.outliers.failed(servers, &bound.broker, rules, self.shared.now()) {
            self.shared.metrics.ejections.add(1);
            let (cluster, broker) = (&*bound.cluster.name, &bound.broker);
            warn!(cluster, %broker, %error, "broker loses its slots for {:?}: connections to it fail", rules.eject_for);
            return Ok(None);
        }
        Err(close(CloseReason::UpstreamFailed, format!("broker {}: {error}", bound.broker)))
    }
}

impl Shared {
    /// Tells the control plane to look at a broker.
    pub(super) fn broker_failed(&self, cluster: &Cluster, broker: &Address, error: &io::Error) {
        let failure = dial::failure(error);
        let signal = Signal::BrokerFailed { cluster: cluster.name.clone(), broker: broker.clone(), failure };
        // A full queue means that the control plane has enough to look at.
        let _ = self.signals.try_send(signal);
    }
}

fn shutting_down() -> Close {
    close(CloseReason::Drained, "the process is shutting down")
}

async fn read_hello(client: &mut TcpStream) -> Result<(String, Vec<u8>), Close> {
    let mut head = Vec::new();
    loop {
        match hello::look(&head) {
            Hello::For(Some(name)) => return Ok((name, head)),
            Hello::For(None) => {
                return Err(close(CloseReason::NoServerName, "the ClientHello names no host"));
            }
            Hello::NotTls => return Err(close(CloseReason::NotTls, "the first bytes are no ClientHello")),
            Hello::Malformed(why) => return Err(close(CloseReason::BadHello, why)),
            Hello::Incomplete => {}
        }
        let mut more = client.take((MAX_HELLO - head.len()) as u64);
        match more.read_buf(&mut head).await {
            Ok(0) => {
                return Err(close(CloseReason::ClientClosed, "the client closed before its ClientHello"));
            }
            Ok(_) => {}
            Err(error) => return Err(close(CloseReason::ClientError, error.to_string())),
        }
    }
}

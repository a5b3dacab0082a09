//! Probes: one task per broker that is told when to probe, and says what it found.
//!
//! It decides nothing: when a probe is due, and what its outcome means, is [`pointsman_core::health`]'s business. Probes
//! of one broker overlap, so that time-outs do not add up. One connection is kept between probes; its end is reported
//! at once, which is how a killed broker is noticed within milliseconds.

mod fair;
mod quorum;
mod simple;
pub(crate) mod tls;

use crate::{
    kafka::{CallError, Connection, LastGood, dial},
    tasks::Tasks,
};
use fair::{Timed, fair};
use pointsman_core::{
    config::{Address, HealthConfig, ProbeKind},
    health::{Outcome, Probe},
    offer::Offer,
    topology::Observation,
};
use quorum::{QuorumWatch, Reach};
use std::{future::pending, sync::Arc};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

/// More than the health rules ever allow in flight.
const ORDERS: usize = 128;

type Answer = Result<(Option<Box<Said>>, Option<Connection>), CallError>;

/// What a prober reports.
#[derive(Debug)]
pub(crate) enum Report {
    /// A probe ended.
    Probed {
        /// As it was ordered.
        probe: Probe,
        /// What it found.
        outcome: Outcome,
        /// What the broker said besides.
        said: Option<Box<Said>>,
    },
    /// The kept connection ended while nothing was asked.
    ConnectionEnded(Address),
}

/// What a broker said.
#[derive(Debug)]
pub(crate) struct Said {
    /// What it can do.
    pub(crate) offer: Offer,
    /// Which brokers there are.
    pub(crate) observation: Observation,
    /// What an operator should know.
    pub(crate) note: Option<&'static str>,
}

/// The sending side of one broker's prober; dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Prober {
    orders: mpsc::Sender<Probe>,
    tasks: Tasks,
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.tasks.stop.cancel();
    }
}

impl Prober {
    /// Starts the task. `report` must not block.
    pub(crate) fn start(
        broker: Address,
        rules: &HealthConfig,
        tasks: &Tasks,
        report: impl Fn(Report) + Send + Sync + 'static,
    ) -> Self {
        let tasks = tasks.child();
        let (orders, receiver) = mpsc::channel(ORDERS);
        let watch = QuorumWatch::new();
        if rules.probe == ProbeKind::Kafka {
            tasks.spawn(watch.clone().run(broker.clone(), rules.interval));
        }
        let tls = tls::Files::of(&rules.probe);
        let asker = Arc::new(Asker { broker, rules: rules.clone(), watch, tls, known: LastGood::default() });
        tasks.spawn(run(asker, receiver, report));
        Self { orders, tasks }
    }

    /// Orders a probe.
    pub(crate) fn probe(&self, probe: Probe) {
        // The task is gone only when the process ends, and takes orders faster than probes may be in flight.
        let _ = self.orders.try_send(probe);
    }
}

struct Asker {
    broker: Address,
    rules: HealthConfig,
    watch: QuorumWatch,
    /// Of an HTTP probe over TLS.
    tls: Option<tls::Files>,
    known: LastGood,
}

struct Finding {
    probe: Probe,
    outcome: Outcome,
    said: Option<Box<Said>>,
    kept: Option<Connection>,
}

async fn run(asker: Arc<Asker>, mut orders: mpsc::Receiver<Probe>, report: impl Fn(Report)) {
    let mut in_flight = JoinSet::new();
    let mut kept: Option<Connection> = None;
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(probe) = order else { return };
                let asker = asker.clone();
                let connection = kept.take();
                in_flight.spawn(async move { asker.probe(probe, connection).await });
            }
            Some(Ok(finding)) = in_flight.join_next() => {
                let Finding { probe, outcome, said, kept: connection } = finding;
                kept = kept.or(connection);
                report(Report::Probed { probe, outcome, said });
            }
            () = ended(kept.as_ref()) => {
                kept = None;
                report(Report::ConnectionEnded(asker.broker.clone()));
            }
        }
    }
}

async fn ended(kept: Option<&Connection>) {
    match kept {
        Some(connection) => connection.ended().await,
        None => pending().await,
    }
}

impl Asker {
    async fn probe(&self, probe: Probe, kept: Option<Connection>) -> Finding {
        let started = Instant::now();
        let (outcome, said, kept) = match fair(self.rules.timeout, self.ask(kept)).await {
            Timed::Starved => (Outcome::Discarded, None, None),
            Timed::Silent => {
                let reason = format!("no answer within {:?}", self.rules.timeout).into();
                (Outcome::Failure { reason, refused: false }, None, None)
            }
            Timed::Done(Err(error)) => {
                let refused = matches!(error, CallError::Refused);
                (Outcome::Failure { reason: error.to_string().into(), refused }, None, None)
            }
            Timed::Done(Ok((said, kept))) => (self.judge(started), said, kept),
        };
        let outcome = self.look_for_recovery(outcome).await;
        Finding { probe, outcome, said, kept }
    }

    /// A broker that fails its HTTP probe while its Kafka port is open is in recovery mode; one whose port is closed is gone.
    async fn look_for_recovery(&self, outcome: Outcome) -> Outcome {
        let Outcome::Failure { reason, .. } = &outcome else { return outcome };
        if !matches!(self.rules.probe, ProbeKind::Http { .. }) {
            return outcome;
        }
        match fair(self.rules.timeout, simple::tcp(&self.broker, &self.known)).await {
            Timed::Done(Ok(())) => {
                Outcome::Recovery { reason: format!("{reason}, but its Kafka port is open").into() }
            }
            Timed::Done(Err(error)) => {
                let refused = matches!(error, CallError::Refused);
                Outcome::Failure { reason: format!("{reason}; its Kafka port: {error}").into(), refused }
            }
            Timed::Silent => Outcome::Failure { reason: reason.clone(), refused: false },
            Timed::Starved => Outcome::Discarded,
        }
    }

    /// The broker answers; whether it belongs to a cluster that works is another question.
    fn judge(&self, started: Instant) -> Outcome {
        match self.watch.cut_off() {
            Some(since) => {
                let reason = format!("no metadata quorum for {:.1} s", since.as_secs_f64()).into();
                Outcome::Failure { reason, refused: false }
            }
            None => Outcome::Success { took: started.elapsed() },
        }
    }

    async fn ask(&self, kept: Option<Connection>) -> Answer {
        match &self.rules.probe {
            ProbeKind::Tcp => simple::tcp(&self.broker, &self.known).await.map(|()| (None, None)),
            ProbeKind::Http { port, path, status, .. } => {
                let tls = self.tls.as_ref();
                let asked = simple::http(&self.broker, *port, path, *status, tls, &self.known);
                asked.await.map(|()| (None, None))
            }
            ProbeKind::Kafka => {
                // A kept connection that fails says only that it is gone: a new one finds out why.
                if let Some(kept) = kept
                    && let Ok(found) = self.ask_kafka(kept).await
                {
                    return Ok(found);
                }
                self.ask_kafka(Connection::new(dial(&self.broker, &self.known).await?)).await
            }
        }
    }

    async fn ask_kafka(&self, mut connection: Connection) -> Answer {
        let offer = connection.api_versions().await?;
        if let Some(offset) = connection.metadata_offset() {
            self.watch.saw_offset(offset);
        }
        let observation = connection.metadata(false).await?;
        let note = match self.watch.reach() {
            Reach::Unsupported => Some("its brokers cannot be asked for the metadata quorum"),
            Reach::NotAllowed => Some("the metadata quorum cannot be asked with these credentials"),
            Reach::Well | Reach::Lost(..) => None,
        };
        Ok((Some(Box::new(Said { offer, observation, note })), Some(connection)))
    }
}

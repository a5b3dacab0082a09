//! An idempotent producer (KIP-98): acks=all, batches per partition, up to five of them under way, never out of order.
//!
//! What is queued is delivered once, in the order of queueing within its partition, or fails with the reason. Across
//! leader changes and broken connections a batch keeps its sequence number, so a broker that has it already says so.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

use self::{
    partition::Pending,
    sender::{Queued, Sender},
};
use super::{ClientConfig, ClientError, batch};

pub use super::batch::Record;

mod partition;
mod request;
mod sender;
pub mod sequencer;

/// Records that may lie between [`Producer::queue`] and the sender, besides what the buffer allows.
const QUEUE: usize = 1024;

/// Settings of a producer. The defaults are those of the Java client.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// Where the cluster is, and how long to wait for it.
    pub client: ClientConfig,
    /// The topic; it must exist.
    pub topic: String,
    /// How long a batch waits for more records. Default 5 ms; 0 or more.
    pub linger: Duration,
    /// Size in bytes at which a batch is sent without waiting. Default 16 KiB; above 0. One larger record is a batch.
    pub batch_size: usize,
    /// Bytes of records that are not delivered yet; [`Producer::queue`] waits for room. Default 32 MiB; above 0.
    pub buffer: usize,
    /// Batches of a partition, and requests to a broker, that are under way at once. Default 5; from 1 to 5.
    pub max_in_flight: usize,
    /// How long a record may take from being queued to being acknowledged. Default 120 s; above 0. A record whose
    /// request is out then is given up when that request ends, at most one request time-out later.
    pub delivery_timeout: Duration,
}

impl ProducerConfig {
    /// The defaults for a topic.
    #[must_use]
    pub fn new(client: ClientConfig, topic: &str) -> Self {
        Self {
            client,
            topic: topic.to_owned(),
            linger: Duration::from_millis(5),
            batch_size: 16 * 1024,
            buffer: 32 * 1024 * 1024,
            max_in_flight: 5,
            delivery_timeout: Duration::from_secs(120),
        }
    }
}

/// A record is in the log of all replicas that are in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// The partition.
    pub partition: i32,
    /// The record's offset; −1 when the broker only said that it has the record already.
    pub offset: i64,
}

/// Why a record was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProduceError {
    /// Not within the delivery time-out. Whether the record is in the log is unknown.
    TimedOut {
        /// What went wrong last.
        last: Option<ClientError>,
    },
    /// The broker refused it for good.
    Refused(ClientError),
    /// The producer was closed or dropped before. Whether the record is in the log is unknown.
    Closed,
}

impl fmt::Display for ProduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { last: Some(last) } => write!(f, "not delivered in time; at last: {last}"),
            Self::TimedOut { last: None } => f.write_str("not delivered in time"),
            Self::Refused(error) => write!(f, "refused: {error}"),
            Self::Closed => f.write_str("the producer was closed before the delivery"),
        }
    }
}

impl std::error::Error for ProduceError {}

/// A queued record on its way. Dropping it does not stop the record.
#[derive(Debug)]
pub struct Delivery(oneshot::Receiver<Result<Acked, ProduceError>>);

impl Future for Delivery {
    type Output = Result<Acked, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(ProduceError::Closed)))
    }
}

/// A running producer. Dropping it gives up what is not delivered.
#[derive(Debug)]
pub struct Producer {
    queue: mpsc::Sender<Queued>,
    space: Arc<Semaphore>,
    capacity: u32,
    task: JoinSet<()>,
}

impl Producer {
    /// Starts a producer, which asks for its producer id at once. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(config: ProducerConfig) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE);
        let most = usize::try_from(u32::MAX).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let capacity = config.buffer.clamp(1, most);
        let space = Arc::new(Semaphore::new(capacity));
        let mut task = JoinSet::new();
        task.spawn(Sender::new(config, queued).run());
        Self { queue, space, capacity: u32::try_from(capacity).unwrap_or(u32::MAX), task }
    }

    /// Queues a record of now, waits until there is room for it and then until it is delivered.
    ///
    /// # Errors
    /// See [`ProduceError`].
    pub async fn send(
        &self,
        partition: i32,
        key: Option<Bytes>,
        value: Option<Bytes>,
    ) -> Result<Acked, ProduceError> {
        self.queue(partition, Record::now(key, value)).await?.await
    }

    /// Queues a record behind those queued before, and waits only until there is room for it.
    ///
    /// # Errors
    /// The producer has ended.
    pub async fn queue(&self, partition: i32, record: Record) -> Result<Delivery, ProduceError> {
        let size = u32::try_from(batch::size_of(&record)).unwrap_or(u32::MAX).min(self.capacity);
        let space = Arc::clone(&self.space).acquire_many_owned(size).await;
        let space = space.map_err(|_| ProduceError::Closed)?;
        let (answer, delivery) = oneshot::channel();
        let queued = Queued { partition, pending: Pending { record, answer, space } };
        self.queue.send(queued).await.map_err(|_| ProduceError::Closed)?;
        Ok(Delivery(delivery))
    }

    /// Delivers what is queued, without lingering, for as long as `deadline`, and ends.
    ///
    /// # Errors
    /// Something was still undelivered: its [`Delivery`] says so too.
    pub async fn close(mut self, deadline: Duration) -> Result<(), ProduceError> {
        drop(self.queue);
        let ended = timeout(deadline, self.task.join_next()).await;
        ended.map(drop).map_err(|_| ProduceError::Closed)
    }
}

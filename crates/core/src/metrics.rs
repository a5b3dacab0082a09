//! Counters that the data plane writes and the control plane shows. Plain atomics: no lock, no allocation, no clock.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Api keys are below this.
pub const API_KEYS: usize = 128;
/// Upper bounds of the latency buckets, in microseconds; one more bucket takes the rest.
pub const LATENCY_BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    /// The value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    /// One less.
    pub fn dec(&self) {
        self.sub(1);
    }
    /// `n` less.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }
    /// The value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Latencies in fixed buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; LATENCY_BOUNDS_US.len() + 1],
    sum_us: Counter,
}

impl Histogram {
    /// Takes one latency in.
    pub fn record(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].add(1);
        self.sum_us.add(us);
    }
    /// Counts per bucket (not cumulated), and the sum in microseconds.
    pub fn values(&self) -> ([u64; LATENCY_BOUNDS_US.len() + 1], u64) {
        (array::from_fn(|i| self.buckets[i].value()), self.sum_us.value())
    }
}

/// Counters of one api.
#[derive(Debug, Default)]
pub struct ApiMetrics {
    /// Requests received from clients.
    pub requests: Counter,
    /// Requests answered by Pointsman with an error, because of a switch or a missing cluster.
    pub local_errors: Counter,
    /// Time from a complete request to its complete response.
    pub latency: Histogram,
}

/// All counters of one virtual cluster.
#[derive(Debug)]
pub struct VirtualClusterMetrics {
    /// Per api key.
    pub apis: [ApiMetrics; API_KEYS],
    /// Open client connections.
    pub connections: Gauge,
    /// Client connections accepted.
    pub accepted: Counter,
    /// Open connections to brokers.
    pub upstreams: Gauge,
    /// Bytes from clients.
    pub bytes_in: Counter,
    /// Bytes to clients.
    pub bytes_out: Counter,
    /// Requests that were split over several brokers.
    pub splits: Counter,
    /// Partitions for which a group was given a position that the active cluster does not have.
    pub positions_given: Counter,
    /// Passthrough: how often a broker has lost its slots, because connections to it failed.
    pub ejections: Counter,
    /// Partitions of which an epoch of an older generation was answered with the switch point.
    pub epochs_answered: Counter,
    /// Closed client connections, by reason.
    pub closed: [Counter; CloseReason::ALL.len()],
}

impl Default for VirtualClusterMetrics {
    fn default() -> Self {
        Self {
            apis: array::from_fn(|_| ApiMetrics::default()),
            connections: Gauge::default(),
            accepted: Counter::default(),
            upstreams: Gauge::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            splits: Counter::default(),
            positions_given: Counter::default(),
            ejections: Counter::default(),
            epochs_answered: Counter::default(),
            closed: array::from_fn(|_| Counter::default()),
        }
    }
}

/// Why a client connection was closed: metric label, log word and documentation at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed it.
    ClientClosed,
    /// The client's socket failed.
    ClientError,
    /// The client sent bytes that are no Kafka request Pointsman offers.
    BadRequest,
    /// The client sent a request that is larger, or names more things, than Pointsman takes in at once.
    TooLarge,
    /// A broker sent bytes that are no Kafka response.
    BadResponse,
    /// No broker could be reached for a request that no error can answer.
    UpstreamFailed,
    /// A switch found a request in flight that no error can answer.
    Switched,
    /// No cluster of the chain is available.
    NoCluster,
    /// The client made no progress within a deadline.
    Stalled,
    /// The process is shutting down, or a switch drained it.
    Drained,
    /// Passthrough: the broker closed its side first.
    BrokerClosed,
    /// Passthrough: nothing moved for `idle_timeout`.
    Idle,
    /// Passthrough by SNI: the first bytes are no TLS ClientHello.
    NotTls,
    /// Passthrough by SNI: the ClientHello did not come in time.
    HelloTimeout,
    /// Passthrough by SNI: the ClientHello is malformed, or larger than any client's.
    BadHello,
    /// Passthrough by SNI: the ClientHello names no host.
    NoServerName,
    /// Passthrough by SNI: the ClientHello names a host that is no slot.
    UnknownHost,
    /// The system refused something that the connection needs to go on.
    OutOfResources,
}

impl CloseReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [CloseReason; 18] = [
        Self::ClientClosed,
        Self::ClientError,
        Self::BadRequest,
        Self::TooLarge,
        Self::BadResponse,
        Self::UpstreamFailed,
        Self::Switched,
        Self::NoCluster,
        Self::Stalled,
        Self::Drained,
        Self::BrokerClosed,
        Self::Idle,
        Self::NotTls,
        Self::HelloTimeout,
        Self::BadHello,
        Self::NoServerName,
        Self::UnknownHost,
        Self::OutOfResources,
    ];

    /// The word used in metrics, logs and docs.
    pub fn word(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::ClientError => "client_error",
            Self::BadRequest => "bad_request",
            Self::TooLarge => "too_large",
            Self::BadResponse => "bad_response",
            Self::UpstreamFailed => "upstream_failed",
            Self::Switched => "switched",
            Self::NoCluster => "no_cluster",
            Self::Stalled => "stalled",
            Self::Drained => "drained",
            Self::BrokerClosed => "broker_closed",
            Self::Idle => "idle",
            Self::NotTls => "not_tls",
            Self::HelloTimeout => "hello_timeout",
            Self::BadHello => "bad_hello",
            Self::NoServerName => "no_server_name",
            Self::UnknownHost => "unknown_host",
            Self::OutOfResources => "out_of_resources",
        }
    }
}

//! The workloads: what is sent, over how many connections, and what of it is counted.

mod closed;
mod idle;
mod open;

use std::net::SocketAddr;
use std::time::Duration;

use pointsman_sandbox::client::batch::Stamp;

use super::client::{Client, check};
use super::frames::{self, FETCH, PRODUCE};
use super::options::Workload;
use super::proc::{self, Usage};
use super::sink::{FETCH_TOPIC, PARTITIONS, PRODUCE_TOPIC};
use crate::process::wait_for;

/// Not measured: connections are made, buffers grow.
pub(super) const WARM_UP: Duration = Duration::from_millis(300);
/// How long a new topic may need until all its partitions can be written.
const LEADERS_LIMIT: Duration = Duration::from_secs(60);
/// Connections of a workload that does not say otherwise.
const CONNECTIONS: usize = 4;
/// Requests without an answer on one connection, as the Java producer has by default.
const PIPELINE: usize = 5;
/// A consumer has one Fetch out per broker.
const ONE: usize = 1;
const BUSY_CONNECTIONS: usize = 100;
/// Beside the one that does not read.
const OTHERS: usize = 99;
const MANY_CONNECTIONS: usize = 1000;
const BATCH: usize = 16 << 10;
const LARGE_BATCH: usize = 960 << 10;
const RECORD: usize = 1024;
const SMALL_RECORD: usize = 100;
const FETCH_PARTITION: i32 = 1 << 20;
const SMALL_FETCH: i32 = 64 << 10;

/// What is measured, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// The process of the proxy.
    pub(super) pid: Option<u32>,
    pub(super) length: Duration,
    pub(super) rate: u32,
    /// Whether producers are idempotent.
    pub(super) idempotent: bool,
    /// Connections of the workload `idle`.
    pub(super) connections: usize,
}

impl Target {
    fn usage(&self) -> Result<Option<Usage>, String> {
        self.pid.map(proc::usage).transpose()
    }
}

/// What was counted in the measured time.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    pub(super) seconds: f64,
    /// Bytes of requests (Produce) or responses (Fetch).
    pub(super) bytes: u64,
    pub(super) requests: u64,
    /// Of the proxy, if there is one.
    pub(super) usage: Option<Usage>,
    /// From the moment a request was due to its answer, in ns, sorted.
    pub(super) latencies: Vec<u64>,
    /// Connections held, and by how much each made the proxy grow, in KiB.
    pub(super) held: Option<(usize, f64)>,
}

/// A request that is repeated.
#[derive(Clone, Copy, Debug)]
struct Shape {
    api: (i16, i16),
    partitions: i32,
    /// Bytes of one batch, or the most that is fetched of one partition.
    size: usize,
    record: usize,
}

impl Shape {
    const fn produce(partitions: i32, size: usize, record: usize) -> Self {
        Self { api: PRODUCE, partitions, size, record }
    }

    const fn fetch(partitions: i32, max: i32) -> Self {
        Self { api: FETCH, partitions, size: max.unsigned_abs() as usize, record: 0 }
    }

    const fn topic(&self) -> &'static str {
        if self.api.0 == PRODUCE.0 { PRODUCE_TOPIC.0 } else { FETCH_TOPIC.0 }
    }

    /// Says hello, and makes the request.
    fn begin(&self, client: &mut Client, target: &Target) -> Result<Vec<u8>, String> {
        let topic = client.greet(self.topic())?;
        let writes = self.api.0 == PRODUCE.0;
        let stamp = if writes && target.idempotent { client.producer()? } else { Stamp::NONE };
        self.encode(topic, stamp)
    }

    fn encode(&self, topic: [u8; 16], stamp: Stamp) -> Result<Vec<u8>, String> {
        if self.api.0 == FETCH.0 {
            let max = i32::try_from(self.size).map_err(|e| e.to_string())?;
            return frames::fetch(topic, self.partitions, max);
        }
        frames::produce(topic, self.partitions, &frames::batch(self.size, self.record, stamp))
    }
}

const SMALL: Shape = Shape::produce(1, SMALL_RECORD, SMALL_RECORD);
const HALF: Shape = Shape::produce(1, BATCH, RECORD);

/// Half of the requests per second that the target reaches of those that [`Workload::Half`] sends.
pub(super) fn half_rate(target: &Target) -> Result<u32, String> {
    let measured = closed::run(target, HALF, CONNECTIONS, PIPELINE)?;
    let reached = u128::from(measured.requests) * 1_000_000
        / Duration::from_secs_f64(measured.seconds).as_micros().max(1);
    let half = u32::try_from(reached / 2).unwrap_or(u32::MAX);
    if half == 0 { Err("a direct connection reaches nothing".to_owned()) } else { Ok(half) }
}

/// The most connections that a workload has at once; `idle` has `held`, and some before.
pub(super) fn clients(workload: Workload, held: usize) -> usize {
    match workload {
        Workload::Busy => BUSY_CONNECTIONS,
        Workload::Many => MANY_CONNECTIONS,
        Workload::Hundred | Workload::Slow => OTHERS + 1,
        Workload::Idle => held + idle::FIRST,
        _ => CONNECTIONS,
    }
}

/// Runs a workload to its end.
pub(super) fn run(workload: Workload, target: &Target) -> Result<Measured, String> {
    let produce = Shape::produce(16, BATCH, RECORD);
    match workload {
        Workload::Produce => closed::run(target, produce, CONNECTIONS, PIPELINE),
        Workload::ProduceLarge => {
            closed::run(target, Shape::produce(4, LARGE_BATCH, RECORD), CONNECTIONS, PIPELINE)
        }
        Workload::Fetch => closed::run(target, Shape::fetch(4, FETCH_PARTITION), CONNECTIONS, ONE),
        Workload::FetchSmall => closed::run(target, Shape::fetch(1, SMALL_FETCH), CONNECTIONS, ONE),
        Workload::Small => closed::run(target, SMALL, CONNECTIONS, PIPELINE),
        Workload::Busy => closed::run(target, Shape::produce(1, BATCH, RECORD), BUSY_CONNECTIONS, PIPELINE),
        Workload::Half => open::run(target, HALF, CONNECTIONS),
        Workload::Latency => open::run(target, Shape::produce(1, RECORD, RECORD), CONNECTIONS),
        Workload::Many => open::run(target, SMALL, MANY_CONNECTIONS),
        Workload::Hundred => open::run(target, SMALL, OTHERS),
        Workload::Slow => {
            let _slow = slow(target)?;
            open::run(target, SMALL, OTHERS)
        }
        Workload::Idle => idle::run(target, SMALL),
    }
}

/// A consumer that asks for more than all buffers on its way hold, and does not read it.
fn slow(target: &Target) -> Result<Client, String> {
    let shape = Shape::fetch(4, FETCH_PARTITION);
    let mut client = Client::small(target.address)?;
    let frame = shape.begin(&mut client, target)?;
    (0..PIPELINE).try_for_each(|_| client.send(&frame))?;
    Ok(client)
}

/// Waits until both topics can be written, and fills the one that is fetched: so much that a Fetch finds all that it asks
/// for. Metadata names leaders before they lead.
pub(super) fn prepare(address: SocketAddr) -> Result<(), String> {
    let mut client = Client::connect(address)?;
    let rounds = 2 * FETCH_PARTITION.unsigned_abs() as usize / BATCH;
    for (name, rounds) in [(PRODUCE_TOPIC.0, 1), (FETCH_TOPIC.0, rounds)] {
        let topic = client.greet(name)?;
        let frame = frames::produce(topic, PARTITIONS, &frames::batch(BATCH, RECORD, Stamp::NONE))?;
        let mut write = || {
            client.send(&frame)?;
            check(&client.receive_whole(PRODUCE)?)
        };
        wait_for(LEADERS_LIMIT, &mut write).map_err(|e| format!("{name}: {e}"))?;
        (1..rounds).try_for_each(|_| write())?;
    }
    Ok(())
}

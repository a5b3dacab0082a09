//! Where the requests end: the sink, or one broker of Apache Kafka.

use std::net::SocketAddr;
use std::time::Duration;

use super::load;
use super::options::Side;
use super::sink::{FETCH_TOPIC, PARTITIONS, PRODUCE_TOPIC, Sink};
use crate::kafka::{Cluster, ClusterSpec, Kafka};

const LEADERS_LIMIT: Duration = Duration::from_secs(60);
/// What is written is deleted soon: the data is in memory.
const KEPT: &[(&str, &str)] =
    &[("segment.bytes", "16777216"), ("retention.bytes", "16777216"), ("file.delete.delay.ms", "0")];

/// A running broker.
#[derive(Debug)]
pub(super) enum Broker {
    /// What is measured, and another cluster that a chain begins with.
    Sink(Sink, Sink),
    Kafka(Box<Cluster>),
}

impl Broker {
    /// Starts one with both topics, that of Fetch filled; the error is why the side is skipped.
    pub(super) fn start(side: Side) -> Result<Self, String> {
        match side {
            Side::Sink => {
                let start = |cluster| Sink::start(cluster).map_err(|e| format!("sink: {e}"));
                Ok(Self::Sink(start("sinksinksinksinksinksA")?, start("sinksinksinksinksinksB")?))
            }
            Side::Kafka => kafka().map(|cluster| Self::Kafka(Box::new(cluster))),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Sink(sink, _) => sink.address,
            Self::Kafka(cluster) => cluster.address(0),
        }
    }

    /// A broker of another cluster, if there is one.
    pub(super) fn other(&self) -> Option<SocketAddr> {
        match self {
            Self::Sink(_, other) => Some(other.address),
            Self::Kafka(_) => None,
        }
    }

    /// Whether the same batch may come again and again from a producer that has an id: a real broker writes it once.
    pub(super) fn forgets(&self) -> bool {
        matches!(self, Self::Sink(..))
    }
}

fn kafka() -> Result<Cluster, String> {
    Kafka::available()?;
    let kafka = Kafka::install()?;
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let properties = vec![pair("log.retention.check.interval.ms", "500"), pair("max.connections", "100000")];
    // Fetch answers of megabytes for several connections need more heap than tests do.
    let jvm_args = vec!["-Xmx1g".to_owned()];
    let spec = ClusterSpec { properties, jvm_args, ..ClusterSpec::new("bench", 1) };
    let cluster = Cluster::start(&kafka, spec)?;
    let partitions = usize::try_from(PARTITIONS).unwrap_or(1);
    cluster.create_topic(PRODUCE_TOPIC.0, partitions, 1, KEPT)?;
    cluster.create_topic(FETCH_TOPIC.0, partitions, 1, &[])?;
    for (topic, _) in [PRODUCE_TOPIC, FETCH_TOPIC] {
        cluster.wait_in_sync(topic, LEADERS_LIMIT)?;
    }
    load::prepare(cluster.address(0))?;
    Ok(cluster)
}

//! A small client of real brokers, for probes and metadata: one request at a time on one connection.
//!
//! It has no time-outs of its own: every caller bounds it. What comes from the network is read as it arrives, never
//! allocated because a length says so.

use bytes::{Bytes, BytesMut};
use pointsman_core::{
    config::Address,
    limits::{MAX_CONTROL_RESPONSE, READ_CHUNK},
    offer::Offer,
    topology::{Observation, Partition, Topic},
};
use pointsman_wire::{
    Struct, Value, decode_response, encode_request,
    frame::{SIZE_LEN, frame_size},
    tables,
};
use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const DESCRIBE_QUORUM: i16 = 55;
const UNSUPPORTED_VERSION: i16 = 35;
/// A resolver gets so long when an earlier answer is known.
const RESOLVE_WAIT: Duration = Duration::from_millis(200);
/// An address that does not answer keeps the next one waiting for so long.
const NEXT_ADDRESS: Duration = Duration::from_millis(300);
const CLIENT: &str = "pointsman";

/// A partition's log: topic and index.
pub type Log = (Arc<str>, i32);

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPlace {
    /// Of the first record that is still there.
    Start,
    /// Of the next record that consumers will see.
    End,
}

/// Why a broker could not be asked.
#[derive(Debug)]
pub enum CallError {
    /// Nobody listens there.
    Refused,
    /// The name could not be resolved.
    Resolve(io::Error),
    /// The connection failed or ended.
    Io(io::Error),
    /// The two sides could not agree on TLS: why, and what to do.
    Tls(String),
    /// What came is not what the protocol says.
    Protocol(String),
    /// The broker answered with this error code.
    Code(i16),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Resolve(e) => write!(f, "the name does not resolve: {e}"),
            Self::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => f.write_str("connection closed"),
            Self::Io(e) => write!(f, "{e}"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::Protocol(what) => write!(f, "unexpected answer: {what}"),
            Self::Code(code) => write!(f, "error code {code}"),
        }
    }
}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::ConnectionRefused { Self::Refused } else { Self::Io(error) }
    }
}

/// The addresses of one host as last resolved: kept when the resolver fails. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct LastGood(Arc<Mutex<Vec<SocketAddr>>>);

impl LastGood {
    async fn resolve(&self, address: &Address) -> Result<Vec<SocketAddr>, CallError> {
        let known = self.load();
        let look_up = tokio::net::lookup_host((&*address.host, address.port));
        let found = if known.is_empty() {
            look_up.await.map(Vec::from_iter)
        } else {
            // A resolver that hangs must not make brokers look dead.
            let slow = || Err(io::ErrorKind::TimedOut.into());
            timeout(RESOLVE_WAIT, look_up).await.unwrap_or_else(|_| slow()).map(Vec::from_iter)
        };
        match found {
            Ok(found) if !found.is_empty() => {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found.clone();
                Ok(found)
            }
            Err(error) if known.is_empty() => Err(CallError::Resolve(error)),
            Ok(_) | Err(_) => Ok(known),
        }
    }

    fn load(&self) -> Vec<SocketAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Connects to the first address of the host that accepts. An address that does not answer keeps the next one waiting
/// for a moment only. If none accepts and one refused, nobody listens there.
///
/// # Errors
/// No address, or none that accepts.
pub async fn dial(address: &Address, known: &LastGood) -> Result<TcpStream, CallError> {
    let candidates = known.resolve(address).await?;
    let mut failure = None;
    for (index, candidate) in candidates.iter().enumerate() {
        let connect = TcpStream::connect(candidate);
        let result = if index + 1 == candidates.len() {
            connect.await
        } else {
            timeout(NEXT_ADDRESS, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match result.map_err(CallError::from) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if matches!(failure, Some(CallError::Refused)) => drop(error),
            Err(error) => failure = Some(error),
        }
    }
    let nothing = || CallError::Resolve(io::Error::new(io::ErrorKind::NotFound, "no address"));
    Err(failure.unwrap_or_else(nothing))
}

/// A connection to a broker.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: BytesMut,
    correlation: i32,
    /// What the broker said it can do.
    offer: Offer,
    metadata_offset: Option<i64>,
}

impl Connection {
    /// A connection that has asked nothing yet.
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            received: BytesMut::new(),
            correlation: 0,
            offer: Offer::default(),
            metadata_offset: None,
        }
    }

    /// Resolves when the peer ends the connection, or sends what nobody asked for.
    pub async fn ended(&self) {
        // The readiness of a socket may be old news: only a read tells.
        while self.stream.readable().await.is_ok() {
            match self.stream.try_read(&mut [0]) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Asks what the broker can do, and remembers it for the versions of later calls.
    ///
    /// # Errors
    /// No answer, or none that is ApiVersions.
    pub async fn api_versions(&mut self) -> Result<Offer, CallError> {
        let ours = tables::api(API_VERSIONS).map_or(0, |a| a.versions.max).min(4);
        let version = self.offer.apis.get(&API_VERSIONS).map_or(ours, |(_, max)| ours.min(*max));
        let answer = match self.ask_versions(version).await? {
            Versions::Answer(answer) => answer,
            Versions::Unsupported(max) => match self.ask_versions(max.clamp(0, ours)).await? {
                Versions::Answer(answer) => answer,
                Versions::Unsupported(_) => return Err(CallError::Code(UNSUPPORTED_VERSION)),
            },
        };
        self.offer = offer(&answer);
        self.metadata_offset = Some(answer.int("FinalizedFeaturesEpoch")).filter(|epoch| *epoch > 0);
        Ok(self.offer.clone())
    }

    /// How far the broker has read the cluster's metadata, as it said with its versions. In KRaft that is the epoch of the
    /// finalized features, and it moves every half second while there is a metadata quorum (KIP-835).
    pub fn metadata_offset(&self) -> Option<i64> {
        self.metadata_offset
    }

    /// Asks for metadata: brokers, and all topics if wanted.
    ///
    /// # Errors
    /// No answer, or none that is Metadata.
    pub async fn metadata(&mut self, all_topics: bool) -> Result<Observation, CallError> {
        let version = self.version(METADATA)?;
        // Version 0 cannot ask for no topics: an empty list means all.
        let topics = if all_topics && version > 0 { Value::Null } else { Value::Array(Vec::new()) };
        let request = Struct::new().with("Topics", topics).with("AllowAutoTopicCreation", false);
        let answer = self.call(METADATA, version, &request).await?;
        match answer.i16("ErrorCode") {
            0 => Ok(observation(&answer, all_topics || version == 0)),
            code => Err(CallError::Code(code)),
        }
    }

    /// The offset at a place of each partition's log, as far as this broker leads it: (index into `partitions`, offset). The
    /// partitions of a topic stand together.
    ///
    /// # Errors
    /// No answer, or none that is ListOffsets.
    pub async fn offsets(
        &mut self,
        partitions: &[Log],
        at: LogPlace,
    ) -> Result<Vec<(usize, i64)>, CallError> {
        let version = self.version(LIST_OFFSETS)?;
        if version == 0 {
            return Err(CallError::Protocol("ListOffsets version 0 has no offset to give".into()));
        }
        let answer = self.call(LIST_OFFSETS, version, &offsets_request(partitions, at)).await?;
        Ok(offsets_of(partitions, &answer))
    }

    /// The leader of the metadata quorum as the broker can find out: −1 for none. `None`: the broker cannot be asked.
    ///
    /// # Errors
    /// No answer, or an error code; 29 and 31 say that the credentials do not allow the question.
    pub async fn quorum_leader(&mut self) -> Result<Option<i32>, CallError> {
        if !self.offer.apis.contains_key(&DESCRIBE_QUORUM) {
            return Ok(None);
        }
        let version = self.version(DESCRIBE_QUORUM)?;
        let partition = Struct::new().with("PartitionIndex", 0);
        let topic = Struct::new()
            .with("TopicName", "__cluster_metadata")
            .with("Partitions", Value::Array(vec![Value::Struct(partition)]));
        let request = Struct::new().with("Topics", Value::Array(vec![Value::Struct(topic)]));
        let answer = self.call(DESCRIBE_QUORUM, version, &request).await?;
        let partition = answer.structs("Topics").flat_map(|t| t.structs("Partitions")).next();
        let inner = partition.map_or(0, |p| p.i16("ErrorCode"));
        match (answer.i16("ErrorCode"), inner) {
            (0, 0) => Ok(Some(partition.map_or(-1, |p| p.i32("LeaderId")))),
            (0, code) | (code, _) => Err(CallError::Code(code)),
        }
    }

    /// The highest version that both sides have.
    fn version(&self, key: i16) -> Result<i16, CallError> {
        let ours = tables::api(key).map(|a| a.versions);
        let theirs = self.offer.apis.get(&key);
        let common = ours.zip(theirs).map(|(o, t)| (o.min.max(t.0), o.max.min(t.1)));
        let missing = || CallError::Protocol(format!("api {key} has no version in common"));
        common.filter(|(min, max)| min <= max).map(|(_, max)| max).ok_or_else(missing)
    }

    async fn call(&mut self, key: i16, version: i16, request: &Struct) -> Result<Struct, CallError> {
        let frame = self.exchange(key, version, request).await?;
        self.decode(key, version, &frame)
    }

    fn decode(&self, key: i16, version: i16, frame: &Bytes) -> Result<Struct, CallError> {
        let (correlation, answer) =
            decode_response(key, version, frame).map_err(|e| CallError::Protocol(e.to_string()))?;
        if correlation != self.correlation {
            return Err(CallError::Protocol(format!(
                "correlation id {correlation}, expected {}",
                self.correlation
            )));
        }
        Ok(answer)
    }

    async fn exchange(&mut self, key: i16, version: i16, request: &Struct) -> Result<Bytes, CallError> {
        self.correlation = self.correlation.wrapping_add(1);
        let frame = encode_request(key, version, self.correlation, Some(CLIENT), request);
        let frame = frame.map_err(|e| CallError::Protocol(e.to_string()))?;
        self.stream.write_all(&frame).await?;
        self.read_frame().await
    }

    async fn read_frame(&mut self) -> Result<Bytes, CallError> {
        let mut prefix = [0; SIZE_LEN];
        self.stream.read_exact(&mut prefix).await?;
        let size =
            frame_size(prefix, MAX_CONTROL_RESPONSE).map_err(|e| CallError::Protocol(e.to_string()))?;
        self.received.clear();
        while self.received.len() < size {
            let wanted = (size - self.received.len()).min(READ_CHUNK);
            self.received.reserve(wanted);
            let mut part = (&mut self.stream).take(u64::try_from(wanted).unwrap_or(0));
            if part.read_buf(&mut self.received).await? == 0 {
                return Err(CallError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(self.received.split().freeze())
    }

    async fn ask_versions(&mut self, version: i16) -> Result<Versions, CallError> {
        let request = Struct::new()
            .with("ClientSoftwareName", CLIENT)
            .with("ClientSoftwareVersion", env!("CARGO_PKG_VERSION"));
        let frame = self.exchange(API_VERSIONS, version, &request).await?;
        // A broker that does not know the version answers in version 0, with what it knows.
        let code = frame.get(4..6).map_or(0, |b| i16::from_be_bytes([b[0], b[1]]));
        if code == UNSUPPORTED_VERSION {
            let answer = self.decode(API_VERSIONS, 0, &frame)?;
            let max = offer(&answer).apis.get(&API_VERSIONS).map_or(0, |(_, max)| *max);
            return Ok(Versions::Unsupported(max));
        }
        let answer = self.decode(API_VERSIONS, version, &frame)?;
        if code == 0 { Ok(Versions::Answer(answer)) } else { Err(CallError::Code(code)) }
    }
}

fn offsets_request(partitions: &[Log], at: LogPlace) -> Struct {
    let timestamp: i64 = if at == LogPlace::End { -1 } else { -2 };
    let partition = |(_, index): &Log| {
        Value::Struct(Struct::new().with("PartitionIndex", *index).with("Timestamp", timestamp))
    };
    let topic = |logs: &[Log]| {
        let partitions = Value::Array(logs.iter().map(partition).collect());
        Value::Struct(Struct::new().with("Name", &*logs[0].0).with("Partitions", partitions))
    };
    let topics = partitions.chunk_by(|a, b| a.0 == b.0).map(topic).collect();
    Struct::new().with("ReplicaId", -1).with("Topics", Value::Array(topics))
}

/// What was not asked for is not believed.
fn offsets_of(partitions: &[Log], answer: &Struct) -> Vec<(usize, i64)> {
    let asked: HashMap<(&str, i32), usize> =
        partitions.iter().enumerate().map(|(number, (topic, index))| ((&**topic, *index), number)).collect();
    let topics = answer.structs("Topics");
    let found = topics.flat_map(|t| t.structs("Partitions").map(|p| (t.str("Name"), p)));
    found
        .filter(|(_, p)| p.i16("ErrorCode") == 0 && p.int("Offset") >= 0)
        .filter_map(|(topic, p)| {
            let number = asked.get(&(topic, p.i32("PartitionIndex")))?;
            Some((*number, p.int("Offset")))
        })
        .collect()
}

enum Versions {
    Answer(Struct),
    Unsupported(i16),
}

fn offer(answer: &Struct) -> Offer {
    let range = |s: &Struct, min, max| (s.i16(min), s.i16(max));
    let features = |list: &str, min, max| {
        answer.structs(list).map(|f| (Arc::from(f.str("Name")), range(f, min, max))).collect()
    };
    Offer {
        apis: answer
            .structs("ApiKeys")
            .map(|a| (a.i16("ApiKey"), range(a, "MinVersion", "MaxVersion")))
            .collect(),
        supported: features("SupportedFeatures", "MinVersion", "MaxVersion"),
        finalized: features("FinalizedFeatures", "MinVersionLevel", "MaxVersionLevel"),
        // A cluster's own is of no use: it would go back at a switch.
        finalized_epoch: 0,
    }
}

fn observation(answer: &Struct, all_topics: bool) -> Observation {
    let broker = |b: &Struct| {
        let port = u16::try_from(b.int("Port")).ok().filter(|p| *p > 0)?;
        let address = Address { host: b.str("Host").into(), port };
        Some((b.i32("NodeId"), address, b.opt_str("Rack").map(Arc::from)))
    };
    Observation {
        cluster_id: answer.opt_str("ClusterId").map(Arc::from),
        controller: answer.has("ControllerId").then(|| answer.i32("ControllerId")).filter(|n| *n >= 0),
        brokers: answer.structs("Brokers").filter_map(broker).collect(),
        topics: answer
            .structs("Topics")
            .filter(|t| t.i16("ErrorCode") == 0 && t.opt_str("Name").is_some())
            .map(topic)
            .collect(),
        all_topics,
    }
}

fn topic(t: &Struct) -> Topic {
    // A topic has no more partitions than the answer lists: an index beyond that is not believed.
    let mut partitions = vec![Partition::UNKNOWN; t.array("Partitions").len()];
    for p in t.structs("Partitions") {
        let index = usize::try_from(p.i32("PartitionIndex")).ok();
        if let Some(slot) = index.and_then(|i| partitions.get_mut(i)) {
            let epoch = if p.has("LeaderEpoch") { p.i32("LeaderEpoch") } else { -1 };
            *slot = Partition { leader: p.i32("LeaderId"), epoch };
        }
    }
    Topic { name: t.str("Name").into(), id: Uuid::from_bytes(t.uuid("TopicId")), partitions }
}

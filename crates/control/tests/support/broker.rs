//! A fake cluster: brokers that answer ApiVersions, Metadata, ListOffsets and DescribeQuorum, and can be killed, paused and confused.

use bytes::Bytes;
use pointsman_core::config::Address;
use pointsman_wire::{Struct, Value, decode_request, encode_response};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// How the brokers of a cluster behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As they should.
    Well,
    /// Without a metadata quorum: DescribeQuorum is never answered, and the metadata stands still.
    NoMetadataQuorum,
    /// The credentials do not allow DescribeQuorum.
    QuorumNotAllowed,
    /// The same, and no partition has a leader.
    Leaderless,
    /// Answers are not Kafka's: a length of two gigabytes.
    Hostile,
    /// An HTTP server that says 503.
    RecoveryMode,
    /// An HTTP server that says 200.
    Http,
}

struct Shared {
    name: &'static str,
    addresses: Mutex<Vec<SocketAddr>>,
    topics: Mutex<Vec<(&'static str, usize)>>,
    metadata_max: Mutex<i16>,
    /// Name and level of each feature; all are supported from 0 to their level.
    features: Mutex<Vec<(&'static str, i16)>>,
    /// Whether a telemetry plugin is installed.
    telemetry: AtomicBool,
    mood: Mutex<Mood>,
    /// The end of every log; its start is 10 before.
    end: AtomicI64,
    metadata_offset: AtomicI64,
    paused: Vec<watch::Sender<bool>>,
}

pub(crate) struct Brokers {
    shared: Arc<Shared>,
    running: Mutex<Vec<Option<AbortHandle>>>,
}

impl Brokers {
    /// So many brokers, all up.
    pub(crate) async fn start(name: &'static str, count: usize) -> Self {
        let brokers = Self::reserve(name, count).await;
        for node in 0..count {
            brokers.revive(node).await;
        }
        brokers
    }

    /// So many addresses at which nobody listens yet.
    pub(crate) async fn reserve(name: &'static str, count: usize) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..count {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let shared = Arc::new(Shared {
            name,
            addresses: Mutex::new(listeners.iter().map(|l| l.local_addr().unwrap()).collect()),
            topics: Mutex::new(vec![("orders", 6)]),
            metadata_max: Mutex::new(12),
            features: Mutex::default(),
            telemetry: AtomicBool::new(false),
            mood: Mutex::new(Mood::Well),
            end: AtomicI64::new(0),
            metadata_offset: AtomicI64::new(1),
            paused: (0..count).map(|_| watch::channel(false).0).collect(),
        });
        Self { shared, running: Mutex::new((0..count).map(|_| None).collect()) }
    }

    pub(crate) fn addresses(&self) -> Vec<Address> {
        let addresses = self.shared.addresses.lock().unwrap();
        addresses.iter().map(|a| Address { host: "127.0.0.1".into(), port: a.port() }).collect()
    }

    /// As `kill -9`: every connection ends, new ones are refused.
    pub(crate) fn kill(&self, node: usize) {
        if let Some(running) = self.running.lock().unwrap()[node].take() {
            running.abort();
        }
    }

    pub(crate) async fn revive(&self, node: usize) {
        let address = self.shared.addresses.lock().unwrap()[node];
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(64).unwrap();
        let task = tokio::spawn(serve(self.shared.clone(), node, listener));
        self.running.lock().unwrap()[node] = Some(task.abort_handle());
    }

    /// As SIGSTOP and SIGCONT.
    pub(crate) fn pause(&self, node: usize, paused: bool) {
        self.shared.paused[node].send_replace(paused);
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    pub(crate) fn set_topics(&self, topics: &[(&'static str, usize)]) {
        *self.shared.topics.lock().unwrap() = topics.to_vec();
    }

    /// So many records were ever written to each partition.
    pub(crate) fn set_end(&self, end: i64) {
        self.shared.end.store(end, Ordering::Relaxed);
    }

    /// The highest version of Metadata that the brokers offer.
    pub(crate) fn set_metadata_max(&self, version: i16) {
        *self.shared.metadata_max.lock().unwrap() = version;
    }
}

impl Brokers {
    pub(crate) fn set_features(&self, features: &[(&'static str, i16)]) {
        *self.shared.features.lock().unwrap() = features.to_vec();
    }

    pub(crate) fn install_telemetry(&self) {
        self.shared.telemetry.store(true, Ordering::Relaxed);
    }
}

async fn serve(shared: Arc<Shared>, node: usize, listener: TcpListener) {
    // Dropped with this task: then every connection ends.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_zero_linger().unwrap();
        connections.spawn(converse(shared.clone(), node, stream));
    }
}

async fn converse(shared: Arc<Shared>, node: usize, mut stream: TcpStream) -> Option<()> {
    loop {
        let mut paused = shared.paused[node].subscribe();
        let mood = *shared.mood.lock().unwrap();
        if matches!(mood, Mood::RecoveryMode | Mood::Http) {
            return answer_http(&mut stream, mood).await;
        }
        let size = stream.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(size).ok()?];
        stream.read_exact(&mut frame).await.ok()?;
        paused.wait_for(|paused| !paused).await.ok()?;
        let (key, version, correlation, _, request) = decode_request(&Bytes::from(frame)).unwrap();
        let mood = *shared.mood.lock().unwrap();
        let answer = match key {
            _ if mood == Mood::Hostile => {
                stream.write_all(&[0x7f, 0xff, 0xff, 0xff, 0, 0]).await.ok()?;
                continue;
            }
            18 => shared.api_versions(),
            2 => shared.offsets(node, &request),
            3 => shared.metadata(&request, mood),
            55 if mood == Mood::NoMetadataQuorum => std::future::pending().await,
            55 => quorum(mood),
            _ => panic!("unexpected api {key}"),
        };
        let answer = encode_response(key, version, correlation, &answer).unwrap();
        stream.write_all(&answer).await.ok()?;
    }
}

async fn answer_http(stream: &mut TcpStream, mood: Mood) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let code = if mood == Mood::Http { "200 OK" } else { "503 Service Unavailable" };
    stream.write_all(format!("HTTP/1.1 {code}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.ok()
}

fn array<T>(items: impl IntoIterator<Item = T>, make: impl Fn(T) -> Struct) -> Value {
    Value::Array(items.into_iter().map(|i| Value::Struct(make(i))).collect())
}

impl Shared {
    fn api_versions(&self) -> Struct {
        let mut apis = vec![(2, 7), (3, *self.metadata_max.lock().unwrap()), (18, 4), (55, 2)];
        if self.telemetry.load(Ordering::Relaxed) {
            apis.extend([(71, 0), (72, 0)]);
        }
        let features = self.features.lock().unwrap().clone();
        let supported = |(name, level): (&'static str, i16)| {
            Struct::new().with("Name", name).with("MinVersion", 0i64).with("MaxVersion", i64::from(level))
        };
        let finalized = |(name, level): (&'static str, i16)| {
            let level = i64::from(level);
            Struct::new().with("Name", name).with("MinVersionLevel", level).with("MaxVersionLevel", level)
        };
        let api = |(key, max): (i16, i16)| {
            Struct::new()
                .with("ApiKey", i64::from(key))
                .with("MinVersion", 0i64)
                .with("MaxVersion", i64::from(max))
        };
        if *self.mood.lock().unwrap() != Mood::NoMetadataQuorum {
            self.metadata_offset.fetch_add(1, Ordering::Relaxed);
        }
        Struct::new()
            .with("ErrorCode", 0i64)
            .with("ApiKeys", array(apis, api))
            .with("SupportedFeatures", array(features.clone(), supported))
            .with("FinalizedFeatures", array(features, finalized))
            .with("FinalizedFeaturesEpoch", self.metadata_offset.load(Ordering::Relaxed))
    }

    /// Only of partitions that the node leads.
    fn offsets(&self, node: usize, request: &Struct) -> Struct {
        let brokers = self.addresses.lock().unwrap().len();
        let partition = |p: &Struct| {
            let (index, end) = (p.i32("PartitionIndex"), self.end.load(Ordering::Relaxed));
            let offset = if p.int("Timestamp") == -1 { end } else { (end - 10).max(0) };
            let leads = usize::try_from(index).unwrap() % brokers == node;
            Struct::new()
                .with("PartitionIndex", index)
                .with("ErrorCode", if leads { 0i64 } else { 6 })
                .with("Offset", if leads { offset } else { -1 })
        };
        let topic = |t: &Struct| {
            Struct::new()
                .with("Name", t.str("Name"))
                .with("Partitions", array(t.structs("Partitions"), partition))
        };
        Struct::new().with("Topics", array(request.structs("Topics"), topic))
    }

    fn metadata(&self, request: &Struct, mood: Mood) -> Struct {
        let addresses = self.addresses.lock().unwrap().clone();
        let broker = |(node, address): (usize, &SocketAddr)| {
            Struct::new()
                .with("NodeId", number(node))
                .with("Host", "127.0.0.1")
                .with("Port", i64::from(address.port()))
        };
        let partition = |index: usize| {
            let leader = if mood == Mood::Leaderless { -1 } else { number(index % addresses.len()) };
            Struct::new()
                .with("ErrorCode", if leader < 0 { 5i64 } else { 0 })
                .with("PartitionIndex", number(index))
                .with("LeaderId", leader)
                .with("LeaderEpoch", 3i64)
        };
        let topic = |(name, partitions): (&'static str, usize)| {
            Struct::new()
                .with("ErrorCode", 0i64)
                .with("Name", name)
                .with("TopicId", Value::Uuid([u8::try_from(name.len()).unwrap(); 16]))
                .with("Partitions", array(0..partitions, partition))
        };
        let wanted = request.get("Topics").is_null();
        let topics = if wanted { self.topics.lock().unwrap().clone() } else { Vec::new() };
        Struct::new()
            .with("Brokers", array(addresses.iter().enumerate(), broker))
            .with("ClusterId", self.name)
            .with("ControllerId", 0i64)
            .with("Topics", array(topics, topic))
    }
}

fn quorum(mood: Mood) -> Struct {
    if matches!(mood, Mood::QuorumNotAllowed | Mood::Leaderless) {
        return Struct::new().with("ErrorCode", 31i64);
    }
    let partition =
        Struct::new().with("PartitionIndex", 0i64).with("LeaderId", 0i64).with("LeaderEpoch", 1i64);
    let topic =
        Struct::new().with("TopicName", "__cluster_metadata").with("Partitions", array([partition], |p| p));
    Struct::new().with("ErrorCode", 0i64).with("Topics", array([topic], |t| t))
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap()
}

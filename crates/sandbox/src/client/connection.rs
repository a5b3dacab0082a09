//! One connection to one broker: versions are negotiated once, requests are pipelined, answers come in their order.
//!
//! One task owns the socket. It ends, and everything that waits ends with it, when the peer closes, when an answer does
//! not come in time or is not what the protocol says, and when the [`Connection`] is dropped.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use pointsman_wire::{
    Struct, decode_response, encode_request,
    frame::{SIZE_LEN, frame_size},
    tables,
};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use super::{ClientConfig, ClientError, codes};

const API_VERSIONS: i16 = 18;
const API_VERSIONS_MAX: i16 = 4;
/// Room taken at once for bytes that a length has announced but that have not come yet.
const CHUNK: usize = 64 * 1024;

/// The name of an api, for messages.
pub(crate) fn api_name(key: i16) -> &'static str {
    tables::api(key).map_or("an unknown api", |api| api.name)
}

/// An open connection. Dropping it closes the socket and fails what still waits.
#[derive(Debug)]
pub struct Connection {
    address: String,
    client_id: String,
    request_timeout: Duration,
    offer: HashMap<i16, (i16, i16)>,
    requests: mpsc::Sender<Outgoing>,
    correlation: AtomicI32,
    failure: Arc<OnceLock<ClientError>>,
    _task: JoinSet<()>,
}

#[derive(Debug)]
struct Outgoing {
    frame: Vec<u8>,
    expected: Expected,
}

/// A request whose answer has not come yet.
#[derive(Debug)]
struct Expected {
    api: &'static str,
    correlation: i32,
    deadline: Instant,
    answer: oneshot::Sender<Bytes>,
}

/// An answer under way. Dropping it forgets the answer, not the request.
#[derive(Debug)]
pub struct Answer {
    key: i16,
    version: i16,
    address: String,
    frame: oneshot::Receiver<Bytes>,
    failure: Arc<OnceLock<ClientError>>,
}

impl Answer {
    /// Waits for the answer.
    ///
    /// # Errors
    /// The connection failed, or the answer cannot be read.
    pub async fn get(self) -> Result<Struct, ClientError> {
        let (key, version, address) = (self.key, self.version, self.address.clone());
        let frame = self.frame().await?;
        let decoded = decode_response(key, version, &frame);
        decoded.map(|(_, body)| body).map_err(|e| protocol(&address, &e))
    }

    async fn frame(self) -> Result<Bytes, ClientError> {
        let closed = || ClientError::Closed { address: self.address, why: "shut down".to_owned() };
        self.frame.await.map_err(|_| self.failure.get().cloned().unwrap_or_else(closed))
    }
}

impl Connection {
    /// Connects to `address` (`host:port`) and asks which versions the broker has.
    ///
    /// # Errors
    /// Nobody accepts, or nobody answers, within [`ClientConfig::connect_timeout`].
    pub async fn open(address: &str, config: &ClientConfig) -> Result<Self, ClientError> {
        let late = |_| connect_failed(address, &format!("not ready within {:?}", config.connect_timeout));
        timeout(config.connect_timeout, Self::dial(address, config)).await.map_err(late)?
    }

    async fn dial(address: &str, config: &ClientConfig) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(address).await.map_err(|e| connect_failed(address, &e))?;
        stream.set_nodelay(true).map_err(|e| connect_failed(address, &e))?;
        let mut connection = match &config.tls {
            None => {
                let (reader, writer) = stream.into_split();
                Self::start(address, reader, writer, config)
            }
            Some(tls) => {
                let shaken = tls.connect(address, stream).await;
                let (reader, writer) = tokio::io::split(shaken.map_err(|e| connect_failed(address, &e))?);
                Self::start(address, reader, writer, config)
            }
        };
        connection.offer = connection.api_versions().await?;
        Ok(connection)
    }

    fn start(
        address: &str,
        reader: impl AsyncRead + Unpin + Send + 'static,
        writer: impl AsyncWrite + Unpin + Send + 'static,
        config: &ClientConfig,
    ) -> Self {
        let (requests, queue) = mpsc::channel(config.max_in_flight.max(1));
        let failure = Arc::new(OnceLock::new());
        let mut task = JoinSet::new();
        let peer = Peer::new(address, config);
        task.spawn(run(BufReader::new(reader), writer, queue, peer, Arc::clone(&failure)));
        Self {
            address: address.to_owned(),
            client_id: config.client_id.clone(),
            request_timeout: config.request_timeout,
            offer: HashMap::new(),
            requests,
            correlation: AtomicI32::new(0),
            failure,
            _task: task,
        }
    }

    /// The address that was connected to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Can it still be used, as far as is known?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.failure.get().is_none() && !self.requests.is_closed()
    }

    /// The highest stable version of the api that both sides have and that is not above `most`.
    ///
    /// # Errors
    /// There is none.
    pub fn version(&self, key: i16, most: i16) -> Result<i16, ClientError> {
        let none = || ClientError::Unsupported { address: self.address.clone(), api: api_name(key) };
        let api = tables::api(key).ok_or_else(none)?;
        let (min, max) = self.offer.get(&key).copied().ok_or_else(none)?;
        let stable = api.unstable_from.map_or(api.versions.max, |unstable| unstable - 1);
        let version = stable.min(max).min(most);
        if version >= min.max(api.versions.min) { Ok(version) } else { Err(none()) }
    }

    /// Sends a request and waits for its answer, for as long as [`ClientConfig::request_timeout`].
    ///
    /// # Errors
    /// The connection failed, or the answer is not what the protocol says.
    pub async fn call(&self, key: i16, version: i16, body: &Struct) -> Result<Struct, ClientError> {
        self.call_within(key, version, body, self.request_timeout).await
    }

    /// Sends a request and waits for its answer, for as long as `limit`.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_within(
        &self,
        key: i16,
        version: i16,
        body: &Struct,
        limit: Duration,
    ) -> Result<Struct, ClientError> {
        let (outgoing, answer) = self.request(key, version, body, limit)?;
        if self.requests.send(outgoing).await.is_ok() { answer.get().await } else { Err(self.gone()) }
    }

    /// Sends a request behind those sent before, without waiting for anything.
    ///
    /// # Errors
    /// The connection has failed, or [`ClientConfig::max_in_flight`] requests wait already.
    pub fn submit(&self, key: i16, version: i16, body: &Struct) -> Result<Answer, ClientError> {
        let (outgoing, answer) = self.request(key, version, body, self.request_timeout)?;
        match self.requests.try_send(outgoing) {
            Ok(()) => Ok(answer),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(ClientError::Busy { address: self.address.clone() })
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.gone()),
        }
    }

    fn request(
        &self,
        key: i16,
        version: i16,
        body: &Struct,
        limit: Duration,
    ) -> Result<(Outgoing, Answer), ClientError> {
        let correlation = self.correlation.fetch_add(1, Ordering::Relaxed);
        let frame = encode_request(key, version, correlation, Some(&self.client_id), body);
        let frame = frame.map_err(|e| protocol(&self.address, &e))?;
        let (sender, receiver) = oneshot::channel();
        let deadline = Instant::now() + limit;
        let expected = Expected { api: api_name(key), correlation, deadline, answer: sender };
        let failure = Arc::clone(&self.failure);
        let answer = Answer { key, version, address: self.address.clone(), frame: receiver, failure };
        Ok((Outgoing { frame, expected }, answer))
    }

    fn gone(&self) -> ClientError {
        let closed = || ClientError::Closed { address: self.address.clone(), why: "shut down".to_owned() };
        self.failure.get().cloned().unwrap_or_else(closed)
    }

    async fn api_versions(&self) -> Result<HashMap<i16, (i16, i16)>, ClientError> {
        let frame = self.ask_versions(API_VERSIONS_MAX).await?;
        let code = error_code(&frame);
        if code != codes::UNSUPPORTED_VERSION {
            return self.offer(API_VERSIONS_MAX, &frame);
        }
        // A broker that does not know the version answers in version 0, with what it knows (KIP-511).
        let known = decode_response(API_VERSIONS, 0, &frame).map_err(|e| protocol(&self.address, &e))?.1;
        let max = ranges(&known).get(&API_VERSIONS).map_or(0, |(_, max)| *max);
        let version = max.clamp(0, API_VERSIONS_MAX - 1);
        let frame = self.ask_versions(version).await?;
        self.offer(version, &frame)
    }

    async fn ask_versions(&self, version: i16) -> Result<Bytes, ClientError> {
        let body = Struct::new()
            .with("ClientSoftwareName", "pointsman-sandbox")
            .with("ClientSoftwareVersion", env!("CARGO_PKG_VERSION"));
        let (outgoing, answer) = self.request(API_VERSIONS, version, &body, self.request_timeout)?;
        if self.requests.send(outgoing).await.is_ok() { answer.frame().await } else { Err(self.gone()) }
    }

    fn offer(&self, version: i16, frame: &Bytes) -> Result<HashMap<i16, (i16, i16)>, ClientError> {
        ClientError::check("ApiVersions", error_code(frame))?;
        let decoded = decode_response(API_VERSIONS, version, frame);
        decoded.map(|(_, body)| ranges(&body)).map_err(|e| protocol(&self.address, &e))
    }
}

/// The error code of an ApiVersions response: in every version the first field after the correlation id.
fn error_code(frame: &Bytes) -> i16 {
    frame.get(4..6).map_or(0, |code| i16::from_be_bytes([code[0], code[1]]))
}

fn ranges(answer: &Struct) -> HashMap<i16, (i16, i16)> {
    let range = |api: &Struct| (api.i16("ApiKey"), (api.i16("MinVersion"), api.i16("MaxVersion")));
    answer.structs("ApiKeys").map(range).collect()
}

fn connect_failed(address: &str, why: &dyn ToString) -> ClientError {
    ClientError::Connect { address: address.to_owned(), why: why.to_string() }
}

fn protocol(address: &str, what: &dyn ToString) -> ClientError {
    ClientError::Protocol { address: address.to_owned(), what: what.to_string() }
}

/// What the task of a connection knows about its peer.
struct Peer {
    address: String,
    max_response: usize,
    max_in_flight: usize,
}

impl Peer {
    fn new(address: &str, config: &ClientConfig) -> Self {
        let max_in_flight = config.max_in_flight.max(1);
        Self { address: address.to_owned(), max_response: config.max_response, max_in_flight }
    }

    fn ended(&self, why: &dyn ToString) -> ClientError {
        ClientError::Closed { address: self.address.clone(), why: why.to_string() }
    }
}

/// Writes and reads until one of the two fails. What waits then finds the failure already set.
async fn run(
    mut reader: impl AsyncBufRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Outgoing>,
    peer: Peer,
    failure: Arc<OnceLock<ClientError>>,
) {
    let (sent, mut expected) = mpsc::channel(peer.max_in_flight);
    let mut late = None;
    let error = tokio::select! {
        error = write(&mut writer, &mut queue, &sent, &peer) => error,
        error = read(&mut reader, &mut expected, &mut late, &peer) => error,
    };
    // Only the first failure counts, and there is no other writer.
    let _ = failure.set(error);
    drop((queue, expected, late));
}

async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    queue: &mut mpsc::Receiver<Outgoing>,
    sent: &mpsc::Sender<Expected>,
    peer: &Peer,
) -> ClientError {
    while let Some(Outgoing { frame, expected }) = queue.recv().await {
        // First expected, then written: an answer always finds who asked.
        if sent.send(expected).await.is_err() {
            break;
        }
        // What TLS has taken is not yet on its way.
        let written = match writer.write_all(&frame).await {
            Ok(()) => writer.flush().await,
            failed => failed,
        };
        if let Err(error) = written {
            return peer.ended(&error);
        }
    }
    peer.ended(&"shut down")
}

async fn read(
    reader: &mut (impl AsyncBufRead + Unpin),
    expected: &mut mpsc::Receiver<Expected>,
    current: &mut Option<Expected>,
    peer: &Peer,
) -> ClientError {
    loop {
        let next = match next_expected(reader, expected, peer).await {
            Ok(next) => current.insert(next),
            Err(error) => return error,
        };
        let frame = match timeout_at(next.deadline, frame(reader, peer)).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(error)) => return error,
            Err(_) => return ClientError::TimedOut { address: peer.address.clone(), api: next.api },
        };
        let correlation = frame.first_chunk().copied().map(i32::from_be_bytes);
        if correlation != Some(next.correlation) {
            let what = format!("correlation id {}, but {correlation:?} came", next.correlation);
            return protocol(&peer.address, &what);
        }
        if let Some(next) = current.take() {
            // Who asked may have gone.
            let _ = next.answer.send(frame);
        }
    }
}

/// The next request to be answered, or why there will be none: the peer closes, or sends what nobody asked for.
async fn next_expected(
    reader: &mut (impl AsyncBufRead + Unpin),
    expected: &mut mpsc::Receiver<Expected>,
    peer: &Peer,
) -> Result<Expected, ClientError> {
    let seen = tokio::select! {
        biased;
        next = expected.recv() => return next.ok_or_else(|| peer.ended(&"shut down")),
        seen = reader.fill_buf() => seen.map(<[u8]>::is_empty),
    };
    match seen {
        Ok(true) => Err(peer.ended(&"closed by the peer")),
        Ok(false) => expected.try_recv().map_err(|_| protocol(&peer.address, &"bytes that nobody asked for")),
        Err(error) => Err(peer.ended(&error)),
    }
}

async fn frame(reader: &mut (impl AsyncRead + Unpin), peer: &Peer) -> Result<Bytes, ClientError> {
    let mut prefix = [0; SIZE_LEN];
    reader.read_exact(&mut prefix).await.map_err(|e| cut_off(peer, &e))?;
    let size = frame_size(prefix, peer.max_response).map_err(|e| protocol(&peer.address, &e))?;
    let mut frame = BytesMut::new();
    while frame.len() < size {
        let wanted = (size - frame.len()).min(CHUNK);
        frame.reserve(wanted);
        let mut part = (&mut *reader).take(u64::try_from(wanted).unwrap_or(0));
        match part.read_buf(&mut frame).await {
            Ok(0) => return Err(peer.ended(&"closed by the peer inside an answer")),
            Ok(_) => {}
            Err(error) => return Err(cut_off(peer, &error)),
        }
    }
    Ok(frame.freeze())
}

fn cut_off(peer: &Peer, error: &io::Error) -> ClientError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return peer.ended(&"closed by the peer");
    }
    peer.ended(error)
}

#[cfg(test)]
mod tests;

//! A broker that forgets: it answers as one healthy broker of a cluster of one would, keeps nothing of what it takes,
//! and serves Fetch from a log that was made at the start. It outruns any real broker, so that the proxy is what limits.
//!
//! It serves what the generator and Pointsman's probes and routing need, and nothing else: any other request ends the
//! connection.

mod answers;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use bytes::{Buf, Bytes, BytesMut};
use pointsman_wire::{
    MAX_FRAME, decode_request, encode_response,
    frame::{SIZE_LEN, frame_size},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use answers::Broker;

/// The topic that is written, and the one that is read.
pub(super) const PRODUCE_TOPIC: (&str, [u8; 16]) = ("bench-produce", [0x11; 16]);
pub(super) const FETCH_TOPIC: (&str, [u8; 16]) = ("bench-fetch", [0x22; 16]);
/// Partitions of each.
pub(super) const PARTITIONS: i32 = 16;

const FETCH: i16 = 1;
const READ_CHUNK: usize = 256 << 10;
const FIRST_READ: usize = 1 << 10;
/// Fetch answers that are kept ready: the generator asks for hardly more than one kind.
const READY: usize = 8;

/// Where the sink listens. It lives as long as this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sink {
    pub(super) address: SocketAddr,
}

impl Sink {
    /// Starts it with a thread per core, as the broker of a cluster of that id.
    pub(super) fn start(cluster: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let broker = Arc::new(Broker::new(address, cluster));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let shards = (0..cores).map(|_| shard(&broker)).collect::<io::Result<Vec<_>>>()?;
        let accept = move || {
            for (stream, shard) in listener.incoming().zip((0..shards.len()).cycle()) {
                // A shard ends with the process only.
                drop(stream.map(|stream| shards[shard].send(stream)));
            }
        };
        thread::Builder::new().name("sink-accept".into()).spawn(accept)?;
        Ok(Self { address })
    }
}

/// A thread with its own connections, which never change over to another.
fn shard(broker: &Arc<Broker>) -> io::Result<mpsc::UnboundedSender<TcpStream>> {
    let (sender, mut accepted) = mpsc::unbounded_channel();
    let broker = Arc::clone(broker);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let serve = async move {
        while let Some(stream) = accepted.recv().await {
            let connection = Connection { broker: Arc::clone(&broker), ready: HashMap::new() };
            // A connection's end is its client's business.
            tokio::spawn(async move { connection.run(stream).await.err() });
        }
    };
    let run = move || runtime.block_on(serve);
    thread::Builder::new().name("sink".into()).spawn(run)?;
    Ok(sender)
}

struct Connection {
    broker: Arc<Broker>,
    /// Answers to Fetch by what was asked, without size and correlation id.
    ready: HashMap<Bytes, Bytes>,
}

impl Connection {
    async fn run(mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = tokio::net::TcpStream::from_std(stream)?;
        let mut received = BytesMut::new();
        loop {
            // Small answers to what came together leave together.
            let mut out = Vec::new();
            while let Some(frame) = take_frame(&mut received)? {
                let (head, body) = self.answer(&frame)?;
                out.extend_from_slice(&head);
                if let Some(body) = body {
                    let mut both = Bytes::from(std::mem::take(&mut out)).chain(body);
                    stream.write_all_buf(&mut both).await?;
                }
            }
            stream.write_all(&out).await?;
            received.reserve(wanted(&received));
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        }
    }

    /// The answer in two parts: what is made anew, and what is kept ready.
    fn answer(&mut self, frame: &Bytes) -> io::Result<(Vec<u8>, Option<Bytes>)> {
        if frame.starts_with(&FETCH.to_be_bytes()) && frame.len() > 8 {
            let correlation = &frame[4..8];
            let body = self.fetch(frame)?;
            let size = u32::try_from(body.len() + correlation.len()).map_err(invalid)?;
            return Ok(([&size.to_be_bytes(), correlation].concat(), Some(body)));
        }
        Ok((self.encode(frame)?, None))
    }

    fn fetch(&mut self, frame: &Bytes) -> io::Result<Bytes> {
        let asked = || [&frame[..4], &frame[8..]].concat();
        if let Some(ready) = self.ready.get(asked().as_slice()) {
            return Ok(ready.clone());
        }
        let body = Bytes::from(self.encode(frame)?).slice(SIZE_LEN + 4..);
        if self.ready.len() < READY {
            self.ready.insert(asked().into(), body.clone());
        }
        Ok(body)
    }

    fn encode(&self, frame: &Bytes) -> io::Result<Vec<u8>> {
        let (key, version, correlation, _, request) = decode_request(frame).map_err(invalid)?;
        let answer = self.broker.answer(key, version, &request);
        let answer = answer.ok_or_else(|| invalid(format!("api {key} version {version}")))?;
        encode_response(key, version, correlation, &answer).map_err(invalid)
    }
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

fn take_frame(received: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some(prefix) = received.first_chunk::<SIZE_LEN>() else { return Ok(None) };
    let size = frame_size(*prefix, MAX_FRAME).map_err(invalid)?;
    if received.len() < SIZE_LEN + size {
        return Ok(None);
    }
    received.advance(SIZE_LEN);
    Ok(Some(received.split_to(size).freeze()))
}

/// Room for the rest of the frame, as far as it is known.
fn wanted(received: &BytesMut) -> usize {
    let size = received.first_chunk::<SIZE_LEN>().and_then(|prefix| frame_size(*prefix, MAX_FRAME).ok());
    let missing = size.map_or(0, |size| (SIZE_LEN + size).saturating_sub(received.len()));
    missing.clamp(FIRST_READ, READ_CHUNK.max(received.len()))
}

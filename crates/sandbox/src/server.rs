//! A broker's port: accepts, reads frames, answers in order.

use crate::{
    apis::{self, Answer, Call, Client},
    fault::{self, Action},
    world::Shared,
};
use bytes::{Bytes, BytesMut};
use pointsman_wire::{
    MAX_FRAME, decode_request, encode_response,
    frame::{SIZE_LEN, frame_size},
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinSet,
};

/// Requests that a connection has read ahead of its answers. A broker works on one at a time.
const READ_AHEAD: usize = 16;
/// Requests of a client that is gone get so long.
const LEFTOVERS: Duration = Duration::from_secs(1);
const READ_CHUNK: usize = 64 << 10;

/// Serves until it is aborted; all connections end with it.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    broker: usize,
    listener: TcpListener,
    paused: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut gate = paused.clone();
    loop {
        running(&mut gate).await;
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, peer)) = accepted {
                let connection = Connection { shared: Arc::clone(&shared), broker, paused: paused.clone() };
                connections.spawn(connection.run(stream, peer));
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Returns while the broker is not paused. A broker that is gone for good does not come back here: its tasks are aborted.
async fn running(paused: &mut watch::Receiver<bool>) {
    let _ = paused.wait_for(|paused| !paused).await;
}

struct Connection {
    shared: Arc<Shared>,
    broker: usize,
    paused: watch::Receiver<bool>,
}

impl Connection {
    async fn run(mut self, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let (queue, requests) = mpsc::channel(READ_AHEAD);
        let mut client = Client::new(peer);
        let paused = self.paused.clone();
        let mut answering = Box::pin(self.answer(writer, requests, &mut client));
        let ended = tokio::select! {
            ended = read(reader, queue, paused) => match ended {
                // What a client sent before it left is carried out; it does not wait for anything any more.
                Ok(()) => tokio::time::timeout(LEFTOVERS, &mut answering).await.unwrap_or(Ok(())),
                failed => failed,
            },
            ended = &mut answering => ended,
        };
        drop(answering);
        if let Err(error) = ended {
            tracing::debug!(broker = self.broker, client = client.id, %error, "connection ended");
        }
    }

    async fn answer(
        &mut self,
        mut writer: OwnedWriteHalf,
        mut requests: mpsc::Receiver<Bytes>,
        client: &mut Client,
    ) -> io::Result<()> {
        while let Some(frame) = requests.recv().await {
            let (key, version, correlation) = start_of(&frame).ok_or(io::ErrorKind::InvalidData)?;
            let (answer, version) = match self.handle(&frame, key, version, client).await? {
                Answer::Body(body) => (body, version),
                Answer::OtherVersion(body, version) => (body, version),
                Answer::Nothing => continue,
                Answer::Close => {
                    tracing::debug!(broker = self.broker, client = client.id, key, version, "hung up");
                    return Ok(());
                }
            };
            self.send(&mut writer, key, version, correlation, answer).await?;
        }
        Ok(())
    }

    async fn handle(
        &mut self,
        frame: &Bytes,
        key: i16,
        version: i16,
        client: &mut Client,
    ) -> io::Result<Answer> {
        if let Some(answer) = apis::before_decoding(&self.shared, key, version) {
            return Ok(answer);
        }
        let invalid = |e: pointsman_wire::DecodeError| {
            let what = format!("api {key} version {version}: {e}");
            io::Error::new(io::ErrorKind::InvalidData, what)
        };
        let (_, _, _, client_id, request) = decode_request(frame).map_err(invalid)?;
        client.id = client_id.unwrap_or_default();
        let shared = Arc::clone(&self.shared);
        let call = Call { shared: &shared, broker: self.broker, key, version, request: &request };
        Ok(apis::handle(call, client).await)
    }

    async fn send(
        &mut self,
        writer: &mut OwnedWriteHalf,
        key: i16,
        version: i16,
        correlation: i32,
        mut answer: pointsman_wire::Struct,
    ) -> io::Result<()> {
        let (delay, action) = {
            let mut world = self.shared.lock();
            (world.brokers[self.broker].delay, fault::take(&mut world.injected, key, self.broker))
        };
        let mut delay = delay;
        match action {
            Some(Action::Drop) => return Ok(()),
            Some(Action::Close) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Action::Delay(by)) => delay += by,
            Some(Action::Alter(alter)) => alter(&mut answer),
            None => {}
        }
        let frame = encode_response(key, version, correlation, &answer).map_err(|e| {
            io::Error::new(io::ErrorKind::InvalidData, format!("api {key} version {version}: {e}"))
        })?;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        running(&mut self.paused).await;
        writer.write_all(&frame).await
    }
}

/// Key, version and correlation id, which stand at the same place in every version of the header.
fn start_of(frame: &[u8]) -> Option<(i16, i16, i32)> {
    let [k0, k1, v0, v1, c0, c1, c2, c3] = *frame.first_chunk()?;
    Some((i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1]), i32::from_be_bytes([c0, c1, c2, c3])))
}

async fn read(
    mut reader: OwnedReadHalf,
    queue: mpsc::Sender<Bytes>,
    mut paused: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut received = BytesMut::new();
    loop {
        let Some(frame) = next_frame(&mut reader, &mut received).await? else { return Ok(()) };
        running(&mut paused).await;
        if queue.send(frame).await.is_err() {
            return Ok(());
        }
    }
}

/// The next frame without its size; `None` at the end.
async fn next_frame(reader: &mut OwnedReadHalf, received: &mut BytesMut) -> io::Result<Option<Bytes>> {
    loop {
        let wanted = match received.first_chunk::<SIZE_LEN>() {
            Some(prefix) => {
                let size = frame_size(*prefix, MAX_FRAME)
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
                if received.len() >= SIZE_LEN + size {
                    let _ = received.split_to(SIZE_LEN);
                    return Ok(Some(received.split_to(size).freeze()));
                }
                SIZE_LEN + size - received.len()
            }
            None => SIZE_LEN,
        };
        received.reserve(wanted.clamp(1 << 12, READ_CHUNK.max(received.len())));
        if reader.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
}

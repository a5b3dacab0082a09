//! A connection of the generator: blocking, with a bounded wait, one buffer, and no work that is not needed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use pointsman_sandbox::client::batch::Stamp;
use pointsman_wire::{Struct, decode_response};

use super::frames::{self, CORRELATION_AT, INIT_PRODUCER_ID, METADATA};

/// A proxy that is silent for so long has failed.
const SILENCE: Duration = Duration::from_secs(20);
const BUFFER: usize = 256 << 10;
const SMALL_BUFFER: usize = 4 << 10;
/// Size and correlation id.
const HEAD: usize = 8;

/// A response: only what every response is checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the frame, size included.
    pub(super) len: usize,
    pub(super) correlation: i32,
}

/// A connection to a broker, or to what stands before it.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer is filled and not used.
    start: usize,
    end: usize,
}

impl Client {
    /// Connects; nothing is asked yet.
    pub(super) fn connect(address: SocketAddr) -> Result<Self, String> {
        Self::with_buffer(address, BUFFER)
    }

    /// A connection that never receives much, of which there can be many.
    pub(super) fn small(address: SocketAddr) -> Result<Self, String> {
        Self::with_buffer(address, SMALL_BUFFER)
    }

    fn with_buffer(address: SocketAddr, size: usize) -> Result<Self, String> {
        let connect = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(SILENCE))?;
            stream.set_write_timeout(Some(SILENCE))?;
            Ok(Self { stream, buffer: vec![0; size], start: 0, end: 0 })
        };
        connect().map_err(|e: std::io::Error| format!("connection to {address}: {e}"))
    }

    /// The same connection for another thread, which may send on it.
    pub(super) fn sender(&self) -> Result<TcpStream, String> {
        self.stream.try_clone().map_err(|e| format!("connection: {e}"))
    }

    /// Says hello as clients do, and asks for the id of a topic: proxies that rewrite ids show another one.
    pub(super) fn greet(&mut self, topic: &str) -> Result<[u8; 16], String> {
        self.send(&frames::api_versions()?)?;
        self.receive()?;
        self.send(&frames::metadata(topic)?)?;
        let answer = self.receive_whole(METADATA)?;
        let found = answer.structs("Topics").find(|t| t.i16("ErrorCode") == 0 && t.str("Name") == topic);
        let found = found.ok_or_else(|| format!("the broker knows no topic {topic}"))?;
        Ok(found.uuid("TopicId"))
    }

    /// A new producer's id and epoch, and its first sequence number.
    pub(super) fn producer(&mut self) -> Result<Stamp, String> {
        self.send(&frames::init_producer_id()?)?;
        let answer = self.receive_whole(INIT_PRODUCER_ID)?;
        match answer.i16("ErrorCode") {
            0 => Ok(Stamp { id: answer.int("ProducerId"), epoch: answer.i16("ProducerEpoch"), sequence: 0 }),
            code => Err(format!("a producer id: error code {code}")),
        }
    }

    /// Sends a frame.
    pub(super) fn send(&mut self, frame: &[u8]) -> Result<(), String> {
        self.stream.write_all(frame).map_err(|e| format!("sending: {e}"))
    }

    /// Reads a response to its end and forgets it.
    pub(super) fn receive(&mut self) -> Result<Head, String> {
        let head = self.head()?;
        let mut left = head.len;
        while left > 0 {
            if self.start == self.end {
                self.fill()?;
            }
            let taken = left.min(self.end - self.start);
            self.start += taken;
            left -= taken;
        }
        Ok(head)
    }

    /// Reads a response and decodes it.
    pub(super) fn receive_whole(&mut self, (key, version): (i16, i16)) -> Result<Struct, String> {
        let head = self.head()?;
        let mut frame = Vec::new();
        while frame.len() < head.len {
            if self.start == self.end {
                self.fill()?;
            }
            let taken = (head.len - frame.len()).min(self.end - self.start);
            frame.extend_from_slice(&self.buffer[self.start..self.start + taken]);
            self.start += taken;
        }
        let body = Bytes::from(frame).slice(4..);
        let decoded = decode_response(key, version, &body);
        decoded.map(|(_, body)| body).map_err(|e| format!("answer to api {key}: {e}"))
    }

    /// The start of the next response, which stays where it is.
    fn head(&mut self) -> Result<Head, String> {
        while self.end - self.start < HEAD {
            self.fill()?;
        }
        let int = |at: usize| {
            let bytes = self.buffer[self.start + at..].first_chunk().copied();
            bytes.map_or(0, i32::from_be_bytes)
        };
        let len = usize::try_from(int(0)).map_err(|_| "a response of a negative size".to_owned())? + 4;
        Ok(Head { len, correlation: int(4) })
    }

    fn fill(&mut self) -> Result<(), String> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => Err("the connection was closed".into()),
            Ok(n) => {
                self.end += n;
                Ok(())
            }
            Err(e) => Err(format!("receiving: {e}")),
        }
    }
}

/// Sets the correlation id of an encoded request.
pub(super) fn number(frame: &mut [u8], correlation: i32) {
    frame[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&correlation.to_be_bytes());
}

/// The first error code of an answer to Produce or Fetch, with all of it.
pub(super) fn check(answer: &Struct) -> Result<(), String> {
    let topics = || answer.structs("Responses");
    let partitions =
        || topics().flat_map(|t| [t.structs("PartitionResponses"), t.structs("Partitions")]).flatten();
    let failed =
        partitions().map(|p| p.i16("ErrorCode")).chain([answer.i16("ErrorCode")]).find(|code| *code != 0);
    match failed {
        Some(code) => Err(format!("error code {code}")),
        None if partitions().next().is_none() => Err("an answer without partitions".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_code_is_found_wherever_it_stands() {
        let partition = |code: i16| Struct::new().with("ErrorCode", code);
        let answer = |code: i16, list: &'static str, inner: i16| {
            let topic = Struct::new().with(list, vec![partition(0), partition(inner)]);
            Struct::new().with("ErrorCode", code).with("Responses", vec![topic])
        };
        assert_eq!(check(&answer(0, "Partitions", 0)), Ok(()));
        assert!(check(&answer(0, "Partitions", 3)).unwrap_err().starts_with("error code 3"));
        assert!(check(&answer(0, "PartitionResponses", 6)).unwrap_err().starts_with("error code 6"));
        assert!(check(&answer(70, "Partitions", 0)).is_err());
        assert!(check(&Struct::new()).is_err());
    }
}

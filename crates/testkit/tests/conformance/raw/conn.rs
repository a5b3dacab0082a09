//! A connection that speaks the protocol itself: requests as they are built, answers as they come.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use pointsman_wire::{Struct, decode_response, encode_request};

/// How long an answer may take; longer than any wait that a case asks a broker for.
const LIMIT: Duration = Duration::from_secs(20);

/// One connection to one broker.
pub(crate) struct Conn {
    stream: TcpStream,
    address: SocketAddr,
    next: i32,
}

impl Conn {
    pub(crate) fn open(address: SocketAddr) -> Result<Self, String> {
        let failed = |e| format!("{address}: {e}");
        let stream = TcpStream::connect_timeout(&address, LIMIT).map_err(failed)?;
        stream.set_read_timeout(Some(LIMIT)).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Self { stream, address, next: 0 })
    }

    /// One request and its answer.
    pub(crate) fn call(&mut self, key: i16, version: i16, body: &Struct) -> Result<Struct, String> {
        let id = self.send(key, version, body)?;
        let (answered, response) = self.receive(key, version)?;
        if answered == id { Ok(response) } else { Err(format!("answer to {answered}, expected to {id}")) }
    }

    /// Sends a request and gives its correlation id.
    pub(crate) fn send(&mut self, key: i16, version: i16, body: &Struct) -> Result<i32, String> {
        self.next += 1;
        let frame = encode_request(key, version, self.next, Some("conformance"), body)
            .map_err(|e| format!("request {key} v{version}: {e}"))?;
        self.write(&frame)?;
        Ok(self.next)
    }

    /// The next answer, which must be one to this api.
    pub(crate) fn receive(&mut self, key: i16, version: i16) -> Result<(i32, Struct), String> {
        let frame = self.frame().map_err(|e| format!("answer to {key} v{version}: {e}"))?;
        let frame =
            frame.ok_or_else(|| format!("{}: closed instead of answering {key} v{version}", self.address))?;
        decode_response(key, version, &frame).map_err(|e| format!("answer to {key} v{version}: {e}"))
    }

    /// Whether nothing arrives for a while.
    pub(crate) fn is_silent(&mut self) -> Result<bool, String> {
        let failed = |e| format!("{}: {e}", self.address);
        self.stream.set_read_timeout(Some(Duration::from_millis(300))).map_err(failed)?;
        let outcome = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(LIMIT)).map_err(failed)?;
        match outcome {
            Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => Ok(true),
            outcome => outcome.map(|_| false).map_err(failed),
        }
    }

    /// Bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|e| format!("{}: {e}", self.address))
    }

    /// The next frame without its size; `None` when the broker has closed the connection.
    pub(crate) fn frame(&mut self) -> Result<Option<Bytes>, String> {
        let mut size = [0; 4];
        match self.stream.read_exact(&mut size) {
            Err(e) if [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&e.kind()) => {
                return Ok(None);
            }
            result => result.map_err(|e| format!("{}: {e}", self.address))?,
        }
        let size = usize::try_from(i32::from_be_bytes(size)).map_err(|e| format!("size of a frame: {e}"))?;
        let mut frame = vec![0; size];
        self.stream.read_exact(&mut frame).map_err(|e| format!("{}: {e}", self.address))?;
        Ok(Some(frame.into()))
    }
}

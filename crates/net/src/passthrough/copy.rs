//! The fallback where bytes cannot be spliced: a buffer between the two sockets, there only while it holds something.

use pointsman_core::limits;
use std::io;
use tokio::net::TcpStream;

/// Bytes read and not yet written.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; limits::PASSTHROUGH_COPY].into(), start: 0, end: 0 }
    }

    /// Reads into an empty buffer.
    pub(super) fn fill(&mut self, from: &TcpStream) -> io::Result<usize> {
        (self.start, self.end) = (0, from.try_read(&mut self.bytes)?);
        Ok(self.end)
    }

    /// Writes of what is left.
    pub(super) fn drain(&mut self, to: &TcpStream) -> io::Result<usize> {
        let n = to.try_write(&self.bytes[self.start..self.end])?;
        self.start += n;
        Ok(n)
    }
}

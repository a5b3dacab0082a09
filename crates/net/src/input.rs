//! What was read from a socket and is not consumed yet.
//!
//! The memory to read into belongs to the thread, not to the connection: a connection has some while it works, and gives it back
//! before it waits. So idle connections hold none, and steady work allocates none.

use bytes::{BufMut, BytesMut};
use pointsman_core::limits;
use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

/// Buffers that a thread keeps for the next reads.
const SPARES: usize = 4;
/// Larger buffers are not kept.
const LARGEST_SPARE: usize = 1 << 20;
/// A part of a frame up to this size does not keep a whole buffer while the rest of it is waited for.
const SMALL: usize = limits::READ_CHUNK / 8;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// How much to read at once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Room {
    /// Whatever comes; the frame at the start lacks so many bytes.
    Frame(usize),
    /// Little: what is read is copied, and records that need no copy are expected next.
    Head,
}

/// Reads once into `input`. Room is made for the missing bytes of a frame, but never for more than have come already,
/// so that a length nobody backs with bytes costs nothing. The peer's end is [`io::ErrorKind::UnexpectedEof`].
pub(crate) fn poll_read(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    input: &mut BytesMut,
    room: Room,
) -> Poll<io::Result<usize>> {
    let (room, most) = match room {
        Room::Frame(missing) => (limits::READ_CHUNK.max(missing.min(input.len())), usize::MAX),
        Room::Head => (limits::HEAD_CHUNK, limits::HEAD_CHUNK),
    };
    if input.capacity() == 0 {
        *input = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    }
    input.reserve(room);
    match ready!(poll_read_buf(Pin::new(stream), cx, &mut input.limit(most))) {
        Ok(0) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        read => Poll::Ready(read),
    }
}

/// Gives back what a wait does not need.
pub(crate) fn park(input: &mut BytesMut) {
    if input.capacity() == 0 || input.len() > SMALL {
        return;
    }
    let kept = if input.is_empty() { BytesMut::new() } else { BytesMut::from(&input[..]) };
    if kept.capacity() >= input.capacity() {
        return;
    }
    let mut spare = std::mem::replace(input, kept);
    spare.clear();
    // Only memory of which nobody else holds a part can be used again.
    if !spare.try_reclaim(LARGEST_SPARE + 1) && spare.try_reclaim(limits::READ_CHUNK) {
        SPARE.with_borrow_mut(|spares| {
            if spares.len() < SPARES {
                spares.push(spare);
            }
        });
    }
}

/// Bytes that the frame at the start of `input` still lacks, as far as its size is known.
pub(crate) fn missing(input: &BytesMut) -> usize {
    let size = input.first_chunk::<4>().map_or(0, |prefix| u32::from_be_bytes(*prefix) as usize);
    (size + 4).saturating_sub(input.len())
}

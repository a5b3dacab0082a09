//! The client's side of a connection: bytes in, requests to the session.

use super::Connection;
use crate::input::{self, Room};
use pointsman_core::{Now, limits, metrics::CloseReason, session::Session};
use pointsman_wire::frame;
use std::{
    io,
    task::{Context, Poll},
};

impl Connection {
    /// Whether bytes of the client are of use now, and have room on the other side.
    pub(super) fn reads(&self) -> bool {
        let leaving = self.draining && !self.session.is_receiving();
        let gone = self.farewell.is_some();
        self.session.reads() && !leaving && !gone && self.upstreams.queued() < limits::UPSTREAM_QUEUE
    }

    /// Returns whether something came.
    pub(super) fn serve_client(&mut self, cx: &mut Context<'_>) -> bool {
        if self.closing.is_some() {
            return false;
        }
        self.requests();
        if let Some(moved) = self.move_up(cx) {
            return moved;
        }
        let reads = self.reads();
        if !std::mem::replace(&mut self.reading, reads) {
            // That nothing came meanwhile is not the client's fault.
            self.progress = self.now;
        }
        if !reads {
            return false;
        }
        let room = match self.session.is_receiving() {
            true if self.large => Room::Head,
            true => Room::Frame(0),
            false if self.large && self.input.is_empty() => Room::Head,
            false => Room::Frame(input::missing(&self.input)),
        };
        match input::poll_read(&mut self.client, cx, &mut self.input, room) {
            Poll::Pending => return false,
            Poll::Ready(Ok(n)) => {
                self.shared.metrics.bytes_in.add(n as u64);
                self.progress = self.now;
                self.requests();
                self.large &= n < limits::HEAD_CHUNK || self.session.movable().is_some();
            }
            Poll::Ready(Err(error)) => self.client_failed(&error),
        }
        true
    }

    pub(super) fn client_failed(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            self.farewell = Some(self.now + limits::FAREWELL);
        } else {
            self.close(CloseReason::ClientError, error.to_string());
        }
    }

    /// Whether everything that a client sent before it left has gone on to the brokers. A client that expects no answer, to a
    /// Produce with acks=0 or to its LeaveGroup, sends it and closes.
    pub(super) fn is_delivered(&self) -> bool {
        let more = input::missing(&self.input) == 0 && !self.session.is_receiving();
        !more && !self.session.is_routing() && self.upstreams.queued() == 0
    }

    /// Feeds requests to the session for as long as it takes any: large ones as they come, others when they are complete.
    fn requests(&mut self) {
        while self.closing.is_none() && self.upstreams.queued() < limits::UPSTREAM_QUEUE {
            let fed = if self.session.is_receiving() { self.receive() } else { self.request() };
            if !fed {
                return;
            }
        }
    }

    /// Feeds what has come of a large request. Returns whether it is complete.
    fn receive(&mut self) -> bool {
        let complete = self.session.receive(&mut self.input, self.now, &mut self.said);
        self.apply();
        complete
    }

    /// Feeds the next request, or begins a large one. Returns whether there may be another.
    fn request(&mut self) -> bool {
        let Some(prefix) = self.input.first_chunk::<4>().filter(|_| self.session.accepts()) else {
            return false;
        };
        let size = match frame::frame_size(*prefix, limits::MAX_REQUEST) {
            Ok(size) => size,
            Err(error) => {
                self.close(CloseReason::BadRequest, error.to_string());
                return false;
            }
        };
        let Some(key) = self.input.get(4..6).map(|b| i16::from_be_bytes([b[0], b[1]])) else { return false };
        let passes = Session::passes(key, size);
        self.large &= passes;
        if passes {
            self.session.begin(size);
            return true;
        }
        if size > limits::MAX_CONTROL_REQUEST {
            let most = limits::MAX_CONTROL_REQUEST;
            let detail = format!("{size} bytes for api key {key}; only Produce may exceed {most}");
            self.close(CloseReason::TooLarge, detail);
            return false;
        }
        if self.input.len() < size + 4 {
            return false;
        }
        let frame = self.input.split_to(size + 4);
        self.session.request(frame, self.now, &mut self.said);
        self.apply();
        true
    }

    /// When the client counts as stalled: in the midst of a request from which it sends no more.
    pub(super) fn stalled_at(&self) -> Option<Now> {
        let amid = !self.input.is_empty() || self.session.is_receiving();
        (amid && self.reading && self.reads()).then(|| self.progress + limits::FRAME_STALL)
    }

    pub(super) fn check_progress(&mut self) {
        if self.stalled_at().is_some_and(|at| at <= self.now) {
            let (waited, held) = (limits::FRAME_STALL, self.input.len());
            let detail =
                format!("a request came in part ({held} bytes are held), and no more for {waited:?}");
            self.close(CloseReason::Stalled, detail);
        }
    }
}

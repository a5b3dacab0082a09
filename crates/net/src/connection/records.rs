//! Large regions of records, which the kernel moves from socket to socket while what stands around them is read and written.

use super::Connection;
use crate::splice::Fault;
use pointsman_core::session::Peer;
use std::task::Context;

impl Connection {
    /// Lets the kernel move records of a response, if some come next. `None`: the bytes are to be read. Otherwise whether any moved.
    pub(super) fn move_down(&mut self, peer: Peer, cx: &mut Context<'_>) -> Option<bool> {
        if !self.upstreams.get_mut(peer)?.moves_down() {
            return None;
        }
        // What stands before the records goes first.
        let written = self.write_client(cx);
        if !self.output.is_empty() || self.closing.is_some() {
            return Some(written);
        }
        let upstream = self.upstreams.get_mut(peer)?;
        let (moved, result) = upstream.move_down(&self.client, &self.shared.pipes, cx);
        self.shared.metrics.bytes_out.add(moved.given as u64);
        match result {
            Ok(()) => {
                let any = moved.taken + moved.given > 0;
                (any || upstream.moves_down()).then_some(any || written)
            }
            Err(Fault::Source(error)) => Some(self.upstream_failed(peer, &error)),
            Err(Fault::Sink(error)) => {
                self.client_failed(&error);
                Some(true)
            }
        }
    }

    /// The same of a request that is coming in.
    pub(super) fn move_up(&mut self, cx: &mut Context<'_>) -> Option<bool> {
        let next = self.session.movable().filter(|_| self.input.is_empty() && self.reads());
        let peer = self.moving.or(next.map(|(peer, _)| peer))?;
        let left = next.filter(|(of, _)| *of == peer).map_or(0, |(_, left)| left);
        let upstream = self.upstreams.get_mut(peer).filter(|u| u.moves_up(left));
        self.moving = None;
        let upstream = upstream?;
        let (moved, result) = upstream.move_up(&self.client, left, &self.shared.pipes, cx);
        let (held_up, moves) = (upstream.is_held_up(), upstream.moves_up(left - moved.taken));
        self.moving = held_up.then_some(peer);
        // Also before a failure: what was taken is not to come again.
        self.took(moved.taken, held_up);
        match result {
            Ok(()) => {
                let any = moved.taken + moved.given > 0;
                (any || moves).then_some(any)
            }
            Err(Fault::Source(error)) => {
                self.client_failed(&error);
                Some(true)
            }
            Err(Fault::Sink(error)) => Some(self.upstream_failed(peer, &error)),
        }
    }

    /// Notes that so many bytes have come from the client, and whether it is waited for.
    fn took(&mut self, taken: usize, held_up: bool) {
        let reads = !held_up;
        if taken > 0 || !std::mem::replace(&mut self.reading, reads) {
            self.progress = self.now;
        }
        self.reading = reads;
        if taken > 0 {
            self.large = true;
            self.shared.metrics.bytes_in.add(taken as u64);
            self.session.moved(taken, &mut self.said);
            self.apply();
        }
    }
}

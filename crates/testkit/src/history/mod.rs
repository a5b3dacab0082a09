//! Judges what clients saw against what the clusters hold.
//!
//! Pure: acknowledgements, consumed records and errors of the clients on one side, the logs of the two clusters
//! on the other, and the moments of the faults. An acknowledgement belongs to the cluster whose log has that
//! value at that partition and offset; so no proxy is believed, only logs. Never looks at a clock or a socket.

mod check;
mod mirrored;
mod report;
mod sequence;
#[cfg(test)]
mod tests;
mod unread;

pub use check::check;
pub use mirrored::{
    MirroredConsumer, MirroredInput, MirroredProducer, MirroredReport, Moved, check_mirrored,
};
pub use report::{ClientReport, Report, WindowReport};
pub use sequence::{SequenceInput, SequenceReport, Visit, check_sequence};
pub use unread::{Unread, unread};

use serde::Serialize;

use crate::clients::Event;
use crate::log::ClusterLog;

/// One of the two clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Side {
    /// The first of the chain.
    Primary,
    /// The second.
    Secondary,
}

/// An acknowledged record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ack {
    /// When the client's callback ran, wall clock in nanoseconds.
    pub at: u64,
    /// Partition.
    pub partition: u32,
    /// The offset that the client was told.
    pub offset: u64,
    /// The record's value.
    pub value: String,
}

/// A consumed record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consumed {
    /// When the application got it, wall clock in nanoseconds.
    pub at: u64,
    /// Partition.
    pub partition: u32,
    /// Its offset, as the client was told.
    pub offset: u64,
    /// The record's value.
    pub value: String,
}

/// An error that an application was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppError {
    /// When.
    pub at: u64,
    /// Whether the client object can never be used again.
    pub fatal: bool,
    /// The library's words.
    pub message: String,
}

/// Everything that one client, as a producer and as a consumer, saw.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientHistory {
    /// The client's name, the first part of its records' values.
    pub client: String,
    /// Its acknowledgements.
    pub acks: Vec<Ack>,
    /// What its consumer got, of all producers.
    pub consumed: Vec<Consumed>,
    /// The errors of both.
    pub errors: Vec<AppError>,
}

impl ClientHistory {
    /// Takes over what the producer and the consumer driver of a client printed.
    pub fn new(client: &str, produced: &[Event], consumed: &[Event]) -> Self {
        let mut history = Self { client: client.to_owned(), ..Self::default() };
        for event in produced.iter().chain(consumed) {
            history.add(event);
        }
        history
    }

    fn add(&mut self, event: &Event) {
        match event {
            Event::Ack { t, p, o, seq } => {
                let value = format!("{}-{seq}", self.client);
                self.acks.push(Ack { at: *t, partition: *p, offset: *o, value });
            }
            Event::Rec { t, p, o, v } => {
                self.consumed.push(Consumed { at: *t, partition: *p, offset: *o, value: v.clone() });
            }
            Event::Err { t, fatal, msg } => {
                self.errors.push(AppError { at: *t, fatal: *fatal, message: msg.clone() });
            }
            Event::Txn { .. } | Event::Note { .. } | Event::Done { .. } => {}
        }
    }
}

/// A fault and the move that should follow it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Window {
    /// The moment of the fault (or of the recovery, for a failback), wall clock in nanoseconds.
    pub start: u64,
    /// The end of what is judged; later events belong to something else.
    pub end: u64,
    /// The cluster that must take over.
    pub to: Side,
}

/// What is judged.
#[derive(Debug)]
pub struct Input<'a> {
    /// Number of partitions of the topic.
    pub partitions: u32,
    /// All clients.
    pub clients: &'a [ClientHistory],
    /// The primary's log.
    pub primary: &'a ClusterLog,
    /// The secondary's log.
    pub secondary: &'a ClusterLog,
    /// The moves that should happen, in order. The secondary may acknowledge nothing before the first one
    /// starts, not even when a minority of brokers died earlier.
    pub windows: &'a [Window],
}

impl Input<'_> {
    /// The cluster that an acknowledgement came from; `None` if neither log has it at that place, or both.
    pub fn side_of(&self, ack: &Ack) -> Option<Side> {
        let at = |log: &ClusterLog| log.holds(ack.partition, ack.offset, &ack.value);
        match (at(self.primary), at(self.secondary)) {
            (true, false) => Some(Side::Primary),
            (false, true) => Some(Side::Secondary),
            (true, true) => None,
            (false, false) => self.side_by_value(&ack.value),
        }
    }

    /// A proxy may translate offsets; a value that only one cluster has still says where it went.
    fn side_by_value(&self, value: &str) -> Option<Side> {
        match (self.primary.copies(value), self.secondary.copies(value)) {
            (1.., 0) => Some(Side::Primary),
            (0, 1..) => Some(Side::Secondary),
            _ => None,
        }
    }
}

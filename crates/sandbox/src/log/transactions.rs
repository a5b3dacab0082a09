//! The transactions of one log: which are open, which were aborted, and up to where everything is decided.

use std::collections::{BTreeMap, VecDeque};

/// What the record of a control batch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The transaction counts; else it is void.
    pub(crate) commit: bool,
    /// The leader epoch of the coordinator's partition, so that an older coordinator cannot end what a newer one did.
    pub(crate) coordinator_epoch: i32,
}

/// A transaction that has its marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ended {
    producer: i64,
    first: i64,
    /// The offset of the marker.
    marker: i64,
    commit: bool,
}

/// An aborted transaction, as readers of committed records are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer: i64,
    pub(crate) first: i64,
}

/// The transactions of a log. Committed ones are forgotten when their marker is below the high watermark.
#[derive(Debug, Default)]
pub(super) struct OpenAndEnded {
    /// By producer: the offset of the first record.
    open: BTreeMap<i64, i64>,
    /// In the order of their markers.
    ended: VecDeque<Ended>,
}

impl OpenAndEnded {
    /// Where the producer's open transaction begins.
    pub(super) fn start(&self, producer: i64) -> Option<i64> {
        self.open.get(&producer).copied()
    }

    /// A batch of the producer's transaction is in the log.
    pub(super) fn begin(&mut self, producer: i64, offset: i64) {
        self.open.entry(producer).or_insert(offset);
    }

    /// A marker is in the log. One that ends nothing means nothing.
    pub(super) fn end(&mut self, producer: i64, marker: i64, commit: bool) {
        if let Some(first) = self.open.remove(&producer) {
            self.ended.push_back(Ended { producer, first, marker, commit });
        }
    }

    /// The first offset that is not decided: of an open transaction, or of one whose marker can still be lost.
    pub(super) fn first_undecided(&self, high_watermark: i64) -> Option<i64> {
        let unsafe_ends = self.ended.iter().rev().take_while(|ended| ended.marker >= high_watermark);
        self.open.values().copied().chain(unsafe_ends.map(|ended| ended.first)).min()
    }

    /// Aborted transactions that have records from `from` up to `below`.
    pub(super) fn aborted(&self, from: i64, below: i64) -> impl Iterator<Item = Aborted> + '_ {
        let touched = self.ended.iter().filter(move |e| !e.commit && e.marker >= from && e.first < below);
        touched.map(|e| Aborted { producer: e.producer, first: e.first })
    }

    /// Forgets what nobody can ask for: what ended before `start`, and what was committed for good.
    pub(super) fn forget(&mut self, start: i64, high_watermark: i64) {
        self.ended.retain(|e| e.marker >= start && (!e.commit || e.marker >= high_watermark));
    }
}

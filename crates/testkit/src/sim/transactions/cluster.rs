//! A cluster: the coordinator of transactions, and one log.

use std::collections::{HashMap, HashSet};

/// INVALID_PRODUCER_ID_MAPPING: the coordinator did not give this id to that transactional id.
pub(super) const INVALID_MAPPING: i16 = 49;
/// PRODUCER_FENCED.
pub(super) const FENCED: i16 = 90;
/// INVALID_TXN_STATE.
pub(super) const INVALID_STATE: i16 = 48;

/// A producer id with its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// A record: producer, number of its transaction, number in it.
pub(super) type Record = (usize, usize, usize);

#[derive(Debug, Clone, Copy)]
enum Entry {
    Record(i64, Record),
    Marker { id: i64, commit: bool },
}

#[derive(Debug)]
struct Known {
    identity: Identity,
    ongoing: bool,
}

#[derive(Debug, Default)]
pub(super) struct Cluster {
    next_id: i64,
    /// By producer, which stands for its transactional id.
    known: HashMap<usize, Known>,
    log: Vec<Entry>,
}

impl Cluster {
    /// InitProducerId. `asked` is what the producer goes on with; an id below 0: it begins.
    pub(super) fn init(&mut self, producer: usize, asked: Identity) -> Result<Identity, i16> {
        if asked.id >= 0 {
            self.check(producer, asked)?;
        }
        self.end(producer, false);
        let next_id = &mut self.next_id;
        let known = self.known.entry(producer).or_insert_with(|| {
            *next_id += 1;
            Known { identity: Identity { id: *next_id - 1, epoch: -1 }, ongoing: false }
        });
        known.identity.epoch += 1;
        Ok(known.identity)
    }

    fn check(&self, producer: usize, identity: Identity) -> Result<(), i16> {
        match self.known.get(&producer) {
            Some(known) if known.identity == identity => Ok(()),
            Some(known) if known.identity.id == identity.id => Err(FENCED),
            _ => Err(INVALID_MAPPING),
        }
    }

    /// AddPartitionsToTxn.
    pub(super) fn add(&mut self, producer: usize, identity: Identity) -> Result<(), i16> {
        self.check(producer, identity)?;
        self.known.entry(producer).and_modify(|known| known.ongoing = true);
        Ok(())
    }

    /// Produce; `adds`: the broker adds the partition itself (version 12).
    pub(super) fn produce(
        &mut self,
        producer: usize,
        identity: Identity,
        adds: bool,
        record: Record,
    ) -> Result<(), i16> {
        self.check(producer, identity)?;
        match self.known.get_mut(&producer) {
            Some(known) if adds || known.ongoing => known.ongoing = true,
            _ => return Err(INVALID_STATE),
        }
        let again =
            |entry: &Entry| matches!(entry, Entry::Record(id, r) if *id == identity.id && *r == record);
        // A repetition is recognised by its sequence number.
        if !self.log.iter().any(again) {
            self.log.push(Entry::Record(identity.id, record));
        }
        Ok(())
    }

    /// EndTxn; `raises`: the epoch rises with it (version 5).
    pub(super) fn end_txn(
        &mut self,
        producer: usize,
        identity: Identity,
        commit: bool,
        raises: bool,
    ) -> Result<Identity, i16> {
        self.check(producer, identity)?;
        if commit && self.known.get(&producer).is_some_and(|known| !known.ongoing) {
            return Err(INVALID_STATE);
        }
        self.end(producer, commit);
        let Some(known) = self.known.get_mut(&producer) else { return Err(INVALID_MAPPING) };
        known.identity.epoch += i16::from(raises);
        Ok(known.identity)
    }

    fn end(&mut self, producer: usize, commit: bool) {
        if let Some(known) = self.known.get_mut(&producer).filter(|known| known.ongoing) {
            known.ongoing = false;
            self.log.push(Entry::Marker { id: known.identity.id, commit });
        }
    }

    /// The transaction time-outs of all that are open pass.
    pub(super) fn expire(&mut self) {
        let open: Vec<usize> = self.known.iter().filter(|(_, k)| k.ongoing).map(|(p, _)| *p).collect();
        for producer in open {
            self.end(producer, false);
            self.known.entry(producer).and_modify(|known| known.identity.epoch += 1);
        }
    }

    /// What a `read_committed` consumer finds, and how many records wait for a marker.
    pub(super) fn committed(&self) -> (HashSet<Record>, usize) {
        let (mut found, mut open) = (HashSet::new(), HashMap::<i64, Vec<Record>>::new());
        for entry in &self.log {
            match entry {
                Entry::Record(id, record) => open.entry(*id).or_default().push(*record),
                Entry::Marker { id, commit } => {
                    let records = open.remove(id).unwrap_or_default();
                    found.extend(records.into_iter().filter(|_| *commit));
                }
            }
        }
        (found, open.values().map(Vec::len).sum())
    }
}

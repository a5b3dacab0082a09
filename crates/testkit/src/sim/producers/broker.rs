//! The log of one partition in one cluster, with a broker's rules for sequence numbers.

use std::collections::{HashMap, VecDeque};

/// Batches per producer whose repetition is recognised.
const REMEMBERED: usize = 5;

/// A producer id with its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// What a broker, or Pointsman, answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// In the log, at this offset; also when it was there already.
    Written(u64),
    /// NOT_LEADER_OR_FOLLOWER: send it again.
    NotLeader,
    /// OUT_OF_ORDER_SEQUENCE_NUMBER (45).
    Gap,
    /// INVALID_PRODUCER_EPOCH (47).
    OldEpoch,
}

/// A batch as a broker gets it.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) identity: Identity,
    pub(super) base: i32,
    pub(super) values: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) values: Vec<String>,
    producers: HashMap<i64, Producer>,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    next: i32,
    /// First sequence, length and offset.
    recent: VecDeque<(i32, usize, u64)>,
}

impl Log {
    pub(super) fn produce(&mut self, batch: &Batch) -> Answer {
        let Batch { identity, base, values } = batch;
        let length = i32::try_from(values.len()).unwrap_or(i32::MAX);
        if let Some(known) = self.producers.get(&identity.id) {
            let again = known.recent.iter().find(|(first, count, _)| first == base && *count == values.len());
            match identity.epoch.cmp(&known.epoch) {
                std::cmp::Ordering::Less => return Answer::OldEpoch,
                std::cmp::Ordering::Greater if *base != 0 => return Answer::Gap,
                std::cmp::Ordering::Equal if again.is_some() => {
                    return Answer::Written(again.map_or(0, |(_, _, offset)| *offset));
                }
                std::cmp::Ordering::Equal if *base != known.next => return Answer::Gap,
                _ => {}
            }
        }
        let offset = self.values.len() as u64;
        self.values.extend(values.iter().cloned());
        let new = || Producer { epoch: identity.epoch, next: 0, recent: VecDeque::new() };
        let producer = self.producers.entry(identity.id).or_insert_with(new);
        if producer.epoch != identity.epoch {
            *producer = new();
        }
        producer.next = base + length;
        producer.recent.push_back((*base, values.len(), offset));
        if producer.recent.len() > REMEMBERED {
            producer.recent.pop_front();
        }
        Answer::Written(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, base: i32) -> Batch {
        Batch { identity: Identity { id: 7, epoch }, base, values: vec!["v".into()] }
    }

    #[test]
    fn a_broker_takes_any_first_sequence_and_then_only_the_next() {
        let mut log = Log::default();
        assert_eq!(log.produce(&batch(0, 9)), Answer::Written(0));
        assert_eq!(log.produce(&batch(0, 11)), Answer::Gap);
        assert_eq!(log.produce(&batch(0, 8)), Answer::Gap);
        assert_eq!(log.produce(&batch(0, 10)), Answer::Written(1));
        assert_eq!(log.produce(&batch(0, 9)), Answer::Written(0), "a repetition");
        assert_eq!(log.values.len(), 2);
    }

    #[test]
    fn repetitions_are_recognised_among_the_last_five() {
        let mut log = Log::default();
        for base in 0..6 {
            log.produce(&batch(0, base));
        }
        assert_eq!(log.produce(&batch(0, 1)), Answer::Written(1));
        assert_eq!(log.produce(&batch(0, 0)), Answer::Gap);
    }

    #[test]
    fn a_new_epoch_begins_at_0_and_ends_the_old_one() {
        let mut log = Log::default();
        log.produce(&batch(1, 4));
        assert_eq!(log.produce(&batch(0, 5)), Answer::OldEpoch);
        assert_eq!(log.produce(&batch(2, 5)), Answer::Gap);
        assert_eq!(log.produce(&batch(2, 0)), Answer::Written(1));
    }
}

//! Judges a run between two clusters that hold the same logs: a switch may change nothing but the leader.
//!
//! What was acknowledged stands once, at the offset that the client was told, in both logs. A consumer reads on where it was, or, when its
//! group had to join again, where it had committed; never further on, and never before that. Pure, as everything here.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::sequence::{acks_by_number, disorder, kind, split};
use super::{ClientHistory, Consumed};
use crate::log::ClusterLog;

/// A switch.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Moved {
    /// The moment before it was commanded, wall clock in nanoseconds.
    pub begun: u64,
    /// The moment after it. Before that a consumer may still go back on the cluster that is left, because of the switch before.
    pub ended: u64,
    /// By client: what its group had committed on the cluster that was left, for each partition, when nothing was committed there any
    /// more.
    pub committed: BTreeMap<String, Vec<Option<u64>>>,
}

/// What is judged.
#[derive(Debug)]
pub struct MirroredInput<'a> {
    /// What the producers saw.
    pub producers: &'a [ClientHistory],
    /// What the consumers saw, each alone in its group.
    pub consumers: &'a [ClientHistory],
    /// The primary's log at the end, when everything was copied.
    pub primary: &'a ClusterLog,
    /// The secondary's.
    pub secondary: &'a ClusterLog,
    /// The switches, in order.
    pub switches: &'a [Moved],
}

/// The verdict over one producer. But for `acked`, each number must be 0.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct MirroredProducer {
    /// The client's name.
    pub client: String,
    /// Acknowledged records.
    pub acked: usize,
    /// Acknowledged records that do not stand in both logs where the client was told.
    pub lost: usize,
    /// Superfluous copies.
    pub again: usize,
    /// Records behind a younger one of the same partition.
    pub disorder: usize,
    /// Errors that the application was given, by their first words.
    pub errors: BTreeMap<String, usize>,
}

/// The verdict over one consumer. Each number but `consumed`, `replays` and `replayed` must be 0.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct MirroredConsumer {
    /// The client's name.
    pub client: String,
    /// Different records that it got.
    pub consumed: usize,
    /// Acknowledged records, of any producer, that it did not get.
    pub not_consumed: usize,
    /// Records that it passed over.
    pub skipped: u64,
    /// Times that it went back to what it had committed.
    pub replays: usize,
    /// Records that it got again by that.
    pub replayed: u64,
    /// Records before its last commit that it got again.
    pub beyond_commit: u64,
    /// Times that it went back although nothing was switched.
    pub moved_without_switch: usize,
    /// Errors after which the client object is dead.
    pub fatal_errors: usize,
}

/// The verdict.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct MirroredReport {
    /// Places at which the logs differ.
    pub logs_differ: usize,
    /// The producers.
    pub producers: Vec<MirroredProducer>,
    /// The consumers.
    pub consumers: Vec<MirroredConsumer>,
}

/// Judges a run.
pub fn check_mirrored(input: &MirroredInput<'_>) -> MirroredReport {
    let differs =
        |a: &ClusterLog, b: &ClusterLog| a.records().filter(|(p, o, v)| !b.holds(*p, *o, v)).count();
    let there = differs(input.primary, input.secondary);
    let back = differs(input.secondary, input.primary);
    MirroredReport {
        logs_differ: there.max(back),
        producers: input.producers.iter().map(|client| input.producer(client)).collect(),
        consumers: input.consumers.iter().map(|client| input.consumer(client)).collect(),
    }
}

impl MirroredInput<'_> {
    fn producer(&self, client: &ClientHistory) -> MirroredProducer {
        let acks = acks_by_number(client);
        let stands = |log: &ClusterLog| {
            let told = |ack: &super::Ack| match ack.offset {
                u64::MAX => log.copies(&ack.value) > 0,
                offset => log.holds(ack.partition, offset, &ack.value),
            };
            client.acks.iter().filter(|ack| !told(ack)).count()
        };
        let own = self.primary.records().filter_map(|(partition, offset, value)| {
            let (name, number) = split(value)?;
            (name == client.client).then_some((partition, offset, number))
        });
        let mut firsts: HashMap<u64, (u32, u64)> = HashMap::new();
        let mut copies = 0;
        for (partition, offset, number) in own {
            copies += 1;
            let first = firsts.entry(number).or_insert((partition, offset));
            *first = (*first).min((partition, offset));
        }
        let mut errors = BTreeMap::new();
        for error in &client.errors {
            *errors.entry(kind(&error.message)).or_default() += 1;
        }
        MirroredProducer {
            client: client.client.clone(),
            acked: acks.len(),
            lost: stands(self.primary).max(stands(self.secondary)),
            again: copies - firsts.len(),
            disorder: disorder(firsts.iter().map(|(number, (p, o))| (*p, (0, *o), *number)).collect()),
            errors,
        }
    }

    fn consumer(&self, client: &ClientHistory) -> MirroredConsumer {
        let got: HashSet<&str> = client.consumed.iter().map(|c| c.value.as_str()).collect();
        let acks = self.producers.iter().flat_map(|p| &p.acks);
        let mut report = MirroredConsumer {
            client: client.client.clone(),
            consumed: got.len(),
            not_consumed: acks.filter(|a| !got.contains(a.value.as_str())).count(),
            fatal_errors: client.errors.iter().filter(|e| e.fatal).count(),
            ..MirroredConsumer::default()
        };
        let mut next: HashMap<u32, u64> = HashMap::new();
        for read in &client.consumed {
            let position = next.insert(read.partition, read.offset + 1).unwrap_or(0);
            report.skipped += read.offset.saturating_sub(position);
            if read.offset < position {
                self.went_back(read, position, &mut report);
            }
        }
        report
    }

    fn went_back(&self, read: &Consumed, position: u64, report: &mut MirroredConsumer) {
        let begun = self.switches.partition_point(|s| s.begun <= read.at);
        if begun == 0 {
            report.moved_without_switch += 1;
            return;
        }
        let ended = self.switches.partition_point(|s| s.ended <= read.at);
        let committed = |switch: &Moved| {
            let of = switch.committed.get(&report.client).and_then(|c| c.get(read.partition as usize));
            of.copied().flatten().unwrap_or(0)
        };
        let committed =
            self.switches[ended.saturating_sub(1)..begun].iter().map(committed).min().unwrap_or(0);
        report.replays += 1;
        report.replayed += position - read.offset;
        report.beyond_commit += committed.min(position).saturating_sub(read.offset);
    }
}

impl MirroredReport {
    /// The promises that did not hold, in words.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut say = |count: u64, who: &str, what: &str| {
            if count > 0 {
                broken.push(format!("{who}: {count} {what}"));
            }
        };
        say(self.logs_differ as u64, "logs", "places at which they differ");
        for p in &self.producers {
            say(p.lost as u64, &p.client, "acknowledged records that are not where they were said to be");
            say(p.again as u64, &p.client, "records twice");
            say(p.disorder as u64, &p.client, "records out of order");
            say(p.errors.values().sum::<usize>() as u64, &p.client, "errors given to the application");
        }
        for c in &self.consumers {
            say(c.not_consumed as u64, &c.client, "acknowledged records not consumed");
            say(c.skipped, &c.client, "records passed over");
            say(c.beyond_commit, &c.client, "records again from before the last commit");
            say(c.moved_without_switch as u64, &c.client, "moves without a switch");
            say(c.fatal_errors as u64, &c.client, "fatal errors of the consumer");
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Ack, AppError};
    use crate::log::LogRecord;

    struct Run {
        producer: ClientHistory,
        consumer: ClientHistory,
        primary: Vec<&'static str>,
        secondary: Vec<&'static str>,
        switches: Vec<Moved>,
    }

    fn read(at: u64, offset: u64) -> Consumed {
        Consumed { at, partition: 0, offset, value: format!("j-{offset}") }
    }

    impl Run {
        /// Four records; a switch at 100 after three were read and two committed, so that the third comes again.
        fn good() -> Self {
            let ack = |n: u64| Ack { at: n, partition: 0, offset: n, value: format!("j-{n}") };
            let history =
                |acks, consumed| ClientHistory { client: "j".to_owned(), acks, consumed, errors: Vec::new() };
            let reads = vec![read(10, 0), read(11, 1), read(12, 2), read(110, 2), read(111, 3)];
            let committed = BTreeMap::from([("j".to_owned(), vec![Some(2)])]);
            Self {
                producer: history((0..4).map(ack).collect(), Vec::new()),
                consumer: history(Vec::new(), reads),
                primary: vec!["j-0", "j-1", "j-2", "j-3"],
                secondary: vec!["j-0", "j-1", "j-2", "j-3"],
                switches: vec![Moved { begun: 100, ended: 105, committed }],
            }
        }

        fn broken(&self) -> Vec<String> {
            let log = |values: &[&str]| -> ClusterLog {
                let record = |(offset, value): (u64, &&str)| LogRecord {
                    partition: 0,
                    offset,
                    value: (*value).to_owned(),
                };
                (0..).zip(values).map(record).collect()
            };
            let report = check_mirrored(&MirroredInput {
                producers: std::slice::from_ref(&self.producer),
                consumers: std::slice::from_ref(&self.consumer),
                primary: &log(&self.primary),
                secondary: &log(&self.secondary),
                switches: &self.switches,
            });
            report.broken()
        }
    }

    #[test]
    fn a_group_that_goes_back_to_its_commit_at_a_switch_is_fine() {
        assert_eq!(Run::good().broken(), Vec::<String>::new());
    }

    #[test]
    fn a_group_that_comes_back_late_from_one_switch_while_the_next_one_is_under_way_is_fine() {
        let mut run = Run::good();
        run.switches.push(Moved {
            begun: 109,
            ended: 111,
            committed: BTreeMap::from([("j".to_owned(), vec![Some(3)])]),
        });
        assert_eq!(run.broken(), Vec::<String>::new());
        run.switches[1].ended = 110;
        assert_eq!(run.broken(), ["j: 1 records again from before the last commit"]);
    }

    #[test]
    fn each_promise_that_does_not_hold_is_named() {
        type Break = fn(&mut Run);
        let breaks: [(Break, &str); 9] = [
            (|r| r.secondary[3] = "k-0", "logs: 1 places at which they differ"),
            (
                |r| r.producer.acks[1].offset = 2,
                "j: 1 acknowledged records that are not where they were said to be",
            ),
            (
                |r| {
                    r.primary.push("j-3");
                    r.secondary.push("j-3");
                },
                "j: 1 records twice",
            ),
            (
                |r| {
                    for log in [&mut r.primary, &mut r.secondary] {
                        log.swap(1, 2);
                    }
                    (r.producer.acks[1].offset, r.producer.acks[2].offset) = (2, 1);
                },
                "j: 1 records out of order",
            ),
            (
                |r| r.producer.errors.push(AppError { at: 0, fatal: false, message: "x".to_owned() }),
                "j: 1 errors given to the application",
            ),
            (
                |r| {
                    r.consumer.consumed.truncate(4);
                },
                "j: 1 acknowledged records not consumed",
            ),
            (
                |r| {
                    r.consumer.consumed.remove(1);
                },
                "j: 1 acknowledged records not consumed",
            ),
            (
                |r| r.consumer.consumed.insert(3, read(109, 1)),
                "j: 1 records again from before the last commit",
            ),
            (|r| r.switches.clear(), "j: 1 moves without a switch"),
        ];
        for (break_it, words) in breaks {
            let mut run = Run::good();
            break_it(&mut run);
            assert_eq!(run.broken().first().map(String::as_str), Some(words));
        }
        let mut run = Run::good();
        run.consumer.consumed.remove(1);
        assert_eq!(run.broken()[1], "j: 1 records passed over");
    }
}

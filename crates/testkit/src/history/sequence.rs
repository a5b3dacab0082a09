//! Judges producers over a sequence of visits: A, then B, then A again, each a piece of one cluster's log.
//!
//! The pieces in their order are one virtual log. Each record of a log belongs to the visit in which it was written, which
//! the end offsets at the beginning of each visit tell. Pure, as everything here.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{Ack, ClientHistory, Side};
use crate::log::ClusterLog;

/// A stretch of time in which one cluster served.
#[derive(Clone, Debug, Serialize)]
pub struct Visit {
    /// The cluster.
    pub side: Side,
    /// The moment before it was commanded, wall clock in nanoseconds: what was acknowledged earlier is not of this visit.
    pub begun: u64,
    /// The end offset of each partition of its log when the visit began. What an earlier visit left under way may have come
    /// in later than its end, but not later than this.
    pub starts: Vec<u64>,
}

/// What is judged.
#[derive(Debug)]
pub struct SequenceInput<'a> {
    /// What the producers saw.
    pub producers: &'a [ClientHistory],
    /// The primary's log.
    pub primary: &'a ClusterLog,
    /// The secondary's log.
    pub secondary: &'a ClusterLog,
    /// The visits, in order.
    pub visits: &'a [Visit],
}

/// The verdict over one producer. But for `acked` and `again_later`, each of these numbers must be 0.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct SequenceReport {
    /// The client's name.
    pub client: String,
    /// Acknowledged records.
    pub acked: usize,
    /// Copies written by a later visit because the acknowledgement of the earlier one was lost at a switch.
    pub again_later: usize,
    /// Acknowledged records that neither log holds.
    pub lost: usize,
    /// Records that were acknowledged more than once.
    pub acked_twice: usize,
    /// Superfluous copies within one visit: no switch explains them.
    pub again_in_visit: usize,
    /// Copies written by a later visit although the client had the acknowledgement of an earlier one.
    pub again_after_ack: usize,
    /// Records behind a younger one of the same producer and partition, within a visit.
    pub disorder_in_visit: usize,
    /// Acknowledged records behind a younger one of the same producer and partition, over all visits.
    pub disorder_over_visits: usize,
    /// Errors that the application was given.
    pub app_errors: usize,
    /// Those after which the client object is dead.
    pub fatal_errors: usize,
    /// How often each error was given, by its first words.
    pub errors: BTreeMap<String, usize>,
}

/// Where a copy of a record is in the virtual log of its partition: visit, then offset in that cluster.
type Place = (usize, u64);

/// The copies of one producer's records: number of the record → its partition and places, in order.
type Copies = HashMap<u64, (u32, Vec<Place>)>;

/// Judges every producer.
pub fn check_sequence(input: &SequenceInput<'_>) -> Vec<SequenceReport> {
    let copies = input.copies();
    let none = Copies::new();
    let of = |client: &ClientHistory| copies.get(client.client.as_str()).unwrap_or(&none);
    input.producers.iter().map(|client| input.report(client, of(client))).collect()
}

impl SequenceInput<'_> {
    /// Every record of both logs, by client.
    fn copies(&self) -> HashMap<&str, Copies> {
        let mut all: HashMap<&str, Copies> = HashMap::new();
        for (side, log) in [(Side::Primary, self.primary), (Side::Secondary, self.secondary)] {
            for (partition, offset, value) in log.records() {
                let Some((client, number)) = split(value) else { continue };
                let place = (self.visit_of(side, partition, offset), offset);
                let entry = all.entry(client).or_default().entry(number);
                entry.or_insert_with(|| (partition, Vec::new())).1.push(place);
            }
        }
        for (_, places) in all.values_mut().flat_map(HashMap::values_mut) {
            places.sort_unstable();
        }
        all
    }

    /// The last visit to that cluster that had begun when this offset was written.
    fn visit_of(&self, side: Side, partition: u32, offset: u64) -> usize {
        let start = |visit: &Visit| visit.starts.get(partition as usize).copied().unwrap_or(0);
        let begun = |visit: &Visit| visit.side == side && start(visit) <= offset;
        self.visits.iter().rposition(begun).unwrap_or(0)
    }

    /// The copy that was acknowledged: of those written by then the one at the offset that the client was told; where a proxy
    /// translates offsets, or no offset was told, the last one.
    fn acknowledged(&self, places: &[Place], ack: &Ack) -> Option<Place> {
        let by_then = |place: &&Place| self.visits.get(place.0).is_some_and(|v| v.begun <= ack.at);
        let mut told = places.iter().filter(by_then).filter(|(_, offset)| *offset == ack.offset);
        match (told.next(), told.next()) {
            (Some(one), None) => Some(*one),
            _ => places.iter().rfind(by_then).or(places.last()).copied(),
        }
    }

    /// Whether a copy in a visit may have been under way when its cluster was left before: the next visit, to the other cluster,
    /// acknowledged the record soon after it began, and the copy was appended, or became readable, after all that time only.
    /// Brokers of a busy machine do both.
    fn left_over(&self, copy: usize, acknowledging: usize, ack: &Ack) -> bool {
        let begun = |visit: usize| self.visits.get(visit).map_or(0, |v| v.begun);
        let (since, until) =
            (ack.at.saturating_sub(begun(acknowledging)), begun(copy).saturating_sub(ack.at));
        acknowledging > 0 && copy == acknowledging + 1 && since < until
    }

    fn report(&self, client: &ClientHistory, copies: &Copies) -> SequenceReport {
        let acks = acks_by_number(client);
        let mut report = SequenceReport {
            client: client.client.clone(),
            acked: acks.len(),
            lost: acks.keys().filter(|number| !copies.contains_key(number)).count(),
            acked_twice: acks.values().filter(|acks| acks.len() > 1).count(),
            disorder_in_visit: disorder_in_visits(copies),
            app_errors: client.errors.len(),
            fatal_errors: client.errors.iter().filter(|e| e.fatal).count(),
            ..SequenceReport::default()
        };
        for error in &client.errors {
            *report.errors.entry(kind(&error.message)).or_default() += 1;
        }
        let mut delivered = Vec::new();
        for (number, (partition, places)) in copies {
            let visits = different_visits(places);
            report.again_in_visit += places.len() - visits;
            let ack = acks.get(number).and_then(|acks| acks.first());
            let place = ack.and_then(|ack| self.acknowledged(places, ack));
            let unexplained = |place: Place| {
                let mut later = later(places, place.0);
                later.retain(|copy| !ack.is_some_and(|ack| self.left_over(copy.0, place.0, ack)));
                different_visits(&later)
            };
            let after = place.map_or(0, unexplained);
            report.again_after_ack += after;
            report.again_later += visits - 1 - after;
            delivered.extend(place.map(|place| (*partition, place, *number)));
        }
        report.disorder_over_visits = disorder(delivered);
        report
    }
}

/// `java-17` → (`java`, 17).
pub(super) fn split(value: &str) -> Option<(&str, u64)> {
    let (client, number) = value.rsplit_once('-')?;
    Some((client, number.parse().ok()?))
}

/// The words before the details, which differ each time.
pub(super) fn kind(message: &str) -> String {
    let end = message.find([':', '(', '{', '[', ';']).unwrap_or(message.len());
    message[..end].trim().to_owned()
}

pub(super) fn acks_by_number(client: &ClientHistory) -> HashMap<u64, Vec<&Ack>> {
    let mut acks: HashMap<u64, Vec<&Ack>> = HashMap::new();
    for ack in &client.acks {
        if let Some((_, number)) = split(&ack.value) {
            acks.entry(number).or_default().push(ack);
        }
    }
    acks
}

fn later(places: &[Place], visit: usize) -> Vec<Place> {
    places.iter().filter(|place| place.0 > visit).copied().collect()
}

/// Of sorted places.
fn different_visits(places: &[Place]) -> usize {
    let mut visits: Vec<usize> = places.iter().map(|place| place.0).collect();
    visits.dedup();
    visits.len()
}

/// Counts the first copies of each visit that stand behind a younger record.
fn disorder_in_visits(copies: &Copies) -> usize {
    let mut by_visit: HashMap<usize, Vec<(u32, Place, u64)>> = HashMap::new();
    for (number, (partition, places)) in copies {
        let mut seen = None;
        for place in places {
            if seen.replace(place.0) != Some(place.0) {
                by_visit.entry(place.0).or_default().push((*partition, *place, *number));
            }
        }
    }
    by_visit.into_values().map(disorder).sum()
}

/// Counts the records that stand behind a younger one of their partition.
pub(super) fn disorder(mut records: Vec<(u32, Place, u64)>) -> usize {
    records.sort_unstable();
    let mut youngest: HashMap<u32, u64> = HashMap::new();
    let mut behind = 0;
    for (partition, _, number) in records {
        let youngest = youngest.entry(partition).or_insert(number);
        behind += usize::from(number < *youngest);
        *youngest = (*youngest).max(number);
    }
    behind
}

impl SequenceReport {
    /// The promises that did not hold, in words.
    pub fn broken(&self) -> Vec<String> {
        let numbers = [
            (self.lost, "acknowledged records in no log"),
            (self.acked_twice, "records acknowledged twice"),
            (self.again_in_visit, "records twice in one visit"),
            (self.again_after_ack, "records written again after their acknowledgement"),
            (self.disorder_in_visit, "records out of order within a visit"),
            (self.disorder_over_visits, "acknowledged records out of order over the visits"),
            (self.fatal_errors, "fatal errors"),
            (self.app_errors, "errors given to the application"),
        ];
        let broken = numbers.iter().filter(|(count, _)| *count > 0);
        broken.map(|(count, what)| format!("{}: {count} {what}", self.client)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::AppError;
    use crate::log::LogRecord;

    /// One partition; the primary from 0, the secondary from 0, then the primary again from 3.
    struct Run {
        producer: ClientHistory,
        primary: Vec<&'static str>,
        secondary: Vec<&'static str>,
    }

    impl Run {
        /// Record 1 was written by the primary, its acknowledgement was lost, and the secondary wrote it again.
        fn good() -> Self {
            let acks = [("j-0", 50, 0), ("j-1", 150, 0), ("j-2", 151, 1), ("j-3", 152, 2), ("j-4", 250, 3)];
            let ack = |(value, at, offset): (&str, u64, u64)| Ack {
                at,
                partition: 0,
                offset,
                value: value.to_owned(),
            };
            let producer = ClientHistory {
                client: "j".to_owned(),
                acks: acks.map(ack).to_vec(),
                ..ClientHistory::default()
            };
            Self { producer, primary: vec!["j-0", "j-1", "k-0", "j-4"], secondary: vec!["j-1", "j-2", "j-3"] }
        }

        fn check(&self) -> SequenceReport {
            let log = |values: &[&str]| -> ClusterLog {
                let record = |(offset, value): (u64, &&str)| LogRecord {
                    partition: 0,
                    offset,
                    value: (*value).to_owned(),
                };
                (0..).zip(values).map(record).collect()
            };
            let visit = |side, begun, start| Visit { side, begun, starts: vec![start] };
            let visits =
                [visit(Side::Primary, 0, 0), visit(Side::Secondary, 100, 0), visit(Side::Primary, 200, 3)];
            let reports = check_sequence(&SequenceInput {
                producers: std::slice::from_ref(&self.producer),
                primary: &log(&self.primary),
                secondary: &log(&self.secondary),
                visits: &visits,
            });
            reports[0].clone()
        }
    }

    fn good_report() -> SequenceReport {
        SequenceReport { client: "j".to_owned(), acked: 5, again_later: 1, ..SequenceReport::default() }
    }

    #[test]
    fn a_record_written_again_because_its_acknowledgement_was_lost_is_fine() {
        let report = Run::good().check();
        assert_eq!(report, good_report());
        assert_eq!(report.broken(), Vec::<String>::new());
    }

    #[test]
    fn a_lost_record_is_found() {
        let mut run = Run::good();
        run.secondary[1] = "k-9";
        assert_eq!(run.check(), SequenceReport { lost: 1, ..good_report() });
    }

    #[test]
    fn two_acknowledgements_of_one_record_are_found() {
        let mut run = Run::good();
        run.producer.acks.push(run.producer.acks[0].clone());
        assert_eq!(run.check(), SequenceReport { acked_twice: 1, ..good_report() });
    }

    #[test]
    fn a_copy_within_the_same_visit_is_found_and_is_no_disorder() {
        let mut run = Run::good();
        run.secondary.push("j-2");
        assert_eq!(run.check(), SequenceReport { again_in_visit: 1, ..good_report() });
    }

    #[test]
    fn a_copy_after_the_acknowledgement_is_found() {
        let mut run = Run::good();
        run.secondary.insert(0, "j-0");
        for ack in &mut run.producer.acks[1..4] {
            ack.offset += 1;
        }
        assert_eq!(run.check(), SequenceReport { again_after_ack: 1, ..good_report() });
    }

    /// Record 2 was under way to the primary when that was left, and comes to stand there at the beginning of the next visit.
    #[test]
    fn a_copy_that_its_broker_appended_late_is_no_new_one() {
        let mut run = Run::good();
        run.primary = vec!["j-0", "j-1", "k-0", "j-2", "j-4"];
        run.producer.acks[2].at = 120;
        run.producer.acks[4].offset = 4;
        assert_eq!(run.check(), SequenceReport { again_later: 2, ..good_report() });
        run.producer.acks[2].at = 190;
        assert_eq!(run.check(), SequenceReport { again_after_ack: 1, ..good_report() });
    }

    #[test]
    fn disorder_within_a_visit_is_found() {
        let mut run = Run::good();
        run.secondary = vec!["j-2", "j-1", "j-3"];
        (run.producer.acks[1].offset, run.producer.acks[2].offset) = (1, 0);
        assert_eq!(
            run.check(),
            SequenceReport { disorder_in_visit: 1, disorder_over_visits: 1, ..good_report() }
        );
    }

    #[test]
    fn a_younger_record_that_an_earlier_visit_acknowledged_is_disorder() {
        let mut run = Run::good();
        run.primary[1] = "j-4";
        run.primary[3] = "k-1";
        (run.producer.acks[4].offset, run.producer.acks[4].at) = (1, 51);
        let report = run.check();
        assert_eq!((report.disorder_in_visit, report.disorder_over_visits), (0, 3));
    }

    #[test]
    fn what_came_in_after_the_end_of_its_visit_belongs_to_it() {
        let mut run = Run::good();
        // Written by the first visit, after the second had begun and before the third had.
        run.primary = vec!["j-0", "j-1", "j-2", "j-4"];
        assert_eq!(run.check(), SequenceReport { again_later: 2, ..good_report() });
    }

    #[test]
    fn an_acknowledgement_without_a_known_offset_is_of_the_last_copy() {
        let mut run = Run::good();
        run.producer.acks.iter_mut().for_each(|ack| ack.offset = u64::MAX);
        assert_eq!(run.check(), good_report());
    }

    #[test]
    fn errors_are_counted_by_their_kind() {
        let mut run = Run::good();
        let error = |fatal, message: &str| AppError { at: 0, fatal, message: message.to_owned() };
        run.producer.errors = vec![error(true, "Fenced: a"), error(false, "Fenced: b")];
        let report = run.check();
        assert_eq!((report.app_errors, report.fatal_errors, report.errors["Fenced"]), (2, 1, 2));
        assert_eq!(report.broken().len(), 2);
    }
}

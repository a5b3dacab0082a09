//! What became of each transaction, by what the clusters hold.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use crate::clients::{Event, TxnEnd};

/// One attempt at a transaction. Its records have the values `<client>-<n>-<attempt>-<partition>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When its end was known.
    pub at: u64,
    /// The transaction.
    pub n: u64,
    /// The attempt.
    pub attempt: u64,
    /// How it ended for the application.
    pub end: TxnEnd,
}

impl Attempt {
    /// The attempts among a driver's events, in order.
    pub fn all(events: &[Event]) -> Vec<Self> {
        let of = |event: &Event| match *event {
            Event::Txn { t, n, a, end } => Some(Self { at: t, n, attempt: a, end }),
            _ => None,
        };
        events.iter().filter_map(of).collect()
    }
}

/// The transactions of one producer. What is listed by name breaks a promise.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct TransactionReport {
    /// The client.
    pub client: String,
    /// Commits that the application was told of.
    pub committed: usize,
    /// Attempts that it was told are aborted.
    pub aborted: usize,
    /// Attempts of which it does not know.
    pub unknown: usize,
    /// Of these, the ones that are committed.
    pub unknown_committed: usize,
    /// Committed for the application, and not whole on one cluster.
    pub missing: Vec<String>,
    /// A part of an attempt is committed on a cluster, another is not.
    pub half: Vec<String>,
    /// Committed on both clusters.
    pub on_both: Vec<String>,
    /// Aborted for the application, and committed on a cluster.
    pub aborted_but_committed: Vec<String>,
    /// Aborted attempts of which some consumer got a record.
    pub aborted_but_read: Vec<String>,
}

impl TransactionReport {
    /// The broken promises, in words.
    pub fn broken(&self) -> Vec<String> {
        let lists = [
            ("not whole on one cluster", &self.missing),
            ("half committed", &self.half),
            ("committed on both clusters", &self.on_both),
            ("aborted, but committed", &self.aborted_but_committed),
            ("aborted, but read", &self.aborted_but_read),
        ];
        let words = |(what, names): (&str, &Vec<String>)| {
            (!names.is_empty()).then(|| format!("{}: {what}: {}", self.client, names.join(", ")))
        };
        lists.into_iter().filter_map(words).collect()
    }
}

/// Judges the attempts of `client`, of `partitions` records each. `committed`: the values that each cluster holds as committed.
/// `read`: the values that consumers with `read_committed` got.
pub fn check(
    client: &str,
    attempts: &[Attempt],
    partitions: u32,
    committed: &[HashMap<String, usize>; 2],
    read: &HashSet<String>,
) -> TransactionReport {
    let mut report = TransactionReport { client: client.to_owned(), ..TransactionReport::default() };
    for attempt in attempts {
        let name = format!("{client}-{}-{}", attempt.n, attempt.attempt);
        let values: Vec<String> = (0..partitions).map(|p| format!("{name}-{p}")).collect();
        let on: Vec<Presence> = committed.iter().map(|held| presence(&values, held)).collect();
        let (whole, half) = (count(&on, Presence::Whole), count(&on, Presence::Half));
        if half > 0 {
            report.half.push(name.clone());
        }
        if whole > 1 {
            report.on_both.push(name.clone());
        }
        match attempt.end {
            TxnEnd::Committed => {
                report.committed += 1;
                if whole == 0 {
                    report.missing.push(name);
                }
            }
            TxnEnd::Aborted => {
                report.aborted += 1;
                if values.iter().any(|value| read.contains(value)) {
                    report.aborted_but_read.push(name.clone());
                }
                if whole > 0 {
                    report.aborted_but_committed.push(name);
                }
            }
            TxnEnd::Unknown => {
                report.unknown += 1;
                report.unknown_committed += usize::from(whole > 0);
            }
        }
    }
    report
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    None,
    /// Some records, or one of them twice.
    Half,
    Whole,
}

fn presence(values: &[String], held: &HashMap<String, usize>) -> Presence {
    let copies: Vec<usize> = values.iter().map(|value| held.get(value).copied().unwrap_or(0)).collect();
    match copies {
        copies if copies.iter().all(|n| *n == 0) => Presence::None,
        copies if copies.iter().all(|n| *n == 1) => Presence::Whole,
        _ => Presence::Half,
    }
}

fn count(on: &[Presence], what: Presence) -> usize {
    on.iter().filter(|presence| **presence == what).count()
}

/// How often each value is there.
pub(super) fn copies(values: impl IntoIterator<Item = String>) -> HashMap<String, usize> {
    let mut copies = BTreeMap::new();
    for value in values {
        *copies.entry(value).or_insert(0) += 1;
    }
    copies.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(end: TxnEnd, primary: &[&str], secondary: &[&str], read: &[&str]) -> TransactionReport {
        let held = |values: &[&str]| copies(values.iter().map(|v| (*v).to_owned()));
        let read = read.iter().map(|v| (*v).to_owned()).collect();
        let attempt = Attempt { at: 0, n: 4, attempt: 9, end };
        check("c", &[attempt], 2, &[held(primary), held(secondary)], &read)
    }

    #[test]
    fn a_transaction_is_whole_on_one_cluster_or_nowhere() {
        let (whole, half) = (["c-4-9-0", "c-4-9-1"], ["c-4-9-0"]);
        for end in [TxnEnd::Committed, TxnEnd::Unknown] {
            assert!(judge(end, &whole, &[], &whole).broken().is_empty());
            assert!(judge(end, &[], &whole, &[]).broken().is_empty());
            assert_eq!(judge(end, &whole, &whole, &[]).on_both, ["c-4-9"]);
            assert_eq!(judge(end, &half, &[], &[]).half, ["c-4-9"]);
            assert_eq!(judge(end, &["c-4-9-0", "c-4-9-0", "c-4-9-1"], &[], &[]).half, ["c-4-9"]);
        }
        assert_eq!(judge(TxnEnd::Committed, &[], &[], &[]).missing, ["c-4-9"]);
        assert!(judge(TxnEnd::Unknown, &[], &[], &[]).broken().is_empty());
        assert_eq!(judge(TxnEnd::Unknown, &whole, &[], &[]).unknown_committed, 1);
    }

    #[test]
    fn what_was_aborted_is_nowhere() {
        assert!(judge(TxnEnd::Aborted, &[], &["c-4-8-0", "c-4-8-1"], &["c-4-8-0"]).broken().is_empty());
        assert_eq!(
            judge(TxnEnd::Aborted, &["c-4-9-0", "c-4-9-1"], &[], &[]).aborted_but_committed,
            ["c-4-9"]
        );
        assert_eq!(judge(TxnEnd::Aborted, &[], &["c-4-9-1"], &[]).half, ["c-4-9"]);
        assert_eq!(judge(TxnEnd::Aborted, &[], &[], &["c-4-9-1"]).aborted_but_read, ["c-4-9"]);
    }
}

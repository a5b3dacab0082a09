//! What must hold of one client over switches, by what both clusters hold.

use std::collections::HashSet;

use crate::history::ClientHistory;
use crate::log::ClusterLog;

/// What is judged.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What its producer and its consumer saw.
    pub history: &'a ClientHistory,
    /// The log of the cluster that served first and last.
    pub primary: &'a ClusterLog,
    /// The log of the one in between.
    pub secondary: &'a ClusterLog,
    /// The topics that its administrator was told are made.
    pub made: &'a [String],
    /// The topics of both clusters.
    pub topics: &'a HashSet<String>,
    /// What did not go on, or end, as it should.
    pub stuck: Vec<String>,
}

/// How a client fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged records.
    pub acked: usize,
    /// Of these, those that only the secondary has.
    pub moved: usize,
    /// Records in both logs: their acknowledgement was lost in a switch.
    pub on_both: usize,
    /// Superfluous copies within one log.
    pub twice: usize,
    /// Different records that the consumer got.
    pub read: usize,
    /// Those that it got more than once.
    pub again: usize,
    /// Acknowledged records of the secondary that it did not read before traffic left it: stranded.
    pub stranded: usize,
    /// Topics that were made.
    pub made: usize,
    /// Errors that the applications were given.
    pub errors: usize,
    /// The first of them.
    pub first_error: Option<String>,
    /// The broken promises, in words.
    pub broken: Vec<String>,
}

/// Every acknowledged record is in a log, and every topic that was made on a cluster; what the cluster that serves at the end acknowledged was read; no error was fatal; and
/// both clients went on after each switch.
pub fn judge(seen: &Seen<'_>) -> Verdict {
    let Seen { history, primary, secondary, .. } = seen;
    let got: HashSet<&str> = history.consumed.iter().map(|record| &*record.value).collect();
    let acked: HashSet<&str> = history.acks.iter().map(|ack| &*ack.value).collect();
    let (mut verdict, mut lost, mut unread) = (Verdict::default(), 0, 0);
    for value in &acked {
        let read = got.contains(value);
        match (primary.copies(value), secondary.copies(value)) {
            (0, 0) => lost += 1,
            (0, _) => {
                verdict.moved += 1;
                verdict.stranded += usize::from(!read);
            }
            (_, _) => unread += usize::from(!read),
        }
    }
    let values: HashSet<&str> = primary.values().chain(secondary.values()).collect();
    for value in values {
        let (here, there) = (primary.copies(value), secondary.copies(value));
        verdict.on_both += usize::from(here > 0 && there > 0);
        verdict.twice += here.saturating_sub(1) + there.saturating_sub(1);
    }
    verdict.acked = acked.len();
    verdict.read = got.len();
    verdict.again = history.consumed.len() - got.len();
    verdict.made = seen.made.len();
    let gone = seen.made.iter().filter(|topic| !seen.topics.contains(*topic)).count();
    verdict.errors = history.errors.len();
    verdict.first_error = history.errors.first().map(|error| error.message.clone());
    let fatal = history.errors.iter().find(|error| error.fatal);
    verdict.broken = seen.stuck.clone();
    verdict.broken.extend(some(lost, "acknowledged records are in no log"));
    verdict.broken.extend(some(gone, "topics that were made are on no cluster"));
    verdict.broken.extend(some(unread, "records that the primary acknowledged were not read"));
    verdict.broken.extend(some(usize::from(verdict.moved == 0), "the secondary acknowledged nothing"));
    verdict.broken.extend(fatal.map(|error| format!("a fatal error: {}", error.message)));
    verdict
}

fn some(count: usize, what: &str) -> Option<String> {
    (count > 0).then(|| format!("{count}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Event;
    use crate::log::LogRecord;

    fn log(values: &[&str]) -> ClusterLog {
        let record = |(at, value): (usize, &&str)| LogRecord {
            partition: 0,
            offset: u64::try_from(at).unwrap(),
            value: (*value).to_owned(),
        };
        values.iter().enumerate().map(record).collect()
    }

    fn verdict(primary: &[&str], secondary: &[&str], read: &[&str], more: &[Event]) -> Verdict {
        let acks = [0, 1].map(|seq| Event::Ack { t: 1, p: 0, o: seq, seq });
        let record = |v: &&str| Event::Rec { t: 2, p: 0, o: 0, v: (*v).to_owned() };
        let consumed: Vec<Event> = read.iter().map(record).chain(more.iter().cloned()).collect();
        let history = ClientHistory::new("c", &acks, &consumed);
        judge(&Seen {
            history: &history,
            primary: &log(primary),
            secondary: &log(secondary),
            made: &["t".to_owned()],
            topics: &["t".to_owned()].into(),
            stuck: Vec::new(),
        })
    }

    #[test]
    fn a_topic_that_was_made_is_on_a_cluster() {
        let history = ClientHistory::default();
        let (primary, secondary) = (log(&[]), log(&["c-1"]));
        let made = ["t".to_owned()];
        let seen = |topics| {
            let (history, primary, secondary) = (&history, &primary, &secondary);
            judge(&Seen { history, primary, secondary, made: &made, topics, stuck: Vec::new() })
        };
        let (none, all) = (HashSet::new(), HashSet::from(made.clone()));
        assert!(seen(&none).broken.iter().any(|what| what.contains("no cluster")));
        assert!(!seen(&all).broken.iter().any(|what| what.contains("no cluster")));
    }

    #[test]
    fn what_was_acknowledged_is_in_a_log_and_what_the_primary_has_was_read() {
        let good = verdict(&["c-0"], &["c-1"], &["c-0", "c-1", "c-0"], &[]);
        assert_eq!((good.acked, good.moved, good.read, good.again), (2, 1, 2, 1));
        assert!(good.broken.is_empty(), "{good:?}");
        assert!(verdict(&["c-0"], &[], &["c-0"], &[]).broken[0].contains("in no log"));
        assert!(verdict(&["c-0"], &["c-1"], &["c-1"], &[]).broken[0].contains("not read"));
        assert!(verdict(&["c-0", "c-1"], &[], &["c-0", "c-1"], &[]).broken[0].contains("nothing"));
    }

    #[test]
    fn copies_and_what_is_left_behind_are_counted_and_nothing_more() {
        let found = verdict(&["c-0", "c-0"], &["c-0", "c-1"], &["c-0"], &[]);
        assert_eq!((found.on_both, found.twice, found.stranded), (1, 1, 1));
        assert!(found.broken.is_empty(), "{found:?}");
    }

    #[test]
    fn a_fatal_error_breaks_a_promise_and_others_do_not() {
        let error = |fatal| [Event::Err { t: 3, fatal, msg: "no".to_owned() }];
        let all = ["c-0", "c-1"];
        assert!(verdict(&["c-0"], &["c-1"], &all, &error(false)).broken.is_empty());
        assert_eq!(verdict(&["c-0"], &["c-1"], &all, &error(true)).broken, ["a fatal error: no"]);
    }
}

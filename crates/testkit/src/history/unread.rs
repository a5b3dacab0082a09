//! What a consumer did not get, by the log that it stands in.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::ClientHistory;
use crate::log::ClusterLog;

/// Acknowledged records of one log that a consumer did not get.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
pub struct Unread {
    /// Behind the last one that it got of its partition: they are read when traffic comes back to the cluster.
    pub left: usize,
    /// Before that one: nobody comes back to them.
    pub passed_over: usize,
}

/// What a consumer did not get of a log. What stands in the `other` one too is not looked at: it may have been read there.
pub fn unread(
    consumer: &ClientHistory,
    producers: &[ClientHistory],
    log: &ClusterLog,
    other: &ClusterLog,
) -> Unread {
    let got: HashSet<&str> = consumer.consumed.iter().map(|c| c.value.as_str()).collect();
    let acked: HashSet<&str> = producers.iter().flat_map(|p| &p.acks).map(|a| a.value.as_str()).collect();
    let only_here = || log.records().filter(|(_, _, value)| other.copies(value) == 0);
    let mut last: HashMap<u32, u64> = HashMap::new();
    for (partition, offset, _) in only_here().filter(|(_, _, value)| got.contains(value)) {
        let last = last.entry(partition).or_default();
        *last = offset.max(*last);
    }
    let mut unread = Unread::default();
    for (partition, offset, _) in only_here().filter(|(_, _, v)| acked.contains(v) && !got.contains(v)) {
        let before = last.get(&partition).is_some_and(|last| offset < *last);
        *(if before { &mut unread.passed_over } else { &mut unread.left }) += 1;
    }
    unread
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Ack, Consumed};
    use crate::log::LogRecord;

    fn log(values: &[&str]) -> ClusterLog {
        let record =
            |(offset, value): (u64, &&str)| LogRecord { partition: 0, offset, value: (*value).to_owned() };
        (0..).zip(values).map(record).collect()
    }

    #[test]
    fn what_lies_before_the_last_one_that_was_read_was_passed_over() {
        let ack = |value: &&str| Ack { at: 0, partition: 0, offset: u64::MAX, value: (*value).to_owned() };
        let read = |value: &&str| Consumed { at: 0, partition: 0, offset: 0, value: (*value).to_owned() };
        let acks = ["a", "b", "c", "d", "both"].iter().map(ack).collect();
        let producer =
            ClientHistory { client: "p".to_owned(), acks, consumed: Vec::new(), errors: Vec::new() };
        let consumed = ["a", "c", "both"].iter().map(read).collect();
        let consumer =
            ClientHistory { client: "c".to_owned(), acks: Vec::new(), consumed, errors: Vec::new() };
        let here = log(&["a", "b", "c", "not acknowledged", "d", "both"]);
        let of = |other: &[&str]| unread(&consumer, std::slice::from_ref(&producer), &here, &log(other));
        assert_eq!(of(&["both"]), Unread { left: 1, passed_over: 1 });
        assert_eq!(of(&["both", "b", "d"]), Unread::default(), "they may have been read there");
    }
}

//! One offset for each partition of many topics.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{collections::BTreeMap, fmt::Write, sync::Arc};

const UNKNOWN: i64 = -1;

/// One offset for each partition of many topics. What was never set is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOffsets {
    topics: BTreeMap<Arc<str>, Vec<i64>>,
    slots: usize,
}

impl LogOffsets {
    /// The offset of a partition, if it is known.
    pub fn get(&self, topic: &str, partition: i32) -> Option<i64> {
        let offset = *self.topics.get(topic)?.get(usize::try_from(partition).ok()?)?;
        (offset >= 0).then_some(offset)
    }

    /// Sets the offset of a partition. The caller vouches for the index: lower ones take room too.
    pub fn set(&mut self, topic: &Arc<str>, partition: i32, offset: i64) {
        let Ok(index) = usize::try_from(partition) else { return };
        let known = match self.topics.get_mut(topic) {
            Some(known) => known,
            None => self.topics.entry(topic.clone()).or_default(),
        };
        if known.len() <= index {
            self.slots += index + 1 - known.len();
            known.resize(index + 1, UNKNOWN);
        }
        known[index] = offset;
    }

    /// Records, over all partitions, that lie between these offsets and the others'; what is unknown there counts from 0.
    pub fn distance(&self, other: &Self) -> u64 {
        let topics = self.topics.iter().flat_map(|(topic, offsets)| {
            let known = (0..).zip(offsets).filter(|(_, offset)| **offset >= 0);
            known.map(move |(partition, offset)| offset.abs_diff(other.get(topic, partition).unwrap_or(0)))
        });
        topics.fold(0, u64::saturating_add)
    }

    /// Partitions that there is room for.
    pub fn len(&self) -> usize {
        self.slots
    }

    /// Whether nothing was ever set.
    pub fn is_empty(&self) -> bool {
        self.slots == 0
    }

    /// Whether an offset is below that of the same partition in `other`, where both are known.
    pub fn any_below(&self, other: &Self) -> bool {
        let below = |(own, theirs): (&i64, &i64)| *own >= 0 && own < theirs;
        let topic = |(topic, offsets): (&Arc<str>, &Vec<i64>)| {
            other.topics.get(topic).is_some_and(|theirs| offsets.iter().zip(theirs).any(below))
        };
        self.topics.iter().any(topic)
    }

    /// Forgets the topics that are not among these.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let slots = &mut self.slots;
        self.topics.retain(|topic, offsets| {
            let kept = keep(topic);
            *slots -= if kept { 0 } else { offsets.len() };
            kept
        });
    }

    /// A copy of at most so many partitions: whole topics, in the order of their names.
    #[must_use]
    pub fn first(&self, partitions: usize) -> Self {
        if self.slots <= partitions {
            return self.clone();
        }
        let mut copy = Self::default();
        for (topic, offsets) in &self.topics {
            if copy.slots + offsets.len() > partitions {
                break;
            }
            copy.slots += offsets.len();
            copy.topics.insert(topic.clone(), offsets.clone());
        }
        copy
    }
}

/// As a map from topics to texts such as `12,,7`: offsets by partition, unknown ones empty. A number a line would make a
/// state file of megabytes.
impl Serialize for LogOffsets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.topics.iter().map(|(topic, offsets)| (topic, text(offsets))))
    }
}

fn text(offsets: &[i64]) -> String {
    let mut text = String::new();
    for (index, offset) in offsets.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        if *offset >= 0 {
            // Writing to a string does not fail.
            let _ = write!(text, "{offset}");
        }
    }
    text
}

impl<'de> Deserialize<'de> for LogOffsets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<Arc<str>, String>::deserialize(deserializer)?;
        let mut read = Self::default();
        for (topic, text) in texts {
            let offset = |t: &str| if t.is_empty() { Ok(UNKNOWN) } else { t.parse::<i64>() };
            let offsets: Result<Vec<i64>, _> = text.split(',').map(offset).collect();
            let offsets =
                offsets.map_err(|_| D::Error::custom(format!("offsets of topic {topic}: {text}")))?;
            read.slots += offsets.len();
            read.topics.insert(topic, offsets);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_both_ways_and_what_is_unknown_from_0() {
        let (mut a, mut b) = (LogOffsets::default(), LogOffsets::default());
        a.set(&"t".into(), 0, 10);
        a.set(&"t".into(), 2, 7);
        assert_eq!(a.distance(&b), 17);
        b.set(&"t".into(), 0, 14);
        b.set(&"u".into(), 0, 99);
        assert_eq!(a.distance(&b), 4 + 7);
        b.set(&"t".into(), 0, 10);
        b.set(&"t".into(), 2, 7);
        assert_eq!(a.distance(&b), 0);
    }

    fn logs() -> LogOffsets {
        let mut logs = LogOffsets::default();
        logs.set(&"a".into(), 2, 7);
        logs.set(&"a".into(), 0, 12);
        logs.set(&"b".into(), 0, 0);
        logs
    }

    #[test]
    fn what_was_set_is_known_and_nothing_else() {
        let logs = logs();
        let found = [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("a", -1), ("b", 0), ("c", 0)];
        let found = found.map(|(topic, partition)| logs.get(topic, partition));
        assert_eq!(found, [Some(12), None, Some(7), None, None, Some(0), None]);
        assert_eq!(logs.len(), 4);
    }

    #[test]
    fn the_text_form_is_read_back() {
        let text = serde_json::to_string(&logs()).expect("it is a map of texts");
        assert_eq!(text, r#"{"a":"12,,7","b":"0"}"#);
        assert_eq!(serde_json::from_str::<LogOffsets>(&text).expect("as written"), logs());
        assert!(serde_json::from_str::<LogOffsets>(r#"{"a":"x"}"#).is_err());
    }

    #[test]
    fn a_bounded_copy_has_whole_topics() {
        let first = logs().first(3);
        assert_eq!((first.len(), first.get("a", 2), first.get("b", 0)), (3, Some(7), None));
        assert!(logs().first(2).is_empty());
    }

    #[test]
    fn topics_that_are_gone_are_forgotten() {
        let mut logs = logs();
        logs.retain(|topic| topic == "b");
        assert_eq!((logs.len(), logs.get("a", 0), logs.get("b", 0)), (1, None, Some(0)));
    }
}

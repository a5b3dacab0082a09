//! Committed offsets, and those that wait for the end of a transaction.

use super::{
    Committed, Groups, MemberRef, codes,
    messages::{NewOffset, Stored},
    state::{Group, State, Turn},
};
use std::{collections::BTreeMap, time::Instant};

impl Groups {
    /// Stores offsets; one code for each, or one for all of them. A group that does not exist is made when the commit comes
    /// from no member; else the answer is `missing`.
    pub(crate) fn commit(
        &mut self,
        now: Instant,
        request: &MemberRef,
        missing: i16,
        offsets: Vec<NewOffset>,
    ) -> Result<Vec<i16>, i16> {
        if request.generation >= 0 && !self.groups.contains_key(&request.group) {
            return Err(missing);
        }
        let max_metadata = self.config.max_offset_metadata;
        let order = self.next_commit();
        self.with(now, &request.group, |group, turn| {
            group.check_commit(turn, request)?;
            Ok(offsets.into_iter().map(|offset| group.store(offset, order, max_metadata)).collect())
        })
    }

    /// Keeps offsets until a producer's transaction ends; one code for each, or one for all of them. A group that does not exist
    /// is made, unless the commit names a generation of it.
    pub(crate) fn commit_pending(
        &mut self,
        now: Instant,
        request: &MemberRef,
        producer: i64,
        offsets: Vec<NewOffset>,
    ) -> Result<Vec<i16>, i16> {
        if request.generation >= 0 && !self.groups.contains_key(&request.group) {
            return Err(codes::ILLEGAL_GENERATION);
        }
        let max_metadata = self.config.max_offset_metadata;
        let order = self.next_commit();
        self.with(now, &request.group, |group, turn| {
            group.check_pending_commit(turn, request)?;
            let pending = group.pending_offsets.entry(producer).or_default();
            let keep = |new: NewOffset| {
                let code = check_metadata(&new, max_metadata);
                if code == codes::NONE {
                    pending.insert((new.topic, new.partition), Stored { committed: new.committed, order });
                }
                code
            };
            Ok(offsets.into_iter().map(keep).collect())
        })
    }

    /// A producer's transaction has ended: what these groups keep for it counts, or is forgotten.
    pub(crate) fn end_transaction(&mut self, producer: i64, commit: bool, which: impl Fn(&str) -> bool) {
        for group in self.groups.values_mut().filter(|group| which(&group.id)) {
            let pending = group.pending_offsets.remove(&producer).unwrap_or_default();
            for ((topic, partition), stored) in pending.into_iter().filter(|_| commit) {
                group.keep_newer(topic, partition, stored);
            }
        }
    }

    /// Does an offset wait for the end of a transaction?
    pub(crate) fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        let of = |((t, p), _): (&(String, i32), &Stored)| t == topic && *p == partition;
        let group = self.groups.get(group);
        group.is_some_and(|group| group.pending_offsets.values().flatten().any(of))
    }

    fn next_commit(&mut self) -> u64 {
        self.commits += 1;
        self.commits
    }

    /// The offset that a group has stored.
    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.offsets.get(topic)?.get(&partition).map(|stored| &stored.committed)
    }

    /// All the offsets that a group has stored.
    pub(crate) fn all_committed(&self, group: &str) -> impl Iterator<Item = (&str, &BTreeMap<i32, Stored>)> {
        let topics = self.groups.get(group).into_iter().flat_map(|group| &group.offsets);
        topics.map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    /// Deletes offsets; one code for each, or one for all of them.
    pub(crate) fn delete_offsets(&mut self, group: &str, offsets: &[(String, i32)]) -> Result<Vec<i16>, i16> {
        let group = self.groups.get_mut(group).ok_or(codes::GROUP_ID_NOT_FOUND)?;
        if group.state != State::Empty && !group.is_of_consumers() {
            return Err(codes::NON_EMPTY_GROUP);
        }
        Ok(offsets.iter().map(|(topic, partition)| group.delete_offset(topic, *partition)).collect())
    }

    /// A topic is gone, and what was committed to it.
    pub(crate) fn topic_deleted(&mut self, topic: &str) {
        for group in self.groups.values_mut() {
            group.offsets.remove(topic);
            for pending in group.pending_offsets.values_mut() {
                pending.retain(|(of, _), _| of != topic);
            }
        }
    }

    /// Runs `change` on a group, which is made if it does not exist.
    pub(super) fn with<T>(
        &mut self,
        now: Instant,
        id: &str,
        change: impl FnOnce(&mut Group, &mut Turn<'_>) -> T,
    ) -> T {
        let group = self.groups.entry(id.to_owned()).or_insert_with(|| Group::new(id));
        change(group, &mut Turn { now, config: &self.config, tickets: &mut self.tickets })
    }
}

impl Group {
    fn store(&mut self, new: NewOffset, order: u64, max_metadata: usize) -> i16 {
        let code = check_metadata(&new, max_metadata);
        if code == codes::NONE {
            let stored = Stored { committed: new.committed, order };
            self.offsets.entry(new.topic).or_default().insert(new.partition, stored);
        }
        code
    }

    /// A commit outside of the transaction that came after this one stays.
    fn keep_newer(&mut self, topic: String, partition: i32, new: Stored) {
        let partitions = self.offsets.entry(topic).or_default();
        if partitions.get(&partition).is_none_or(|old| old.order < new.order) {
            partitions.insert(partition, new);
        }
    }

    fn delete_offset(&mut self, topic: &str, partition: i32) -> i16 {
        if self.subscribes(topic) {
            return codes::GROUP_SUBSCRIBED_TO_TOPIC;
        }
        if let Some(partitions) = self.offsets.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.offsets.remove(topic);
            }
        }
        codes::NONE
    }
}

/// The code for text that is too long. Kafka counts as Java does.
fn check_metadata(new: &NewOffset, max: usize) -> i16 {
    let too_long = new.committed.metadata.encode_utf16().count() > max;
    if too_long { codes::OFFSET_METADATA_TOO_LARGE } else { codes::NONE }
}

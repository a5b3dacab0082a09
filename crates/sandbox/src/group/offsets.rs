//! Committed offsets.

use super::{
    Committed, Groups, MemberRef, codes,
    messages::NewOffset,
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
        self.with(now, &request.group, |group, turn| {
            group.check_commit(turn, request)?;
            Ok(offsets.into_iter().map(|offset| group.store(offset, max_metadata)).collect())
        })
    }

    /// The offset that a group has stored.
    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.offsets.get(topic)?.get(&partition)
    }

    /// All the offsets that a group has stored.
    pub(crate) fn all_committed(
        &self,
        group: &str,
    ) -> impl Iterator<Item = (&str, &BTreeMap<i32, Committed>)> {
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
    fn store(&mut self, new: NewOffset, max_metadata: usize) -> i16 {
        // Kafka counts as Java does.
        if new.committed.metadata.encode_utf16().count() > max_metadata {
            return codes::OFFSET_METADATA_TOO_LARGE;
        }
        self.offsets.entry(new.topic).or_default().insert(new.partition, new.committed);
        codes::NONE
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

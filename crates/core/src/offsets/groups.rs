//! Which groups were seen, and where each of them was on each cluster.
//!
//! A (group, partition) pair is seen when an OffsetCommit succeeds or an OffsetFetch finds an offset. On a cluster where such a
//! group has committed nothing yet it begins at the switch point; a group that was never seen begins by its own policy.

mod saved;

use super::{LogOffsets, SwitchPoint};
use crate::{Now, limits};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use saved::SavedGroups;

/// A group that has not been seen for so long is forgotten first: what Kafka keeps offsets of an empty group for.
const FORGET_AFTER: Duration = Duration::from_secs(7 * 86_400);
/// Who has not been heard of for so long is not waited for when its cluster is drained: members send a heartbeat every 3 s by
/// default, and KIP-848 members every 5 s.
const LIVES: Duration = Duration::from_secs(10);
/// Least time between two looks for such groups.
const PURGE: Duration = Duration::from_secs(60);
/// For so long the copy of a commit may still be under way between clusters that hold the same logs.
const LATELY: Duration = Duration::from_secs(60);
/// Groups that are worked on at a time while sessions wait.
const CHUNK: usize = 256;

/// Where the groups of one virtual cluster are. Bounded by [`limits::GROUP_POSITIONS`]; beyond it new ones are not seen.
#[derive(Debug, Default)]
pub struct Groups {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<Box<str>, Group>,
    /// Members of classic groups, and when each was last heard of.
    members: HashMap<(Box<str>, Box<str>), Now>,
    /// Spots that there is room for, and what names take.
    room: usize,
    /// (group, partition) pairs that were first seen in a stay of traffic on a cluster.
    sightings: u64,
    now: Now,
    purged: Now,
}

#[derive(Debug, Default)]
struct Group {
    seen: Now,
    topics: HashMap<Arc<str>, Vec<OnCluster>>,
}

#[derive(Debug)]
struct OnCluster {
    cluster: Arc<str>,
    /// By partition.
    spots: Vec<Spot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    /// −1: none.
    offset: i64,
    /// Generation of the switch that had made the cluster active; 0: the group was not there itself, a switch point is
    /// kept for it.
    since: u64,
    /// When it was noted, in seconds from 1 on; 0: before a restart.
    noted: u32,
}

const NOWHERE: Spot = Spot { offset: -1, since: 0, noted: 0 };

/// What is known of a group at a partition, for a cluster on which it has no committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nothing: it is new.
    New,
    /// It was on other clusters only.
    Elsewhere,
    /// On this cluster it was, or should have begun, at this offset, in an earlier stay.
    Here(i64),
    /// It committed there since the cluster became active: then that offset expired or was deleted.
    Gone,
}

/// What a group has left unread of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Topic.
    pub topic: Arc<str>,
    /// The group that has most left.
    pub group: Box<str>,
    /// Records, by its committed offsets: an estimate.
    pub records: u64,
}

impl Groups {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what time it is: old knowledge is given up by it.
    pub fn set_time(&self, now: Now) {
        self.table().now = now;
    }

    /// A group committed this offset on a cluster, or was found to have. `since`: generation of the switch that made it active.
    pub fn saw(&self, group: &str, topic: &str, partition: i32, cluster: &Arc<str>, since: u64, offset: i64) {
        let Ok(index) = usize::try_from(partition) else { return };
        let mut table = self.table();
        let needed = table.missing(group, topic, cluster, index);
        if needed > 0 && !table.make_room(needed) {
            return;
        }
        table.room += needed;
        let now = table.now;
        if !table.groups.contains_key(group) {
            table.groups.insert(group.into(), Group::default());
        }
        let Some(entry) = table.groups.get_mut(group) else { return };
        entry.seen = now;
        if !entry.topics.contains_key(topic) {
            entry.topics.insert(topic.into(), Vec::new());
        }
        let Some(clusters) = entry.topics.get_mut(topic) else { return };
        let at = clusters.iter().position(|c| c.cluster == *cluster).unwrap_or_else(|| {
            clusters.push(OnCluster { cluster: cluster.clone(), spots: Vec::new() });
            clusters.len() - 1
        });
        let spots = &mut clusters[at].spots;
        if spots.len() <= index {
            spots.resize(index + 1, NOWHERE);
        }
        let noted = seconds(now).saturating_add(1);
        let before = std::mem::replace(&mut spots[index], Spot { offset, since, noted });
        table.sightings += u64::from(before.since != since);
    }

    /// A group has an offset under way in a transaction, which may yet be aborted. The first one of a pair says no more than that the group
    /// is there; from the second one on there is a commit near it.
    pub fn saw_pending(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        cluster: &Arc<str>,
        since: u64,
        offset: i64,
    ) {
        match self.place(group, topic, partition, cluster, since) {
            Place::Gone => self.saw(group, topic, partition, cluster, since, offset),
            Place::New | Place::Elsewhere => self.saw(group, topic, partition, cluster, since, 0),
            // What it had committed there in an earlier stay is safe.
            Place::Here(_) => {}
        }
    }

    /// A group shows signs of life; `member`: one that can be asked to join again. Bounded by [`limits::MEMBERS_HEARD`].
    pub fn heard(&self, group: &str, member: Option<&str>) {
        let mut table = self.table();
        let now = table.now;
        if let Some(known) = table.groups.get_mut(group) {
            known.seen = now;
        }
        let Some(member) = member.filter(|m| !m.is_empty()) else { return };
        if table.members.len() >= limits::MEMBERS_HEARD {
            table.members.retain(|_, heard| *heard + LIVES >= now);
        }
        if table.members.len() < limits::MEMBERS_HEARD {
            table.members.insert((group.into(), member.into()), now);
        }
    }

    /// A member has left, or waits to join again.
    pub fn member_gone(&self, group: &str, member: &str) {
        self.table().members.remove(&(group.into(), member.into()));
    }

    /// Members that were heard of lately and have not left.
    pub fn members(&self) -> usize {
        let table = self.table();
        table.members.values().filter(|heard| **heard + LIVES >= table.now).count()
    }

    /// What is known of a group on a cluster that has no committed offset of it. `since`: as in [`saw`](Self::saw).
    pub fn place(&self, group: &str, topic: &str, partition: i32, cluster: &str, since: u64) -> Place {
        let Ok(index) = usize::try_from(partition) else { return Place::New };
        let table = self.table();
        let Some(clusters) = table.groups.get(group).and_then(|g| g.topics.get(topic)) else {
            return Place::New;
        };
        let spot = |c: &OnCluster| c.spots.get(index).copied().filter(|s| s.offset >= 0);
        let here = clusters.iter().find(|c| *c.cluster == *cluster).and_then(spot);
        match here {
            Some(spot) if spot.since == since => Place::Gone,
            Some(spot) => Place::Here(spot.offset),
            None if clusters.iter().any(|c| spot(c).is_some()) => Place::Elsewhere,
            None => Place::New,
        }
    }

    /// The offset that a group committed last, if that was lately, on another cluster and before the present stay: where clusters hold the
    /// same logs, the one that serves now may not have a copy of that commit yet. `since`: as in [`saw`](Self::saw).
    pub fn committed_lately(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        cluster: &str,
        since: u64,
    ) -> Option<i64> {
        let index = usize::try_from(partition).ok()?;
        let table = self.table();
        let clusters = table.groups.get(group)?.topics.get(topic)?;
        let spots = clusters.iter().filter_map(|c| Some((&*c.cluster, c.spots.get(index)?)));
        let (at, last) = spots.filter(|(_, s)| s.offset >= 0).max_by_key(|(_, s)| s.since)?;
        let fresh = last.noted > 0 && Duration::from_secs(last.noted.into()) + LATELY >= table.now;
        (fresh && at != cluster && (1..since).contains(&last.since)).then_some(last.offset)
    }

    /// Keeps a switch point for every pair that was never on its cluster, so that one that comes only after a later switch
    /// still begins at the first. Sessions are served in between; this may take a while with many groups.
    pub fn keep(&self, point: &SwitchPoint) {
        let names: Vec<Box<str>> = self.table().groups.keys().cloned().collect();
        for chunk in names.chunks(CHUNK) {
            let mut table = self.table();
            for name in chunk {
                table.keep(name, point);
            }
        }
    }

    /// A group was deleted: should it come again, it is new.
    pub fn forget(&self, group: &str) {
        let mut table = self.table();
        if let Some(gone) = table.groups.remove(group) {
            table.room -= cost(group, &gone);
        }
    }

    /// A group's offset of a partition was deleted.
    pub fn forget_partition(&self, group: &str, topic: &str, partition: i32) {
        let Ok(index) = usize::try_from(partition) else { return };
        let mut table = self.table();
        let Some(clusters) = table.groups.get_mut(group).and_then(|g| g.topics.get_mut(topic)) else {
            return;
        };
        clusters.iter_mut().filter_map(|c| c.spots.get_mut(index)).for_each(|spot| *spot = NOWHERE);
    }

    /// What the groups that were on a cluster since generation `since` have left unread before `ends`: by topic, of the group
    /// that has most. A topic that no group was seen with is not there.
    pub fn backlog(&self, cluster: &str, since: u64, ends: &LogOffsets) -> Vec<Backlog> {
        let mut worst: BTreeMap<Arc<str>, Backlog> = BTreeMap::new();
        let names: Vec<Box<str>> = self.table().groups.keys().cloned().collect();
        for chunk in names.chunks(CHUNK) {
            let table = self.table();
            for name in chunk {
                let Some(group) = table.groups.get(name) else { continue };
                for (topic, clusters) in &group.topics {
                    let Some(here) = clusters.iter().find(|c| *c.cluster == *cluster) else { continue };
                    let Some(records) = here.left(topic, since, ends) else { continue };
                    if worst.get(topic).is_none_or(|w| w.records < records) {
                        let found = Backlog { topic: topic.clone(), group: name.clone(), records };
                        worst.insert(topic.clone(), found);
                    }
                }
            }
        }
        worst.into_values().collect()
    }

    /// Records before `ends` that groups which were on a cluster since generation `since`, and have shown signs of life lately, have not
    /// committed.
    pub fn uncommitted(&self, cluster: &str, since: u64, ends: &LogOffsets) -> u64 {
        let names: Vec<Box<str>> = self.table().groups.keys().cloned().collect();
        let mut records = 0;
        for chunk in names.chunks(CHUNK) {
            let table = self.table();
            let lives = |g: &&Group| g.seen + LIVES >= table.now;
            let groups = chunk.iter().filter_map(|name| table.groups.get(name)).filter(lives);
            for (topic, clusters) in groups.flat_map(|g| &g.topics) {
                let here = clusters.iter().find(|c| *c.cluster == *cluster);
                records += here.and_then(|c| c.left(topic, since, ends)).unwrap_or(0);
            }
        }
        records
    }

    /// Rises when a group is seen at a partition for the first time in a stay of traffic on a cluster.
    pub fn sightings(&self) -> u64 {
        self.table().sightings
    }

    /// Groups that are known.
    pub fn len(&self) -> usize {
        self.table().groups.len()
    }

    /// Whether no group is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl OnCluster {
    /// Records before `ends`; `None`: the group was not there since that generation.
    fn left(&self, topic: &str, since: u64, ends: &LogOffsets) -> Option<u64> {
        self.spots.iter().any(|s| s.offset >= 0 && s.since >= since).then_some(())?;
        let of = |(index, spot): (usize, &Spot)| {
            let end = ends.get(topic, i32::try_from(index).ok()?)?;
            u64::try_from(end - spot.offset).ok().filter(|_| spot.offset >= 0)
        };
        Some(self.spots.iter().enumerate().filter_map(of).sum())
    }
}

fn seconds(now: Now) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

/// What a name takes beside its entry, in spots of 24 bytes.
fn name_cost(name: &str) -> usize {
    8 + name.len() / 16
}

fn cost(name: &str, group: &Group) -> usize {
    let topics = group
        .topics
        .values()
        .map(|clusters| clusters.iter().map(|c| c.spots.len()).sum::<usize>() + clusters.len() * TOPIC_COST);
    name_cost(name) + topics.sum::<usize>()
}

/// What an entry of a topic on a cluster takes, in spots.
const TOPIC_COST: usize = 8;

impl Table {
    /// Room that an entry still needs.
    fn missing(&self, group: &str, topic: &str, cluster: &str, index: usize) -> usize {
        let Some(known) = self.groups.get(group) else { return name_cost(group) + TOPIC_COST + index + 1 };
        let clusters = known.topics.get(topic).map(Vec::as_slice).unwrap_or_default();
        let Some(here) = clusters.iter().find(|c| *c.cluster == *cluster) else {
            return TOPIC_COST + index + 1;
        };
        (index + 1).saturating_sub(here.spots.len())
    }

    fn make_room(&mut self, needed: usize) -> bool {
        let fits = |table: &Self| table.room + needed <= limits::GROUP_POSITIONS;
        if fits(self) || self.now < self.purged + PURGE {
            return fits(self);
        }
        self.purged = self.now;
        let old = self.now.saturating_sub(FORGET_AFTER);
        let (now, room) = (self.now, &mut self.room);
        self.groups.retain(|name, group| {
            let kept = now < FORGET_AFTER || group.seen >= old;
            *room -= if kept { 0 } else { cost(name, group) };
            kept
        });
        fits(self)
    }

    fn keep(&mut self, name: &str, point: &SwitchPoint) {
        let Some(group) = self.groups.get_mut(name) else { return };
        for (topic, clusters) in &mut group.topics {
            let partitions = clusters.iter().map(|c| c.spots.len()).max().unwrap_or(0);
            let seen =
                |index: usize| clusters.iter().any(|c| c.spots.get(index).is_some_and(|s| s.offset >= 0));
            let here = clusters.iter().position(|c| c.cluster == point.cluster);
            let spot_here = |index: usize| here.and_then(|at| clusters[at].spots.get(index)).copied();
            let kept: Vec<Spot> = (0..partitions)
                .map(|index| match spot_here(index).filter(|s| s.offset >= 0) {
                    Some(spot) => spot,
                    None if seen(index) => {
                        let partition = i32::try_from(index).unwrap_or(i32::MAX);
                        Spot { offset: point.ends.get(topic, partition).unwrap_or(0), ..NOWHERE }
                    }
                    None => NOWHERE,
                })
                .collect();
            let before = here.map_or(0, |at| clusters[at].spots.len() + TOPIC_COST);
            let grown = (kept.len() + TOPIC_COST).saturating_sub(before);
            if self.room + grown > limits::GROUP_POSITIONS {
                return;
            }
            self.room += grown;
            match here {
                Some(at) => clusters[at].spots = kept,
                None => clusters.push(OnCluster { cluster: point.cluster.clone(), spots: kept }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters() -> (Groups, Arc<str>, Arc<str>) {
        (Groups::default(), "a".into(), "b".into())
    }

    fn point(cluster: &str, generation: u64, end: i64) -> SwitchPoint {
        let mut point = SwitchPoint { generation, cluster: cluster.into(), ..Default::default() };
        point.ends.set(&"t".into(), 0, end);
        point
    }

    #[test]
    fn a_group_is_new_until_it_was_seen_and_known_on_the_other_cluster_from_then_on() {
        let (groups, a, b) = clusters();
        assert_eq!(groups.place("g", "t", 0, &b, 3), Place::New);
        groups.saw("g", "t", 0, &a, 1, 100);
        assert_eq!(groups.place("g", "t", 0, &b, 3), Place::Elsewhere);
        assert_eq!(groups.place("g", "t", 1, &b, 3), Place::New, "another partition");
        assert_eq!(groups.place("h", "t", 0, &b, 3), Place::New, "another group");
    }

    #[test]
    fn an_offset_of_a_transaction_marks_its_group_as_seen_and_skips_nothing_should_it_be_aborted() {
        let (groups, a, b) = clusters();
        groups.saw_pending("g", "t", 0, &a, 1, 100);
        assert_eq!(groups.place("g", "t", 0, &b, 3), Place::Elsewhere);
        assert_eq!(groups.place("g", "t", 0, &a, 5), Place::Here(0), "aborted, as far as is known");
        groups.saw_pending("g", "t", 0, &a, 1, 200);
        assert_eq!(groups.place("g", "t", 0, &a, 5), Place::Here(200));
        groups.saw_pending("g", "t", 0, &a, 5, 300);
        assert_eq!(groups.place("g", "t", 0, &a, 7), Place::Here(200));
    }

    #[test]
    fn only_groups_that_live_are_waited_for() {
        let (groups, a, b) = clusters();
        let second = Duration::from_secs(1);
        groups.saw("dead", "t", 0, &a, 1, 10);
        groups.saw("live", "t", 0, &a, 1, 90);
        groups.saw("elsewhere", "t", 0, &b, 1, 0);
        groups.set_time(20 * second);
        let ends = point("a", 1, 100).ends;
        assert_eq!(groups.uncommitted("a", 1, &ends), 0);
        groups.heard("live", Some("member"));
        groups.heard("unheard of", None);
        assert_eq!(groups.uncommitted("a", 1, &ends), 10);
        groups.saw("live", "t", 0, &a, 1, 100);
        assert_eq!(groups.uncommitted("a", 1, &ends), 0);
        assert_eq!(groups.len(), 3);
    }

    #[test]
    fn members_count_until_they_leave_or_fall_silent() {
        let (groups, ..) = clusters();
        ["one", "other"].iter().for_each(|member| groups.heard("g", Some(member)));
        groups.heard("g", Some(""));
        assert_eq!(groups.members(), 2);
        groups.member_gone("g", "one");
        groups.member_gone("h", "other");
        assert_eq!(groups.members(), 1);
        groups.set_time(LIVES + Duration::from_millis(1));
        assert_eq!(groups.members(), 0);
        groups.heard("g", Some("other"));
        assert_eq!(groups.members(), 1);
    }

    #[test]
    fn a_commit_that_the_cluster_forgot_while_traffic_was_elsewhere_is_remembered() {
        let (groups, a, b) = clusters();
        groups.saw("g", "t", 0, &a, 1, 100);
        groups.saw("g", "t", 0, &b, 3, 7);
        assert_eq!(groups.place("g", "t", 0, &a, 5), Place::Here(100));
        assert_eq!(groups.place("g", "t", 0, &b, 3), Place::Gone, "deleted in this stay, by whatever");
    }

    #[test]
    fn a_commit_that_may_not_have_been_copied_yet_is_the_last_one_if_it_was_made_lately_and_elsewhere() {
        let (groups, a, b) = clusters();
        let lately = |cluster, since| groups.committed_lately("g", "t", 0, cluster, since);
        assert_eq!(lately("b", 3), None, "nothing was seen");
        groups.saw("g", "t", 0, &a, 1, 100);
        assert_eq!((lately("a", 1), lately("b", 3)), (None, Some(100)));
        assert_eq!(lately("a", 3), None, "the cluster lost quorum and came back: its own offsets are right");
        groups.set_time(LATELY);
        assert_eq!(lately("b", 3), Some(100));
        groups.saw("g", "t", 0, &b, 3, 70);
        assert_eq!((lately("b", 3), lately("a", 5)), (None, Some(70)), "the last one, not the furthest");
        groups.set_time(LATELY * 2 + Duration::from_secs(2));
        assert_eq!(lately("a", 5), None, "copied long since, or lost");
    }

    #[test]
    fn a_group_that_missed_a_whole_stay_begins_where_that_stay_began() {
        let (groups, a, b) = clusters();
        groups.saw("g", "t", 0, &a, 1, 100);
        groups.keep(&point("b", 3, 40));
        groups.keep(&point("a", 5, 500));
        groups.keep(&point("b", 7, 90));
        assert_eq!(groups.place("g", "t", 0, &b, 7), Place::Here(40));
        assert_eq!(groups.place("g", "t", 0, &a, 5), Place::Here(100), "its own commit");
    }

    #[test]
    fn a_deleted_group_or_offset_is_new_again() {
        let (groups, a, b) = clusters();
        groups.saw("g", "t", 0, &a, 1, 100);
        groups.saw("g", "t", 1, &a, 1, 100);
        groups.forget_partition("g", "t", 0);
        assert_eq!(groups.place("g", "t", 0, &b, 3), Place::New);
        assert_eq!(groups.place("g", "t", 1, &b, 3), Place::Elsewhere);
        groups.forget("g");
        assert_eq!(groups.place("g", "t", 1, &b, 3), Place::New);
        assert_eq!(groups.table().room, 0, "all room is given back");
    }

    #[test]
    fn the_backlog_is_that_of_the_group_with_most_left_among_those_that_were_there() {
        let (groups, a, _) = clusters();
        groups.saw("slow", "t", 0, &a, 5, 10);
        groups.saw("fast", "t", 0, &a, 5, 90);
        groups.saw("long gone", "t", 0, &a, 1, 0);
        let mut ends = LogOffsets::default();
        ends.set(&"t".into(), 0, 100);
        ends.set(&"u".into(), 0, 1_000);
        let backlog = groups.backlog("a", 5, &ends);
        assert_eq!(backlog, [Backlog { topic: "t".into(), group: "slow".into(), records: 90 }]);
        groups.saw("slow", "t", 0, &a, 9, 120);
        assert_eq!(groups.backlog("a", 5, &ends)[0].records, 10, "the fast one's");
        groups.saw("fast", "t", 0, &a, 9, 120);
        assert_eq!(groups.backlog("a", 5, &ends)[0].records, 0);
    }

    #[test]
    fn what_is_known_is_bounded_and_old_knowledge_goes_first() {
        let (groups, a, b) = clusters();
        let last = i32::try_from(limits::GROUP_POSITIONS / 2).expect("small");
        groups.saw("old", "t", last, &a, 1, 1);
        groups.set_time(FORGET_AFTER * 2);
        groups.saw("young", "t", 0, &a, 1, 1);
        groups.saw("big", "t", last, &a, 1, 1);
        assert_eq!(groups.place("old", "t", last, &b, 3), Place::New);
        assert_eq!(groups.place("young", "t", 0, &b, 3), Place::Elsewhere);
        assert_eq!(groups.place("big", "t", last, &b, 3), Place::Elsewhere);
        groups.saw("one too many", "t", last, &a, 1, 1);
        assert_eq!(groups.place("one too many", "t", last, &b, 3), Place::New);
        assert!(groups.table().room <= limits::GROUP_POSITIONS);
    }
}

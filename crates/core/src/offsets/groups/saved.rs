//! What is known of groups in the form that the state store keeps.

use super::{Group, Groups, OnCluster, Spot, TOPIC_COST, name_cost};
use crate::limits;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{collections::BTreeMap, fmt::Write, sync::Arc};

/// Where groups were, by group, topic and cluster. Bounded by [`limits::SAVED_POSITIONS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SavedGroups(BTreeMap<Box<str>, Topics>);

/// By topic and cluster.
type Topics = BTreeMap<Arc<str>, BTreeMap<Arc<str>, Spots>>;

/// By partition. As a text such as `12@7,,9`: an offset, and the generation of the switch that had made the cluster active, if the group
/// was there itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Spots(Vec<Spot>);

impl SavedGroups {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Groups {
    /// What is to be kept: the groups that were seen last, as far as there is room. Sessions are served in between.
    pub fn saved(&self) -> SavedGroups {
        let mut names: Vec<(crate::Now, Box<str>)> =
            self.table().groups.iter().map(|(name, group)| (group.seen, name.clone())).collect();
        names.sort_by(|a, b| b.cmp(a));
        let (mut saved, mut room) = (SavedGroups::default(), limits::SAVED_POSITIONS);
        for chunk in names.chunks(super::CHUNK) {
            let table = self.table();
            for (_, name) in chunk {
                let Some(group) = table.groups.get(name) else { continue };
                let needed = super::cost(name, group);
                if needed > room {
                    return saved;
                }
                room -= needed;
                let topics =
                    group.topics.iter().map(|(topic, clusters)| (topic.clone(), on_clusters(clusters)));
                saved.0.insert(name.clone(), topics.collect());
            }
        }
        saved
    }

    /// What was kept before a restart.
    pub fn restore(saved: &SavedGroups) -> Self {
        let groups = Self::default();
        let mut table = groups.table();
        for (name, topics) in &saved.0 {
            let mut group = Group::default();
            let mut needed = name_cost(name);
            for (topic, clusters) in topics {
                let on_cluster = |(cluster, spots): (&Arc<str>, &Spots)| OnCluster {
                    cluster: cluster.clone(),
                    spots: spots.0.clone(),
                };
                needed += clusters.values().map(|spots| TOPIC_COST + spots.0.len()).sum::<usize>();
                group.topics.insert(topic.clone(), clusters.iter().map(on_cluster).collect());
            }
            if table.room + needed <= limits::GROUP_POSITIONS {
                table.room += needed;
                table.groups.insert(name.clone(), group);
            }
        }
        drop(table);
        groups
    }
}

fn on_clusters(clusters: &[OnCluster]) -> BTreeMap<Arc<str>, Spots> {
    let spots = |c: &OnCluster| Spots(c.spots.iter().map(|s| Spot { noted: 0, ..*s }).collect());
    clusters.iter().map(|c| (c.cluster.clone(), spots(c))).collect()
}

impl Serialize for Spots {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        for (index, spot) in self.0.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = match (index, spot) {
                (0, _) => Ok(()),
                _ => text.write_char(','),
            };
            let _ = match spot {
                Spot { offset: ..0, .. } => Ok(()),
                Spot { offset, since: 0, .. } => write!(text, "{offset}"),
                Spot { offset, since, .. } => write!(text, "{offset}@{since}"),
            };
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Spots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let spots: Option<Vec<Spot>> = text.split(',').map(spot).collect();
        spots.map(Self).ok_or_else(|| D::Error::custom(format!("positions of a group: {text}")))
    }
}

fn spot(text: &str) -> Option<Spot> {
    if text.is_empty() {
        return Some(super::NOWHERE);
    }
    let (offset, since) = text.split_once('@').unwrap_or((text, "0"));
    let (offset, since) = (offset.parse().ok()?, since.parse().ok()?);
    (offset >= 0).then_some(Spot { offset, since, noted: 0 })
}

#[cfg(test)]
mod tests {
    use super::super::{LogOffsets, Place};
    use super::*;

    fn groups() -> Groups {
        let (groups, a, b) = (Groups::default(), Arc::<str>::from("a"), Arc::<str>::from("b"));
        groups.saw("g", "t", 0, &a, 1, 100);
        groups.saw("g", "t", 2, &a, 1, 7);
        groups.saw("g", "u", 0, &b, 3, 0);
        groups.saw("h", "t", 1, &a, 1, 5);
        let mut point = super::super::SwitchPoint {
            generation: 3,
            cluster: b,
            epoch_base: 9,
            ends: LogOffsets::default(),
        };
        point.ends.set(&"t".into(), 2, 40);
        groups.keep(&point);
        groups
    }

    fn through_text(groups: &Groups) -> (String, Groups) {
        let text = serde_json::to_string(&groups.saved()).expect("texts by name");
        let saved = serde_json::from_str(&text).expect("as written");
        (text, Groups::restore(&saved))
    }

    #[test]
    fn what_was_known_of_groups_is_known_after_a_restart() {
        let groups = groups();
        let (text, restored) = through_text(&groups);
        assert_eq!(
            text,
            r#"{"g":{"t":{"a":"100@1,,7@1","b":"0,,40"},"u":{"b":"0@3"}},"h":{"t":{"a":",5@1","b":",0"}}}"#
        );
        assert_eq!(restored.saved(), groups.saved());
        assert_eq!(restored.table().room, groups.table().room);
        assert_eq!(restored.place("g", "t", 2, "b", 3), Place::Here(40));
        assert_eq!(restored.place("g", "t", 0, "a", 1), Place::Gone, "a commit of this stay");
        assert_eq!(restored.place("g", "t", 0, "a", 5), Place::Here(100));
        assert_eq!(restored.place("new", "t", 0, "a", 5), Place::New);
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in [r#"{"g":{"t":{"a":"x"}}}"#, r#"{"g":{"t":{"a":"-3"}}}"#, r#"{"g":{"t":{"a":"3@"}}}"#] {
            assert!(serde_json::from_str::<SavedGroups>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_was_seen_last_goes_first() {
        let (groups, a) = (Groups::default(), Arc::<str>::from("a"));
        let last = i32::try_from(limits::SAVED_POSITIONS * 2 / 3).expect("small");
        groups.saw("old", "t", last, &a, 1, 1);
        groups.set_time(std::time::Duration::from_secs(5));
        groups.saw("young", "t", last, &a, 1, 1);
        let (_, restored) = through_text(&groups);
        assert_eq!(restored.place("young", "t", last, "b", 3), Place::Elsewhere);
        assert_eq!(restored.place("old", "t", last, "b", 3), Place::New);
    }
}

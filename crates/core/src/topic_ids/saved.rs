//! What the state store keeps of topics.

use super::{Entry, TopicIds, derive};
use crate::limits;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError},
};
use uuid::Uuid;

/// Taken down at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedTopics {
    /// Topics that were deleted and made again: how often.
    pub incarnations: BTreeMap<Arc<str>, u32>,
    /// By which a topic is known to be another one.
    pub real: Arc<RealIds>,
}

/// By cluster and topic, the newest real id; at most [`limits::SAVED_TOPIC_IDS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RealIds(BTreeMap<Arc<str>, BTreeMap<Arc<str>, RealId>>);

/// As 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RealId(Uuid);

impl RealIds {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TopicIds {
    /// What is to be kept. Of too many topics it is those whose names come first, which are the same every time.
    pub fn saved(&self) -> SavedTopics {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let raised = inner.by_name.iter().filter(|(_, e)| e.incarnation > 0);
        let incarnations = raised.map(|(name, e)| (name.clone(), e.incarnation)).collect();
        let newest = |(name, entry): (&Arc<str>, &Entry)| {
            let ids = entry.real.iter().filter_map(|(cluster, ids)| Some((cluster.clone(), *ids.last()?)));
            ids.map(|(cluster, id)| (name.clone(), cluster, id)).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = inner.by_name.iter().flat_map(newest).collect();
        drop(inner);
        all.sort_unstable();
        let mut real = RealIds::default();
        for (name, cluster, id) in all.into_iter().take(limits::SAVED_TOPIC_IDS) {
            real.0.entry(cluster).or_default().insert(name, RealId(id));
        }
        SavedTopics { incarnations, real: Arc::new(real) }
    }

    /// With the real ids that were known before a restart.
    #[must_use]
    pub fn with_real(mut self, saved: &RealIds) -> Self {
        let namespace = self.namespace;
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (cluster, topics) in &saved.0 {
            for (name, RealId(id)) in topics {
                let entry = inner.by_name.entry(name.clone()).or_insert_with(|| {
                    let virtual_id = derive(namespace, name, 0);
                    inner.by_id.insert(virtual_id, name.clone());
                    Entry { virtual_id, incarnation: 0, real: HashMap::new() }
                });
                entry.real.insert(cluster.clone(), vec![*id]);
            }
        }
        self
    }
}

impl Serialize for RealId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.simple())
    }
}

impl<'de> Deserialize<'de> for RealId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Uuid::try_parse(&text).map(Self).map_err(|_| D::Error::custom(format!("the id of a topic: {text}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_ids_are_bounded_and_read_as_they_are_written() {
        let (ids, cluster) = (TopicIds::new("main", []), Arc::<str>::from("a"));
        for number in 0..=limits::SAVED_TOPIC_IDS {
            ids.to_virtual(&cluster, &format!("t{number}"), Uuid::from_u128(1 + number as u128));
        }
        let real = ids.saved().real;
        assert_eq!(real.0.values().map(BTreeMap::len).sum::<usize>(), limits::SAVED_TOPIC_IDS);
        let text = serde_json::to_string(&real).expect("it can be written");
        assert_eq!(serde_json::from_str::<RealIds>(&text).expect("it can be read"), *real);
    }
}

//! Virtual topic ids: stable over switches, so that a client never takes a topic for a re-created one.
//!
//! A virtual id is the UUID v5 of (virtual cluster, topic name, incarnation). The incarnation is raised only when the
//! real id of the topic changes on the *same* cluster, i.e. the topic was deleted and made again. Incarnations survive a restart, and so
//! do the newest real ids, so that a topic which is made again in between is noticed too.

mod saved;

pub use saved::{RealIds, SavedTopics};

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};
use uuid::Uuid;

/// The virtual topic ids of one virtual cluster.
#[derive(Debug)]
pub struct TopicIds {
    namespace: Uuid,
    inner: RwLock<Inner>,
    /// Incarnations raised since the start.
    raised: AtomicU64,
    /// Real ids that were learned since the start.
    learned: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    by_name: HashMap<Arc<str>, Entry>,
    by_id: HashMap<Uuid, Arc<str>>,
}

#[derive(Debug)]
struct Entry {
    virtual_id: Uuid,
    incarnation: u32,
    /// By cluster, the real ids seen, the newest last. A broker that lags behind still shows an older one.
    real: HashMap<Arc<str>, Vec<Uuid>>,
}

/// Real ids remembered per topic and cluster.
const REMEMBERED: usize = 8;

impl TopicIds {
    /// An empty table for the virtual cluster of that name. `incarnations` comes from the state store.
    pub fn new(virtual_cluster: &str, incarnations: impl IntoIterator<Item = (Arc<str>, u32)>) -> Self {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("pointsman:{virtual_cluster}").as_bytes());
        let ids = Self {
            namespace,
            inner: RwLock::default(),
            raised: AtomicU64::new(0),
            learned: AtomicU64::new(0),
        };
        let mut inner = ids.inner.write().unwrap_or_else(PoisonError::into_inner);
        for (name, incarnation) in incarnations {
            let virtual_id = derive(namespace, &name, incarnation);
            inner.by_id.insert(virtual_id, name.clone());
            inner.by_name.insert(name, Entry { virtual_id, incarnation, real: HashMap::new() });
        }
        drop(inner);
        ids
    }

    /// The virtual id of `topic`, whose id on `cluster` is `real` (nil: unknown).
    pub fn to_virtual(&self, cluster: &Arc<str>, topic: &str, real: Uuid) -> Uuid {
        {
            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(entry) = inner.by_name.get(topic)
                && (real.is_nil() || entry.real.get(cluster).is_some_and(|seen| seen.contains(&real)))
            {
                return entry.virtual_id;
            }
        }
        self.learn(cluster, topic, real)
    }

    /// The name of the topic with this virtual id, if clients were ever shown it and it is the newest incarnation.
    pub fn name(&self, virtual_id: Uuid) -> Option<Arc<str>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&virtual_id).cloned()
    }

    /// How often an incarnation was raised since the start: when it grows, what the state store keeps is old.
    pub fn raised(&self) -> u64 {
        self.raised.load(Ordering::Relaxed)
    }

    /// The same of real ids that were seen for the first time.
    pub fn learned(&self) -> u64 {
        self.learned.load(Ordering::Relaxed)
    }

    fn learn(&self, cluster: &Arc<str>, topic: &str, real: Uuid) -> Uuid {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let Inner { by_name, by_id } = &mut *inner;
        let name: Arc<str> = topic.into();
        let entry = by_name.entry(name.clone()).or_insert_with(|| {
            let virtual_id = derive(self.namespace, topic, 0);
            by_id.insert(virtual_id, name.clone());
            Entry { virtual_id, incarnation: 0, real: HashMap::new() }
        });
        if real.is_nil() {
            return entry.virtual_id;
        }
        let seen = entry.real.entry(cluster.clone()).or_default();
        if seen.contains(&real) {
            return entry.virtual_id;
        }
        let made_again = !seen.is_empty();
        if seen.len() >= REMEMBERED {
            seen.remove(0);
        }
        seen.push(real);
        self.learned.fetch_add(1, Ordering::Relaxed);
        if made_again {
            by_id.remove(&entry.virtual_id);
            entry.incarnation += 1;
            self.raised.fetch_add(1, Ordering::Relaxed);
            entry.virtual_id = derive(self.namespace, topic, entry.incarnation);
            by_id.insert(entry.virtual_id, name);
        }
        entry.virtual_id
    }
}

fn derive(namespace: Uuid, topic: &str, incarnation: u32) -> Uuid {
    let mut name = topic.as_bytes().to_vec();
    name.push(0);
    name.extend_from_slice(&incarnation.to_be_bytes());
    Uuid::new_v5(&namespace, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_keeps_its_id_over_clusters_and_changes_it_when_made_again() {
        let ids = TopicIds::new("main", []);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let first = ids.to_virtual(&a, "t", Uuid::from_u128(1));
        assert_eq!(first, ids.to_virtual(&b, "t", Uuid::from_u128(2)));
        assert_eq!(ids.name(first).as_deref(), Some("t"));
        let again = ids.to_virtual(&a, "t", Uuid::from_u128(3));
        assert_ne!(first, again);
        assert_eq!(
            again,
            ids.to_virtual(&a, "t", Uuid::from_u128(1)),
            "a broker that lags behind changes nothing"
        );
        assert_eq!((ids.name(first), ids.name(again).as_deref()), (None, Some("t")));
        assert_eq!((ids.saved().incarnations, ids.raised()), ([("t".into(), 1)].into(), 1));
        let restarted = TopicIds::new("main", ids.saved().incarnations);
        assert_eq!(restarted.name(again).as_deref(), Some("t"));
    }

    #[test]
    fn a_topic_that_is_made_again_between_two_starts_changes_its_id_too() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let first = |real| {
            let ids = TopicIds::new("main", []);
            ids.to_virtual(&a, "t", Uuid::from_u128(1));
            ids.to_virtual(&b, "t", Uuid::from_u128(real));
            ids
        };
        let (before, id) = (first(2), first(2).to_virtual(&a, "t", Uuid::nil()));
        let restart = |ids: &TopicIds| {
            let SavedTopics { incarnations, real } = ids.saved();
            TopicIds::new("main", incarnations).with_real(&real)
        };
        let restarted = restart(&before);
        assert_eq!(restarted.name(id).as_deref(), Some("t"), "clients may name it before they look anew");
        assert_eq!(restarted.to_virtual(&b, "t", Uuid::from_u128(2)), id);
        let again = restarted.to_virtual(&a, "t", Uuid::from_u128(3));
        assert_ne!(again, id);
        let restarted = restart(&restarted);
        assert_eq!(restarted.to_virtual(&a, "t", Uuid::from_u128(3)), again);
        assert_eq!((restarted.name(id), restarted.raised()), (None, 0));
    }
}

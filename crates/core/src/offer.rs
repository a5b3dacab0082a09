//! What ApiVersions offers: the intersection of Pointsman's tables and of what every cluster of the chain last said.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Versions and features, of a broker, a cluster, or as offered to clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Offer {
    /// Lowest and highest version by api key.
    pub apis: BTreeMap<i16, (i16, i16)>,
    /// Supported features: name → lowest and highest version.
    pub supported: BTreeMap<Arc<str>, (i16, i16)>,
    /// Finalized features: name → lowest and highest version level.
    pub finalized: BTreeMap<Arc<str>, (i16, i16)>,
    /// As offered to clients: grows whenever `finalized` changes. Java clients take finalized features over with a higher epoch only.
    #[serde(default)]
    pub finalized_epoch: u64,
}

impl Offer {
    /// Whether requests of this api and version are accepted.
    pub fn allows(&self, key: i16, version: i16) -> bool {
        self.apis.get(&key).is_some_and(|(min, max)| (*min..=*max).contains(&version))
    }

    /// What both sides can do.
    pub fn intersect(&self, other: &Offer) -> Offer {
        Offer {
            apis: overlap(&self.apis, &other.apis),
            supported: overlap(&self.supported, &other.supported),
            finalized: lowest(&self.finalized, &other.finalized),
            finalized_epoch: 0,
        }
    }
}

fn overlap<K: Ord + Clone>(
    a: &BTreeMap<K, (i16, i16)>,
    b: &BTreeMap<K, (i16, i16)>,
) -> BTreeMap<K, (i16, i16)> {
    let both = a.iter().filter_map(|(k, x)| b.get(k).map(|y| (k.clone(), (x.0.max(y.0), x.1.min(y.1)))));
    both.filter(|(_, (min, max))| min <= max).collect()
}

/// A feature is on only where it is on everywhere, at the lowest level.
fn lowest(
    a: &BTreeMap<Arc<str>, (i16, i16)>,
    b: &BTreeMap<Arc<str>, (i16, i16)>,
) -> BTreeMap<Arc<str>, (i16, i16)> {
    a.iter().filter_map(|(k, x)| b.get(k).map(|y| (k.clone(), (x.0.min(y.0), x.1.min(y.1))))).collect()
}

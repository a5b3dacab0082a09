//! What one virtual cluster keeps of offsets over a switch: where the active cluster's logs ended when it took over, which groups were
//! seen where, and what they left unread.

use crate::state::VirtualState;
use pointsman_core::{
    offsets::{Backlog, Groups, LogOffsets, SwitchPoint},
    snapshot::Cluster,
    status::{Stranded, StrandedTopic, SwitchPointStatus},
};
use std::{collections::BTreeMap, sync::Arc};

/// Topics that a report of stranded records lists.
const LISTED: usize = 20;

pub(crate) struct Handover {
    pub(crate) groups: Arc<Groups>,
    pub(crate) point: Arc<SwitchPoint>,
    /// Generation that made the active cluster active.
    since: u64,
    /// The one before.
    before: u64,
    /// Clusters that traffic has left, as it left them last.
    left: BTreeMap<Arc<str>, Left>,
}

struct Left {
    /// Generation that had made it active.
    since: u64,
    ends: LogOffsets,
}

impl Handover {
    pub(crate) fn new(state: Option<&VirtualState>) -> Self {
        let point = state.and_then(|s| s.switch_point.clone()).unwrap_or_default();
        Self {
            groups: Arc::default(),
            point: Arc::new(point),
            since: state.map_or(0, |s| s.failover.since),
            before: 0,
            left: BTreeMap::new(),
        }
    }

    /// A cluster becomes active. If it takes over from another one, or is the first, its logs' ends are frozen; returns that point.
    pub(crate) fn activated(
        &mut self,
        cluster: &Cluster,
        generation: u64,
        epoch_base: i32,
    ) -> Option<Arc<SwitchPoint>> {
        self.before = std::mem::replace(&mut self.since, generation);
        if self.point.cluster == cluster.name {
            return None;
        }
        let ends = cluster.ends.freeze();
        let topology = cluster.topology.load();
        let partitions = topology.topics.values().filter(|t| !t.name.starts_with("__"));
        let all: usize = partitions.map(|t| t.partitions.len()).sum();
        if ends.len() < all && epoch_base > 0 {
            tracing::warn!(
                cluster = &*cluster.name,
                "the end offsets of {} of {all} partitions were not known at the switch; groups begin there at the \
                 beginning of the log",
                all - ends.len()
            );
        }
        self.point = Arc::new(SwitchPoint { generation, cluster: cluster.name.clone(), epoch_base, ends });
        Some(self.point.clone())
    }

    /// The same between clusters that hold the same logs: no epoch of another cluster ended, and nobody is moved.
    pub(crate) fn goes_on(&mut self, cluster: &Cluster, generation: u64) {
        self.before = std::mem::replace(&mut self.since, generation);
        let cluster = cluster.name.clone();
        self.point = Arc::new(SwitchPoint { generation, cluster, ..SwitchPoint::default() });
    }

    /// Traffic has left a cluster, and another one has taken over already (or none has): what is unread by the groups that
    /// were on it.
    pub(crate) fn left(&mut self, cluster: &Cluster, taken_over: bool) -> Stranded {
        let since = if taken_over { self.before } else { self.since };
        let left = Left { since, ends: cluster.ends.freeze() };
        let stranded = self.count(&cluster.name, &left);
        self.left.insert(cluster.name.clone(), left);
        stranded
    }

    /// What is unread now on each cluster that was left.
    pub(crate) fn stranded(&self) -> Vec<Stranded> {
        self.left.iter().map(|(cluster, left)| self.count(cluster, left)).collect()
    }

    fn count(&self, cluster: &Arc<str>, left: &Left) -> Stranded {
        let mut backlog = self.groups.backlog(cluster, left.since, &left.ends);
        backlog.retain(|b| b.records > 0);
        backlog.sort_by(|a, b| b.records.cmp(&a.records).then_with(|| a.topic.cmp(&b.topic)));
        let topic = |b: &Backlog| StrandedTopic {
            topic: b.topic.to_string(),
            records: b.records,
            group: b.group.to_string(),
        };
        Stranded {
            cluster: cluster.to_string(),
            records: backlog.iter().map(|b| b.records).sum(),
            topics: backlog.iter().take(LISTED).map(topic).collect(),
            topics_total: backlog.len(),
        }
    }

    /// What the state store keeps.
    pub(crate) fn saved(&self) -> Option<SwitchPoint> {
        (self.point.generation > 0).then(|| SwitchPoint::clone(&self.point))
    }

    pub(crate) fn point_status(&self) -> Option<SwitchPointStatus> {
        (self.point.generation > 0).then(|| SwitchPointStatus {
            generation: self.point.generation,
            cluster: self.point.cluster.clone(),
            partitions: self.point.ends.len(),
        })
    }
}

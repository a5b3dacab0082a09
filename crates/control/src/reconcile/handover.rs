//! What one virtual cluster keeps of offsets over a switch: where the active cluster's logs ended when it took over, which groups were
//! seen where, and what they left unread.

use crate::state::VirtualState;
use pointsman_core::{
    Now,
    commits::Commits,
    failover::Era,
    offsets::{Backlog, Groups, LogOffsets, Readers, SavedGroups, SwitchPoint},
    producer_ids::ProducerIds,
    snapshot::{Active, Cluster, Staying},
    status::{Stranded, StrandedTopic, SwitchPointStatus},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Groups that are new to a cluster are written down this often at most. A crash makes new again what was first seen since.
const GROUPS_EVERY: Duration = Duration::from_secs(10);
/// Topics that a report of stranded records lists.
const LISTED: usize = 20;

pub(crate) struct Handover {
    pub(crate) groups: Arc<Groups>,
    pub(crate) commits: Arc<Commits>,
    saved_groups: Arc<SavedGroups>,
    /// When they were taken, and how many sightings there had been.
    saved_at: (Now, u64),
    pub(crate) point: Arc<SwitchPoint>,
    /// Generation that made the active cluster active.
    since: u64,
    /// The one before.
    before: u64,
    /// Clusters that traffic has left, as it left them last.
    left: BTreeMap<Arc<str>, Left>,
    drained: Option<Drained>,
}

/// A cluster that consumers stay on.
struct Drained {
    cluster: Arc<Cluster>,
    /// Its own switch point.
    point: Arc<SwitchPoint>,
    readers: Arc<Readers>,
    /// When produces had left it for good.
    begun: Now,
    /// Where its logs ended then, once that was polled.
    ends: Option<LogOffsets>,
}

/// How far a drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Something is not read yet, or that is not known.
    Behind,
    /// Everything was fetched; some group has not committed it, or has members that were not asked to leave yet.
    Read,
    /// Everything was fetched and committed, and nobody is left.
    Committed,
}

struct Left {
    /// Generation that had made it active.
    since: u64,
    ends: LogOffsets,
}

impl Handover {
    pub(crate) fn new(state: Option<&VirtualState>) -> Self {
        let mut point = state.and_then(|s| s.switch_point.clone()).unwrap_or_default();
        if let Some(trailing) = state.map(|s| &s.failover).filter(|failover| failover.trailing) {
            // Consumers follow with the restart, and what is below the base that was reserved for that is of the other cluster.
            point.epoch_base = trailing.epoch_base;
        }
        let saved_groups = state.map(|s| s.groups.clone()).unwrap_or_default();
        let groups = Groups::restore(&saved_groups);
        if point.generation > 0 {
            // It may not have come to that before the restart.
            groups.keep(&point);
        }
        Self {
            groups: Arc::new(groups),
            commits: Arc::new(state.map(|s| Commits::restore(&s.commits_in_doubt)).unwrap_or_default()),
            saved_groups,
            saved_at: (Now::ZERO, 0),
            point: Arc::new(point),
            since: state.map_or(0, |s| s.failover.since),
            before: 0,
            left: BTreeMap::new(),
            drained: None,
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

    /// The same between clusters that hold the same logs: no epoch of another cluster ended, and nobody is moved. The ends say how far the
    /// copy was.
    pub(crate) fn goes_on(&mut self, cluster: &Cluster, generation: u64) {
        self.before = std::mem::replace(&mut self.since, generation);
        let (cluster, ends) = (cluster.name.clone(), cluster.ends.freeze());
        self.point = Arc::new(SwitchPoint { generation, cluster, epoch_base: 0, ends });
    }

    /// Traffic has left a cluster, and another one has taken over already (or none has): what is unread by the groups that
    /// were on it.
    pub(crate) fn left(&mut self, cluster: &Cluster, taken_over: bool) -> Stranded {
        let since = if taken_over { self.before } else { self.since };
        // Of a cluster that was drained the ends are exact.
        let exact = self.drained.as_ref().filter(|d| d.cluster.name == cluster.name);
        let ends = exact.and_then(|d| d.ends.clone()).unwrap_or_else(|| cluster.ends.freeze());
        let left = Left { since, ends };
        let stranded = self.count(&cluster.name, &left);
        self.left.insert(cluster.name.clone(), left);
        stranded
    }

    /// Consumers are to stay on this cluster when produces leave it.
    pub(crate) fn stay(&mut self, cluster: Arc<Cluster>) {
        let (point, readers) = (self.point.clone(), Arc::default());
        self.drained = Some(Drained { cluster, point, readers, begun: Now::MAX, ends: None });
    }

    /// Produces have left the cluster that consumers stay on.
    pub(crate) fn begin_drain(&mut self, now: Now) {
        if let Some(drained) = &mut self.drained {
            drained.begun = now;
        }
    }

    /// What snapshots say of the cluster that consumers stay on.
    pub(crate) fn staying(&self, name: &str, on: &Era, leaving: bool) -> Option<Box<Staying>> {
        let drained = self.drained.as_ref()?;
        let on = Active {
            cluster: drained.cluster.clone(),
            since: on.since,
            epoch_base: on.epoch_base,
            producer_ids: ProducerIds::new(name, on.term),
            switch_point: drained.point.clone(),
        };
        Some(Box::new(Staying { on, leaving, readers: drained.readers.clone() }))
    }

    /// How far consumers are on the cluster that they stay on; `since`: generation that had made it active.
    pub(crate) fn progress(&mut self, since: u64) -> Progress {
        let Some(drained) = &mut self.drained else { return Progress::Behind };
        let ends = &drained.cluster.ends;
        if drained.ends.is_none() && ends.polled().is_some_and(|at| at >= drained.begun) {
            drained.ends = Some(ends.freeze());
        }
        let Some(ends) = &drained.ends else { return Progress::Behind };
        if drained.readers.behind(ends) > 0 {
            return Progress::Behind;
        }
        let name = &drained.cluster.name;
        let done = self.groups.members() == 0 && self.groups.uncommitted(name, since, ends) == 0;
        if done { Progress::Committed } else { Progress::Read }
    }

    /// A drain is over: what is unread.
    pub(crate) fn drained(&mut self) -> Option<Stranded> {
        let cluster = self.drained.as_ref()?.cluster.clone();
        let stranded = self.left(&cluster, true);
        self.drained = None;
        Some(stranded)
    }

    /// Consumers have followed to the active cluster. What is below this base is of the other one.
    pub(crate) fn consumers_moved(&mut self, epoch_base: i32) {
        self.point = Arc::new(SwitchPoint { epoch_base, ..SwitchPoint::clone(&self.point) });
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

    /// Takes down where groups are now, for the state store.
    pub(crate) fn note_groups(&mut self, now: Now) {
        self.saved_at = (now, self.groups.sightings());
        self.saved_groups = Arc::new(self.groups.saved());
    }

    /// Whether groups were seen for the first time that the state store does not know of yet.
    pub(crate) fn saw_more(&self, now: Now) -> bool {
        let (at, sightings) = self.saved_at;
        now >= at + GROUPS_EVERY && self.groups.sightings() != sightings
    }

    /// Where groups were when that was taken down last.
    pub(crate) fn saved_groups(&self) -> Arc<SavedGroups> {
        self.saved_groups.clone()
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

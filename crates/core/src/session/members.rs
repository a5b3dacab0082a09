//! Group members that a switch left behind.
//!
//! A consumer that is moved to another cluster never leaves its group on the old one; that cluster keeps the member until its session
//! times out (45 s by default), and counts the time anew when it comes back from an outage. A consumer that returns would have to
//! wait for its own ghost at each rebalance. So Pointsman remembers who joined where, and takes the ghosts out of the group
//! before the first join after the way back. Static members need none of it: they replace themselves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Groups remembered; beyond it new ones are not, and their ghosts end by their session timeout: about 150 bytes each.
const CAPACITY: usize = 100_000;
/// Members remembered of one group.
const PER_GROUP: usize = 1_000;

/// Who joined which group on which cluster, through this process.
#[derive(Debug, Default)]
pub struct Members {
    groups: Mutex<HashMap<Key, Vec<Member>>>,
}

/// Cluster and group.
type Key = (Arc<str>, Box<str>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    id: String,
    /// Generation of the switch that made the cluster active when the member joined.
    since: u64,
}

impl Members {
    /// A member joined (or joined again).
    pub(super) fn joined(&self, cluster: &Arc<str>, group: &str, id: &str, since: u64) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.len() >= CAPACITY {
            return;
        }
        let members = groups.entry((cluster.clone(), group.into())).or_default();
        members.retain(|m| m.id != id);
        if members.len() >= PER_GROUP {
            // The oldest has most likely been gone for long.
            members.remove(0);
        }
        members.push(Member { id: id.to_owned(), since });
    }

    /// A member left its group.
    pub(super) fn left(&self, cluster: &Arc<str>, group: &str, id: &str) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(members) = groups.get_mut(&(cluster.clone(), group.into())) {
            members.retain(|m| m.id != id);
            if members.is_empty() {
                groups.remove(&(cluster.clone(), group.into()));
            }
        }
    }

    /// The members that joined before the cluster was left for another one; they are forgotten.
    pub(super) fn take_ghosts(&self, cluster: &Arc<str>, group: &str, since: u64) -> Vec<String> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(members) = groups.get_mut(&(cluster.clone(), group.into())) else { return Vec::new() };
        let (ghosts, present) = members.drain(..).partition(|m| m.since < since);
        *members = present;
        let ghosts: Vec<Member> = ghosts;
        ghosts.into_iter().map(|m| m.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_members_from_before_the_switch_are_ghosts_and_only_once() {
        let (members, a) = (Members::default(), Arc::<str>::from("a"));
        members.joined(&a, "g", "old", 1);
        members.joined(&a, "g", "gone", 1);
        members.left(&a, "g", "gone");
        members.joined(&a, "g", "new", 5);
        assert_eq!(members.take_ghosts(&Arc::from("b"), "g", 5), Vec::<String>::new());
        assert_eq!(members.take_ghosts(&a, "g", 5), ["old"]);
        assert_eq!(members.take_ghosts(&a, "g", 5), Vec::<String>::new());
        assert_eq!(members.take_ghosts(&a, "g", 6), ["new"]);
    }
}

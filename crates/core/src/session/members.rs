//! Group members that a switch left behind.
//!
//! A consumer that is moved to another cluster never leaves its group on the old one; that cluster keeps the member until its session
//! times out (45 s by default), and counts the time anew when it comes back from an outage. A consumer that returns would have to
//! wait for its own ghost at each rebalance. So Pointsman remembers who joined where, and takes the ghosts out of the group
//! before the first join after the way back. A broker may refuse that, most of all after an outage, when coordinators move: then the
//! next join tries again. Static members need none of it: they replace themselves.
//!
//! For the same reason it is known here of a member that speaks up on a cluster that it is of another one, and how far it is with
//! joining this one: see `rejoin.rs`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Groups remembered; beyond it new ones are not, and their ghosts end by their session timeout: about 150 bytes each.
const CAPACITY: usize = 100_000;
/// Members remembered of one group.
const PER_GROUP: usize = 1_000;

/// Who joined which group on which cluster, through this process.
#[derive(Debug, Default)]
pub struct Members {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<Key, Vec<Member>>,
    /// The cluster that was active last, and the generation of the switch that made it so.
    active: Option<(Arc<str>, u64)>,
    /// By cluster: generation of the last switch from it to another one.
    left: HashMap<Arc<str>, u64>,
}

/// Cluster and group.
type Key = (Arc<str>, Box<str>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    id: String,
    /// Generation of the switch that made the cluster active when the member joined.
    since: u64,
    standing: Standing,
}

/// How a JoinGroup came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// Without a member id.
    New,
    /// What it claimed to own was taken out of it.
    Stripped,
    /// With an id.
    Known,
}

/// How far a member is with joining a group of its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has an id, and no assignment yet.
    New,
    /// The same, and what it claimed to own was taken out of its JoinGroup.
    Stripped,
    /// For that it was assigned nothing: it gives up what it had on another cluster.
    Bare,
    /// It has joined, or the group knew it before.
    Joined,
}

/// Where a member is, seen from the cluster that serves its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It joined there.
    Here(Standing),
    /// It joined on another cluster, or on this one before traffic left it.
    Elsewhere,
    /// It did not join through this process, or was forgotten.
    Unknown,
}

impl Members {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cluster became active. One that comes back without another in between was not left.
    pub(super) fn activated(&self, cluster: &Arc<str>, since: u64) {
        let mut table = self.table();
        // A connection that still has to adopt the newest snapshot says nothing new.
        if table.active.as_ref().is_some_and(|(active, newest)| active == cluster || *newest > since) {
            return;
        }
        if let Some((before, _)) = table.active.replace((cluster.clone(), since)) {
            table.left.insert(before, since);
        }
    }

    /// A member joined (or joined again), or was given its id for that.
    pub(super) fn joined(&self, cluster: &Arc<str>, group: &str, id: &str, since: u64, came: Came) {
        let mut table = self.table();
        let key = (cluster.clone(), group.into());
        if table.groups.len() >= CAPACITY && !table.groups.contains_key(&key) {
            return;
        }
        let members = table.groups.entry(key).or_default();
        let before = members.iter().position(|m| m.id == id).map(|at| members.remove(at).standing);
        let new = match before {
            Some(before) => matches!(before, Standing::New | Standing::Stripped),
            None => came != Came::Known,
        };
        let standing = match came {
            _ if !new => Standing::Joined,
            Came::Stripped => Standing::Stripped,
            _ => Standing::New,
        };
        if members.len() >= PER_GROUP {
            // The oldest has most likely been gone for long.
            members.remove(0);
        }
        members.push(Member { id: id.to_owned(), since, standing });
    }

    /// A member has its assignment.
    pub(super) fn assigned(&self, cluster: &Arc<str>, group: &str, id: &str) {
        let mut table = self.table();
        let members = table.groups.get_mut(&(cluster.clone(), group.into()));
        if let Some(member) = members.and_then(|all| all.iter_mut().find(|m| m.id == id)) {
            let stripped = member.standing == Standing::Stripped;
            member.standing = if stripped { Standing::Bare } else { Standing::Joined };
        }
    }

    /// Where a member of a group is, seen from the cluster that serves the group.
    pub(super) fn place(&self, cluster: &Arc<str>, group: &str, id: &str) -> Place {
        let table = self.table();
        let find = |cluster: &Arc<str>| {
            table.groups.get(&(cluster.clone(), group.into()))?.iter().find(|m| m.id == id)
        };
        let left = table.left.get(cluster).copied().unwrap_or(0);
        match find(cluster) {
            Some(member) if member.since >= left => Place::Here(member.standing),
            Some(_) => Place::Elsewhere,
            None if table.left.keys().any(|other| find(other).is_some()) => Place::Elsewhere,
            None => Place::Unknown,
        }
    }

    /// A member left its group.
    pub(super) fn left(&self, cluster: &Arc<str>, group: &str, id: &str) {
        let mut table = self.table();
        let key = (cluster.clone(), group.into());
        if let Some(members) = table.groups.get_mut(&key) {
            members.retain(|m| m.id != id);
            if members.is_empty() {
                table.groups.remove(&key);
            }
        }
    }

    /// The members that joined before the cluster was left for another one; they are in the table no more.
    pub(super) fn take_ghosts(self: &Arc<Self>, cluster: &Arc<str>, group: &str) -> Vec<Ghost> {
        let mut table = self.table();
        let Some(left) = table.left.get(cluster).copied() else { return Vec::new() };
        let key = (cluster.clone(), group.into());
        let Some(members) = table.groups.get_mut(&key) else { return Vec::new() };
        let (ghosts, present): (Vec<Member>, _) = members.drain(..).partition(|m| m.since < left);
        *members = present;
        let ghost = |member| Ghost { members: self.clone(), key: key.clone(), member: Some(member) };
        ghosts.into_iter().map(ghost).collect()
    }
}

/// A member that is asked to leave the group it is no longer in. It is back in the table when this is dropped without
/// [`forget`](Self::forget): whatever happened to the question, the next join asks again.
#[derive(Debug)]
pub(super) struct Ghost {
    members: Arc<Members>,
    key: Key,
    member: Option<Member>,
}

impl Ghost {
    /// Its member id.
    pub(super) fn id(&self) -> &str {
        self.member.as_ref().map_or("", |m| &m.id)
    }

    /// Its cluster has no such member any more.
    pub(super) fn forget(mut self) {
        self.member = None;
    }
}

impl Drop for Ghost {
    fn drop(&mut self) {
        let Some(member) = self.member.take() else { return };
        let mut table = self.members.table();
        if table.groups.len() < CAPACITY || table.groups.contains_key(&self.key) {
            let members = table.groups.entry(self.key.clone()).or_default();
            if members.len() < PER_GROUP {
                members.insert(0, member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the ghosts of group `g`, for good.
    fn ghosts(members: &Arc<Members>, cluster: &Arc<str>) -> Vec<String> {
        let taken = members.take_ghosts(cluster, "g").into_iter();
        taken
            .map(|ghost| {
                let id = ghost.id().to_owned();
                ghost.forget();
                id
            })
            .collect()
    }

    #[test]
    fn only_members_from_before_the_cluster_was_left_are_ghosts_and_only_once() {
        let (members, a, b) = (Arc::new(Members::default()), Arc::<str>::from("a"), Arc::<str>::from("b"));
        members.activated(&a, 1);
        members.joined(&a, "g", "old", 1, Came::New);
        members.joined(&a, "g", "gone", 1, Came::New);
        members.left(&a, "g", "gone");
        assert_eq!(ghosts(&members, &a), Vec::<String>::new());
        members.activated(&b, 3);
        members.activated(&a, 5);
        members.joined(&a, "g", "new", 5, Came::New);
        assert_eq!(ghosts(&members, &b), Vec::<String>::new());
        assert_eq!(ghosts(&members, &a), ["old"]);
        assert_eq!(ghosts(&members, &a), Vec::<String>::new());
    }

    #[test]
    fn a_ghost_that_may_still_be_there_is_asked_again() {
        let (members, a, b) = (Arc::new(Members::default()), Arc::<str>::from("a"), Arc::<str>::from("b"));
        members.activated(&a, 1);
        members.joined(&a, "g", "old", 1, Came::New);
        members.activated(&b, 3);
        members.activated(&a, 5);
        members.joined(&a, "g", "new", 5, Came::New);
        drop(members.take_ghosts(&a, "g"));
        assert_eq!(ghosts(&members, &a), ["old"]);
        assert_eq!(ghosts(&members, &a), Vec::<String>::new());
    }

    #[test]
    fn a_cluster_that_comes_back_without_another_in_between_has_no_ghosts() {
        let (members, a) = (Arc::new(Members::default()), Arc::<str>::from("a"));
        members.activated(&a, 1);
        members.joined(&a, "g", "member", 1, Came::New);
        members.activated(&a, 4);
        assert_eq!(ghosts(&members, &a), Vec::<String>::new());
    }

    #[test]
    fn a_connection_that_lags_behind_leaves_no_cluster() {
        let (members, a, b) = (Arc::new(Members::default()), Arc::<str>::from("a"), Arc::<str>::from("b"));
        members.activated(&b, 3);
        members.joined(&b, "g", "member", 1, Came::New);
        members.activated(&a, 1);
        assert_eq!(ghosts(&members, &b), Vec::<String>::new());
    }

    #[test]
    fn a_member_is_where_it_joined_until_traffic_leaves_that_cluster() {
        let (members, a, b) = (Arc::new(Members::default()), Arc::<str>::from("a"), Arc::<str>::from("b"));
        members.activated(&a, 1);
        members.joined(&a, "g", "one", 1, Came::New);
        members.assigned(&a, "g", "one");
        members.joined(&a, "g", "known before", 1, Came::Known);
        assert_eq!(members.place(&a, "g", "one"), Place::Here(Standing::Joined));
        assert_eq!(members.place(&a, "g", "known before"), Place::Here(Standing::Joined));
        assert_eq!(members.place(&a, "other", "one"), Place::Unknown);
        members.activated(&b, 3);
        assert_eq!(members.place(&b, "g", "one"), Place::Elsewhere);
        assert_eq!(members.place(&b, "g", "stranger"), Place::Unknown);
        members.activated(&a, 5);
        assert_eq!(
            members.place(&a, "g", "one"),
            Place::Elsewhere,
            "it may have read on the other one meanwhile"
        );
        members.activated(&a, 7);
        members.joined(&a, "g", "two", 5, Came::New);
        assert_eq!(members.place(&a, "g", "two"), Place::Here(Standing::New), "the cluster was never left");
    }

    #[test]
    fn a_member_is_new_until_it_has_an_assignment_and_bare_until_it_joins_again() {
        let (members, a) = (Arc::new(Members::default()), Arc::<str>::from("a"));
        let standing = || members.place(&a, "g", "m");
        members.activated(&a, 1);
        members.joined(&a, "g", "m", 1, Came::Stripped);
        assert_eq!(standing(), Place::Here(Standing::Stripped));
        members.joined(&a, "g", "m", 1, Came::Known);
        assert_eq!(standing(), Place::Here(Standing::New), "a rebalance came before its assignment");
        members.joined(&a, "g", "m", 1, Came::Stripped);
        members.assigned(&a, "g", "m");
        assert_eq!(standing(), Place::Here(Standing::Bare));
        members.joined(&a, "g", "m", 1, Came::Known);
        assert_eq!(standing(), Place::Here(Standing::Joined));
    }
}

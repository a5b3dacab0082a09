//! Groups of the consumer protocol (KIP-848): the coordinator assigns, and each member follows at its own pace.
//!
//! A change of members or subscriptions raises the group's epoch; a target assignment is made for that epoch; each member is
//! led to it by its heartbeats: it gives up what is not its own any more, then gets what nobody else has. Everything is in
//! the coordinator's log before it is answered, so a change of the coordinator loses nothing but the sessions' time.

mod assignor;
mod member;

pub(crate) use member::{Held, TopicId};

use super::{codes, handlers::View};
use assignor::Assignor;
use member::{Member, Pattern, Reconcile};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// The epoch of a member that joins.
const JOINS: i32 = 0;
/// The epoch of a static member that will come back.
pub(crate) const AWAY: i32 = -2;

/// A ConsumerGroupHeartbeat; what is `None` is as it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heartbeat {
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout: Option<Duration>,
    pub(crate) topics: Option<BTreeSet<String>>,
    pub(crate) pattern: Option<String>,
    pub(crate) assignor: Option<String>,
    pub(crate) owned: Option<Held>,
}

/// Its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeartbeatReply {
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    /// `None`: it is as it was.
    pub(crate) assignment: Option<Held>,
}

/// A group as ConsumerGroupDescribe shows it.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) state: &'static str,
    pub(crate) epoch: i32,
    pub(crate) assignment_epoch: i32,
    pub(crate) assignor: &'static str,
    pub(crate) members: Vec<DescribedMember>,
}

/// A member as ConsumerGroupDescribe shows it.
#[derive(Clone, Debug)]
pub(crate) struct DescribedMember {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) epoch: i32,
    pub(crate) topics: Vec<String>,
    pub(crate) pattern: Option<String>,
    pub(crate) assigned: Held,
    pub(crate) target: Held,
}

/// Is there such an assignor?
pub(crate) fn has_assignor(name: &str) -> bool {
    Assignor::named(name).is_some()
}

/// The members of one group and what is meant for them.
#[derive(Debug, Default)]
pub(super) struct ConsumerGroup {
    epoch: i32,
    assignment_epoch: i32,
    members: BTreeMap<String, Member>,
    target: BTreeMap<String, Held>,
    /// Ids and sizes of the topics that somebody reads, as they were when the epoch was last raised.
    topics: BTreeMap<String, (TopicId, i32)>,
}

impl ConsumerGroup {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn has_room_for(&self, id: &str, max_size: usize) -> bool {
        self.members.len() < max_size || self.members.contains_key(id)
    }

    /// A member speaks; an error is a code.
    pub(super) fn heartbeat(
        &mut self,
        now: Instant,
        session: Duration,
        request: &Heartbeat,
        view: &dyn View,
    ) -> Result<HeartbeatReply, i16> {
        let pattern = request.pattern.as_deref().map(Pattern::new).transpose()?;
        let id = self.admit(request)?;
        let before = self.members.get(&id).map(|member| member.assigned.clone()).unwrap_or_default();
        let member = self.members.get_mut(&id).ok_or(codes::UNKNOWN_MEMBER_ID)?;
        let news = member.update(request, pattern);
        self.refresh(view, news);
        self.assign();
        self.reconcile(now, &id, request.owned.as_ref());
        let member = self.members.get_mut(&id).ok_or(codes::UNKNOWN_MEMBER_ID)?;
        member.session_ends = Some(now + session);
        let full = request.epoch == JOINS
            || (request.rebalance_timeout.is_some() && request.topics.is_some() && request.owned.is_some());
        let told = full || member.assigned != before;
        let assignment = told.then(|| member.assigned.clone());
        Ok(HeartbeatReply { member_id: id, epoch: member.epoch, assignment })
    }

    /// The member that speaks, by its id; one that joins is made.
    fn admit(&mut self, request: &Heartbeat) -> Result<String, i16> {
        let id = request.member_id.clone();
        if let Some(instance_id) = &request.instance_id {
            self.admit_static(request, instance_id)?;
        } else if request.epoch == JOINS {
            self.members.entry(id.clone()).or_insert_with(|| Member::new(&id));
        }
        let member = self.members.get(&id).ok_or(codes::UNKNOWN_MEMBER_ID)?;
        if request.instance_id.is_none() || request.epoch != JOINS {
            member.check_epoch(request.epoch, request.owned.as_ref())?;
        }
        Ok(id)
    }

    fn admit_static(&mut self, request: &Heartbeat, instance_id: &str) -> Result<(), i16> {
        let id = &request.member_id;
        let known = self.static_member(instance_id).map(|member| (member.id.clone(), member.epoch));
        match known {
            None if request.epoch == JOINS => {
                self.members.insert(id.clone(), Member::new(id));
                Ok(())
            }
            None => Err(codes::UNKNOWN_MEMBER_ID),
            Some((old, AWAY)) if request.epoch == JOINS => {
                self.replace(&old, id);
                Ok(())
            }
            Some(_) if request.epoch == JOINS => Err(codes::UNRELEASED_INSTANCE_ID),
            Some((known, _)) if known == *id => Ok(()),
            Some(_) => Err(codes::FENCED_INSTANCE_ID),
        }
    }

    fn static_member(&self, instance_id: &str) -> Option<&Member> {
        self.members.values().find(|member| member.instance_id.as_deref() == Some(instance_id))
    }

    /// A static member is back under another id: what the older one had and was to have is its own.
    fn replace(&mut self, old: &str, new: &str) {
        if let Some(member) = self.members.remove(old) {
            self.members.insert(new.to_owned(), member.again_as(new));
        }
        if let Some(target) = self.target.remove(old) {
            self.target.insert(new.to_owned(), target);
        }
    }

    /// Raises the epoch if a subscription, or a topic that somebody reads, has changed.
    fn refresh(&mut self, view: &dyn View, news: bool) {
        let topics = self.members.values().flat_map(|member| member.reads(view));
        let known = topics.filter_map(|topic| {
            let of = (view.topic_id(&topic)?, view.partitions(&topic)?);
            Some((topic, of))
        });
        let known: BTreeMap<String, (TopicId, i32)> = known.collect();
        if news || known != self.topics {
            self.topics = known;
            self.epoch += 1;
        }
    }

    /// Makes the target assignment of the present epoch.
    fn assign(&mut self) {
        if self.epoch == self.assignment_epoch {
            return;
        }
        let readers = self.members.values().map(|member| {
            let read = self.topics.iter().filter(|(topic, _)| member.subscribes(topic));
            let read = read.map(|(_, (id, count))| (*id, *count)).collect();
            let had = self.target.get(&member.id).cloned().unwrap_or_default();
            let order = member.instance_id.clone().unwrap_or_else(|| member.id.clone());
            assignor::Reader { id: member.id.clone(), order, topics: read, had }
        });
        self.target = self.assignor().assign(readers.collect());
        self.assignment_epoch = self.epoch;
    }

    /// The assignor that most members ask for.
    fn assignor(&self) -> Assignor {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for wanted in self.members.values().filter_map(|member| member.assignor) {
            *votes.entry(wanted).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map_or(Assignor::Uniform, |(wanted, _)| wanted)
    }

    /// Leads one member a step towards its target.
    fn reconcile(&mut self, now: Instant, id: &str, owned: Option<&Held>) {
        let taken: Held = self
            .members
            .values()
            .filter(|member| member.id != id)
            .flat_map(|member| member.assigned.iter().chain(&member.revoking).copied())
            .collect();
        let target = self.target.get(id).cloned().unwrap_or_default();
        let step = Reconcile { now, epoch: self.assignment_epoch, target: &target, taken: &taken, owned };
        if let Some(member) = self.members.get_mut(id) {
            member.reconcile(&step);
        }
    }

    /// A member leaves, for good or, as a static one, for a while.
    pub(super) fn leave(
        &mut self,
        id: &str,
        instance_id: Option<&str>,
        epoch: i32,
    ) -> Result<HeartbeatReply, i16> {
        if let Some(instance_id) = instance_id {
            let member = self.static_member(instance_id).ok_or(codes::UNKNOWN_MEMBER_ID)?;
            if member.id != id {
                return Err(codes::FENCED_INSTANCE_ID);
            }
        }
        let member = self.members.get_mut(id).ok_or(codes::UNKNOWN_MEMBER_ID)?;
        if epoch == AWAY {
            member.go_away();
        } else {
            self.remove(id);
        }
        Ok(HeartbeatReply { member_id: id.to_owned(), epoch, assignment: None })
    }

    fn remove(&mut self, id: &str) {
        self.members.remove(id);
        self.target.remove(id);
        self.epoch += 1;
    }

    /// May offsets be stored or read by whom says that it is this member? −1 is nobody, who may as long as there are none.
    pub(super) fn check_member(&self, id: &str, epoch: i32) -> Result<(), i16> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.members.get(id).ok_or(codes::UNKNOWN_MEMBER_ID)?;
        if member.epoch == epoch { Ok(()) } else { Err(codes::STALE_MEMBER_EPOCH) }
    }

    /// Does a member read this topic?
    pub(super) fn subscribes(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.subscribes(topic))
    }

    pub(super) fn state(&self) -> &'static str {
        let settled = |member: &Member| member.is_settled(self.assignment_epoch);
        match self {
            group if group.members.is_empty() => "Empty",
            group if group.epoch > group.assignment_epoch => "Assigning",
            group if !group.members.values().all(settled) => "Reconciling",
            _ => "Stable",
        }
    }

    pub(super) fn description(&self) -> Description {
        let members = self.members.values().map(|member| DescribedMember {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            epoch: member.epoch,
            topics: member.topics.iter().cloned().collect(),
            pattern: member.pattern.as_ref().map(|pattern| pattern.text.clone()),
            assigned: member.assigned.clone(),
            target: self.target.get(&member.id).cloned().unwrap_or_default(),
        });
        Description {
            state: self.state(),
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor: self.assignor().name(),
            members: members.collect(),
        }
    }

    /// Removes members whose session has ended, or who did not give up in time what they had to.
    pub(super) fn tick(&mut self, now: Instant) {
        let late = |member: &&Member| member.deadline().is_some_and(|at| at <= now);
        let gone: Vec<String> = self.members.values().filter(late).map(|member| member.id.clone()).collect();
        gone.iter().for_each(|id| self.remove(id));
    }

    /// Another coordinator has the group: sessions begin anew.
    pub(super) fn load(&mut self, now: Instant, session: Duration) {
        for member in self.members.values_mut() {
            member.session_ends = Some(now + session);
            member.renew_revocation(now);
        }
    }

    /// Nobody counts until then.
    pub(super) fn unload(&mut self) {
        for member in self.members.values_mut() {
            (member.session_ends, member.revocation_ends) = (None, None);
        }
    }
}

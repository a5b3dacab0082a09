//! One group: its state, its members, and what the log says of it.
//!
//! ```text
//!          join                    all joined, or time is up            the leader's SyncGroup
//!  Empty ───────▶ PreparingRebalance ───────────────────────▶ CompletingRebalance ───────▶ Stable
//!    ▲               │       ▲  ▲                                  │                          │
//!    └─ no members ──┘       │  └─ join, leave, end of a session ──┘                          │
//!                            └─ join, leave, end of a session ────────────────────────────────┘
//! ```

use super::{
    GroupConfig, codes,
    consumer::ConsumerGroup,
    member::Member,
    messages::{Description, JoinReply, JoinedMember, Listed, Protocol, Stored, check},
    subscription,
    tickets::Tickets,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// The protocol type of consumers, whose subscriptions the coordinator can read.
const CONSUMER: &str = "consumer";

/// The state of a group. `Dead` is only shown, for groups that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No members; there may be offsets.
    Empty,
    /// Members are to join.
    PreparingRebalance,
    /// All have joined; the leader's assignment is missing.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// There is no such group.
    Dead,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// How long the join phase lasts.
#[derive(Clone, Copy, Debug)]
pub(super) enum JoinPhase {
    /// A group that was empty waits for more members, and longer if some came.
    Initial { ends: Instant, step: Duration, left: Duration },
    /// The members of the last generation have until then.
    Rebalance { ends: Instant },
}

impl JoinPhase {
    pub(super) const fn ends(self) -> Instant {
        match self {
            Self::Initial { ends, .. } | Self::Rebalance { ends } => ends,
        }
    }
}

/// What the log says of a group: a generation is written when its leader has assigned, or when it has no members.
#[derive(Clone, Debug, Default)]
struct Saved {
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<String>,
    members: Vec<Member>,
}

/// What a change of a group needs from outside.
pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) config: &'a GroupConfig,
    pub(super) tickets: &'a mut Tickets,
}

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) state: State,
    /// The state before this one. A join phase that began with an empty group lasts its time.
    pub(super) previous: State,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    /// A member's id whenever there are members.
    pub(super) leader: Option<String>,
    /// In the order in which they came.
    pub(super) members: Vec<Member>,
    /// Ids that were given out and not used yet, and when they lapse.
    pub(super) pending: BTreeMap<String, Instant>,
    /// `None`: not known, because there is no protocol yet or it is not the consumers'.
    subscribed: Option<BTreeSet<String>>,
    /// Somebody joined since the initial join phase was last prolonged.
    pub(super) member_added: bool,
    pub(super) join_phase: Option<JoinPhase>,
    /// By then every member must have sent its SyncGroup.
    pub(super) sync_ends: Option<Instant>,
    pub(super) offsets: BTreeMap<String, BTreeMap<i32, Stored>>,
    /// By producer, topic and partition: they count when the producer's transaction is committed.
    pub(super) pending_offsets: BTreeMap<i64, BTreeMap<(String, i32), Stored>>,
    /// Set: a group of the consumer protocol. What belongs to the classic one is as for a group without members.
    pub(super) consumers: Option<ConsumerGroup>,
    saved: Saved,
}

impl Group {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            state: State::Empty,
            previous: State::Dead,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Vec::new(),
            pending: BTreeMap::new(),
            subscribed: None,
            member_added: false,
            join_phase: None,
            sync_ends: None,
            offsets: BTreeMap::new(),
            pending_offsets: BTreeMap::new(),
            consumers: None,
            saved: Saved::default(),
        }
    }

    pub(super) fn enter(&mut self, state: State) {
        self.previous = self.state;
        self.state = state;
    }

    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    pub(super) fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    pub(super) fn static_member(&self, instance_id: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.instance_id.as_deref() == Some(instance_id))
    }

    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    /// Is this a member? 82 when another member has the instance id now, else 25.
    pub(super) fn check_member(&self, id: &str, instance_id: Option<&str>) -> Result<(), i16> {
        if let Some(instance_id) = instance_id {
            let known = self.static_member(instance_id).ok_or(codes::UNKNOWN_MEMBER_ID)?;
            check(if known.id == id { codes::NONE } else { codes::FENCED_INSTANCE_ID })?;
        }
        self.member(id).map(|_| ()).ok_or(codes::UNKNOWN_MEMBER_ID)
    }

    /// The longest that a member wants to wait for the others.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members.iter().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    pub(super) fn joining(&self) -> usize {
        self.members.iter().filter(|member| member.joining.is_some()).count()
    }

    pub(super) fn all_joined(&self) -> bool {
        self.joining() == self.members.len() && self.pending.is_empty()
    }

    /// Could a member with these protocols take part? One of them must be known to every member.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|offered| self.all_know(&offered.name))
    }

    fn all_know(&self, protocol: &str) -> bool {
        self.members.iter().all(|member| member.knows(protocol))
    }

    /// Every member votes for the first of its protocols that all know; most votes win, the earliest among equals.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: Vec<(&str, usize)> = Vec::new();
        for member in &self.members {
            let vote = member.protocols.iter().find(|known| self.all_know(&known.name))?.name.as_str();
            match votes.iter_mut().find(|(name, _)| *name == vote) {
                Some((_, count)) => *count += 1,
                None => votes.push((vote, 1)),
            }
        }
        let most = votes.iter().map(|(_, count)| *count).max()?;
        votes.iter().find(|(_, count)| *count == most).map(|(name, _)| (*name).to_owned())
    }

    /// The next generation, with the members that are there.
    pub(super) fn next_generation(&mut self) {
        self.generation += 1;
        self.protocol = self.select_protocol();
        self.read_subscriptions();
        self.enter(if self.members.is_empty() { State::Empty } else { State::CompletingRebalance });
        self.members.iter_mut().for_each(|member| member.owes_sync = false);
    }

    fn read_subscriptions(&mut self) {
        let protocol = self.protocol.as_deref();
        let subscriptions =
            self.members.iter().map(|member| subscription::topics(&member.metadata(protocol)));
        let all = subscriptions.collect::<Option<Vec<_>>>().map(|sets| sets.into_iter().flatten().collect());
        self.subscribed = all.filter(|_| self.is_of_consumers());
    }

    /// Has it members that use the consumer protocol?
    pub(super) fn has_consumers(&self) -> bool {
        self.consumers.as_ref().is_some_and(|consumers| !consumers.is_empty())
    }

    pub(super) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Does a member read this topic? A group of consumers that is not understood might.
    pub(super) fn subscribes(&self, topic: &str) -> bool {
        if let Some(consumers) = &self.consumers {
            return consumers.subscribes(topic);
        }
        self.subscribed.as_ref().map_or(self.is_of_consumers(), |topics| topics.contains(topic))
    }

    /// Takes a member out, or a pending one. What it waits for is answered with 25. The oldest member replaces a leader.
    pub(super) fn remove(&mut self, turn: &mut Turn<'_>, id: &str) {
        if let Some(at) = self.members.iter().position(|member| member.id == id) {
            let member = self.members.remove(at);
            turn.tickets.join_error(member.joining, "", codes::UNKNOWN_MEMBER_ID);
            turn.tickets.sync_error(member.syncing, codes::UNKNOWN_MEMBER_ID);
        }
        if self.is_leader(id) {
            self.leader = self.members.first().map(|member| member.id.clone());
        }
        self.pending.remove(id);
    }

    /// The present generation, as a member learns of it.
    pub(super) fn join_reply(&self, member_id: &str) -> JoinReply {
        JoinReply {
            error: codes::NONE,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }

    /// What a leader assigns to.
    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        self.members.iter().map(|member| member.joined(self.protocol.as_deref())).collect()
    }

    pub(super) fn description(&self) -> Description {
        let protocol = self.protocol.as_deref().filter(|_| self.state == State::Stable);
        Description {
            state: self.state.name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: self.members.iter().map(|member| member.described(protocol)).collect(),
        }
    }

    pub(super) fn listed(&self) -> Listed {
        if let Some(consumers) = &self.consumers {
            return Listed {
                group: self.id.clone(),
                protocol_type: CONSUMER.to_owned(),
                state: consumers.state(),
                kind: "consumer",
            };
        }
        Listed {
            group: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            state: self.state.name(),
            kind: "classic",
        }
    }

    /// Writes the generation to the log.
    pub(super) fn save(&mut self) {
        let protocol = self.protocol.as_deref();
        self.saved = Saved {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self.members.iter().map(|member| member.saved(protocol)).collect(),
        };
    }

    /// The coordinator is gone: those who wait are told so, and what is left is what the log says.
    pub(super) fn unload(&mut self, tickets: &mut Tickets) {
        for member in &self.members {
            tickets.join_error(member.joining, &member.id, codes::NOT_COORDINATOR);
            tickets.sync_error(member.syncing, codes::NOT_COORDINATOR);
        }
        let saved = self.saved.clone();
        let mut group = Self {
            state: if saved.members.is_empty() { State::Empty } else { State::Stable },
            generation: saved.generation,
            protocol_type: saved.protocol_type.clone(),
            protocol: saved.protocol.clone(),
            leader: saved.leader.clone(),
            members: saved.members.clone(),
            offsets: std::mem::take(&mut self.offsets),
            pending_offsets: std::mem::take(&mut self.pending_offsets),
            consumers: self.consumers.take(),
            saved,
            ..Self::new(&self.id)
        };
        if let Some(consumers) = &mut group.consumers {
            consumers.unload();
        }
        group.read_subscriptions();
        *self = group;
    }
}

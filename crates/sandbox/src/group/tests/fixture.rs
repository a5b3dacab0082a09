//! A coordinator under test, with its own clock.

use crate::group::{
    Answer, Group, GroupConfig, Groups, JoinReply, JoinRequest, Leaver, MemberRef, Outcome, Protocol,
    SyncReply, SyncRequest, Ticket,
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

pub(super) const SESSION: Duration = Duration::from_secs(10);
pub(super) const REBALANCE: Duration = Duration::from_secs(60);
pub(super) const DELAY: Duration = Duration::from_millis(100);

pub(super) struct Coordinator {
    pub(super) groups: Groups,
    pub(super) now: Instant,
}

/// A subscription to topics, as consumers send it.
pub(super) fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend(u32::try_from(topics.len()).expect("few").to_be_bytes());
    for topic in topics {
        bytes.extend(u16::try_from(topic.len()).expect("short").to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend([0xff; 4]);
    bytes.into()
}

pub(super) fn protocols(names: &[&str]) -> Vec<Protocol> {
    let protocol = |name: &&str| Protocol { name: (*name).to_owned(), metadata: subscription(&["t"]) };
    names.iter().map(protocol).collect()
}

/// A new dynamic member of group `g`.
pub(super) fn newcomer(client: &str) -> JoinRequest {
    JoinRequest {
        group: "g".into(),
        member_id: String::new(),
        instance_id: None,
        client_id: client.into(),
        client_host: "/127.0.0.1".into(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: "consumer".into(),
        protocols: protocols(&["range"]),
        needs_member_id: true,
        may_skip_assignment: true,
    }
}

/// A static member of group `g`.
pub(super) fn fixed(instance: &str) -> JoinRequest {
    JoinRequest { instance_id: Some(instance.into()), ..newcomer(instance) }
}

pub(super) fn again(request: &JoinRequest, id: &str) -> JoinRequest {
    JoinRequest { member_id: id.into(), ..request.clone() }
}

pub(super) fn member(id: &str, generation: i32) -> MemberRef {
    MemberRef { group: "g".into(), member_id: id.into(), instance_id: None, generation }
}

pub(super) fn fixed_member(id: &str, instance: &str, generation: i32) -> MemberRef {
    MemberRef { instance_id: Some(instance.into()), ..member(id, generation) }
}

pub(super) fn leaver(id: &str, instance: Option<&str>) -> Leaver {
    Leaver { member_id: id.into(), instance_id: instance.map(str::to_owned) }
}

/// What the fixture's leaders assign.
pub(super) fn assignment(id: &str) -> Bytes {
    format!("for {id}").into()
}

/// The SyncGroup of a member that has joined; a leader assigns to all.
pub(super) fn sync_of(joined: &JoinReply) -> SyncRequest {
    SyncRequest {
        member: member(&joined.member_id, joined.generation),
        protocol_type: joined.protocol_type.clone(),
        protocol: joined.protocol.clone(),
        assignments: joined.members.iter().map(|m| (m.member_id.clone(), assignment(&m.member_id))).collect(),
    }
}

pub(super) fn now<T>(outcome: Outcome<T>) -> T {
    match outcome {
        Outcome::Ready(reply) => reply,
        Outcome::Later(ticket) => panic!("an answer at once, not {ticket:?}"),
    }
}

pub(super) fn later<T: std::fmt::Debug>(outcome: Outcome<T>) -> Ticket {
    match outcome {
        Outcome::Later(ticket) => ticket,
        Outcome::Ready(reply) => panic!("a ticket, not {reply:?}"),
    }
}

impl Groups {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.groups.values().filter_map(Group::next_deadline).min()
    }

    pub(super) fn is_waiting(&self, ticket: Ticket) -> bool {
        self.tickets.waiting.contains(&ticket)
    }

    /// The answers that have become ready; each is given once.
    pub(super) fn take_ready(&mut self) -> BTreeMap<Ticket, Answer> {
        std::mem::take(&mut self.tickets.ready)
    }
}

impl Coordinator {
    pub(super) fn new() -> Self {
        Self::with(GroupConfig::default())
    }

    pub(super) fn with(config: GroupConfig) -> Self {
        Self { groups: Groups::new(config), now: Instant::now() }
    }

    /// Time passes, and everything happens when it is due.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.groups.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.groups.tick(self.now);
        }
        self.now = end;
    }

    pub(super) fn join(&mut self, request: &JoinRequest) -> Outcome<JoinReply> {
        self.groups.join(self.now, request)
    }

    pub(super) fn sync(&mut self, request: &SyncRequest) -> Outcome<SyncReply> {
        self.groups.sync(self.now, request)
    }

    /// The error code of a heartbeat; 0: none.
    pub(super) fn heartbeat(&mut self, member: &MemberRef) -> i16 {
        self.groups.heartbeat(self.now, member).err().unwrap_or(0)
    }

    pub(super) fn leave(&mut self, leavers: &[Leaver]) -> Vec<i16> {
        self.groups.leave(self.now, "g", leavers).expect("a group with a name")
    }

    pub(super) fn state(&self) -> &'static str {
        self.groups.describe("g").map_or("Dead", |group| group.state)
    }

    pub(super) fn joined(&mut self, ticket: Ticket) -> JoinReply {
        match self.groups.ready(ticket) {
            Some(Answer::Join(reply)) => reply,
            other => panic!("the answer of a JoinGroup, not {other:?}; state {}", self.state()),
        }
    }

    pub(super) fn synced(&mut self, ticket: Ticket) -> SyncReply {
        match self.groups.ready(ticket) {
            Some(Answer::Sync(reply)) => reply,
            other => panic!("the answer of a SyncGroup, not {other:?}; state {}", self.state()),
        }
    }

    /// A new dynamic member asks for an id and joins with it.
    pub(super) fn enter(&mut self, client: &str) -> (String, Ticket) {
        self.enter_with(&newcomer(client))
    }

    pub(super) fn enter_with(&mut self, request: &JoinRequest) -> (String, Ticket) {
        let id = now(self.join(request)).member_id;
        let ticket = later(self.join(&again(request, &id)));
        (id, ticket)
    }

    /// All these join and get their assignments. The first one leads.
    pub(super) fn stable(&mut self, requests: &[JoinRequest]) -> Vec<JoinReply> {
        let enter = |request: &JoinRequest| {
            if request.instance_id.is_some() { later(self.join(request)) } else { self.enter_with(request).1 }
        };
        let tickets: Vec<Ticket> = requests.iter().map(enter).collect();
        self.pass(DELAY * 2);
        let joined: Vec<JoinReply> = tickets.into_iter().map(|ticket| self.joined(ticket)).collect();
        self.sync_all(&joined);
        joined
    }

    /// All these get their assignments, the leader last.
    pub(super) fn sync_all(&mut self, joined: &[JoinReply]) {
        let (leaders, others): (Vec<_>, Vec<_>) =
            joined.iter().partition(|reply| reply.leader == reply.member_id);
        let waiting: Vec<Ticket> = others.iter().map(|reply| later(self.sync(&sync_of(reply)))).collect();
        assert_eq!(leaders.len(), 1, "one leader in {joined:?}");
        assert_eq!(now(self.sync(&sync_of(leaders[0]))).error, 0);
        for (reply, ticket) in others.iter().zip(waiting) {
            assert_eq!(self.synced(ticket).assignment, assignment(&reply.member_id));
        }
        assert_eq!(self.state(), "Stable");
    }
}

//! Members join, leave and die at random, connections and coordinators go, and time passes: what holds at every step, and that
//! a group whose members behave becomes stable.

use super::fixture::{Coordinator, SESSION, fixed, leaver, newcomer, protocols};
use crate::group::{
    Answer, JoinReply, JoinRequest, MemberRef, Outcome, SyncReply, SyncRequest, Ticket,
    state::{Group, State},
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const SEEDS: u64 = 150;
const STEPS: usize = 250;
const STEP: Duration = Duration::from_millis(200);
/// 200 s: three rebalances that somebody is missing from, and the sessions of the dead.
const CALM_STEPS: usize = 1000;

/// A generator of random numbers (splitmix64), the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit as u64)).expect("below the limit")
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

#[derive(Debug)]
enum Phase {
    Out,
    Joining(Ticket),
    Joined(JoinReply),
    Syncing(Ticket),
    Member,
    /// The client has ended, or was fenced.
    Dead,
}

#[derive(Debug)]
struct Client {
    request: JoinRequest,
    id: String,
    generation: i32,
    phase: Phase,
}

impl Client {
    fn new(number: usize) -> Self {
        let request = if number.is_multiple_of(3) {
            fixed(&format!("i{number}"))
        } else {
            JoinRequest { needs_member_id: !number.is_multiple_of(5), ..newcomer(&format!("c{number}")) }
        };
        Self { request, id: String::new(), generation: -1, phase: Phase::Out }
    }

    fn member(&self) -> MemberRef {
        MemberRef {
            group: "g".into(),
            member_id: self.id.clone(),
            instance_id: self.request.instance_id.clone(),
            generation: self.generation,
        }
    }

    fn is_dead(&self) -> bool {
        matches!(self.phase, Phase::Dead)
    }

    /// What an error makes a client do.
    fn failed(&mut self, error: i16) {
        self.phase = Phase::Out;
        match error {
            16 | 22 | 27 | 79 => {}
            // After a failover the members are known with the chosen protocol alone, as in Kafka.
            23 => self.request.protocols = protocols(&["range", "sticky"]),
            25 => self.id.clear(),
            82 => self.phase = Phase::Dead,
            _ => panic!("error {error} for {self:?}"),
        }
    }
}

struct Simulation {
    c: Coordinator,
    random: Random,
    clients: Vec<Client>,
    /// Who waits for which ticket.
    waiting: BTreeMap<Ticket, usize>,
    /// By generation and member: generations with an assignment are never made twice.
    assigned: BTreeMap<(i32, String), Bytes>,
    /// By generation.
    protocols: BTreeMap<i32, String>,
    fenced: Vec<MemberRef>,
    generation: i32,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        Self {
            c: Coordinator::new(),
            random: Random(seed),
            clients: (0..7).map(Client::new).collect(),
            waiting: BTreeMap::new(),
            assigned: BTreeMap::new(),
            protocols: BTreeMap::new(),
            fenced: Vec::new(),
            generation: 0,
        }
    }

    /// A client does what it should do next.
    fn act(&mut self, number: usize) {
        let client = &self.clients[number];
        match &client.phase {
            Phase::Out => self.join(number),
            Phase::Joined(reply) => {
                let request = self.sync_request(client, reply);
                match self.c.sync(&request) {
                    Outcome::Ready(reply) => self.synced(number, &reply),
                    Outcome::Later(ticket) => self.wait(number, ticket, Phase::Syncing),
                }
            }
            Phase::Member => {
                let error = self.c.heartbeat(&client.member());
                if error != 0 {
                    self.clients[number].failed(error);
                }
            }
            Phase::Joining(_) | Phase::Syncing(_) | Phase::Dead => {}
        }
    }

    fn join(&mut self, number: usize) {
        let client = &self.clients[number];
        let request = JoinRequest { member_id: client.id.clone(), ..client.request.clone() };
        if let Some(old) = self.c.groups.groups.get("g").and_then(|group| taken_over(group, &request)) {
            self.fenced.push(old);
        }
        match self.c.join(&request) {
            Outcome::Ready(reply) => self.joined(number, reply),
            Outcome::Later(ticket) => self.wait(number, ticket, Phase::Joining),
        }
    }

    fn wait(&mut self, number: usize, ticket: Ticket, phase: impl FnOnce(Ticket) -> Phase) {
        self.clients[number].phase = phase(ticket);
        assert_eq!(self.waiting.insert(ticket, number), None, "{ticket:?} was given out twice");
    }

    fn joined(&mut self, number: usize, reply: JoinReply) {
        let client = &mut self.clients[number];
        if reply.error != 0 {
            client.failed(reply.error);
            if reply.error == 79 {
                client.id = reply.member_id;
            }
            return;
        }
        client.id.clone_from(&reply.member_id);
        client.generation = reply.generation;
        client.phase = Phase::Joined(reply);
    }

    /// A leader's assignments are like no others, so that a wrong one is seen.
    fn sync_request(&self, client: &Client, reply: &JoinReply) -> SyncRequest {
        let unique = self.assigned.len();
        let text = |id: &str| Bytes::from(format!("{}/{id}/{unique}", reply.generation));
        let leads = reply.leader == reply.member_id && !reply.skip_assignment;
        let members = reply.members.iter().filter(|_| leads);
        SyncRequest {
            member: client.member(),
            protocol_type: reply.protocol_type.clone(),
            protocol: reply.protocol.clone(),
            assignments: members.map(|m| (m.member_id.clone(), text(&m.member_id))).collect(),
        }
    }

    fn synced(&mut self, number: usize, reply: &SyncReply) {
        if reply.error != 0 {
            self.clients[number].failed(reply.error);
            return;
        }
        let client = &mut self.clients[number];
        client.phase = Phase::Member;
        let protocol = reply.protocol.clone().expect("a protocol");
        let agreed = self.protocols.entry(client.generation).or_insert_with(|| protocol.clone());
        assert_eq!(*agreed, protocol, "one protocol in generation {}", client.generation);
        let key = (client.generation, client.id.clone());
        let first = self.assigned.entry(key).or_insert_with(|| reply.assignment.clone());
        assert_eq!(*first, reply.assignment, "one assignment for {client:?}");
    }

    /// Hands the answers out.
    fn deliver(&mut self) {
        for (ticket, answer) in self.c.groups.take_ready() {
            let number = self.waiting.remove(&ticket).expect("somebody waits, for the first time");
            let ours =
                matches!(self.clients[number].phase, Phase::Joining(t) | Phase::Syncing(t) if t == ticket);
            assert!(ours, "{ticket:?} is not what {:?} waits for", self.clients[number]);
            match answer {
                Answer::Join(reply) => self.joined(number, reply),
                Answer::Sync(reply) => self.synced(number, &reply),
            }
        }
    }

    /// The connection of a client goes, and with it what it waits for.
    fn hang_up(&mut self, number: usize) {
        if let Phase::Joining(ticket) | Phase::Syncing(ticket) = self.clients[number].phase {
            self.c.groups.forget(ticket);
            self.waiting.remove(&ticket);
            self.clients[number].phase = Phase::Out;
        }
    }

    fn chaos(&mut self, number: usize) {
        match self.random.below(9) {
            0 => {
                self.hang_up(number);
                self.clients[number].phase = Phase::Dead;
            }
            1 | 2 if self.clients[number].is_dead() => self.clients[number] = Client::new(number),
            3 => self.hang_up(number),
            4 => self.leave(number),
            5 => {
                let sets: [&[&str]; 3] = [&["range"], &["range", "sticky"], &["sticky", "range"]];
                self.clients[number].request.protocols = protocols(sets[self.random.below(3)]);
                if matches!(self.clients[number].phase, Phase::Member) {
                    self.clients[number].phase = Phase::Out;
                }
            }
            6 if self.random.once_in(4) => self.fail_over(),
            7 if self.random.once_in(4) => self.pass(SESSION),
            _ => {}
        }
    }

    fn leave(&mut self, number: usize) {
        let client = &self.clients[number];
        if client.id.is_empty() || client.is_dead() {
            return;
        }
        let who = leaver(&client.id, client.request.instance_id.as_deref());
        if self.c.groups.leave(self.c.now, "g", &[who]) == Ok(vec![82]) {
            self.hang_up(number);
            self.clients[number].phase = Phase::Dead;
        }
    }

    fn fail_over(&mut self) {
        self.c.groups.unload(|_| true);
        self.deliver();
        self.c.groups.load(self.c.now, |_| true);
        // What the log does not know has not been: neither an unfinished generation, nor who was to replace whom in it.
        let group = self.c.groups.groups.get("g");
        let back = group.map_or(0, |group| group.generation);
        assert!(back <= self.generation);
        self.generation = back;
        self.fenced.clear();
    }

    fn pass(&mut self, time: Duration) {
        self.c.pass(time);
        self.deliver();
        self.check();
    }

    fn check(&mut self) {
        let Some(group) = self.c.groups.groups.get("g") else { return };
        check_group(group);
        assert!(
            group.generation >= self.generation,
            "generation {} after {}",
            group.generation,
            self.generation
        );
        self.generation = group.generation;
        assert!(self.c.groups.next_deadline().is_none_or(|at| at > self.c.now), "nothing is overdue");
        for fenced in &mut self.fenced {
            fenced.generation = self.generation;
            let result = self.c.groups.heartbeat(self.c.now, fenced);
            assert!(matches!(result, Err(25 | 82)), "{fenced:?} is fenced, but {result:?}");
        }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            let number = self.random.below(self.clients.len());
            if self.random.once_in(3) {
                self.chaos(number);
            } else {
                self.act(number);
            }
            self.deliver();
            self.check();
            if self.random.once_in(2) {
                self.pass(STEP);
            }
        }
        self.calm();
    }

    /// From now on all behave, so the group becomes stable, with the living and nobody else.
    fn calm(&mut self) {
        for _ in 0..CALM_STEPS {
            (0..self.clients.len()).for_each(|number| self.act(number));
            self.deliver();
            self.pass(STEP);
        }
        let living: Vec<&Client> = self.clients.iter().filter(|client| !client.is_dead()).collect();
        let group = self.c.groups.groups.get("g");
        let members: BTreeSet<&str> =
            group.into_iter().flat_map(|group| &group.members).map(|member| member.id.as_str()).collect();
        assert_eq!(members, living.iter().map(|client| client.id.as_str()).collect(), "{:?}", self.clients);
        assert!(living.iter().all(|client| matches!(client.phase, Phase::Member)), "{living:?}");
        assert!(living.iter().all(|client| client.generation == self.generation), "{living:?}");
        assert!(self.waiting.is_empty(), "every ticket was answered");
        let expected = if living.is_empty() { "Empty" } else { "Stable" };
        assert!(self.c.state() == expected || self.c.state() == "Dead");
    }
}

/// The member whose place a static member takes that joins without an id.
fn taken_over(group: &Group, request: &JoinRequest) -> Option<MemberRef> {
    let old =
        group.static_member(request.instance_id.as_deref()?).filter(|_| request.member_id.is_empty())?;
    Some(MemberRef {
        group: "g".into(),
        member_id: old.id.clone(),
        instance_id: old.instance_id.clone(),
        generation: 0,
    })
}

/// What holds for a group between any two requests.
fn check_group(group: &Group) {
    let ids: BTreeSet<&str> = group.members.iter().map(|member| member.id.as_str()).collect();
    let instances: Vec<&String> =
        group.members.iter().filter_map(|member| member.instance_id.as_ref()).collect();
    assert_eq!(ids.len(), group.members.len(), "{group:?}");
    assert_eq!(instances.iter().collect::<BTreeSet<_>>().len(), instances.len(), "{group:?}");
    assert!(group.pending.keys().all(|id| !ids.contains(id.as_str())), "{group:?}");
    assert_eq!(
        group.leader.as_deref().map(|id| ids.contains(id)),
        (!ids.is_empty()).then_some(true),
        "{group:?}"
    );
    let preparing = group.state == State::PreparingRebalance;
    assert_eq!(group.join_phase.is_some(), preparing, "{group:?}");
    assert!(preparing || (group.state == State::Empty) == ids.is_empty(), "{group:?}");
    for member in &group.members {
        assert!(member.joining.is_none() || preparing, "{group:?}");
        assert!(member.syncing.is_none() || group.state == State::CompletingRebalance, "{group:?}");
        assert!(member.session_ends.is_some() || member.is_excused(), "{group:?}");
        assert!(!member.owes_sync || group.sync_ends.is_some(), "{group:?}");
    }
}

#[test]
fn groups_keep_their_promises_whatever_members_do() {
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| Simulation::new(seed).run());
        assert!(result.is_ok(), "seed {seed}");
    }
}

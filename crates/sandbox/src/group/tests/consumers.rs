//! Groups of the consumer protocol: members join, leave, die, come back and dawdle at random, topics grow, coordinators go and
//! time passes. No partition is ever with two members, and a group whose members behave is settled and fairly shared.

use crate::group::{
    Committed, GroupConfig, Groups, NewOffset,
    consumer::{AWAY, Heartbeat, HeartbeatReply, Held, TopicId},
    handlers::View,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

const SEEDS: u64 = 60;
const STEPS: usize = 300;
const STEP: Duration = Duration::from_millis(200);
/// 20 s: longer than any session or time-out of a member.
const CALM_STEPS: usize = 100;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Topics with the number of their partitions; a topic's id is made of its name.
struct Topics(BTreeMap<&'static str, i32>);

fn id(topic: &str) -> TopicId {
    [topic.as_bytes()[0]; 16]
}

impl View for Topics {
    fn topic_name(&self, of: TopicId) -> Option<String> {
        self.0.keys().find(|name| id(name) == of).map(ToString::to_string)
    }

    fn topic_id(&self, name: &str) -> Option<TopicId> {
        self.0.contains_key(name).then(|| id(name))
    }

    fn topic_names(&self) -> Vec<String> {
        self.0.keys().map(ToString::to_string).collect()
    }

    fn partitions(&self, name: &str) -> Option<i32> {
        self.0.get(name).copied()
    }

    fn coordinates(&self, _: &str) -> Result<(), i16> {
        Ok(())
    }
}

fn topics() -> Topics {
    Topics(BTreeMap::from([("t", 5), ("u", 3)]))
}

/// A member's process.
#[derive(Clone, Debug)]
struct Client {
    id: String,
    instance: Option<String>,
    reads: BTreeSet<String>,
    pattern: Option<String>,
    assignor: Option<String>,
    epoch: i32,
    /// What it works on, and what it was told to.
    held: Held,
    told: Held,
}

impl Client {
    fn new(id: &str, reads: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            instance: None,
            reads: reads.iter().map(ToString::to_string).collect(),
            pattern: None,
            assignor: None,
            epoch: 0,
            held: Held::new(),
            told: Held::new(),
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            member_id: self.id.clone(),
            epoch: self.epoch,
            instance_id: self.instance.clone(),
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout: Some(TIMEOUT),
            topics: Some(self.reads.clone()),
            pattern: self.pattern.clone(),
            assignor: self.assignor.clone(),
            owned: Some(self.held.clone()),
        }
    }

    /// Starts with what it was told to have; stops with the rest when it gets round to it.
    fn take(&mut self, reply: HeartbeatReply) {
        self.epoch = reply.epoch;
        if let Some(told) = reply.assignment {
            self.held.extend(told.iter().copied());
            self.told = told;
        }
    }

    fn let_go(&mut self) {
        self.held = self.told.clone();
    }

    fn abandon(&mut self) {
        self.epoch = 0;
        self.held.clear();
        self.told.clear();
    }
}

struct Coordinator {
    groups: Groups,
    topics: Topics,
    now: Instant,
}

impl Coordinator {
    fn new() -> Self {
        Self { groups: Groups::new(GroupConfig::default()), topics: topics(), now: Instant::now() }
    }

    fn beat(&mut self, client: &mut Client) -> Result<(), i16> {
        let request = client.heartbeat();
        let reply = self.groups.consumer_heartbeat(self.now, "g", &request, &self.topics)?;
        client.take(reply);
        Ok(())
    }

    /// All behave until nothing changes any more.
    fn settle(&mut self, clients: &mut [&mut Client]) {
        for _ in 0..10 {
            for client in &mut *clients {
                client.let_go();
                self.beat(client).expect("a heartbeat");
            }
        }
        assert_eq!(self.state(), "Stable");
    }

    fn leave(&mut self, client: &Client, epoch: i32) -> Result<HeartbeatReply, i16> {
        self.groups.leave_consumers("g", &client.id, client.instance.as_deref(), epoch)
    }

    fn state(&self) -> &'static str {
        self.groups.describe_consumers("g").map_or("none", |group| group.state)
    }

    fn members(&self) -> BTreeSet<String> {
        let group = self.groups.describe_consumers("g");
        group.into_iter().flat_map(|group| group.members).map(|member| member.id).collect()
    }

    fn fail_over(&mut self) {
        self.groups.unload(|_| true);
        self.groups.load(self.now, |_| true);
    }
}

#[test]
fn a_partition_changes_hands_only_when_it_was_given_up() {
    let mut c = Coordinator::new();
    let (mut one, mut two) = (Client::new("one", &["t"]), Client::new("two", &["t"]));
    c.beat(&mut one).expect("joined");
    assert_eq!(one.held.len(), 5);
    c.beat(&mut two).expect("joined");
    c.beat(&mut one).expect("told");
    assert_eq!((one.told.len(), two.held.len(), c.state()), (3, 0, "Reconciling"));
    c.beat(&mut one).expect("still has all");
    c.beat(&mut two).expect("waits");
    assert_eq!(two.held.len(), 0);
    c.settle(&mut [&mut one, &mut two]);
    assert_eq!((one.held.len(), two.held.len()), (3, 2));
}

#[test]
fn who_does_not_give_up_in_time_is_removed() {
    let mut c = Coordinator::new();
    let (mut one, mut two) = (Client::new("one", &["t"]), Client::new("two", &["t"]));
    c.beat(&mut one).expect("joined");
    c.beat(&mut two).expect("joined");
    let ends = c.now + TIMEOUT;
    while c.now + STEP < ends {
        assert_eq!((c.beat(&mut one), c.beat(&mut two)), (Ok(()), Ok(())), "it lives");
        c.now += STEP;
        c.groups.tick(c.now);
    }
    c.now += STEP;
    c.groups.tick(c.now);
    assert_eq!(c.beat(&mut one), Err(25));
    c.settle(&mut [&mut two]);
    assert_eq!(two.held.len(), 5);
}

#[test]
fn as_few_partitions_move_as_a_fair_share_needs() {
    let mut c = Coordinator::new();
    let (mut one, mut two) = (Client::new("one", &["t", "u"]), Client::new("two", &["t", "u"]));
    c.settle(&mut [&mut one]);
    c.settle(&mut [&mut one, &mut two]);
    let (first, second) = (one.held.clone(), two.held.clone());
    let mut three = Client::new("three", &["t", "u"]);
    c.settle(&mut [&mut one, &mut two, &mut three]);
    assert!(one.held.is_subset(&first) && two.held.is_subset(&second));
    assert_eq!(one.held.len() + two.held.len() + three.held.len(), 8);
    assert!(three.held.len() >= 2);
}

#[test]
fn ranges_are_neighbours_of_every_topic() {
    let mut c = Coordinator::new();
    let new = |id: &str, reads: &[&str]| Client { assignor: Some("range".into()), ..Client::new(id, reads) };
    let (mut one, mut two) = (new("a", &["t", "u"]), new("b", &["t"]));
    c.beat(&mut one).expect("joined");
    c.beat(&mut two).expect("joined");
    c.settle(&mut [&mut one, &mut two]);
    let of = |client: &Client, topic: &str| {
        client.held.iter().filter(|(of, _)| *of == id(topic)).map(|(_, index)| *index).collect::<Vec<_>>()
    };
    assert_eq!((of(&one, "t"), of(&two, "t")), (vec![0, 1, 2], vec![3, 4]));
    assert_eq!((of(&one, "u"), of(&two, "u")), (vec![0, 1, 2], vec![]));
}

#[test]
fn members_and_what_they_have_survive_the_coordinator() {
    let mut c = Coordinator::new();
    let (mut one, mut two) = (Client::new("one", &["t"]), Client::new("two", &["t"]));
    c.beat(&mut one).expect("joined");
    c.beat(&mut two).expect("joined");
    c.settle(&mut [&mut one, &mut two]);
    let (epoch, held) = (one.epoch, one.held.clone());
    c.fail_over();
    c.beat(&mut one).expect("known");
    assert_eq!((one.epoch, &one.held, c.state()), (epoch, &held, "Stable"));
    c.now += GroupConfig::default().consumer_session_timeout;
    c.groups.tick(c.now);
    assert_eq!(c.members().len(), 0, "sessions began anew, and end");
}

#[test]
fn a_group_without_members_keeps_its_offsets_and_takes_either_protocol() {
    let mut c = Coordinator::new();
    let mut one = Client::new("one", &["t"]);
    c.beat(&mut one).expect("joined");
    let member = super::fixture::member("one", one.epoch);
    let committed = Committed { offset: 7, leader_epoch: 1, metadata: String::new() };
    let new = || vec![NewOffset { topic: "t".into(), partition: 0, committed: committed.clone() }];
    assert_eq!(c.groups.commit(c.now, &member, 69, new()), Ok(vec![0]));
    let stale = super::fixture::member("one", one.epoch + 1);
    assert_eq!(c.groups.commit(c.now, &stale, 69, new()), Err(113));
    assert_eq!(c.groups.delete_offsets("g", &[("t".to_owned(), 0)]), Ok(vec![86]));
    assert_eq!(c.groups.delete("g"), Err(68));
    assert_eq!(super::fixture::now(c.groups.join(c.now, &super::fixture::newcomer("x"))).error, 23);
    c.leave(&one, -1).expect("left");
    assert_eq!(super::fixture::now(c.groups.join(c.now, &super::fixture::newcomer("x"))).error, 79);
    assert_eq!(c.groups.committed("g", "t", 0), Some(&committed));
    assert!(c.groups.describe_consumers("g").is_none(), "it is a classic group now");
    one.abandon();
    assert_eq!(c.beat(&mut one), Err(69), "somebody is about to join with the classic protocol");
}

#[test]
fn who_is_refused_does_not_decide_the_protocol_of_a_group() {
    let mut c = Coordinator::new();
    let nobody = super::fixture::member("", -1);
    let committed = Committed { offset: 7, leader_epoch: 1, metadata: String::new() };
    let new = vec![NewOffset { topic: "t".into(), partition: 0, committed }];
    assert_eq!(c.groups.commit(c.now, &nobody, 69, new), Ok(vec![0]));
    let mut one = Client { pattern: Some("(".into()), ..Client::new("one", &["t"]) };
    assert_eq!(c.beat(&mut one), Err(128));
    assert!(c.groups.describe("g").is_some(), "still a classic group without members");
}

/// A generator of random numbers (splitmix64), the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % (limit as u64)).expect("below the limit")
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

struct Simulation {
    c: Coordinator,
    random: Random,
    clients: Vec<Client>,
    /// Processes so far.
    started: usize,
    epochs: BTreeMap<String, i32>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut simulation = Self {
            c: Coordinator::new(),
            random: Random(seed),
            clients: Vec::new(),
            started: 0,
            epochs: BTreeMap::new(),
        };
        (0..5).for_each(|number| {
            let client = simulation.start(number);
            simulation.clients.push(client);
        });
        simulation
    }

    fn start(&mut self, number: usize) -> Client {
        self.started += 1;
        let mut client = Client::new(&format!("m{}", self.started), &["t", "u"]);
        client.instance = number.is_multiple_of(3).then(|| format!("i{number}"));
        client
    }

    fn beat(&mut self, number: usize) {
        if !self.random.once_in(3) {
            self.clients[number].let_go();
        }
        let mut client = self.clients[number].clone();
        match self.c.beat(&mut client) {
            // The answer may be lost.
            Ok(()) if self.random.once_in(8) => {}
            Ok(()) => {
                let epoch = self.epochs.entry(client.id.clone()).or_default();
                assert!(client.epoch >= *epoch, "{client:?} was in {epoch}");
                *epoch = client.epoch;
                self.clients[number] = client;
            }
            Err(25 | 69 | 110) => self.clients[number].abandon(),
            // Its instance id is another's until that one's session ends.
            Err(111) => {}
            Err(82) => self.clients[number] = self.start(number),
            Err(error) => panic!("error {error} for {client:?}"),
        }
    }

    fn chaos(&mut self, number: usize) {
        match self.random.below(8) {
            // Dies, and is started anew.
            0 => self.clients[number] = self.start(number),
            1 => {
                let _ = self.c.leave(&self.clients[number], -1);
                self.clients[number].abandon();
            }
            2 if self.clients[number].instance.is_some() => {
                let _ = self.c.leave(&self.clients[number], AWAY);
                self.clients[number] = self.start(number);
            }
            3 => {
                let sets: [&[&str]; 3] = [&["t"], &["u"], &["t", "u"]];
                let reads = sets[self.random.below(3)];
                self.clients[number].reads = reads.iter().map(ToString::to_string).collect();
            }
            4 if self.random.once_in(4) => *self.c.topics.0.entry("u").or_default() += 1,
            5 if self.random.once_in(4) => self.c.fail_over(),
            6 => {
                let wanted = ["range", "uniform"][self.random.below(2)];
                self.clients[number].assignor = Some(wanted.to_owned());
            }
            _ => {}
        }
    }

    fn pass(&mut self, time: Duration) {
        self.c.now += time;
        self.c.groups.tick(self.c.now);
    }

    /// No two members work on one partition. Who was removed does not know it yet, and does not count.
    fn check(&self) {
        let members = self.c.members();
        let mut seen = Held::new();
        for client in self.clients.iter().filter(|client| members.contains(&client.id)) {
            for partition in &client.held {
                assert!(seen.insert(*partition), "{partition:?} is with two: {:?}", self.clients);
            }
        }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            let number = self.random.below(self.clients.len());
            if self.random.once_in(4) {
                self.chaos(number);
            } else {
                self.beat(number);
            }
            self.check();
            if self.random.once_in(2) {
                self.pass(STEP);
            }
        }
        self.calm();
    }

    /// From now on all behave and read the same.
    fn calm(&mut self) {
        for client in &mut self.clients {
            client.reads = ["t".to_owned(), "u".to_owned()].into();
            client.assignor = Some("uniform".to_owned());
        }
        for _ in 0..CALM_STEPS {
            for number in 0..self.clients.len() {
                self.clients[number].let_go();
                self.beat(number);
            }
            self.check();
            self.pass(STEP);
        }
        assert_eq!(self.c.state(), "Stable", "{:?}", self.clients);
        self.clients.iter_mut().for_each(Client::let_go);
        let ids: BTreeSet<String> = self.clients.iter().map(|client| client.id.clone()).collect();
        assert_eq!(self.c.members(), ids);
        let sizes: Vec<usize> = self.clients.iter().map(|client| client.held.len()).collect();
        let all: i32 = self.c.topics.0.values().sum();
        assert_eq!(i32::try_from(sizes.iter().sum::<usize>()), Ok(all), "{:?}", self.clients);
        let (least, most) = (sizes.iter().min(), sizes.iter().max());
        assert!(most <= least.map(|least| least + 1).as_ref(), "{sizes:?}");
    }
}

#[test]
fn consumer_groups_keep_their_promises_whatever_members_do() {
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| Simulation::new(seed).run());
        assert!(result.is_ok(), "seed {seed}");
    }
}

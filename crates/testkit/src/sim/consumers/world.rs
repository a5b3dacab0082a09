//! Two clusters, the switches between them, and everybody who reads.

use super::{
    Broken, Summary,
    member::{Member, Rules},
};
use crate::rng::Rng;
use pointsman_core::{
    config::Positions,
    offsets::{EndsCell, Groups, Stay, SwitchPoint, beginning},
};
use std::{collections::HashMap, sync::Arc};

const TOPIC: &str = "t";
/// Steps of 10 ms between two polls of a cluster's ends, and how late an answer may be.
const POLL: u64 = 100;
const LATE: usize = 20;
/// At a switch without notice the ends are older than this at most: a poll, its delay, and a round that was missed.
const STALE: u64 = 2 * POLL + 20;
/// Steps after the last switch, in which everybody must get to the end.
const QUIET: u64 = 1_500;
const MARGIN: i32 = 1_024;

struct Cluster {
    name: Arc<str>,
    /// By partition: when each record was written.
    logs: Vec<Vec<u64>>,
    ends: EndsCell,
    committed: HashMap<(String, usize), i64>,
    /// Asked for at one step, answered at another.
    poll: Option<(u64, Vec<i64>)>,
}

/// A stay of traffic on a cluster.
struct Visit {
    cluster: usize,
    begun: u64,
    /// The end of each log then.
    starts: Vec<i64>,
}

pub(super) struct World {
    rng: Rng,
    broken: Broken,
    step: u64,
    partitions: usize,
    clusters: [Cluster; 2],
    members: Vec<Member>,
    visits: Vec<Visit>,
    /// When, and whether with notice.
    switches: Vec<(u64, bool)>,
    groups: Groups,
    point: SwitchPoint,
    base: i32,
    summary: Summary,
    faults: Vec<String>,
}

impl World {
    pub(super) fn new(mut rng: Rng, broken: Broken) -> Self {
        let partitions = 1 + rng.below(2);
        let topic = Arc::from(TOPIC);
        let clusters = ["a", "b"].map(|name| {
            let old = |rng: &mut Rng| vec![0; rng.below(60)];
            let logs: Vec<Vec<u64>> = (0..partitions).map(|_| old(&mut rng)).collect();
            let ends = EndsCell::default();
            ends.take_ends((0..).zip(&logs).map(|(p, log)| (&topic, p, end(log))));
            ends.take_starts((0..).zip(&logs).map(|(p, _)| (&topic, p, 0)));
            Cluster { name: name.into(), logs, ends, committed: HashMap::new(), poll: None }
        });
        let members = (0..2 + rng.below(3)).map(|number| member(number, partitions, &mut rng)).collect();
        let mut at = 200;
        let mut switch = || {
            at += 60 + rng.below(600) as u64;
            (at, rng.chance(50))
        };
        let switches = (0..6).map(|_| switch()).collect::<Vec<_>>();
        let switches = switches[..1 + rng.below(6)].to_vec();
        let starts = clusters[0].logs.iter().map(|log| end(log)).collect();
        Self {
            rng,
            broken,
            step: 0,
            partitions,
            clusters,
            members,
            visits: vec![Visit { cluster: 0, begun: 0, starts }],
            switches,
            groups: Groups::default(),
            point: SwitchPoint::default(),
            base: 0,
            summary: Summary::default(),
            faults: Vec::new(),
        }
    }

    pub(super) fn run(&mut self) {
        let last = self.switches.last().map_or(0, |s| s.0);
        while self.step < last + QUIET {
            self.step += 1;
            if let Some(&(_, planned)) = self.switches.iter().find(|s| s.0 == self.step) {
                self.switch(planned);
            }
            if self.step < last + QUIET / 2 {
                self.produce();
            }
            self.poll();
            for number in 0..self.members.len() {
                self.consume(number, self.step < last);
            }
        }
    }

    fn visit(&self) -> usize {
        self.visits.len() - 1
    }

    fn active(&self) -> usize {
        self.visits[self.visit()].cluster
    }

    fn since(&self) -> u64 {
        1 + self.visit() as u64
    }

    fn produce(&mut self) {
        if self.rng.chance(40) {
            let (cluster, partition) = (self.active(), self.rng.below(self.partitions));
            self.clusters[cluster].logs[partition].push(self.step);
        }
    }

    fn poll(&mut self) {
        let topic = Arc::from(TOPIC);
        for cluster in &mut self.clusters {
            if self.step.is_multiple_of(POLL) && cluster.poll.is_none() {
                let late = self.step + self.rng.below(LATE) as u64;
                cluster.poll = Some((late, cluster.logs.iter().map(|log| end(log)).collect()));
            }
            if let Some((_, ends)) = cluster.poll.take_if(|(at, _)| *at <= self.step) {
                cluster.ends.take_ends((0..).zip(ends).map(|(p, end)| (&topic, p, end)));
            }
        }
    }

    fn switch(&mut self, planned: bool) {
        let to = 1 - self.active();
        let topic = Arc::from(TOPIC);
        let cluster = &mut self.clusters[to];
        let starts: Vec<i64> = cluster.logs.iter().map(|log| end(log)).collect();
        if planned {
            cluster.ends.take_ends((0..).zip(&starts).map(|(p, end)| (&topic, p, *end)));
            cluster.poll = None;
        }
        self.base += MARGIN;
        let (name, ends) = (cluster.name.clone(), cluster.ends.freeze());
        self.visits.push(Visit { cluster: to, begun: self.step, starts });
        self.point = SwitchPoint { generation: self.since(), cluster: name, epoch_base: self.base, ends };
        if self.broken != Broken::Kept {
            self.groups.keep(&self.point);
        }
        for member in &mut self.members {
            member.learns_at = self.step + self.rng.below(member.rules.heartbeat) as u64;
        }
    }

    fn consume(&mut self, number: usize, restless: bool) {
        let member = &mut self.members[number];
        if member.away_until > self.step {
            return;
        }
        if restless && member.rules.grouped && self.rng.below(400) == 0 {
            // It commits and leaves, for longer than a stay, perhaps.
            self.commit(number);
            let member = &mut self.members[number];
            (member.joined, member.away_until) = (None, self.step + self.rng.below(1_000) as u64);
            return;
        }
        let visit = self.visit();
        match self.members[number].joined {
            None => return self.join(number),
            Some(joined) if joined != visit && self.members[number].rules.grouped => {
                if self.members[number].learns_at <= self.step {
                    self.members[number].joined = None;
                    return;
                }
            }
            Some(_) => {}
        }
        self.validate(number);
        self.read(number);
        let member = &self.members[number];
        if member.rules.grouped && self.step >= member.committed_at + member.rules.commit_every {
            self.commit(number);
        }
    }

    fn join(&mut self, number: usize) {
        let (visit, active, since) = (self.visit(), self.active(), self.since());
        let name = self.members[number].name.clone();
        for partition in 0..self.partitions {
            let cluster = &self.clusters[active];
            let (index, last) = (i32::try_from(partition).unwrap_or(0), end(&cluster.logs[partition]));
            let grouped = self.members[number].rules.grouped;
            let committed = cluster.committed.get(&(name.clone(), partition)).copied().filter(|_| grouped);
            let stay = Stay { cluster: &cluster.name, since, point: &self.point, ends: &cluster.ends };
            let given = || match self.broken {
                Broken::SwitchPoint => None,
                Broken::LatestEnd => {
                    let known = beginning(&self.groups, Positions::SwitchPoint, &stay, &name, TOPIC, index);
                    known.map(|_| last)
                }
                _ => beginning(&self.groups, Positions::SwitchPoint, &stay, &name, TOPIC, index),
            };
            let given = if committed.is_none() && grouped { given() } else { None };
            self.summary.given += usize::from(given.is_some());
            let reset = if self.members[number].rules.latest { last } else { 0 };
            let at = committed.or(given).unwrap_or(reset);
            if let Some(at) = committed {
                self.groups.saw(&name, TOPIC, index, &cluster.name, since, at);
            }
            self.check_beginning(number, partition, at, committed.is_some());
            let member = &mut self.members[number];
            member.places[partition] = (at, self.base);
            member.was_at.insert((active, partition), at);
        }
        let member = &mut self.members[number];
        (member.joined, member.checked, member.committed_at) = (Some(visit), visit, self.step);
    }

    /// A group that was seen elsewhere does not begin far before the first stay that it has missed.
    fn check_beginning(&mut self, number: usize, partition: usize, at: i64, committed: bool) {
        let member = &self.members[number];
        let Some((seen, ..)) = member.seen.get(&partition).copied().filter(|_| !committed) else { return };
        let active = self.active();
        let first = self.visits.iter().skip(seen + 1).find(|v| v.cluster == active);
        let Some(first) = first else { return };
        let old = first.begun.saturating_sub(STALE);
        let log = &self.clusters[active].logs[partition];
        let floor = log.iter().take_while(|written| **written <= old).count();
        if at < i64::try_from(floor).unwrap_or(0) {
            self.faults.push(format!("{} begins at {at}, far before {floor}", member.name));
        }
    }

    /// The epoch of its position is of an older leader: it asks how far that reached.
    fn validate(&mut self, number: usize) {
        let (visit, active) = (self.visit(), self.active());
        if self.members[number].checked == visit {
            return;
        }
        self.members[number].checked = visit;
        for partition in 0..self.partitions {
            let (position, epoch) = self.members[number].places[partition];
            let last = end(&self.clusters[active].logs[partition]);
            let reset = if self.members[number].rules.latest { last } else { 0 };
            let index = i32::try_from(partition).unwrap_or(0);
            let at = match (self.members[number].rules.validates, self.broken) {
                (true, Broken::Epochs) => reset,
                (true, _) => position.min(self.point.end_of(epoch, TOPIC, index)),
                (false, _) if position > last => reset,
                (false, _) => position,
            };
            self.summary.moved += usize::from(at != position);
            self.members[number].places[partition].0 = at;
            let start = self.visits[visit].starts[partition];
            let member = &self.members[number];
            if !member.rules.grouped && at > start {
                self.faults.push(format!("{} goes on at {at}, behind {start}", member.name));
            }
        }
    }

    fn read(&mut self, number: usize) {
        let (visit, active) = (self.visit(), self.active());
        for partition in 0..self.partitions {
            let last = end(&self.clusters[active].logs[partition]);
            let (from, epoch) = self.members[number].places[partition];
            let until = last.min(from + self.rng.below(6) as i64);
            let member = &mut self.members[number];
            let is_member = member.joined == Some(visit) || !member.rules.grouped;
            for offset in from..until {
                member.read.insert((active, partition, offset));
                self.summary.read += 1;
            }
            let epoch = if until > from { self.base } else { epoch };
            member.places[partition] = (until.max(from), epoch);
            if is_member {
                member.was_at.insert((active, partition), until.max(from));
            }
        }
    }

    fn commit(&mut self, number: usize) {
        let (visit, active, since) = (self.visit(), self.active(), self.since());
        let member = &mut self.members[number];
        // A member of before the switch is not known here.
        if member.joined != Some(visit) {
            return;
        }
        member.committed_at = self.step;
        for (partition, (at, _)) in member.places.iter().enumerate() {
            let cluster = &mut self.clusters[active];
            cluster.committed.insert((member.name.clone(), partition), *at);
            let index = i32::try_from(partition).unwrap_or(0);
            self.groups.saw(&member.name, TOPIC, index, &cluster.name, since, *at);
            member.seen.entry(partition).or_insert((visit, active, *at));
        }
    }

    /// What a group was seen before, and was written before the place where it is or was last, it has read.
    pub(super) fn verdict(self) -> Result<Summary, Vec<String>> {
        let mut faults = self.faults;
        let now = self.visits.last().map_or(0, |v| v.cluster);
        for member in self.members.iter().filter(|m| m.rules.grouped) {
            for (partition, (visit, cluster, offset)) in &member.seen {
                for side in 0..2 {
                    let log = &self.clusters[side].logs[*partition];
                    let since = self.visits.get(visit + 1).map_or(u64::MAX, |v| v.begun);
                    let must =
                        |(at, written): (i64, &u64)| *written > since || (side == *cluster && at >= *offset);
                    let until = member.was_at.get(&(side, *partition)).copied().unwrap_or(0);
                    let passed = (0..until).zip(log).filter(|(at, w)| must((*at, w)));
                    let passed = passed.filter(|(at, _)| !member.read.contains(&(side, *partition, *at)));
                    let passed = passed.count();
                    if passed > 0 {
                        faults.push(format!("{} passed over {passed} records", member.name));
                    }
                    if side == now && until < end(log) {
                        faults.push(format!("{} is at {until} of {}", member.name, end(log)));
                    }
                }
            }
        }
        if faults.is_empty() { Ok(self.summary) } else { Err(faults) }
    }
}

fn member(number: usize, partitions: usize, rng: &mut Rng) -> Member {
    let grouped = rng.chance(70);
    let rules = Rules {
        // A lone consumer that does not validate is promised nothing.
        validates: !grouped || rng.chance(60),
        latest: rng.chance(70),
        grouped,
        commit_every: 10 + rng.below(100) as u64,
        heartbeat: 1 + rng.below(100),
    };
    Member::new(format!("{}{number}", if grouped { "group" } else { "lone" }), rules, partitions)
}

fn end(log: &[u64]) -> i64 {
    i64::try_from(log.len()).unwrap_or(i64::MAX)
}

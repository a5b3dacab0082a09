//! One virtual cluster: its failover machine, its history, and what clients see of it.

use super::{cluster::Watched, handover::Handover, passthrough::Side};
use crate::{clock::Clock, publish::cluster_id, state::VirtualState};
use pointsman_core::{
    Now,
    config::{VirtualClusterConfig, duration_text},
    failover::{Drained, Ended, Machine, Reason, Switch},
    health::{Standing, Verdict},
    limits::SWITCH_HISTORY,
    status::{DrainStatus, Stranded, SwitchStatus},
    topic_ids::{SavedTopics, TopicIds},
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// New topics are written down this often at most. The state is written whole.
const TOPICS_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Chain {
    pub(crate) config: VirtualClusterConfig,
    pub(crate) machine: Machine,
    pub(crate) topic_ids: Arc<TopicIds>,
    /// What the state store knows of topics, or is about to.
    topics: NotedTopics,
    pub(crate) cluster_id: Arc<str>,
    pub(crate) handover: Handover,
    /// In passthrough mode.
    pub(crate) passthrough: Option<Side>,
    /// What the machine was told of each cluster.
    pub(crate) told: HashMap<Arc<str>, Standing>,
    /// Newest first.
    pub(crate) switches: VecDeque<SwitchStatus>,
    pub(crate) switches_total: u64,
    /// Every cause is there.
    pub(crate) switches_by_cause: BTreeMap<Reason, u64>,
    /// Every end is there.
    pub(crate) drains: BTreeMap<Ended, u64>,
}

/// Topics as they were taken down last.
struct NotedTopics {
    saved: SavedTopics,
    at: Now,
    /// How often an incarnation had been raised by then, or earlier.
    raised: u64,
    /// How many real ids had been learned by then, or earlier.
    learned: u64,
}

impl NotedTopics {
    fn of(ids: &TopicIds, at: Now) -> Self {
        let (raised, learned) = (ids.raised(), ids.learned());
        Self { saved: ids.saved(), at, raised, learned }
    }
}

impl Chain {
    pub(crate) fn new(config: VirtualClusterConfig, state: Option<&VirtualState>, now: Now) -> Self {
        let (chain, rules) = (config.chain.clone(), config.failover.clone());
        let machine = match state {
            Some(state) => Machine::restore(&state.failover, chain, rules, now),
            None => Machine::new(chain, rules),
        };
        let mut by_cause: BTreeMap<Reason, u64> = Reason::ALL.map(|reason| (reason, 0)).into();
        by_cause.extend(state.iter().flat_map(|s| &s.switches_by_cause));
        let raised = state.map(|s| s.incarnations.clone()).unwrap_or_default();
        let topic_ids = TopicIds::new(&config.name, raised);
        let topic_ids = Arc::new(match state {
            Some(state) => topic_ids.with_real(&state.topic_ids),
            None => topic_ids,
        });
        Self {
            topics: NotedTopics::of(&topic_ids, now),
            topic_ids,
            cluster_id: cluster_id(&config.name),
            handover: Handover::new(state),
            passthrough: Side::new(&config),
            machine,
            told: HashMap::new(),
            switches: state.map(|s| s.switches.iter().rev().cloned().collect()).unwrap_or_default(),
            switches_total: state.map_or(0, |s| s.switches_total),
            switches_by_cause: by_cause,
            drains: Ended::ALL.map(|ended| (ended, 0)).into(),
            config,
        }
    }

    /// Whether the machine has not been told this yet; from now on it has.
    pub(crate) fn tell(&mut self, cluster: &Watched) -> Option<Verdict> {
        let verdict = cluster.health.verdict();
        let before = self.told.insert(cluster.config.name.clone(), verdict.standing);
        (before.unwrap_or(Standing::Unknown) != verdict.standing).then_some(verdict)
    }

    /// Logs a switch and remembers it.
    pub(crate) fn remember(&mut self, switch: &Switch, clusters: &[Watched], now: Now) {
        let decided = switch.trouble.map(|at| now.saturating_sub(at).as_secs_f64() * 1e3);
        let left = switch.from.as_ref().filter(|from| switch.to.as_ref() != Some(from));
        // While consumers stay there, nothing is left.
        let left = left
            .filter(|_| !self.machine.trailing())
            .and_then(|from| clusters.iter().find(|c| c.config.name == *from));
        let entry = SwitchStatus {
            generation: switch.generation,
            at_ms: Clock::unix_ms(),
            from: switch.from.as_deref().map(Into::into),
            to: switch.to.as_deref().map(Into::into),
            cause: Some(switch.reason),
            reason: self.words(switch, clusters),
            decided_in_ms: decided.map(|ms| (ms * 10.0).round() / 10.0),
            stranded: left
                .filter(|_| !self.config.replication.keeps_offsets())
                .map(|cluster| self.handover.left(&cluster.shared, switch.to.is_some())),
            drain: None,
        };
        self.keep(entry, switch.reason);
    }

    /// Logs an entry of the history and keeps it.
    pub(crate) fn keep(&mut self, entry: SwitchStatus, cause: Reason) {
        let or_none = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".into());
        tracing::warn!(
            virtual_cluster = &*self.config.name,
            generation = entry.generation,
            from = or_none(&entry.from),
            to = or_none(&entry.to),
            decided_in_ms = entry.decided_in_ms,
            "switch: {}",
            entry.reason
        );
        self.tell_stranded(entry.stranded.as_ref());
        self.switches.push_front(entry);
        self.switches.truncate(SWITCH_HISTORY);
        self.switches_total += 1;
        *self.switches_by_cause.entry(cause).or_default() += 1;
    }

    fn tell_stranded(&self, stranded: Option<&Stranded>) {
        if let Some(stranded) = stranded.filter(|s| s.records > 0) {
            tracing::warn!(
                virtual_cluster = &*self.config.name,
                cluster = stranded.cluster,
                topics = stranded.topics_total,
                "about {} records were left unread; they are read when traffic comes back",
                stranded.records
            );
        }
    }

    /// Logs the end of a drain, and remembers it with its switch.
    pub(crate) fn remember_drain(&mut self, drained: &Drained) {
        let (stranded, took_ms) = (self.handover.drained(), drained.took.as_secs_f64() * 1e3);
        tracing::info!(
            virtual_cluster = &*self.config.name,
            cluster = &*drained.cluster,
            took_ms = took_ms.round(),
            ended = drained.ended.word(),
            "consumers follow"
        );
        self.tell_stranded(stranded.as_ref());
        *self.drains.entry(drained.ended).or_default() += 1;
        if let Some(entry) = self.switches.iter_mut().find(|s| s.generation == drained.switch) {
            entry.stranded = stranded;
            entry.drain = Some(DrainStatus { took_ms: took_ms.round(), ended: drained.ended });
        }
    }

    fn words(&self, switch: &Switch, clusters: &[Watched]) -> String {
        let numbers = |name: &Option<Arc<str>>| {
            let name = name.as_deref().unwrap_or("no cluster");
            let verdict = clusters.iter().find(|c| *c.config.name == *name).map(|c| c.health.verdict());
            let mut numbers = verdict
                .map(|v| format!("{} of {} brokers are healthy, {} needed", v.healthy, v.total, v.needed))
                .unwrap_or_default();
            let cluster = clusters.iter().find(|c| *c.config.name == *name);
            if let Some(n @ 1..) = cluster.map(|c| c.health.in_recovery()) {
                numbers += &format!(", {n} in recovery mode");
            }
            (name.to_owned(), numbers)
        };
        let (from, from_numbers) = numbers(&switch.from);
        let (to, to_numbers) = numbers(&switch.to);
        match switch.reason {
            Reason::Start => format!("start: {to} is the first with quorum: {to_numbers}"),
            Reason::QuorumLost => format!("{from} lost quorum: {from_numbers}"),
            Reason::QuorumBack => format!("{to} has quorum: {to_numbers}"),
            Reason::Failback => {
                let hold = duration_text(self.config.failover.hold);
                format!("failback: {to} has had quorum for {hold}: {to_numbers}")
            }
            Reason::Command => "an operator's command".into(),
            Reason::Reconfigured => format!("the chain no longer has {from}"),
            Reason::Behind => format!("{to} goes on: the other cluster lacked records of it"),
        }
    }

    /// Takes down what grows by itself, for the state that is stored next: which topics there are, and, where it must be known because
    /// clusters hold different logs, where groups are.
    pub(crate) fn take_down(&mut self, now: Now) {
        self.topics = NotedTopics::of(&self.topic_ids, now);
        if self.keeps_groups() {
            self.handover.note_groups(now);
        }
    }

    fn keeps_groups(&self) -> bool {
        self.config.chain.len() > 1 && !self.config.replication.keeps_offsets()
    }

    /// Whether topics or groups were seen that the stored state does not know.
    pub(crate) fn saw_more(&self, now: Now) -> bool {
        let topics = now >= self.topics.at + TOPICS_EVERY && self.topic_ids.learned() != self.topics.learned;
        topics || (self.keeps_groups() && self.handover.saw_more(now))
    }

    /// Whether a topic was made again since the state was stored: its id would go back at a restart.
    pub(crate) fn outgrew_state(&self) -> bool {
        self.topic_ids.raised() != self.topics.raised
    }

    pub(crate) fn state(&mut self) -> VirtualState {
        if self.outgrew_state() {
            self.topics = NotedTopics::of(&self.topic_ids, self.topics.at);
        }
        let topics = self.topics.saved.clone();
        VirtualState {
            failover: self.machine.saved(),
            switches_total: self.switches_total,
            switches_by_cause: self.switches_by_cause.clone(),
            switches: self.switches.iter().rev().cloned().collect(),
            incarnations: topics.incarnations,
            topic_ids: topics.real,
            switch_point: self.handover.saved(),
            groups: self.handover.saved_groups(),
            commits_in_doubt: self.handover.commits.all(),
        }
    }
}

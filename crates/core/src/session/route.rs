//! Where a request goes: decided anew each time it is tried, from what is known at that moment.

use super::{
    BOOTSTRAP, ExchangeId, Peer, Purpose, Session, dispatch::decode_request, exchange::Exchange, send::Split,
};
use crate::{
    Now,
    rules::{
        Context, Route, error, k32_describe_configs,
        request::{PartitionRef, Scan},
        texts::Texts,
        transactions,
    },
    topology::{CoordinatorKind, NodeId},
};
use pointsman_wire::value::Struct;
use std::collections::BTreeMap;

/// Where a request goes.
pub(super) enum Target {
    Whole(NodeId),
    Leaders(Split),
    /// Keys (indices into the scan) by broker.
    Coordinators(BTreeMap<NodeId, Vec<usize>>),
    All(Vec<NodeId>),
    /// Something has to be learned first: coordinators of these keys, or (none) the topology.
    Unknown(CoordinatorKind, Texts),
    /// The topology lacks a topic.
    UnknownTopic,
    /// No broker is known at all.
    Nowhere,
    /// An earlier JoinGroup of the connection has to be answered first.
    EarlierJoin,
    /// Answered here.
    Answer(Struct),
}

impl Session {
    pub(super) fn target(
        &mut self,
        id: ExchangeId,
        frame: &[u8],
        cx: &Context<'_>,
        last_chance: bool,
        now: Now,
    ) -> Target {
        let Some(index) = id.checked_sub(self.first).and_then(|i| usize::try_from(i).ok()) else {
            return Target::Nowhere;
        };
        let Some(exchange) = self.exchanges.get(index) else { return Target::Nowhere };
        if let Some(node) = self.one_leader(exchange, cx) {
            return Target::Whole(node);
        }
        let gate = &self.gate;
        let Some(any) = self.any(id, &exchange.tried, cx) else { return Target::Nowhere };
        match exchange.rule.route {
            Route::Local | Route::Any => Target::Whole(any),
            Route::Slot(refusal) => match self.slot_broker(cx) {
                // Nobody else can answer for it.
                Some(node) if exchange.tried.contains(&node) => Target::Nowhere,
                Some(node) => Target::Whole(node),
                None if cx.topology.brokers.len() < 2 => Target::Whole(any),
                None => {
                    Target::Answer(decode_request(exchange, frame).as_ref().map(refusal).unwrap_or_default())
                }
            },
            Route::Controller => Target::Whole(self.controller(exchange, cx).unwrap_or(any)),
            Route::ConfigResources => {
                let named = decode_request(exchange, frame).as_ref().and_then(k32_describe_configs::node);
                match named.filter(|n| cx.topology.brokers.contains_key(n)) {
                    // Nobody else can answer for it.
                    Some(node) if exchange.tried.contains(&node) => Target::Nowhere,
                    named => Target::Whole(named.unwrap_or(any)),
                }
            }
            Route::All(_) => self.behind_slot(exchange, any, cx),
            Route::Coordinator(kind) | Route::Coordinators(kind, _) => {
                let again = self.joins_again(id, exchange, frame, last_chance);
                again.unwrap_or_else(|| coordinators(exchange, kind, any, cx, last_chance))
            }
            Route::ShareSession(_) => Target::Whole(self.share_session(exchange, cx).unwrap_or(any)),
            Route::Leaders(_) if exchange.rule.key == 1 && exchange.scan.fetch.in_session() => {
                self.in_fetch_session(exchange, cx)
            }
            Route::Leaders(_) => leaders(exchange, any, cx, last_chance, |p, node| {
                let (Some(producer), Some(topic)) = (p.producer, exchange.scan.topics[p.topic].name.as_ref())
                else {
                    return true;
                };
                gate.admits(producer, topic, p.index, self.way(node), now)
            }),
        }
    }

    /// The leader of every partition, where nothing else is to be considered: the usual case, in a shorter way.
    fn one_leader(&self, exchange: &Exchange, cx: &Context<'_>) -> Option<NodeId> {
        let (scan, first_try) = (&exchange.scan, exchange.tried.is_empty());
        let in_session = exchange.rule.key == 1 && scan.fetch.in_session();
        if !matches!(exchange.rule.route, Route::Leaders(_))
            || !first_try
            || in_session
            || !self.gate.is_open()
            || has_stale_marker(scan)
        {
            return None;
        }
        let mut leader = None;
        for (topic, numbers) in scan.by_topic() {
            let known = cx.topology.topics.get(topic.name.as_deref()?)?;
            for partition in &scan.partitions[numbers] {
                let plain = !partition.fenced && !partition.stale_transaction && partition.older.is_none();
                let here = known.leader(partition.index).filter(|_| plain)?;
                if *leader.get_or_insert(here) != here {
                    return None;
                }
            }
        }
        leader
    }

    /// Every live broker that the addressed slot stands for, or without slots every live broker.
    fn behind_slot(&self, exchange: &Exchange, any: NodeId, cx: &Context<'_>) -> Target {
        if cx.topology.brokers.is_empty() {
            return Target::Whole(any);
        }
        let all = || cx.topology.brokers.keys().copied().collect();
        let slots = cx.virtual_cluster.slots.len();
        let mut nodes: Vec<NodeId> =
            self.slot.map_or_else(all, |slot| cx.topology.own_brokers_of(slot, slots));
        if nodes.is_empty() {
            // More slots than brokers: each broker is asked once.
            return Target::Answer(Struct::new());
        }
        let live = |n: &NodeId| cx.topology.brokers.get(n).is_some_and(|b| b.listed);
        nodes.retain(|n| live(n) && !exchange.tried.contains(n));
        match nodes[..] {
            [] if !exchange.tried.is_empty() => Target::Nowhere,
            [node] => Target::Whole(node),
            _ => Target::All(nodes),
        }
    }

    /// A request of a fetch session goes to its broker; one that the broker cannot serve ends the session, and the client starts anew.
    fn in_fetch_session(&self, exchange: &Exchange, cx: &Context<'_>) -> Target {
        let gone = || Target::Answer(Struct::new().with("ErrorCode", error::FETCH_SESSION_ID_NOT_FOUND));
        if cx.virtual_cluster.staying().is_some() {
            return gone();
        }
        let Some(node) = self.fetch_sessions.get(&exchange.scan.fetch.session_id).copied() else {
            return gone();
        };
        let scan = &exchange.scan;
        let elsewhere = scan.partitions.iter().any(|p| {
            let name = scan.topics[p.topic].name.as_deref();
            p.fenced || name.and_then(|n| cx.topology.leader(n, p.index)) != Some(node)
        });
        if elsewhere { gone() } else { Target::Whole(node) }
    }

    fn share_session(&self, exchange: &Exchange, cx: &Context<'_>) -> Option<NodeId> {
        let scan = &exchange.scan;
        let leader =
            |p: &PartitionRef| cx.topology.leader(scan.topics.get(p.topic)?.name.as_deref()?, p.index);
        self.share_broker.or_else(|| scan.partitions.iter().find_map(leader)).or_else(|| self.slot_broker(cx))
    }

    /// A broker for a request that any can serve: one that is connected, else the slot's own, else any listed, else a bootstrap server.
    pub(super) fn any(&self, id: ExchangeId, tried: &[NodeId], cx: &Context<'_>) -> Option<NodeId> {
        let peer = |node: &NodeId| Peer { since: cx.active.since, node: *node };
        let amid = |node: &NodeId| self.incoming.as_ref().is_some_and(|i| i.goes_to(peer(node)));
        let fresh =
            |node: &NodeId| !tried.contains(node) && !amid(node) && !self.is_overtaken(id, peer(node));
        let listed = |node: &NodeId| cx.topology.brokers.get(node).is_some_and(|b| b.listed);
        let links = self.links.keys().filter(|p| p.since == cx.active.since).map(|p| p.node);
        let connected = links.into_iter().find(|n| fresh(n) && listed(n));
        let own = || self.slot_broker(cx).filter(|n| fresh(n) && listed(n));
        let brokers = || cx.topology.brokers.keys().copied().find(|n| fresh(n) && listed(n));
        let bootstrap = || {
            let count = NodeId::try_from(cx.active.cluster.bootstrap.len()).unwrap_or(0);
            (0..count).map(|i| BOOTSTRAP - i).find(fresh)
        };
        connected.or_else(own).or_else(brokers).or_else(bootstrap)
    }

    /// Whether a later request is under way to `peer`. A request that is tried again must not queue behind it: a large answer to
    /// the later one would wait for this one, and this one behind it, for ever.
    fn is_overtaken(&self, id: ExchangeId, peer: Peer) -> bool {
        let later = |purpose: &Purpose| matches!(purpose, Purpose::Exchange { id: other, .. } if *other > id);
        self.links.get(&peer).is_some_and(|l| l.pending.iter().any(|p| later(&p.purpose)))
    }

    fn slot_broker(&self, cx: &Context<'_>) -> Option<NodeId> {
        cx.topology.brokers_of(self.slot?, cx.virtual_cluster.slots.len()).first().copied()
    }

    fn controller(&self, exchange: &Exchange, cx: &Context<'_>) -> Option<NodeId> {
        let controller = cx.topology.controller.filter(|n| !exchange.tried.contains(n))?;
        cx.topology.brokers.get(&controller).filter(|b| b.listed).map(|_| controller)
    }
}

fn coordinators(
    exchange: &Exchange,
    kind: CoordinatorKind,
    any: NodeId,
    cx: &Context<'_>,
    last_chance: bool,
) -> Target {
    let cell = &cx.active.cluster.topology;
    let mut groups: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    let mut unknown = Texts::default();
    for (number, key) in exchange.scan.keys.iter().enumerate() {
        match cell.coordinator(kind, key).filter(|n| cx.topology.brokers.contains_key(n)) {
            Some(node) => groups.entry(node).or_default().push(number),
            None if last_chance => groups.entry(any).or_default().push(number),
            None => unknown.push(key),
        }
    }
    if !unknown.is_empty() {
        return Target::Unknown(kind, unknown);
    }
    let splits = matches!(exchange.rule.route, Route::Coordinators(..));
    match groups.len() {
        0 => Target::Whole(any),
        1 => Target::Whole(groups.into_keys().next().unwrap_or(any)),
        _ if splits => Target::Coordinators(groups),
        // AddPartitionsToTxn as brokers send it to a coordinator: the first transaction says to which.
        _ => Target::Whole(groups.into_iter().find(|(_, n)| n.contains(&0)).map_or(any, |(node, _)| node)),
    }
}

/// Whether one of them must not be sent, be it for partitions or not.
fn has_stale_marker(scan: &Scan) -> bool {
    scan.markers.iter().any(|marker| marker.stale)
}

fn leaders(
    exchange: &Exchange,
    any: NodeId,
    cx: &Context<'_>,
    last_chance: bool,
    admits: impl Fn(&PartitionRef, NodeId) -> bool,
) -> Target {
    let scan = &exchange.scan;
    let mut groups: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    let mut refused: BTreeMap<i16, Vec<usize>> = BTreeMap::new();
    let mut answered = Vec::new();
    for (number, partition) in scan.partitions.iter().enumerate() {
        let topic = scan.topics[partition.topic].name.as_deref();
        if partition.fenced {
            refused.entry(error::FENCED_LEADER_EPOCH).or_default().push(number);
            continue;
        }
        if partition.stale_transaction {
            let code = transactions::lost(exchange.rule.key, exchange.version);
            refused.entry(code).or_default().push(number);
            continue;
        }
        let known = topic.and_then(|t| cx.topology.leader(t, partition.index));
        if known.is_none() && topic.is_some_and(|t| !cx.topology.topics.contains_key(t)) && !last_chance {
            return Target::UnknownTopic;
        }
        if partition.older.is_some() && topic.is_some_and(|t| cx.topology.topics.contains_key(t)) {
            answered.push(number);
            continue;
        }
        groups.entry(known.unwrap_or(any)).or_default().push(number);
    }
    // Only a batch that would be sent may open its gate.
    for (node, chosen) in &mut groups {
        chosen.retain(|number| {
            let admitted = admits(&scan.partitions[*number], *node);
            if !admitted {
                refused.entry(error::NOT_LEADER_OR_FOLLOWER).or_default().push(*number);
            }
            admitted
        });
    }
    groups.retain(|_, chosen| !chosen.is_empty());
    refused.values_mut().for_each(|chosen| chosen.sort_unstable());
    let whole = refused.is_empty() && answered.is_empty() && !has_stale_marker(scan);
    match groups.len() {
        0 if whole && scan.partitions.is_empty() => Target::Whole(any),
        1 if whole => Target::Whole(groups.into_keys().next().unwrap_or(any)),
        _ => Target::Leaders(Split { groups, refused, answered }),
    }
}

//! One rule per api: where its requests go, how they are split and merged, and what answers them when no broker can.
//!
//! The files `kNN_name.rs` are the rules; their listing is the coverage matrix. What all apis share is translated by entity, in
//! [`request`] (virtual to real) and [`response`] (real to virtual), from the marks in the schema tables, so that a rule only
//! says what is special about its api. An api without a rule is not offered to clients.

mod configs;
pub mod request;
pub mod response;
mod shape;
pub(crate) mod side;
mod table;
pub mod texts;
pub mod transactions;

mod k00_produce;
mod k01_fetch;
mod k02_list_offsets;
pub(crate) mod k03_metadata;
mod k08_offset_commit;
mod k09_offset_fetch;
pub(crate) mod k10_find_coordinator;
pub(crate) mod k11_join_group;
mod k15_describe_groups;
mod k16_list_groups;
pub(crate) mod k18_api_versions;
mod k19_create_topics;
mod k21_delete_records;
mod k22_init_producer_id;
pub(crate) mod k23_offset_for_leader_epoch;
mod k24_add_partitions_to_txn;
mod k27_write_txn_markers;
mod k28_txn_offset_commit;
pub(crate) mod k32_describe_configs;
mod k34_alter_replica_log_dirs;
mod k35_describe_log_dirs;
mod k42_delete_groups;
mod k55_describe_quorum;
mod k60_describe_cluster;
mod k61_describe_producers;
mod k65_describe_transactions;
mod k66_list_transactions;
mod k69_consumer_group_describe;
mod k77_share_group_describe;
mod k78_share_fetch;
mod k79_share_acknowledge;
mod k89_streams_group_describe;
mod k90_describe_share_group_offsets;

use crate::{
    offer::Offer,
    snapshot::{Active, VirtualCluster},
    topology::{CoordinatorKind, Topology},
};
pub use k03_metadata::observe;
use pointsman_wire::{tables, value::Struct};
pub use shape::{Keys, PartitionIds, Partitions};
pub use side::Side;
pub use table::rule;

/// Kafka error codes that Pointsman itself answers.
pub mod error {
    /// A partition's leader is elsewhere.
    pub const NOT_LEADER_OR_FOLLOWER: i16 = 6;
    /// The coordinator is not known at the moment.
    pub const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    /// The coordinator is elsewhere.
    pub const NOT_COORDINATOR: i16 = 16;
    /// The coordinator reads its log: try again.
    pub const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
    /// The group is about to have other members: commit, and join again.
    pub const REBALANCE_IN_PROGRESS: i16 = 27;
    /// The group does not know the member: join again.
    pub const UNKNOWN_MEMBER_ID: i16 = 25;
    /// A member that joins for the first time was given its id, with which it joins again.
    pub const MEMBER_ID_REQUIRED: i16 = 79;
    /// There is no such group.
    pub const GROUP_ID_NOT_FOUND: i16 = 69;
    /// A request that only brokers may send.
    pub const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
    /// The request means nothing here.
    pub const INVALID_REQUEST: i16 = 42;
    /// The telemetry subscription is gone: ask for it again.
    pub const UNKNOWN_SUBSCRIPTION_ID: i16 = 117;
    /// An api or version is not offered.
    pub const UNSUPPORTED_VERSION: i16 = 35;
    /// The fetch session is gone: start a new one.
    pub const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
    /// The leader epoch in the request is of an older leader.
    pub const FENCED_LEADER_EPOCH: i16 = 74;
    /// The share session is gone: start a new one.
    pub const SHARE_SESSION_NOT_FOUND: i16 = 122;
}

/// Everything a translation may look at.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The virtual cluster of the client.
    pub virtual_cluster: &'a VirtualCluster,
    /// The cluster that serves it.
    pub active: &'a Active,
    /// What is known of that cluster.
    pub topology: &'a Topology,
}

impl Context<'_> {
    /// The slot that stands for a real node; −1 and below stay as they are.
    pub fn slot(&self, node: i32) -> i32 {
        if node < 0 {
            return node;
        }
        let slot = self.topology.slot_of(node, self.virtual_cluster.slots.len());
        i32::try_from(slot).unwrap_or(i32::MAX)
    }

    /// The real node that a slot stands for; −1, which is nobody, for what is no slot: it could be the id of a real broker.
    /// −1 and below stay as they are.
    pub fn node(&self, slot: i32) -> i32 {
        let slots = self.virtual_cluster.slots.len();
        let Ok(index) = usize::try_from(slot) else { return slot };
        if index >= slots {
            return -1;
        }
        self.topology.brokers_of(index, slots).first().copied().unwrap_or(-1)
    }

    /// Whether a client's leader epoch is of a generation after this cluster's.
    pub fn is_newer(&self, epoch: i32) -> bool {
        let active = self.virtual_cluster.active.as_ref();
        active.is_some_and(|a| a.since > self.active.since && epoch >= a.epoch_base)
    }

    /// A real leader epoch as clients see it; −1 stays.
    pub fn virtual_epoch(&self, epoch: i32) -> i32 {
        if epoch < 0 { epoch } else { self.active.epoch_base.saturating_add(epoch) }
    }

    /// A client's leader epoch as the cluster knows it, or `None` when it is of an older generation. One of a newer generation
    /// is −1: the client has seen metadata of the cluster that it has not followed to yet.
    pub fn real_epoch(&self, epoch: i32) -> Option<i32> {
        if epoch < 0 || self.is_newer(epoch) {
            return Some(epoch.min(-1));
        }
        (epoch >= self.active.epoch_base).then(|| epoch - self.active.epoch_base)
    }
}

/// Which broker a request is for.
#[derive(Debug, Clone, Copy)]
pub enum Route {
    /// Answered by Pointsman.
    Local,
    /// Any broker.
    Any,
    /// The broker that the addressed slot stands for: the answer is about that broker. Where all slots share a port, it is not known
    /// which of several brokers is meant, and the request is answered with what the function makes of it.
    Slot(fn(&Struct) -> Struct),
    /// The controller (any broker forwards to it, but before KRaft it had to be the controller itself).
    Controller,
    /// The leader of each partition.
    Leaders(&'static Partitions),
    /// The coordinator of the group or transactional id; without one in the request, any broker.
    Coordinator(CoordinatorKind),
    /// The coordinator of each of several groups or transactional ids.
    Coordinators(CoordinatorKind, &'static Keys),
    /// Every broker that the addressed slot stands for; the named arrays are put together.
    All(&'static str),
    /// The broker named in the request's first BROKER resource, else any.
    ConfigResources,
    /// The broker that keeps this connection's share sessions.
    ShareSession(&'static Partitions),
}

/// What answers a request that no broker will.
#[derive(Debug, Clone, Copy)]
pub enum Fail {
    /// Ask another broker: the request changes nothing, or doing it twice is harmless.
    Replay,
    /// This error at each partition of the request.
    Partitions(&'static Partitions, i16),
    /// This error at each key of the request.
    Keys(&'static Keys, i16),
    /// This error at the top of the response; the second one after a switch.
    TopLevel(i16, i16),
    /// Nothing in the response could say it: close the connection, the client asks again.
    Close,
}

/// How one api is handled.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The api key.
    pub key: i16,
    /// Where its requests go.
    pub route: Route,
    /// What answers when no broker can.
    pub fail: Fail,
    /// Special editing of the request, before it is routed: virtual to real.
    pub edit_request: Option<fn(&mut Struct, &Context<'_>)>,
    /// Special editing of the response, after the translation by entity.
    pub edit_response: Option<fn(&mut Struct, &Context<'_>)>,
    /// The response has an array `Brokers` of structures with this field for their id: clients see the slots in it.
    pub brokers: Option<&'static str>,
}

impl Rule {
    /// A rule without special editing.
    pub const fn new(key: i16, route: Route, fail: Fail) -> Self {
        Self { key, route, fail, edit_request: None, edit_response: None, brokers: None }
    }
}

/// What Pointsman itself can speak: every api that has a rule, in the versions of the tables.
pub fn ours() -> Offer {
    let known = tables::apis().iter().filter(|api| rule(api.key).is_some());
    // Features are the clusters' own: whatever they have is spoken by the apis that pass through.
    Offer { apis: known.map(|a| (a.key, (a.versions.min, a.versions.max))).collect(), ..Offer::default() }
}

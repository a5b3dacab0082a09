//! What a broker answers: one file per api key.

mod groups;
mod k00_produce;
mod k01_fetch;
mod k02_list_offsets;
mod k03_metadata;
mod k10_find_coordinator;
mod k17_sasl_handshake;
mod k18_api_versions;
mod k19_create_topics;
mod k20_delete_topics;
mod k21_delete_records;
mod k22_init_producer_id;
mod k23_offset_for_leader_epoch;
mod k24_add_partitions_to_txn;
mod k25_add_offsets_to_txn;
mod k26_end_txn;
mod k27_write_txn_markers;
mod k28_txn_offset_commit;
mod k32_describe_configs;
mod k35_describe_log_dirs;
mod k36_sasl_authenticate;
mod k37_create_partitions;
mod k43_elect_leaders;
mod k44_incremental_alter_configs;
mod k55_describe_quorum;
mod k60_describe_cluster;
mod k61_describe_producers;
mod k65_describe_transactions;
mod k66_list_transactions;
mod k75_describe_topic_partitions;
mod transactions;

use crate::world::{Shared, World};
use pointsman_wire::{Struct, Value, tables};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// The apis that the sandbox has. What is missing here is not offered to clients.
const SERVED: [i16; 42] = [
    0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 32, 33, 35,
    36, 37, 42, 43, 44, 47, 55, 60, 61, 65, 66, 68, 69, 75,
];

/// The oldest versions that Apache Kafka 4 serves, where older ones are described (KIP-896).
const OLDEST: [(i16, i16); 11] =
    [(0, 3), (1, 4), (2, 1), (8, 2), (9, 1), (19, 2), (20, 1), (23, 2), (27, 1), (32, 1), (35, 1)];

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) peer: SocketAddr,
    pub(crate) mechanism: Option<String>,
    pub(crate) authenticated: bool,
}

impl Client {
    pub(crate) fn new(peer: SocketAddr) -> Self {
        Self { id: String::new(), peer, mechanism: None, authenticated: false }
    }
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) broker: usize,
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) request: &'a Struct,
}

/// What comes of it.
#[derive(Debug)]
pub(crate) enum Answer {
    Body(Struct),
    /// Encoded as another version than the request's.
    OtherVersion(Struct, i16),
    /// A Produce with acks=0 has no answer.
    Nothing,
    /// The broker hangs up.
    Close,
}

impl Call<'_> {
    /// The deadline of a request that names its own time-out in milliseconds.
    fn deadline(&self, field: &str) -> Instant {
        Instant::now() + millis(self.request.int(field))
    }

    /// Waits until metadata can be changed through this broker; false at the deadline.
    async fn controller(&self, deadline: Instant) -> bool {
        let ready = |world: &mut World| world.controller_for(self.broker).map(|_| ());
        self.shared.wait(deadline, ready).await.is_some()
    }
}

/// A time that a client gives, between nothing and an hour.
fn millis(value: i64) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0).min(3_600_000))
}

/// The versions of an api that are offered.
fn versions(key: i16) -> Option<(i16, i16)> {
    let api = tables::api(key).filter(|_| SERVED.contains(&key))?;
    let newest = api.requests.first()?.versions;
    let max = api.unstable_from.map_or(newest.max, |unstable| newest.max.min(unstable - 1));
    let oldest = OLDEST.iter().find(|(of, _)| *of == key).map_or(newest.min, |(_, oldest)| *oldest);
    Some((oldest, max))
}

/// Requests that are not decoded: unknown ones, and ApiVersions of a version that is not known.
pub(crate) fn before_decoding(shared: &Shared, key: i16, version: i16) -> Option<Answer> {
    let known = versions(key).filter(|(min, max)| (*min..=*max).contains(&version));
    match known {
        Some(_) if tables::request(key, version).is_some() => None,
        _ if key == k18_api_versions::KEY => Some(k18_api_versions::unsupported(shared)),
        _ => Some(Answer::Close),
    }
}

/// Answers a request.
pub(crate) async fn handle(call: Call<'_>, client: &mut Client) -> Answer {
    let needs_authentication = !client.authenticated && !call.shared.lock().spec.users.is_empty();
    if needs_authentication && !matches!(call.key, 17 | 18 | 36) {
        return Answer::Close;
    }
    match call.key {
        0 => Box::pin(k00_produce::handle(call)).await,
        1 => Box::pin(k01_fetch::handle(call)).await,
        2 => k02_list_offsets::handle(&call),
        3 => k03_metadata::handle(&call),
        8 | 9 | 11..=16 | 42 | 47 | 68 | 69 => Box::pin(groups::handle(call, client)).await,
        10 => k10_find_coordinator::handle(&call),
        17 => k17_sasl_handshake::handle(&call, client),
        18 => k18_api_versions::handle(&call),
        19 => Box::pin(k19_create_topics::handle(call)).await,
        20 => Box::pin(k20_delete_topics::handle(call)).await,
        21 => k21_delete_records::handle(&call),
        22 => Box::pin(k22_init_producer_id::handle(call)).await,
        23 => k23_offset_for_leader_epoch::handle(&call),
        24 => Box::pin(k24_add_partitions_to_txn::handle(call)).await,
        25 => Box::pin(k25_add_offsets_to_txn::handle(call)).await,
        26 => Box::pin(k26_end_txn::handle(call)).await,
        27 => k27_write_txn_markers::handle(&call),
        28 => Box::pin(k28_txn_offset_commit::handle(call, client)).await,
        32 => k32_describe_configs::handle(&call),
        35 => k35_describe_log_dirs::handle(&call),
        36 => k36_sasl_authenticate::handle(&call, client),
        37 => Box::pin(k37_create_partitions::handle(call)).await,
        43 => Box::pin(k43_elect_leaders::handle(call)).await,
        33 | 44 => Box::pin(k44_incremental_alter_configs::handle(call)).await,
        55 => Box::pin(k55_describe_quorum::handle(call)).await,
        60 => k60_describe_cluster::handle(&call),
        61 => k61_describe_producers::handle(&call),
        65 => k65_describe_transactions::handle(&call),
        66 => k66_list_transactions::handle(&call),
        75 => k75_describe_topic_partitions::handle(&call),
        _ => Answer::Close,
    }
}

/// The topic that a request names, or names by id.
fn topic_name(world: &World, broker: usize, topic: &Struct, name: &str) -> Option<Arc<str>> {
    let view = &world.brokers[broker].view;
    match Uuid::from_bytes(topic.uuid("TopicId")) {
        id if !id.is_nil() => view.name_of(id).cloned(),
        _ => view.topics.get_key_value(topic.str(name)).map(|(name, _)| Arc::clone(name)),
    }
}

fn array(values: impl IntoIterator<Item = Struct>) -> Value {
    Value::Array(values.into_iter().map(Value::Struct).collect())
}

fn ints(values: impl IntoIterator<Item = i32>) -> Value {
    Value::Array(values.into_iter().map(|v| Value::Int(v.into())).collect())
}

/// The ints of an array.
fn int_list(values: &[Value]) -> impl Iterator<Item = i32> + '_ {
    values.iter().filter_map(|v| i32::try_from(v.as_int()?).ok())
}

/// `CurrentLeader` of a partition, for clients that ask the wrong broker.
fn current_leader(world: &World, broker: usize, topic: &str, index: i32) -> Option<(Struct, Option<usize>)> {
    let partition = world.brokers[broker].view.partition(topic, index)?;
    let leader = world.opt_node_id(partition.leader);
    let told = Struct::new().with("LeaderId", leader).with("LeaderEpoch", partition.leader_epoch);
    Some((told, partition.leader))
}

/// `NodeEndpoints` for these brokers.
fn node_endpoints(world: &World, brokers: &[usize]) -> Value {
    let mut brokers = brokers.to_vec();
    brokers.sort_unstable();
    brokers.dedup();
    let endpoint = |b: usize| {
        Struct::new()
            .with("NodeId", world.node_id(b))
            .with("Host", HOST)
            .with("Port", i32::from(world.brokers[b].port))
            .with("Rack", Value::Null)
    };
    array(brokers.into_iter().map(endpoint))
}

/// Where brokers listen.
pub(crate) const HOST: &str = "127.0.0.1";

//! A virtual cluster with one real cluster, of which everything is known, and requests and answers that are full of identifiers.

use crate::identifiers::{
    EPOCH_BASE, FIRST_PORT, Face, NODES, PROXY_HOST, REAL_CLUSTER, REAL_EPOCH, REAL_HOST, REAL_PORT,
    REAL_TOPIC, SLOTS, VIRTUAL_CLUSTER, producers,
};
use bytes::BytesMut;
use pointsman_core::{
    Now,
    config::{Address, Positions, Replication},
    rules,
    session::{Outgoing, Output, Session},
    snapshot::{Active, Cluster, Consumers, VirtualCluster},
    topic_ids::TopicIds,
    topology::{CoordinatorKind, Observation, Partition, Topic, TopologyCell},
};
use pointsman_wire::{
    sample::sample,
    schema::{Field, Type},
    tables,
    value::{self, Struct, Value},
};
use std::sync::Arc;
use uuid::Uuid;

fn cluster() -> Arc<Cluster> {
    let topology = TopologyCell::default();
    let address = |port| Address { host: REAL_HOST.into(), port };
    let partitions = vec![Partition { leader: NODES[0], epoch: REAL_EPOCH }; 130];
    topology.merge(
        &Observation {
            cluster_id: Some(REAL_CLUSTER.into()),
            controller: Some(NODES[0]),
            brokers: vec![(NODES[0], address(REAL_PORT), None), (NODES[1], address(REAL_PORT + 1), None)],
            topics: vec![Topic { name: "topic".into(), id: REAL_TOPIC, partitions }],
            all_topics: true,
        },
        Now::ZERO,
    );
    for kind in [CoordinatorKind::Group, CoordinatorKind::Transaction] {
        topology.set_coordinator(kind, "key", Some(NODES[0]));
    }
    Arc::new(Cluster {
        name: "primary".into(),
        bootstrap: vec![address(REAL_PORT)],
        topology: Arc::new(topology),
        ends: Arc::default(),
    })
}

pub(crate) fn virtual_cluster() -> Arc<VirtualCluster> {
    let cluster = cluster();
    let slot = |n| Address { host: PROXY_HOST.into(), port: FIRST_PORT + n };
    Arc::new(VirtualCluster {
        name: "main".into(),
        cluster_id: VIRTUAL_CLUSTER.into(),
        slots: (0..SLOTS).map(slot).collect(),
        shared_port: false,
        chain: vec![cluster.clone()],
        active: Some(Active {
            cluster,
            since: 1,
            epoch_base: EPOCH_BASE,
            producer_ids: producers(),
            switch_point: Arc::default(),
        }),
        switching: false,
        consumers: Consumers::Together,
        offer: Arc::new(rules::ours()),
        topic_ids: Arc::new(TopicIds::new("main", [])),
        replication: Replication::default(),
        positions: Positions::default(),
        groups: Arc::default(),
        commits: Arc::default(),
        passthrough: None,
    })
}

/// Every api and version that is offered, but for ApiVersions, which is answered here from nothing that a cluster names.
pub(crate) fn offered() -> Vec<(i16, i16)> {
    let versions = |(key, (min, max))| (min..=max).map(move |version| (key, version));
    rules::ours().apis.into_iter().filter(|(key, _)| *key != 18).flat_map(versions).collect()
}

/// A client's connection, and what its requests and their answers are full of.
pub(crate) struct World {
    pub(crate) session: Session,
    pub(crate) virtual_topic: Uuid,
}

impl World {
    pub(crate) fn new() -> Self {
        let virtual_cluster = virtual_cluster();
        let active = virtual_cluster.active.clone().expect("active");
        let virtual_topic = virtual_cluster.topic_ids.to_virtual(&active.cluster.name, "topic", REAL_TOPIC);
        let session = Session::new(virtual_cluster, Some(0), Arc::default(), Arc::default());
        Self { session, virtual_topic }
    }

    /// A request that one broker can serve whole.
    pub(crate) fn request(&self, key: i16, version: i16, face: Face) -> Struct {
        let message = tables::request(key, version).expect("offered");
        sample(message, version, &mut |path, field| {
            servable(key, path, field).or_else(|| face.value(key, path, field, self.virtual_topic))
        })
    }

    /// A response whose every field is filled.
    pub(crate) fn response(&self, key: i16, version: i16, face: Face) -> Struct {
        let message = tables::response(key, version).expect("offered");
        sample(message, version, &mut |path, field| {
            let no_error = field.name.ends_with("ErrorCode") && matches!(field.ty, Type::Int16);
            let value = no_error.then(|| 0.into());
            // Version 0 lists client metrics only.
            let metrics = (key, version, field.name) == (74, 0, "ResourceName");
            value
                .or_else(|| metrics.then(|| "metrics".into()))
                .or_else(|| face.value(key, path, field, self.virtual_topic))
        })
    }

    /// The client asks; returns the one request that leaves for a broker.
    pub(crate) fn ask(&mut self, key: i16, version: i16) -> Outgoing {
        let body = self.request(key, version, Face::Asked);
        let frame = value::encode_request(key, version, 1, Some("client"), &body).expect("encodes");
        let mut out = Output::default();
        self.session.request(BytesMut::from(&frame[..]), Now::ZERO, &mut out);
        assert!(out.close.is_none(), "key {key} version {version}: {:?}", out.close);
        assert_eq!(out.sends.len(), 1, "key {key} version {version} goes to one broker");
        out.sends.remove(0)
    }

    /// What the client gets when a broker answers with identifiers in every field.
    pub(crate) fn through(&mut self, key: i16, version: i16) -> Struct {
        let sent = self.ask(key, version);
        let body = self.response(key, version, Face::Real);
        self.respond(key, version, &sent, &body)
    }

    /// What the client gets for an answer to what left.
    pub(crate) fn respond(&mut self, key: i16, version: i16, sent: &Outgoing, body: &Struct) -> Struct {
        let mut out = Output::default();
        let answer = frame(key, version, sent, body);
        self.session.response(sent.to, BytesMut::from(&answer[..]), Now::ZERO, &mut out);
        assert!(out.close.is_none(), "key {key} version {version}: {:?}", out.close);
        assert_eq!(out.replies.len(), 1, "key {key} version {version} is answered");
        let (correlation, body) = value::decode_response(key, version, &out.replies[0].slice(4..))
            .expect("the client can decode it");
        assert_eq!(correlation, 1, "the client's correlation id");
        body
    }
}

/// The frame of an answer to what left.
pub(crate) fn frame(key: i16, version: i16, sent: &Outgoing, body: &Struct) -> Vec<u8> {
    let correlation = i32::from_be_bytes(sent.frame[8..12].try_into().expect("four bytes"));
    value::encode_response(key, version, correlation, body).expect("encodes")
}

/// Fields by which a request is routed, so that it goes to one broker.
fn servable(key: i16, path: &str, field: &Field) -> Option<Value> {
    let keys = matches!(path, "Groups" | "GroupsNames" | "GroupIds" | "TransactionalIds" | "CoordinatorKeys");
    match field.name {
        _ if keys && matches!(field.ty, Type::Array(Type::String)) => Some(vec![Value::from("key")].into()),
        "GroupId" | "TransactionalId" | "V3AndBelowTransactionalId" => Some("key".into()),
        // A client is no replica.
        "ReplicaId" | "Acks" => Some((-1).into()),
        "SessionId" | "KeyType" => Some(0.into()),
        "Name" | "Topic" | "TopicName" if !path.contains("Configs") => Some("topic".into()),
        // The clients of AddPartitionsToTxn have one transaction each; several are for brokers.
        _ if key == 24 && path == "Transactions.VerifyOnly" => Some(false.into()),
        _ => None,
    }
}

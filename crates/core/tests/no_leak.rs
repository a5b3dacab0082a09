//! Promise 1: no upstream address, node id, cluster id or topic id reaches a client, for every api and version offered; after the
//! first switch no real producer id does either.
//!
//! Every field of every response is filled, those that could identify the real cluster with recognisable values, chosen by the
//! *names* of fields and not by the marks that the translation itself goes by. What a session then hands to its client is
//! searched for them, whatever field they are in.

use bytes::{Bytes, BytesMut};
use pointsman_core::{
    Now,
    config::{Address, Positions},
    producer_ids::ProducerIds,
    rules,
    session::{Output, Session},
    snapshot::{Active, Cluster, VirtualCluster},
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

const NODE: i32 = 7701;
const OTHER_NODE: i32 = 7702;
const REAL_PORT: i32 = 19_092;
const REAL_HOST: &str = "real-broker.internal";
const REAL_CLUSTER: &str = "REAL-cluster-id-000000";
const REAL_TOPIC: Uuid = Uuid::from_u128(0x7ea1_7ea1_7ea1_7ea1_7ea1_7ea1_7ea1_7ea1);
const REAL_DIRECTORY: Uuid = Uuid::from_u128(0xd1d1_d1d1_d1d1_d1d1_d1d1_d1d1_d1d1_d1d1);
const SLOTS: u16 = 5;
const TERM: u32 = 3;
const REAL_PRODUCER: i64 = 770_077;

fn cluster() -> Arc<Cluster> {
    let topology = TopologyCell::default();
    let address = |port| Address { host: REAL_HOST.into(), port };
    let partitions = vec![Partition { leader: NODE, epoch: 3 }; 130];
    topology.merge(
        &Observation {
            cluster_id: Some(REAL_CLUSTER.into()),
            controller: Some(NODE),
            brokers: vec![(NODE, address(19_092), None), (OTHER_NODE, address(19_093), None)],
            topics: vec![Topic { name: "topic".into(), id: REAL_TOPIC, partitions }],
            all_topics: true,
        },
        Now::ZERO,
    );
    for kind in [CoordinatorKind::Group, CoordinatorKind::Transaction] {
        topology.set_coordinator(kind, "key", Some(NODE));
    }
    Arc::new(Cluster {
        name: "primary".into(),
        bootstrap: vec![address(19_092)],
        topology: Arc::new(topology),
        ends: Arc::default(),
    })
}

fn producers() -> ProducerIds {
    ProducerIds::new("main", TERM)
}

fn virtual_cluster() -> Arc<VirtualCluster> {
    let cluster = cluster();
    let slot = |n| Address { host: "proxy.example.com".into(), port: 9092 + n };
    Arc::new(VirtualCluster {
        name: "main".into(),
        cluster_id: "VIRTUAL-cluster-id-000".into(),
        slots: (0..SLOTS).map(slot).collect(),
        shared_port: false,
        chain: vec![cluster.clone()],
        active: Some(Active {
            cluster,
            since: 1,
            epoch_base: 1000,
            producer_ids: ProducerIds::new("main", TERM),
            switch_point: Arc::default(),
        }),
        switching: false,
        offer: Arc::new(rules::ours()),
        topic_ids: Arc::new(TopicIds::new("main", [])),
        positions: Positions::default(),
        groups: Arc::default(),
    })
}

fn session(virtual_cluster: &Arc<VirtualCluster>) -> Session {
    Session::new(virtual_cluster.clone(), Some(0), Arc::default(), Arc::default())
}

/// A request that one broker can serve whole.
fn request(key: i16, version: i16, virtual_topic: Uuid) -> Bytes {
    let message = tables::request(key, version).expect("offered");
    let body = sample(message, version, &mut |path, field| {
        let keys =
            matches!(path, "Groups" | "GroupsNames" | "GroupIds" | "TransactionalIds" | "CoordinatorKeys");
        match field.name {
            _ if keys && matches!(field.ty, Type::Array(Type::String)) => {
                Some(vec![Value::from("key")].into())
            }
            "GroupId" | "TransactionalId" | "V3AndBelowTransactionalId" => Some("key".into()),
            "ReplicaId" => Some((-1).into()),
            "Acks" => Some((-1).into()),
            "SessionId" => Some(0.into()),
            "TopicId" => Some(Value::Uuid(virtual_topic.into_bytes())),
            "Name" | "Topic" | "TopicName" if !path.contains("Configs") => Some("topic".into()),
            "CurrentLeaderEpoch" | "LeaderEpoch" => Some(1003.into()),
            "ProducerId" | "V3AndBelowProducerId" => producers().given(REAL_PRODUCER).map(Into::into),
            _ => None,
        }
    });
    value::encode_request(key, version, 1, Some("client"), &body).expect("encodes").into()
}

/// A response whose every field is filled, with real identifiers wherever a name suggests one.
fn response(key: i16, version: i16) -> Struct {
    let message = tables::response(key, version).expect("offered");
    sample(message, version, &mut |path, field| {
        configuration(key, version, path, field).or_else(|| real(path, field))
    })
}

/// Resources that are brokers are named by their node id, and some configurations are addresses.
fn configuration(key: i16, version: i16, path: &str, field: &Field) -> Option<Value> {
    const BROKER: i32 = 4;
    match field.name {
        // ListConfigResources 0 lists client metrics only.
        _ if !matches!(key, 32 | 33 | 44 | 74) || (key, version) == (74, 0) => None,
        "ResourceType" => Some(BROKER.into()),
        "ResourceName" => Some(NODE.to_string().into()),
        "Name" if path.ends_with("Configs.Name") => Some("advertised.listeners".into()),
        "Value" => Some(format!("PLAINTEXT://{REAL_HOST}:{REAL_PORT}").into()),
        _ => None,
    }
}

fn real(path: &str, field: &Field) -> Option<Value> {
    if path.contains("UserEndpoint") || path.contains("ClientHost") || path.contains("Acls") {
        return None;
    }
    let name = field.name;
    let node_id =
        ["NodeId", "BrokerId", "LeaderId", "ReplicaId", "ControllerId", "PreferredReadReplica", "VoterId"];
    let node_array = ["Nodes", "Replicas", "LastKnownElr", "BrokerIds"];
    match (&field.ty, name) {
        (Type::Int32, _) if node_id.iter().any(|n| name.ends_with(n)) => Some(NODE.into()),
        (Type::Array(Type::Int32), _) if node_array.iter().any(|n| name.ends_with(n)) => {
            Some(vec![Value::from(NODE), Value::from(OTHER_NODE)].into())
        }
        (Type::String, "Host") => Some(REAL_HOST.into()),
        (Type::Int32 | Type::Uint16, "Port") => Some(REAL_PORT.into()),
        (Type::String, "ClusterId") => Some(REAL_CLUSTER.into()),
        (Type::Uuid, _) if name.contains("Directory") => Some(Value::Uuid(REAL_DIRECTORY.into_bytes())),
        (Type::Int64, _) if name.ends_with("ProducerId") => Some(REAL_PRODUCER.into()),
        (Type::Uuid, "TopicId") => Some(Value::Uuid(REAL_TOPIC.into_bytes())),
        (Type::Int16, _) if name.ends_with("ErrorCode") => Some(0.into()),
        _ => None,
    }
}

/// The first real identifier in a value, with its path.
fn leak(value: &Value, path: &str) -> Option<String> {
    let found = match value {
        Value::Int(n) => {
            *n == REAL_PRODUCER || [NODE, OTHER_NODE, REAL_PORT].iter().any(|real| i64::from(*real) == *n)
        }
        Value::String(s) => {
            s.contains(REAL_HOST) || s.contains(REAL_CLUSTER) || s.contains(&NODE.to_string())
        }
        Value::Uuid(id) => [REAL_TOPIC, REAL_DIRECTORY].iter().any(|real| real.as_bytes() == id),
        // A consumer compares these with the ids in the batches beside them, which are the log's own too.
        Value::Array(_) if path.ends_with(".AbortedTransactions") => false,
        Value::Array(items) => return items.iter().find_map(|item| leak(item, path)),
        Value::Struct(fields) => return leak_in(fields, path),
        _ => false,
    };
    found.then(|| format!("{path} = {value:?}"))
}

fn leak_in(fields: &Struct, path: &str) -> Option<String> {
    fields.fields().find_map(|(name, value)| leak(value, &format!("{path}.{name}")))
}

/// What a client gets when a broker answers with real identifiers in every field.
fn through_a_session(key: i16, version: i16) -> Struct {
    let virtual_cluster = virtual_cluster();
    let active = virtual_cluster.active.clone().expect("active");
    let virtual_topic = virtual_cluster.topic_ids.to_virtual(&active.cluster.name, "topic", REAL_TOPIC);
    let mut session = session(&virtual_cluster);
    let mut out = Output::default();
    let frame = request(key, version, virtual_topic);
    session.request(BytesMut::from(&frame[..]), Now::ZERO, &mut out);
    assert!(out.close.is_none(), "key {key} version {version}: {:?}", out.close);
    assert_eq!(out.sends.len(), 1, "key {key} version {version} goes to one broker");
    let sent = &out.sends[0];
    let correlation = i32::from_be_bytes(sent.frame[8..12].try_into().expect("four bytes"));
    let answer = value::encode_response(key, version, correlation, &response(key, version)).expect("encodes");
    let mut out = Output::default();
    session.response(sent.node, BytesMut::from(&answer[..]), Now::ZERO, &mut out);
    assert!(out.close.is_none(), "key {key} version {version}: {:?}", out.close);
    assert_eq!(out.replies.len(), 1, "key {key} version {version} is answered");
    let (correlation, body) =
        value::decode_response(key, version, &out.replies[0].slice(4..)).expect("the client can decode it");
    assert_eq!(correlation, 1, "the client's correlation id");
    body
}

#[test]
fn nothing_real_reaches_a_client_in_any_api_and_version_offered() {
    let mut checked = 0;
    for (key, (min, max)) in rules::ours().apis {
        for version in (min..=max).filter(|_| key != 18) {
            if let Some(leak) = leak_in(&through_a_session(key, version), "") {
                panic!("api key {key} version {version} leaks {leak}");
            }
            checked += 1;
        }
    }
    assert!(checked > 250, "only {checked} api versions were checked");
}

#[test]
fn the_check_would_see_a_leak_in_every_api_that_carries_identifiers() {
    for key in [0, 1, 3, 10, 22, 26, 32, 33, 44, 55, 60, 61, 65, 66, 74, 78, 79] {
        let (_, max) = rules::ours().apis[&key];
        assert!(leak_in(&response(key, max), "").is_some(), "api key {key}");
    }
}

#[test]
fn producer_ids_that_come_out_are_those_that_clients_have() {
    let given = producers().given(REAL_PRODUCER).expect("fits");
    assert_eq!(through_a_session(22, 4).int("ProducerId"), given);
    assert_eq!(through_a_session(26, 5).int("ProducerId"), given);
    for (key, array) in [(65, "TransactionStates"), (66, "TransactionStates")] {
        assert!(through_a_session(key, 0).structs(array).all(|state| state.int("ProducerId") == given));
    }
}

#[test]
fn node_ids_and_addresses_that_come_out_are_those_of_slots() {
    let metadata = through_a_session(3, 12);
    let brokers: Vec<_> = metadata.structs("Brokers").map(|b| (b.i32("NodeId"), b.i32("Port"))).collect();
    assert_eq!(brokers, (0..5).map(|n| (n, 9092 + n)).collect::<Vec<_>>());
    assert_eq!(metadata.str("ClusterId"), "VIRTUAL-cluster-id-000");
    let partition =
        metadata.structs("Topics").next().and_then(|t| t.structs("Partitions").next()).expect("one");
    assert_eq!((partition.i32("LeaderId"), partition.array("ReplicaNodes").len()), (0, 2));
    let coordinator = through_a_session(10, 2);
    assert_eq!(
        (coordinator.i32("NodeId"), coordinator.str("Host"), coordinator.i32("Port")),
        (0, "proxy.example.com", 9092)
    );
}

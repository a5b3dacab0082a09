//! A status in which every field has a value: what the tests of the pages show.

use pointsman_core::{
    config::{Positions, Replication, Scope},
    failover::{Ended, Reason},
    status::{
        BrokerStatus, ClusterStatus, DrainStatus, DrainingStatus, SlotStatus, StandbyDifferences, Status,
        Stranded, StrandedTopic, SwitchPointStatus, SwitchStatus, VirtualClusterStatus,
    },
    topology::TopicDifference,
};

fn broker(address: &str, state: &'static str) -> BrokerStatus {
    let healthy = state == "healthy";
    BrokerStatus {
        address: address.into(),
        node: healthy.then_some(4),
        state,
        reason: (!healthy).then(|| "connection refused".into()),
        probe_ms: healthy.then_some(1.5),
    }
}

fn cluster(name: &str, brokers: Vec<BrokerStatus>) -> ClusterStatus {
    let healthy = brokers.iter().filter(|b| b.state == "healthy").count();
    let notes = vec!["the metadata quorum cannot be asked with these credentials".into()];
    ClusterStatus {
        name: name.into(),
        quorum: healthy > 0,
        healthy,
        needed: 1,
        brokers,
        topics: 2,
        offsets_age_s: Some(0.5),
        notes,
    }
}

/// After a failover from `primary` to `secondary`.
pub(crate) fn status() -> Status {
    let topic = StrandedTopic { topic: "orders".into(), records: 12, group: "billing".into() };
    let stranded = Stranded { cluster: "primary".into(), records: 12, topics: vec![topic], topics_total: 1 };
    let point = SwitchPointStatus { generation: 7, cluster: "secondary".into(), partitions: 6 };
    let switch = SwitchStatus {
        generation: 7,
        at_ms: 1_700_000_000_500,
        from: Some("primary".into()),
        to: Some("secondary".into()),
        cause: Some(Reason::QuorumLost),
        reason: "primary lost quorum".into(),
        decided_in_ms: Some(250.0),
        stranded: Some(stranded.clone()),
        drain: Some(DrainStatus { took_ms: 2000.0, ended: Ended::Deadline }),
    };
    let differences = vec![
        TopicDifference::Missing { topic: "orders".into() },
        TopicDifference::Partitions { topic: "users".into(), expected: 6, found: 3 },
    ];
    let slot = |slot, broker: Option<&str>| SlotStatus {
        slot,
        advertised: format!("kafka.example.com:{}", 9092 + slot),
        broker: broker.map(Into::into),
        cluster: Some("secondary".into()),
        ejected: broker.is_none().then(|| "b1:9092".into()),
    };
    Status {
        version: "0.1.0",
        generation: 7,
        uptime_s: 12.5,
        state_write_failures: 3,
        clusters: vec![
            cluster("primary", vec![broker("a0:9092", "unhealthy"), broker("a1:9092", "unknown")]),
            cluster("secondary", vec![broker("b0:9092", "healthy")]),
        ],
        virtual_clusters: vec![VirtualClusterStatus {
            name: "main".into(),
            mode: "passthrough",
            scope: Some(Scope::Cluster),
            listen: "0.0.0.0:9092-9093".into(),
            chain: vec!["primary".into(), "secondary".into()],
            active: Some("secondary".into()),
            pinned: false,
            draining: Some(DrainingStatus { cluster: "primary".into(), leaving: true }),
            drains: Ended::ALL.map(|e| (e, u64::from(e == Ended::Deadline))).into(),
            connections: 1,
            slots: vec![slot(0, Some("4@b0:9092")), slot(1, None)],
            switches_total: 1,
            switches_by_cause: Reason::ALL.map(|r| (r, u64::from(r == Reason::QuorumLost))).into(),
            switches: vec![switch],
            replication: Replication::None,
            positions: Positions::SwitchPoint,
            groups_seen: 2,
            switch_point: Some(point),
            stranded: vec![stranded],
            topic_differences: vec![StandbyDifferences {
                cluster: "secondary".into(),
                topics: differences,
                total: 2,
            }],
        }],
    }
}

//! Two clusters behind a virtual one, anew for each input, so that a run depends on its input alone.

use pointsman_core::{
    Now,
    config::{Address, Positions, Replication},
    offsets::SwitchPoint,
    producer_ids::ProducerIds,
    rules,
    session::{Session, gate::Gate},
    snapshot::{Active, Cluster, Consumers, Staying, VirtualCluster},
    topic_ids::TopicIds,
    topology::{CoordinatorKind, NodeId, Observation, Partition, Topic, TopologyCell},
};
use std::sync::{Arc, OnceLock};
use uuid::Uuid;

pub(super) const GROUP: &str = "group";
const SLOTS: u16 = 3;

pub(super) struct World {
    pub(super) clusters: [Arc<Cluster>; 2],
    topic_ids: Arc<TopicIds>,
    /// Switches so far.
    /// The newest active cluster, if it still is.
    served: Option<Active>,
    term: u32,
    pub(super) now: Now,
}

/// How the chain stands.
#[derive(Clone, Copy)]
pub(super) enum Stand {
    Active(usize),
    Switching,
    Nothing,
    /// Produces have moved to the secondary, consumers have not; whether groups are asked to.
    Draining(bool),
}

/// Every api and version that a client can use.
pub(super) fn offered() -> &'static [(i16, i16)] {
    static OFFERED: OnceLock<Vec<(i16, i16)>> = OnceLock::new();
    OFFERED.get_or_init(|| {
        let versions = |(key, (min, max))| (min..=max).map(move |version| (key, version));
        rules::ours().apis.into_iter().flat_map(versions).collect()
    })
}

/// Ids of topics: virtual ones first, then real ones of either cluster, and of nobody.
pub(super) fn topic_id(number: usize) -> [u8; 16] {
    static VIRTUAL: OnceLock<[Uuid; 2]> = OnceLock::new();
    let known = VIRTUAL.get_or_init(|| {
        let ids = TopicIds::new("main", []);
        ["orders", "lines"].map(|name| ids.to_virtual(&"primary".into(), name, Uuid::nil()))
    });
    match number {
        0..4 => known[number % 2].into_bytes(),
        4 => Uuid::from_u128(0xa1).into_bytes(),
        5 => Uuid::from_u128(0xb1).into_bytes(),
        6 => [7; 16],
        _ => [0; 16],
    }
}

fn topics(ids: u128, epoch: i32, leaders: [NodeId; 3]) -> Vec<Topic> {
    let partitions: Vec<Partition> =
        leaders.iter().map(|leader| Partition { leader: *leader, epoch }).collect();
    let topic =
        |name: &str, id| Topic { name: name.into(), id: Uuid::from_u128(id), partitions: partitions.clone() };
    vec![topic("orders", ids + 1), topic("lines", ids + 2)]
}

fn cluster(name: &str, topics: Vec<Topic>) -> Arc<Cluster> {
    let topology = TopologyCell::default();
    topology.merge(&observation(name, &[1, 2, 3], topics), Now::ZERO);
    for kind in [CoordinatorKind::Group, CoordinatorKind::Transaction] {
        topology.set_coordinator(kind, GROUP, Some(2));
    }
    let bootstrap = vec![address(name, 1), address(name, 2)];
    Arc::new(Cluster { name: name.into(), bootstrap, topology: Arc::new(topology), ends: Arc::default() })
}

fn address(cluster: &str, node: NodeId) -> Address {
    Address { host: format!("{cluster}-{node}.internal").into(), port: 9000 }
}

fn observation(name: &str, nodes: &[NodeId], topics: Vec<Topic>) -> Observation {
    Observation {
        cluster_id: Some(format!("{name}-id").into()),
        controller: Some(3),
        brokers: nodes.iter().map(|n| (*n, address(name, *n), None)).collect(),
        topics,
        all_topics: true,
    }
}

impl World {
    pub(super) fn new() -> Self {
        let clusters = [
            cluster("primary", topics(0xa0, 3, [1, 2, 1])),
            cluster("secondary", topics(0xb0, 5, [2, 1, 2])),
        ];
        let topic_ids = TopicIds::new("main", []);
        for name in ["orders", "lines"] {
            topic_ids.to_virtual(&clusters[0].name, name, Uuid::nil());
        }
        Self { clusters, topic_ids: Arc::new(topic_ids), served: None, term: 0, now: Now::ZERO }
    }

    /// A client's connection, while the primary is active; `None`: all slots share a port.
    pub(super) fn session(&mut self, slot: Option<usize>) -> Session {
        let view = self.view(Stand::Active(0));
        Session::new(view, slot, Arc::new(Gate::default()), Arc::default()).with_members(Arc::default())
    }

    /// What a session adopts when the chain comes to stand like this.
    pub(super) fn view(&mut self, stand: Stand) -> Arc<VirtualCluster> {
        let stays = matches!(stand, Stand::Draining(_)).then(|| self.served.clone()).flatten();
        let leaving = matches!(stand, Stand::Draining(true));
        let readers = Arc::default();
        let stay = |on| Consumers::Stay(Box::new(Staying { on, leaving, readers }));
        let consumers = stays.map_or(Consumers::Together, stay);
        let active = match stand {
            Stand::Draining(_) => Some(self.active(&self.clusters[1].clone())),
            Stand::Active(number) => Some(self.active(&self.clusters[number].clone())),
            Stand::Switching | Stand::Nothing => None,
        };
        self.term += 1;
        self.served = active.clone();
        Arc::new(VirtualCluster {
            name: "main".into(),
            cluster_id: "main-id".into(),
            slots: (0..SLOTS).map(|n| Address { host: "proxy".into(), port: 9092 + n }).collect(),
            shared_port: false,
            chain: self.clusters.to_vec(),
            active,
            switching: matches!(stand, Stand::Switching),
            consumers,
            offer: Arc::new(rules::ours()),
            topic_ids: self.topic_ids.clone(),
            replication: Replication::default(),
            positions: Positions::default(),
            groups: Arc::default(),
            commits: Arc::default(),
            passthrough: None,
        })
    }

    fn active(&self, cluster: &Arc<Cluster>) -> Active {
        let epoch_base = 1000 * i32::try_from(self.term).unwrap_or(0);
        let (generation, ends) = (u64::from(self.term) + 1, cluster.ends.freeze());
        let point = SwitchPoint { generation, cluster: cluster.name.clone(), epoch_base, ends };
        Active {
            cluster: cluster.clone(),
            since: generation,
            epoch_base,
            producer_ids: ProducerIds::new("main", self.term),
            switch_point: Arc::new(point),
        }
    }

    /// Both clusters show themselves again, with other brokers and one topic more or less.
    pub(super) fn change(&mut self, how: u8) {
        let nodes: &[NodeId] = [&[1, 2, 3][..], &[1, 3], &[0, 1, 2, 3, 4, 5], &[2]][usize::from(how % 4)];
        let leader = nodes[usize::from(how / 4) % nodes.len()];
        for (cluster, ids) in self.clusters.iter().zip([0xa0, 0xb0]) {
            let mut seen = topics(ids + u128::from(how / 16 % 2) * 0x100, 3 + i32::from(how), [leader; 3]);
            if how & 0x40 != 0 {
                seen.pop();
            }
            if how & 0x80 != 0 {
                seen.extend(
                    topics(ids + 8, 0, [leader; 3])
                        .into_iter()
                        .map(|t| Topic { name: "new".into(), ..t })
                        .take(1),
                );
            }
            cluster.topology.merge(&observation(&cluster.name, nodes, seen), self.now);
        }
    }
}

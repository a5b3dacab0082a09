//! Tests of the plan: the law `apply(plan(a, b), a) == b`, and the words for each kind of change.

use super::*;
use crate::config::{Address, OnSwitch, ProbeKind, Quorum, Scope, SniNames};
use std::time::Duration;

/// A small deterministic generator (xorshift), so that a failure names its seed.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).expect("small")
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Some of the names, in any order.
    fn names(&mut self, of: &[&str]) -> Vec<Arc<str>> {
        let mut rest: Vec<&str> = of.to_vec();
        let count = self.below(of.len() + 1);
        (0..count).map(|_| rest.remove(self.below(rest.len())).into()).collect()
    }

    fn bootstrap(&mut self) -> Bootstrap {
        let refresh = Duration::from_secs(1 + self.below(2) as u64);
        match self.below(4) {
            0 => Bootstrap::Srv { name: self.pick(&["_k.a", "_k.b"]).into(), refresh, resolver: None },
            1 => Bootstrap::File { path: self.pick(&["a", "b"]).into(), refresh },
            n => Bootstrap::Static(vec![Address {
                host: "kafka".into(),
                port: 9000 + u16::try_from(n).expect("small"),
            }]),
        }
    }

    fn cluster(&mut self, name: Arc<str>) -> ClusterConfig {
        let health = HealthConfig {
            probe: self.pick(&[ProbeKind::Kafka, ProbeKind::Tcp]),
            interval: Duration::from_millis(100 * (1 + self.below(2) as u64)),
            quorum: self.pick(&[Quorum::Majority, Quorum::AtLeast(1)]),
            ..HealthConfig::default()
        };
        let region = self.pick(&[None, Some("eu".into())]);
        let health_listeners = vec![([127, 0, 0, 1], 9101).into(); self.below(2)];
        ClusterConfig { name, bootstrap: self.bootstrap(), region, health, health_listeners }
    }

    fn mode(&mut self) -> Mode {
        let names = SniNames { host: "b{slot}.k".into(), bootstrap: "k".into() };
        let rules = Passthrough {
            sni: self.pick(&[None, Some(names)]),
            scope: self.pick(&[Scope::Cluster, Scope::Broker]),
            on_switch: self.pick(&[OnSwitch::Close, OnSwitch::Drain(Duration::from_secs(10))]),
            idle_timeout: Duration::from_secs(60 * (1 + self.below(2) as u64)),
            ..Passthrough::default()
        };
        self.pick(&[Mode::Kafka, Mode::Passthrough(rules)])
    }

    fn virtual_cluster(&mut self, name: Arc<str>) -> VirtualClusterConfig {
        let first = 9000 + u16::try_from(self.below(2)).expect("small");
        VirtualClusterConfig {
            name,
            mode: self.mode(),
            bind: self.pick(&["0.0.0.0", "::1"]).parse().expect("an address"),
            ports: (first, first + u16::try_from(self.below(2)).expect("small")),
            slots: 1 + u16::try_from(self.below(2)).expect("small"),
            advertise: self.pick(&["a", "b"]).into(),
            chain: self.names(&["p", "q", "r"]),
            failover: FailoverConfig {
                automatic: self.below(2) == 0,
                failback: self.pick(&[Failback::Automatic, Failback::Manual]),
                hold: Duration::from_secs(self.below(2) as u64),
                catch_up: Duration::from_secs(self.below(2) as u64),
                consumer_drain: Duration::from_secs(self.below(2) as u64),
            },
            replication: self.pick(&[Replication::None, Replication::IdenticalOffsets]),
            positions: self.pick(&[Positions::SwitchPoint, Positions::Committed]),
        }
    }

    fn config(&mut self) -> Config {
        let clusters = self.names(&["p", "q", "r", "s"]);
        let virtuals = self.names(&["main", "other", "third"]);
        Config {
            admin: AdminConfig {
                listen: self.pick(&["127.0.0.1:1", "127.0.0.1:2"]).parse().expect("an address"),
            },
            state: StateConfig::File(self.pick(&["s1", "s2"]).into()),
            clusters: clusters.into_iter().map(|name| self.cluster(name)).collect(),
            virtual_clusters: virtuals.into_iter().map(|name| self.virtual_cluster(name)).collect(),
        }
    }
}

#[test]
fn a_plan_leads_from_any_configuration_to_any_other() {
    for seed in 1..=4_000 {
        let mut random = Seeded(seed);
        let (old, new) = (random.config(), random.config());
        let plan = plan(&old, &new);
        assert_eq!(apply(&plan, &old), new, "seed {seed}: {:#?}", plan.words());
        assert_eq!(plan.is_empty(), old == new, "seed {seed}");
        assert!(plan.changes.iter().all(|c| !c.words.is_empty()), "seed {seed}");
    }
}

#[test]
fn a_plan_is_refused_exactly_when_sockets_slots_state_or_replication_change() {
    for seed in 1..=4_000 {
        let mut random = Seeded(seed);
        let (old, new) = (random.config(), random.config());
        let fixed = |c: &Config| {
            let mode = |v: &VirtualClusterConfig| match &v.mode {
                Mode::Kafka => "kafka".into(),
                Mode::Passthrough(rules) => format!("{:?} {:?}", rules.sni, rules.scope),
            };
            let of = |v: &VirtualClusterConfig| {
                (v.name.clone(), v.bind, v.ports, v.slots, v.replication.word(), mode(v))
            };
            let mut sockets: Vec<_> = c.virtual_clusters.iter().map(of).collect();
            sockets.sort();
            let listeners = c.clusters.iter().filter(|c| !c.health_listeners.is_empty());
            let mut health: Vec<_> = listeners.map(|c| c.name.clone()).collect();
            health.sort();
            (c.admin.clone(), c.state.clone(), sockets, health)
        };
        assert_eq!(plan(&old, &new).refused().is_empty(), fixed(&old) == fixed(&new), "seed {seed}");
    }
}

fn parse(text: &str) -> Config {
    Config::parse(text, "pointsman.yaml", std::path::Path::new("/etc/pointsman"))
        .expect("a valid configuration")
}

const OLD: &str = "
clusters:
  primary:   { bootstrap_servers: [a0:9092, a1:9092] }
  secondary: { bootstrap_servers: [b0:9092] }
virtual_clusters:
  main: { listen: 127.0.0.1:9092, chain: [primary, secondary] }
";

#[test]
fn what_can_change_under_traffic_is_named_and_not_refused() {
    let new = parse(
        "
clusters:
  primary:
    bootstrap_servers: { file: servers.txt }
    region: eu-west
    health: { interval: 1s, quorum: 2, probe: { http: { port: 8081, path: /up } } }
  third: { bootstrap_servers: [c0:9092, c1:9092] }
virtual_clusters:
  main:
    { listen: 127.0.0.1:9092, slots: 2, advertise: kafka.example.com, chain: [primary, third],
      failover: { failback: manual, hold: 1m, consumer_drain: 0s }, positions: committed }
",
    );

    let plan = plan(&parse(OLD), &new);

    let expected = [
        "cluster secondary: removed",
        "cluster primary: bootstrap_servers [a0:9092, a1:9092] → file /etc/pointsman/servers.txt every 1s",
        "cluster primary: region none → eu-west",
        "cluster primary: health probe kafka → http :8081/up, interval 500ms → 1s, quorum majority → 2",
        "cluster third: added, with bootstrap_servers [c0:9092, c1:9092]",
        "virtual cluster main: advertise 127.0.0.1 → kafka.example.com",
        "virtual cluster main: chain [primary, secondary] → [primary, third]",
        "virtual cluster main: failover failback automatic → manual, hold 30s → 1m, consumer_drain 2s → 0s",
        "virtual cluster main: positions switch_point → committed",
    ];
    assert_eq!(plan.words(), expected);
    assert_eq!(plan.refused(), Vec::<String>::new());
}

#[test]
fn what_needs_a_restart_is_refused_by_name() {
    let new = parse(
        "
admin: { listen: 127.0.0.1:9902 }
state: { file: other.json }
clusters:
  primary:   { bootstrap_servers: [a0:9092, a1:9092, a2:9092] }
  secondary: { bootstrap_servers: [b0:9092] }
virtual_clusters:
  main: { listen: 127.0.0.1:9092, chain: [primary, secondary], replication: identical_offsets }
  other: { listen: 127.0.0.1:9100, chain: [secondary] }
",
    );

    let plan = plan(&parse(OLD), &new);

    let expected = [
        "admin: listen 127.0.0.1:9901 → 127.0.0.1:9902: needs a restart",
        "state: file /etc/pointsman/pointsman-state.json → file /etc/pointsman/other.json: needs a restart",
        "virtual cluster main: slots 2 → 3 (write `slots` to keep the number when bootstrap servers change): \
         needs a restart",
        "virtual cluster main: replication none → identical_offsets: needs a restart",
        "virtual cluster other: added: needs a restart",
    ];
    assert_eq!(plan.refused(), expected);
}

//! What a cluster should be, and the `server.properties` that follow from it.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// Description of a cluster: every broker is a controller too, and the controller quorum is all of them, so that
/// killing a majority takes the quorum with it.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// Name for messages and directories.
    pub name: String,
    /// Number of brokers.
    pub brokers: usize,
    /// Node id of the first broker; the others follow.
    pub base_node_id: usize,
    /// Client ports, one per broker; empty: free ones are picked.
    pub ports: Vec<u16>,
    /// What clients are told instead of the brokers' own addresses, for a switch that cannot rewrite them
    /// (broker `i` gets entry `i`). The brokers then have one more listener, see [`super::Cluster::front`].
    pub advertised: Vec<String>,
    /// The interfaces on which the brokers listen for what they advertise so; empty: 127.0.0.1.
    pub front_hosts: Vec<IpAddr>,
    /// What the brokers show there over TLS: a key and a chain of certificates each, as PEM; empty: no TLS.
    pub keystores: Vec<String>,
    /// Cluster id: 22 characters of URL-safe base64; `None`: a random one.
    pub cluster_id: Option<String>,
    /// `min.insync.replicas` of topics that do not say otherwise, never more than there are brokers.
    pub min_isr: usize,
    /// Further lines of `server.properties`; they win over those set here.
    pub properties: Vec<(String, String)>,
    /// Further options of the JVM.
    pub jvm_args: Vec<String>,
}

impl ClusterSpec {
    /// A cluster with the settings of a small production cluster: replication 3, min ISR 2 where it is large
    /// enough, node ids from 1.
    pub fn new(name: &str, brokers: usize) -> Self {
        Self {
            name: name.to_owned(),
            brokers,
            base_node_id: 1,
            ports: Vec::new(),
            advertised: Vec::new(),
            front_hosts: Vec::new(),
            keystores: Vec::new(),
            cluster_id: None,
            min_isr: 2,
            properties: Vec::new(),
            jvm_args: Vec::new(),
        }
    }

    /// The replication factor of internal topics and the sensible one for others.
    pub fn replication(&self) -> usize {
        self.brokers.min(3)
    }

    pub(super) fn front_host(&self, broker: usize) -> IpAddr {
        self.front_hosts.get(broker).copied().unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    pub(super) fn node_id(&self, broker: usize) -> usize {
        self.base_node_id + broker
    }

    /// The settings of a broker. Its key and certificates are in `keystore`, if it has any. `zookeeper`: for brokers that have no
    /// controllers of their own; it listens on the first controller's port.
    pub(super) fn server_properties(
        &self,
        broker: usize,
        ports: &Ports,
        data: &Path,
        keystore: &Path,
        zookeeper: bool,
    ) -> String {
        let replication = self.replication().to_string();
        let min_isr = self.min_isr.min(self.replication()).to_string();
        let (client, advertised) = self.listeners(broker, ports);
        let front = if self.keystores.is_empty() { "PLAINTEXT" } else { "SSL" };
        let mut text =
            if zookeeper { self.of_zookeeper(broker, ports) } else { self.of_quorum(broker, ports, &client) };
        if zookeeper {
            let _ = writeln!(text, "listeners={client}");
        }
        for (key, value) in [
            ("advertised.listeners", &*advertised),
            (
                "listener.security.protocol.map",
                &format!("PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,FRONT:{front}"),
            ),
            ("inter.broker.listener.name", "PLAINTEXT"),
            ("log.dirs", &data.display().to_string()),
            ("auto.create.topics.enable", "false"),
            ("min.insync.replicas", &min_isr),
            ("default.replication.factor", &replication),
            ("offsets.topic.replication.factor", &replication),
            ("offsets.topic.num.partitions", "4"),
            ("transaction.state.log.replication.factor", &replication),
            ("transaction.state.log.min.isr", &min_isr),
            ("transaction.state.log.num.partitions", "4"),
            ("share.coordinator.state.topic.replication.factor", &replication),
            ("share.coordinator.state.topic.min.isr", &min_isr),
            ("share.coordinator.state.topic.num.partitions", "4"),
            ("group.initial.rebalance.delay.ms", "0"),
            ("log.cleaner.dedupe.buffer.size", "4194304"),
        ] {
            let _ = writeln!(text, "{key}={value}");
        }
        if !self.keystores.is_empty() {
            let _ = writeln!(text, "listener.name.front.ssl.keystore.type=PEM");
            let _ = writeln!(text, "listener.name.front.ssl.keystore.location={}", keystore.display());
        }
        for (key, value) in &self.properties {
            let _ = writeln!(text, "{key}={value}");
        }
        text
    }

    fn of_quorum(&self, broker: usize, ports: &Ports, client: &str) -> String {
        format!(
            "process.roles=broker,controller\nnode.id={}\ncontroller.quorum.voters={}\n\
             controller.listener.names=CONTROLLER\nlisteners={client},CONTROLLER://127.0.0.1:{}\n",
            self.node_id(broker),
            self.voters(ports),
            ports.controller[broker],
        )
    }

    fn of_zookeeper(&self, broker: usize, ports: &Ports) -> String {
        let (id, zookeeper) = (self.node_id(broker), ports.controller[0]);
        format!("broker.id={id}\nzookeeper.connect=127.0.0.1:{zookeeper}\n")
    }

    /// Those for clients and the other brokers, and what is said of them.
    fn listeners(&self, broker: usize, ports: &Ports) -> (String, String) {
        let direct = format!("PLAINTEXT://127.0.0.1:{}", ports.client[broker]);
        let Some(advertised) = self.advertised.get(broker) else {
            return (direct.clone(), direct);
        };
        let front = format!("FRONT://{}:{}", self.front_host(broker), ports.front[broker]);
        (format!("{direct},{front}"), format!("{direct},FRONT://{advertised}"))
    }

    fn voters(&self, ports: &Ports) -> String {
        let voters: Vec<String> = (0..self.brokers)
            .map(|b| format!("{}@127.0.0.1:{}", self.node_id(b), ports.controller[b]))
            .collect();
        voters.join(",")
    }
}

/// The ports of a cluster, by broker.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    pub(super) client: Vec<u16>,
    pub(super) controller: Vec<u16>,
    pub(super) front: Vec<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(spec: &ClusterSpec, ports: &Ports) -> String {
        spec.server_properties(0, ports, Path::new("/data"), Path::new("/keystore.pem"), false)
    }

    #[test]
    fn a_single_broker_asks_for_no_second_replica() {
        let ports = Ports { client: vec![1000], controller: vec![1001], front: vec![1002] };
        let text = properties(&ClusterSpec::new("one", 1), &ports);
        assert!(text.contains("\nmin.insync.replicas=1\n"), "{text}");
        assert!(text.contains("\noffsets.topic.replication.factor=1\n"), "{text}");
        assert!(!text.contains("FRONT://"), "{text}");
    }

    #[test]
    fn with_zookeeper_nothing_is_said_of_controllers() {
        let ports = Ports { client: vec![1000], controller: vec![1001], front: vec![1002] };
        let text = ClusterSpec::new("one", 1).server_properties(
            0,
            &ports,
            Path::new("/data"),
            Path::new("/keystore.pem"),
            true,
        );
        assert!(
            text.starts_with(
                "broker.id=1\nzookeeper.connect=127.0.0.1:1001\nlisteners=PLAINTEXT://127.0.0.1:1000\n"
            ),
            "{text}"
        );
        assert!(!text.contains("process.roles") && !text.contains("voters"), "{text}");
    }

    #[test]
    fn behind_a_switch_clients_are_told_its_address() {
        let ports = Ports { client: vec![1000], controller: vec![1001], front: vec![1002] };
        let advertised = vec!["localhost:9092".to_owned()];
        let spec = ClusterSpec { advertised, ..ClusterSpec::new("one", 1) };
        let text = properties(&spec, &ports);
        for expected in [
            "\nadvertised.listeners=PLAINTEXT://127.0.0.1:1000,FRONT://localhost:9092\n",
            "\nlisteners=PLAINTEXT://127.0.0.1:1000,FRONT://127.0.0.1:1002,CONTROLLER://127.0.0.1:1001\n",
            ",FRONT:PLAINTEXT\n",
        ] {
            assert!(text.contains(expected), "expected {expected:?} in {text}");
        }
        let keystores = vec!["key and certificate".to_owned()];
        let front_hosts = vec![IpAddr::from([127, 1, 0, 1])];
        let text = properties(&ClusterSpec { keystores, front_hosts, ..spec }, &ports);
        for expected in [
            ",FRONT://127.1.0.1:1002,",
            ",FRONT:SSL\n",
            "\nlistener.name.front.ssl.keystore.type=PEM\n",
            "\nlistener.name.front.ssl.keystore.location=/keystore.pem\n",
        ] {
            assert!(text.contains(expected), "expected {expected:?} in {text}");
        }
    }
}

//! What real brokers behind passthrough have that others have not: TLS, certificates with Pointsman's name, an address of their
//! own, and a registry beside them.
//!
//! Brokers advertise Pointsman, so its ports are chosen before they start, and kept until it opens them.

use super::{
    ground::CLUSTERS,
    registry::{Mood, Registry},
};
use crate::certs::Authority;
use pointsman_sandbox::client::Tls;
use pointsman_testkit::kafka::{ClusterSpec, free_ports};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
};

/// The name by which clients call Pointsman.
pub(super) const NAME: &str = "localhost";
/// Tries of a port that is free on every broker's address.
const TRIES: usize = 20;

/// Certificates, addresses and registries, by cluster and broker.
pub(super) struct Encrypted {
    /// Whom clients trust.
    pub(super) tls: Tls,
    /// The same as a file, for Pointsman's probes and for clients that join.
    pub(super) ca_file: PathBuf,
    /// The port of all registries.
    pub(super) registry_port: u16,
    reserved: Vec<TcpListener>,
    ports: Vec<u16>,
    keystores: Vec<Vec<String>>,
    registries: Vec<Vec<Registry>>,
}

impl Encrypted {
    /// Makes everything for a Pointsman on these ports.
    pub(super) async fn prepare(reserved: Vec<TcpListener>) -> Result<Self, String> {
        let authority = Authority::new()?;
        let tls = Tls::trusting(&authority.pem())?;
        let ca_file = std::env::temp_dir().join(format!("pointsman-demo-{}-ca.pem", std::process::id()));
        std::fs::write(&ca_file, authority.pem()).map_err(|e| format!("{}: {e}", ca_file.display()))?;
        let keystores = each(|cluster, broker| {
            let own = host(cluster, broker).to_string();
            let issued = authority.broker(&own, &[NAME.to_owned(), Ipv4Addr::LOCALHOST.to_string()])?;
            Ok(format!("{}{}", issued.key, issued.chain))
        })?;
        let ports = reserved.iter().map(|l| l.local_addr().map(|at| at.port())).collect::<Result<_, _>>();
        let ports = ports.map_err(|e| e.to_string())?;
        let (registry_port, registries) = registries(&keystores).await?;
        Ok(Self { tls, ca_file, registry_port, reserved, ports, keystores, registries })
    }

    /// What the brokers of a cluster must be told, besides.
    pub(super) fn spec(&self, cluster: usize) -> ClusterSpec {
        let (name, brokers) = CLUSTERS[cluster];
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        ClusterSpec {
            advertised: self.ports.iter().take(brokers).map(|port| format!("{NAME}:{port}")).collect(),
            front_hosts: (0..brokers).map(|broker| host(cluster, broker)).collect(),
            keystores: self.keystores[cluster].clone(),
            // A killed broker may register again only when its session is over: a story should not wait 9 s for that.
            properties: vec![
                pair("broker.session.timeout.ms", "3000"),
                pair("broker.heartbeat.interval.ms", "500"),
            ],
            ..ClusterSpec::new(name, brokers)
        }
    }

    /// What registries do now.
    pub(super) fn set(&self, cluster: usize, brokers: &[usize], mood: Mood) {
        brokers.iter().filter_map(|b| self.registries.get(cluster)?.get(*b)).for_each(|r| r.set(mood));
    }

    /// Leaves Pointsman's ports to it; the first of them.
    pub(super) fn leave_ports(&mut self) -> u16 {
        self.reserved.clear();
        self.ports.first().copied().unwrap_or(0)
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        // A file that is gone already is no trouble.
        let _ = std::fs::remove_file(&self.ca_file);
    }
}

/// A broker's own address. A probe knows one port for all brokers of a cluster, so each broker needs an address of its own.
fn host(cluster: usize, broker: usize) -> IpAddr {
    let byte = |n: usize| u8::try_from(n + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, byte(cluster), byte(broker)).into()
}

fn each<T>(make: impl Fn(usize, usize) -> Result<T, String>) -> Result<Vec<Vec<T>>, String> {
    let clusters = CLUSTERS.iter().enumerate();
    clusters
        .map(|(cluster, (_, brokers))| (0..*brokers).map(|broker| make(cluster, broker)).collect())
        .collect()
}

/// All registries, on one port that is free on every address.
async fn registries(keystores: &[Vec<String>]) -> Result<(u16, Vec<Vec<Registry>>), String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let port = free_ports(1)?[0];
        match registries_on(port, keystores).await {
            Ok(registries) => return Ok((port, registries)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn registries_on(port: u16, keystores: &[Vec<String>]) -> Result<Vec<Vec<Registry>>, String> {
    let mut all = Vec::new();
    for (cluster, keystores) in keystores.iter().enumerate() {
        let mut of_cluster = Vec::new();
        for (broker, keystore) in keystores.iter().enumerate() {
            of_cluster.push(Registry::start(SocketAddr::new(host(cluster, broker), port), keystore).await?);
        }
        all.push(of_cluster);
    }
    Ok(all)
}

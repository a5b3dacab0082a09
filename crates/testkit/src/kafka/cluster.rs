//! A running cluster: brokers as processes that are killed, paused, stopped and started again.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::spec::Ports;
use super::{ClusterSpec, Kafka, Role, free_ports, older, ping};
use crate::cache;
use crate::process::{Process, last_lines, run_dir, wait_for};

/// How long a cluster may take to start: a second on an idle machine, much more on a busy one.
const START_LIMIT: Duration = Duration::from_secs(90);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// A cluster of real brokers. Dropping it kills them and removes their data.
#[derive(Debug)]
pub struct Cluster {
    kafka: Kafka,
    spec: ClusterSpec,
    ports: Ports,
    dir: PathBuf,
    /// Of releases that need it.
    zookeeper: Option<Process>,
    brokers: Vec<Option<Process>>,
}

impl Cluster {
    /// Starts all brokers at once and waits until each one answers and knows all the others.
    pub fn start(kafka: &Kafka, spec: ClusterSpec) -> Result<Self, String> {
        let mut cluster = Self::spawn(kafka, spec)?;
        cluster.wait_ready()?;
        Ok(cluster)
    }

    /// Starts all brokers without waiting, so that several clusters can start side by side.
    pub fn spawn(kafka: &Kafka, spec: ClusterSpec) -> Result<Self, String> {
        let ports = pick_ports(&spec)?;
        let dir = run_dir().join(format!("{}-{}", spec.name, ports.controller[0]));
        let brokers = (0..spec.brokers).map(|_| None).collect();
        let mut cluster = Self { kafka: kafka.clone(), spec, ports, dir, zookeeper: None, brokers };
        cluster.format()?;
        if cluster.kafka.0.release.zookeeper() {
            cluster.zookeeper = Some(cluster.launch_zookeeper()?);
        }
        for broker in 0..cluster.brokers.len() {
            cluster.launch(broker)?;
        }
        Ok(cluster)
    }

    /// Waits until every running broker answers and knows every other running one.
    pub fn wait_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_LIMIT;
        for broker in 0..self.brokers.len() {
            if self.brokers[broker].is_some() {
                let left = deadline.saturating_duration_since(Instant::now());
                wait_for(left, || self.check(broker)).map_err(|e| self.with_log(broker, &e))?;
            }
        }
        Ok(())
    }

    fn check(&mut self, broker: usize) -> Result<(), String> {
        let running = self.running().len();
        if !self.brokers[broker].as_mut().is_some_and(Process::is_alive) {
            return Err(format!("{} broker {broker} has ended", self.spec.name));
        }
        let known = ping::node_ids(self.address(broker), PING_TIMEOUT)?;
        if known.len() >= running { Ok(()) } else { Err(format!("broker {broker} knows only {known:?}")) }
    }

    fn with_log(&self, broker: usize, error: &str) -> String {
        format!("{error}\nlast lines of its log:\n{}", self.log_tail(broker, 20))
    }

    /// Name of the cluster.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Number of brokers, dead ones included.
    pub fn size(&self) -> usize {
        self.brokers.len()
    }

    /// The node id of a broker.
    pub fn node_id(&self, broker: usize) -> usize {
        self.spec.node_id(broker)
    }

    /// The client address of a broker.
    pub fn address(&self, broker: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.client[broker]))
    }

    /// The client addresses of all brokers.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        (0..self.size()).map(|b| self.address(b)).collect()
    }

    /// The addresses of the further listener that a cluster with [`ClusterSpec::advertised`] has: what is
    /// reached there names the advertised addresses.
    pub fn front(&self) -> Vec<SocketAddr> {
        let fronts = self.ports.front.iter().enumerate();
        fronts.map(|(broker, port)| SocketAddr::from((self.spec.front_host(broker), *port))).collect()
    }

    /// All addresses, as clients want them.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(ToString::to_string).collect();
        addresses.join(",")
    }

    /// Indices of the brokers whose process runs, paused ones included.
    pub fn running(&mut self) -> Vec<usize> {
        let alive = |b: &mut Option<Process>| b.as_mut().is_some_and(Process::is_alive);
        self.brokers.iter_mut().enumerate().filter_map(|(i, b)| alive(b).then_some(i)).collect()
    }

    /// The process id of a broker that was started and not yet restarted.
    pub fn pid(&self, broker: usize) -> Option<u32> {
        self.brokers[broker].as_ref().map(Process::id)
    }

    /// Kills brokers with SIGKILL, all at once, and waits until they are gone.
    pub fn kill(&mut self, brokers: &[usize]) {
        self.each(brokers, Process::kill);
        self.each(brokers, |p| drop(p.wait_exit(Duration::from_secs(10))));
    }

    /// Freezes brokers (SIGSTOP): their connections stay open and nothing answers.
    pub fn pause(&mut self, brokers: &[usize]) {
        self.each(brokers, Process::pause);
    }

    /// Lets frozen brokers go on.
    pub fn resume(&mut self, brokers: &[usize]) {
        self.each(brokers, Process::resume);
    }

    /// Asks a broker to shut down in order (SIGTERM), without waiting.
    pub fn stop(&mut self, broker: usize) {
        self.each(&[broker], Process::terminate);
    }

    /// Waits until a broker that was stopped has ended.
    pub fn wait_stopped(&mut self, broker: usize, limit: Duration) -> Result<(), String> {
        match &mut self.brokers[broker] {
            Some(process) => process.wait_exit(limit).map(drop),
            None => Ok(()),
        }
    }

    fn each(&mut self, brokers: &[usize], act: impl Fn(&mut Process)) {
        for &broker in brokers {
            if let Some(process) = &mut self.brokers[broker] {
                act(process);
            }
        }
    }

    /// Starts brokers again with their data and ports, without waiting (see [`Cluster::wait_ready`]). One that
    /// still runs is killed first.
    pub fn restart(&mut self, brokers: &[usize]) -> Result<(), String> {
        self.kill(brokers);
        brokers.iter().try_for_each(|b| self.launch(*b))
    }

    /// Makes a topic. `configs` are topic settings.
    pub fn create_topic(
        &self,
        name: &str,
        partitions: usize,
        replication: usize,
        configs: &[(&str, &str)],
    ) -> Result<(), String> {
        self.kafka.admin()?.create_topic(&self.bootstrap(), name, partitions, replication, configs)
    }

    /// Waits until every partition of a topic has a leader and all its replicas in sync.
    pub fn wait_in_sync(&self, topic: &str, limit: Duration) -> Result<(), String> {
        let admin = self.kafka.admin()?;
        wait_for(limit, || {
            let partitions = admin.describe_topic(&self.bootstrap(), topic)?;
            match partitions.iter().find(|p| p.leader < 0 || p.isr.len() < p.replicas.len()) {
                Some(behind) => Err(format!("{} {topic}: {behind:?}", self.spec.name)),
                None => Ok(()),
            }
        })
    }

    /// The last lines of a broker's log.
    pub fn log_tail(&self, broker: usize, lines: usize) -> String {
        let text = fs::read(self.log_file(broker)).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&text), lines)
    }

    /// The log file of a broker; removed with the cluster.
    pub fn log_file(&self, broker: usize) -> PathBuf {
        self.dir.join(format!("broker-{broker}.log"))
    }

    fn data(&self, broker: usize) -> PathBuf {
        self.dir.join(format!("data-{broker}"))
    }

    /// What `kafka-storage format` would leave behind.
    fn format(&self) -> Result<(), String> {
        let cluster_id = self.spec.cluster_id.clone().map_or_else(random_id, Ok)?;
        for broker in 0..self.size() {
            let data = self.data(broker);
            fs::create_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
            let zookeeper = self.kafka.0.release.zookeeper();
            if !zookeeper {
                self.format_data(broker, &data, &cluster_id)?;
            }
            let keystore = self.dir.join(format!("broker-{broker}.keystore.pem"));
            if let Some(pem) = self.spec.keystores.get(broker) {
                cache::write(&keystore, pem)?;
            }
            let properties = self.spec.server_properties(broker, &self.ports, &data, &keystore, zookeeper);
            cache::write(&self.properties_file(broker), &properties)?;
        }
        Ok(())
    }

    fn format_data(&self, broker: usize, data: &Path, cluster_id: &str) -> Result<(), String> {
        let meta = format!(
            "version=1\ncluster.id={cluster_id}\nnode.id={}\ndirectory.id={}\n",
            self.node_id(broker),
            random_id()?
        );
        cache::write(&data.join("meta.properties"), &meta)?;
        fs::copy(self.kafka.bootstrap_checkpoint(), data.join("bootstrap.checkpoint"))
            .map(drop)
            .map_err(|e| format!("bootstrap.checkpoint: {e}"))
    }

    /// Brokers try until it answers, so nobody waits for it here.
    fn launch_zookeeper(&self) -> Result<Process, String> {
        let (data, config) = (self.dir.join("zookeeper"), self.dir.join("zookeeper.properties"));
        fs::create_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
        cache::write(&config, &older::zookeeper_properties(self.ports.controller[0], &data))?;
        let log = append(&self.dir.join("zookeeper.log"))?;
        let mut java = self.kafka.java(Role::Broker);
        java.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(config);
        java.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Process::spawn(&format!("{} zookeeper", self.spec.name), &mut java)
    }

    fn properties_file(&self, broker: usize) -> PathBuf {
        self.dir.join(format!("broker-{broker}.properties"))
    }

    fn launch(&mut self, broker: usize) -> Result<(), String> {
        let log = append(&self.log_file(broker))?;
        let errors = log.try_clone().map_err(|e| format!("broker log: {e}"))?;
        let mut java = self.kafka.java(Role::Broker);
        java.args(&self.spec.jvm_args).arg("kafka.Kafka").arg(self.properties_file(broker));
        java.stdin(Stdio::null()).stdout(log).stderr(errors);
        let name = format!("{} broker {broker}", self.spec.name);
        self.brokers[broker] = Some(Process::spawn(&name, &mut java)?);
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for broker in self.brokers.iter_mut().flatten() {
            broker.kill();
        }
        self.brokers.clear();
        self.zookeeper = None;
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn pick_ports(spec: &ClusterSpec) -> Result<Ports, String> {
    let count = u16::try_from(spec.brokers).map_err(|_| "too many brokers".to_owned())?;
    let (controller, front) = (free_ports(count)?, free_ports(count)?);
    let client = if spec.ports.is_empty() { free_ports(count)? } else { spec.ports.clone() };
    if client.len() == spec.brokers && spec.brokers > 0 {
        return Ok(Ports { client, controller, front });
    }
    Err(format!("{}: {} ports given for {} brokers", spec.name, client.len(), spec.brokers))
}

fn append(path: &Path) -> Result<fs::File, String> {
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// 16 random bytes as 22 characters of URL-safe base64, as Kafka writes its ids. The first character is never
/// '-', which a command line would take for an option.
fn random_id() -> Result<String, String> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = [0_u8; 22];
    let mut source = fs::File::open("/dev/urandom").map_err(|e| format!("/dev/urandom: {e}"))?;
    std::io::Read::read_exact(&mut source, &mut bytes).map_err(|e| format!("/dev/urandom: {e}"))?;
    let mut digits: Vec<usize> = bytes.iter().map(|b| usize::from(b & 63)).collect();
    digits[0] &= 31;
    digits[21] &= 48; // the last character carries two bits only
    Ok(digits.iter().map(|d| char::from(DIGITS[*d])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_kafkas_form_and_differ() {
        let (a, b) = (random_id().unwrap(), random_id().unwrap());
        assert_eq!(a.len(), 22);
        assert_ne!(a, b);
        assert!("AQgw".contains(&a[21..]), "{a}");
    }
}

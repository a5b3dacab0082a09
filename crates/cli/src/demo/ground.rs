//! The two clusters of the demo: sandbox brokers in this process, or Apache Kafka. What follows is the same for both.

use super::{
    encrypted::Encrypted,
    registry::{self, Mood},
    view::BrokerState,
};
use pointsman_sandbox::{
    self as sandbox,
    client::{Admin, ClientConfig},
};
use pointsman_testkit::{
    kafka::{Cluster, ClusterSpec, Kafka},
    log::{ClusterLog, LogRecord},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Name and number of brokers of each cluster, in the order of the chain.
pub(super) const CLUSTERS: [(&str, usize); 2] = [("primary", 5), ("secondary", 3)];
/// Replicas of the demo's topic, and how many of them an acknowledgement needs.
const REPLICAS: usize = 3;
const MIN_ISR: (&str, &str) = ("min.insync.replicas", "2");
/// A sandbox broker serves by then, if there is a quorum.
const SERVING: Duration = Duration::from_secs(2);
const IN_SYNC: Duration = Duration::from_secs(60);

/// The clusters.
pub(super) struct Ground {
    clusters: Vec<Arc<Brokers>>,
    /// What sandbox brokers tell clients to connect to; none: their own ports.
    advertised: Vec<u16>,
    /// What real brokers behind passthrough have besides.
    pub(super) encrypted: Option<Encrypted>,
}

enum Brokers {
    Sandbox(Box<sandbox::Cluster>),
    /// Blocks, so it is asked on a thread of its own.
    Real(Box<Mutex<Cluster>>),
}

impl Ground {
    /// Starts both clusters.
    pub(super) async fn start(real: bool, encrypted: Option<Encrypted>) -> Result<Self, String> {
        let mut clusters = Vec::new();
        if real {
            let spec = |cluster: usize| match &encrypted {
                Some(encrypted) => encrypted.spec(cluster),
                None => ClusterSpec::new(CLUSTERS[cluster].0, CLUSTERS[cluster].1),
            };
            let specs: Vec<ClusterSpec> = (0..CLUSTERS.len()).map(spec).collect();
            for cluster in blocking(move || start_real(specs)).await? {
                clusters.push(Arc::new(Brokers::Real(Box::new(Mutex::new(cluster)))));
            }
        } else {
            for (name, brokers) in CLUSTERS {
                let started = sandbox::Cluster::start(sandbox::ClusterSpec::new(name, brokers)).await;
                clusters
                    .push(Arc::new(Brokers::Sandbox(Box::new(started.map_err(|e| format!("{name}: {e}"))?))));
            }
        }
        Ok(Self { clusters, advertised: Vec::new(), encrypted })
    }

    /// From now on clients are told these ports, by place.
    pub(super) fn advertise(&mut self, ports: Vec<u16>) {
        self.advertised = ports;
        (0..self.clusters.len()).for_each(|cluster| self.tell(cluster, &self.advertised));
    }

    fn tell(&self, cluster: usize, ports: &[u16]) {
        if let Brokers::Sandbox(cluster) = &*self.clusters[cluster] {
            cluster.advertise(ports);
        }
    }

    /// Bootstrap servers of a cluster.
    pub(super) fn bootstrap(&self, cluster: usize) -> Vec<String> {
        let servers = match &*self.clusters[cluster] {
            Brokers::Sandbox(cluster) => cluster.bootstrap(),
            Brokers::Real(cluster) => lock(cluster).bootstrap(),
        };
        servers.split(',').map(str::to_owned).collect()
    }

    /// Where Pointsman finds the brokers of a cluster.
    pub(super) fn servers(&self, cluster: usize) -> Vec<String> {
        match (&*self.clusters[cluster], &self.encrypted) {
            (Brokers::Real(real), Some(_)) => lock(real).front().iter().map(ToString::to_string).collect(),
            _ => self.bootstrap(cluster),
        }
    }

    /// How Pointsman asks them, as in its configuration; nothing: by default.
    pub(super) fn health(&self) -> String {
        self.encrypted.as_ref().map_or_else(String::new, |encrypted| {
            format!(
                ", health: {{ probe: {{ http: {{ port: {}, path: {}, status: 200, tls: {{ ca_file: {} }} }} }} }}",
                encrypted.registry_port,
                registry::PATH,
                encrypted.ca_file.display()
            )
        })
    }

    /// Closes the registries of brokers whose Kafka ports stay open, or opens them again.
    pub(super) fn recovery_mode(&self, cluster: usize, brokers: &[usize], on: bool) {
        self.registries(cluster, brokers, if on { Mood::Closed } else { Mood::Answers });
    }

    fn registries(&self, cluster: usize, brokers: &[usize], mood: Mood) {
        if let Some(encrypted) = &self.encrypted {
            encrypted.set(cluster, brokers, mood);
        }
    }

    /// Makes a topic in both clusters, and waits until it can be used.
    pub(super) async fn create_topic(&self, topic: &'static str, partitions: usize) -> Result<(), String> {
        for cluster in 0..self.clusters.len() {
            self.on(cluster, move |brokers| match brokers {
                Brokers::Sandbox(cluster) => cluster.create_topic(topic, partitions, REPLICAS, &[MIN_ISR]),
                Brokers::Real(cluster) => {
                    let cluster = lock(cluster);
                    cluster.create_topic(topic, partitions, REPLICAS, &[MIN_ISR])?;
                    cluster.wait_in_sync(topic, IN_SYNC)
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Ends brokers without notice.
    pub(super) async fn kill(&self, cluster: usize, brokers: Vec<usize>) -> Result<(), String> {
        self.registries(cluster, &brokers, Mood::Closed);
        self.on(cluster, move |ground| {
            match ground {
                Brokers::Sandbox(cluster) => brokers.iter().for_each(|b| cluster.kill(*b)),
                Brokers::Real(cluster) => lock(cluster).kill(&brokers),
            }
            Ok(())
        })
        .await
    }

    /// Stops brokers, so that their connections stay and nothing answers, or lets them go on.
    pub(super) async fn pause(&self, cluster: usize, broker: usize, paused: bool) -> Result<(), String> {
        self.registries(cluster, &[broker], if paused { Mood::Silent } else { Mood::Answers });
        self.on(cluster, move |ground| {
            match (ground, paused) {
                (Brokers::Sandbox(cluster), true) => cluster.pause(broker),
                (Brokers::Sandbox(cluster), false) => cluster.resume(broker),
                (Brokers::Real(cluster), true) => lock(cluster).pause(&[broker]),
                (Brokers::Real(cluster), false) => lock(cluster).resume(&[broker]),
            }
            Ok(())
        })
        .await
    }

    /// Starts killed brokers again, and waits until they serve.
    pub(super) async fn restart(&self, cluster: usize, brokers: Vec<usize>) -> Result<(), String> {
        if let Brokers::Sandbox(cluster) = &*self.clusters[cluster] {
            for broker in &brokers {
                cluster.restart(*broker).await.map_err(|e| e.to_string())?;
            }
            for broker in brokers {
                // Alone, without a quorum, it cannot serve: then it comes when the others do.
                cluster.wait_serving(broker, SERVING).await;
            }
            return Ok(());
        }
        let started = brokers.clone();
        self.on(cluster, move |ground| {
            let Brokers::Real(cluster) = ground else { return Ok(()) };
            let mut cluster = lock(cluster);
            cluster.restart(&started)?;
            cluster.wait_ready()
        })
        .await?;
        self.registries(cluster, &brokers, Mood::Answers);
        Ok(())
    }

    /// Waits until every replica of the topic is in sync again.
    pub(super) async fn wait_in_sync(&self, cluster: usize, topic: &'static str) -> Result<(), String> {
        self.on(cluster, move |ground| match ground {
            // Its followers copy at once.
            Brokers::Sandbox(_) => Ok(()),
            Brokers::Real(cluster) => lock(cluster).wait_in_sync(topic, IN_SYNC),
        })
        .await
    }

    /// Everything in a topic's log, read from the cluster's own brokers.
    pub(super) async fn log(
        &self,
        cluster: usize,
        topic: &str,
        partitions: u32,
    ) -> Result<ClusterLog, String> {
        // Its own brokers, not those to which their advertised ports lead now.
        self.tell(cluster, &[]);
        let read = self.read_log(cluster, topic, partitions).await;
        self.tell(cluster, &self.advertised);
        read
    }

    async fn read_log(&self, cluster: usize, topic: &str, partitions: u32) -> Result<ClusterLog, String> {
        let admin = Admin::new(ClientConfig::new(self.bootstrap(cluster)).client_id("demo-verdict"));
        let mut records = Vec::new();
        for partition in 0..partitions {
            let index = i32::try_from(partition).map_err(|e| e.to_string())?;
            let read = admin.read_partition(topic, index).await;
            let read =
                read.map_err(|e| format!("log of {} {topic}-{partition}: {e}", CLUSTERS[cluster].0))?;
            records.extend(read.into_iter().map(|r| LogRecord {
                partition,
                offset: u64::try_from(r.offset).unwrap_or_default(),
                value: r.record.value.map(|v| String::from_utf8_lossy(&v).into_owned()).unwrap_or_default(),
            }));
        }
        Ok(records.into_iter().collect())
    }

    /// Does something with a cluster that may block.
    async fn on<T: Send + 'static>(
        &self,
        cluster: usize,
        what: impl FnOnce(&Brokers) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let brokers = Arc::clone(&self.clusters[cluster]);
        blocking(move || what(&brokers)).await
    }
}

/// The state of every broker when all serve.
pub(super) fn all_up() -> Vec<Vec<BrokerState>> {
    CLUSTERS.iter().map(|(_, brokers)| vec![BrokerState::Up; *brokers]).collect()
}

fn start_real(specs: Vec<ClusterSpec>) -> Result<Vec<Cluster>, String> {
    Kafka::available()?;
    let kafka = Kafka::install()?;
    // All at once: they are ready together.
    let spawned: Vec<_> = specs.into_iter().map(|spec| Cluster::spawn(&kafka, spec)).collect();
    let mut clusters = Vec::new();
    for cluster in spawned {
        let mut cluster = cluster?;
        cluster.wait_ready()?;
        clusters.push(cluster);
    }
    Ok(clusters)
}

async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(what).await.unwrap_or_else(|e| Err(format!("the demo's own thread: {e}")))
}

fn lock(cluster: &Mutex<Cluster>) -> std::sync::MutexGuard<'_, Cluster> {
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}

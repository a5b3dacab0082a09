//! The clusters, the proxy and the clients, and what can be done to them.

use super::{
    Options,
    encrypted::{self, Encrypted},
    ground::{CLUSTERS, Ground},
    players::Players,
    say,
    scene::Scene,
    view::{BrokerState, EventKind},
};
use crate::run::Running;
use pointsman_core::{config::Config, snapshot::Snapshot};
use pointsman_testkit::kafka::free_ports;
use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{io::AsyncReadExt, net::TcpStream, sync::watch, task::JoinHandle, time::timeout};

pub(super) const TOPIC: &str = "demo";
pub(super) const PARTITIONS: u32 = 6;
const SLOTS: u16 = 5;
const FIRST_PORT: u16 = 9092;
/// Tries of other ranges of ports before giving up.
const RANGES: usize = 1000;
/// A connection that is not refused by then counts as not refused at all.
const REFUSAL: Duration = Duration::from_secs(5);

/// Everything on stage.
pub(super) struct Stage {
    pub(super) ground: Ground,
    pub(super) scene: Scene,
    pub(super) running: Running,
    pub(super) first_port: u16,
    /// Where Pointsman's admin API is.
    pub(super) admin: SocketAddr,
    players: Players,
    moves: JoinHandle<()>,
    state: PathBuf,
}

impl Stage {
    /// Starts all of it.
    pub(super) async fn set(options: Options, scene: Scene) -> Result<Self, String> {
        let kind = if options.kafka { "Apache Kafka" } else { "sandbox" };
        say(&format!("starting two {kind} clusters: a primary of 5 brokers and a secondary of 3 ..."));
        let mut ground = if options.kafka && options.passthrough {
            Ground::start(true, Some(Encrypted::prepare(reserve()?).await?)).await?
        } else {
            Ground::start(options.kafka, None).await?
        };
        ground.create_topic(TOPIC, PARTITIONS as usize).await?;
        let state = std::env::temp_dir().join(format!("pointsman-demo-{}.json", std::process::id()));
        let Proxy { running, first_port, admin } =
            Proxy::start(&mut ground, &state, options.passthrough).await?;
        let moves = tokio::spawn(note_moves(scene.clone(), running.snapshots()));
        let (host, tls, settings) = match &ground.encrypted {
            Some(encrypted) => {
                let ca = encrypted.ca_file.display();
                let settings = format!(" -X security.protocol=ssl -X ssl.ca.location={ca}");
                (encrypted::NAME, Some(&encrypted.tls), settings)
            }
            None => ("127.0.0.1", None, String::new()),
        };
        let players = Players::start(&scene, &format!("{host}:{first_port}"), tls, options.passthrough);
        let last = first_port + SLOTS - 1;
        say(&format!("Pointsman serves {host}:{first_port}-{last}; any Kafka client can join, for example:"));
        say(&format!("  kcat -b {host}:{first_port}{settings} -t {TOPIC} -C"));
        say(&format!("and its routing monitor: pointsman top --admin {admin}"));
        Ok(Self { ground, scene, running, first_port, admin, players, moves, state })
    }

    /// Ends brokers without notice.
    pub(super) async fn kill(&self, cluster: usize, brokers: &[usize]) {
        if brokers.is_empty() {
            return;
        }
        self.scene.fault(cluster, &format!("{} killed", named(cluster, brokers)));
        let done = self.ground.kill(cluster, brokers.to_vec()).await;
        self.scene.mark(cluster, brokers, BrokerState::Killed);
        self.report(done);
    }

    /// Stops a broker without ending it, or lets it go on.
    pub(super) async fn pause(&self, cluster: usize, broker: usize, paused: bool) {
        let name = named(cluster, &[broker]);
        let state = if paused {
            self.scene.fault(cluster, &format!("{name} paused: it stays connected and answers nothing"));
            BrokerState::Paused
        } else {
            self.scene.event(EventKind::Recovery, &format!("{name} goes on"));
            BrokerState::Up
        };
        let done = self.ground.pause(cluster, broker, paused).await;
        self.scene.mark(cluster, &[broker], state);
        self.report(done);
    }

    /// Starts killed brokers again, and waits until they serve.
    pub(super) async fn restart(&self, cluster: usize, brokers: &[usize]) {
        if brokers.is_empty() {
            return;
        }
        self.scene.event(EventKind::Recovery, &format!("{} started again", named(cluster, brokers)));
        self.scene.mark(cluster, brokers, BrokerState::Restarting);
        let done = self.ground.restart(cluster, brokers.to_vec()).await;
        self.scene.mark(cluster, brokers, BrokerState::Up);
        self.report(done);
    }

    /// Closes the registries of brokers whose Kafka ports stay open, or opens them again.
    pub(super) fn recovery_mode(&self, cluster: usize, brokers: &[usize], on: bool) {
        if brokers.is_empty() {
            return;
        }
        let brokers_named = named(cluster, brokers);
        let state = if on {
            let text = format!("{brokers_named} in recovery mode: Kafka ports open, schema registries off");
            self.scene.fault(cluster, &text);
            BrokerState::Recovery
        } else {
            let text = format!("{brokers_named} left recovery mode: schema registries answer again");
            self.scene.event(EventKind::Recovery, &text);
            BrokerState::Up
        };
        self.ground.recovery_mode(cluster, brokers, on);
        self.scene.mark(cluster, brokers, state);
    }

    /// Opens all closed registries again whose brokers live.
    pub(super) fn leave_recovery(&self) {
        for cluster in 0..CLUSTERS.len() {
            self.recovery_mode(cluster, &self.scene.are(cluster, BrokerState::Recovery), false);
        }
    }

    /// How long each of several connections waits until it is refused, or accepted and closed, in order; `None`: it is not.
    pub(super) async fn refusals(&self) -> Option<Vec<Duration>> {
        let mut all = Vec::new();
        for port in (0..3).flat_map(|_| self.first_port..self.first_port + SLOTS) {
            all.push(refusal(port).await?);
        }
        all.sort_unstable();
        Some(all)
    }

    /// Brings every broker back that is not up.
    pub(super) async fn restore_all(&self) {
        self.leave_recovery();
        for cluster in 0..CLUSTERS.len() {
            for broker in self.scene.are(cluster, BrokerState::Paused) {
                self.pause(cluster, broker, false).await;
            }
            self.restart(cluster, &self.scene.are(cluster, BrokerState::Killed)).await;
        }
    }

    fn report(&self, done: Result<(), String>) {
        if let Err(error) = done {
            self.scene.event(EventKind::Problem, &error);
        }
    }

    /// Ends the producers, which deliver what they have.
    pub(super) async fn stop_producing(&mut self) {
        self.players.stop_producing().await;
    }

    /// Ends everything.
    pub(super) async fn strike(mut self) {
        self.players.stop_producing().await;
        self.players.stop_consuming().await;
        self.moves.abort();
        self.running.stop().await;
        // The demo leaves nothing behind; a file that is gone already is no trouble.
        let _ = std::fs::remove_file(&self.state);
    }
}

async fn refusal(port: u16) -> Option<Duration> {
    let began = Instant::now();
    let ended = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.read_u8().await
    };
    match timeout(REFUSAL, ended).await {
        Ok(Err(_)) => Some(began.elapsed()),
        Ok(Ok(_)) | Err(_) => None,
    }
}

/// The first five ports in a row, from 9092 on, that nobody uses. Brokers must know them before Pointsman opens them.
fn reserve() -> Result<Vec<TcpListener>, String> {
    let ranges = (FIRST_PORT..u16::MAX - SLOTS).step_by(usize::from(SLOTS));
    let bind = |first: u16| {
        let ports = first..first + SLOTS;
        ports.map(|port| TcpListener::bind(("127.0.0.1", port))).collect::<Result<Vec<_>, _>>().ok()
    };
    ranges.take(RANGES).find_map(bind).ok_or_else(|| "no five ports in a row are free".to_owned())
}

/// "primary 1, 2 and 3".
fn named(cluster: usize, brokers: &[usize]) -> String {
    // Both grounds number their brokers from 1.
    let nodes: Vec<String> = brokers.iter().map(|b| (b + 1).to_string()).collect();
    let list = match nodes.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    };
    let what = if nodes.len() == 1 { "broker" } else { "brokers" };
    format!("{} {what} {list}", CLUSTERS[cluster].0)
}

/// Pointsman, and where it listens.
struct Proxy {
    running: Running,
    first_port: u16,
    admin: SocketAddr,
}

impl Proxy {
    /// Starts on the first range of ports from 9092 on that nobody uses. Whether that is so, only opening them tells: another
    /// demo may be looking for ports too.
    async fn start(ground: &mut Ground, state: &std::path::Path, passthrough: bool) -> Result<Self, String> {
        let chosen = ground.encrypted.as_mut().map(Encrypted::leave_ports);
        let ranges = (FIRST_PORT..u16::MAX - SLOTS).step_by(usize::from(SLOTS));
        let ranges: Vec<u16> = chosen.map_or_else(|| ranges.take(RANGES).collect(), |first| vec![first]);
        for first_port in ranges {
            if passthrough {
                ground.advertise((first_port..first_port + SLOTS).collect());
            }
            let config = config(ground, first_port, state, passthrough)?;
            let admin = config.admin.listen;
            match Running::start(config).await {
                Ok(running) => return Ok(Self { running, first_port, admin }),
                Err(error) if error.port_is_taken() => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("no five ports in a row are free".to_owned())
    }
}

async fn note_moves(scene: Scene, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
    loop {
        let active = active(&snapshots.borrow_and_update());
        scene.moved(active);
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

fn active(snapshot: &Snapshot) -> Option<usize> {
    let active = snapshot.virtual_clusters.first()?.active.as_ref()?;
    CLUSTERS.iter().position(|(name, _)| *name == &*active.cluster.name)
}

fn config(ground: &Ground, first: u16, state: &std::path::Path, passthrough: bool) -> Result<Config, String> {
    let mode = if passthrough { "passthrough" } else { "kafka" };
    let admin = free_ports(1)?[0];
    let health = ground.health();
    let text = format!(
        "admin: {{ listen: 127.0.0.1:{admin} }}\n\
         state: {{ file: {} }}\n\
         clusters:\n  primary: {{ bootstrap_servers: [{}]{health} }}\n  secondary: {{ bootstrap_servers: [{}]{health} }}\n\
         virtual_clusters:\n  main:\n    mode: {mode}\n    listen: 127.0.0.1:{first}-{}\n    chain: [primary, secondary]\n    \
         failover: {{ hold: 3s }}\n",
        state.display(),
        ground.servers(0).join(", "),
        ground.servers(1).join(", "),
        first + SLOTS - 1,
    );
    Config::parse(&text, "the demo's configuration", std::path::Path::new("")).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_named_in_plain_words() {
        assert_eq!(named(0, &[2]), "primary broker 3");
        assert_eq!(named(0, &[0, 1, 4]), "primary brokers 1, 2 and 5");
        assert_eq!(named(1, &[0, 2]), "secondary brokers 1 and 3");
    }
}

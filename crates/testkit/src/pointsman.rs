//! A Pointsman under test, as its users run it: the binary, a configuration file, real sockets.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cache;
use crate::kafka::{free_ports, node_ids};
use crate::process::{Process, last_lines, run_dir, wait_for};

const READY_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// The binary under test, where it listens and where its files go.
#[derive(Clone, Debug)]
pub struct Place {
    /// The binary.
    pub binary: PathBuf,
    /// Ports that follow each other, one for each slot, or one for everything.
    pub ports: Vec<u16>,
    /// The port of its admin API.
    pub admin_port: u16,
    /// Its directory.
    pub dir: PathBuf,
}

impl Place {
    /// So many free ports, and a directory that is removed with this run.
    pub fn free(binary: &Path, ports: u16) -> Result<Self, String> {
        let (ports, admin_port) = (free_ports(ports)?, free_ports(1)?[0]);
        let dir = run_dir().join(format!("pointsman-{admin_port}"));
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Self { binary: binary.to_owned(), ports, admin_port, dir })
    }

    /// The addresses for clients.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.ports.iter().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).collect()
    }

    /// The addresses, as clients want them.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(ToString::to_string).collect();
        addresses.join(",")
    }

    /// Makes a cluster active, by command.
    pub fn switch(&self, to: &str) -> Result<(), String> {
        switch(&self.binary, SocketAddr::from((Ipv4Addr::LOCALHOST, self.admin_port)), to)
    }
}

/// Tells the instance with this admin API to make a cluster active.
pub(crate) fn switch(binary: &Path, admin: SocketAddr, to: &str) -> Result<(), String> {
    let output = Command::new(binary).args(["switch", "--to", to, "--admin", &admin.to_string()]).output();
    let output = output.map_err(|e| format!("{}: {e}", binary.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

/// What it is to do.
#[derive(Clone, Debug)]
pub struct Spec<'a> {
    /// Names and bootstrap addresses of the clusters: the chain, in this order.
    pub chain: &'a [(&'a str, String)],
    /// How long a preferred cluster must be well before clients are moved back to it by themselves.
    pub hold: Duration,
    /// The name of its log file.
    pub log: &'a str,
    /// Whether it only forwards bytes: its brokers advertise its ports, and are probed by connecting to them, which is what can
    /// be done where they speak TLS.
    pub passthrough: bool,
    /// Whether the clusters hold the same logs.
    pub mirrored: bool,
    /// Slots of one port; `None`: Pointsman's default.
    pub slots: Option<u16>,
    /// The host that clients are told, with `{slot}` for names of their own.
    pub advertise: &'a str,
    /// How long consumers may stay at a planned move; `None`: as by default.
    pub consumer_drain: Option<Duration>,
    /// Mechanisms that it must do without, in the words of its feature `broken`.
    pub without: &'a [String],
}

impl<'a> Spec<'a> {
    /// Between independent clusters.
    pub fn new(chain: &'a [(&'a str, String)], hold: Duration, log: &'a str) -> Self {
        Self {
            chain,
            hold,
            log,
            passthrough: false,
            mirrored: false,
            slots: None,
            advertise: "127.0.0.1",
            consumer_drain: None,
            without: &[],
        }
    }
}

/// A running one. Dropping it ends it.
#[derive(Debug)]
pub struct Pointsman {
    process: Process,
    log: PathBuf,
}

impl Pointsman {
    /// Starts it with the first cluster active, whatever a run before has left, and waits until clients are served on every
    /// port.
    pub fn start(place: &Place, spec: &Spec<'_>) -> Result<Self, String> {
        let config = place.dir.join("pointsman.yaml");
        cache::write(&config, &config_text(place, spec))?;
        let _ = fs::remove_file(place.dir.join("pointsman-state.json"));
        let log = place.dir.join(spec.log);
        let output = fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = output.try_clone().map_err(|e| format!("{}: {e}", log.display()))?;
        let mut command = Command::new(&place.binary);
        command.args(["run", "-c"]).arg(&config).current_dir(&place.dir);
        if !spec.without.is_empty() {
            command.env("POINTSMAN_BROKEN", spec.without.join(","));
        }
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut running = Self { process: Process::spawn("pointsman", &mut command)?, log };
        for address in place.addresses() {
            wait_for(READY_LIMIT, || running.answers(address))?;
        }
        Ok(running)
    }

    fn answers(&mut self, address: SocketAddr) -> Result<(), String> {
        if let Some(status) = self.process.try_exit() {
            return Err(format!("pointsman has ended, {status}:\n{}", self.log_tail(20)));
        }
        let shown = node_ids(address, ANSWER_LIMIT)?;
        if shown.is_empty() { Err(format!("{address} shows no broker")) } else { Ok(()) }
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        last_lines(&fs::read_to_string(&self.log).unwrap_or_default(), lines)
    }
}

fn config_text(place: &Place, spec: &Spec<'_>) -> String {
    let names: Vec<&str> = spec.chain.iter().map(|(name, _)| *name).collect();
    let health = if spec.passthrough { ", health: { probe: tcp }" } else { "" };
    let cluster = |(name, bootstrap): &(&str, String)| {
        format!("  {name}: {{ bootstrap_servers: [{}]{health} }}\n", bootstrap.replace(',', ", "))
    };
    let clusters: String = spec.chain.iter().map(cluster).collect();
    let listen = match &place.ports[..] {
        [first, .., last] => format!("{first}-{last}"),
        one => one.iter().map(u16::to_string).collect(),
    };
    let mode = if spec.passthrough {
        "    mode: passthrough\n".to_owned()
    } else {
        let replication = if spec.mirrored { "identical_offsets" } else { "none" };
        format!("    advertise: '{}'\n    replication: {replication}\n", spec.advertise)
    };
    let slots = spec.slots.map(|slots| format!("    slots: {slots}\n")).unwrap_or_default();
    let drain = spec.consumer_drain.map(|drain| format!(", consumer_drain: {}ms", drain.as_millis()));
    format!(
        "admin: {{ listen: 127.0.0.1:{} }}
state: {{ file: pointsman-state.json }}
clusters:
{clusters}virtual_clusters:
  main:
    listen: 127.0.0.1:{listen}
{slots}    chain: [{}]
    failover: {{ automatic: true, failback: automatic, hold: {}ms{} }}
{mode}",
        place.admin_port,
        names.join(", "),
        spec.hold.as_millis(),
        drain.unwrap_or_default(),
    )
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_that_pointsman_accepts() {
        let chain =
            [("primary", "127.0.0.1:1,127.0.0.1:2".to_owned()), ("secondary", "127.0.0.1:3".to_owned())];
        for (ports, mirrored, passthrough, slots) in [
            (vec![9092], true, false, Some(1)),
            (vec![9092, 9093], false, false, None),
            (vec![9092, 9093], false, true, None),
        ] {
            let hold = Duration::from_millis(1500);
            let place =
                Place { binary: PathBuf::from("pointsman"), ports, admin_port: 9901, dir: PathBuf::new() };
            let consumer_drain = (!mirrored && !passthrough).then_some(Duration::from_millis(700));
            let spec =
                Spec { mirrored, passthrough, slots, consumer_drain, ..Spec::new(&chain, hold, "log") };
            let text = config_text(&place, &spec);
            let config =
                pointsman_core::config::Config::parse(&text, "pointsman.yaml", Path::new("/tmp")).unwrap();
            assert_eq!(config.clusters.len(), 2);
            assert_eq!(config.virtual_clusters[0].failover.hold, hold);
            assert_eq!(config.virtual_clusters[0].mode.passthrough().is_some(), passthrough);
            if let Some(drain) = consumer_drain {
                assert_eq!(config.virtual_clusters[0].failover.consumer_drain, drain);
            }
            assert_eq!(config.virtual_clusters[0].replication.keeps_offsets(), mirrored);
        }
    }
}

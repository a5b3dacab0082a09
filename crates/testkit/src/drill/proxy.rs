//! What stands between the clients and the two clusters during a run.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::tcp_switch::TcpSwitch;
use super::{Options, Via};
use crate::kafka::{Cluster, node_ids};
use crate::process::{Process, last_lines, wait_for};
use crate::{build, cache};

const READY_LIMIT: Duration = Duration::from_secs(20);

/// The proxy under test. Dropping it ends it.
#[derive(Debug)]
pub(super) enum Proxy {
    Direct,
    Tcp(#[expect(dead_code, reason = "held for its Drop")] TcpSwitch),
    Pointsman(Process, PathBuf),
}

/// Where the proxy listens and where its files go.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) ports: Vec<u16>,
    pub(super) admin_port: u16,
    pub(super) dir: PathBuf,
    pub(super) binary: Option<PathBuf>,
}

impl Place {
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.ports.iter().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).collect()
    }
}

/// The binary to test: given, or built now.
pub(super) fn binary(options: &Options) -> Result<Option<PathBuf>, String> {
    if options.via != Via::Pointsman {
        return Ok(None);
    }
    if let Some(given) = &options.binary {
        return Ok(Some(given.clone()));
    }
    build::pointsman().map(Some)
}

impl Proxy {
    pub(super) fn start(
        options: &Options,
        place: &Place,
        primary: &Cluster,
        secondary: &Cluster,
        run: usize,
    ) -> Result<Self, String> {
        let mut proxy = match options.via {
            Via::Direct => return Ok(Self::Direct),
            Via::Tcp => Self::Tcp(
                TcpSwitch::start(&place.addresses(), primary.front(), secondary.front(), options.hold)
                    .map_err(|e| format!("tcp switch on {:?}: {e}", place.ports))?,
            ),
            Via::Pointsman => pointsman(options, place, primary, secondary, run)?,
        };
        for address in place.addresses() {
            wait_for(READY_LIMIT, || proxy.answers(address)).map_err(|e| format!("proxy: {e}"))?;
        }
        Ok(proxy)
    }

    /// What clients are given as bootstrap servers.
    pub(super) fn bootstrap(&self, place: &Place, primary: &Cluster) -> String {
        match self {
            Self::Direct => primary.bootstrap(),
            Self::Tcp(_) | Self::Pointsman(..) => {
                let addresses: Vec<String> = place.addresses().iter().map(ToString::to_string).collect();
                addresses.join(",")
            }
        }
    }

    fn answers(&mut self, address: SocketAddr) -> Result<(), String> {
        if let Self::Pointsman(process, log) = self
            && let Some(status) = process.try_exit()
        {
            let text = fs::read_to_string(log).unwrap_or_default();
            return Err(format!("pointsman has ended, {status}:\n{}", last_lines(&text, 20)));
        }
        let shown = node_ids(address, Duration::from_secs(2))?;
        if shown.is_empty() { Err(format!("{address} shows no broker")) } else { Ok(()) }
    }
}

fn pointsman(
    options: &Options,
    place: &Place,
    primary: &Cluster,
    secondary: &Cluster,
    run: usize,
) -> Result<Proxy, String> {
    let config = place.dir.join("pointsman.yaml");
    cache::write(&config, &config_text(options, place, &primary.bootstrap(), &secondary.bootstrap()))?;
    // Each run begins with the primary active, whatever the run before has left.
    let _ = fs::remove_file(place.dir.join("pointsman-state.json"));
    let log = place.dir.join(format!("run-{run}-proxy.log"));
    let output = fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let errors = output.try_clone().map_err(|e| format!("proxy log: {e}"))?;
    let binary = place.binary.as_deref().unwrap_or(Path::new("pointsman"));
    let mut command = Command::new(binary);
    command.args(["run", "-c"]).arg(&config).current_dir(&place.dir);
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    Ok(Proxy::Pointsman(Process::spawn("pointsman", &mut command)?, log))
}

fn config_text(options: &Options, place: &Place, primary: &str, secondary: &str) -> String {
    let (first, last) = (place.ports[0], place.ports[place.ports.len() - 1]);
    format!(
        "admin: {{ listen: 127.0.0.1:{} }}
state: {{ file: pointsman-state.json }}
clusters:
  primary:   {{ bootstrap_servers: [{}] }}
  secondary: {{ bootstrap_servers: [{}] }}
virtual_clusters:
  main:
    listen: 127.0.0.1:{first}-{last}
    advertise: 127.0.0.1
    chain: [primary, secondary]
    failover: {{ automatic: true, failback: automatic, hold: {}ms }}
",
        place.admin_port,
        primary.replace(',', ", "),
        secondary.replace(',', ", "),
        options.hold.as_millis(),
    )
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_that_pointsman_accepts() {
        let place = Place { ports: vec![9092, 9093], admin_port: 9901, dir: PathBuf::new(), binary: None };
        let options = Options { hold: Duration::from_millis(1500), ..Options::default() };
        let text = config_text(&options, &place, "127.0.0.1:1,127.0.0.1:2", "127.0.0.1:3");
        let config =
            pointsman_core::config::Config::parse(&text, "pointsman.yaml", Path::new("/tmp")).unwrap();
        assert_eq!(config.clusters.len(), 2);
        assert_eq!(config.virtual_clusters[0].failover.hold, options.hold);
    }
}

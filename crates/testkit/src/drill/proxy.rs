//! What stands between the clients and the two clusters during a run.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::envoy::{self, Envoy};
use super::tcp_switch::TcpSwitch;
use super::{Options, Via};
use crate::build;
use crate::kafka::{Cluster, node_ids};
use crate::pointsman::{Place, Pointsman, Spec};
use crate::process::wait_for;
use crate::proxies;

const READY_LIMIT: Duration = Duration::from_secs(20);

/// The proxy under test. Dropping it ends it.
#[derive(Debug)]
pub(super) enum Proxy {
    Direct,
    Tcp(#[expect(dead_code, reason = "held for its Drop")] TcpSwitch),
    Envoy(#[expect(dead_code, reason = "held for its Drop")] Envoy),
    Pointsman(#[expect(dead_code, reason = "held for its Drop")] Pointsman),
}

/// The binary to test: given, or built now.
pub(super) fn binary(options: &Options) -> Result<PathBuf, String> {
    match &options.binary {
        Some(given) => Ok(given.clone()),
        None if !options.without.is_empty() => build::broken(),
        None if options.via.is_envoy() => proxies::envoy(),
        None if options.via.is_pointsman() => build::pointsman(),
        None => Ok(PathBuf::from("pointsman")),
    }
}

impl Proxy {
    pub(super) fn start(
        options: &Options,
        place: &Place,
        primary: &Cluster,
        secondary: &Cluster,
        run: usize,
    ) -> Result<Self, String> {
        match options.via {
            Via::Direct => Ok(Self::Direct),
            Via::Tcp => tcp(options, place, primary, secondary),
            Via::Envoy | Via::EnvoyOpen => {
                let log = format!("run-{run}-proxy.log");
                let closes = options.via == Via::Envoy;
                let envoy = Envoy::start(place, &[primary.front(), secondary.front()], closes, &log)?;
                wait_for(READY_LIMIT, || envoy::is_ready(place.admin_port))?;
                show_brokers(place)?;
                Ok(Self::Envoy(envoy))
            }
            Via::Pointsman | Via::Passthrough => {
                let passthrough = options.via == Via::Passthrough;
                let servers = |cluster: &Cluster| {
                    if passthrough { joined(&cluster.front()) } else { cluster.bootstrap() }
                };
                let chain = [("primary", servers(primary)), ("secondary", servers(secondary))];
                let log = format!("run-{run}-proxy.log");
                let spec = Spec {
                    passthrough,
                    mirrored: options.mirrored,
                    consumer_drain: options.consumer_drain,
                    without: &options.without,
                    ..Spec::new(&chain, options.hold, &log)
                };
                Pointsman::start(place, &spec).map(Self::Pointsman)
            }
        }
    }

    /// What clients are given as bootstrap servers.
    pub(super) fn bootstrap(&self, place: &Place, primary: &Cluster) -> String {
        match self {
            Self::Direct => primary.bootstrap(),
            Self::Tcp(_) | Self::Envoy(_) | Self::Pointsman(_) => place.bootstrap(),
        }
    }
}

fn joined(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn tcp(options: &Options, place: &Place, primary: &Cluster, secondary: &Cluster) -> Result<Proxy, String> {
    let switch = TcpSwitch::start(&place.addresses(), primary.front(), secondary.front(), options.hold)
        .map_err(|e| format!("tcp switch on {:?}: {e}", place.ports))?;
    show_brokers(place)?;
    Ok(Proxy::Tcp(switch))
}

/// Waits until there is a cluster behind every port.
fn show_brokers(place: &Place) -> Result<(), String> {
    place.addresses().into_iter().try_for_each(|address| {
        wait_for(READY_LIMIT, || match node_ids(address, Duration::from_secs(2))? {
            shown if shown.is_empty() => Err(format!("{address} shows no broker")),
            _ => Ok(()),
        })
    })
}

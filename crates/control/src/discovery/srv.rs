//! Bootstrap servers from a DNS SRV record (RFC 2782).

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, rdata::SRV},
};
use pointsman_core::config::Address;
use std::{net::SocketAddr, sync::Arc};

/// A record to look up, and the server to ask; `None`: those of the system, read anew each time.
pub(super) struct Lookup {
    name: Arc<str>,
    server: Option<SocketAddr>,
}

impl Lookup {
    pub(super) fn new(name: Arc<str>, server: Option<SocketAddr>) -> Self {
        Self { name, server }
    }

    /// The targets by priority, then by weight, heaviest first: at least one, or why not.
    pub(super) async fn ask(&self) -> Result<Vec<Address>, String> {
        let words = |error: NetError| format!("SRV record {}: {error}", self.name);
        let resolver = self.resolver().map_err(words)?;
        let answer = resolver.srv_lookup(&*self.name).await.map_err(words)?;
        let records = answer.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv),
            _ => None,
        });
        let servers = order(records.cloned().collect());
        if servers.is_empty() {
            Err(format!("SRV record {}: it names no server", self.name))
        } else {
            Ok(servers)
        }
    }

    /// A new resolver for each look-up: its cache would outlive `refresh`, and the system's servers may have changed.
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut builder = match self.server {
            None => TokioResolver::builder_tokio()?,
            Some(server) => TokioResolver::builder_with_config(only(server), TokioRuntimeProvider::default()),
        };
        builder.options_mut().cache_size = 0;
        builder.build()
    }
}

fn only(server: SocketAddr) -> ResolverConfig {
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = server.port();
        connection
    };
    let connections = vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
    ResolverConfig::from_name_servers(vec![NameServerConfig::new(server.ip(), true, connections)])
}

/// RFC 2782 order; a target of `.` says that the service is not there.
fn order(mut records: Vec<SRV>) -> Vec<Address> {
    records.sort_by_key(|srv| (srv.priority, std::cmp::Reverse(srv.weight)));
    let mut servers = Vec::new();
    for srv in records {
        let host = srv.target.to_utf8();
        let host = host.trim_end_matches('.');
        if host.is_empty() || srv.port == 0 {
            continue;
        }
        let server = Address { host: host.into(), port: srv.port };
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

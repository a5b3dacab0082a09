//! The configuration files of the proxies: what their manuals say for this use, and else their defaults.

use std::net::SocketAddr;
use std::path::Path;

/// Connections that each proxy is prepared for at least: much more costs memory before the first one comes.
const CONNECTIONS: usize = 1000;

/// A port of this machine to listen on, and the broker behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) listen: SocketAddr,
    pub(super) upstream: SocketAddr,
    /// The broker of another cluster, which the chain begins with.
    pub(super) other: Option<SocketAddr>,
    /// A free port for what a proxy wants besides.
    pub(super) admin: SocketAddr,
    /// Client connections that the workload makes.
    pub(super) clients: usize,
}

impl Way {
    fn connections(&self) -> usize {
        self.clients.max(CONNECTIONS)
    }

    /// Two sockets for each client, and some for the proxy itself.
    fn files(&self) -> usize {
        2 * self.connections() + 100
    }
}

/// The name of the measured cluster.
pub(super) const BROKER: &str = "broker";

/// One virtual cluster of one cluster, or of two; everything else is the default.
pub(super) fn pointsman(way: &Way) -> String {
    ours(way, &format!("advertise: {}", way.listen.ip()))
}

/// The same, without a look at the bytes.
pub(super) fn passthrough(way: &Way) -> String {
    ours(way, "mode: passthrough")
}

fn ours(way: &Way, what: &str) -> String {
    let (other, chain) = match way.other {
        Some(other) => (format!("\n  other: {{ bootstrap_servers: [{other}] }}"), format!("other, {BROKER}")),
        None => (String::new(), BROKER.to_owned()),
    };
    format!(
        "admin: {{ listen: {} }}
state: {{ file: pointsman-state.json }}
clusters:
  {BROKER}: {{ bootstrap_servers: [{}] }}{other}
virtual_clusters:
  main:
    listen: {}
    {what}
    chain: [{chain}]
",
        way.admin, way.upstream, way.listen,
    )
}

/// One worker per core, as the manual recommends; buffers of 16 KiB and `TCP_NODELAY` are the defaults.
pub(super) fn nginx(way: &Way, dir: &Path, module: Option<&Path>, root: bool) -> String {
    let load = module.map_or_else(String::new, |path| format!("load_module {};\n", path.display()));
    // As root nginx changes to a user who may not write where the benchmark writes.
    let user = if root { "user root;\n" } else { "" };
    format!(
        "{load}{user}daemon off;
worker_processes auto;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log error;
events {{ worker_connections {files}; }}
stream {{
  server {{
    listen {};
    proxy_pass {};
  }}
}}
",
        way.listen,
        way.upstream,
        files = way.files(),
        dir = dir.display(),
    )
}

/// One thread per core, which is the default. `option splice-auto` is not: HAProxy has it off.
pub(super) fn haproxy(way: &Way) -> String {
    format!(
        "global
  maxconn {}
defaults
  mode tcp
  timeout connect 5s
  timeout client 10m
  timeout server 10m
listen bench
  bind {}
  server broker {}
",
        way.connections(),
        way.listen,
        way.upstream,
    )
}

/// One worker per core, which is the default; the TCP proxy filter and one static cluster.
pub(super) fn envoy(way: &Way) -> String {
    let address =
        |a: &SocketAddr| format!("{{ socket_address: {{ address: {}, port_value: {} }} }}", a.ip(), a.port());
    format!(
        "static_resources:
  listeners:
  - name: bench
    address: {}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: bench
          cluster: broker
  clusters:
  - name: broker
    type: STATIC
    connect_timeout: 5s
    circuit_breakers: {{ thresholds: [{{ max_connections: {connections}, max_pending_requests: {connections} }}] }}
    load_assignment:
      cluster_name: broker
      endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {} }} }}] }}]
",
        address(&way.listen),
        address(&way.upstream),
        connections = way.connections(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> Way {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Way { listen: at(1001), upstream: at(1002), admin: at(1003), other: None, clients: 4 }
    }

    #[test]
    fn everything_listens_on_this_machine_only() {
        let dir = Path::new("/tmp/x");
        let texts = [
            pointsman(&way()),
            passthrough(&way()),
            nginx(&way(), dir, None, true),
            haproxy(&way()),
            envoy(&way()),
        ];
        for text in texts {
            assert!(!text.contains("0.0.0.0") && !text.contains('*'), "{text}");
            assert!(text.contains("1001") && text.contains("1002"), "{text}");
        }
    }

    #[test]
    fn nginx_loads_its_module_where_it_is_one() {
        let text = nginx(&way(), Path::new("/tmp/x"), Some(Path::new("/m/stream.so")), false);
        assert!(
            text.starts_with("load_module /m/stream.so;\ndaemon off;\nworker_processes auto;\n"),
            "{text}"
        );
        assert!(
            text.contains("listen 127.0.0.1:1001;") && text.contains("proxy_pass 127.0.0.1:1002;"),
            "{text}"
        );
    }

    #[test]
    fn proxies_are_prepared_for_as_many_connections_as_come() {
        let many = Way { clients: 10_000, ..way() };
        assert!(haproxy(&way()).contains("maxconn 1000\n") && haproxy(&many).contains("maxconn 10000\n"));
        assert!(nginx(&many, Path::new("/tmp/x"), None, true).contains("worker_connections 20100;"));
        assert!(envoy(&many).contains("max_connections: 10000,"));
    }

    #[cfg(feature = "sim")]
    #[test]
    fn pointsman_accepts_its_configuration() {
        let switched = pointsman(&Way { other: Some(way().admin), ..way() });
        for (text, forwards) in [(pointsman(&way()), false), (switched, false), (passthrough(&way()), true)] {
            let chain = usize::from(text.contains("other")) + 1;
            let config =
                pointsman_core::config::Config::parse(&text, "pointsman.yaml", Path::new("/tmp")).unwrap();
            assert_eq!((config.clusters.len(), config.virtual_clusters.len()), (chain, 1));
            assert_eq!(config.virtual_clusters[0].mode.passthrough().is_some(), forwards);
        }
    }
}

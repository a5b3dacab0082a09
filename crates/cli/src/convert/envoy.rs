//! The ports of an Envoy bootstrap file, where each leads by priority, and the rules that all of them share.

use super::{
    rules::{self, Endpoint, Rules, within},
    source::{Fault, Part},
};
use pointsman_core::config::{Address, duration_text};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// What Pointsman can say of it.
#[derive(Debug)]
pub(super) struct Envoy {
    pub(super) admin: Option<SocketAddr>,
    pub(super) bind: IpAddr,
    /// First and last.
    pub(super) ports: (u16, u16),
    /// Whether TLS ends at Envoy.
    pub(super) terminates: bool,
    pub(super) idle_timeout: Option<String>,
    /// The servers of each priority, the most preferred first, in the order of the ports.
    pub(super) clusters: Vec<Vec<Address>>,
    pub(super) rules: Rules,
}

/// Addresses by priority.
type Targets = BTreeMap<u32, Vec<Address>>;

/// A port with what stands behind it.
struct Port {
    bind: IpAddr,
    port: u16,
    line: usize,
    terminates: bool,
    idle_timeout: Option<String>,
    cluster: String,
    targets: Targets,
    rules: Rules,
    /// What was seen of its rules that has no place.
    notes: Vec<String>,
}

/// Reads everything; what it cannot carry over, and saw, is noted.
pub(super) fn read(root: &Part<'_>, notes: &mut Vec<String>) -> Result<Envoy, Fault> {
    let resources = root.need("static_resources")?;
    let clusters = resources.need("clusters")?.items();
    let listeners = resources.need("listeners")?;
    let mut ports = Vec::new();
    for listener in listeners.items() {
        if let Some((chain, proxy)) = tcp_proxy(&listener) {
            ports.push(read_port(&listener, &chain, &proxy, &clusters)?);
        }
    }
    ports.sort_by_key(|port| port.port);
    let Some(first) = ports.first() else {
        return Err(listeners.fault("expected a listener with a tcp_proxy filter, found none"));
    };
    let range = check_ports(&ports, &listeners)?;
    let priorities: Vec<u32> = ports.iter().flat_map(|p| p.targets.keys().copied()).collect();
    let most = priorities.iter().max().copied().unwrap_or(0);
    let clusters: Vec<Vec<Address>> =
        (0..=most).map(|p| servers(&ports, p)).filter(|servers| !servers.is_empty()).collect();
    check_size(&clusters, ports.len(), first, &listeners)?;
    // In kafka mode any slot serves any partition, so that their places mean nothing.
    let used = (0..=most).filter(|_| !first.terminates).filter(|p| priorities.contains(p));
    used.zip(&clusters).for_each(|(priority, servers)| note_ring(&ports, priority, servers, notes));
    notes.extend(first.notes.iter().cloned());
    note_differences(&ports, notes);
    if first.terminates {
        notes.push(
            "connect_timeout, idle_timeout, outlier_detection: they go with `mode: passthrough`".into(),
        );
    }
    Ok(Envoy {
        admin: read_admin(root),
        bind: first.bind,
        ports: range,
        terminates: first.terminates,
        idle_timeout: first.idle_timeout.clone(),
        clusters,
        rules: first.rules.clone(),
    })
}

/// The first filter chain with a `tcp_proxy`, and that filter's configuration. Nothing is marked as read.
fn tcp_proxy<'a>(listener: &Part<'a>) -> Option<(Part<'a>, Part<'a>)> {
    let chains = listener.peek("filter_chains")?.items();
    chains.into_iter().find_map(|chain| {
        let proxy = chain.peek("filters")?.items().into_iter().find(|filter| {
            filter.peek("name").is_some_and(|name| name.is("envoy.filters.network.tcp_proxy"))
                || filter
                    .peek("typed_config")
                    .and_then(|c| c.peek("@type")?.text().ok()?.rsplit('.').next().map(|t| t == "TcpProxy"))
                    == Some(true)
        })?;
        Some((chain, proxy))
    })
}

fn read_port(
    listener: &Part<'_>,
    chain: &Part<'_>,
    filter: &Part<'_>,
    clusters: &[Part<'_>],
) -> Result<Port, Fault> {
    let mut notes = Vec::new();
    let socket = listener.need("address")?.need("socket_address")?;
    let bind = socket.need("address")?;
    let bind = bind.text()?.parse().map_err(|_| bind.fault("expected an IP address of this machine"))?;
    let port = socket.need("port_value")?.port()?;
    listener.get("filter_chains");
    chain.get("filters");
    let proxy = filter.need("typed_config")?;
    let name =
        proxy.get("cluster").ok_or_else(|| proxy.fault("expected `cluster`: a slot leads to one broker"))?;
    let idle_timeout = read_idle(&proxy, &mut notes)?;
    let cluster = clusters.iter().find(|c| c.peek("name").is_some_and(|n| n.text().ok() == name.text().ok()));
    let cluster =
        cluster.ok_or_else(|| name.fault("there is no cluster of this name in static_resources.clusters"))?;
    cluster.get("name");
    let (targets, endpoints) = read_endpoints(cluster)?;
    let rules = rules::read(cluster, &endpoints, &mut notes)?;
    Ok(Port {
        bind,
        port,
        line: listener.line,
        terminates: chain.peek("transport_socket").is_some(),
        idle_timeout,
        cluster: name.text()?.to_owned(),
        targets,
        rules,
        notes,
    })
}

fn read_idle(proxy: &Part<'_>, notes: &mut Vec<String>) -> Result<Option<String>, Fault> {
    let Some(idle) = proxy.get("idle_timeout") else { return Ok(None) };
    let range = Duration::from_secs(1)..=Duration::from_secs(86_400);
    Ok(Some(duration_text(within(idle.duration()?, range, &idle, notes))))
}

/// The addresses of each priority, and where each is checked.
fn read_endpoints(cluster: &Part<'_>) -> Result<(Targets, Vec<Endpoint>), Fault> {
    let groups = cluster.need("load_assignment")?.need("endpoints")?;
    let (mut targets, mut endpoints) = (Targets::new(), Vec::new());
    for group in groups.items() {
        let priority = group.get("priority").map_or(Ok(0), |priority| priority.number())?;
        for one in group.need("lb_endpoints")?.items() {
            let endpoint = read_endpoint(&one.need("endpoint")?)?;
            targets.entry(priority).or_default().push(endpoint.address.clone());
            endpoints.push(endpoint);
        }
    }
    if endpoints.is_empty() {
        return Err(groups.fault("expected endpoints, found none"));
    }
    Ok((targets, endpoints))
}

fn read_endpoint(endpoint: &Part<'_>) -> Result<Endpoint, Fault> {
    let address = read_address(&endpoint.need("address")?.need("socket_address")?)?;
    let check = endpoint.get("health_check_config");
    let own = check.as_ref().and_then(|c| c.get("port_value")).map(|port| port.port()).transpose()?;
    let other = check.as_ref().and_then(|c| c.at(&["address", "socket_address"]));
    let other = other.map(|socket| read_address(&socket)).transpose()?;
    let port = own.unwrap_or(other.as_ref().map_or(address.port, |o| o.port));
    let asks = other.filter(|other| other.host != address.host).map(|other| Address { port, ..other });
    Ok(Endpoint { address, asks, port })
}

fn read_address(socket: &Part<'_>) -> Result<Address, Fault> {
    let host = socket.need("address")?;
    let port = socket.need("port_value")?.port()?;
    let text = host.text()?;
    let text = if text.contains(':') { format!("[{text}]:{port}") } else { format!("{text}:{port}") };
    text.parse().map_err(|_| host.fault("expected a host name or an IP address"))
}

/// One address, and a port next to the other.
fn check_ports(ports: &[Port], listeners: &Part<'_>) -> Result<(u16, u16), Fault> {
    let numbers: Vec<String> = ports.iter().map(|port| port.port.to_string()).collect();
    for (before, after) in ports.iter().zip(&ports[1..]) {
        if before.bind != after.bind {
            let words =
                format!("{} and {}: Pointsman listens on one address for all slots", before.bind, after.bind);
            return Err(listeners.fault(&format!("expected one address for all ports, found {words}")));
        }
        if before.port.checked_add(1) != Some(after.port) {
            let words = format!("{}: a slot each, in one range", numbers.join(", "));
            return Err(listeners.fault(&format!("expected ports without a gap, each once, found {words}")));
        }
    }
    if let Some(other) = ports.iter().find(|port| port.terminates != ports[0].terminates) {
        let (one, other) = (ports[0].port, other.port);
        return Err(listeners.fault(&format!("TLS ends at Envoy on one of the ports {one} and {other}, but not on the other: convert them apart")));
    }
    Ok((ports[0].port, ports[ports.len() - 1].port))
}

/// The addresses of a priority in the order of the ports, each once.
fn servers(ports: &[Port], priority: u32) -> Vec<Address> {
    let mut servers: Vec<Address> = Vec::new();
    for address in ports.iter().filter_map(|port| port.targets.get(&priority)).flatten() {
        if !servers.contains(address) {
            servers.push(address.clone());
        }
    }
    servers
}

fn check_size(
    clusters: &[Vec<Address>],
    ports: usize,
    first: &Port,
    listeners: &Part<'_>,
) -> Result<(), Fault> {
    match clusters.iter().map(Vec::len).max() {
        Some(most) if most > ports && !first.terminates => Err(listeners.fault(&format!(
            "a cluster has {most} brokers, but there are {ports} ports: behind passthrough each broker needs a port of \
             its own, which it advertises"
        ))),
        _ => Ok(()),
    }
}

/// Ports that lead elsewhere than their place in the cluster says: Pointsman goes around the end.
fn note_ring(ports: &[Port], priority: u32, servers: &[Address], notes: &mut Vec<String>) {
    for (slot, port) in ports.iter().enumerate() {
        let ours = &servers[slot % servers.len()];
        let theirs = port.targets.get(&priority).map(Vec::as_slice).unwrap_or_default();
        if theirs == [ours.clone()] {
            continue;
        }
        let theirs: Vec<String> = theirs.iter().map(ToString::to_string).collect();
        let theirs = if theirs.is_empty() { "no broker".into() } else { theirs.join(", ") };
        notes.push(format!(
            "port {} (line {}): at priority {priority} Envoy leads to {theirs}, Pointsman to {ours}: a slot leads to the \
             broker at its place, and around the end",
            port.port, port.line
        ));
    }
}

/// Pointsman has one set of rules for all slots.
fn note_differences(ports: &[Port], notes: &mut Vec<String>) {
    let Some((first, others)) = ports.split_first() else { return };
    for port in others.iter().filter(|p| p.rules != first.rules || p.idle_timeout != first.idle_timeout) {
        notes.push(format!(
            "port {} (line {}): cluster {} has other time-outs or health checks than {}, which count for all",
            port.port, port.line, port.cluster, first.cluster
        ));
    }
}

/// Envoy's admin address, where Pointsman may use it too.
fn read_admin(root: &Part<'_>) -> Option<SocketAddr> {
    let socket = root.peek("admin")?.peek("address")?.peek("socket_address")?;
    let ip: IpAddr = socket.peek("address")?.text().ok()?.parse().ok()?;
    let port = socket.peek("port_value")?.port().ok()?;
    if !ip.is_loopback() {
        return None;
    }
    let socket = root.at(&["admin", "address", "socket_address"])?;
    socket.get("address");
    socket.get("port_value");
    Some(SocketAddr::new(ip, port))
}

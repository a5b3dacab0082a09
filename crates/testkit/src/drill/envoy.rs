//! Envoy as it is known for this, to compare with: a port and a cluster for each slot, the primary's broker first and the
//! secondary's after it, wrapping around; and the health of all brokers of a cluster is what an aggregator says of its quorum.
//!
//! The settings are those of `examples/redpanda-envoy/envoy.yaml`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::cache;
use crate::kafka::{free_ports, node_ids};
use crate::pointsman::Place;
use crate::process::Process;

/// How often the aggregator asks every broker.
const POLL: Duration = Duration::from_secs(2);
/// A broker that has ended refuses at once; one that lives is slow on a busy machine, and for a quorum that is missed once Envoy
/// closes every connection.
const ASK_LIMIT: Duration = Duration::from_secs(2);
/// Of what is asked here or of Envoy itself.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// How long the end of the aggregator may take to be noticed.
const SLICE: Duration = Duration::from_millis(50);

/// A running Envoy with an aggregator for each cluster. Dropping it ends all of them.
#[derive(Debug)]
pub(super) struct Envoy {
    _process: Process,
    _aggregators: [Aggregator; 2],
}

impl Envoy {
    /// Starts it on the ports of `place`, before the brokers of the primary and those of the secondary.
    pub(super) fn start(
        place: &Place,
        brokers: &[Vec<SocketAddr>; 2],
        closes: bool,
        log: &str,
    ) -> Result<Self, String> {
        let [primary, secondary] = brokers;
        let aggregators = [
            Aggregator::start("primary", primary.clone())?,
            Aggregator::start("secondary", secondary.clone())?,
        ];
        let health = [aggregators[0].address, aggregators[1].address];
        let config = place.dir.join("envoy.yaml");
        cache::write(&config, &config_text(place, [primary, secondary], health, closes))?;
        let process = spawn(place, &config, log)?;
        Ok(Self { _process: process, _aggregators: aggregators })
    }
}

fn spawn(place: &Place, config: &Path, log: &str) -> Result<Process, String> {
    let path = place.dir.join(log);
    let output = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let errors = output.try_clone().map_err(|e| format!("{}: {e}", path.display()))?;
    let mut command = Command::new(&place.binary);
    command.args(["--disable-hot-restart", "-l", "warning", "-c"]).arg(config);
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    Process::spawn("envoy", &mut command)
}

/// `closes`: whether connections to a broker whose cluster has lost its quorum are closed. Envoy leaves them open by default.
fn config_text(place: &Place, brokers: [&[SocketAddr]; 2], health: [SocketAddr; 2], closes: bool) -> String {
    let at = |address: SocketAddr| {
        format!("socket_address: {{ address: {}, port_value: {} }}", address.ip(), address.port())
    };
    let (mut listeners, mut clusters) = (String::new(), String::new());
    for (slot, address) in place.addresses().into_iter().enumerate() {
        listeners += &format!(
            "  - name: slot-{slot}
    address: {{ {} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: slot-{slot}
          cluster: slot-{slot}
          max_connect_attempts: 3
",
            at(address)
        );
        clusters += &format!(
            "  - name: slot-{slot}
    type: STATIC
    connect_timeout: 1s
    close_connections_on_host_health_failure: {closes}
    common_lb_config: {{ healthy_panic_threshold: {{ value: 0 }} }}
    health_checks:
    - timeout: 1s
      interval: 2s
      interval_jitter: 0.1s
      unhealthy_threshold: 2
      healthy_threshold: 3
      no_traffic_interval: 2s
      unhealthy_interval: 1s
      unhealthy_edge_interval: 0.5s
      healthy_edge_interval: 0.25s
      http_health_check: {{ path: /health, expected_statuses: [{{ start: 200, end: 201 }}] }}
    outlier_detection: {{ consecutive_5xx: 3, interval: 5s, base_ejection_time: 30s, max_ejection_percent: 50 }}
    load_assignment:
      cluster_name: slot-{slot}
      policy: {{ overprovisioning_factor: 140 }}
      endpoints:
"
        );
        for (priority, (brokers, health)) in brokers.into_iter().zip(health).enumerate() {
            clusters += &format!(
                "      - priority: {priority}
        lb_endpoints:
        - endpoint:
            address: {{ {} }}
            health_check_config: {{ port_value: {}, address: {{ {} }} }}
",
                at(brokers[slot % brokers.len()]),
                health.port(),
                at(health)
            );
        }
    }
    let admin = at(SocketAddr::from((Ipv4Addr::LOCALHOST, place.admin_port)));
    format!(
        "admin: {{ address: {{ {admin} }} }}\nstatic_resources:\n  listeners:\n{listeners}  clusters:\n{clusters}"
    )
}

/// Asks every broker of a cluster, and answers 200 while a majority of them is well and 503 while none is.
#[derive(Debug)]
struct Aggregator {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Aggregator {
    fn start(cluster: &'static str, brokers: Vec<SocketAddr>) -> Result<Self, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports(1)?[0]));
        let listener = TcpListener::bind(address).map_err(|e| format!("aggregator on {address}: {e}"))?;
        let (ended, quorum) = (Arc::<AtomicBool>::default(), Arc::new(AtomicBool::new(has_quorum(&brokers))));
        let polling = {
            let (ended, quorum) = (ended.clone(), quorum.clone());
            thread::spawn(move || {
                while pause(&ended) {
                    let found = has_quorum(&brokers);
                    if quorum.swap(found, Ordering::SeqCst) != found {
                        eprintln!("aggregator: the {cluster} has {} quorum", if found { "a" } else { "no" });
                    }
                }
            })
        };
        let answering = {
            let ended = ended.clone();
            thread::spawn(move || {
                for client in listener.incoming().take_while(|_| !ended.load(Ordering::SeqCst)) {
                    // A client that is gone has had its answer, or wants none.
                    let _ = client.and_then(|client| answer(client, quorum.load(Ordering::SeqCst)));
                }
            })
        };
        Ok(Self { address, ended, threads: vec![polling, answering] })
    }
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the answering thread, which then sees the end.
        let _ = TcpStream::connect_timeout(&self.address, ANSWER_LIMIT);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Waits for the next poll; whether there is to be one.
fn pause(ended: &AtomicBool) -> bool {
    let slices = POLL.as_millis() / SLICE.as_millis();
    (0..slices).for_each(|_| {
        if !ended.load(Ordering::SeqCst) {
            thread::sleep(SLICE);
        }
    });
    !ended.load(Ordering::SeqCst)
}

fn has_quorum(brokers: &[SocketAddr]) -> bool {
    let ask = |broker: SocketAddr| thread::spawn(move || node_ids(broker, ASK_LIMIT).is_ok());
    let asked: Vec<_> = brokers.iter().copied().map(ask).collect();
    let well = asked.into_iter().filter_map(|asked| asked.join().ok()).filter(|well| *well).count();
    well > brokers.len() / 2
}

fn answer(mut client: TcpStream, quorum: bool) -> io::Result<()> {
    client.set_read_timeout(Some(ANSWER_LIMIT))?;
    // A request of a health check comes in one piece; what it asks is always the same.
    let _ = client.read(&mut [0; 1024])?;
    let status = if quorum { "200 OK" } else { "503 Service Unavailable" };
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// Whether it answers yet.
pub(super) fn is_ready(admin_port: u16) -> Result<(), String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, admin_port));
    TcpStream::connect_timeout(&address, ANSWER_LIMIT)
        .map(drop)
        .map_err(|e| format!("envoy's admin port: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_broker_of_each_cluster_and_the_word_of_its_aggregator() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let place = Place {
            binary: "envoy".into(),
            ports: (1..=5).collect(),
            admin_port: 6,
            dir: Path::new("/tmp").to_owned(),
        };
        let (primary, secondary): (Vec<_>, Vec<_>) =
            ((11..=15).map(at).collect(), (21..=23).map(at).collect());
        let text = config_text(&place, [&primary, &secondary], [at(31), at(32)], true);
        assert_eq!(text.matches("cluster: slot-").count(), 5);
        for (port, times) in [(15, 1), (21, 2), (22, 2), (23, 1)] {
            assert_eq!(text.matches(&format!("port_value: {port} ")).count(), times, "{port} in {text}");
        }
        assert_eq!(text.matches("health_check_config: { port_value: 31,").count(), 5);
        assert_eq!(text.matches("close_connections_on_host_health_failure: true").count(), 5);
        let open = config_text(&place, [&primary, &secondary], [at(31), at(32)], false);
        assert!(!open.contains("failure: true") && open.contains("failure: false"), "{open}");
    }
}

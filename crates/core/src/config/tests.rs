//! Tests of the configuration: the documented examples, the defaults, and the exact words of every kind of fault.

use super::*;
use std::path::Path;

mod faults;
mod probe;

/// The complete highly available setup of the documentation, verbatim.
const SMALL: &str = "\
clusters:
  primary:   { bootstrap_servers: [kafka-a0:9092, kafka-a1:9092, kafka-a2:9092] }
  secondary: { bootstrap_servers: [kafka-b0:9092, kafka-b1:9092, kafka-b2:9092] }
virtual_clusters:
  main:
    listen: 0.0.0.0:9092-9096          # one port per slot; bootstrap from any of them
    advertise: kafka.example.com
    chain: [primary, secondary]
";

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, "pointsman.yaml", Path::new("/etc/pointsman"))
}

fn address(host: &str) -> Address {
    Address { host: host.into(), port: 9092 }
}

#[test]
fn the_small_example_has_the_documented_defaults() {
    let config = parse(SMALL).expect("the example of the documentation");

    let cluster = |name: &str, hosts: [&str; 3]| ClusterConfig {
        name: name.into(),
        bootstrap: Bootstrap::Static(hosts.map(address).to_vec()),
        region: None,
        health: HealthConfig {
            probe: ProbeKind::Kafka,
            interval: Duration::from_millis(500),
            edge_interval: Duration::from_millis(50),
            jitter: Duration::ZERO,
            timeout: Duration::from_secs(1),
            unhealthy_after: 3,
            healthy_after: 2,
            quorum: Quorum::Majority,
            forget_after: None,
        },
        health_listeners: Vec::new(),
    };
    let expected = Config {
        admin: AdminConfig { listen: SocketAddr::from(([127, 0, 0, 1], 9901)) },
        state: StateConfig::File("/etc/pointsman/pointsman-state.json".into()),
        clusters: vec![
            cluster("primary", ["kafka-a0", "kafka-a1", "kafka-a2"]),
            cluster("secondary", ["kafka-b0", "kafka-b1", "kafka-b2"]),
        ],
        virtual_clusters: vec![VirtualClusterConfig {
            name: "main".into(),
            mode: Mode::Kafka,
            bind: IpAddr::from([0, 0, 0, 0]),
            ports: (9092, 9096),
            slots: 5,
            advertise: "kafka.example.com".into(),
            chain: vec!["primary".into(), "secondary".into()],
            failover: FailoverConfig {
                automatic: true,
                failback: Failback::Automatic,
                hold: Duration::from_secs(30),
                catch_up: Duration::ZERO,
                consumer_drain: Duration::from_secs(2),
            },
            replication: Replication::None,
            positions: Positions::SwitchPoint,
        }],
    };
    assert_eq!(config, expected);
}

#[test]
fn every_key_of_this_release_is_read() {
    let config = parse(
        "
admin: { listen: '[::1]:9000' }
state: { file: /var/lib/pointsman/state.json }
clusters:
  srv:
    bootstrap_servers: { srv: _kafka._tcp.example.com, refresh: 10s, resolver: 127.0.0.1:5353 }
    health: { probe: tcp, edge_interval: 20ms, timeout: 1m, forget_after: 1h, quorum: 7 }
  file:
    bootstrap_servers: { file: servers.txt, refresh: 500ms }
    health:
      probe: { http: { port: 8081, path: /schemas/types } }
      interval: 20ms
      unhealthy_after: 1
      healthy_after: 5
virtual_clusters:
  main:
    mode: kafka
    listen: 127.0.0.1:9092
    slots: 8
    chain: [srv, file]
    failover: { automatic: false, scope: cluster, failback: manual, hold: 0s, consumer_drain: 500ms }
    positions: earliest
  other: { listen: '[::1]:9092', chain: [file] }
  mirrored: { listen: '[::1]:9099', chain: [srv, file], replication: identical_offsets, failover: { catch_up: 2s } }
",
    )
    .expect("a valid configuration");

    assert_eq!(config.admin.listen.to_string(), "[::1]:9000");
    assert_eq!(config.state, StateConfig::File("/var/lib/pointsman/state.json".into()));
    let [srv, file] = &config.clusters[..] else { panic!("expected two clusters") };
    let resolver = Some(SocketAddr::from(([127, 0, 0, 1], 5353)));
    let refresh = Duration::from_secs(10);
    assert_eq!(srv.bootstrap, Bootstrap::Srv { name: "_kafka._tcp.example.com".into(), refresh, resolver });
    assert_eq!((&srv.health.probe, srv.health.quorum), (&ProbeKind::Tcp, Quorum::AtLeast(7)));
    assert_eq!(srv.health.edge_interval, Duration::from_millis(20));
    assert_eq!(srv.health.timeout, Duration::from_secs(60));
    assert_eq!(srv.health.forget_after, Some(Duration::from_secs(3600)));
    let refresh = Duration::from_millis(500);
    assert_eq!(file.bootstrap, Bootstrap::File { path: "/etc/pointsman/servers.txt".into(), refresh });
    assert_eq!(
        file.health.probe,
        ProbeKind::Http { port: 8081, path: "/schemas/types".into(), status: (200, 299), tls: None }
    );
    assert_eq!(file.health.edge_interval, Duration::from_millis(20), "never above the interval");
    assert_eq!((file.health.unhealthy_after, file.health.healthy_after), (1, 5));
    let [main, other, mirrored] = &config.virtual_clusters[..] else { panic!("expected three") };
    assert_eq!((main.ports, main.slots, &*main.advertise), ((9092, 9092), 8, "127.0.0.1"));
    assert_eq!((main.failover.automatic, main.failover.failback), (false, Failback::Manual));
    assert_eq!(main.failover.hold, Duration::ZERO);
    assert_eq!(main.failover.consumer_drain, Duration::from_millis(500));
    assert_eq!((main.positions, other.positions), (Positions::Earliest, Positions::SwitchPoint));
    assert_eq!((main.replication, main.failover.catch_up), (Replication::None, Duration::ZERO));
    assert_eq!(
        (mirrored.replication, mirrored.positions),
        (Replication::IdenticalOffsets, Positions::Committed)
    );
    assert_eq!(mirrored.failover.catch_up, Duration::from_secs(2));
    assert_eq!((&*other.advertise, other.slots), ("::1", 3), "a file may name any number; 3 are assumed");
}

#[test]
fn with_one_port_slots_can_have_names_of_their_own() {
    let hosts = |advertise: &str| -> Vec<String> {
        let one = SMALL.replace("9092-9096", "9092").replace("kafka.example.com", advertise);
        let slots = parse(&one).expect("a valid configuration").virtual_clusters[0].slot_addresses();
        slots.iter().map(ToString::to_string).collect()
    };
    let names = ["b0.kafka.example.com:9092", "b1.kafka.example.com:9092", "b2.kafka.example.com:9092"];
    assert_eq!(hosts("'b{slot}.kafka.example.com'"), names);
    assert_eq!(hosts("'10.0.0.1{slot}'"), ["10.0.0.10:9092", "10.0.0.11:9092", "10.0.0.12:9092"]);
    let range = SMALL.replace("kafka.example.com", "'b{slot}.k'");
    let slots = parse(&range).expect("a valid configuration").virtual_clusters[0].slot_addresses();
    assert_eq!(slots[4].to_string(), "b4.k:9096");
}

#[test]
fn slots_at_one_address_are_warned_of() {
    let warnings = |text: &str| parse(text).expect("a valid configuration").warnings();
    let one = SMALL.replace("9092-9096", "9092");
    let warned = warnings(&one);
    let expected = "virtual_clusters.main: its 3 slots share the address kafka.example.com:9092: kafkajs then loses records";
    assert_eq!(warned.len(), 1);
    assert!(warned[0].starts_with(expected), "{warned:?}");
    for fine in [
        SMALL.to_owned(),
        one.replace("    chain:", "    slots: 1\n    chain:"),
        one.replace("kafka.example.com", "'b{slot}.kafka.example.com'"),
        one.replace("    advertise: kafka.example.com\n", "    mode: passthrough\n")
            .replace(", kafka-a1:9092, kafka-a2:9092", "")
            .replace(", kafka-b1:9092, kafka-b2:9092", ""),
    ] {
        assert_eq!(warnings(&fine), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn every_key_of_passthrough_is_read() {
    let config = parse(
        "
clusters:
  a:
    bootstrap_servers: [a0:1, a1:1, a2:1]
    health_listeners: [127.0.0.1:9101, '[::1]:9101']
    health: { probe: { http: { port: 8081, status: 200-204 } }, jitter: 100ms }
  b:
    bootstrap_servers: { file: b.txt }
    health:
      probe:
        http:
          port: 8082
          tls: { ca_file: ca.pem, cert_file: /p.pem, key_file: p.key, server_name: registry.example.com }
virtual_clusters:
  ports:
    mode: passthrough
    listen: 0.0.0.0:9092-9094
    chain: [a, b]
  names:
    mode: passthrough
    listen: { sni: 0.0.0.0:9095, host: 'B{slot}.kafka.example.com', bootstrap: Kafka.example.com }
    slots: 4
    chain: [a, b]
    failover: { scope: broker }
    on_switch: { drain: 10s }
    connect_timeout: 500ms
    idle_timeout: 1h
    outliers: { failures: 1, eject_for: 10s, max_ejected: 0 }
",
    )
    .expect("a valid configuration");

    let a = &config.clusters[0];
    assert_eq!(
        a.health_listeners.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["127.0.0.1:9101", "[::1]:9101"]
    );
    let http = |port, status, tls| ProbeKind::Http { port, path: "/".into(), status, tls };
    assert_eq!(a.health.probe, http(8081, (200, 204), None));
    let tls = ProbeTls {
        ca_file: "/etc/pointsman/ca.pem".into(),
        identity: Some(("/p.pem".into(), "/etc/pointsman/p.key".into())),
        server_name: Some("registry.example.com".into()),
    };
    let b = &config.clusters[1].health.probe;
    assert_eq!(*b, http(8082, (200, 299), Some(tls)));
    assert_eq!(
        (a.health.probe.to_string(), b.to_string()),
        ("http :8081/ status 200-204".into(), "https :8082/".into())
    );
    assert_eq!(a.health.jitter, Duration::from_millis(100));
    let [ports, names] = &config.virtual_clusters[..] else { panic!("expected two virtual clusters") };
    assert_eq!((ports.slots, ports.mode.passthrough()), (3, Some(&Passthrough::default())));
    let told =
        |v: &VirtualClusterConfig| v.slot_addresses().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told(ports), ["0.0.0.0:9092", "0.0.0.0:9093", "0.0.0.0:9094"]);
    let sni = SniNames { host: "b{slot}.kafka.example.com".into(), bootstrap: "kafka.example.com".into() };
    let expected = Passthrough {
        sni: Some(sni),
        scope: Scope::Broker,
        on_switch: OnSwitch::Drain(Duration::from_secs(10)),
        connect_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_secs(3600),
        outliers: OutlierRules { failures: 1, eject_for: Duration::from_secs(10), max_ejected: 0 },
    };
    assert_eq!(names.mode, Mode::Passthrough(expected));
    assert_eq!(told(names)[3], "b3.kafka.example.com:9095");
}

#[test]
fn one_port_has_as_many_slots_as_the_largest_cluster_has_servers() {
    let config = parse(
        "
clusters:
  a: { bootstrap_servers: [a0:1, a1:1] }
  b: { bootstrap_servers: [b0:1, b1:1, b2:1, b3:1] }
virtual_clusters:
  main: { listen: 127.0.0.1:9092, chain: [a, b] }
  only: { listen: 127.0.0.1:9093, chain: [a] }
",
    )
    .expect("a valid configuration");

    let slots: Vec<u16> = config.virtual_clusters.iter().map(|v| v.slots).collect();
    assert_eq!(slots, [4, 2]);
}

#[test]
fn an_alias_repeats_what_its_anchor_holds() {
    let config = parse(
        "
clusters:
  a: { bootstrap_servers: [a0:1], health: &fast { interval: 100ms } }
  b: { bootstrap_servers: [b0:1], health: *fast }
virtual_clusters:
  main: { listen: 127.0.0.1:9092, chain: [a, b] }
",
    )
    .expect("a valid configuration");

    assert_eq!(config.clusters[0].health, config.clusters[1].health);
    assert_eq!(config.clusters[1].health.interval, Duration::from_millis(100));
}

/// The YAML blocks of a page.
fn yaml_blocks(page: &str) -> Vec<&str> {
    page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn docs_configuration_md_shows_a_valid_file_and_the_true_defaults() {
    let page = include_str!("../../../../docs/configuration.md");
    let blocks = yaml_blocks(page);
    let [small, every_key, tls, passthrough] = blocks[..] else { panic!("expected four files") };
    assert_eq!(small, SMALL);

    let mut shown = parse(every_key).expect("the page shows a valid file");

    let probe = &parse(tls).expect("the page shows a valid file").clusters[0].health.probe;
    let ProbeKind::Http { tls: Some(ProbeTls { identity: Some(_), server_name: Some(_), .. }), .. } = probe
    else {
        panic!("expected every key of `tls`, found {probe:?}")
    };
    let least = "
clusters: { primary: { bootstrap_servers: [kafka-a0:9092] } }
virtual_clusters: { main: { listen: 127.0.0.1:9092, chain: [primary] } }
";
    let defaults = parse(passthrough).expect("the page shows a valid file");
    assert_eq!(defaults.virtual_clusters[0].mode, Mode::Passthrough(Passthrough::default()));
    let listeners = std::mem::take(&mut shown.clusters[0].health_listeners);
    assert_eq!(listeners.len(), 1, "a key without a default");
    assert_eq!(shown.clusters[0].region.take().as_deref(), Some("eu-west"), "a key without a default");
    assert!(shown.clusters[0].health.forget_after.take().is_some(), "a key without a default");
    assert_eq!(shown, parse(least).expect("a valid file"));
}

#[test]
fn docs_passthrough_md_shows_a_valid_file() {
    let page = include_str!("../../../../docs/passthrough.md");
    let blocks = yaml_blocks(page);
    let [ports, names] = blocks[..] else { panic!("expected a file and a part of it") };
    assert_eq!(parse(ports).expect("a valid file").virtual_clusters[0].slots, 5);
    let listen = "    listen: 0.0.0.0:9092-9096          # a port for each broker of the largest cluster\n";
    let by_name = parse(&ports.replace(listen, names)).expect("a valid file");
    assert_eq!(by_name.virtual_clusters[0].slot_addresses()[4].to_string(), "b4.kafka.example.com:9093");
}

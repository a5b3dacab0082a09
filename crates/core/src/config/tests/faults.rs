//! The exact words of every kind of fault: users and their tools read them.

use super::{SMALL, parse};

/// Every fault of the text, one a line, without the name of the file.
fn faults(text: &str) -> Vec<String> {
    let errors = parse(text).expect_err("a faulty configuration").0;
    let text = errors.iter().map(ToString::to_string);
    text.map(|line| line.strip_prefix("pointsman.yaml:").expect("the name of the file").to_owned()).collect()
}

/// The faults of the small example after one replacement.
fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(SMALL.contains(from), "{from:?} is not in the example");
    faults(&SMALL.replace(from, to))
}

/// The faults of a file whose only cluster has this text (in line 2, from column 6).
fn of_cluster(text: &str) -> Vec<String> {
    faults(&format!(
        "clusters:\n  p: {text}\nvirtual_clusters:\n  main: {{ listen: 127.0.0.1:9092, chain: [p] }}"
    ))
}

/// The faults of a file whose virtual clusters have this text (in line 4).
fn of_virtual_clusters(text: &str) -> Vec<String> {
    faults(&format!(
        "clusters:\n  p: {{ bootstrap_servers: [k0:9092, k1:9092] }}\nvirtual_clusters:\n{text}\n"
    ))
}

#[test]
fn keys_of_later_releases_are_refused_by_name() {
    let design = r#"admin: { listen: 127.0.0.1:9901, users_file: admin-users.yaml }   # no users_file: loopback only
state: { file: pointsman-state.json }                             # or: { etcd: { endpoints: [...], tls: {...} } }
clusters:
  primary:
    bootstrap_servers: [...]
    region: eu-west
    tls:  { ca_file: ca.pem, cert_file: client.pem, key_file: client.key }
    sasl: { mechanism: SCRAM-SHA-512, username: pointsman, password: { env: PRIMARY_PASSWORD } }   # or { file: ... }
    health:
      probe: kafka                     # or: { http: { port: 8081, path: /schemas/types } } or: tcp
      interval: 500ms
      edge_interval: 50ms              # after the first failure or success
      timeout: 1s
      unhealthy_after: 3
      healthy_after: 2
      quorum: majority                 # or a number
virtual_clusters:
  main:
    mode: kafka                        # or: passthrough
    listen: 0.0.0.0:9092-9096          # or one port for everything: 0.0.0.0:9092
    advertise: kafka.example.com
    tls:  { cert_file: server.pem, key_file: server.key, client_ca_file: clients-ca.pem }
    sasl: { mechanisms: [SCRAM-SHA-256, SCRAM-SHA-512, PLAIN, OAUTHBEARER], users_file: users.yaml }   # or: forward
    chain: [primary, secondary]
    failover: { automatic: true, scope: cluster, failback: automatic, hold: 30s }   # scope: broker = per slot
    routes:
      - { topics: "app*",  chain: [c1, c1-standby] }
      - { topics: "a*",    chain: [c2] }
      - { topics: ["b*"],  chain: [c3] }
"#;
    let expected = [
        "1:34: admin.users_file: `users_file` is not supported by this version; remove it",
        "5:25: clusters.primary.bootstrap_servers[0]: expected host:port, e.g. kafka-1:9092, found `...`; \
         write host:port",
        "7:5: clusters.primary.tls: `tls` is not supported by this version; remove it",
        "8:5: clusters.primary.sasl: `sasl` is not supported by this version; remove it",
        "22:5: virtual_clusters.main.tls: `tls` is not supported by this version; remove it",
        "23:5: virtual_clusters.main.sasl: `sasl` is not supported by this version; remove it",
        "24:22: virtual_clusters.main.chain[1]: expected the name of a cluster, found `secondary`; \
         add it under `clusters`, which has `primary`",
        "26:5: virtual_clusters.main.routes: `routes` is not supported by this version; remove it",
    ];
    assert_eq!(faults(design), expected);

    let expected =
        ["4:19: virtual_clusters.main.listen: a listener by SNI host is not supported by this version; \
         write listen: 0.0.0.0:9092-9096"];
    let virtual_cluster = "  main: { listen: { sni: 0.0.0.0:9093 }, chain: [p] }";
    assert_eq!(of_virtual_clusters(virtual_cluster), expected);

    let expected = ["1:10: state.etcd: `etcd` is not supported by this version; remove it"];
    assert_eq!(faults(&format!("state: {{ etcd: {{ endpoints: [x] }} }}\n{SMALL}")), expected);
}

#[test]
fn what_does_not_go_with_a_replication_is_said_with_what_does() {
    let faulty = |more: &str| {
        of_virtual_clusters(&format!("  main: {{ listen: 127.0.0.1:9092, chain: [p], {more} }}"))
    };
    let expected = "4:60: virtual_clusters.main.replication: expected none or identical_offsets, found `mirror`; \
                    write none or identical_offsets";
    assert_eq!(faulty("replication: mirror"), [expected]);
    let expected = "virtual_clusters.main.positions: `earliest` does not go with `replication: identical_offsets`; \
                    remove `positions`: a committed offset is right on every cluster of the chain";
    assert!(faulty("replication: identical_offsets, positions: earliest")[0].ends_with(expected));
    let expected = "virtual_clusters.main.failover.catch_up: there is nothing to wait for without `replication: \
                    identical_offsets`; remove it, or say what copies the records";
    assert!(faulty("failover: { catch_up: 1s }")[0].ends_with(expected));
    let expected = "expected a duration from 0s to 20s, found `1m`; the nearest allowed is 20s";
    assert!(faulty("replication: identical_offsets, failover: { catch_up: 1m }")[0].ends_with(expected));
}

#[test]
fn a_consumer_drain_is_refused_where_nothing_could_be_drained() {
    let faulty = |more: &str| {
        let main = format!("  main: {{ listen: 127.0.0.1:9092-9093, chain: [p], {more} }}");
        let faults = of_virtual_clusters(&main);
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].split_once("main.failover.consumer_drain: ").expect("the path").1.to_owned()
    };
    assert_eq!(
        faulty("replication: identical_offsets, failover: { consumer_drain: 1s }"),
        "with `replication: identical_offsets` consumers read on elsewhere: nothing is left behind; remove it"
    );
    assert_eq!(
        faulty("mode: passthrough, failover: { consumer_drain: 1s }"),
        "with `mode: passthrough` nothing tells consumers from producers; remove it"
    );
    assert_eq!(
        faulty("failover: { consumer_drain: 31s }"),
        "expected a duration from 0s to 30s, found `31s`; the nearest allowed is 30s"
    );
    assert!(
        faulty("failover: { consumer_drain: 2 }").starts_with("expected a duration with a unit, found `2`")
    );
    for none in ["replication: identical_offsets", "mode: passthrough"] {
        let main = format!(
            "clusters: {{ p: {{ bootstrap_servers: [k0:1, k1:1] }} }}\nvirtual_clusters: {{ main: {{ \
             listen: 127.0.0.1:9092-9093, chain: [p], {none}, failover: {{ consumer_drain: 0s }} }} }}"
        );
        let config = parse(&main).expect("no drain goes with everything");
        assert!(config.virtual_clusters[0].failover.consumer_drain.is_zero(), "{none}");
    }
}

#[test]
fn what_is_no_configuration_at_all_is_said_in_one_line() {
    let start = "start with `clusters:` and `virtual_clusters:`";
    assert_eq!(faults("# nothing yet\n"), [format!("1:1: the file is empty; {start}")]);
    assert_eq!(faults("[]"), [format!("1:1: expected a mapping of settings, found a list; {start}")]);
    let expected = "2:1: this is not valid YAML: while parsing a node, did not find expected node content; \
                    correct the indentation, the brackets or the quotes here";
    assert_eq!(faults("a: ["), [expected]);
    let second = "2:1: expected one YAML document, found a second; remove the line `---` or `...`";
    assert_eq!(faults("a: 1\n---\nb: 2"), [second]);
    assert_eq!(faults("clusters: !x 1"), ["1:11: YAML tags are not supported; remove the word with `!`"]);
    let deep = "1:33: this is nested too deeply; keep to the keys of the documentation";
    assert_eq!(faults(&"[".repeat(100)), [deep]);
    let bomb = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, i| {
        text + &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "))
    });
    assert!(faults(&bomb)[0].ends_with("the file has too many values; use fewer aliases or a smaller file"));
    let large =
        "1:1: expected a file of at most 1048576 bytes, found 1048577; check that this is the right file";
    assert_eq!(faults(&" ".repeat((1 << 20) + 1)), [large]);
}

#[test]
fn missing_unknown_and_repeated_keys_are_named() {
    let expected = [
        "5:3: virtual_clusters.main.listen: this key is required, but missing; write listen: 0.0.0.0:9092-9096",
        "6:5: virtual_clusters.main.lisen: `lisen` is no known key; did you mean `listen`?",
    ];
    assert_eq!(changed("listen:", "lisen:"), expected);

    let expected = [
        "3:3: clusters.primary: this key was already given in line 2; keep one of them",
        "8:22: virtual_clusters.main.chain[1]: expected the name of a cluster, found `secondary`; \
         add it under `clusters`, which has `primary`",
    ];
    assert_eq!(changed("  secondary:", "  primary:"), expected);

    let expected = [
        "1:9: clusters: expected a mapping of names to clusters, found nothing; \
         write clusters: { primary: { bootstrap_servers: [kafka-1:9092] } }",
        "2:19: virtual_clusters: expected a mapping of names to virtual clusters, found none; \
         write virtual_clusters: { main: { listen: 127.0.0.1:9092-9096, chain: [primary, secondary] } }",
    ];
    assert_eq!(faults("clusters:\nvirtual_clusters: {}"), expected);

    let expected =
        ["2:3: clusters.bad name: expected a name of letters, digits, `.`, `_` and `-`, found `bad name`; \
                     choose another name, at most 100 characters"];
    assert_eq!(changed("primary", "bad name")[..1], expected);
}

#[test]
fn values_of_unknown_keys_and_credentials_in_addresses_are_never_quoted() {
    let expected = [
        "2:8: clusters.p.regoin: `regoin` is no known key; did you mean `region`?",
        "2:20: clusters.p.password: `password` is no known key; \
         the keys here are `bootstrap_servers`, `region`, `health` and `health_listeners`",
        "2:59: clusters.p.bootstrap_servers[0]: expected host:port, e.g. kafka-1:9092, \
         found the text `…@kafka:9092`; write host:port",
    ];
    let cluster = "{ regoin: eu, password: hunter2, bootstrap_servers: ['user:hunter2@kafka:9092'] }";
    assert_eq!(of_cluster(cluster), expected);
}

#[test]
fn listeners_are_checked() {
    let listen = |text: &str| {
        let faults = changed("0.0.0.0:9092-9096", text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].strip_prefix("6:13: virtual_clusters.main.listen: ").expect("the path").to_owned()
    };
    let form = "expected an address such as 0.0.0.0:9092 or 0.0.0.0:9092-9096";
    assert_eq!(listen("9092"), format!("{form}, found `9092`; write 0.0.0.0:9092"));
    assert_eq!(listen("[a]"), format!("{form}, found a list; write listen: 0.0.0.0:9092-9096"));
    assert_eq!(
        listen("0.0.0.0:9096-9092"),
        "expected the first port before the last, found `0.0.0.0:9096-9092`; write 0.0.0.0:9092-9096"
    );
    assert_eq!(
        listen("0.0.0.0:0"),
        "expected ports from 1 to 65535, found `0.0.0.0:0`; choose the port: clients need one that stays"
    );
    assert_eq!(
        listen("0.0.0.0:http"),
        "expected ports from 1 to 65535, found `0.0.0.0:http`; write 0.0.0.0:9092 or 0.0.0.0:9092-9096"
    );
    assert_eq!(
        listen("kafka:9092"),
        "expected an IP address of this machine before the port, found `kafka:9092`; \
         write 0.0.0.0:9092 for all interfaces; names of this machine go to `advertise`"
    );
    assert_eq!(
        listen("0.0.0.0:1000-9000"),
        "expected at most 1000 ports, found `0.0.0.0:1000-9000`; write listen: 0.0.0.0:9092-9096"
    );
    assert_eq!(
        listen("0.0.0.0:9901"),
        "port 9901 is already used by the default of admin.listen; give each listener ports of its own"
    );
}

#[test]
fn ports_may_not_overlap() {
    let expected =
        ["7:13: virtual_clusters.main.listen: port 9094 is already used by admin.listen in line 1; \
                     give each listener ports of its own"];
    assert_eq!(faults(&format!("admin: {{ listen: 127.0.0.1:9094 }}\n{SMALL}")), expected);

    let expected = [
        "5:21: virtual_clusters.second.listen: ports 9092-9093 are already used by \
         virtual_clusters.main.listen in line 4; give each listener ports of its own",
        "6:20: virtual_clusters.third.listen: port 9093 is already used by \
         virtual_clusters.second.listen in line 5; give each listener ports of its own",
    ];
    let three = "  main: { listen: 127.0.0.1:9090-9093, chain: [p] }\n\
                 \x20 second: { listen: 0.0.0.0:9092-9095, advertise: k, chain: [p] }\n\
                 \x20 third: { listen: 127.0.0.2:9093, chain: [p] }";
    assert_eq!(of_virtual_clusters(three), expected);
}

#[test]
fn the_admin_api_stays_on_loopback() {
    let listen = |text: &str| faults(&format!("admin: {{ listen: {text} }}\n{SMALL}"));
    let expected = "1:18: admin.listen: expected a loopback address with a port, found `0.0.0.0:9901`; \
                    write 127.0.0.1:9901: the admin API has no users yet and must not be reachable from outside";
    assert_eq!(listen("0.0.0.0:9901"), [expected]);
    let expected =
        "1:18: admin.listen: expected a loopback address with a port, found `9901`; write 127.0.0.1:9901";
    assert_eq!(listen("9901"), [expected]);
    let expected = "1:18: admin.listen: expected a loopback address with a port, found `127.0.0.1:0`; \
                    write 127.0.0.1:9901";
    assert_eq!(listen("127.0.0.1:0"), [expected]);
}

#[test]
fn slots_and_advertised_hosts_are_checked() {
    let expected =
        ["5:3: virtual_clusters.main.advertise: this key is required, as `listen` binds every interface \
                     (0.0.0.0); write the host name that clients reach this machine by"];
    assert_eq!(changed("    advertise: kafka.example.com\n", ""), expected);
    let expected =
        ["7:16: virtual_clusters.main.advertise: expected a host name or address without port, that \
                     clients can reach, found `kafka:9092`; write kafka: the ports are those of `listen`"];
    assert_eq!(changed("kafka.example.com", "kafka:9092"), expected);
    let expected =
        ["7:16: virtual_clusters.main.advertise: expected a host name or address without port, that \
                     clients can reach, found `0.0.0.0`; write e.g. advertise: kafka.example.com"];
    assert_eq!(changed("kafka.example.com", "0.0.0.0"), expected);
    let expected =
        ["7:16: virtual_clusters.main.advertise: expected a host name or address without port, that \
                     clients can reach, found the text `b{node}.k`; write e.g. advertise: kafka.example.com"];
    assert_eq!(changed("kafka.example.com", "'b{node}.k'"), expected);
    let expected = ["4:40: virtual_clusters.main.slots: a port range has one slot per port: 2; \
                     remove `slots`, or listen on one port"];
    let range = "  main: { listen: 127.0.0.1:9092-9093, slots: 3, chain: [p] }";
    assert_eq!(of_virtual_clusters(range), expected);
    let expected = ["4:42: virtual_clusters.main.slots: expected a whole number from 1 to 1000, found `0`; \
                     write a number, e.g. 3"];
    assert_eq!(of_virtual_clusters("  main: { listen: 127.0.0.1:9092, slots: 0, chain: [p] }"), expected);
}

#[test]
fn chains_are_checked() {
    let chain = |text: &str| changed("[primary, secondary]", text);
    let expected = ["8:12: virtual_clusters.main.chain: expected a list of clusters, found an empty list; \
                     write chain: [primary, secondary]"];
    assert_eq!(chain("[]"), expected);
    let expected = ["8:12: virtual_clusters.main.chain: expected a list of clusters, found `primary`; \
                     write chain: [primary, secondary]"];
    assert_eq!(chain("primary"), expected);
    let expected = [
        "8:13: virtual_clusters.main.chain[0]: expected the name of a cluster, found `primry`; did you mean `primary`?",
        "8:32: virtual_clusters.main.chain[2]: `secondary` is already in the chain; name each cluster once",
        "8:43: virtual_clusters.main.chain[3]: expected the name of a cluster, found `x`; \
         add it under `clusters`, which has `primary` and `secondary`",
    ];
    assert_eq!(chain("[primry, secondary, secondary, x]"), expected);
}

#[test]
fn bootstrap_servers_are_checked() {
    let servers = |text: &str| -> Vec<String> {
        let faults = of_cluster(&format!("{{ bootstrap_servers: {text} }}"));
        let short = |line: &String| line.replacen("clusters.p.bootstrap_servers", "servers", 1);
        faults.iter().map(short).collect()
    };
    let expected = [
        "2:28: servers[0]: expected host:port, e.g. kafka-1:9092, found `k0`; write e.g. k0:9092",
        "2:32: servers[1]: expected a port from 1 to 65535, found the text `k1:0`; write e.g. k1:9092",
        "2:40: servers[2]: expected host:port, e.g. kafka-1:9092, found a list; write host:port",
        "2:50: servers[4]: `k2:1` is already in the list, in line 2; name each server once",
    ];
    assert_eq!(servers("[k0, 'k1:0', [], k2:1, k2:1]"), expected);
    let expected = ["2:27: servers: expected a list of host:port, found `k0:9092`; \
                     write bootstrap_servers: [kafka-1:9092, kafka-2:9092]"];
    assert_eq!(servers("k0:9092"), expected);
    let expected = ["2:44: servers.file: expected either `srv` or `file`, found both; remove one of them"];
    assert_eq!(servers("{ srv: _kafka.a, file: x }"), expected);
    let expected = ["2:27: servers: expected either `srv` or `file`, found neither; \
                     write { srv: _kafka._tcp.example.com } or { file: brokers.txt }"];
    assert_eq!(servers("{ refresh: 1s }"), expected);
    let expected = [
        "2:34: servers.srv: expected the name of an SRV record, found the text `a b`; \
         write srv: _kafka._tcp.example.com",
        "2:51: servers.resolver: expected the IP address and port of a DNS server, found `dns`; \
         write e.g. 10.0.0.2:53",
    ];
    assert_eq!(servers("{ srv: 'a b', resolver: dns }"), expected);
    let expected = [
        "2:47: servers.refresh: expected a duration from 100ms to 1h, found `1ms`; the nearest allowed is 100ms",
        "2:52: servers.resolver: `resolver` goes with `srv`, not with `file`; remove it",
    ];
    assert_eq!(servers("{ file: x, refresh: 1ms, resolver: dns }"), expected);
}

#[test]
fn health_is_checked() {
    let health = |text: &str| -> Vec<String> {
        let faults = of_cluster(&format!("{{ bootstrap_servers: [k0:1, k1:1], health: {text} }}"));
        faults
            .iter()
            .map(|line| line.split_once("clusters.p.health.").expect("the path").1.to_owned())
            .collect()
    };
    let expected = [
        "interval: expected a duration with a unit, found `500`; write 500ms, 500s or 500m",
        "timeout: expected a duration from 10ms to 1m, found `0ms`; the nearest allowed is 10ms",
        "edge_interval: expected a duration, found `fast`; write a number with a unit: 500ms, 1s, 2m or 1h",
        "unhealthy_after: expected a whole number from 1 to 100, found `0`; write a number, e.g. 3",
        "healthy_after: expected a whole number from 1 to 100, found the text `2`; write 2 without quotes",
        "quorum: expected at most the number of bootstrap servers, 2, found `3`; \
         write majority, a smaller number, or name all brokers",
        "probe: expected kafka, tcp or { http: { port, path } }, found `http`; write probe: kafka",
    ];
    let text = "{ interval: 500, timeout: 0ms, edge_interval: fast, unhealthy_after: 0, healthy_after: '2', \
                quorum: 3, probe: http }";
    assert_eq!(health(text), expected);
    let expected = [
        "quorum: expected majority or a number of brokers from 1, found `half`; write majority",
        "interval: expected a duration from 10ms to 1h, found `2h`; the nearest allowed is 1h",
        "edge_interval: expected a duration from 10ms to 500ms, found `4h`; the nearest allowed is 500ms",
        "probe.http.port: this key is required, but missing; write probe: { http: { port: 8081, path: / } }",
        "probe.http.path: expected a path that starts with `/`, found `x`; write e.g. /schemas/types",
    ];
    let text = "{ quorum: half, interval: 2h, edge_interval: 4h, probe: { http: { path: x } } }";
    assert_eq!(health(text), expected);
}

#[test]
fn failover_is_checked() {
    let expected = [
        "4:17: virtual_clusters.main.mode: expected kafka or passthrough, found `http`; write kafka or passthrough",
        "4:78: virtual_clusters.main.failover.scope: expected cluster, found `slot`; write cluster",
        "4:95: virtual_clusters.main.failover.automatic: expected true or false, found `yes`; write true or false",
        "4:110: virtual_clusters.main.failover.failback: expected automatic or manual, found `never`; \
         write automatic or manual",
        "4:123: virtual_clusters.main.failover.hold: expected a duration from 0s to 24h, found `48h`; \
         the nearest allowed is 24h",
    ];
    let text = "  main: { mode: http, listen: 127.0.0.1:9092, chain: [p], failover: { scope: slot, automatic: yes, \
                failback: never, hold: 48h } }";
    assert_eq!(of_virtual_clusters(text), expected);
}

#[test]
fn passthrough_refuses_what_its_clients_could_not_reach() {
    let expected = [
        "4:61: virtual_clusters.main.chain: cluster `p` has 2 brokers, but there are slots for 1 only: clients would be sent to \
         addresses that nobody listens on; give `listen` a port for each broker of the largest cluster (with `sni`: \
         raise `slots`)",
    ];
    let one_port = "  main: { mode: passthrough, listen: 127.0.0.1:9092, chain: [p] }";
    assert_eq!(of_virtual_clusters(one_port), expected);
    let of_source = |cluster: &str| {
        faults(&format!(
            "clusters:\n  p: {cluster}\nvirtual_clusters:\n  main: {{ mode: passthrough, listen: 127.0.0.1:1-3, chain: [p] }}"
        ))
    };
    let expected = [
        "4:60: virtual_clusters.main.chain: cluster `p` gets its servers from an SRV record, in no certain \
                     order, but their order says which slot each broker has; list the servers, or name them in a file",
    ];
    assert_eq!(of_source("{ bootstrap_servers: { srv: _k.a } }"), expected);
    let expected = [
        "4:60: virtual_clusters.main.chain: cluster `p` has `health.forget_after`, but its brokers advertise \
                     Pointsman's slots, which would be taken for brokers; remove forget_after",
    ];
    assert_eq!(of_source("{ bootstrap_servers: [a:1], health: { forget_after: 1h } }"), expected);
}

#[test]
fn passthrough_refuses_two_slots_for_one_port_and_one_name() {
    let expected = [
        "5:39: virtual_clusters.other.listen: port 9093 is already used by virtual_clusters.main.listen in \
                     line 4; give each listener ports of its own",
    ];
    let two = "  main: { mode: passthrough, listen: 127.0.0.1:9092-9093, chain: [p] }\n\
               \x20 other: { mode: passthrough, listen: { sni: 127.0.0.1:9093, host: 'b{slot}.k', bootstrap: k }, chain: [p] }";
    assert_eq!(of_virtual_clusters(two), [expected[0]]);
    let names = |text: &str| {
        let main = format!("  main: {{ mode: passthrough, listen: {{ {text} }}, chain: [p] }}");
        let faults = of_virtual_clusters(&main);
        let short = |line: &String| line.split_once("main.listen").expect("the path").1.to_owned();
        faults.iter().map(short).collect::<Vec<_>>()
    };
    assert_eq!(
        names("sni: 0.0.0.0:9093, host: b.kafka.example.com, bootstrap: 10.0.0.1"),
        [
            ".host: expected a host name with `{slot}` in it, once, found `b.kafka.example.com`; \
             write e.g. host: \"b{slot}.kafka.example.com\"",
            ".bootstrap: expected a host name, found `10.0.0.1`; write e.g. bootstrap: kafka.example.com",
        ]
    );
    assert_eq!(
        names("sni: 0.0.0.0:9093, host: 'b{slot}.k', bootstrap: B3.k"),
        [
            ".bootstrap: `b3.k` is the name of a slot too, by `host: b{slot}.k`; give the bootstrap a name of its own"
        ]
    );
    assert_eq!(
        names("sni: 0.0.0.0:9093-9094, host: 'b{slot}.k', bootstrap: k"),
        [".sni: expected an address with one port, found `0.0.0.0:9093-9094`; write e.g. sni: 0.0.0.0:9093"]
    );
}

#[test]
fn keys_that_make_no_sense_in_a_mode_are_refused_by_name() {
    let expected = [
        "4:66: virtual_clusters.main.advertise: `advertise` has no meaning with `mode: passthrough`: brokers advertise \
         the slots themselves, in advertised.listeners; remove it",
        "4:80: virtual_clusters.main.positions: `positions` has no meaning with `mode: passthrough`: offsets cannot be \
         seen in bytes that are not read; remove it",
        "4:101: virtual_clusters.main.outliers.max_ejected: expected a whole number from 0 to 100, found `200`; \
         write a number, e.g. 3",
        "4:120: virtual_clusters.main.on_switch: expected close or { drain: 10s }, found `never`; \
         write on_switch: close",
    ];
    let main = "  main: { mode: passthrough, listen: 127.0.0.1:1-2, chain: [p], advertise: k, positions: earliest, \
                outliers: { max_ejected: 200 }, on_switch: never }";
    let columns = |lines: Vec<String>| -> Vec<String> {
        lines.iter().map(|line| line.splitn(3, ':').nth(2).expect("a place").to_owned()).collect()
    };
    assert_eq!(columns(of_virtual_clusters(main)), columns(expected.map(str::to_owned).to_vec()));
    let expected = [
        " virtual_clusters.main.failover.scope: `scope: broker` goes with `mode: passthrough`; remove it: here any slot \
         serves any partition",
        " virtual_clusters.main.idle_timeout: `idle_timeout` goes with `mode: passthrough`; remove it, or write mode: \
         passthrough",
    ];
    let main = "  main: { listen: 127.0.0.1:1-2, chain: [p], failover: { scope: broker }, idle_timeout: 1m }";
    assert_eq!(columns(of_virtual_clusters(main)), expected);
    let expected =
        [" virtual_clusters.main.slots: with `mode: passthrough` one port is one slot: nothing else tells \
                     slots apart; remove `slots`, or listen on a range or by `sni`"];
    let main = "clusters: { p: { bootstrap_servers: [k:1] } }\n\
                virtual_clusters: { main: { mode: passthrough, listen: 127.0.0.1:1, slots: 2, chain: [p] } }";
    assert_eq!(columns(faults(main)), expected);
}

#[test]
fn health_listeners_and_statuses_are_checked() {
    let expected = [
        "2:61: clusters.p.health_listeners[0]: expected an IP address of this machine with a port, found `9101`; \
         write e.g. 127.0.0.1:9101",
        "2:67: clusters.p.health_listeners[1]: port 9901 is already used by the default of admin.listen; \
         give each listener ports of its own",
    ];
    let cluster = "{ bootstrap_servers: [k0:1, k1:1], health_listeners: [9101, 127.0.0.1:9901] }";
    let found = of_cluster(cluster);
    assert_eq!(found.len(), 2, "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(
            found.split_once(": "),
            Some((found.split_once(": ").expect("a place").0, expected.split_once(": ").expect("a place").1))
        );
    }
    let status = of_cluster(
        "{ bootstrap_servers: [k0:1], health: { probe: { http: { port: 1, status: 300-200 } } } }",
    );
    assert!(
        status[0].ends_with(
            "expected an HTTP status or a range of them, found `300-200`; write e.g. status: 200, or 200-299"
        ),
        "{status:?}"
    );
}

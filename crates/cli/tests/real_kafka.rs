//! The binary between real clients and real Apache Kafka. Skipped, and counted, where there is no Java.

mod support;

use pointsman_testkit::{
    clients::{ClientKind, Driver, DriverSpec, Event, Mode, install},
    drill::{self, Options},
    kafka::{Cluster, ClusterSpec, free_ports},
    log::ClusterLog,
    process::wait_for,
    skip::{kafka_or_skip, skipped},
};
use std::{
    collections::HashSet,
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};
use support::{BINARY, Listen, Proxy, Scratch, servers};

const LIMIT: Duration = Duration::from_secs(60);
/// Acknowledgements that are looked for in a log: five of each partition.
const LAST: usize = 30;
/// Brokers are heavy: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn partitions(events: &[Event]) -> usize {
    let partition = |e: &Event| match e {
        Event::Ack { p, .. } | Event::Rec { p, .. } => Some(*p),
        _ => None,
    };
    events.iter().filter_map(partition).collect::<HashSet<u32>>().len()
}

#[test]
fn five_libraries_work_through_a_range_of_ports_and_through_one_port() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(kafka) = kafka_or_skip("five_libraries_work_through_a_range_of_ports_and_through_one_port")
    else {
        return;
    };
    let cluster = Cluster::start(&kafka, ClusterSpec::new("through", 3)).expect("a cluster");
    for (listen, suffix) in [(Listen::Range, "range"), (Listen::One, "one")] {
        let proxy = Proxy::start(&[("a", servers(&cluster))], &listen, "");
        proxy.wait_active("a", LIMIT);
        for kind in ClientKind::ALL {
            let program = match install(kind) {
                Ok(program) => program,
                Err(reason) => {
                    skipped(kind.name(), &reason);
                    continue;
                }
            };
            let topic = format!("{}-{suffix}", kind.name());
            cluster.create_topic(&topic, 6, 3, &[]).expect("a topic");
            let spec = |mode| DriverSpec::new(mode, kind.name(), &proxy.bootstrap(), &topic);
            let producer = Driver::start(&program, &spec(Mode::Produce)).expect("a producer");
            let consumer = Driver::start(&program, &spec(Mode::Consume)).expect("a consumer");
            producer.wait(LIMIT, |e| partitions(e) == 6).expect("every partition is acknowledged");
            let produced = producer.finish(LIMIT);
            let acked = produced.iter().filter(|e| matches!(e, Event::Ack { .. })).count();
            consumer.wait(LIMIT, |e| e.len() >= acked).expect("everything is consumed");
            let consumed = consumer.finish(LIMIT);
            let errors: Vec<_> =
                produced.iter().chain(&consumed).filter(|e| matches!(e, Event::Err { .. })).collect();
            assert!(errors.is_empty(), "{topic}: {errors:?}\n{}", proxy.log());
            let log = ClusterLog::read(&kafka, &cluster, &topic).expect("the log");
            assert_eq!(log.len(), acked, "{topic}");
        }
    }
}

#[test]
fn clients_of_five_libraries_survive_the_loss_of_their_cluster_and_its_return() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let test = "clients_of_five_libraries_survive_the_loss_of_their_cluster_and_its_return";
    if kafka_or_skip(test).is_none() {
        return;
    }
    let clients = ClientKind::ALL.into_iter().filter(|kind| match install(*kind) {
        Ok(_) => true,
        Err(reason) => {
            skipped(&format!("{test} {}", kind.name()), &reason);
            false
        }
    });
    let options = Options { clients: clients.collect(), binary: Some(BINARY.into()), ..Options::default() };
    drill::failover(&options).expect("every promise holds");
}

#[test]
fn check_live_names_the_topics_that_a_standby_lacks() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(kafka) = kafka_or_skip("check_live_names_the_topics_that_a_standby_lacks") else { return };
    let start = |name| Cluster::start(&kafka, ClusterSpec::new(name, 1)).expect("a cluster");
    let (primary, secondary) = (start("primary"), start("secondary"));
    primary.create_topic("missing", 1, 1, &[]).expect("a topic");
    for (cluster, partitions) in [(&primary, 2), (&secondary, 3)] {
        cluster.create_topic("narrow", partitions, 1, &[]).expect("a topic");
    }
    let clusters = [("primary", servers(&primary)), ("secondary", servers(&secondary))];
    let proxy = Proxy::start(&clusters, &Listen::One, "");
    proxy.wait_active("primary", LIMIT);

    let file = proxy.scratch.0.join("pointsman.yaml");
    let output = Command::new(BINARY).args(["check", "--live", "-c"]).arg(&file).output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);

    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("missing") && told.contains("narrow"), "{told}");
    wait_for(LIMIT, || {
        let total = proxy.status()["virtual_clusters"][0]["topic_differences"][0]["total"].as_u64();
        if total == Some(2) { Ok(()) } else { Err(format!("{total:?} differences in the status")) }
    })
    .expect("the status says the same");
    let metrics = proxy.get("/metrics").expect("an answer");
    assert!(metrics.lines().any(|l| l.contains("topic_differences") && l.ends_with(" 2")), "{metrics}");
}

/// Two of five brokers dead, the third one, all back: the demo judges itself from logs, and its exit code is the verdict.
#[test]
fn the_demo_keeps_its_promises() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if kafka_or_skip("the_demo_keeps_its_promises").is_none() {
        return;
    }
    let output =
        Command::new(BINARY).args(["demo", "--kafka", "--headless", "--json"]).output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let json: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("one JSON object, and nothing else");
    assert_eq!((&json["lost"], &json["minority_loss_switched"]), (&0.into(), &false.into()), "{json}");
}

/// Certificates that `pointsman certs` made for one host, and by which clients know it.
fn certificates(directory: &Path) -> String {
    let arguments = ["certs", "--broker", "127.0.0.1", "--proxy", "localhost", "--out"];
    let made = Command::new(BINARY).args(arguments).arg(directory).output().expect("it starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::read_to_string(directory.join("127.0.0.1.keystore.pem")).expect("a keystore")
}

/// What a library must be told to speak TLS.
fn trust(kind: ClientKind, ca: &Path) -> Vec<(String, String)> {
    let ca = ca.display().to_string();
    let settings = match kind {
        ClientKind::Java => [
            ("security.protocol", "SSL".to_owned()),
            ("ssl.truststore.type", "PEM".to_owned()),
            ("ssl.truststore.location", ca),
        ]
        .to_vec(),
        _ => [("security.protocol", "ssl".to_owned()), ("ssl.ca.location", ca)].to_vec(),
    };
    settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// TLS ends at the brokers, which have Pointsman's name in their certificates; Pointsman moves bytes that it cannot read.
#[test]
fn clients_that_speak_tls_with_their_brokers_follow_a_failover_behind_passthrough() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let test = "clients_that_speak_tls_with_their_brokers_follow_a_failover_behind_passthrough";
    let Some(kafka) = kafka_or_skip(test) else { return };
    let (scratch, ports) = (Scratch::new(), free_ports(3).expect("ports"));
    let keystore = certificates(&scratch.0);
    let spec = |name, brokers| ClusterSpec {
        advertised: ports.iter().take(brokers).map(|port| format!("localhost:{port}")).collect(),
        keystores: vec![keystore.clone(); brokers],
        ..ClusterSpec::new(name, brokers)
    };
    let mut primary = Cluster::spawn(&kafka, spec("primary", 3)).expect("a primary");
    let mut secondary = Cluster::spawn(&kafka, spec("secondary", 1)).expect("a secondary");
    primary.wait_ready().expect("the primary is ready");
    secondary.wait_ready().expect("the secondary is ready");
    primary.create_topic("secret", 6, 3, &[]).expect("a topic");
    secondary.create_topic("secret", 6, 1, &[]).expect("a topic");
    let front = |cluster: &Cluster| {
        let servers: Vec<String> = cluster.front().iter().map(ToString::to_string).collect();
        format!("{{ bootstrap_servers: [{}], health: {{ probe: tcp }} }}", servers.join(", "))
    };
    let proxy = Proxy::start_on(ports.clone(), |admin| {
        format!(
            "admin: {{ listen: 127.0.0.1:{admin} }}\nclusters:\n  primary: {}\n  secondary: {}\nvirtual_clusters:\n  \
             main: {{ mode: passthrough, listen: 127.0.0.1:{}-{}, chain: [primary, secondary] }}\n",
            front(&primary),
            front(&secondary),
            ports[0],
            ports[2]
        )
    });
    proxy.wait_active("primary", LIMIT);
    let mut producers = Vec::new();
    for kind in [ClientKind::Java, ClientKind::Librdkafka] {
        match install(kind) {
            Ok(program) => {
                let bootstrap = format!("localhost:{}", ports[0]);
                let mut spec = DriverSpec::new(Mode::Produce, kind.name(), &bootstrap, "secret");
                spec.settings.extend(trust(kind, &scratch.0.join("ca.pem")));
                producers.push(Driver::start(&program, &spec).expect("a producer"));
            }
            Err(reason) => skipped(kind.name(), &reason),
        }
    }
    for producer in &producers {
        producer.wait(LIMIT, |e| partitions(e) == 6).expect("every partition is acknowledged, over TLS");
    }

    primary.kill(&[0, 1]);
    proxy.wait_active("secondary", LIMIT);

    let moved = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_nanos();
    let since = |events: &[Event]| -> Vec<Event> {
        let late = |e: &&Event| matches!(e, Event::Ack { t, .. } if u128::from(*t) >= moved);
        events.iter().filter(late).cloned().collect()
    };
    for producer in &producers {
        let served = |e: &[Event]| partitions(&since(e)) == 6 && since(e).len() >= 2 * LAST;
        producer.wait(LIMIT, served).expect("every partition is acknowledged again");
    }
    let acked: Vec<(String, Vec<Event>)> =
        producers.into_iter().map(|p| (p.client().to_owned(), p.finish(LIMIT))).collect();
    let log = ClusterLog::read(&kafka, &secondary, "secret").expect("the log");
    for (client, events) in acked {
        // An acknowledgement of the primary may still have been on its way within the client.
        for event in since(&events).into_iter().rev().take(LAST) {
            let Event::Ack { seq, .. } = event else { continue };
            assert_eq!(log.copies(&format!("{client}-{seq}")), 1, "{client}: record {seq}\n{}", proxy.log());
        }
    }
}

#[test]
fn nothing_moves_for_a_rolling_restart_a_slow_broker_or_a_busy_machine() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let test = "nothing_moves_for_a_rolling_restart_a_slow_broker_or_a_busy_machine";
    let Some(kafka) = kafka_or_skip(test) else { return };
    let spec = |name: &str, brokers| ClusterSpec {
        properties: vec![
            ("broker.session.timeout.ms".into(), "3000".into()),
            ("broker.heartbeat.interval.ms".into(), "500".into()),
        ],
        ..ClusterSpec::new(name, brokers)
    };
    let mut primary = Cluster::spawn(&kafka, spec("primary", 5)).expect("a primary");
    let mut secondary = Cluster::spawn(&kafka, spec("secondary", 3)).expect("a secondary");
    primary.wait_ready().expect("the primary is ready");
    secondary.wait_ready().expect("the secondary is ready");
    let proxy = Proxy::start(
        &[("primary", servers(&primary)), ("secondary", servers(&secondary))],
        &Listen::Range,
        "",
    );
    proxy.wait_active("primary", LIMIT);
    let before = proxy.switches();

    for broker in 0..5 {
        primary.stop(broker);
        primary.wait_stopped(broker, LIMIT).expect("the broker stops");
        primary.restart(&[broker]).expect("the broker starts");
        primary.wait_ready().expect("the broker is ready");
        wait_for(LIMIT, || healthy(&proxy, 5)).expect("all brokers are healthy again");
    }
    assert_eq!(proxy.switches(), before, "a rolling restart: {}", proxy.log());

    stutter(&mut primary, Duration::from_secs(10));
    assert_eq!(proxy.switches(), before, "a slow broker: {}", proxy.log());

    busy(Duration::from_secs(60));
    assert_eq!(proxy.switches(), before, "a busy machine: {}", proxy.log());
}

fn healthy(proxy: &Proxy, brokers: u64) -> Result<(), String> {
    let status = proxy.status();
    let found = status["clusters"][0]["healthy"].as_u64();
    if found == Some(brokers) { Ok(()) } else { Err(format!("{found:?} healthy: {status}")) }
}

/// One broker that runs 50 ms of every 250 ms.
fn stutter(cluster: &mut Cluster, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        cluster.pause(&[1]);
        thread::park_timeout(Duration::from_millis(200));
        cluster.resume(&[1]);
        thread::park_timeout(Duration::from_millis(50));
    }
}

/// Two busy threads per core.
fn busy(time: Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let threads = 2 * thread::available_parallelism().map_or(2, usize::from);
    let spin = || {
        let stop = stop.clone();
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        })
    };
    let spinning: Vec<_> = (0..threads).map(|_| spin()).collect();
    thread::park_timeout(time);
    stop.store(true, Ordering::Relaxed);
    spinning.into_iter().for_each(|thread| thread.join().expect("a spinning thread"));
}

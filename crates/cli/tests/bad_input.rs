//! What users and clients do wrong: each fault has its message or its close, and nobody else notices.

mod support;

use pointsman_testkit::{kafka::free_ports, process::wait_for};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    time::Duration,
};
use support::{BINARY, Listen, Proxy, Scratch};

const LIMIT: Duration = Duration::from_secs(10);

fn nobody() -> String {
    let port = free_ports(1).expect("a port")[0];
    format!("{{ bootstrap_servers: [127.0.0.1:{port}] }}")
}

fn run(config: &str) -> (Option<i32>, String) {
    let scratch = Scratch::new();
    let file = scratch.0.join("pointsman.yaml");
    fs::write(&file, config).expect("a writable file");
    let output = Command::new(BINARY).args(["run", "-c"]).arg(&file).output().expect("pointsman starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_wrong_configuration_ends_the_start_with_file_line_and_key() {
    let (code, message) = run(
        "clusters:\n  a: { bootstrap_servers: [h:1] }\nvirtual_clusters:\n  main: { listen: 127.0.0.1:9092, chain: [b] }\n",
    );
    assert_eq!(code, Some(1), "{message}");
    assert!(
        message.contains("pointsman.yaml:4:") && message.contains("virtual_clusters.main.chain"),
        "{message}"
    );
}

#[test]
fn a_port_in_use_is_named_and_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let admin = free_ports(1).expect("a port")[0];
    let config = format!(
        "admin: {{ listen: 127.0.0.1:{admin} }}\nclusters: {{ a: {} }}\nvirtual_clusters: {{ main: {{ listen: 127.0.0.1:{port}, chain: [a] }} }}\n",
        nobody()
    );
    let (code, message) = run(&config);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains(&format!("127.0.0.1:{port}")) && message.contains("listen"), "{message}");
}

#[test]
fn a_cluster_that_cannot_be_reached_is_said_in_readyz_and_clients_are_refused_at_once() {
    let proxy = Proxy::start(&[("a", nobody())], &Listen::Range, "");
    let ready = proxy.get("/readyz").expect("an answer");
    assert!(ready.contains("main"), "{ready}");
    let mut client = TcpStream::connect(("127.0.0.1", proxy.ports[2])).expect("the port is open");
    client.set_read_timeout(Some(LIMIT)).expect("a socket");
    client.write_all(&metadata_request()).expect("sent");
    assert_eq!(
        client.read_to_end(&mut Vec::new()).ok(),
        Some(0),
        "closed, without an answer and without a wait"
    );
}

#[test]
fn hostile_frames_close_their_own_connection_only() {
    let proxy = Proxy::start(&[("a", nobody())], &Listen::Range, "");
    let bystander = TcpStream::connect(("127.0.0.1", proxy.ports[0])).expect("the port is open");
    let frames: [(&str, Vec<u8>); 5] = [
        ("a length of 2 GiB", vec![0x7f, 0xff, 0xff, 0xff]),
        ("a negative length", vec![0xff, 0xff, 0xff, 0xff]),
        ("an unknown api key", frame(&[0x03, 0xe7, 0, 0, 0, 0, 0, 1, 0xff, 0xff])),
        ("an unknown version", frame(&[0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff])),
        ("a truncated header", frame(&[0, 3, 0])),
    ];
    for (what, bytes) in &frames {
        let mut client = TcpStream::connect(("127.0.0.1", proxy.ports[1])).expect("the port is open");
        client.set_read_timeout(Some(LIMIT)).expect("a socket");
        client.write_all(bytes).expect("sent");
        let closed = match client.read_to_end(&mut Vec::new()) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(closed, "{what}");
    }
    wait_for(LIMIT, || {
        let metrics = proxy.get("/metrics")?;
        let line =
            metrics.lines().find(|l| l.contains("reason=\"bad_request\"")).unwrap_or_default().to_owned();
        if line.ends_with(" 5") { Ok(()) } else { Err(line) }
    })
    .expect("each close is counted");
    assert_eq!(proxy.log().matches("bad_request").count(), 5, "one log line each: {}", proxy.log());
    bystander.set_nonblocking(true).expect("a socket");
    let error = (&bystander).read(&mut [0; 1]).expect_err("still open, and nothing came");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn an_api_versions_request_that_is_too_new_is_answered_in_version_0_with_error_35() {
    let proxy = Proxy::start(&[("a", nobody())], &Listen::One, "");
    let mut client = TcpStream::connect(("127.0.0.1", proxy.ports[0])).expect("the port is open");
    client.set_read_timeout(Some(LIMIT)).expect("a socket");
    client.write_all(&frame(&[0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff])).expect("sent");
    let mut answer = [0; 10];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer[4..], [0, 0, 0, 7, 0, 35]);
}

#[test]
fn a_reload_applies_a_whole_file_or_nothing_of_it() {
    let proxy = Proxy::start(&[("a", nobody())], &Listen::One, "");
    let file = proxy.scratch.0.join("pointsman.yaml");
    let before = fs::read_to_string(&file).expect("the configuration");

    fs::write(&file, format!("{before}    failover: {{ hold: 7s }}\n")).expect("a writable file");
    let changed = proxy.post("/v1/config/reload").expect("an answer");
    fs::write(&file, format!("{before}    failover: {{ hold: soon }}\n")).expect("a writable file");
    let faulty = proxy.post("/v1/config/reload").expect("an answer");
    fs::write(&file, before.replace("chain: [a]", "chain: [a]\n    slots: 9")).expect("a writable file");
    let refused = proxy.post("/v1/config/reload").expect("an answer");

    assert!(changed.contains("hold"), "{changed}");
    assert!(faulty.contains("virtual_clusters.main.failover.hold"), "{faulty}");
    assert!(refused.contains("slots") && refused.contains("restart"), "{refused}");
}

#[test]
fn a_termination_ends_the_process_in_order() {
    let mut proxy = Proxy::start(&[("a", nobody())], &Listen::Range, "");
    let _idle = TcpStream::connect(("127.0.0.1", proxy.ports[0])).expect("the port is open");
    proxy.process.terminate();
    let status = proxy.process.wait_exit(Duration::from_secs(20)).expect("it ends");
    assert!(status.success(), "{status}: {}", proxy.log());
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).expect("small").to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

fn metadata_request() -> Vec<u8> {
    frame(&[0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0])
}

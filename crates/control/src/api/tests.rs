//! The API over real connections on loopback: every route, every error, its description, its limits.

use super::{schema, *};
use crate::{
    example,
    handle::{Applied, Decided, NotDone, Request},
    reload::Reloader,
};
use pointsman_core::{
    failover::{Command, Refusal},
    limits,
    metrics::VirtualClusterMetrics,
    status::Status,
};
use serde_json::Value;
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(20);
const VALID: &str = "clusters: { p: { bootstrap_servers: [k:1] } }\n\
                     virtual_clusters: { main: { listen: 127.0.0.1:9092, chain: [p] } }\n";

/// A running API over a loop that always answers the same.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
    file: PathBuf,
}

async fn given(name: &str, status: Status, applied: Applied) -> Running {
    let file = std::env::temp_dir().join(format!("pointsman-api-{name}-{}.yaml", std::process::id()));
    std::fs::write(&file, VALID).expect("a writable directory");
    let (handle, mut requests) = Handle::new();
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Status(reply) => drop(reply.send(status.clone())),
                Request::Apply(_, reply) => drop(reply.send(applied.clone())),
                Request::Command(name, command, reply) => drop(reply.send(obey(&name, command))),
            }
        }
    });
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let api = Api {
        reloader: Reloader::new(file.clone(), handle.clone()),
        handle,
        metrics: Arc::new(vec![("main".into(), Arc::new(VirtualClusterMetrics::default()))]),
        tasks: tasks.clone(),
    };
    tasks.spawn(serve(listener, api, stop.clone()));
    Running { address, stop, tasks, file }
}

/// What a loop in which `secondary` is active says.
fn obey(name: &Arc<str>, command: Command) -> Result<Decided, NotDone> {
    let active = Arc::from("secondary");
    if &**name != "main" {
        return Err(NotDone::NoVirtualCluster { name: name.clone(), known: vec!["main".into()] });
    }
    match command {
        Command::Switch { to, .. } if &*to == "tertiary" => {
            Err(NotDone::NoCluster { name: to, known: vec!["primary".into(), active] })
        }
        Command::Switch { to, .. } if &*to == "other" => Err(NotDone::Refused(Refusal::NotInChain(to))),
        Command::Switch { to, .. } if to == active => Err(NotDone::Refused(Refusal::AlreadyActive(to))),
        Command::Switch { to, force: false, .. } if &*to == "weak" => {
            Err(NotDone::Refused(Refusal::NoQuorum(to)))
        }
        Command::Switch { seen: Some(seen), .. } => {
            Err(NotDone::Refused(Refusal::Outdated { seen, since: 7 }))
        }
        Command::Switch { to, .. } => Ok(Decided { generation: 8, from: Some(active), to: Some(to) }),
        Command::Failback | Command::Automatic => Ok(Decided { generation: 7, from: Some(active), to: None }),
    }
}

async fn usual(name: &str) -> Running {
    given(name, example::status(), Applied::Changed(vec!["cluster p: added".into()])).await
}

impl Running {
    /// Status code and body of one request on a connection of its own.
    async fn ask(&self, method: &str, path: &str, headers: &str) -> (u16, String) {
        let host = if headers.contains("Host:") { "" } else { "Host: 127.0.0.1\r\n" };
        self.send(&format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n")).await
    }

    async fn send(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("a listener");
        stream.write_all(request.as_bytes()).await.expect("an open connection");
        let mut answer = String::new();
        timeout(DEADLINE, stream.read_to_string(&mut answer))
            .await
            .expect("an answer in time")
            .expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (code, body.to_owned())
    }

    async fn json(&self, method: &str, path: &str) -> (u16, Value) {
        let (code, body) = self.ask(method, path, "").await;
        (code, serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}")))
    }

    /// Asks for a switch with this body.
    async fn switch(&self, name: &str, body: &str) -> (u16, Value) {
        let path = format!("/v1/virtual-clusters/{name}/switch");
        let headers = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let (code, body) = self.ask("POST", &path, &headers).await;
        (code, serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}")))
    }

    async fn document(&self) -> Value {
        self.json("GET", "/v1/openapi.json").await.1
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        drop(std::fs::remove_file(&self.file));
    }
}

/// The schema that the document gives for an answer.
fn described(document: &Value, method: &str, path: &str, code: u16) -> Value {
    let content = &document["paths"][path][method.to_lowercase()]["responses"][code.to_string()]["content"];
    content["application/json"]["schema"].clone()
}

#[tokio::test]
async fn the_description_has_exactly_the_routes_that_exist() {
    let running = usual("routes").await;
    let document = running.document().await;

    let mut described = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            described.push((method.to_uppercase(), path.clone()));
        }
    }
    let routes: Vec<_> = ROUTES.iter().map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned())).collect();
    assert_eq!(described, routes);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    for (method, path, _) in ROUTES {
        let path = path.replace("{name}", "main");
        let body = "{\"to\":\"primary\"}";
        let headers = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let headers = if path.ends_with("/switch") { &*headers } else { "" };
        assert_eq!(running.ask(method, &path, headers).await.0, 200, "{method} {path}");
    }
}

#[tokio::test]
async fn real_answers_are_what_the_description_says() {
    let running = usual("answers").await;
    let document = running.document().await;
    let refusing =
        given("refusing", example::status(), Applied::Refused(vec!["admin: listen: needs a restart".into()]))
            .await;
    let mut unready = example::status();
    unready.virtual_clusters[0].active = None;
    let unready = given("unready", unready, Applied::Changed(Vec::new())).await;
    let broken = usual("broken").await;
    std::fs::write(&broken.file, "clusters: {}\nadmin: { listen: 0.0.0.0:1 }").expect("a writable directory");
    let missing = usual("missing").await;
    std::fs::remove_file(&missing.file).expect("the file");

    for (from, method, path, expected) in [
        (&running, "GET", "/v1/status", 200),
        (&running, "GET", "/healthz", 200),
        (&running, "GET", "/readyz", 200),
        (&unready, "GET", "/readyz", 503),
        (&running, "POST", "/v1/config/reload", 200),
        (&refusing, "POST", "/v1/config/reload", 409),
        (&broken, "POST", "/v1/config/reload", 422),
        (&missing, "POST", "/v1/config/reload", 422),
    ] {
        let (code, body) = from.json(method, path).await;
        assert_eq!(code, expected, "{method} {path}: {body}");
        let faults = schema::faults(&document, &described(&document, method, path, code), &body);
        assert!(faults.is_empty(), "{method} {path} {code}: {faults:#?}");
    }
}

#[tokio::test]
async fn every_answer_to_a_command_is_what_the_description_says() {
    let running = usual("switch").await;
    let document = running.document().await;
    let path = "/v1/virtual-clusters/{name}/switch";
    for (name, body, expected, code) in [
        ("main", r#"{"to":"primary"}"#, 200, None),
        ("main", r#"{"to":"weak","force":true}"#, 200, None),
        ("main", "", 400, Some("bad_body")),
        ("main", r#"{"to":"primary","forced":true}"#, 400, Some("bad_body")),
        ("other", r#"{"to":"primary"}"#, 404, Some("no_virtual_cluster")),
        ("main", r#"{"to":"secondary"}"#, 409, Some("already_active")),
        ("main", r#"{"to":"weak"}"#, 409, Some("no_quorum")),
        ("main", r#"{"to":"primary","seen":6}"#, 409, Some("outdated")),
        ("main", r#"{"to":"tertiary"}"#, 422, Some("no_cluster")),
        ("main", r#"{"to":"other"}"#, 422, Some("not_in_chain")),
    ] {
        let (status, answer) = running.switch(name, body).await;
        assert_eq!((status, answer["code"].as_str()), (expected, code), "{body}: {answer}");
        assert_eq!(code.is_some(), answer["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{answer}");
        let faults = schema::faults(&document, &described(&document, "POST", path, status), &answer);
        assert!(faults.is_empty(), "{body} {status}: {faults:#?}");
    }

    let path = "/v1/virtual-clusters/{name}/automatic";
    for (name, expected) in [("main", 200), ("other", 404)] {
        let (status, answer) = running.json("POST", &path.replace("{name}", name)).await;
        assert_eq!(status, expected, "{answer}");
        let faults = schema::faults(&document, &described(&document, "POST", path, status), &answer);
        assert!(faults.is_empty(), "{name} {status}: {faults:#?}");
    }
}

#[tokio::test]
async fn readyz_says_which_virtual_cluster_lacks_what() {
    let mut status = example::status();
    status.virtual_clusters[0].active = None;
    let running = given("reasons", status, Applied::Changed(Vec::new())).await;

    let (code, body) = running.json("GET", "/readyz").await;

    let expected = "virtual cluster main has no active cluster: primary has 0 of 1 needed healthy brokers, \
                    secondary has 1 of 1 needed healthy brokers";
    assert_eq!((code, &body["reasons"][0]), (503, &Value::from(expected)));
}

#[tokio::test]
async fn readyz_is_content_with_a_slot_that_leads_somewhere_when_each_goes_alone() {
    let mut status = example::status();
    status.virtual_clusters[0].active = None;
    status.virtual_clusters[0].scope = Some(pointsman_core::config::Scope::Broker);
    let running = given("alone", status, Applied::Changed(Vec::new())).await;

    assert_eq!(running.json("GET", "/readyz").await.0, 200);
}

#[tokio::test]
async fn a_reload_with_faults_names_each_of_them() {
    let running = usual("faults").await;
    std::fs::write(&running.file, "clusters: {}\nadmin: { listen: 0.0.0.0:1 }")
        .expect("a writable directory");

    let (code, body) = running.json("POST", "/v1/config/reload").await;

    assert_eq!(code, 422);
    let paths: Vec<_> = body["errors"].as_array().expect("errors").iter().map(|e| &e["path"]).collect();
    assert_eq!(paths, ["virtual_clusters", "clusters", "admin.listen"]);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_what_exists() {
    let running = usual("unknown").await;

    let (code, body) = running.json("GET", "/v1/nothing").await;
    assert_eq!((code, body["routes"].as_array().map(Vec::len)), (404, Some(ROUTES.len())));
    let (code, body) = running.json("GET", "/v1/config/reload").await;
    assert_eq!((code, &body["allowed"]), (405, &Value::from(vec!["POST"])));
    let (code, body) = running.json("GET", "/v1/virtual-clusters/main/switch").await;
    assert_eq!((code, &body["allowed"]), (405, &Value::from(vec!["POST"])));
    let (code, body) = running.json("DELETE", "/v1/status").await;
    assert_eq!((code, &body["allowed"]), (405, &Value::from(vec!["GET"])));
}

#[tokio::test]
async fn a_web_page_can_neither_reload_nor_switch() {
    let running = usual("foreign").await;
    let reload = |headers: &'static str| running.ask("POST", "/v1/config/reload", headers);

    for path in ["/v1/virtual-clusters/main/switch", "/v1/virtual-clusters/main/automatic"] {
        assert_eq!(running.ask("POST", path, "Origin: http://evil.example\r\n").await.0, 403, "{path}");
        assert_eq!(running.ask("POST", path, "Host: evil.example\r\n").await.0, 403, "{path}");
    }
    assert_eq!(reload("Origin: http://evil.example\r\n").await.0, 403, "another origin");
    assert_eq!(reload("Origin: null\r\n").await.0, 403, "a sandboxed page");
    assert_eq!(reload("Host: evil.example\r\nOrigin: http://evil.example\r\n").await.0, 403, "DNS rebinding");
    assert_eq!(reload("Host: evil.example\r\n").await.0, 403, "a foreign name");
    assert_eq!(
        reload("Host: localhost:9901\r\nOrigin: http://localhost:9901\r\n").await.0,
        200,
        "its own page"
    );
}

#[tokio::test]
async fn large_requests_are_refused() {
    let running = usual("large").await;

    let body = format!("Content-Length: {}\r\n", limits::ADMIN_BODY + 1);
    let too_long = format!("{body}\r\n{}", "x".repeat(limits::ADMIN_BODY + 1));
    let host = "Host: 127.0.0.1\r\nConnection: close\r\n";
    let (code, _) = running.send(&format!("POST /v1/config/reload HTTP/1.1\r\n{host}{too_long}")).await;
    assert_eq!(code, 413);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_shutdown_ends_the_idle_ones() {
    let running = usual("many").await;
    let mut open = Vec::new();
    for _ in 0..limits::ADMIN_CONNECTIONS {
        let mut stream = TcpStream::connect(running.address).await.expect("a listener");
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .expect("an open connection");
        let read = timeout(DEADLINE, stream.read(&mut [0; 512])).await.expect("an answer in time");
        assert!(read.expect("an answer") > 0);
        open.push(stream);
    }

    let mut one_more = TcpStream::connect(running.address).await.expect("a listener");
    let read = timeout(DEADLINE, one_more.read(&mut [0; 16])).await.expect("an end in time");
    assert!(matches!(read, Ok(0) | Err(_)), "closed without an answer");

    running.stop.cancel();
    running.tasks.close();
    timeout(DEADLINE, running.tasks.wait()).await.expect("idle connections end with their parent");
}

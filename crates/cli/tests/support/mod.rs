//! A running `pointsman`, as users start it: the binary, a configuration file, real sockets.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod ground;

use pointsman_testkit::{
    kafka::{Cluster, free_ports},
    process::{Process, wait_for},
};
use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");
const START: Duration = Duration::from_secs(20);

/// A directory of this test's own, removed at its end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pointsman-e2e-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a writable directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running process.
pub(crate) struct Proxy {
    pub(crate) process: Process,
    pub(crate) admin: u16,
    pub(crate) ports: Vec<u16>,
    pub(crate) scratch: Scratch,
}

/// What `listen` covers.
pub(crate) enum Listen {
    /// A port for each of five slots.
    Range,
    /// One port for everything.
    One,
}

impl Proxy {
    /// Starts with the clusters of a YAML mapping, e.g. `primary: { bootstrap_servers: [...] }`, and the chain of all of them.
    pub(crate) fn start(clusters: &[(&str, String)], listen: &Listen, more: &str) -> Self {
        let ports = free_ports(if matches!(listen, Listen::Range) { 5 } else { 1 }).expect("ports");
        Self::start_on(ports.clone(), |admin| config_text(clusters, &ports, admin, more))
    }

    /// Starts on these ports with a configuration that knows the one of the admin API.
    pub(crate) fn start_on(ports: Vec<u16>, text: impl FnOnce(u16) -> String) -> Self {
        let scratch = Scratch::new();
        let admin = free_ports(1).expect("a port")[0];
        let config = scratch.0.join("pointsman.yaml");
        fs::write(&config, text(admin)).expect("a writable file");
        let process = spawn(&config, &scratch.0);
        let proxy = Self { process, admin, ports, scratch };
        wait_for(START, || proxy.get("/healthz").map(drop))
            .unwrap_or_else(|e| panic!("{e}\n{}", proxy.log()));
        proxy
    }

    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// Waits until a cluster of that name is active.
    pub(crate) fn wait_active(&self, name: &str, limit: Duration) {
        wait_for(limit, || match self.status()["virtual_clusters"][0]["active"].as_str() {
            Some(active) if active == name => Ok(()),
            other => Err(format!("active: {other:?}")),
        })
        .unwrap_or_else(|e| panic!("{e}\n{}", self.log()));
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        self.get("/v1/status").ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    pub(crate) fn switches(&self) -> u64 {
        self.status()["virtual_clusters"][0]["switches_total"].as_u64().expect("a number of switches")
    }

    pub(crate) fn get(&self, path: &str) -> Result<String, String> {
        request(self.admin, "GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Result<String, String> {
        request(self.admin, "POST", path)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.scratch.0.join("log")).unwrap_or_default()
    }
}

pub(crate) fn servers(cluster: &Cluster) -> String {
    format!("{{ bootstrap_servers: [{}] }}", cluster.bootstrap().replace(',', ", "))
}

fn config_text(clusters: &[(&str, String)], ports: &[u16], admin: u16, more: &str) -> String {
    let names: Vec<&str> = clusters.iter().map(|(name, _)| *name).collect();
    let listed: String = clusters.iter().map(|(name, body)| format!("  {name}: {body}\n")).collect();
    let listen = match ports {
        [one] => format!("127.0.0.1:{one}"),
        many => format!("127.0.0.1:{}-{}", many[0], many[many.len() - 1]),
    };
    format!(
        "admin: {{ listen: 127.0.0.1:{admin} }}\nclusters:\n{listed}virtual_clusters:\n  main:\n    listen: {listen}\n    \
         chain: [{}]\n{more}",
        names.join(", ")
    )
}

pub(crate) fn spawn(config: &Path, directory: &Path) -> Process {
    let log = File::create(directory.join("log")).expect("a writable file");
    let mut command = Command::new(BINARY);
    command.args(["run", "-c"]).arg(config).current_dir(directory).env("RUST_LOG", "info");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
    Process::spawn("pointsman", &mut command).expect("pointsman starts")
}

fn request(admin: u16, method: &str, path: &str) -> Result<String, String> {
    let mut stream = TcpStream::connect(("127.0.0.1", admin)).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(|e| e.to_string())?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| e.to_string())?;
    answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .ok_or_else(|| format!("no HTTP answer: {answer:?}"))
}

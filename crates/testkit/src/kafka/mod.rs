//! Real Apache Kafka from its published jars: installed once, started in about a second.
//!
//! Tests and the demo need clusters whose brokers really die. So each broker is a process of its own, with its
//! own ports on 127.0.0.1 and its own data directory in memory; nothing listens on any other address.

mod admin;
mod cluster;
pub(crate) mod install;
mod older;
mod ping;
mod ports;
mod release;
mod spec;

pub use admin::{Admin, PartitionState};
pub use cluster::Cluster;
pub use ping::{api_versions, node_ids};
pub use ports::free_ports;
pub use release::Release;
pub use spec::ClusterSpec;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};

/// The version of Apache Kafka that is run, where nothing else is said.
pub const VERSION: &str = Release::Current.version();

/// An installed Apache Kafka. Cheap to clone; the clones share one admin helper.
#[derive(Clone, Debug)]
pub struct Kafka(Arc<Installed>);

#[derive(Debug)]
struct Installed {
    home: PathBuf,
    class_path: String,
    release: Release,
    /// The current one, which has the helper and the drivers; `None`: this is it.
    current: Option<Kafka>,
    admin: OnceLock<Admin>,
}

/// What a Java process is for: each has its own class-data archive and its own logging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Broker,
    Tools,
}

impl Kafka {
    /// Whether real Kafka can be run here; otherwise the reason, so that a test can be skipped and counted.
    pub fn available() -> Result<(), String> {
        install::available()
    }

    /// Installs on first use (about a minute, with downloads); afterwards only finds the files.
    pub fn install() -> Result<Self, String> {
        let home = install::install()?;
        Self::at(home)
    }

    /// Installs another release on first use. Its helper is that of the current one, which speaks to all of them.
    pub fn release(&self, release: Release) -> Result<Self, String> {
        if release == self.0.release {
            return Ok(self.clone());
        }
        let home = older::install(release)?;
        Self::new(home, release, Some(self.clone()))
    }

    fn at(home: PathBuf) -> Result<Self, String> {
        Self::new(home, Release::Current, None)
    }

    fn new(home: PathBuf, release: Release, current: Option<Self>) -> Result<Self, String> {
        let class_path = install::class_path(&home)?;
        Ok(Self(Arc::new(Installed { home, class_path, release, current, admin: OnceLock::new() })))
    }

    /// The helper for topics and logs, started on first use and shared.
    pub fn admin(&self) -> Result<&Admin, String> {
        if let Some(current) = &self.0.current {
            return current.admin();
        }
        if self.0.admin.get().is_none() {
            // Of two started at once, one is kept and the other ends with its handle.
            let _ = self.0.admin.set(Admin::start(self)?);
        }
        self.0.admin.get().ok_or_else(|| "no admin helper".to_owned())
    }

    /// A `java` command with the jars of Kafka and of the drivers, for a client program.
    pub(crate) fn tool(&self, class: &str) -> Command {
        let mut java = self.java(Role::Tools);
        java.arg(class);
        java
    }

    fn java(&self, role: Role) -> Command {
        let (archive, logging, heap) = match role {
            Role::Broker => ("broker.jsa", "log4j2.properties", "-Xmx256m"),
            Role::Tools => ("tools.jsa", "log4j2-tools.properties", "-Xmx192m"),
        };
        let mut java = match self.0.release {
            Release::Current => install::java(&self.0.home, &self.0.class_path, logging),
            _ => older::java(&self.0.home, &self.0.class_path),
        };
        java.args([heap, "-Xshare:auto", "-Xlog:disable"]);
        let archive = self.0.home.join(archive);
        if archive.is_file() {
            java.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
        }
        java
    }

    /// The metadata checkpoint of a formatted directory, the same for every broker.
    fn bootstrap_checkpoint(&self) -> PathBuf {
        self.0.home.join("bootstrap.checkpoint")
    }
}

//! Brokers of older releases: 3.9 as its own controllers, 2.8 with one ZooKeeper.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::install::{fetch_jars, format_once, jar_list, untrained};
use super::{Cluster, ClusterSpec, Kafka, Release};
use crate::cache;

const POM: &str = include_str!("../../kafka/older-pom.xml");
const LOGGING: &str = include_str!("../../kafka/log4j.properties");

/// The directory of an installed older release.
pub(super) fn install(release: Release) -> Result<PathBuf, String> {
    let version = release.version();
    let pom = POM.replace("VERSION", version);
    let jars = cache::ensure(&format!("jars-{version}"), &[&pom], |dir| fetch_jars(dir, &pom))?;
    cache::ensure(&format!("kafka-{version}"), &[&pom, LOGGING], |home| {
        prepare(home, &jars.join("libs"), release)
    })
}

fn prepare(home: &Path, libs: &Path, release: Release) -> Result<(), String> {
    cache::write(&home.join("log4j.properties"), LOGGING)?;
    cache::write(&home.join("libs"), &jar_list(libs)?)?;
    if !release.zookeeper() {
        format_once(home, java(home, &super::install::class_path(home)?))?;
    }
    if let Err(e) = train(home, release) {
        untrained(home, &e);
    }
    Ok(())
}

/// Runs one broker and lets the JVM write down which classes it loaded.
fn train(home: &Path, release: Release) -> Result<(), String> {
    let kafka = Kafka::new(home.to_owned(), release, None)?;
    let archive = format!("-XX:ArchiveClassesAtExit={}", home.join("broker.jsa").display());
    let spec = ClusterSpec { jvm_args: vec![archive], ..ClusterSpec::new("training", 1) };
    let mut cluster = Cluster::start(&kafka, spec)?;
    cluster.stop(0);
    cluster.wait_stopped(0, Duration::from_secs(60))
}

pub(super) fn java(home: &Path, class_path: &str) -> Command {
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-cp", class_path]);
    java.arg(format!("-Dlog4j.configuration=file:{}", home.join("log4j.properties").display()));
    java
}

/// The settings of a ZooKeeper that nobody else reaches.
pub(super) fn zookeeper_properties(port: u16, data: &Path) -> String {
    let host = Ipv4Addr::LOCALHOST;
    format!(
        "dataDir={}\nclientPort={port}\nclientPortAddress={host}\nmaxClientCnxns=0\nadmin.enableServer=false\n\
         tickTime=500\n",
        data.display()
    )
}

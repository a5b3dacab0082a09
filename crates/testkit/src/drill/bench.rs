//! What all runs share: the two clusters, the client programs, the ports and the directory of results.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use serde::Serialize;

use super::proxy::binary;
use super::{Options, Via};
use crate::clients::{ClientKind, Program, install};
use crate::kafka::{Cluster, ClusterSpec, Kafka, free_ports};
use crate::pointsman::Place;

#[derive(Debug)]
pub(super) struct Bench {
    pub(super) kafka: Kafka,
    pub(super) primary: Cluster,
    pub(super) secondary: Cluster,
    pub(super) programs: BTreeMap<ClientKind, Program>,
    pub(super) place: Place,
    results: PathBuf,
}

impl Bench {
    /// Starts a primary and a secondary of so many brokers. The results go to a file that begins with `name`.
    pub(super) fn start(options: &Options, name: &str, brokers: [usize; 2]) -> Result<Self, String> {
        let binary = binary(options)?;
        let kafka = Kafka::install()?;
        let mut programs = BTreeMap::new();
        for kind in &options.clients {
            programs.insert(*kind, install(*kind).map_err(|e| format!("{}: {e}", kind.name()))?);
        }
        let dir = results_dir()?;
        let [ports, admin] = [free_ports(5)?, free_ports(1)?];
        let place = Place { ports, admin_port: admin[0], dir: dir.clone(), binary };
        let begun = Instant::now();
        let mut primary = Cluster::spawn(&kafka, spec(options, &place, "primary", brokers[0]))?;
        let mut secondary = Cluster::spawn(&kafka, spec(options, &place, "secondary", brokers[1]))?;
        primary.wait_ready()?;
        secondary.wait_ready()?;
        let count: usize = brokers.iter().sum();
        eprintln!("{count} brokers in {:.1} s; results in {}", begun.elapsed().as_secs_f64(), dir.display());
        let results = dir.join(format!("{name}{}.jsonl", now_ns() / 1_000_000_000));
        Ok(Self { kafka, primary, secondary, programs, place, results })
    }

    pub(super) fn write_line(&self, value: &impl Serialize) -> Result<(), String> {
        let file = OpenOptions::new().create(true).append(true).open(&self.results);
        file.map_err(|e| e.to_string())
            .and_then(|f| write_json(f, value))
            .map_err(|e| format!("{}: {e}", self.results.display()))
    }
}

pub(super) fn write_json(mut file: File, value: &impl Serialize) -> Result<(), String> {
    let line = serde_json::to_string(value).map_err(|e| e.to_string())?;
    writeln!(file, "{line}").map_err(|e| e.to_string())
}

fn spec(options: &Options, place: &Place, name: &str, brokers: usize) -> ClusterSpec {
    let behind = if options.via.is_advertised() { place.addresses() } else { Vec::new() };
    let advertised = behind.iter().map(ToString::to_string).collect();
    ClusterSpec { advertised, properties: session_timeout(options), ..ClusterSpec::new(name, brokers) }
}

/// A killed broker may register again only when the controller has given up its former session, 9 s after a new
/// controller was elected. This does not matter for what clients see while there is no quorum, but for the
/// length of a drill; with two dead brokers it does matter, so there Kafka's own value stays.
fn session_timeout(options: &Options) -> Vec<(String, String)> {
    if options.minority || options.via == Via::Direct {
        return Vec::new();
    }
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    vec![pair("broker.session.timeout.ms", "3000"), pair("broker.heartbeat.interval.ms", "500")]
}

/// `target/drill` of the workspace, wherever in it the process was started.
fn results_dir() -> Result<PathBuf, String> {
    let here = std::env::current_dir().map_err(|e| format!("no current directory: {e}"))?;
    let workspace = here.ancestors().find(|d| d.join("crates/testkit/Cargo.toml").is_file()).unwrap_or(&here);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let dir = std::path::absolute(target.join("drill")).map_err(|e| format!("target/drill: {e}"))?;
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", Path::new(&dir).display()))?;
    Ok(dir)
}

/// The wall clock that the drivers stamp their lines with.
pub(super) fn now_ns() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

//! The troubles, and how they come over a cluster.

use std::fmt;
use std::process::Command;
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::kafka::Cluster;
use crate::process::Process;

const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Of each cycle a slow broker runs only the rest.
const SLOW_STOPPED: Duration = Duration::from_millis(400);
const SLOW_RUNNING: Duration = Duration::from_millis(100);
/// Busy threads per core.
const BUSY_PER_CORE: usize = 2;

/// Something that is no loss of quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trouble {
    /// Two of five brokers are killed, and started again later.
    Minority,
    /// Every broker in turn is shut down in order and started again.
    Rolling,
    /// Two busy threads per core.
    Busy,
    /// One broker runs a fifth of the time only.
    Slow,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Minority, Self::Rolling, Self::Busy, Self::Slow];

    /// Comes over the cluster for so long (a rolling restart: for as long as it takes), and goes.
    pub(super) fn befall(self, cluster: &mut Cluster, lasting: Duration) -> Result<(), String> {
        match self {
            Self::Minority => minority(cluster, lasting),
            Self::Rolling => (0..cluster.size()).try_for_each(|broker| restart(cluster, broker)),
            Self::Busy => busy(lasting),
            Self::Slow => {
                slow(cluster, lasting);
                Ok(())
            }
        }
    }
}

fn minority(cluster: &mut Cluster, lasting: Duration) -> Result<(), String> {
    cluster.kill(&[0, 1]);
    sleep(lasting);
    cluster.restart(&[0, 1])
}

fn restart(cluster: &mut Cluster, broker: usize) -> Result<(), String> {
    cluster.stop(broker);
    cluster.wait_stopped(broker, STOP_LIMIT)?;
    cluster.restart(&[broker])?;
    cluster.wait_ready()?;
    cluster.wait_in_sync(super::TOPIC, super::SYNC_LIMIT)
}

fn busy(lasting: Duration) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let start = |_| Process::spawn("busy loop", Command::new("sh").args(["-c", "while :; do :; done"]));
    let loops = (0..cores * BUSY_PER_CORE).map(start).collect::<Result<Vec<_>, _>>()?;
    sleep(lasting);
    drop(loops);
    Ok(())
}

fn slow(cluster: &mut Cluster, lasting: Duration) {
    let end = Instant::now() + lasting;
    while Instant::now() < end {
        cluster.pause(&[2]);
        sleep(SLOW_STOPPED);
        cluster.resume(&[2]);
        sleep(SLOW_RUNNING);
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minority => "minority",
            Self::Rolling => "rolling",
            Self::Busy => "busy",
            Self::Slow => "slow",
        })
    }
}

impl FromStr for Trouble {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|trouble| trouble.to_string() == text);
        found.ok_or_else(|| format!("--only: expected minority, rolling, busy or slow, got {text:?}"))
    }
}

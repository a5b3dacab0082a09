//! A mirror that follows a switch: it copies from the cluster that serves to the other one, and turns round when that changes.
//!
//! The order is the caller's affair, and the only one that loses nothing is: the proxy holds traffic, the mirror catches up, the proxy
//! moves traffic, and only then the mirror turns round.

use std::collections::BTreeMap;
use std::time::Duration;

use pointsman_sandbox::client::{Admin, ClientConfig, Mirror, MirrorConfig};
use tokio::runtime::Runtime;

/// Nothing dies in a run with a mirror, so that no broker refuses a batch.
const PIPELINE: usize = 16;

/// Both clusters, and the mirror between them.
#[derive(Debug)]
pub struct Ferry {
    runtime: Runtime,
    sides: [ClientConfig; 2],
    topic: String,
    groups: Vec<String>,
    running: Option<Mirror>,
}

impl Ferry {
    /// Copies from the first of two clusters (their bootstrap servers) to the second.
    pub fn start(sides: [String; 2], topic: &str, groups: Vec<String>) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|e| format!("mirror: {e}"))?;
        let sides = sides.map(|servers| ClientConfig {
            max_in_flight: 8 * PIPELINE,
            ..ClientConfig::new(servers.split(',')).client_id("mirror")
        });
        let mut ferry = Self { runtime, sides, topic: topic.to_owned(), groups, running: None };
        ferry.turn(0)?;
        Ok(ferry)
    }

    /// From now on this side serves, and is copied from.
    pub fn turn(&mut self, from: usize) -> Result<(), String> {
        let config = MirrorConfig {
            from: self.sides[from].clone(),
            to: self.sides[1 - from].clone(),
            topic: self.topic.clone(),
            groups: self.groups.clone(),
            pipeline: PIPELINE,
        };
        // Without a last copy of commits: those of the cluster that was left are old by now.
        self.runtime.block_on(async { drop(self.running.take()) });
        let started = self.runtime.block_on(Mirror::start(config));
        self.running = Some(started.map_err(|e| format!("mirror: {e}"))?);
        Ok(())
    }

    /// What each group has committed on one side, for each partition.
    pub fn committed(&self, side: usize) -> Result<BTreeMap<String, Vec<Option<u64>>>, String> {
        let admin = Admin::new(self.sides[side].clone());
        let mut committed = BTreeMap::new();
        for group in &self.groups {
            let lag = self.runtime.block_on(admin.lag(group, &self.topic));
            let lag = lag.map_err(|e| format!("commits of {group}: {e}"))?;
            let offsets = lag.values().map(|l| l.committed.and_then(|c| u64::try_from(c).ok()));
            committed.insert(group.clone(), offsets.collect());
        }
        Ok(committed)
    }

    /// Nobody writes any more: waits until both logs are alike, and ends.
    pub fn finish(mut self, limit: Duration) -> Result<(), String> {
        let Some(mirror) = self.running.take() else { return Ok(()) };
        self.runtime
            .block_on(async {
                mirror.wait_equal(limit).await?;
                mirror.stop().await
            })
            .map_err(|e| format!("mirror: {e}"))
    }
}

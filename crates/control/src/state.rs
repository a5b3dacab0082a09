//! What must survive a restart, and where it is kept.
//!
//! The file is replaced atomically (written beside, synced, renamed, directory synced) and carries a checksum. A file that
//! is damaged is never guessed around: the process refuses to start, because a wrong guess moves clients to the wrong
//! cluster. A file that cannot be written never stops traffic: it is logged, counted and tried again.

mod file;
mod writer;

pub use file::FileStore;
pub use writer::{Ticket, Writer};

use pointsman_core::{
    failover::{Reason, Saved},
    offer::Offer,
    offsets::{SavedGroups, SwitchPoint},
    places::Places,
    status::SwitchStatus,
    topic_ids::RealIds,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, io, path::PathBuf, sync::Arc};

/// Everything that survives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Snapshots up to this generation may have been published.
    pub generation: u64,
    /// By name.
    pub clusters: BTreeMap<Arc<str>, ClusterState>,
    /// By name.
    pub virtual_clusters: BTreeMap<Arc<str>, VirtualState>,
}

/// What survives of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterState {
    /// Highest leader epoch seen; the true one is less than one epoch margin above.
    pub max_epoch: i32,
    /// What each broker last said, by `host:port`.
    pub offers: BTreeMap<String, Offer>,
    /// The place of each broker, from which follows which slot stands for it.
    #[serde(default)]
    pub places: Places,
}

/// What survives of a virtual cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualState {
    /// Which cluster is active, and since when.
    pub failover: Saved,
    /// Switches in all.
    pub switches_total: u64,
    /// The same by cause.
    #[serde(default)]
    pub switches_by_cause: BTreeMap<Reason, u64>,
    /// The last ones, oldest first.
    pub switches: Vec<SwitchStatus>,
    /// Topics that were deleted and made again: how often.
    pub incarnations: BTreeMap<Arc<str>, u32>,
    /// The ids that clusters gave topics.
    #[serde(default, skip_serializing_if = "RealIds::is_empty")]
    pub topic_ids: Arc<RealIds>,
    /// Where the logs of the cluster that took over last ended at that moment.
    #[serde(default)]
    pub switch_point: Option<SwitchPoint>,
    /// Which groups were seen where.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub groups: Arc<SavedGroups>,
    /// Producer ids, as clients know them, whose commit was under way at the last switch, or is in doubt since an earlier one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits_in_doubt: Vec<i64>,
}

fn is_empty(groups: &SavedGroups) -> bool {
    groups.is_empty()
}

/// Where the state is kept.
pub trait StateStore: Send + Sync + 'static {
    /// What was stored last; `None`: nothing ever.
    ///
    /// # Errors
    /// It cannot be read, or it is damaged.
    fn load(&self) -> Result<Option<State>, StateError>;

    /// Stores all of it. When this returns it survives a power failure.
    ///
    /// # Errors
    /// It could not be stored; what was stored before is still there.
    fn store(&self, state: &State) -> io::Result<()>;
}

/// Why there is no state to start from.
#[derive(Debug)]
pub enum StateError {
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It is not what was written.
    Damaged(PathBuf, String),
    /// It was written by a newer version.
    Newer(PathBuf, u64),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => {
                write!(f, "the state file {} cannot be read: {error}", path.display())
            }
            Self::Damaged(path, what) => write!(
                f,
                "the state file {} is damaged: {what}. It says which cluster is active, so Pointsman does not start \
                 with a guess. Restore it from a backup; or move it away, then Pointsman starts as for the first time: \
                 it activates the first cluster of each chain that has quorum, and clients that were connected before \
                 must be restarted",
                path.display()
            ),
            Self::Newer(path, format) => write!(
                f,
                "the state file {} has format {format}, this version reads format 1: start the newer version again",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StateError {}

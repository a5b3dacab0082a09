//! What the checker found. Times are milliseconds; `None` means "never".

use serde::{Deserialize, Serialize};

/// The verdict over all clients.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Report {
    /// One entry per client.
    pub clients: Vec<ClientReport>,
    /// Acknowledgements by the secondary before the first window: a switch that should not have happened.
    pub switched_early: usize,
}

/// The verdict over one client.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct ClientReport {
    /// The client's name.
    pub client: String,
    /// Acknowledged records.
    pub acked: usize,
    /// Acknowledged records that neither log holds.
    pub lost: usize,
    /// Records of this client that both logs hold.
    pub duplicated_across: usize,
    /// Superfluous copies of records of this client within one log.
    pub duplicated_within: usize,
    /// Records that its consumer got more than once.
    pub consumed_again: usize,
    /// Errors that the application was given.
    pub app_errors: usize,
    /// Those after which the client object is dead.
    pub fatal_errors: usize,
    /// The first error, to know what kind they are.
    pub first_error: Option<String>,
    /// One entry per window.
    pub windows: Vec<WindowReport>,
}

/// The verdict over one client after one fault.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct WindowReport {
    /// From the fault to the first acknowledgement by the new cluster, on any partition.
    pub any_partition: Option<u64>,
    /// From the fault until every partition was acknowledged by the new cluster.
    pub every_partition: Option<u64>,
    /// Longest time that one partition went without an acknowledgement by whichever cluster.
    pub silence: u64,
    /// Longest time that one partition brought this client's consumer nothing new.
    pub consumer_gap: u64,
    /// Records acknowledged by the new cluster in this window, to any client, that this consumer never got.
    pub not_consumed: usize,
    /// Acknowledgements by the old cluster after this client's first by the new one.
    pub order_violations: usize,
    /// How long after that first one the last of them came.
    pub violation_span: u64,
    /// The same over all clients: by the old cluster to this client after the first by the new one to any.
    pub order_violations_fleet: usize,
}

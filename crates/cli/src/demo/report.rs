//! What the demo found.

use pointsman_testkit::history::{Report, WindowReport};
use serde::Serialize;

/// The object that `--json` prints. Times are milliseconds; `null` means never.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    /// From the third kill until every partition of every producer had been acknowledged by the secondary.
    pub(super) failover_ms: Option<u64>,
    /// From the decision to go back until every partition had been acknowledged by the primary.
    pub(super) failback_ms: Option<u64>,
    /// Whether anything was served by the secondary while the primary still had its quorum.
    pub(super) minority_loss_switched: bool,
    /// Records acknowledged to the producers.
    pub(super) acked: usize,
    /// Acknowledged records that neither cluster's log holds.
    pub(super) lost: usize,
    /// Superfluous copies, within a log and over both.
    pub(super) duplicated: usize,
    /// Errors that the applications were given.
    pub(super) app_errors: usize,
    /// Distinct records that the consumer group got.
    pub(super) consumed: usize,
    /// Acknowledgements by the primary after the first by the secondary.
    pub(super) acked_by_old_cluster: usize,
    /// The first error, to know what kind they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_error: Option<String>,
}

impl Outcome {
    /// From the checker's verdict; the second window starts at the failback decision.
    pub(super) fn of(report: &Report, consumed: usize) -> Self {
        let sum =
            |of: fn(&pointsman_testkit::history::ClientReport) -> usize| report.clients.iter().map(of).sum();
        Self {
            failover_ms: slowest(report, 0),
            failback_ms: slowest(report, 1),
            minority_loss_switched: report.switched_early > 0,
            acked: sum(|c| c.acked),
            lost: sum(|c| c.lost),
            duplicated: sum(|c| c.duplicated_across + c.duplicated_within),
            app_errors: sum(|c| c.app_errors),
            consumed,
            acked_by_old_cluster: sum(|c| c.windows.first().map_or(0, |w| w.order_violations_fleet)),
            first_error: report.clients.iter().find_map(|c| c.first_error.clone()),
        }
    }

    /// The first promise that did not hold.
    pub(super) fn broken_promise(&self) -> Option<&'static str> {
        let promises = [
            (self.minority_loss_switched, "a minority of brokers died and traffic moved"),
            (self.failover_ms.is_none(), "not every partition was served by the secondary"),
            (self.failback_ms.is_none(), "not every partition was served by the primary again"),
            (self.lost > 0, "acknowledged records are in no log"),
            (self.app_errors > 0, "an application was given an error"),
            (
                self.acked_by_old_cluster > 0,
                "the primary acknowledged records after the secondary had begun to",
            ),
            (self.consumed == 0, "the consumer group got nothing"),
        ];
        promises.into_iter().find(|(broken, _)| *broken).map(|(_, promise)| promise)
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn summary(&self) -> String {
        let ms = |value: Option<u64>| value.map_or("never".to_owned(), |ms| format!("{ms} ms"));
        format!(
            "failover until every partition was acknowledged again: {}\n\
             failback: {}\n\
             {} records acknowledged, {} lost, {} duplicated, {} consumed, {} errors in applications",
            ms(self.failover_ms),
            ms(self.failback_ms),
            self.acked,
            self.lost,
            self.duplicated,
            self.consumed,
            self.app_errors,
        )
    }
}

/// The slowest producer of a window; `None` if one never got there. Clients that only consume do not count.
fn slowest(report: &Report, window: usize) -> Option<u64> {
    let producers = report.clients.iter().filter(|c| c.acked > 0);
    let reached = producers.map(|c| c.windows.get(window).and_then(|w: &WindowReport| w.every_partition));
    reached.collect::<Option<Vec<u64>>>()?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        Outcome {
            failover_ms: Some(400),
            failback_ms: Some(300),
            minority_loss_switched: false,
            acked: 10,
            lost: 0,
            duplicated: 1,
            app_errors: 0,
            consumed: 9,
            acked_by_old_cluster: 0,
            first_error: None,
        }
    }

    #[test]
    fn each_broken_promise_is_told() {
        assert_eq!(good().broken_promise(), None);
        assert!(Outcome { lost: 1, ..good() }.broken_promise().is_some());
        assert!(Outcome { minority_loss_switched: true, ..good() }.broken_promise().is_some());
        assert!(Outcome { failover_ms: None, ..good() }.broken_promise().is_some());
        assert!(Outcome { failback_ms: None, ..good() }.broken_promise().is_some());
        assert!(Outcome { app_errors: 1, ..good() }.broken_promise().is_some());
        assert!(Outcome { acked_by_old_cluster: 1, ..good() }.broken_promise().is_some());
        assert!(Outcome { consumed: 0, ..good() }.broken_promise().is_some());
    }

    #[test]
    fn the_json_object_has_the_documented_keys() {
        let json: serde_json::Value = serde_json::from_str(&good().json()).expect("json");
        for key in [
            "failover_ms",
            "failback_ms",
            "minority_loss_switched",
            "acked",
            "lost",
            "duplicated",
            "app_errors",
            "consumed",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
    }
}

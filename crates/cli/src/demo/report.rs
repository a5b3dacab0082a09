//! What the demo found.

use pointsman_testkit::history::{Report, WindowReport};
use serde::Serialize;
use std::time::Duration;

/// Without a cluster, connections are refused within so many milliseconds.
const REFUSED_MS: u64 = 100;

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
    /// With TLS behind passthrough only.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) second: Option<Second>,
    /// The first error, to know what kind they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_error: Option<String>,
}

/// What became of the second act.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Second {
    /// From the end of the third registry until every partition had been acknowledged by the secondary.
    pub(super) recovery_mode_ms: Option<u64>,
    /// How long connections waited to be refused when no cluster had a quorum, the median. This machine's own pauses are in the
    /// slowest.
    pub(super) refused_ms: Option<u64>,
    /// From the return of the registries until every partition had been acknowledged by the primary.
    pub(super) return_ms: Option<u64>,
}

impl Second {
    /// From the windows behind the first two. `refusals` are sorted.
    fn of(report: &Report, refusals: Option<&[Duration]>) -> Self {
        let median = refusals.and_then(|all| all.get(all.len() / 2));
        let ms = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            recovery_mode_ms: slowest(report, 2),
            refused_ms: median.map(ms),
            return_ms: slowest(report, 3),
        }
    }

    fn broken_promise(&self) -> Option<&'static str> {
        let promises = [
            (self.recovery_mode_ms.is_none(), "a quorum in recovery mode was not left by every partition"),
            (
                self.refused_ms.is_none_or(|ms| ms > REFUSED_MS),
                "connections were not refused within 100 ms though no cluster had a quorum",
            ),
            (self.return_ms.is_none(), "not every partition was served when a cluster was well again"),
        ];
        promises.into_iter().find(|(broken, _)| *broken).map(|(_, promise)| promise)
    }
}

impl Outcome {
    /// From the checker's verdict; the second window starts at the failback decision. `refusals` are there if there was a second
    /// act.
    pub(super) fn of(report: &Report, consumed: usize, refusals: Option<Option<&[Duration]>>) -> Self {
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
            // Every other window is a move away from the primary.
            acked_by_old_cluster: sum(|c| {
                c.windows.iter().step_by(2).map(|w| w.order_violations_fleet).sum()
            }),
            second: refusals.map(|refusals| Second::of(report, refusals)),
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
        let first = promises.into_iter().find(|(broken, _)| *broken).map(|(_, promise)| promise);
        first.or_else(|| self.second.as_ref().and_then(Second::broken_promise))
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn summary(&self) -> String {
        let ms = |value: Option<u64>| value.map_or("never".to_owned(), |ms| format!("{ms} ms"));
        let second = self.second.as_ref().map_or_else(String::new, |second| {
            format!(
                "recovery mode: {}; without any cluster, refused after: {}; and back: {}\n",
                ms(second.recovery_mode_ms),
                ms(second.refused_ms),
                ms(second.return_ms)
            )
        });
        format!(
            "failover until every partition was acknowledged again: {}\n\
             failback: {}\n\
             {second}\
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
            second: None,
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
        let well = Second { recovery_mode_ms: Some(300), refused_ms: Some(3), return_ms: Some(200) };
        let with = |second| Outcome { second: Some(second), ..good() };
        assert_eq!(with(well.clone()).broken_promise(), None);
        for broken in [
            Second { recovery_mode_ms: None, ..well.clone() },
            Second { refused_ms: None, ..well.clone() },
            Second { refused_ms: Some(101), ..well.clone() },
            Second { return_ms: None, ..well },
        ] {
            assert!(with(broken.clone()).broken_promise().is_some(), "{broken:?}");
        }
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
        let second = Second { recovery_mode_ms: Some(300), refused_ms: Some(3), return_ms: None };
        let json = Outcome { second: Some(second), ..good() }.json();
        assert!(json.contains(r#""recovery_mode_ms":300,"refused_ms":3,"return_ms":null"#), "{json}");
    }
}

//! What the drill found, as a table and as a verdict.

use std::fmt::Write;

use serde::Serialize;

use super::super::summary::{Figure, seconds};
use crate::history::{SequenceReport, Unread};

/// One switch.
#[derive(Clone, Debug, Serialize)]
pub struct SwitchRecord {
    /// The cluster that was to be active.
    pub to: String,
    /// The pause before it, in milliseconds.
    pub pause_ms: u64,
    /// From the command to its end, in milliseconds.
    pub took_ms: u64,
    /// What went wrong; `None`: it was carried out.
    pub failure: Option<String>,
}

/// One producer.
#[derive(Clone, Debug, Serialize)]
pub struct ProducerReport {
    /// What the logs say.
    #[serde(flatten)]
    pub sequence: SequenceReport,
    /// Longest time that one partition went without an acknowledgement, in milliseconds.
    pub silence_ms: u64,
    /// Whether every partition was acknowledged by the last cluster after the last switch.
    pub recovered: bool,
}

/// One consumer. Between independent clusters, what it had not read when traffic left is read when that comes back; so only what it did not
/// get of the cluster that serves, or passed over, breaks a promise.
#[derive(Clone, Debug, Serialize)]
pub struct ConsumerReport {
    /// The client's name.
    pub client: String,
    /// Different records that it got.
    pub consumed: usize,
    /// Acknowledged records, of any producer, that it did not get by the end.
    pub not_consumed: usize,
    /// Of these, what stands only on the cluster that serves at the end.
    pub served: Unread,
    /// And only on the other one.
    pub elsewhere: Unread,
    /// Records that it got more than once.
    pub consumed_again: usize,
    /// Errors that the application was given.
    pub app_errors: usize,
    /// Those after which the client object is dead.
    pub fatal_errors: usize,
}

/// The whole drill.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Seed of the pauses.
    pub seed: u64,
    /// The switches, in order.
    pub switches: Vec<SwitchRecord>,
    /// The producers.
    pub producers: Vec<ProducerReport>,
    /// The consumers.
    pub consumers: Vec<ConsumerReport>,
}

impl Summary {
    /// Whether every promise held; an error names those that did not.
    pub fn verdict(&self) -> Result<(), String> {
        let mut broken = failed_switches(&self.switches);
        for producer in &self.producers {
            broken.extend(producer.sequence.broken());
            if !producer.recovered {
                broken.push(format!("{}: not every partition came back", producer.sequence.client));
            }
        }
        for consumer in &self.consumers {
            let counts = [
                (consumer.fatal_errors, "fatal errors of the consumer"),
                (consumer.served.passed_over + consumer.elsewhere.passed_over, "records passed over"),
                (consumer.served.left, "records of the cluster that serves not consumed"),
            ];
            let found = counts.into_iter().filter(|(count, _)| *count > 0);
            broken.extend(found.map(|(count, what)| format!("{}: {count} {what}", consumer.client)));
        }
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
    }
}

/// The switches that were not carried out, in words.
pub(super) fn failed_switches(switches: &[SwitchRecord]) -> Vec<String> {
    let failed = |(number, switch): (usize, &SwitchRecord)| {
        switch.failure.as_ref().map(|why| format!("switch {number} to {}: {why}", switch.to))
    };
    switches.iter().enumerate().filter_map(failed).collect()
}

/// The tables, in Markdown. Times are seconds.
pub(super) fn table(summary: &Summary) -> String {
    let took = Figure::of(summary.switches.iter().map(|s| Some(s.took_ms)));
    let failed = summary.switches.iter().filter(|s| s.failure.is_some()).count();
    let mut text = format!(
        "{} switches, {failed} of them not carried out, seed {}; command to its end, s, p50 / worst: {took}\n\n\
         | producer | acked | lost | acked twice | twice in one visit | again after ack | out of order in a visit | \
         out of order over visits | fatal | app errors | again, ack lost | silence | recovered |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        summary.switches.len(),
        summary.seed,
    );
    for producer in &summary.producers {
        let s = &producer.sequence;
        let counts = [
            s.acked,
            s.lost,
            s.acked_twice,
            s.again_in_visit,
            s.again_after_ack,
            s.disorder_in_visit,
            s.disorder_over_visits,
            s.fatal_errors,
            s.app_errors,
            s.again_later,
        ];
        let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
        let silence = seconds(Some(producer.silence_ms));
        let recovered = if producer.recovered { "yes" } else { "NO" };
        let _ = writeln!(text, "| {} | {} | {silence} | {recovered} |", s.client, counts.join(" | "));
    }
    text.push_str(
        "\n| consumer | consumed | not consumed | of the cluster that serves | left on the other | passed over | consumed again | \
         app errors | fatal |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for c in &summary.consumers {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            c.client,
            c.consumed,
            c.not_consumed,
            c.served.left,
            c.elsewhere.left,
            c.served.passed_over + c.elsewhere.passed_over,
            c.consumed_again,
            c.app_errors,
            c.fatal_errors
        );
    }
    for producer in &summary.producers {
        for (error, count) in &producer.sequence.errors {
            let _ = write!(text, "\n{}: {count} × {error}", producer.sequence.client);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    type Break = fn(&mut Summary);

    fn good() -> Summary {
        let sequence = SequenceReport { client: "java".to_owned(), acked: 9, ..SequenceReport::default() };
        let switch = SwitchRecord { to: "secondary".to_owned(), pause_ms: 1, took_ms: 30, failure: None };
        let consumer = ConsumerReport {
            client: "java".to_owned(),
            consumed: 9,
            not_consumed: 3,
            served: Unread::default(),
            elsewhere: Unread { left: 3, passed_over: 0 },
            consumed_again: 2,
            app_errors: 1,
            fatal_errors: 0,
        };
        Summary {
            seed: 1,
            switches: vec![switch],
            producers: vec![ProducerReport { sequence, silence_ms: 40, recovered: true }],
            consumers: vec![consumer],
        }
    }

    #[test]
    fn each_broken_promise_fails_the_drill_and_is_named() {
        assert_eq!(good().verdict(), Ok(()));
        let breaks: [(Break, &str); 7] = [
            (
                |s| s.switches[0].failure = Some("exit code 3".to_owned()),
                "switch 0 to secondary: exit code 3",
            ),
            (|s| s.producers[0].sequence.lost = 2, "java: 2 acknowledged records in no log"),
            (
                |s| s.producers[0].sequence.disorder_over_visits = 1,
                "java: 1 acknowledged records out of order",
            ),
            (|s| s.producers[0].recovered = false, "java: not every partition came back"),
            (|s| s.consumers[0].fatal_errors = 1, "java: 1 fatal errors of the consumer"),
            (|s| s.consumers[0].elsewhere.passed_over = 1, "java: 1 records passed over"),
            (|s| s.consumers[0].served.left = 2, "java: 2 records of the cluster that serves not consumed"),
        ];
        for (break_it, words) in breaks {
            let mut summary = good();
            break_it(&mut summary);
            let error = summary.verdict().expect_err(words);
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_client() {
        let text = table(&good());
        assert!(text.contains("| java | 9 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0.04 | yes |"), "{text}");
        assert!(text.contains("| java | 9 | 3 | 0 | 3 | 0 | 2 | 1 | 0 |"), "{text}");
    }
}

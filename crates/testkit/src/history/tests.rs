//! Hand-made histories: a good one, and one for each thing that can be wrong.

use super::*;
use crate::log::LogRecord;

const MS: u64 = 1_000_000;

fn log(records: &[(u32, u64, &str)]) -> ClusterLog {
    let record =
        |(p, o, v): &(u32, u64, &str)| LogRecord { partition: *p, offset: *o, value: (*v).to_owned() };
    records.iter().map(record).collect()
}

fn ack(at: u64, partition: u32, offset: u64, value: &str) -> Ack {
    Ack { at: at * MS, partition, offset, value: value.to_owned() }
}

fn read(at: u64, partition: u32, value: &str) -> Consumed {
    Consumed { at: at * MS, partition, offset: 0, value: value.to_owned() }
}

/// Two partitions; the fault is at 100 ms, the end at 1000 ms. Records 0 and 1 go to the primary, 2 and 3 to the
/// secondary.
struct Run {
    client: ClientHistory,
    primary: ClusterLog,
    secondary: ClusterLog,
}

impl Run {
    fn good() -> Self {
        let acks =
            vec![ack(50, 0, 7, "j-0"), ack(60, 1, 7, "j-1"), ack(400, 0, 0, "j-2"), ack(500, 1, 0, "j-3")];
        let consumed = vec![read(51, 0, "j-0"), read(61, 1, "j-1"), read(600, 0, "j-2"), read(650, 1, "j-3")];
        let client = ClientHistory { client: "j".to_owned(), acks, consumed, errors: Vec::new() };
        Self {
            client,
            primary: log(&[(0, 7, "j-0"), (1, 7, "j-1")]),
            secondary: log(&[(0, 0, "j-2"), (1, 0, "j-3")]),
        }
    }

    fn check(&self) -> (ClientReport, usize) {
        let window = Window { start: 100 * MS, end: 1000 * MS, to: Side::Secondary };
        let report = check(&Input {
            partitions: 2,
            clients: std::slice::from_ref(&self.client),
            primary: &self.primary,
            secondary: &self.secondary,
            windows: &[window],
        });
        (report.clients[0].clone(), report.switched_early)
    }

    fn window(&self) -> WindowReport {
        self.check().0.windows[0].clone()
    }
}

#[test]
fn a_good_run_is_measured_and_has_no_fault() {
    let (client, early) = Run::good().check();
    let window = WindowReport {
        any_partition: Some(300),
        every_partition: Some(400),
        silence: 600,
        consumer_gap: 550,
        ..WindowReport::default()
    };
    let expected =
        ClientReport { client: "j".to_owned(), acked: 4, windows: vec![window], ..ClientReport::default() };
    assert_eq!((client, early), (expected, 0));
}

#[test]
fn a_lost_record_is_found() {
    let mut run = Run::good();
    run.secondary = log(&[(0, 0, "j-2")]);
    let (client, _) = run.check();
    assert_eq!(client.lost, 1);
    // What is in no log was acknowledged by nobody.
    assert_eq!(client.windows[0].every_partition, None);
}

#[test]
fn duplicates_over_both_logs_and_within_one_are_told_apart() {
    let mut run = Run::good();
    run.secondary = log(&[(0, 0, "j-2"), (1, 0, "j-3"), (1, 1, "j-1"), (1, 2, "j-3")]);
    let (client, _) = run.check();
    assert_eq!((client.duplicated_across, client.duplicated_within), (1, 1));
    assert_eq!(client.lost, 0);
}

#[test]
fn a_record_of_another_client_is_not_this_ones_duplicate() {
    let mut run = Run::good();
    run.primary = log(&[(0, 7, "j-0"), (1, 7, "j-1"), (0, 8, "jj-1")]);
    run.secondary = log(&[(0, 0, "j-2"), (1, 0, "j-3"), (0, 1, "jj-1")]);
    assert_eq!(run.check().0.duplicated_across, 0);
}

#[test]
fn an_acknowledgement_by_the_old_cluster_after_one_by_the_new_is_found() {
    let mut run = Run::good();
    run.client.acks.push(ack(450, 0, 8, "j-4"));
    run.primary = log(&[(0, 7, "j-0"), (1, 7, "j-1"), (0, 8, "j-4")]);
    let window = run.window();
    assert_eq!((window.order_violations, window.violation_span, window.order_violations_fleet), (1, 50, 1));
}

#[test]
fn an_acknowledgement_by_the_old_cluster_before_the_new_one_is_fine() {
    let mut run = Run::good();
    run.client.acks.push(ack(399, 0, 8, "j-4"));
    run.primary = log(&[(0, 7, "j-0"), (1, 7, "j-1"), (0, 8, "j-4")]);
    assert_eq!(run.window().order_violations, 0);
}

#[test]
fn a_partition_that_never_comes_back_is_never_and_silent_to_the_end() {
    let mut run = Run::good();
    run.client.acks.pop();
    let window = run.window();
    assert_eq!((window.any_partition, window.every_partition), (Some(300), None));
    assert_eq!(window.silence, 900);
}

#[test]
fn a_switch_before_the_fault_is_found() {
    let mut run = Run::good();
    run.client.acks[1] = ack(60, 1, 5, "j-1");
    run.primary = log(&[(0, 7, "j-0")]);
    run.secondary = log(&[(0, 0, "j-2"), (1, 0, "j-3"), (1, 5, "j-1")]);
    assert_eq!(run.check().1, 1);
}

#[test]
fn a_record_that_was_never_consumed_is_found() {
    let mut run = Run::good();
    run.client.consumed.pop();
    let window = run.window();
    assert_eq!((window.not_consumed, window.consumer_gap), (1, 900));
}

#[test]
fn reading_old_records_again_is_counted_and_is_no_progress() {
    let mut run = Run::good();
    run.client.consumed.insert(2, read(300, 0, "j-0"));
    let (client, _) = run.check();
    assert_eq!(client.consumed_again, 1);
    assert_eq!(client.windows[0].consumer_gap, 550);
}

#[test]
fn errors_of_the_application_are_counted() {
    let mut run = Run::good();
    let error = |fatal| AppError { at: 200 * MS, fatal, message: format!("e{fatal}") };
    run.client.errors = vec![error(false), error(true)];
    let (client, _) = run.check();
    assert_eq!((client.app_errors, client.fatal_errors), (2, 1));
    assert_eq!(client.first_error.as_deref(), Some("efalse"));
}

#[test]
fn a_translated_offset_is_attributed_by_value() {
    let mut run = Run::good();
    run.client.acks[2] = ack(400, 0, 1000, "j-2");
    assert_eq!(run.window().any_partition, Some(300));
}

//! The fast parts of the client matrix: what works directly on real Kafka works through Pointsman, and clients move between
//! clusters of different releases. `cargo xtask matrix` runs all of it.

mod support;

use pointsman_testkit::{
    conformance::Library,
    kafka::Release,
    matrix::{self, Shape, Stage, differences, switch},
    skip::{kafka_or_skip, skipped},
};
use std::path::Path;
use support::BINARY;

#[test]
fn clients_notice_no_difference_between_brokers_and_pointsman() {
    let test = "clients_notice_no_difference_between_brokers_and_pointsman";
    if kafka_or_skip(test).is_none() {
        return;
    }
    let stage = Stage::start(Path::new(BINARY), &Shape::ALL).expect("a cluster and its proxies");

    let tested = matrix::test(&stage, &[Library::Java, Library::Librdkafka, Library::Franz], true);

    for skip in &tested.skips {
        skipped(&format!("{test}: {}", skip.library.name()), &skip.why);
    }
    let broken: Vec<_> = tested.rows.iter().filter(|row| row.direct.is_err()).collect();
    assert!(broken.is_empty(), "directly on Kafka: {broken:?}");
    let found = differences(&tested.rows);
    assert!(found.is_empty(), "{found:#?}");
    assert!(!tested.rows.is_empty() || !tested.skips.is_empty(), "nothing was tested");
}

/// The oldest release that is supported before the newest one, with clients of both ages.
#[test]
fn clients_move_between_releases_and_are_offered_what_both_have() {
    let test = "clients_move_between_releases_and_are_offered_what_both_have";
    if kafka_or_skip(test).is_none() {
        return;
    }
    let clients = [Library::Java28, Library::Librdkafka, Library::Franz];

    let report = switch::run(Path::new(BINARY), &clients, [Release::V28, Release::Current], 1)
        .expect("two clusters and a proxy");

    for skip in &report.skips {
        skipped(&format!("{test}: {}", skip.library.name()), &skip.why);
    }
    assert_eq!(report.broken(), Vec::<String>::new());
    for row in &report.rows {
        assert!(row.verdict.is_some(), "directly on Kafka 2.8: {row:?}");
    }
    assert!(report.apis > 30, "{report:?}");
}

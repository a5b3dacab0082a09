//! The fast part of the client matrix: what works directly on real Kafka works through Pointsman. `cargo xtask matrix` runs
//! all of it.

mod support;

use pointsman_testkit::{
    conformance::Library,
    matrix::{self, Shape, Stage, differences},
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

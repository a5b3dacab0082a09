//! The conformance tests: what a broker does, run against Apache Kafka and against the embedded Kafka alike.
//!
//! `POINTSMAN_CONFORMANCE=text` runs only the cases whose name contains the text (`raw/…`, `java/…`); the list of known
//! differences is then not judged.

mod raw;
mod sandbox;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use pointsman_testkit::conformance::differences::{self, Difference};
use pointsman_testkit::conformance::{CASES, ClientCase, Finding, Library, Subject, Task, judge, run};
use pointsman_testkit::kafka::{Cluster, ClusterSpec};
use pointsman_testkit::skip::{kafka_or_skip, skipped};

/// Subjects one after the other: what waits for the processor tells nothing of a subject.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn apache_kafka_is_the_measure() {
    let Some(kafka) = kafka_or_skip("apache_kafka_is_the_measure") else { return };
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut spec = ClusterSpec::new("conformance", 3);
    // A killed broker is given up after this long, and transactions that are open for too long are looked for so often; the
    // defaults of 9 s and 10 s would only be waited for.
    for (key, value) in [
        ("broker.session.timeout.ms", "3000"),
        ("broker.heartbeat.interval.ms", "500"),
        // Members of the consumer protocol do not choose how often they speak and when they are given up.
        ("group.consumer.heartbeat.interval.ms", "500"),
        ("group.consumer.min.heartbeat.interval.ms", "500"),
        ("group.consumer.session.timeout.ms", "6000"),
        ("group.consumer.min.session.timeout.ms", "6000"),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
    ] {
        spec.properties.push((key.to_owned(), value.to_owned()));
    }
    let mut cluster = Cluster::start(&kafka, spec).expect("a cluster of Apache Kafka starts");
    conform(&mut cluster, &[]);
}

#[test]
fn the_sandbox_does_the_same() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut sandbox = sandbox::Sandbox::start(3).expect("a cluster of the sandbox starts");
    conform(&mut sandbox, differences::SANDBOX);
}

/// All cases against one subject: those that leave the brokers alone side by side, the others one after the other.
fn conform(subject: &mut dyn Subject, known: &[Difference]) {
    let filter = std::env::var("POINTSMAN_CONFORMANCE").unwrap_or_default();
    let (name, servers) = (subject.name().to_owned(), subject.bootstrap());
    let bootstrap: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let bootstrap = bootstrap.join(",");
    let context = raw::Context::new(subject).expect("the subject answers");
    let begun = Instant::now();
    let mut findings = std::thread::scope(|scope| {
        let (bootstrap, filter) = (&bootstrap, &filter);
        let clients = Library::EACH.map(|library| scope.spawn(move || clients(library, bootstrap, filter)));
        let raw = raw::run(&context, raw::GENTLE, filter);
        clients.into_iter().flat_map(|c| c.join().expect("no panic")).chain(raw).collect::<Vec<_>>()
    });
    eprintln!("{name}: {} cases side by side in {:?}", findings.len(), begun.elapsed());
    findings.extend(raw::run(&context, raw::ROUGH, &filter));
    eprintln!("{name}: {} cases in {:?}", findings.len(), begun.elapsed());
    let known = if filter.is_empty() { known } else { &[] };
    judge(&findings, known).unwrap_or_else(|faults| panic!("{name}: {faults}"));
}

/// A library that cannot be installed here is skipped and counted.
fn clients(library: Library, bootstrap: &str, filter: &str) -> Vec<Finding> {
    let begun = Instant::now();
    let wanted = |case: &&ClientCase| {
        case.runs_with(library) && format!("{}/{}", library.name(), case.name).contains(filter)
    };
    let cases: Vec<&ClientCase> = CASES.iter().filter(wanted).collect();
    let findings = match library.install() {
        Ok(program) => run(&program, &Task { library, bootstrap, prefix: library.name(), cases: &cases }),
        Err(reason) => {
            skipped(&format!("conformance of {}", library.name()), &reason);
            Vec::new()
        }
    };
    eprintln!("{}: {} cases in {:?}", library.name(), findings.len(), begun.elapsed());
    findings
}

//! Where the matrix is played: one real cluster of three brokers, and a Pointsman for each shape before it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Row, Shape};
use crate::clients::Program;
use crate::conformance::{ClientCase, Finding, Library, OnePort, Task, run};
use crate::kafka::{Cluster, ClusterSpec, Kafka};
use crate::pointsman::{Place, Pointsman, Spec};

pub(super) const BROKERS: u16 = 3;
/// Nothing falls back here.
const HOLD: Duration = Duration::from_secs(30);
/// Names for 127.0.0.1 (RFC 6761).
const SLOT_NAMES: &str = "b{slot}.localhost";

/// A cluster and what stands before it.
#[derive(Debug)]
pub struct Stage {
    cluster: Cluster,
    proxies: Vec<(Shape, Place, Pointsman)>,
}

impl Stage {
    /// Starts everything.
    pub fn start(binary: &Path, shapes: &[Shape]) -> Result<Self, String> {
        let kafka = Kafka::install()?;
        let mut spec = ClusterSpec::new("matrix", usize::from(BROKERS));
        for (key, value) in [
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
            ("super.users", "User:ANONYMOUS"),
            // Members of these groups do not choose how often they speak; with Kafka's 5 s a case waits for little else.
            ("group.consumer.heartbeat.interval.ms", "500"),
            ("group.consumer.min.heartbeat.interval.ms", "500"),
            ("group.share.heartbeat.interval.ms", "500"),
            ("group.share.min.heartbeat.interval.ms", "500"),
        ] {
            spec.properties.push((key.to_owned(), value.to_owned()));
        }
        let cluster = Cluster::start(&kafka, spec)?;
        let chain = [("only", cluster.bootstrap())];
        let proxy = |shape: &Shape| {
            let place = Place::free(binary, if *shape == Shape::Slots { BROKERS } else { 1 })?;
            let running = Pointsman::start(&place, &Spec::new(&chain, HOLD, "log"))?;
            Ok((*shape, place, running))
        };
        let proxies = shapes.iter().map(proxy).collect::<Result<_, String>>()?;
        Ok(Self { cluster, proxies })
    }

    /// Runs the cases of one client directly and through each shape.
    pub(super) fn compare(
        &self,
        library: Library,
        program: &Program,
        cases: &[&'static ClientCase],
    ) -> Vec<Row> {
        let direct = play(library, program, "direct", &self.cluster.bootstrap(), cases);
        let through = |(shape, place, _): &(Shape, Place, Pointsman)| {
            let proxied = if *shape == Shape::One && library.one_port() != OnePort::OneAddress {
                self.one_port(library, program, &place.binary, cases)
            } else {
                play(library, program, shape.word(), &place.bootstrap(), cases)
            };
            let row = |((case, direct), proxied): ((&&'static ClientCase, &Finding), Finding)| Row {
                library,
                feature: case.feature,
                case: case.name,
                shape: *shape,
                direct: direct.outcome.clone(),
                proxied: proxied.outcome,
            };
            cases.iter().zip(&direct).zip(proxied).map(row).collect::<Vec<_>>()
        };
        self.proxies.iter().flat_map(through).collect()
    }

    /// Through one port that is set up for the client.
    fn one_port(
        &self,
        library: Library,
        program: &Program,
        binary: &Path,
        cases: &[&'static ClientCase],
    ) -> Vec<Finding> {
        let chain = [("only", self.cluster.bootstrap())];
        let spec = Spec::new(&chain, HOLD, "log");
        let spec = match library.one_port() {
            OnePort::OneAddress => spec,
            OnePort::Names => Spec { advertise: SLOT_NAMES, ..spec },
            OnePort::OneSlot => Spec { slots: Some(1), ..spec },
        };
        match Place::free(binary, 1).and_then(|place| Ok((Pointsman::start(&place, &spec)?, place))) {
            Ok((_running, place)) => play(library, program, Shape::One.word(), &place.bootstrap(), cases),
            Err(why) => failed(cases, &why),
        }
    }
}

fn failed(cases: &[&ClientCase], why: &str) -> Vec<Finding> {
    let finding = |case: &&ClientCase| Finding { case: case.name.to_owned(), outcome: Err(why.to_owned()) };
    cases.iter().map(finding).collect()
}

fn play(
    library: Library,
    program: &Program,
    way: &str,
    bootstrap: &str,
    cases: &[&ClientCase],
) -> Vec<Finding> {
    let begun = Instant::now();
    let prefix = format!("{}-{way}", library.name());
    let findings = run(program, &Task { library, bootstrap, prefix: &prefix, cases });
    eprintln!("{prefix}: {} cases in {:.1} s", findings.len(), begun.elapsed().as_secs_f64());
    for Finding { case, outcome } in &findings {
        if let Err(why) = outcome {
            eprintln!("{prefix}: failed: {case}: {}", why.lines().next().unwrap_or_default());
        }
    }
    findings
}

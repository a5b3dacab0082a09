//! Where the matrix is played: one real cluster of three brokers, and a Pointsman for each shape before it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Row, Shape};
use crate::clients::Program;
use crate::conformance::{ClientCase, Finding, Library, Task, run};
use crate::kafka::{Cluster, ClusterSpec, Kafka};
use crate::pointsman::{Place, Pointsman, Spec};

const BROKERS: u16 = 3;
/// Nothing falls back here.
const HOLD: Duration = Duration::from_secs(30);

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
            let proxied = play(library, program, shape.word(), &place.bootstrap(), cases);
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
    let failed: Vec<&str> = findings.iter().filter(|f| f.outcome.is_err()).map(|f| f.case.as_str()).collect();
    eprintln!(
        "{prefix}: {} cases in {:.1} s, failed: {failed:?}",
        findings.len(),
        begun.elapsed().as_secs_f64()
    );
    findings
}

//! Each of the five client libraries against a real cluster, with no proxy: what was acknowledged is in the log
//! at that place and was consumed.

use std::collections::BTreeSet;
use std::time::Duration;

use pointsman_testkit::clients::{ClientKind, Driver, DriverSpec, Event, Mode, install};
use pointsman_testkit::kafka::{Cluster, ClusterSpec};
use pointsman_testkit::log::ClusterLog;
use pointsman_testkit::skip::{kafka_or_skip, skipped};

const LIMIT: Duration = Duration::from_secs(60);

fn partitions(events: &[Event]) -> BTreeSet<u32> {
    let of = |e: &Event| match e {
        Event::Ack { p, .. } | Event::Rec { p, .. } => Some(*p),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

fn errors(events: &[Event]) -> Vec<&Event> {
    events.iter().filter(|e| matches!(e, Event::Err { .. })).collect()
}

#[test]
fn five_libraries_produce_and_consume() {
    let Some(kafka) = kafka_or_skip("five_libraries_produce_and_consume") else { return };
    let cluster = Cluster::start(&kafka, ClusterSpec::new("clients", 1)).unwrap();
    for kind in ClientKind::ALL {
        let program = match install(kind) {
            Ok(program) => program,
            Err(reason) => {
                skipped(kind.name(), &reason);
                continue;
            }
        };
        cluster.create_topic(kind.name(), 6, 1, &[]).unwrap();
        let spec = |mode| DriverSpec::new(mode, kind.name(), &cluster.bootstrap(), kind.name());
        let producer = Driver::start(&program, &spec(Mode::Produce)).unwrap();
        let consumer = Driver::start(&program, &spec(Mode::Consume)).unwrap();
        producer.wait(LIMIT, |e| partitions(e).len() == 6).unwrap();
        let produced = producer.finish(LIMIT);
        consumer.wait(LIMIT, |e| e.len() >= produced.len() - 1).unwrap();
        let consumed = consumer.finish(LIMIT);

        assert!(matches!(produced.last(), Some(Event::Done { .. })), "{kind:?}: {produced:?}");
        assert!(matches!(consumed.last(), Some(Event::Done { .. })), "{kind:?}: {consumed:?}");
        assert!(errors(&produced).is_empty() && errors(&consumed).is_empty(), "{produced:?} {consumed:?}");
        let log = ClusterLog::read(&kafka, &cluster, kind.name()).unwrap();
        assert_eq!(log.len(), produced.len() - 1, "{kind:?}");
        for event in &produced {
            if let Event::Ack { p, o, seq, .. } = event {
                assert!(log.holds(*p, *o, &format!("{}-{seq}", kind.name())), "{kind:?}: {event:?}");
            }
        }
    }
}

//! The settings of the ping-pong drill make the producer of every library idempotent: read from the batches in the log.

use std::time::Duration;

use pointsman_sandbox::{
    Cluster, ClusterSpec,
    client::{Admin, ClientConfig},
};
use pointsman_testkit::{
    clients::{ClientKind, Driver, DriverSpec, Event, Mode, install},
    drill::pingpong::idempotent,
    skip::skipped,
};
use tokio::task::block_in_place;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn every_library_writes_with_a_producer_id_and_sequence_numbers() {
    let cluster = Cluster::start(ClusterSpec::new("idempotent", 1)).await.expect("a cluster");
    for kind in ClientKind::ALL {
        let program = match block_in_place(|| install(kind)) {
            Ok(program) => program,
            Err(reason) => {
                skipped(kind.name(), &reason);
                continue;
            }
        };
        cluster.create_topic(kind.name(), 1, 1, &[]).expect("a topic");
        let spec = DriverSpec {
            partitions: 1,
            settings: idempotent(kind),
            ..DriverSpec::new(Mode::Produce, kind.name(), &cluster.bootstrap(), kind.name())
        };
        let acked = |events: &[Event]| events.iter().filter(|e| matches!(e, Event::Ack { .. })).count();
        block_in_place(|| {
            let driver = Driver::start(&program, &spec).expect("a driver");
            driver.wait(LIMIT, |events| acked(events) >= 10).expect("acknowledgements");
            driver.finish(LIMIT)
        });

        let admin = Admin::new(ClientConfig::new([cluster.bootstrap()]));
        let records = admin.read_partition(kind.name(), 0).await.expect("a log");
        assert!(records.len() >= 10, "{}: {} records", kind.name(), records.len());
        for (number, record) in (0..).zip(&records) {
            let stamp = record.producer;
            assert!(stamp.id >= 0 && stamp.epoch >= 0, "{}: {stamp:?}", kind.name());
            assert_eq!(stamp.sequence, number, "{}: {stamp:?}", kind.name());
        }
    }
}

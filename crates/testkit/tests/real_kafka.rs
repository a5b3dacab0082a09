//! The launcher against real Kafka: brokers start, die, freeze and come back with their data.

use std::time::{Duration, Instant};

use pointsman_testkit::kafka::{Cluster, ClusterSpec};
use pointsman_testkit::process::wait_for;
use pointsman_testkit::skip::kafka_or_skip;

#[test]
fn brokers_die_freeze_and_come_back() {
    let Some(kafka) = kafka_or_skip("brokers_die_freeze_and_come_back") else { return };
    let begun = Instant::now();
    let mut cluster = Cluster::start(&kafka, ClusterSpec::new("launcher", 3)).unwrap();
    eprintln!("3 brokers in {:?}", begun.elapsed());
    cluster.create_topic("t", 2, 3, &[("min.insync.replicas", "2")]).unwrap();
    // The broker that is asked hears of it a moment after the controller has made it.
    let listed = || match kafka.admin()?.list_topics(&cluster.bootstrap())? {
        topics if topics == ["t"] => Ok(()),
        topics => Err(format!("{topics:?}")),
    };
    wait_for(Duration::from_secs(60), listed).unwrap();

    let pids: Vec<_> = (0..3).map(|b| cluster.pid(b)).collect();
    cluster.kill(&[0, 1]);
    assert_eq!(cluster.running(), [2]);
    cluster.pause(&[2]);
    assert_eq!(cluster.running(), [2]);
    cluster.resume(&[2]);
    cluster.restart(&[0, 1]).unwrap();
    cluster.wait_ready().unwrap();
    assert_ne!(cluster.pid(0), pids[0]);
    assert_eq!(cluster.pid(2), pids[2]);
    cluster.wait_in_sync("t", Duration::from_secs(60)).unwrap();
    assert_eq!(kafka.admin().unwrap().end_offsets(&cluster.bootstrap(), "t").unwrap(), [0, 0]);

    drop(cluster);
    for pid in pids.into_iter().flatten() {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} outlived its cluster");
    }
}

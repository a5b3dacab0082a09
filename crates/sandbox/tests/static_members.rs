//! A consumer that comes back to a cluster on which it is still listed, as after a failover and the way back.

use pointsman_sandbox::{
    Cluster, ClusterSpec,
    client::{ClientConfig, Consumer, ConsumerConfig, Event},
};
use std::time::Duration;
use tokio::time::timeout;

/// Well below the session time-out of 45 s, after which the former member is forgotten.
const LIMIT: Duration = Duration::from_secs(20);

async fn assigned(consumer: &mut Consumer) -> Vec<i32> {
    loop {
        if let Event::Assigned(partitions) = consumer.next().await {
            return partitions;
        }
    }
}

#[tokio::test]
async fn a_member_with_a_name_takes_its_old_place_and_waits_for_no_ghost() {
    let cluster = Cluster::start(ClusterSpec::new("ghosts", 1)).await.expect("a cluster");
    cluster.create_topic("t", 2, 1, &[]).expect("a topic");
    let servers: Vec<String> = cluster.addresses().iter().map(ToString::to_string).collect();
    let config = ConsumerConfig {
        instance: Some("reader".to_owned()),
        ..ConsumerConfig::new(ClientConfig::new(servers), "group", "t")
    };
    let mut gone = Consumer::start(config.clone());
    let first = timeout(LIMIT, assigned(&mut gone)).await.expect("a place");
    // Without a farewell: the group believes that it is still there.
    drop(gone);

    let mut back = Consumer::start(config);

    assert_eq!(timeout(LIMIT, assigned(&mut back)).await.expect("a place, before the session ends"), first);
    assert_eq!(first, [0, 1]);
}

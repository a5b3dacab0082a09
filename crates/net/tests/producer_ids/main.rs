//! Producer ids over real switches: real sequence checks of brokers in this process, an idempotent producer, and the logs.
//!
//! Each claim is also tried with the translation switched off, and must fail then: otherwise it would say nothing.

mod world;

use pointsman_sandbox::client::{Delivery, Producer, producer::Record};
use std::collections::{HashMap, HashSet};
use tokio::time::timeout;
use world::{A, B, DEADLINE, PARTITIONS, Remembered, World};

/// Records of each partition while a cluster is active, and again while a switch is under way.
const RECORDS: usize = 40;

/// Everything that was queued, with where it was acknowledged.
#[derive(Default)]
struct Sent {
    next: usize,
    waiting: Vec<(String, Delivery)>,
    acked: Vec<String>,
}

impl Sent {
    async fn queue(&mut self, producer: &Producer) {
        for _ in 0..RECORDS {
            for partition in 0..PARTITIONS {
                let value = format!("{partition}-{}", self.next);
                self.next += 1;
                let record = Record::now(None, Some(value.clone().into()));
                let delivery = timeout(DEADLINE, producer.queue(partition, record)).await.expect("room");
                self.waiting.push((value, delivery.expect("the producer runs")));
            }
        }
    }

    async fn settle(&mut self) {
        for (value, delivery) in self.waiting.drain(..) {
            let outcome = timeout(DEADLINE, delivery).await.expect("an outcome");
            outcome.unwrap_or_else(|error| panic!("{value}: {error}"));
            self.acked.push(value);
        }
    }
}

/// An idempotent producer through A → B → A → B, with records under way at each switch. Returns what is wrong.
async fn four_stays(translated: bool) -> Result<Vec<Remembered>, String> {
    let mut world = World::new(translated).await;
    let (producer, mut sent) = (world.producer(), Sent::default());
    for to in [B, A, B] {
        sent.queue(&producer).await;
        sent.settle().await;
        sent.queue(&producer).await;
        world.switch(to).await;
        sent.settle().await;
    }
    sent.queue(&producer).await;
    sent.settle().await;
    let logs = [world.log(A).await, world.log(B).await];
    check_logs(&logs, &sent.acked)?;
    let remembered = [world.remembered(A).await, world.remembered(B).await].concat();
    // A sequence error makes the client begin a new epoch: others fail records, or end.
    match remembered.iter().find(|r| r.epoch != 0) {
        Some(after_error) => Err(format!("a broker refused a sequence: {after_error:?}")),
        None => Ok(remembered),
    }
}

/// Exactly once in each log, in order, and nothing is missing.
fn check_logs(logs: &[Vec<String>; 2], acked: &[String]) -> Result<(), String> {
    let all: HashSet<&String> = logs.iter().flatten().collect();
    if let Some(missing) = acked.iter().find(|value| !all.contains(value)) {
        return Err(format!("{missing} was acknowledged and is in no log"));
    }
    for log in logs {
        let mut last: HashMap<&str, usize> = HashMap::new();
        for value in log {
            let (partition, number) = value.split_once('-').expect("as it was made");
            let number = number.parse().expect("a number");
            if last.insert(partition, number).is_some_and(|before| before >= number) {
                return Err(format!("{value} is in a log twice, or out of order"));
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotent_producer_goes_there_and_back_without_a_sequence_error() {
    let remembered = four_stays(true).await.unwrap_or_else(|error| panic!("{error}"));
    let ids: HashSet<i64> = remembered.iter().map(|r| r.id).collect();
    assert_eq!(ids.len(), 4, "an id for each stay: {ids:x?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_translation_the_first_cluster_refuses_what_comes_back() {
    let error = four_stays(false).await.expect_err("it would be no test");
    assert!(error.contains("refused a sequence"), "{error}");
}

/// Two producers that got the same id from two clusters meet on the second one, with sequences that look like repetitions.
async fn two_producers_meet(translated: bool) -> Vec<String> {
    let mut world = World::new(translated).await;
    let send = async |producer: &Producer, value: &str| {
        let sent = producer.send(0, None, Some(value.to_owned().into()));
        timeout(DEADLINE, sent).await.expect("an outcome").expect("it is acknowledged");
    };
    let first = world.producer();
    send(&first, "first 0").await;
    world.switch(B).await;
    let second = world.producer();
    for value in ["second 0", "second 1", "second 2"] {
        send(&second, value).await;
    }
    send(&first, "first 1").await;
    world.log(B).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_in_the_log_although_two_clusters_gave_the_same_id() {
    assert_eq!(two_producers_meet(true).await, ["second 0", "second 1", "second 2", "first 1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_translation_a_record_is_acknowledged_and_lost() {
    assert_eq!(two_producers_meet(false).await, ["second 0", "second 1", "second 2"]);
}

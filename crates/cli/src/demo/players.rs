//! The demo's own clients: two producers and a consumer group, which know Pointsman's address and nothing else.

use super::{
    scene::Scene,
    stage::{PARTITIONS, TOPIC},
};
use bytes::Bytes;
use pointsman_sandbox::client::{
    ClientConfig, Consumer, ConsumerConfig, Event, ProduceError, Producer, ProducerConfig, Tls, batch::Record,
};
use std::time::{Duration, SystemTime};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};

const PRODUCERS: [&str; 2] = ["producer-1", "producer-2"];
const CONSUMER: &str = "consumer";
const GROUP: &str = "demo-readers";
/// Time between two records of a producer: 100 a second.
const PACE: Duration = Duration::from_millis(10);
/// How long a client may take to end in order.
const CLOSE: Duration = Duration::from_secs(10);

/// All clients, at work.
pub(super) struct Players {
    producing: watch::Sender<bool>,
    consuming: watch::Sender<bool>,
    producers: JoinSet<()>,
    consumer: JoinSet<()>,
}

impl Players {
    /// Starts them. A consumer with a name keeps its place in the group of each cluster.
    pub(super) fn start(scene: &Scene, bootstrap: &str, tls: Option<&Tls>, named: bool) -> Self {
        let client = |name: &str| ClientConfig::new([bootstrap]).client_id(name).tls(tls.cloned());
        let (producing, consuming) = (watch::Sender::new(true), watch::Sender::new(true));
        let (mut producers, mut consumer) = (JoinSet::new(), JoinSet::new());
        for name in PRODUCERS {
            let index = scene.enter(name, false);
            let producer = Producer::start(ProducerConfig::new(client(name), TOPIC));
            let part = Part { scene: scene.clone(), index, on: producing.subscribe() };
            producers.spawn(part.produce(producer, name));
        }
        let index = scene.enter(CONSUMER, true);
        let part = Part { scene: scene.clone(), index, on: consuming.subscribe() };
        let config = ConsumerConfig {
            instance: named.then(|| CONSUMER.to_owned()),
            ..ConsumerConfig::new(client(CONSUMER), GROUP, TOPIC)
        };
        consumer.spawn(part.consume(Consumer::start(config)));
        Self { producing, consuming, producers, consumer }
    }

    /// Ends the producers, which deliver what they have.
    pub(super) async fn stop_producing(&mut self) {
        self.producing.send_replace(false);
        while self.producers.join_next().await.is_some() {}
    }

    /// Ends the consumer, which leaves its group.
    pub(super) async fn stop_consuming(&mut self) {
        self.consuming.send_replace(false);
        while self.consumer.join_next().await.is_some() {}
    }
}

/// One client's part.
struct Part {
    scene: Scene,
    index: usize,
    on: watch::Receiver<bool>,
}

impl Part {
    async fn produce(mut self, producer: Producer, name: &'static str) {
        let mut deliveries = JoinSet::new();
        let mut ticks = interval_at(Instant::now(), PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for number in 0_u64.. {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = self.on.wait_for(|on| !on) => break,
            }
            let partition = u32::try_from(number % u64::from(PARTITIONS)).unwrap_or(0);
            let value = format!("{name}-{number}");
            let queued = tokio::select! {
                queued = producer.queue(i32::try_from(partition).unwrap_or(0), record(&value)) => queued,
                _ = self.on.wait_for(|on| !on) => break,
            };
            let (scene, index) = (self.scene.clone(), self.index);
            deliveries.spawn(async move {
                let delivered = match queued {
                    Ok(delivery) => delivery.await,
                    Err(error) => Err(error),
                };
                match delivered {
                    Ok(acked) => scene.acked(index, partition, offset(acked.offset), value),
                    // Told to stop, it gave up what was under way: nobody relied on that.
                    Err(ProduceError::Closed) => {}
                    Err(error) => scene.failed(index, &error.to_string()),
                }
            });
            while deliveries.try_join_next().is_some() {}
        }
        // What was not delivered in time is not acknowledged, and shows as such.
        let _ = producer.close(CLOSE).await;
        while deliveries.join_next().await.is_some() {}
    }

    async fn consume(mut self, mut consumer: Consumer) {
        loop {
            let event = tokio::select! {
                event = consumer.next() => event,
                _ = self.on.wait_for(|on| !on) => break,
            };
            match event {
                Event::Records { partition, records } => {
                    let text = |v: Option<Bytes>| v.map(|v| String::from_utf8_lossy(&v).into_owned());
                    let place = |at: i64| u64::try_from(at).unwrap_or(0);
                    let records = records
                        .into_iter()
                        .map(|r| (place(r.offset), text(r.record.value).unwrap_or_default()));
                    self.scene.consumed(self.index, u32::try_from(partition).unwrap_or(0), records);
                }
                Event::Error(error) => self.scene.failed(self.index, &error.to_string()),
                Event::Assigned(_) | Event::Note(_) => {}
            }
        }
        let _ = consumer.close(CLOSE).await;
    }
}

fn record(value: &str) -> Record {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Record {
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Vec::new(),
        timestamp: i64::try_from(since.as_millis()).unwrap_or_default(),
    }
}

/// A duplicate is acknowledged without an offset: it counts by its value.
fn offset(told: i64) -> u64 {
    u64::try_from(told).unwrap_or(u64::MAX)
}

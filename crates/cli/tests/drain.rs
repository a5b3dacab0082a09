//! A planned move under live traffic: produces go first, and consumers follow when they have read the old logs to their end.

mod support;

use bytes::Bytes;
use pointsman_sandbox::{
    Cluster,
    client::{
        Admin, ClientConfig, Consumer, Event, Producer, ProducerConfig,
        batch::{Record, StoredRecord},
    },
};
use std::{collections::BTreeMap, process::Command, sync::Arc, time::Duration};
use support::{
    BINARY,
    ground::{Ground, LIMIT, PARTITIONS, TOPIC, produce, settle},
};
use tokio::{
    sync::watch,
    task::{JoinHandle, block_in_place},
    time::{interval, timeout},
};

/// Values by partition, in order.
type Logs = BTreeMap<i32, Vec<String>>;

/// Produces to all partitions until it is stopped; then every record is acknowledged.
fn produce_on(ground: &Ground, stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    let producer = Arc::new(Producer::start(ProducerConfig::new(ground.client("live"), TOPIC)));
    tokio::spawn(async move {
        let (mut tick, mut deliveries) = (interval(Duration::from_millis(2)), Vec::new());
        while !*stopped.borrow() {
            tick.tick().await;
            let number = deliveries.len();
            let value = Some(Bytes::from(format!("live-{number}")));
            let record = Record { key: None, value, headers: Vec::new(), timestamp: 1_700_000_000_000 };
            let partition = i32::try_from(number % PARTITIONS).expect("small");
            deliveries.push(producer.queue(partition, record).await.expect("queued"));
        }
        for delivery in deliveries {
            timeout(LIMIT, delivery).await.expect("in time").expect("acknowledged");
        }
    })
}

fn text(record: StoredRecord) -> String {
    String::from_utf8_lossy(&record.record.value.unwrap_or_default()).into_owned()
}

async fn logs(cluster: &Cluster) -> Logs {
    let admin = Admin::new(ClientConfig::new(cluster.bootstrap().split(',')));
    let mut logs = Logs::new();
    for partition in 0..i32::try_from(PARTITIONS).expect("small") {
        let records = admin.read_partition(TOPIC, partition).await.expect("a log");
        logs.insert(partition, records.into_iter().map(text).collect());
    }
    logs
}

fn of_live(logs: &Logs) -> Logs {
    let live = |values: &Vec<String>| values.iter().filter(|v| v.starts_with("live")).cloned().collect();
    logs.iter().map(|(partition, values)| (*partition, live(values))).collect()
}

/// Reads `count` records that the live producer made, whatever comes between.
async fn read_live(consumer: &mut Consumer, came: &mut Logs, count: usize) {
    let all = async {
        while of_live(came).values().map(Vec::len).sum::<usize>() < count {
            if let Event::Records { partition, records, .. } = consumer.next().await {
                came.entry(partition).or_default().extend(records.into_iter().map(text));
            }
        }
    };
    if timeout(LIMIT, all).await.is_err() {
        panic!("of {count} live records there came {:?}", of_live(came));
    }
}

/// As an operator does it; returns when consumers have followed. The consumer reads meanwhile.
async fn switch(ground: &Ground, to: &str, consumer: &mut Consumer, came: &mut Logs) -> String {
    let admin = format!("127.0.0.1:{}", ground.proxy.admin);
    let mut command = Command::new(BINARY);
    command.args(["switch", "--to", to, "--admin", &admin]);
    let mut switched = tokio::task::spawn_blocking(move || command.output());
    loop {
        tokio::select! {
            output = &mut switched => {
                let output = output.expect("runs").expect("the binary");
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(output.status.success(), "{said} {:?}\n{}", output.stderr, ground.proxy.log());
                return said;
            }
            event = consumer.next() => if let Event::Records { partition, records, .. } = event {
                came.entry(partition).or_default().extend(records.into_iter().map(text));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_by_command_under_live_traffic_strands_nothing_and_a_group_reads_log_after_log() {
    let ground = Ground::new("    failover: { consumer_drain: 30s }\n").await;
    // given a secondary that has records of its own, and a group that reads what is produced
    let direct = ClientConfig::new(ground.secondary.bootstrap().split(',').map(str::to_owned));
    produce(direct, "older", 30).await;
    let mut consumer = ground.consumer("group");
    settle(&ground, &mut consumer, "group").await;
    ground.until_polled(&[0, 1]);
    let (stop, stopped) = watch::channel(false);
    let producing = produce_on(&ground, stopped);
    let mut came = Logs::new();
    read_live(&mut consumer, &mut came, 200).await;

    // when
    let said = switch(&ground, "secondary", &mut consumer, &mut came).await;

    // then
    let count = of_live(&came).values().map(Vec::len).sum::<usize>();
    read_live(&mut consumer, &mut came, count + 200).await;
    stop.send_replace(true);
    producing.await.expect("all acknowledged");
    let (before, after) = (of_live(&logs(&ground.primary).await), of_live(&logs(&ground.secondary).await));
    // What was under way when produces moved may be in both.
    let written = before.values().chain(after.values()).map(Vec::len).sum();
    read_live(&mut consumer, &mut came, written).await;
    assert!(said.contains("(complete)"), "{said}\n{}", ground.proxy.log());
    let status = block_in_place(|| ground.proxy.status());
    let switch = &status["virtual_clusters"][0]["switches"][0];
    let told = (&switch["to"], &switch["stranded"]["records"], &switch["drain"]["ended"]);
    assert_eq!(told, (&"secondary".into(), &0.into(), &"complete".into()), "{switch:#}");
    assert!(after.values().all(|values| !values.is_empty()), "produces went on: {after:?}");
    for (partition, values) in before {
        let log: Vec<String> = [values, after[&partition].clone()].concat();
        assert_eq!(came[&partition], log, "partition {partition}: once each, log after log");
    }
    let metrics = ground.proxy.get("/metrics").expect("metrics");
    let line = r#"pointsman_consumer_drains_total{virtual_cluster="main",ended="complete"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}

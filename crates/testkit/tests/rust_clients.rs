//! The small clients of `pointsman-sandbox` against real Kafka: a broker dies under them, members join and leave, a Java
//! member shares their group. Nothing is lost, reordered, or in the log twice.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pointsman_sandbox::client::{
    Admin, ClientConfig, Consumer, ConsumerConfig, Event, Producer, ProducerConfig, metadata::Leader,
    producer::Record,
};
use pointsman_testkit::{
    clients::{ClientKind, Driver, DriverSpec, Mode, install},
    kafka::{Cluster, ClusterSpec},
    skip::kafka_or_skip,
};
use tokio::{
    runtime::Runtime,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

const TOPIC: &str = "t";
const PARTITIONS: i32 = 6;
const LIMIT: Duration = Duration::from_secs(40);
const CLOSE: Duration = Duration::from_secs(10);

fn config(cluster: &Cluster, id: &str) -> ClientConfig {
    let addresses = cluster.addresses().iter().map(ToString::to_string).collect::<Vec<_>>();
    ClientConfig::new(addresses).client_id(id)
}

/// Records by partition, as (offset, value).
type Seen = BTreeMap<i32, Vec<(i64, String)>>;

fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}

/// Produces to all partitions until it is told to stop; what was acknowledged, in the order of queueing.
async fn produce(config: ProducerConfig, stop: Arc<AtomicBool>, count: Arc<Mutex<usize>>) -> Seen {
    let producer = Producer::start(config);
    let mut deliveries = Vec::new();
    let mut seq = 0;
    while !stop.load(Ordering::Relaxed) {
        for partition in 0..PARTITIONS {
            let value = format!("{partition}-{seq}");
            let record = Record::now(None, Some(value.clone().into()));
            let delivery = producer.queue(partition, record).await.expect("the producer runs");
            deliveries.push((partition, value, delivery));
        }
        seq += 1;
        tokio::time::interval_at(Instant::now() + Duration::from_millis(2), LIMIT).tick().await;
        *count.lock().expect("nobody panics with it") = seq;
    }
    let closed = producer.close(LIMIT).await;
    let mut acked = Seen::new();
    for (partition, value, delivery) in deliveries {
        let ack = delivery.await.unwrap_or_else(|e| panic!("{value}: {e}"));
        assert_eq!(ack.partition, partition);
        acked.entry(partition).or_default().push((ack.offset, value));
    }
    closed.expect("everything was delivered");
    acked
}

/// A member that consumes until it is told to stop.
struct Member {
    seen: Arc<Mutex<Seen>>,
    assigned: Arc<Mutex<Option<Vec<i32>>>>,
    words: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Member {
    fn start(config: ConsumerConfig) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let assigned: Arc<Mutex<Option<Vec<i32>>>> = Arc::default();
        let words: Arc<Mutex<Vec<String>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let state = (Arc::clone(&seen), Arc::clone(&assigned), Arc::clone(&words), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let (seen, assigned, words, stop) = state;
            let mut consumer = Consumer::start(config);
            while !stop.load(Ordering::Relaxed) {
                match timeout(Duration::from_millis(20), consumer.next()).await {
                    Err(_) => {}
                    Ok(Event::Records { partition, records }) => {
                        let mut seen = seen.lock().expect("whole");
                        let of = seen.entry(partition).or_default();
                        of.extend(records.iter().map(|r| (r.offset, text(&r.record))));
                    }
                    Ok(Event::Assigned(to)) => *assigned.lock().expect("whole") = Some(to),
                    Ok(other) => words.lock().expect("whole").push(format!("{other:?}")),
                }
            }
            consumer.close(CLOSE).await.expect("it leaves in time");
        });
        Self { seen, assigned, words, stop, task }
    }

    fn has(&self, partitions: &[i32]) -> bool {
        self.assigned.lock().expect("whole").as_deref() == Some(partitions)
    }

    fn words(&self) -> Vec<String> {
        self.words.lock().expect("whole").clone()
    }

    /// The highest offset seen of each partition, plus one.
    fn ends(&self) -> BTreeMap<i32, i64> {
        let seen = self.seen.lock().expect("whole");
        seen.iter().filter_map(|(p, records)| Some((*p, records.iter().map(|r| r.0).max()? + 1))).collect()
    }

    async fn finish(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        timeout(LIMIT, self.task).await.expect("it ends in time").expect("it does not panic");
        std::mem::take(&mut *self.seen.lock().expect("whole"))
    }
}

/// Waits until `check` holds; otherwise panics with the state.
async fn until(what: &str, mut check: impl FnMut() -> bool, state: impl Fn() -> String) {
    let deadline = Instant::now() + LIMIT;
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while !check() {
        assert!(timeout_at(deadline, tick.tick()).await.is_ok(), "{what}: {}", state());
    }
}

/// Everything in the log, by partition; asserts that it holds what was acknowledged, once and in order.
async fn log_holds(admin: &Admin, acked: &Seen) -> Seen {
    let mut log = Seen::new();
    for partition in 0..PARTITIONS {
        let records = admin.read_partition(TOPIC, partition).await.expect("the log can be read");
        log.insert(partition, records.iter().map(|r| (r.offset, text(&r.record))).collect());
    }
    assert_eq!(&log, acked, "the log is what was acknowledged, in order, and nothing twice");
    log
}

/// Each member has read each partition in order, apart from going back at a rebalance; together they have read all.
fn consumed_all(log: &Seen, members: &[(&str, Seen)]) -> usize {
    let mut again = 0;
    for (partition, records) in log {
        let mut read = vec![0_usize; records.len()];
        for (name, seen) in members {
            for (offset, value) in seen.get(partition).into_iter().flatten() {
                let at = usize::try_from(*offset).expect("not negative");
                assert_eq!(&records[at].1, value, "{name}: partition {partition} at {offset}");
                read[at] += 1;
            }
        }
        let lost: Vec<_> = read.iter().enumerate().filter(|(_, n)| **n == 0).map(|(at, _)| at).collect();
        assert!(lost.is_empty(), "partition {partition}: nobody read {lost:?} of {}", records.len());
        again += read.iter().sum::<usize>() - read.len();
    }
    again
}

fn in_order(name: &str, seen: &Seen) {
    for (partition, records) in seen {
        let back = records.windows(2).find(|pair| pair[1].0 != pair[0].0 + 1);
        assert_eq!(back, None, "{name}: partition {partition} is not read in order");
    }
}

#[test]
fn a_broker_dies_and_members_come_and_go() {
    let Some(kafka) = kafka_or_skip("a_broker_dies_and_members_come_and_go") else { return };
    let mut spec = ClusterSpec::new("rust-clients", 3);
    // A dead broker is noticed sooner than after the default of 9 s.
    for (name, value) in [("broker.session.timeout.ms", "2000"), ("broker.heartbeat.interval.ms", "500")] {
        spec.properties.push((name.to_owned(), value.to_owned()));
    }
    let mut cluster = Cluster::start(&kafka, spec).expect("it starts");
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(scenario(&mut cluster));
}

/// The leader of partition 0, once it is another one.
async fn moved_leader(admin: &Admin, from: i32) -> Leader {
    let deadline = Instant::now() + LIMIT;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        let told = admin.describe(TOPIC).await;
        match told.as_ref().map(|t| t.partitions[0].leader) {
            Ok(leader) if leader.node >= 0 && leader.node != from => return leader,
            _ => assert!(Instant::now() < deadline, "the leader has not moved: {told:?}"),
        }
    }
}

async fn scenario(cluster: &mut Cluster) {
    let begun = Instant::now();
    let admin = Admin::new(config(cluster, "admin"));
    admin.create_topic(TOPIC, PARTITIONS, 3, &[("min.insync.replicas", "2")]).await.expect("it is made");
    assert_eq!(admin.brokers().await.expect("they answer").len(), 3);

    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(0)));
    let producer = ProducerConfig::new(config(cluster, "producer"), TOPIC);
    let producing = tokio::spawn(produce(producer, Arc::clone(&stop), Arc::clone(&count)));
    let produced = || *count.lock().expect("whole");
    let member = |name: &str| {
        let mut config = ConsumerConfig::new(config(cluster, name), "g", TOPIC);
        config.heartbeat_interval = Duration::from_millis(300);
        config.commit_interval = Duration::from_millis(500);
        Member::start(config)
    };
    let one = member("one");
    until("alone", || one.has(&[0, 1, 2, 3, 4, 5]), || format!("{:?}", one.words())).await;
    let two = member("two");
    let state = || format!("{:?} {:?}", one.words(), two.words());
    let halves = |a: &Member, b: &Member| {
        (a.has(&[0, 1, 2]) && b.has(&[3, 4, 5])) || (b.has(&[0, 1, 2]) && a.has(&[3, 4, 5]))
    };
    until("two members", || halves(&one, &two), state).await;
    eprintln!("{:?}: two members share", begun.elapsed());

    let before = admin.describe(TOPIC).await.expect("it is there");
    let victim = before.partitions[0].leader.node;
    let index = (0..3).find(|b| i32::try_from(cluster.node_id(*b)).ok() == Some(victim)).expect("its leader");
    cluster.kill(&[index]);
    let after = moved_leader(&admin, victim).await;
    assert!(after.epoch > before.partitions[0].leader.epoch, "{after:?}");
    eprintln!("{:?}: the leader has moved", begun.elapsed());

    let at_move = produced();
    until("produced behind the move", || produced() > at_move + 100, state).await;
    let acked_by_now = admin.end_offsets(TOPIC).await.expect("there are leaders");
    let both = || {
        let mut ends = one.ends();
        ends.extend(two.ends().into_iter().filter(|(p, end)| one.ends().get(p).is_none_or(|o| o < end)));
        acked_by_now.iter().all(|(p, end)| ends.get(p).is_some_and(|e| e >= end))
    };
    until("read behind the move", both, state).await;
    let two = two.finish().await;
    until("alone again", || one.has(&[0, 1, 2, 3, 4, 5]), || format!("{:?}", one.words())).await;
    stop.store(true, Ordering::Relaxed);
    let acked = timeout(LIMIT, producing).await.expect("it ends").expect("everything was acknowledged");
    let ends = admin.end_offsets(TOPIC).await.expect("there are leaders");
    until("the end", || one.ends() == ends, || format!("{:?} {ends:?} {:?}", one.ends(), one.words())).await;
    eprintln!("notes: {:?}", one.words());
    let one = one.finish().await;

    let log = log_holds(&admin, &acked).await;
    let again = consumed_all(&log, &[("one", one), ("two", two)]);
    let total: usize = log.values().map(Vec::len).sum();
    eprintln!("{:?}: {total} records, {again} of them read again", begun.elapsed());
    let lag = admin.lag("g", TOPIC).await.expect("the coordinator answers");
    assert!(lag.values().all(|lag| lag.records() == 0), "closing commits everything: {lag:?}");
}

#[test]
fn a_java_member_shares_the_group() {
    let Some(kafka) = kafka_or_skip("a_java_member_shares_the_group") else { return };
    let cluster = Cluster::start(&kafka, ClusterSpec::new("rust-java", 1)).expect("it starts");
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(with_java(&cluster));
}

async fn with_java(cluster: &Cluster) {
    let admin = Admin::new(config(cluster, "admin"));
    admin.create_topic(TOPIC, PARTITIONS, 1, &[]).await.expect("it is made");
    let mut settings = ConsumerConfig::new(config(cluster, "one"), "g", TOPIC);
    settings.heartbeat_interval = Duration::from_millis(300);
    let one = Member::start(settings);
    let words = || format!("{:?}", one.words());
    until("alone", || one.has(&[0, 1, 2, 3, 4, 5]), words).await;

    let program = install(ClientKind::Java).expect("Kafka is there, and so is its client");
    let mut spec = DriverSpec::new(Mode::Consume, "java", &cluster.bootstrap(), TOPIC);
    spec.group = "g".to_owned();
    let java = Driver::start(&program, &spec).expect("it starts");
    let half = || one.has(&[0, 1, 2]) || one.has(&[3, 4, 5]);
    until("shared with Java", half, words).await;

    let producer = Producer::start(ProducerConfig::new(config(cluster, "producer"), TOPIC));
    let mut acked = Seen::new();
    for seq in 0..60 {
        let (partition, value) = (seq % PARTITIONS, format!("{seq}"));
        let ack = producer.send(partition, None, Some(value.clone().into())).await.expect("it is delivered");
        acked.entry(partition).or_default().push((ack.offset, value));
    }
    producer.close(CLOSE).await.expect("nothing is left");
    let log = log_holds(&admin, &acked).await;
    let records = |events: &[pointsman_testkit::clients::Event]| {
        let mut seen = Seen::new();
        for event in events {
            if let pointsman_testkit::clients::Event::Rec { p, o, v, .. } = event {
                let (p, o) = (i32::try_from(*p).expect("small"), i64::try_from(*o).expect("small"));
                seen.entry(p).or_default().push((o, v.clone()));
            }
        }
        seen
    };
    let state = || format!("{:?} {:?}", one.ends(), java.look(records));
    until(
        "all is read",
        || one.ends().len() + java.look(records).len() == 6 && one.ends().values().sum::<i64>() == 30,
        state,
    )
    .await;
    until("Java has read its half", || java.look(records).values().map(Vec::len).sum::<usize>() == 30, state)
        .await;

    let java = tokio::task::spawn_blocking(move || java.finish(LIMIT)).await.expect("it ends");
    until("Java has left", || one.has(&[0, 1, 2, 3, 4, 5]), words).await;
    let one = one.finish().await;
    in_order("one", &one);
    let again = consumed_all(&log, &[("one", one), ("java", records(&java))]);
    assert_eq!(again, 0, "what each member had read was committed");
}

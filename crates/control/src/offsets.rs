//! Where the logs of one cluster begin and end: asked of every broker for the partitions that it leads, all the time, so that a switch
//! to this cluster pays no round trip for it.
//!
//! It has connections of its own and says nothing of health. Each broker has one question under way at most. A broker that leads
//! many partitions is asked for [`OFFSETS_POLL`] of them at a time, in turn.

use crate::{
    clock::Clock,
    kafka::{CallError, Connection, LastGood, Log, LogPlace, dial},
    tasks::Tasks,
};
use pointsman_core::{
    config::Address,
    limits::{OFFSETS_INTERVAL, OFFSETS_POLL},
    offsets::EndsCell,
    topology::{NodeId, Topology, TopologyCell},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

/// The first offsets move slowly: a poll asks for so many of them.
const STARTS_POLL: usize = OFFSETS_POLL / 10;

/// The handle of the task; dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Poller {
    asker: Asker,
    tasks: Tasks,
}

/// Asks for polls.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    wanted: watch::Sender<u64>,
    done: watch::Receiver<u64>,
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.tasks.stop.cancel();
    }
}

impl Poller {
    /// Starts the task. It asks the brokers and partitions that the topology names.
    pub(crate) fn start(
        topology: Arc<TopologyCell>,
        ends: Arc<EndsCell>,
        clock: Clock,
        tasks: &Tasks,
    ) -> Self {
        let tasks = tasks.child();
        let (wanted, asked) = watch::channel(0);
        let (answered, done) = watch::channel(0);
        let task =
            Task { topology, ends, clock, revision: 0, brokers: BTreeMap::new(), kept: HashMap::new() };
        tasks.spawn(task.run(asked, answered));
        Self { asker: Asker { wanted, done }, tasks }
    }

    pub(crate) fn asker(&self) -> Asker {
        self.asker.clone()
    }
}

impl Asker {
    /// Polls at once; resolves when every broker has been asked after this call. The caller bounds it.
    pub(crate) fn poll(&self) -> impl Future<Output = ()> + use<> {
        let mut number = 0;
        self.wanted.send_modify(|wanted| {
            *wanted += 1;
            number = *wanted;
        });
        let mut done = self.done.clone();
        async move {
            // The task is gone: nothing newer will come.
            let _ = done.wait_for(|done| *done >= number).await;
        }
    }
}

struct Task {
    topology: Arc<TopologyCell>,
    ends: Arc<EndsCell>,
    clock: Clock,
    /// Of the topology that `brokers` was made from.
    revision: u64,
    brokers: BTreeMap<NodeId, Broker>,
    kept: HashMap<NodeId, (Address, Connection)>,
}

/// What to ask one broker.
struct Broker {
    address: Address,
    /// What it leads; the partitions of a topic stand together.
    logs: Arc<[Log]>,
    /// What the next poll asks for first.
    next_end: usize,
    next_start: usize,
}

/// What a broker answered.
struct Answer {
    connection: Connection,
    ends: Vec<(usize, i64)>,
    starts: Vec<(usize, i64)>,
}

impl Task {
    async fn run(mut self, mut asked: watch::Receiver<u64>, answered: watch::Sender<u64>) {
        loop {
            let (number, begun) = (*asked.borrow_and_update(), Instant::now());
            self.refresh();
            self.round().await;
            answered.send_replace(number);
            tokio::select! {
                wanted = asked.changed() => if wanted.is_err() { return },
                () = sleep_until(begun + OFFSETS_INTERVAL) => {}
            }
        }
    }

    /// Follows the topology.
    fn refresh(&mut self) {
        let topology = self.topology.load();
        if topology.revision == self.revision {
            return;
        }
        self.revision = topology.revision;
        let mut led = led(&topology);
        let before = std::mem::take(&mut self.brokers);
        for (node, broker) in topology.brokers.iter().filter(|(_, b)| b.listed) {
            let Some(logs) = led.remove(node) else { continue };
            let (next_end, next_start) = before.get(node).map_or((0, 0), |b| (b.next_end, b.next_start));
            let address = broker.address.clone();
            self.brokers.insert(*node, Broker { address, logs: logs.into(), next_end, next_start });
        }
        let brokers = &self.brokers;
        self.kept.retain(|node, (address, _)| brokers.get(node).is_some_and(|b| b.address == *address));
        if !topology.topics.is_empty() {
            self.ends.retain(|topic| topology.topics.contains_key(topic));
        }
    }

    /// Asks every broker once; a silent one holds the round for its deadline only.
    async fn round(&mut self) {
        let (begun, mut complete) = (self.clock.now(), !self.brokers.is_empty());
        let mut asked = JoinSet::new();
        for (node, broker) in &mut self.brokers {
            let (node, address, logs) = (*node, broker.address.clone(), broker.logs.clone());
            let ends = turn(&mut broker.next_end, logs.len(), OFFSETS_POLL);
            let starts = turn(&mut broker.next_start, logs.len(), STARTS_POLL);
            let kept = self.kept.remove(&node).map(|(_, connection)| connection);
            asked.spawn(async move {
                let parts = (&logs[ends.clone()], &logs[starts.clone()]);
                let answer = timeout(OFFSETS_INTERVAL, ask(&address, kept, parts)).await;
                (node, address, logs, ends.start, starts.start, answer)
            });
        }
        while let Some(joined) = asked.join_next().await {
            let Ok((node, address, logs, ends_at, starts_at, answer)) = joined else { continue };
            complete &= matches!(answer, Ok(Ok(_)));
            match answer {
                Ok(Ok(Answer { connection, ends, starts })) => {
                    let place = |from: usize, (number, offset): &(usize, i64)| {
                        let (topic, partition) = &logs[from + number];
                        (topic, *partition, *offset)
                    };
                    self.ends.take_ends(ends.iter().map(|found| place(ends_at, found)));
                    self.ends.take_starts(starts.iter().map(|found| place(starts_at, found)));
                    self.kept.insert(node, (address, connection));
                }
                Ok(Err(error)) => tracing::debug!(broker = %address, "no end offsets: {error}"),
                Err(_) => tracing::debug!(broker = %address, "no end offsets within {OFFSETS_INTERVAL:?}"),
            }
        }
        if complete {
            self.ends.set_polled(begun);
        }
    }
}

/// The partitions that each broker leads. Kafka's own topics have no consumers to move.
fn led(topology: &Topology) -> BTreeMap<NodeId, Vec<Log>> {
    let mut led: BTreeMap<NodeId, Vec<Log>> = BTreeMap::new();
    for topic in topology.topics.values().filter(|t| !t.name.starts_with("__")) {
        for (index, partition) in (0_i32..).zip(&topic.partitions).filter(|(_, p)| p.leader >= 0) {
            led.entry(partition.leader).or_default().push((topic.name.clone(), index));
        }
    }
    led
}

/// The next `many` of `all`, up to the last one; the turn after that begins anew.
fn turn(next: &mut usize, all: usize, many: usize) -> std::ops::Range<usize> {
    let from = if *next < all { *next } else { 0 };
    let until = all.min(from + many);
    *next = until;
    from..until
}

async fn ask(
    broker: &Address,
    kept: Option<Connection>,
    (ends, starts): (&[Log], &[Log]),
) -> Result<Answer, CallError> {
    let mut connection = match kept {
        Some(connection) => connection,
        None => {
            let mut connection = Connection::new(dial(broker, &LastGood::default()).await?);
            connection.api_versions().await?;
            connection
        }
    };
    let ends = connection.offsets(ends, LogPlace::End).await?;
    let starts = connection.offsets(starts, LogPlace::Start).await?;
    Ok(Answer { connection, ends, starts })
}

#[cfg(test)]
mod tests {
    use super::turn;

    #[test]
    fn a_broker_with_many_partitions_is_asked_for_all_of_them_in_turn() {
        let mut next = 0;
        let mut turns = Vec::new();
        for _ in 0..4 {
            turns.push(turn(&mut next, 12, 5));
        }
        assert_eq!(turns, [0..5, 5..10, 10..12, 0..5]);
        assert_eq!(turn(&mut next, 3, 5), 0..3, "after partitions have gone");
        assert_eq!(turn(&mut next, 0, 5), 0..0);
    }
}

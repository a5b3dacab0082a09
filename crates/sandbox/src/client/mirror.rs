//! A mirror that keeps offsets: it copies the batches of a topic as they are, and what groups have committed, to another cluster.
//!
//! It must be the only writer there: then a record has the same offset in both logs, and the other cluster knows the same producers
//! with the same sequences. (MirrorMaker 2 keeps neither.) It is made for tests of what a switch between such clusters may promise.
//! Markers of transactions cannot be written by a client, so a topic with transactions ends the mirror with an error.

use super::{
    ClientConfig, ClientError, Reset,
    cluster::{Cluster, Lane},
    codes,
    connection::{Answer, Connection},
    consumer::offsets,
};
use bytes::Bytes;
use pointsman_wire::{
    Struct, Value,
    batch::{BatchEvent, Batches},
};
use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
/// The last versions that name topics; a mirror's topics have other ids on each side.
const PRODUCE_NAMES: i16 = 12;
const FETCH_NAMES: i16 = 12;
const FETCH_BYTES: i32 = 1 << 20;
/// A broker holds a fetch so long when there is nothing new.
const MAX_WAIT_MS: i32 = 50;
/// Before something that failed is tried again, and between two copies of committed offsets.
const PAUSE: Duration = Duration::from_millis(20);

/// What is copied.
#[derive(Clone, Debug)]
pub struct MirrorConfig {
    /// The cluster that is written to by others.
    pub from: ClientConfig,
    /// The cluster that only the mirror writes to.
    pub to: ClientConfig,
    /// The topic; it must exist on both, with the same partitions.
    pub topic: String,
    /// Groups whose committed offsets are copied.
    pub groups: Vec<String>,
    /// Batches of a partition that are under way to the target at once. With more than one, a broker that refuses one of them ends the
    /// mirror with an error, because the next one may have taken its place.
    pub pipeline: usize,
}

/// A running mirror. Dropping it stops it.
#[derive(Debug)]
pub struct Mirror {
    config: MirrorConfig,
    stop: watch::Sender<bool>,
    tasks: JoinSet<Result<(), ClientError>>,
}

/// Where a batch says at which offset it begins.
const BASE_OFFSET: Range<usize> = 0..8;

impl Mirror {
    /// Starts to copy, from where the target ends. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// The topic is not known on one side.
    pub async fn start(config: MirrorConfig) -> Result<Self, ClientError> {
        let (from, to) = (Cluster::new(config.from.clone()), Cluster::new(config.to.clone()));
        for cluster in [&from, &to] {
            cluster.know(&config.topic, cluster.config().request_timeout).await?;
        }
        let count = from.metadata(|m| m.topic(&config.topic).map_or(0, |t| t.leaders.len()));
        let sides =
            Arc::new(Sides { from, to, topic: config.topic.clone(), pipeline: config.pipeline.max(1) });
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        for partition in 0..i32::try_from(count).unwrap_or(i32::MAX) {
            tasks.spawn(copy_log(Arc::clone(&sides), partition, stop.subscribe()));
        }
        for group in &config.groups {
            tasks.spawn(copy_offsets(Arc::clone(&sides), group.clone(), count, stop.subscribe()));
        }
        Ok(Self { config, stop, tasks })
    }

    /// Waits until both logs end at the same offsets. The caller sees to it that nobody writes.
    ///
    /// # Errors
    /// They do not within `limit`, or a cluster cannot be asked.
    pub async fn wait_equal(&self, limit: Duration) -> Result<(), ClientError> {
        let deadline = Instant::now() + limit;
        let ends = |config: &ClientConfig| super::Admin::new(config.clone());
        let (from, to) = (ends(&self.config.from), ends(&self.config.to));
        loop {
            let (a, b) =
                (from.end_offsets(&self.config.topic).await, to.end_offsets(&self.config.topic).await);
            match (a, b) {
                (Ok(a), Ok(b)) if a == b => return Ok(()),
                (Err(error), _) | (_, Err(error)) if Instant::now() > deadline => return Err(error),
                (a, b) if Instant::now() > deadline => {
                    let what = format!("end at which both logs agree: {a:?} and {b:?}");
                    return Err(ClientError::Nowhere { what });
                }
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// Stops, after committed offsets were copied once more.
    ///
    /// # Errors
    /// What ended the mirror before: above all a target that somebody else wrote to.
    pub async fn stop(mut self) -> Result<(), ClientError> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

struct Sides {
    from: Cluster,
    to: Cluster,
    topic: String,
    pipeline: usize,
}

impl Sides {
    async fn leader(&self, cluster: &Cluster, partition: i32) -> Result<Arc<Connection>, ClientError> {
        let leader = cluster.metadata(|m| m.leader(&self.topic, partition)).map(|l| l.node);
        let none = || ClientError::code("Metadata", codes::LEADER_NOT_AVAILABLE);
        cluster.node(Lane::Data, leader.ok_or_else(none)?).await
    }

    async fn end_of_target(&self, partition: i32) -> Result<i64, ClientError> {
        let connection = self.leader(&self.to, partition).await?;
        let asked = [partition];
        let found = offsets::list(&self.to, &connection, &self.topic, &asked, Reset::Latest).await?;
        let none = || ClientError::code("ListOffsets", codes::UNKNOWN_TOPIC_OR_PARTITION);
        Ok(found.into_values().next().ok_or_else(none)??.offset)
    }

    /// Copies what one answer holds.
    async fn step(&self, partition: i32, progress: &mut Progress) -> Result<(), ClientError> {
        let next = match progress.end.filter(|_| progress.sure) {
            Some(end) => end,
            None => {
                let end = self.end_of_target(partition).await?;
                progress.check(end)?;
                end
            }
        };
        let source = self.leader(&self.from, partition).await?;
        let asked = Struct::new()
            .with("Partition", partition)
            .with("FetchOffset", next)
            .with("PartitionMaxBytes", FETCH_BYTES);
        let topic = Struct::new().with("Topic", self.topic.as_str()).with("Partitions", vec![asked]);
        let body = Struct::new()
            .with("MaxWaitMs", MAX_WAIT_MS)
            .with("MinBytes", 1)
            .with("MaxBytes", FETCH_BYTES)
            .with("Topics", vec![topic]);
        let answer = source.call(FETCH, source.version(FETCH, FETCH_NAMES)?, &body).await?;
        ClientError::check("Fetch", answer.i16("ErrorCode"))?;
        let told = answer.structs("Responses").flat_map(|t| t.structs("Partitions")).next();
        let Some(told) = told else { return Ok(()) };
        ClientError::check("Fetch", told.i16("ErrorCode"))?;
        let records = told.bytes("Records").cloned().unwrap_or_default();
        let target = self.leader(&self.to, partition).await?;
        let (asked, mut next, mut under_way) = (next, next, VecDeque::new());
        // The first one may begin before what was asked for.
        for batch in whole_batches(&records).into_iter().filter(|batch| batch.last_offset >= asked) {
            if under_way.len() == self.pipeline {
                settle(&target, under_way.pop_front(), progress).await?;
            }
            let answer = self.write(&target, partition, &batch, next)?;
            let end = batch.last_offset + 1;
            progress.under_way.push(end);
            under_way.push_back((answer, next, end));
            next = end;
        }
        while let Some(written) = under_way.pop_front() {
            settle(&target, Some(written), progress).await?;
        }
        Ok(())
    }

    fn write(
        &self,
        target: &Connection,
        partition: i32,
        batch: &Whole,
        expected: i64,
    ) -> Result<Answer, ClientError> {
        if batch.base_offset != expected || batch.control {
            let (base, control) = (batch.base_offset, batch.control);
            let what = format!("batch at {base} (control: {control}) where {expected} is the end");
            return Err(parted(target, what));
        }
        // Brokers take a batch only from offset 0 on, and give it its place. The checksum begins after that.
        let mut records = batch.bytes.to_vec();
        records[BASE_OFFSET].fill(0);
        let data = Struct::new().with("Index", partition).with("Records", Value::Bytes(records.into()));
        let topic = Struct::new().with("Name", self.topic.as_str()).with("PartitionData", vec![data]);
        let body = Struct::new()
            .with("TransactionalId", Value::Null)
            .with("Acks", -1)
            .with("TimeoutMs", 5000)
            .with("TopicData", vec![topic]);
        target.submit(PRODUCE, target.version(PRODUCE, PRODUCE_NAMES)?, &body)
    }
}

fn parted(target: &Connection, what: String) -> ClientError {
    ClientError::Protocol { address: target.address().to_owned(), what }
}

/// Waits for the answer to a copied batch: where it should stand, and where the log ends then.
async fn settle(
    target: &Connection,
    written: Option<(Answer, i64, i64)>,
    progress: &mut Progress,
) -> Result<(), ClientError> {
    let Some((answer, expected, end)) = written else { return Ok(()) };
    let answer = answer.get().await?;
    let told = answer.structs("Responses").flat_map(|t| t.structs("PartitionResponses")).next();
    let none = || ClientError::code("Produce", codes::UNKNOWN_TOPIC_OR_PARTITION);
    let told = told.ok_or_else(none)?;
    ClientError::check("Produce", told.i16("ErrorCode"))?;
    let base = told.int("BaseOffset");
    if base != expected {
        return Err(parted(target, format!("the copy of {expected} stands at {base}: somebody else writes")));
    }
    progress.end = Some(end);
    progress.under_way.retain(|under_way| *under_way > end);
    Ok(())
}

/// Where the target ends as far as the mirror has written it.
#[derive(Default)]
struct Progress {
    end: Option<i64>,
    /// Nothing has failed since the target was asked; whoever else writes is found by where the next batch comes to stand.
    sure: bool,
    /// And where it may end if writes whose answers were lost were carried out.
    under_way: Vec<i64>,
}

impl Progress {
    fn check(&mut self, end: i64) -> Result<(), ClientError> {
        if self.end.is_some_and(|known| known != end) && !self.under_way.contains(&end) {
            let what = format!("the target ends at {end}, not at {:?}: somebody else writes", self.end);
            return Err(ClientError::Protocol { address: "the target".to_owned(), what });
        }
        *self = Self { end: Some(end), sure: true, under_way: Vec::new() };
        Ok(())
    }
}

async fn copy_log(sides: Arc<Sides>, partition: i32, stop: watch::Receiver<bool>) -> Result<(), ClientError> {
    let mut progress = Progress::default();
    while !*stop.borrow() {
        match sides.step(partition, &mut progress).await {
            Ok(()) => {}
            Err(error) if matches!(error, ClientError::Protocol { .. }) => return Err(error),
            // A leader moved, or a broker is gone: both are looked up again.
            Err(_) => {
                progress.sure = false;
                for cluster in [&sides.from, &sides.to] {
                    // What cannot be refreshed now is at the next turn.
                    let _ = cluster.refresh(std::slice::from_ref(&sides.topic), cluster.generation()).await;
                }
                sleep(PAUSE).await;
            }
        }
    }
    Ok(())
}

/// Copies a group's committed offsets, again and again, and once after the stop.
async fn copy_offsets(
    sides: Arc<Sides>,
    group: String,
    partitions: usize,
    stop: watch::Receiver<bool>,
) -> Result<(), ClientError> {
    let partitions: Vec<i32> = (0..i32::try_from(partitions).unwrap_or(i32::MAX)).collect();
    let mut patience = None;
    loop {
        let last = *stop.borrow();
        match copy_offsets_once(&sides, &group, &partitions).await {
            Ok(()) if last => return Ok(()),
            Err(error) if last => {
                let deadline = *patience.get_or_insert(Instant::now() + sides.to.config().request_timeout);
                if !error.is_retriable() || Instant::now() > deadline {
                    return Err(error);
                }
            }
            // The next turn copies what this one did not.
            Ok(()) | Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

async fn copy_offsets_once(sides: &Sides, group: &str, partitions: &[i32]) -> Result<(), ClientError> {
    let address = sides.from.find_coordinator(group).await?;
    let source = sides.from.connection(Lane::Control, &address).await?;
    let mut committed = offsets::committed(&source, group, &sides.topic, partitions).await?;
    if committed.is_empty() {
        return Ok(());
    }
    let address = sides.to.find_coordinator(group).await?;
    let target = sides.to.connection(Lane::Control, &address).await?;
    // What is further on there was committed there, after this side was left.
    let known = offsets::committed(&target, group, &sides.topic, partitions).await?;
    committed.retain(|partition, at| known.get(partition).is_none_or(|known| known.offset < at.offset));
    if committed.is_empty() {
        return Ok(());
    }
    match offsets::commit_simple(&target, group, &sides.topic, &committed).await {
        // Members that a switch left behind: nobody serves them there.
        Err(error) if error.protocol_code() == Some(codes::UNKNOWN_MEMBER_ID) => {
            offsets::empty_group(&target, group).await?;
            offsets::commit_simple(&target, group, &sides.topic, &committed).await
        }
        done => done,
    }
}

/// A batch with its bytes.
struct Whole {
    base_offset: i64,
    last_offset: i64,
    control: bool,
    bytes: Bytes,
}

/// The batches of a blob that are there from end to end.
fn whole_batches(blob: &Bytes) -> Vec<Whole> {
    let mut walker = Batches::new(blob.len());
    let mut found = Vec::new();
    while let Ok(Some(event)) = walker.next(&blob[walker.position()..]) {
        match event {
            BatchEvent::Header { at, size, complete: true, header: Some(header), .. } => found.push(Whole {
                base_offset: header.base_offset,
                last_offset: header.last_offset(),
                control: header.is_control(),
                bytes: blob.slice(at..at + size),
            }),
            BatchEvent::End => break,
            BatchEvent::Header { .. } | BatchEvent::Body { .. } => {}
        }
    }
    found
}

//! The apis of group coordinators, which `group` answers: who coordinates, what waits, and what must be in the log first.

use super::{Answer, Call, Client};
use crate::{
    errors::{COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR},
    group::{
        Ticket,
        handlers::{self, Reply, View},
    },
    world::{Image, OFFSETS_PARTITIONS, OFFSETS_TOPIC, Shared, World, group_partition},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// `offsets.commit.timeout.ms`.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any rebalance that a client may ask for.
const FOREVER: Duration = Duration::from_secs(24 * 3600);
/// OffsetCommit, LeaveGroup, SyncGroup and OffsetDelete write to the group's log before they answer.
const WRITING: [i16; 4] = [8, 13, 14, 47];

pub(super) async fn handle(call: Call<'_>, client: &Client) -> Answer {
    let writes = WRITING.contains(&call.key);
    if writes {
        let partition = group_partition(call.request.str("GroupId"));
        let writable = |world: &mut World| can_write(world, call.broker, partition).then_some(());
        call.shared.wait(Instant::now() + COMMIT_TIMEOUT, writable).await;
    }
    let reply = call.shared.change(|world| {
        let view = Known::new(world, call.broker, writes);
        let request = handlers::Call {
            now: Instant::now(),
            version: call.version,
            client_id: &client.id,
            client_host: client.peer.ip(),
            view: &view,
            request: call.request,
        };
        handlers::handle(call.key, &mut world.groups, &request)
    });
    match reply {
        None => Answer::Close,
        Some(Reply::Ready(body)) => Answer::Body(body),
        Some(Reply::Later(ticket)) => {
            let waiting = Waiting { shared: Arc::clone(call.shared), ticket };
            let ready = |world: &mut World| world.groups.ready(ticket);
            let answer = call.shared.wait(Instant::now() + FOREVER, ready).await;
            drop(waiting);
            answer.map_or(Answer::Close, |answer| Answer::Body(handlers::finish(call.version, &answer)))
        }
    }
}

/// Nobody keeps an answer for a connection that is gone.
struct Waiting {
    shared: Arc<Shared>,
    ticket: Ticket,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.lock().groups.forget(self.ticket);
    }
}

/// Can the group's log be written now? If this broker does not lead it, that is not the question.
fn can_write(world: &World, broker: usize, partition: i32) -> bool {
    let led = world.led(broker, OFFSETS_TOPIC, partition, -1);
    led.is_ok_and(|led| world.can_commit(broker, &led.partition)) || !leads(world, broker, partition)
}

fn leads(world: &World, broker: usize, partition: i32) -> bool {
    world.led(broker, OFFSETS_TOPIC, partition, -1).is_ok()
}

/// What a broker knows of the cluster.
struct Known {
    image: Arc<Image>,
    broker: usize,
    /// Partitions of the groups' log that cannot be written now, where that matters.
    stuck: Vec<i32>,
    /// Partitions that another broker serves by now, though this one has not heard of it.
    lost: Vec<i32>,
}

impl Known {
    fn new(world: &World, broker: usize, writes: bool) -> Self {
        let stuck = |partition: &i32| writes && !can_write(world, broker, *partition);
        Self {
            image: Arc::clone(&world.brokers[broker].view),
            broker,
            stuck: (0..OFFSETS_PARTITIONS).filter(stuck).collect(),
            lost: (0..OFFSETS_PARTITIONS).filter(|p| !world.coordinates(broker, *p)).collect(),
        }
    }
}

impl View for Known {
    fn topic_name(&self, id: [u8; 16]) -> Option<String> {
        self.image.name_of(Uuid::from_bytes(id)).map(ToString::to_string)
    }

    fn topic_id(&self, name: &str) -> Option<[u8; 16]> {
        self.image.topics.get(name).map(|topic| topic.id.into_bytes())
    }

    fn partitions(&self, name: &str) -> Option<i32> {
        self.image.topics.get(name).and_then(|topic| i32::try_from(topic.partitions.len()).ok())
    }

    fn coordinates(&self, group: &str) -> Result<(), i16> {
        match self.image.coordinator(group) {
            Some(broker) if broker != self.broker => Err(NOT_COORDINATOR),
            Some(_) if self.lost.contains(&group_partition(group)) => Err(COORDINATOR_NOT_AVAILABLE),
            Some(_) if !self.stuck.contains(&group_partition(group)) => Ok(()),
            Some(_) => Err(COORDINATOR_NOT_AVAILABLE),
            None => Err(NOT_COORDINATOR),
        }
    }
}

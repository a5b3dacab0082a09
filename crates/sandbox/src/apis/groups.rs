//! The apis of group coordinators, which `group` answers: who coordinates, what waits, and what must be in the log first.

use super::{Answer, Call, Client};
use crate::{
    errors::{COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR},
    group::{
        Ticket,
        handlers::{self, Reply, View},
    },
    world::{COORDINATOR_PARTITIONS, Coordinated, Image, Shared, World, key_partition},
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
/// OffsetCommit, LeaveGroup, SyncGroup, TxnOffsetCommit, OffsetDelete and ConsumerGroupHeartbeat write to the group's log before
/// they answer.
const WRITING: [i16; 6] = [8, 13, 14, 28, 47, 68];

pub(super) async fn handle(call: Call<'_>, client: &Client) -> Answer {
    answer(call, client, |_, _| Ok(())).await
}

/// Answers a request of a group. `joins` says whether a commit belongs to a transaction.
pub(super) async fn answer(
    call: Call<'_>,
    client: &Client,
    joins: impl FnOnce(&mut World, &Known) -> Result<(), i16>,
) -> Answer {
    let writes = WRITING.contains(&call.key);
    if writes {
        let partition = key_partition(call.request.str("GroupId"));
        let writable =
            |world: &mut World| world.can_write(call.broker, Coordinated::Groups, partition).then_some(());
        call.shared.wait(Instant::now() + COMMIT_TIMEOUT, writable).await;
    }
    let reply = call.shared.change(|world| {
        let view = Known::new(world, call.broker, writes);
        let transaction = joins(world, &view);
        let request = handlers::Call {
            now: Instant::now(),
            version: call.version,
            client_id: &client.id,
            client_host: client.peer.ip(),
            view: &view,
            transaction,
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

/// What a broker knows of the cluster.
pub(super) struct Known {
    image: Arc<Image>,
    broker: usize,
    /// Partitions of the groups' log that cannot be written now, where that matters.
    stuck: Vec<i32>,
    /// Partitions that another broker serves by now, though this one has not heard of it.
    lost: Vec<i32>,
}

impl Known {
    fn new(world: &World, broker: usize, writes: bool) -> Self {
        let groups = Coordinated::Groups;
        let stuck = |partition: &i32| writes && !world.can_write(broker, groups, *partition);
        let lost = |partition: &i32| world.coordinator_of(groups, *partition) != Some(broker);
        Self {
            image: Arc::clone(&world.brokers[broker].view),
            broker,
            stuck: (0..COORDINATOR_PARTITIONS).filter(stuck).collect(),
            lost: (0..COORDINATOR_PARTITIONS).filter(lost).collect(),
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

    fn topic_names(&self) -> Vec<String> {
        self.image.topics.keys().map(ToString::to_string).collect()
    }

    fn partitions(&self, name: &str) -> Option<i32> {
        self.image.topics.get(name).and_then(|topic| i32::try_from(topic.partitions.len()).ok())
    }

    fn coordinates(&self, group: &str) -> Result<(), i16> {
        match self.image.coordinator(Coordinated::Groups, group) {
            Some(broker) if broker != self.broker => Err(NOT_COORDINATOR),
            Some(_) if self.lost.contains(&key_partition(group)) => Err(COORDINATOR_NOT_AVAILABLE),
            Some(_) if !self.stuck.contains(&key_partition(group)) => Ok(()),
            Some(_) => Err(COORDINATOR_NOT_AVAILABLE),
            None => Err(NOT_COORDINATOR),
        }
    }
}

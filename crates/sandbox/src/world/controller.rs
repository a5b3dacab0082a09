//! The controllers: who of them is active, which brokers live, who leads what.

use super::{Image, LogKey, Partition, Topic, World};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The active controller moves the metadata so often, whatever happens (KIP-835).
const NOOP: Duration = Duration::from_millis(500);

impl World {
    /// Everything that time brings. Called many times a second.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.elect_controller(now);
        if self.image.controller.is_some() {
            self.watch_brokers(now);
            if now.duration_since(self.last_noop) >= NOOP {
                self.last_noop = now;
                self.edit(|_| ());
            }
        }
        self.spread();
        self.replicate_all();
        self.move_coordinators(now);
        self.groups.tick(now);
        self.run_transactions();
    }

    /// Is there an active controller that this broker can reach? Only then can metadata be changed through it.
    pub(crate) fn controller_for(&self, broker: usize) -> Option<usize> {
        self.image.controller.filter(|c| self.reachable(broker, *c) && self.brokers[*c].in_touch())
    }

    /// Changes the metadata; brokers in touch learn of it at once.
    pub(crate) fn edit<T>(&mut self, edit: impl FnOnce(&mut Image) -> T) -> T {
        let image = Arc::make_mut(&mut self.image);
        image.offset += 1;
        let result = edit(image);
        self.spread();
        result
    }

    /// After a majority is gone nobody is active, not even a controller that lives.
    fn elect_controller(&mut self, now: Instant) {
        let in_touch: Vec<usize> = (0..self.brokers.len()).filter(|b| self.brokers[*b].in_touch()).collect();
        let quorum = in_touch.len() * 2 > self.brokers.len() && !self.quorum_lost;
        let stays = self.image.controller.is_some_and(|c| quorum && in_touch.contains(&c));
        if stays {
            return;
        }
        if self.image.controller.is_some() {
            Arc::make_mut(&mut self.image).controller = None;
        }
        if !quorum {
            self.election_at = None;
            return;
        }
        let at = *self.election_at.get_or_insert(now + self.spec.election_time);
        if now >= at {
            self.election_at = None;
            self.controller_epoch += 1;
            let turn = usize::try_from(self.controller_epoch).unwrap_or(0);
            let next = in_touch[turn % in_touch.len()];
            // A new controller gives every broker a session's length to be heard of.
            self.brokers.iter_mut().for_each(|b| b.last_heartbeat = now);
            self.edit(|image| image.controller = Some(next));
        }
    }

    fn watch_brokers(&mut self, now: Instant) {
        for broker in 0..self.brokers.len() {
            let silent = now.duration_since(self.brokers[broker].last_heartbeat);
            if self.brokers[broker].in_touch() {
                self.brokers[broker].last_heartbeat = now;
                if self.image.fenced[broker] {
                    self.edit(|image| image.fenced[broker] = false);
                    self.elect_leaders();
                }
            } else if !self.image.fenced[broker] && silent >= self.spec.session_timeout {
                self.fence(broker);
            }
        }
    }

    /// The broker leads nothing any more and is in sync with nobody, except as the last one.
    fn fence(&mut self, broker: usize) {
        self.edit(|image| {
            image.fenced[broker] = true;
            for partition in image.topics.values_mut().flat_map(|t| &mut t.partitions) {
                if partition.isr.len() > 1 {
                    partition.isr.retain(|b| *b != broker);
                }
                if partition.leader == Some(broker) {
                    partition.leader = None;
                }
            }
        });
        self.elect_leaders();
    }

    /// Gives each partition without a leader one of its in-sync replicas that lives.
    fn elect_leaders(&mut self) {
        let fenced = self.image.fenced.clone();
        let electable = |p: &Partition| p.replicas.iter().copied().find(|b| p.isr.contains(b) && !fenced[*b]);
        let mut elected: Vec<(LogKey, usize, i32)> = Vec::new();
        let needed = |image: &Image| {
            image
                .topics
                .values()
                .flat_map(|t| &t.partitions)
                .any(|p| p.leader.is_none() && electable(p).is_some())
        };
        if !needed(&self.image) {
            return;
        }
        self.edit(|image| {
            for topic in image.topics.values_mut() {
                for (index, partition) in (0..).zip(&mut topic.partitions) {
                    if let Some(next) = electable(partition).filter(|_| partition.leader.is_none()) {
                        partition.leader = Some(next);
                        partition.leader_epoch += 1;
                        elected.push(((topic.id, index), next, partition.leader_epoch));
                    }
                }
            }
        });
        for (key, leader, epoch) in elected {
            self.log(leader, key).lead(epoch);
        }
    }

    /// Makes the preferred replica leader where it is in sync and lives; answers whether there was something to do.
    pub(crate) fn elect_preferred(&mut self, topic: &str, index: usize) -> bool {
        let partition = self.image.topics.get(topic).and_then(|t| t.partitions.get(index));
        let preferred = partition.and_then(|p| {
            p.replicas
                .first()
                .copied()
                .filter(|b| p.leader != Some(*b) && p.isr.contains(b) && !self.image.fenced[*b])
        });
        let Some(next) = preferred else { return false };
        let elected = self.edit(|image| {
            let topic = image.topics.get_mut(topic)?;
            let partition = topic.partitions.get_mut(index)?;
            partition.leader = Some(next);
            partition.leader_epoch += 1;
            Some(((topic.id, i32::try_from(index).ok()?), partition.leader_epoch))
        });
        if let Some((key, epoch)) = elected {
            self.log(next, key).lead(epoch);
        }
        true
    }

    /// Brokers in touch with the active controller have its metadata.
    fn spread(&mut self) {
        let Some(controller) = self.image.controller else { return };
        for broker in 0..self.brokers.len() {
            if self.reachable(broker, controller) && self.brokers[broker].in_touch() {
                self.brokers[broker].view = Arc::clone(&self.image);
            }
        }
    }

    /// Brings followers up to date, and lets those that are so back in sync.
    fn replicate_all(&mut self) {
        let image = Arc::clone(&self.image);
        let mut joined: Vec<(Arc<str>, usize, usize)> = Vec::new();
        for (name, topic) in &image.topics {
            for (index, partition) in topic.partitions.iter().enumerate() {
                let key = (topic.id, i32::try_from(index).unwrap_or(0));
                let Some(leader) = partition.leader.filter(|b| self.brokers[*b].in_touch()) else { continue };
                // Only who knows that it leads.
                if self.led(leader, name, key.1, partition.leader_epoch).is_ok() {
                    self.log(leader, key);
                    self.replicate(leader, key, partition);
                    let back = partition.replicas.iter().filter(|b| !partition.isr.contains(b));
                    let back = back.filter(|b| !image.fenced[**b] && self.reachable(leader, **b));
                    joined.extend(back.map(|b| (Arc::clone(name), index, *b)));
                }
            }
        }
        if !joined.is_empty() && image.controller.is_some() {
            self.edit(|image| {
                for (topic, index, broker) in joined {
                    let topic = image.topics.get_mut(&topic);
                    if let Some(p) = topic.and_then(|t| t.partitions.get_mut(index)) {
                        p.isr.push(broker);
                    }
                }
            });
        }
    }

    /// Adds a topic whose partitions' replicas are given; the first of each that lives leads.
    pub(crate) fn add_topic(&mut self, name: &str, topic: Topic) {
        let id = topic.id;
        let leaders: Vec<(Option<usize>, i32)> =
            topic.partitions.iter().map(|p| (p.leader, p.leader_epoch)).collect();
        self.edit(|image| image.topics.insert(name.into(), topic));
        self.start_leaders(id, 0, &leaders);
    }

    /// Adds partitions to a topic.
    pub(crate) fn add_partitions(&mut self, name: &str, more: Vec<Partition>) {
        let leaders: Vec<(Option<usize>, i32)> = more.iter().map(|p| (p.leader, p.leader_epoch)).collect();
        let added = self.edit(|image| {
            let topic = image.topics.get_mut(name)?;
            let first = i32::try_from(topic.partitions.len()).ok()?;
            topic.partitions.extend(more);
            Some((topic.id, first))
        });
        if let Some((id, first)) = added {
            self.start_leaders(id, first, &leaders);
        }
    }

    fn start_leaders(&mut self, id: uuid::Uuid, first: i32, leaders: &[(Option<usize>, i32)]) {
        for (index, (leader, epoch)) in (first..).zip(leaders) {
            if let Some(leader) = leader {
                self.log(*leader, (id, index)).lead(*epoch);
            }
        }
    }

    /// Removes a topic and its logs; answers whether it was there.
    pub(crate) fn remove_topic(&mut self, name: &str) -> bool {
        let Some(topic) = self.edit(|image| image.topics.remove(name)) else { return false };
        for broker in &mut self.brokers {
            broker.logs.retain(|(id, _), _| *id != topic.id);
        }
        self.groups.topic_deleted(name);
        true
    }

    /// Replicas for new partitions, round robin over the brokers that live, from the `first`th partition on.
    pub(crate) fn place(&self, first: usize, count: usize, replication: usize) -> Option<Vec<Partition>> {
        let live: Vec<usize> = self.image.live().collect();
        if replication == 0 || replication > live.len() {
            return None;
        }
        let partition = |index: usize| {
            let replicas: Vec<usize> = (0..replication).map(|r| live[(index + r) % live.len()]).collect();
            Partition::new(replicas)
        };
        Some((first..first + count).map(partition).collect())
    }
}

impl Partition {
    /// A new partition, all of whose replicas are in sync.
    pub(crate) fn new(replicas: Vec<usize>) -> Self {
        Self { isr: replicas.clone(), leader: replicas.first().copied(), leader_epoch: 0, replicas }
    }
}

//! Copying between replicas, and the high watermark.

use super::{LogKey, Partition, World};
use crate::{
    errors::{FENCED_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER, UNKNOWN_LEADER_EPOCH, UNKNOWN_TOPIC_OR_PARTITION},
    log::ReplicaLog,
};

/// A partition as its leader sees it.
#[derive(Debug, Clone)]
pub(crate) struct Led {
    pub(crate) key: LogKey,
    pub(crate) partition: Partition,
}

impl World {
    /// The partition, if this broker believes that it leads it. `epoch` is what the client believes, −1 for nothing.
    pub(crate) fn led(&self, broker: usize, topic: &str, index: i32, epoch: i32) -> Result<Led, i16> {
        let view = &self.brokers[broker].view;
        let known = view.topics.get(topic).zip(view.partition(topic, index));
        let (topic, partition) = known.ok_or(UNKNOWN_TOPIC_OR_PARTITION)?;
        if partition.leader != Some(broker) {
            return Err(NOT_LEADER_OR_FOLLOWER);
        }
        match epoch {
            epoch if epoch < 0 || epoch == partition.leader_epoch => {
                Ok(Led { key: (topic.id, index), partition: partition.clone() })
            }
            epoch if epoch < partition.leader_epoch => Err(FENCED_LEADER_EPOCH),
            _ => Err(UNKNOWN_LEADER_EPOCH),
        }
    }

    /// The partition, if this broker has a replica of it. A client that says what it believes asks for no other epoch.
    pub(crate) fn replica(&self, broker: usize, topic: &str, index: i32, epoch: i32) -> Result<Led, i16> {
        match self.led(broker, topic, index, epoch) {
            Err(NOT_LEADER_OR_FOLLOWER) => {}
            led => return led,
        }
        let view = &self.brokers[broker].view;
        let known = view.topics.get(topic).zip(view.partition(topic, index));
        let (topic, partition) =
            known.filter(|(_, p)| p.replicas.contains(&broker)).ok_or(NOT_LEADER_OR_FOLLOWER)?;
        match epoch {
            epoch if epoch >= 0 && epoch < partition.leader_epoch => Err(FENCED_LEADER_EPOCH),
            epoch if epoch > partition.leader_epoch => Err(UNKNOWN_LEADER_EPOCH),
            _ => Ok(Led { key: (topic.id, index), partition: partition.clone() }),
        }
    }

    /// A broker's replica.
    pub(crate) fn log(&mut self, broker: usize, key: LogKey) -> &mut ReplicaLog {
        self.brokers[broker].logs.entry(key).or_default()
    }

    /// Copies what `leader` has to the replicas that it can reach, and moves the high watermark.
    pub(crate) fn replicate(&mut self, leader: usize, key: LogKey, partition: &Partition) {
        let Some(mut own) = self.brokers[leader].logs.remove(&key) else { return };
        let followers: Vec<usize> = partition
            .replicas
            .iter()
            .copied()
            .filter(|b| *b != leader && self.reachable(leader, *b))
            .collect();
        for follower in &followers {
            self.log(*follower, key).follow(&own);
        }
        if partition.isr.iter().all(|b| *b == leader || followers.contains(b)) {
            own.high_watermark = own.end();
            own.retain_bytes(self.spec.partition_bytes);
            for follower in followers {
                self.log(follower, key).high_watermark = own.high_watermark;
            }
        }
        self.brokers[leader].logs.insert(key, own);
    }

    /// Whether what the leader writes now will be acknowledged: every in-sync replica can be reached.
    pub(crate) fn can_commit(&self, leader: usize, partition: &Partition) -> bool {
        self.brokers[leader].up && partition.isr.iter().all(|b| self.reachable(leader, *b))
    }
}

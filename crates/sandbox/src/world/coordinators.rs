//! Who coordinates groups and transactions: the leader of the partition that the name belongs to, once it has read its log.

use super::{COORDINATOR_PARTITIONS, Coordinated, World, key_partition};
use crate::errors::{COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR};
use std::time::Instant;

impl World {
    /// The broker that serves what belongs to that partition; `None`: nobody does now.
    pub(crate) fn coordinator_of(&self, kind: Coordinated, partition: i32) -> Option<usize> {
        *usize::try_from(partition).ok().and_then(|p| self.coordinators[kind as usize].get(p))?
    }

    /// Does this broker serve the group or the transactional id? If not, the error says what it is: 15 or 16. What is written
    /// must reach the log.
    pub(crate) fn serves(
        &self,
        broker: usize,
        kind: Coordinated,
        key: &str,
        writes: bool,
    ) -> Result<(), i16> {
        let partition = key_partition(key);
        match self.brokers[broker].view.coordinator(kind, key) {
            Some(leader) if leader == broker => {}
            _ => return Err(NOT_COORDINATOR),
        }
        let here = self.coordinator_of(kind, partition) == Some(broker);
        if here && (!writes || self.can_write(broker, kind, partition)) {
            Ok(())
        } else {
            Err(COORDINATOR_NOT_AVAILABLE)
        }
    }

    /// Can this coordinator's log be written now? If this broker does not lead it, that is not the question.
    pub(crate) fn can_write(&self, broker: usize, kind: Coordinated, partition: i32) -> bool {
        let led = self.led(broker, kind.topic(), partition, -1);
        led.map_or(true, |led| self.can_commit(broker, &led.partition))
    }

    /// What a coordinator that is gone has served is served by the next one, which has read its log.
    pub(super) fn move_coordinators(&mut self, now: Instant) {
        for kind in Coordinated::ALL {
            for partition in 0..COORDINATOR_PARTITIONS {
                self.move_coordinator(now, kind, partition);
            }
        }
    }

    fn move_coordinator(&mut self, now: Instant, kind: Coordinated, partition: i32) {
        let leader = self.image.partition(kind.topic(), partition).and_then(|p| p.leader);
        let leader = leader.filter(|b| self.brokers[*b].up);
        let former = self.coordinator_of(kind, partition);
        if former == leader {
            return;
        }
        if kind == Coordinated::Groups {
            let here = |group: &str| key_partition(group) == partition;
            if former.is_some() {
                self.groups.unload(here);
            }
            if leader.is_some() {
                self.groups.load(now, here);
            }
        }
        let index = usize::try_from(partition).unwrap_or(0);
        self.coordinators[kind as usize][index] = leader;
    }
}

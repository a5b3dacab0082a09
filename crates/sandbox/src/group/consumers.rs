//! Groups of the consumer protocol among all groups. A group without members has no protocol: whoever joins first decides.

use super::{
    Groups, codes,
    consumer::{ConsumerGroup, Description, Heartbeat, HeartbeatReply},
    handlers::View,
    state::{Group, State},
};
use std::time::{Duration, Instant};

impl Groups {
    /// ConsumerGroupHeartbeat of a member that stays. The group is made if the member is new.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        now: Instant,
        id: &str,
        request: &Heartbeat,
        view: &dyn View,
    ) -> Result<HeartbeatReply, i16> {
        let session = self.config.consumer_session_timeout;
        let max_size = self.config.max_size;
        if request.epoch != 0 {
            return self.consumers(id)?.heartbeat(now, session, request, view);
        }
        let had = self.groups.contains_key(id);
        let had_consumers = self.consumers(id).is_ok();
        let group = self.groups.entry(id.to_owned()).or_insert_with(|| Group::new(id));
        let fits = group.state == State::Empty && group.pending.is_empty();
        if !fits {
            return Err(codes::GROUP_ID_NOT_FOUND);
        }
        let consumers = group.consumers.get_or_insert_default();
        if !consumers.has_room_for(&request.member_id, max_size) {
            return Err(codes::GROUP_MAX_SIZE_REACHED);
        }
        let reply = consumers.heartbeat(now, session, request, view);
        if reply.is_err() && !had_consumers {
            // Who was refused decides nothing.
            group.consumers = None;
        }
        if reply.is_err() && !had {
            self.groups.remove(id);
        }
        reply
    }

    /// ConsumerGroupHeartbeat of a member that leaves.
    pub(crate) fn leave_consumers(
        &mut self,
        id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        epoch: i32,
    ) -> Result<HeartbeatReply, i16> {
        self.consumers(id)?.leave(member_id, instance_id, epoch)
    }

    fn consumers(&mut self, id: &str) -> Result<&mut ConsumerGroup, i16> {
        let group = self.groups.get_mut(id).and_then(|group| group.consumers.as_mut());
        group.ok_or(codes::GROUP_ID_NOT_FOUND)
    }

    /// A group of the consumer protocol as it is; `None`: there is no such group.
    pub(crate) fn describe_consumers(&self, id: &str) -> Option<Description> {
        self.groups.get(id)?.consumers.as_ref().map(ConsumerGroup::description)
    }

    /// May this member read the group's offsets? Groups of other protocols do not ask.
    pub(crate) fn check_reader(&self, id: &str, member_id: Option<&str>, epoch: i32) -> Result<(), i16> {
        let consumers = self.groups.get(id).and_then(|group| group.consumers.as_ref());
        match (member_id, consumers) {
            (Some(member_id), Some(consumers)) if epoch >= 0 => consumers.check_member(member_id, epoch),
            _ => Ok(()),
        }
    }

    /// How often members of the consumer protocol should speak.
    pub(crate) fn heartbeat_interval(&self) -> Duration {
        self.config.consumer_heartbeat_interval
    }
}

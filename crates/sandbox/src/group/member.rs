//! A member of a group.

use super::{
    Ticket,
    messages::{DescribedMember, JoinRequest, JoinedMember, Protocol},
};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// A member of a group. Pending ones, who were only given an id, are not among them.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: String,
    /// Set: a static member (KIP-345).
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    /// In the order in which it prefers them.
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// Has not seen the end of a join phase yet, so it does not know its id for certain and sends no heartbeats.
    pub(super) is_new: bool,
    /// When the session ends; `None` while nobody counts, as after the end of a session that was excused.
    pub(super) session_ends: Option<Instant>,
    /// Its JoinGroup that waits.
    pub(super) joining: Option<Ticket>,
    /// Its SyncGroup that waits.
    pub(super) syncing: Option<Ticket>,
    /// A SyncGroup of this generation is still expected.
    pub(super) owes_sync: bool,
}

impl Member {
    pub(super) fn new(id: &str, request: &JoinRequest) -> Self {
        Self {
            id: id.to_owned(),
            instance_id: request.instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            is_new: true,
            session_ends: None,
            joining: None,
            syncing: None,
            owes_sync: false,
        }
    }

    /// As the log keeps it: the chosen protocol alone, and nothing that waits.
    pub(super) fn saved(&self, protocol: Option<&str>) -> Self {
        let chosen = |known: &&Protocol| Some(known.name.as_str()) == protocol;
        Self {
            protocols: self.protocols.iter().filter(chosen).cloned().collect(),
            is_new: false,
            session_ends: None,
            joining: None,
            syncing: None,
            owes_sync: false,
            ..self.clone()
        }
    }

    pub(super) fn update(&mut self, request: &JoinRequest) {
        self.protocols.clone_from(&request.protocols);
        self.session_timeout = request.session_timeout;
        self.rebalance_timeout = request.rebalance_timeout;
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.session_ends = Some(now + self.session_timeout);
    }

    /// A member that waits for others need not send heartbeats, unless it is new: its client may be gone.
    pub(super) const fn is_excused(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    pub(super) fn knows(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|known| known.name == protocol)
    }

    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let chosen = self.protocols.iter().find(|known| Some(known.name.as_str()) == protocol);
        chosen.map(|known| known.metadata.clone()).unwrap_or_default()
    }

    pub(super) fn joined(&self, protocol: Option<&str>) -> JoinedMember {
        JoinedMember {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            metadata: self.metadata(protocol),
        }
    }

    pub(super) fn described(&self, protocol: Option<&str>) -> DescribedMember {
        DescribedMember {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            metadata: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }
}

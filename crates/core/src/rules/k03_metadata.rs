//! Metadata: any broker knows. Clients see every slot as a live broker; what the answer says of leaders is remembered.

use super::{Context, Fail, Route, Rule};
use crate::{
    config::Address,
    topology::{NodeId, Observation, Partition, Topic},
};
use pointsman_wire::{
    cursor::{Event, Kind},
    edit::walk,
    error::DecodeError,
    tables::{self, metadata_response as ids},
    value::Struct,
};
use std::sync::Arc;
use uuid::Uuid;

pub(super) const RULE: Rule = Rule { brokers: Some("NodeId"), ..Rule::new(3, Route::Any, Fail::Replay) };

/// The virtual brokers, with their id in `id`: all slots, always, also those whose broker is dead, and those that share one.
pub(super) fn slots(cx: &Context<'_>, id: &'static str) -> impl ExactSizeIterator<Item = Struct> {
    let slots = &cx.virtual_cluster.slots;
    slots.iter().enumerate().map(move |(slot, address)| {
        let node = cx.topology.brokers_of(slot, slots.len()).first().copied();
        let rack = node.and_then(|n| cx.topology.brokers.get(&n)).and_then(|b| b.rack.as_deref());
        Struct::new()
            .with(id, i32::try_from(slot).unwrap_or(i32::MAX))
            .with("Host", &*address.host)
            .with("Port", i32::from(address.port))
            .with("Rack", rack)
    })
}

/// What the body of a Metadata response, still with real ids, says of the cluster. Topics with an error are left out.
pub fn observe(version: i16, body: &[u8], all_topics: bool) -> Result<Observation, DecodeError> {
    let message = tables::response(3, version).ok_or(DecodeError::UnsupportedVersion { key: 3, version })?;
    let mut seen = Observer::default();
    walk(message, version, body, |event, bytes| seen.note(event, bytes))?;
    let Observer { cluster_id, controller, brokers, topics, .. } = seen;
    Ok(Observation { cluster_id, controller, brokers, topics, all_topics })
}

/// What has been read so far.
#[derive(Default)]
struct Observer {
    cluster_id: Option<Arc<str>>,
    controller: Option<NodeId>,
    brokers: Vec<(NodeId, Address, Option<Arc<str>>)>,
    topics: Vec<Topic>,
    /// Of the topic at hand.
    error: i16,
    name: Option<Arc<str>>,
    id: Uuid,
    listed: Vec<(i32, Partition)>,
}

impl Observer {
    fn note(&mut self, event: &Event, bytes: &[u8]) {
        match event.kind {
            Kind::Scalar => self.scalar(event.field.id, bytes),
            Kind::Text { prefix, null } => {
                let text = bytes.get(usize::from(prefix)..).and_then(|text| std::str::from_utf8(text).ok());
                self.text(event.field.id, text.filter(|_| !null));
            }
            Kind::ElementStart { .. } => self.begin(event.field.id),
            Kind::ElementEnd if event.field.id == ids::TOPICS => self.topic(),
            _ => {}
        }
    }

    fn begin(&mut self, field: u16) {
        match field {
            ids::BROKERS => {
                self.brokers.push((-1, Address { host: "".into(), port: 0 }, None));
            }
            ids::TOPICS => {
                (self.error, self.name, self.id) = (0, None, Uuid::nil());
                self.listed.clear();
            }
            ids::TOPICS_PARTITIONS => self.listed.push((-1, Partition::UNKNOWN)),
            _ => {}
        }
    }

    fn scalar(&mut self, field: u16, bytes: &[u8]) {
        let number = || bytes.try_into().map_or(-1, i32::from_be_bytes);
        let (broker, partition) = (self.brokers.last_mut(), self.listed.last_mut());
        match (field, broker, partition) {
            (ids::CONTROLLER_ID, ..) => self.controller = Some(number()).filter(|id| *id >= 0),
            (ids::BROKERS_NODE_ID, Some(broker), _) => broker.0 = number(),
            (ids::BROKERS_PORT, Some(broker), _) => broker.1.port = u16::try_from(number()).unwrap_or(0),
            (ids::TOPICS_ERROR_CODE, ..) => self.error = bytes.try_into().map_or(-1, i16::from_be_bytes),
            (ids::TOPICS_TOPIC_ID, ..) => self.id = Uuid::from_slice(bytes).unwrap_or_default(),
            (ids::TOPICS_PARTITIONS_PARTITION_INDEX, _, Some(partition)) => partition.0 = number(),
            (ids::TOPICS_PARTITIONS_LEADER_ID, _, Some(partition)) => partition.1.leader = number(),
            (ids::TOPICS_PARTITIONS_LEADER_EPOCH, _, Some(partition)) => partition.1.epoch = number(),
            _ => {}
        }
    }

    fn text(&mut self, field: u16, text: Option<&str>) {
        match (field, self.brokers.last_mut()) {
            (ids::CLUSTER_ID, _) => self.cluster_id = text.map(Into::into),
            (ids::BROKERS_HOST, Some(broker)) => broker.1.host = text.unwrap_or_default().into(),
            (ids::BROKERS_RACK, Some(broker)) => broker.2 = text.map(Into::into),
            (ids::TOPICS_NAME, _) => self.name = text.map(Into::into),
            _ => {}
        }
    }

    /// All of a topic has been read. An index that the answer does not justify is refused rather than allocated for.
    fn topic(&mut self) {
        let Some(name) = self.name.take().filter(|_| self.error == 0) else { return };
        let indices = self.listed.iter().filter_map(|(index, _)| usize::try_from(*index).ok());
        let count = indices.max().map_or(0, |index| index + 1);
        if count > self.listed.len() {
            return;
        }
        let mut partitions = vec![Partition::UNKNOWN; count];
        for (index, partition) in &self.listed {
            if let Some(place) = usize::try_from(*index).ok().and_then(|index| partitions.get_mut(index)) {
                *place = *partition;
            }
        }
        self.topics.push(Topic { name, id: self.id, partitions });
    }
}

//! What a client knows of a cluster: brokers, topics, leaders with their epochs. Pure: it is told answers and asked.
//!
//! Knowledge of a leader never goes back: what names an older leader epoch than the known one is not believed
//! (KIP-320), unless the topic was deleted and made again, which its id tells.

use std::collections::{BTreeMap, HashMap};

use pointsman_wire::Struct;
use uuid::Uuid;

use super::codes;

/// The leader of a partition, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its node id; −1 for none.
    pub node: i32,
    /// The leader epoch; −1 when the cluster does not say.
    pub epoch: i32,
}

impl Leader {
    /// No leader, of no epoch.
    pub const UNKNOWN: Self = Self { node: -1, epoch: -1 };
}

/// A topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// Its id; nil when the cluster does not say.
    pub id: Uuid,
    /// Leaders by partition.
    pub leaders: Vec<Leader>,
}

/// A view of a cluster, brought up to date by answers.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    brokers: BTreeMap<i32, String>,
    topics: HashMap<String, Topic>,
    errors: HashMap<String, i16>,
    cluster_id: Option<String>,
}

impl Metadata {
    /// Takes a Metadata response in.
    pub fn update(&mut self, answer: &Struct) {
        let brokers: BTreeMap<_, _> = answer.structs("Brokers").filter_map(broker).collect();
        if !brokers.is_empty() {
            self.brokers = brokers;
        }
        self.cluster_id = answer.opt_str("ClusterId").map(str::to_owned);
        for topic in answer.structs("Topics") {
            self.update_topic(topic);
        }
    }

    fn update_topic(&mut self, answer: &Struct) {
        let Some(name) = answer.opt_str("Name") else { return };
        let code = answer.i16("ErrorCode");
        if code != codes::NONE {
            self.errors.insert(name.to_owned(), code);
            return;
        }
        self.errors.remove(name);
        let id = Uuid::from_bytes(answer.uuid("TopicId"));
        let topic = self.topics.entry(name.to_owned()).or_default();
        if topic.id != id {
            *topic = Topic { id, leaders: Vec::new() };
        }
        // A topic has no more partitions than the answer lists: an index beyond that is not believed.
        let count = answer.array("Partitions").len();
        topic.leaders.resize(count.max(topic.leaders.len()), Leader::UNKNOWN);
        for partition in answer.structs("Partitions") {
            let epoch = if partition.has("LeaderEpoch") { partition.i32("LeaderEpoch") } else { -1 };
            let told = Leader { node: partition.i32("LeaderId"), epoch };
            let index = usize::try_from(partition.i32("PartitionIndex")).ok();
            if let Some(known) = index.and_then(|i| topic.leaders.get_mut(i))
                && (told.epoch < 0 || told.epoch >= known.epoch)
            {
                *known = told;
            }
        }
    }

    /// Takes in what a Produce or Fetch response says beside an error (KIP-951). True when that is a newer leader.
    pub fn update_leader(&mut self, topic: &str, partition: i32, leader: Leader) -> bool {
        let index = usize::try_from(partition).ok();
        let known = self.topics.get_mut(topic).zip(index).and_then(|(t, i)| t.leaders.get_mut(i));
        let Some(known) = known.filter(|known| leader.node >= 0 && leader.epoch > known.epoch) else {
            return false;
        };
        *known = leader;
        true
    }

    /// Takes in the addresses that a response names beside new leaders (KIP-951).
    pub fn update_endpoints(&mut self, answer: &Struct) {
        self.brokers.extend(answer.structs("NodeEndpoints").filter_map(broker));
    }

    /// Addresses by node id.
    #[must_use]
    pub const fn brokers(&self) -> &BTreeMap<i32, String> {
        &self.brokers
    }

    /// The address of a node.
    #[must_use]
    pub fn address(&self, node: i32) -> Option<&str> {
        self.brokers.get(&node).map(String::as_str)
    }

    /// A topic, if it is known.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    /// The error that the last answer about the topic had, if it had one.
    #[must_use]
    pub fn topic_error(&self, name: &str) -> Option<i16> {
        self.errors.get(name).copied()
    }

    /// The name of the topic with this id.
    #[must_use]
    pub fn name_of(&self, id: Uuid) -> Option<&str> {
        self.topics.iter().find(|(_, topic)| topic.id == id).map(|(name, _)| name.as_str())
    }

    /// The leader of a partition; `None` when there is none or it is not known.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<Leader> {
        let index = usize::try_from(partition).ok()?;
        let leader = *self.topics.get(topic)?.leaders.get(index)?;
        (leader.node >= 0).then_some(leader)
    }

    /// The id of the cluster, as it says.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }
}

fn broker(answer: &Struct) -> Option<(i32, String)> {
    Some((answer.i32("NodeId"), address(answer)?))
}

/// The address that an answer names with `Host` and `Port`; `None` without a port.
pub(crate) fn address(answer: &Struct) -> Option<String> {
    let port = u16::try_from(answer.int("Port")).ok().filter(|port| *port > 0)?;
    let host = answer.str("Host");
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: u8, leaders: &[(i32, i32)]) -> Struct {
        let broker = |node: i32| {
            Struct::new().with("NodeId", node).with("Host", "127.0.0.1").with("Port", 9000 + node)
        };
        let partition = |(index, (node, epoch)): (usize, &(i32, i32))| {
            Struct::new()
                .with("PartitionIndex", i32::try_from(index).unwrap_or(0))
                .with("LeaderId", *node)
                .with("LeaderEpoch", *epoch)
        };
        let topic = Struct::new()
            .with("Name", "t")
            .with("TopicId", [id; 16])
            .with("Partitions", leaders.iter().enumerate().map(partition).collect::<Vec<_>>());
        Struct::new().with("Brokers", vec![broker(1), broker(2)]).with("Topics", vec![topic])
    }

    fn leader(node: i32, epoch: i32) -> Leader {
        Leader { node, epoch }
    }

    #[test]
    fn an_older_leader_epoch_is_not_believed() {
        let mut metadata = Metadata::default();
        metadata.update(&answer(1, &[(1, 5), (2, 5)]));
        metadata.update(&answer(1, &[(2, 4), (1, 6)]));
        assert_eq!(metadata.leader("t", 0), Some(leader(1, 5)));
        assert_eq!(metadata.leader("t", 1), Some(leader(1, 6)));
        assert_eq!((metadata.leader("t", 2), metadata.leader("t", -1)), (None, None));
        assert_eq!(metadata.address(2), Some("127.0.0.1:9002"));
    }

    #[test]
    fn a_topic_made_again_begins_anew() {
        let mut metadata = Metadata::default();
        metadata.update(&answer(1, &[(1, 5), (1, 5)]));
        metadata.update(&answer(2, &[(2, 0)]));
        assert_eq!(metadata.leader("t", 0), Some(leader(2, 0)));
        assert_eq!(metadata.topic("t").map(|t| t.leaders.len()), Some(1));
        assert_eq!(metadata.name_of(Uuid::from_bytes([2; 16])), Some("t"));
    }

    #[test]
    fn an_answer_that_names_a_newer_leader_is_used_at_once() {
        let mut metadata = Metadata::default();
        metadata.update(&answer(1, &[(1, 5)]));
        assert!(!metadata.update_leader("t", 0, leader(2, 5)));
        assert!(!metadata.update_leader("t", 0, leader(-1, 9)));
        assert!(metadata.update_leader("t", 0, leader(2, 6)));
        assert_eq!(metadata.leader("t", 0), Some(leader(2, 6)));
    }

    #[test]
    fn a_topic_that_is_not_there_for_a_moment_keeps_what_is_known() {
        let mut metadata = Metadata::default();
        metadata.update(&answer(1, &[(1, 5)]));
        let gone = Struct::new().with("Name", "t").with("ErrorCode", codes::UNKNOWN_TOPIC_OR_PARTITION);
        metadata.update(&Struct::new().with("Topics", vec![gone]));
        assert_eq!(metadata.topic_error("t"), Some(codes::UNKNOWN_TOPIC_OR_PARTITION));
        assert_eq!(metadata.leader("t", 0), Some(leader(1, 5)));
        assert_eq!(metadata.brokers().len(), 2, "an answer without brokers is no reason to forget them");
    }
}

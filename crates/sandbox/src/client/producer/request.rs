//! Produce requests and what their answers mean.

use pointsman_wire::Struct;
use uuid::Uuid;

use super::sequencer::Outcome;
use crate::client::{ClientError, cluster::Cluster, codes, metadata::Leader};

pub(super) const PRODUCE: i16 = 0;
/// From this version on topics go by their ids.
pub(super) const TOPIC_IDS: i16 = 13;
const ACKS_ALL: i16 = -1;

/// A Produce request for one topic.
pub(super) fn produce(topic: &str, id: Uuid, timeout_ms: i32, partitions: Vec<Struct>) -> Struct {
    let topic =
        Struct::new().with("Name", topic).with("TopicId", id.into_bytes()).with("PartitionData", partitions);
    Struct::new().with("Acks", ACKS_ALL).with("TimeoutMs", timeout_ms).with("TopicData", vec![topic])
}

/// What an answer says about one partition.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    pub(super) base_offset: i64,
    pub(super) error: Option<ClientError>,
    /// The answer named a newer leader: no need to wait.
    pub(super) new_leader: bool,
    /// Metadata is old.
    pub(super) stale: bool,
}

impl Verdict {
    /// No answer came.
    pub(super) fn unanswered(error: &ClientError) -> Self {
        let unsent = matches!(
            error,
            ClientError::Connect { .. } | ClientError::Busy { .. } | ClientError::Unsupported { .. }
        );
        let outcome = if unsent { Outcome::Refused } else { Outcome::Unsure };
        Self { outcome, base_offset: -1, error: Some(error.clone()), new_leader: false, stale: true }
    }
}

/// What the answer says about a partition; the newer leader it may name goes into the metadata.
pub(super) fn verdict(cluster: &Cluster, topic: &str, answer: &Struct, partition: i32) -> Verdict {
    let mut told = answer.structs("Responses").flat_map(|t| t.structs("PartitionResponses"));
    let Some(told) = told.find(|p| p.i32("Index") == partition) else {
        let what = format!("Produce without an answer for partition {partition}");
        return Verdict::unanswered(&ClientError::Protocol { address: "the leader".to_owned(), what });
    };
    let code = told.i16("ErrorCode");
    let leader =
        told.nested("CurrentLeader").map(|l| Leader { node: l.i32("LeaderId"), epoch: l.i32("LeaderEpoch") });
    let new_leader = leader.is_some_and(|leader| {
        cluster.metadata(|m| {
            m.update_endpoints(answer);
            m.update_leader(topic, partition, leader)
        })
    });
    let message = told.str("ErrorMessage").to_owned();
    let error = (code != codes::NONE).then_some(ClientError::Code { api: "Produce", code, message });
    let outcome = outcome(code);
    let base_offset = if code == codes::NONE { told.int("BaseOffset") } else { -1 };
    Verdict { outcome, base_offset, error, new_leader, stale: codes::stale_metadata(code) }
}

const fn outcome(code: i16) -> Outcome {
    match code {
        codes::NONE | codes::DUPLICATE_SEQUENCE_NUMBER => Outcome::Acked,
        codes::OUT_OF_ORDER_SEQUENCE_NUMBER | codes::UNKNOWN_PRODUCER_ID => Outcome::OutOfOrder,
        codes::INVALID_PRODUCER_EPOCH | codes::PRODUCER_FENCED => Outcome::Fenced,
        codes::REQUEST_TIMED_OUT | codes::NETWORK_EXCEPTION | codes::NOT_ENOUGH_REPLICAS_AFTER_APPEND => {
            Outcome::Unsure
        }
        code if codes::retriable(code) => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientConfig;

    fn answer(code: i16, leader: Option<(i32, i32)>) -> Struct {
        let mut partition = Struct::new().with("Index", 0).with("ErrorCode", code).with("BaseOffset", 40i64);
        if let Some((node, epoch)) = leader {
            partition.set("CurrentLeader", Struct::new().with("LeaderId", node).with("LeaderEpoch", epoch));
        }
        let topic = Struct::new().with("PartitionResponses", vec![partition]);
        Struct::new().with("Responses", vec![topic])
    }

    #[test]
    fn codes_lead_to_the_outcomes_of_the_java_client() {
        for (code, expected) in [
            (codes::NONE, Outcome::Acked),
            (codes::DUPLICATE_SEQUENCE_NUMBER, Outcome::Acked),
            (codes::NOT_LEADER_OR_FOLLOWER, Outcome::Refused),
            (codes::NOT_ENOUGH_REPLICAS, Outcome::Refused),
            (codes::NOT_ENOUGH_REPLICAS_AFTER_APPEND, Outcome::Unsure),
            (codes::OUT_OF_ORDER_SEQUENCE_NUMBER, Outcome::OutOfOrder),
            (codes::UNKNOWN_PRODUCER_ID, Outcome::OutOfOrder),
            (codes::INVALID_PRODUCER_EPOCH, Outcome::Fenced),
            (codes::MESSAGE_TOO_LARGE, Outcome::Failed),
            (codes::TOPIC_AUTHORIZATION_FAILED, Outcome::Failed),
        ] {
            assert_eq!(outcome(code), expected, "{}", codes::name(code));
        }
    }

    #[test]
    fn an_answer_about_another_partition_leaves_the_batch_in_doubt() {
        let cluster = Cluster::new(ClientConfig::new(["a:1"]));
        let verdict = verdict(&cluster, "t", &answer(codes::NONE, None), 1);
        assert_eq!((verdict.outcome, verdict.base_offset), (Outcome::Unsure, -1));
    }

    #[test]
    fn an_unknown_leader_in_an_answer_is_no_new_leader() {
        let cluster = Cluster::new(ClientConfig::new(["a:1"]));
        let verdict = verdict(&cluster, "t", &answer(codes::NOT_LEADER_OR_FOLLOWER, Some((-1, -1))), 0);
        assert!(verdict.stale && !verdict.new_leader);
    }
}

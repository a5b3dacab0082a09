//! What a Fetch response says about one partition.

use pointsman_wire::Struct;

use super::fetch::Position;
use crate::client::{
    ClientError,
    batch::{self, StoredRecord},
    cluster::Cluster,
    codes,
    metadata::Leader,
};

/// What to do about a partition.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    /// Records, if there are new ones, and the position behind them.
    Records(Vec<StoredRecord>, Position),
    /// The log does not have the position.
    OutOfRange,
    /// The log has other records than those read: they are the same up to here (KIP-320, KIP-595).
    Diverged(Position),
    /// Nothing came.
    Failed {
        /// Why.
        error: ClientError,
        /// The answer named a newer leader: no need to wait.
        new_leader: bool,
    },
}

/// What the answer says about a partition that was asked for from `position` on. The newer leader that it may name
/// goes into the metadata.
pub(super) fn read(cluster: &Cluster, topic: &str, answer: &Struct, index: i32, position: Position) -> Told {
    let mut told = answer.structs("Responses").flat_map(|t| t.structs("Partitions"));
    let Some(told) = told.find(|p| p.i32("PartitionIndex") == index) else {
        return failed(ClientError::code("Fetch", codes::UNKNOWN_TOPIC_OR_PARTITION));
    };
    match told.i16("ErrorCode") {
        codes::NONE => content(told, position),
        codes::OFFSET_OUT_OF_RANGE => Told::OutOfRange,
        code => {
            let leader = told.nested("CurrentLeader");
            let leader = leader.map(|l| Leader { node: l.i32("LeaderId"), epoch: l.i32("LeaderEpoch") });
            let new_leader = leader.is_some_and(|leader| {
                cluster.metadata(|m| {
                    m.update_endpoints(answer);
                    m.update_leader(topic, index, leader)
                })
            });
            Told::Failed { error: ClientError::code("Fetch", code), new_leader }
        }
    }
}

fn content(told: &Struct, position: Position) -> Told {
    if let Some(diverging) = told.nested("DivergingEpoch") {
        let end = Position { offset: diverging.int("EndOffset"), epoch: diverging.i32("Epoch") };
        if end.offset >= 0 {
            return Told::Diverged(Position { offset: end.offset.min(position.offset), ..end });
        }
        return Told::OutOfRange;
    }
    let none = bytes::Bytes::new();
    match batch::decode(told.bytes("Records").unwrap_or(&none), position.offset) {
        Ok(decoded) => {
            let behind = decoded.next_offset.map(|offset| Position { offset, epoch: decoded.leader_epoch });
            Told::Records(decoded.records, behind.filter(|b| b.offset > position.offset).unwrap_or(position))
        }
        Err(error) => {
            failed(ClientError::Protocol { address: "the leader".to_owned(), what: error.to_string() })
        }
    }
}

const fn failed(error: ClientError) -> Told {
    Told::Failed { error, new_leader: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{
        ClientConfig,
        batch::{Record, Stamp},
    };

    const AT: Position = Position { offset: 1, epoch: 3 };

    fn told(partition: Struct) -> Told {
        let topic = Struct::new().with("Partitions", vec![partition.with("PartitionIndex", 0)]);
        let answer = Struct::new().with("Responses", vec![topic]);
        read(&Cluster::new(ClientConfig::new(["a:1"])), "t", &answer, 0, AT)
    }

    #[test]
    fn records_before_the_position_are_left_out() {
        let batch = batch::encode(&vec![Record::default(); 3], Stamp::NONE);
        let Told::Records(records, behind) = told(Struct::new().with("Records", batch)) else { panic!() };
        assert_eq!(records.iter().map(|r| r.offset).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(behind.offset, 3);
    }

    #[test]
    fn a_position_does_not_move_without_a_batch() {
        assert_eq!(told(Struct::new()), Told::Records(Vec::new(), AT));
    }

    #[test]
    fn a_truncated_log_is_followed_to_where_it_diverged() {
        let diverging = |end: i64| {
            Struct::new().with("DivergingEpoch", Struct::new().with("Epoch", 2).with("EndOffset", end))
        };
        assert_eq!(told(diverging(0)), Told::Diverged(Position { offset: 0, epoch: 2 }));
        assert_eq!(told(diverging(-1)), Told::OutOfRange);
        assert_eq!(told(Struct::new().with("ErrorCode", codes::OFFSET_OUT_OF_RANGE)), Told::OutOfRange);
    }
}

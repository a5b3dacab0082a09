//! TxnOffsetCommit: offsets that a group commits in a transaction. The transaction's coordinator is asked first; what the group
//! does with it stands in `group::handlers`.

use super::{
    Answer, Call, Client,
    groups::{self, Known},
};
use crate::{
    group::handlers::View,
    world::{Coordinated, Joins, World, key_partition},
};

/// From this version on clients know TRANSACTION_ABORTABLE.
const KNOWS_ABORTABLE: i16 = 4;
/// From this version on the group joins the transaction with its first commit.
const ADDS: i16 = 5;

pub(super) async fn handle(call: Call<'_>, client: &Client) -> Answer {
    let (broker, version, request) = (call.broker, call.version, call.request);
    let joins = |world: &mut World, view: &Known| {
        let exists = request
            .structs("Topics")
            .flat_map(|t| t.structs("Partitions").map(|p| (t.str("Name"), p.i32("PartitionIndex"))))
            .any(|(topic, index)| view.has_partition(topic, index));
        let group = request.str("GroupId");
        if !exists || view.coordinates(group).is_err() {
            // The answer is another error.
            return Ok(());
        }
        let joins = match version {
            ADDS.. => Joins::Adds,
            KNOWS_ABORTABLE.. => Joins::Abortable,
            _ => Joins::Older,
        };
        let producer = (request.int("ProducerId"), request.i16("ProducerEpoch"));
        let partition = (Coordinated::Groups.topic().to_owned(), key_partition(group));
        world.ask_coordinator(broker, request.str("TransactionalId"), producer, &partition, joins)
    };
    groups::answer(call, client, joins).await
}

//! AddOffsetsToTxn: the partition that a group's offsets are in joins a transaction.

use super::{
    Answer, Call,
    transactions::{as_known, coordinated},
};
use crate::{
    errors::{INVALID_REQUEST, NONE},
    transactions::Protocol,
    world::{Coordinated, key_partition, now_ms},
};
use pointsman_wire::Struct;

/// From this version on clients know PRODUCER_FENCED.
const KNOWS_FENCED: i16 = 2;

pub(super) async fn handle(call: Call<'_>) -> Answer {
    let request = call.request;
    let id = request.str("TransactionalId");
    let producer = (request.int("ProducerId"), request.i16("ProducerEpoch"));
    let partition = (Coordinated::Groups.topic().to_owned(), key_partition(request.str("GroupId")));
    let result = if id.is_empty() {
        Err(INVALID_REQUEST)
    } else {
        coordinated(&call, id, |world| {
            world.transactions.add(id, producer, [partition], Protocol::V1, now_ms())
        })
        .await
    };
    let code = result.err().map_or(NONE, |error| as_known(error, call.version >= KNOWS_FENCED));
    Answer::Body(Struct::new().with("ErrorCode", code))
}

//! EndTxn: a transaction is committed or aborted. It is answered when that is decided; the markers follow.

use super::{
    Answer, Call, k22_init_producer_id,
    transactions::{as_known, coordinated},
};
use crate::{
    errors::{INVALID_REQUEST, NONE},
    transactions::Protocol,
    world::{World, now_ms},
};
use pointsman_wire::Struct;

/// From this version on each end raises the epoch (KIP-890).
const RAISES: i16 = 5;
/// From this version on clients know PRODUCER_FENCED.
const KNOWS_FENCED: i16 = 2;

pub(super) async fn handle(call: Call<'_>) -> Answer {
    let request = call.request;
    let id = request.str("TransactionalId");
    let producer = (request.int("ProducerId"), request.i16("ProducerEpoch"));
    let commit = request.bool("Committed");
    let protocol = if call.version < RAISES { Protocol::V1 } else { Protocol::V2 };
    let ended = if id.is_empty() {
        Err(INVALID_REQUEST)
    } else {
        coordinated(&call, id, |world| {
            let World { transactions, next_producer_id, .. } = world;
            let mut new_id = || k22_init_producer_id::take(next_producer_id);
            transactions.end(id, producer, commit, protocol, &mut new_id, now_ms())
        })
        .await
    };
    let (code, (id, epoch)) = match ended {
        Ok(producer) => (NONE, producer),
        Err(error) => (as_known(error, call.version >= KNOWS_FENCED), (-1, -1)),
    };
    Answer::Body(Struct::new().with("ErrorCode", code).with("ProducerId", id).with("ProducerEpoch", epoch))
}

//! InitProducerId: ids for idempotent producers, which two clusters hand out alike, and ids and epochs for transactional ones.

use super::{
    Answer, Call,
    transactions::{as_known, coordinated},
};
use crate::errors::{INVALID_REQUEST, NONE};
use crate::world::{World, now_ms};
use pointsman_wire::Struct;

/// From this version on a client says what it is, if it goes on after an error (KIP-360).
const EXPECTS: i16 = 3;
/// From this version on clients know PRODUCER_FENCED.
const KNOWS_FENCED: i16 = 4;

pub(super) async fn handle(call: Call<'_>) -> Answer {
    let given = match call.request.opt_str("TransactionalId") {
        None => call.shared.change(|world| Ok((new_id(world), 0))),
        Some(id) => transactional(&call, id).await,
    };
    let (code, (id, epoch)) = match given {
        Ok(producer) => (NONE, producer),
        Err(error) => (as_known(error, call.version >= KNOWS_FENCED), (-1, -1)),
    };
    Answer::Body(Struct::new().with("ErrorCode", code).with("ProducerId", id).with("ProducerEpoch", epoch))
}

async fn transactional(call: &Call<'_>, id: &str) -> Result<(i64, i16), i16> {
    let expected = expected(call)?;
    let timeout = call.request.i32("TransactionTimeoutMs");
    if id.is_empty() {
        return Err(INVALID_REQUEST);
    }
    coordinated(call, id, |world| {
        let World { transactions, next_producer_id, .. } = world;
        transactions.init(id, timeout, expected, &mut || take(next_producer_id), now_ms())
    })
    .await
}

/// What the client says that it is: both or nothing.
fn expected(call: &Call<'_>) -> Result<Option<(i64, i16)>, i16> {
    if call.version < EXPECTS {
        return Ok(None);
    }
    match (call.request.int("ProducerId"), call.request.i16("ProducerEpoch")) {
        (-1, -1) => Ok(None),
        (-1, _) | (_, -1) => Err(INVALID_REQUEST),
        both => Ok(Some(both)),
    }
}

fn new_id(world: &mut World) -> i64 {
    take(&mut world.next_producer_id)
}

/// The next id.
pub(super) fn take(next: &mut i64) -> i64 {
    let id = *next;
    *next += 1;
    id
}

//! InitProducerId: ids for idempotent producers. Two clusters hand out the same ones.

use super::{Answer, Call};
use crate::errors::INVALID_REQUEST;
use pointsman_wire::Struct;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let told = |code: i16, id: i64, epoch: i16| {
        Answer::Body(
            Struct::new().with("ErrorCode", code).with("ProducerId", id).with("ProducerEpoch", epoch),
        )
    };
    if call.request.opt_str("TransactionalId").is_some() {
        return told(INVALID_REQUEST, -1, -1);
    }
    let mut world = call.shared.lock();
    let id = world.next_producer_id;
    world.next_producer_id += 1;
    told(0, id, 0)
}

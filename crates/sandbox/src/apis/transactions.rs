//! What the apis of transaction coordinators have in common: who coordinates, and what must be in the log first.

use super::Call;
use crate::{
    errors::PRODUCER_FENCED,
    world::{Coordinated, World, key_partition},
};
use std::time::{Duration, Instant};

/// How long a coordinator waits for the replicas of its log.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs `change` if this broker coordinates the transactional id and can write to its log; what it decides is carried out.
pub(super) async fn coordinated<T>(
    call: &Call<'_>,
    id: &str,
    change: impl FnOnce(&mut World) -> Result<T, i16>,
) -> Result<T, i16> {
    let kind = Coordinated::Transactions;
    let writable = |world: &mut World| world.can_write(call.broker, kind, key_partition(id)).then_some(());
    call.shared.wait(Instant::now() + WRITE_TIMEOUT, writable).await;
    call.shared.change(|world| {
        world.serves(call.broker, kind, id, true)?;
        let result = change(world);
        world.run_transactions();
        result
    })
}

/// Clients of before KIP-588 know one error of fencing only.
pub(super) fn as_known(error: i16, knows_fenced: bool) -> i16 {
    if error == PRODUCER_FENCED && !knows_fenced { crate::errors::INVALID_PRODUCER_EPOCH } else { error }
}

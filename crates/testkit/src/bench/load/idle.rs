//! Connections that have been used and do nothing: what does each of them hold?

use super::super::client::{Client, check};
use super::super::proc;
use super::{Measured, Shape, Target};

/// Made before the first look, so that what is made once does not count.
pub(super) const FIRST: usize = 16;

pub(super) fn run(target: &Target, shape: Shape) -> Result<Measured, String> {
    let first = (0..FIRST).map(|_| used(target, shape)).collect::<Result<Vec<_>, _>>()?;
    target.pid.inspect(|pid| proc::reset_peak(*pid));
    let before = target.usage()?;
    let held = (0..target.connections).map(|_| used(target, shape)).collect::<Result<Vec<_>, _>>()?;
    let after = target.usage()?;
    let usage = after.zip(before).map(|(after, before)| after.since(&before));
    let grown = after.zip(before).map_or(0, |(after, before)| after.rss_kib.saturating_sub(before.rss_kib));
    #[expect(clippy::cast_precision_loss, reason = "KiB of one process, and a number of connections")]
    let each = grown as f64 / held.len() as f64;
    drop(first);
    Ok(Measured { usage, held: Some((held.len(), each)), ..Measured::default() })
}

/// A connection that has written something, so that a proxy has its connection to the broker too.
fn used(target: &Target, shape: Shape) -> Result<Client, String> {
    let mut client = Client::small(target.address)?;
    let frame = shape.begin(&mut client, target)?;
    client.send(&frame)?;
    check(&client.receive_whole(shape.api)?)?;
    Ok(client)
}

//! Idempotent producers: sequence numbers and epochs, as the leader checks them.

use pointsman_wire::{Struct, Value};

use super::records::Batch;
use super::topic::Topic;
use super::{Case, Context, check, each, same};

pub(crate) const CASES: &[Case] = &[
    ("init_producer_id", init_producer_id),
    ("sequence_duplicate", duplicate),
    ("sequence_gap", gap),
    ("sequence_older_than_five", older_than_five),
    ("sequence_first_not_0", first_not_0),
    ("sequence_old_epoch", old_epoch),
    ("sequence_new_epoch", new_epoch),
    ("sequence_wraps", wraps),
];

/// A new producer id with its epoch.
fn producer(context: &Context<'_>) -> Result<(i64, i16), String> {
    let request = Struct::new().with("TransactionalId", Value::Null).with("TransactionTimeoutMs", 60_000);
    let answer = super::eventually(|| {
        let answer = context.broker(0)?.call(22, context.newest(22), &request)?;
        same("InitProducerId", answer.i16("ErrorCode"), 0)?;
        Ok(answer)
    })?;
    Ok((answer.int("ProducerId"), answer.i16("ProducerEpoch")))
}

/// Error and base offset of a batch of `count` records.
fn send(
    context: &Context<'_>,
    topic: &Topic,
    producer: (i64, i16),
    sequence: i32,
    count: usize,
) -> Result<(i16, i64), String> {
    let batch = Batch::of(&vec!["x"; count]).by(producer.0, producer.1, sequence);
    let answer = context.leader(topic, 0)?.produce(context, topic, 0, &batch)?;
    Ok((answer.i16("ErrorCode"), answer.int("BaseOffset")))
}

/// Ids without a transaction are always new, with epoch 0, on every broker.
fn init_producer_id(context: &Context<'_>) -> Result<(), String> {
    let mut seen = Vec::new();
    each(context.versions(22), |version| {
        let request = Struct::new().with("TransactionalId", Value::Null).with("TransactionTimeoutMs", 60_000);
        for broker in 0..context.servers().len() {
            let answer = super::eventually(|| {
                let answer = context.broker(broker)?.call(22, version, &request)?;
                same("error", answer.i16("ErrorCode"), 0)?;
                Ok(answer)
            })?;
            same("epoch", answer.i16("ProducerEpoch"), 0)?;
            let id = answer.int("ProducerId");
            check(!seen.contains(&id), || format!("id {id} comes twice"))?;
            seen.push(id);
        }
        Ok(())
    })
}

/// Each of the last five batches may come again and is answered with the offset it has; nothing is appended.
fn duplicate(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("sequence-duplicate", 1, 3, &[])?;
    let producer = producer(context)?;
    for batch in 0..5 {
        same("append", send(context, &topic, producer, batch * 2, 2)?, (0, i64::from(batch) * 2))?;
    }
    for batch in [4, 2, 0, 3] {
        same("duplicate", send(context, &topic, producer, batch * 2, 2)?, (0, i64::from(batch) * 2))?;
    }
    same("the next", send(context, &topic, producer, 10, 1)?, (0, 10))
}

fn gap(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("sequence-gap", 1, 3, &[])?;
    let producer = producer(context)?;
    same("append", send(context, &topic, producer, 0, 2)?, (0, 0))?;
    same("a gap", send(context, &topic, producer, 3, 1)?, (45, -1))?;
    same("what was missing", send(context, &topic, producer, 2, 1)?, (0, 2))
}

/// Of batches before the last five only the order is known: they are out of order (45), not duplicates (46).
fn older_than_five(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("sequence-older", 1, 3, &[])?;
    let producer = producer(context)?;
    for sequence in 0..6 {
        send(context, &topic, producer, sequence, 1)?;
    }
    same("the oldest of five", send(context, &topic, producer, 1, 1)?, (0, 1))?;
    same("an older one", send(context, &topic, producer, 0, 1)?, (45, -1))?;
    // The same records cut in another way are not recognised either.
    same("part of two", send(context, &topic, producer, 4, 2)?, (45, -1))
}

/// A producer that the partition knows nothing of may begin anywhere.
fn first_not_0(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("sequence-first", 1, 3, &[])?;
    let producer = producer(context)?;
    same("begin at 7", send(context, &topic, producer, 7, 1)?, (0, 0))?;
    same("go on", send(context, &topic, producer, 8, 1)?, (0, 1))
}

fn old_epoch(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("sequence-epoch", 1, 3, &[])?;
    let (id, epoch) = producer(context)?;
    same("append", send(context, &topic, (id, epoch + 1), 0, 1)?, (0, 0))?;
    same("an older epoch", send(context, &topic, (id, epoch), 1, 1)?, (47, -1))
}

/// A newer epoch begins at 0 again; at anything else it is out of order.
fn new_epoch(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("sequence-new-epoch", 1, 3, &[])?;
    let (id, epoch) = producer(context)?;
    same("append", send(context, &topic, (id, epoch), 0, 1)?, (0, 0))?;
    same("not from 0", send(context, &topic, (id, epoch + 1), 1, 1)?, (45, -1))?;
    same("from 0", send(context, &topic, (id, epoch + 1), 0, 1)?, (0, 1))
}

/// After 2147483647 comes 0.
fn wraps(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("sequence-wraps", 1, 3, &[])?;
    let producer = producer(context)?;
    same("up to the end", send(context, &topic, producer, i32::MAX - 1, 2)?, (0, 0))?;
    same("from 0 again", send(context, &topic, producer, 0, 1)?, (0, 2))?;
    let topic = context.topic("sequence-wraps-inside", 1, 3, &[])?;
    same("across the end", send(context, &topic, producer, i32::MAX, 3)?, (0, 0))?;
    same("after it", send(context, &topic, producer, 2, 1)?, (0, 3))
}

//! Brokers that die, freeze and come back. One case at a time.

use pointsman_testkit::conformance::Subject;
use pointsman_wire::Struct;

use super::conn::Conn;
use super::records::{Batch, batches};
use super::topic::{From, Place, Topic, fetch_request, partitions, produce_request, records};
use super::transactional::{PRODUCE_ADDS, Producer, coordinator};
use super::{Case, Context, check, each, eventually, only, same};

pub(crate) const CASES: &[Case] = &[
    ("leader_dies", leader_dies),
    ("too_few_in_sync", too_few_in_sync),
    ("coordinator_dies", coordinator_dies),
    ("frozen_broker", frozen_broker),
    ("txn_broker_dies", transaction_broker_dies),
];

impl Context<'_> {
    fn act(&self, act: impl FnOnce(&mut dyn Subject) -> Result<(), String>) -> Result<(), String> {
        let mut subject = self.subject.lock().map_err(|e| e.to_string())?;
        act(&mut **subject)
    }

    fn kill(&self, broker: usize) -> Result<(), String> {
        self.act(|subject| subject.kill(broker))
    }

    fn restart(&self, broker: usize) -> Result<(), String> {
        self.act(|subject| subject.restart(broker))
    }

    /// Waits until every broker knows all the others.
    fn settle(&self) -> Result<(), String> {
        (0..self.servers().len()).try_for_each(|broker| {
            eventually(|| same("brokers", self.metadata(broker, "none")?.array("Brokers").len(), 3))
        })
    }

    /// Waits until a partition has a leader and all its replicas are in sync.
    fn whole(&self, topic: &Topic) -> Result<Place, String> {
        eventually(|| {
            let place = self.place(topic, 0)?;
            same("in sync", place.isr.len(), 3)?;
            same(
                "the leader's offsets",
                self.leader(topic, 0)?.list_offset(self, topic, 0, -1, -1)?.i16("ErrorCode"),
                0,
            )?;
            Ok(place)
        })
    }
}

/// Another in-sync replica leads, with a higher epoch; what was acknowledged is there; what the old epoch's readers ask is
/// fenced; the killed broker comes back in sync, but not as leader.
fn leader_dies(context: &Context<'_>) -> Result<(), String> {
    context.settle()?;
    let topic = context.topic("leader-dies", 1, 3, &[])?;
    let before = context.whole(&topic)?;
    let mut conn = context.leader(&topic, 0)?;
    same("first", conn.append(context, &topic, 0, &Batch::of(&["a", "b"]))?, 0)?;
    let dead = context.index(before.leader)?;
    context.kill(dead)?;
    let outcome = without_the_leader(context, &topic, &before, dead, conn);
    context.restart(dead)?;
    let after = outcome?;
    // It serves nobody before it has caught up with what the controller decided meanwhile.
    let known = super::topic::place(&context.metadata(dead, &topic.name)?, 0)?;
    same("leader that the returned broker names", (known.leader, known.epoch), (after.leader, after.epoch))?;
    let healed = context.whole(&topic)?;
    same("leader after the return", healed.leader, after.leader)?;
    // A replica that comes back in sync does not change the epoch.
    same("epoch after the return", healed.epoch, after.epoch)?;
    let mut follower = context.broker(dead)?;
    let found = eventually(|| {
        let found = follower.fetch(context, &topic, From::offset(0, 0))?;
        same("high watermark of the follower", found.int("HighWatermark"), 3)?;
        Ok(found)
    })?;
    same("batches of the follower", batches(&records(&found)).len(), 2)
}

/// What holds while the broker that led is dead; the place of the partition from then on.
fn without_the_leader(
    context: &Context<'_>,
    topic: &Topic,
    before: &Place,
    dead: usize,
    mut conn: Conn,
) -> Result<Place, String> {
    eventually(|| {
        let answered = conn.fetch(context, topic, From::offset(0, 0)).is_ok();
        check(!answered, || "a dead broker answers".to_owned())
    })?;
    check(context.broker(dead).is_err(), || "a dead broker accepts connections".to_owned())?;
    let after = eventually(|| {
        let place = context.place(topic, 0)?;
        check(place.leader >= 0 && place.leader != before.leader, || format!("{place:?}"))?;
        Ok(place)
    })?;
    check(after.epoch > before.epoch, || format!("{before:?}, then {after:?}"))?;
    check(before.isr.contains(&after.leader.into()), || format!("{before:?}, then {after:?}"))?;
    same("replicas", &after.replicas, &before.replicas)?;
    let mut conn = context.leader(topic, 0)?;
    let offset = eventually(|| conn.append(context, topic, 0, &Batch::of(&["c"])))?;
    same("the next offset", offset, 2)?;
    read_on(context, topic, &mut conn, before, &after)?;
    epochs(context, topic, before, &after)?;
    Ok(after)
}

/// Both batches are there, each with the epoch it was written in.
fn read_on(
    context: &Context<'_>,
    topic: &Topic,
    conn: &mut Conn,
    before: &Place,
    after: &Place,
) -> Result<(), String> {
    let found = eventually(|| {
        let found = conn.fetch(context, topic, From::offset(0, 0))?;
        same("high watermark", found.int("HighWatermark"), 3)?;
        Ok(found)
    })?;
    let seen: Vec<_> =
        batches(&records(&found)).iter().map(|b| (b.base_offset, b.partition_leader_epoch)).collect();
    same("batches with their epochs", seen, vec![(0, before.epoch), (2, after.epoch)])?;
    let old = From { leader_epoch: before.epoch, ..From::offset(0, 0) };
    let found = conn.fetch(context, topic, old)?;
    same("a fetch of the old epoch", found.i16("ErrorCode"), 74)
}

/// OffsetForLeaderEpoch after the change: the old epoch ends where the new one begins; fetches that went further diverge.
fn epochs(context: &Context<'_>, topic: &Topic, before: &Place, after: &Place) -> Result<(), String> {
    each(context.versions(23), |version| {
        let ask = |current, epoch| super::offsets::end_of_epoch(context, topic, version, current, epoch);
        same("the old epoch", ask(-1, before.epoch)?, (0, before.epoch, 2))?;
        same("the new epoch", ask(after.epoch, after.epoch)?, (0, after.epoch, 3))?;
        same("asked in the old epoch", ask(before.epoch, before.epoch)?.0, 74)
    })?;
    let mut conn = context.leader(topic, 0)?;
    each(12..=context.newest(1), |version| {
        let from = From { fetched_epoch: before.epoch, ..From::offset(0, 3) };
        let answer = conn.call(1, version, &fetch_request(topic, &[from]))?;
        let found = only("partitions", partitions(&answer, "Partitions"))?;
        let diverging = found.nested("DivergingEpoch").ok_or("no diverging epoch")?;
        let seen = (found.i16("ErrorCode"), diverging.i32("Epoch"), diverging.int("EndOffset"));
        same("diverging", seen, (0, before.epoch, 2))
    })
}

/// With two of three replicas gone, acks=all is refused with 19 and nothing is appended; acks=1 is still taken.
fn too_few_in_sync(context: &Context<'_>) -> Result<(), String> {
    context.settle()?;
    // Only one replica must go to leave too few.
    let topic = context.topic("few", 1, 3, &[("min.insync.replicas", "3")])?;
    let place = context.whole(&topic)?;
    let leader = context.index(place.leader)?;
    let dead = (leader + 1) % 3;
    context.kill(dead)?;
    eventually(|| same("in sync", context.place(&topic, 0)?.isr.len(), 2))?;
    let mut conn = context.leader(&topic, 0)?;
    let outcome = eventually(|| {
        let answer = conn.produce(context, &topic, 0, &Batch::of(&["a"]))?;
        same("error of acks=all", answer.i16("ErrorCode"), 19)
    })
    .and_then(|()| {
        let request = produce_request(&topic, 0, 1, Batch::of(&["b"]).bytes());
        let answer = conn.call(0, context.newest(0), &request)?;
        let found = only("partitions", partitions(&answer, "PartitionResponses"))?;
        same("error of acks=1", found.i16("ErrorCode"), 0)
    });
    context.restart(dead)?;
    outcome?;
    context.whole(&topic)?;
    let answer = context.leader(&topic, 0)?.produce(context, &topic, 0, &Batch::of(&["c"]))?;
    same("error after the return", answer.i16("ErrorCode"), 0)
}

/// The group's next coordinator knows its members and its offsets; the same for a group of the consumer protocol.
fn coordinator_dies(context: &Context<'_>) -> Result<(), String> {
    context.settle()?;
    let mut member = super::group::Member::alone(context, "coordinator-dies")?;
    let dead = super::group::coordinator(context, &member.group)?;
    let topic = context.topic("coordinator-dies", 1, 3, &[])?;
    let here = (0..100).map(|n| format!("coordinator-dies-{n}")).find(|group| {
        super::group::coordinator(context, &format!("raw-{group}")).is_ok_and(|there| there == dead)
    });
    let here = here.ok_or("a broker coordinates nothing")?;
    let mut consumer = super::consumer_group::Member::new(context, &here, "member", &[&topic])?.joined()?;
    context.kill(dead)?;
    let outcome = eventually(|| {
        let alive = (dead + 1) % 3;
        let request = Struct::new().with("Key", member.group.as_str());
        let answer = context.broker(alive)?.call(10, context.at_most(10, 3), &request)?;
        same("error", answer.i16("ErrorCode"), 0)?;
        let now = context.index(answer.i32("NodeId"))?;
        check(now != dead, || "the dead broker".to_owned())?;
        member.conn = context.broker(now)?;
        same("heartbeat at the next coordinator", member.heartbeat()?, 0)?;
        let request = Struct::new().with("Key", format!("raw-{here}"));
        let answer = context.broker(alive)?.call(10, context.at_most(10, 3), &request)?;
        same("error", answer.i16("ErrorCode"), 0)?;
        consumer.conn = context.broker(context.index(answer.i32("NodeId"))?)?;
        same("heartbeat of the consumer protocol", consumer.short_beat()?, 0)
    });
    context.restart(dead)?;
    outcome?;
    context.settle()
}

/// A frozen broker accepts connections and answers nothing; when it goes on, it answers what was asked meanwhile.
fn frozen_broker(context: &Context<'_>) -> Result<(), String> {
    context.settle()?;
    let mut conn = context.broker(0)?;
    conn.call(18, 0, &Struct::new())?;
    context.act(|subject| subject.pause(0))?;
    let sent = conn.send(18, 0, &Struct::new());
    let accepted = context.broker(0).map(drop);
    let silent = conn.is_silent();
    context.act(|subject| subject.resume(0))?;
    sent?;
    accepted?;
    check(silent?, || "a frozen broker answers".to_owned())?;
    same("error", conn.receive(18, 0)?.1.i16("ErrorCode"), 0)
}

/// A broker that led a partition of an open transaction, and coordinated it too: the next leader knows the transaction and the
/// producer's sequence numbers, the next coordinator its producer and its partitions, and it ends as if nothing had been.
fn transaction_broker_dies(context: &Context<'_>) -> Result<(), String> {
    context.settle()?;
    let mut producer = Producer::new(context, "txn-broker-dies")?;
    let dead = coordinator(context, 0, &producer.name)?;
    let topic = context.topic("txn-broker-dies", 3, 3, &[])?;
    let leads = |p: &i32| context.place(&topic, *p).and_then(|place| context.index(place.leader));
    let partition = (0..3).find(|p| leads(p).is_ok_and(|leader| leader == dead));
    let partition = partition.ok_or("a broker leads nothing")?;
    producer.begin(&topic, partition)?;
    same("first", send(&mut producer, &topic, partition)?, 0)?;
    context.kill(dead)?;
    let outcome = eventually(|| same("the next", send(&mut producer, &topic, partition)?, 1))
        .and_then(|()| eventually(|| find_again(context, &mut producer, dead)))
        .and_then(|()| eventually(|| producer.finish(true)))
        .and_then(|()| {
            eventually(|| {
                let of =
                    context.leader(&topic, partition)?.fetch(context, &topic, From::offset(partition, 0))?;
                same("marks", (of.int("HighWatermark"), of.int("LastStableOffset")), (3, 3))
            })
        });
    context.restart(dead)?;
    outcome?;
    context.settle()
}

fn send(producer: &mut Producer<'_, '_>, topic: &Topic, partition: i32) -> Result<i64, String> {
    let (error, offset) = producer.try_send(PRODUCE_ADDS - 1, topic, partition, &["a"])?;
    same("produce", error, 0)?;
    Ok(offset)
}

/// The next coordinator, and what it knows.
fn find_again(context: &Context<'_>, producer: &mut Producer<'_, '_>, dead: usize) -> Result<(), String> {
    let now = coordinator(context, (dead + 1) % 3, &producer.name)?;
    check(now != dead, || "the dead broker".to_owned())?;
    producer.conn = context.broker(now)?;
    let seen = producer.describe()?;
    let numbers = (seen.i16("ErrorCode"), seen.int("ProducerId"), seen.i16("ProducerEpoch"));
    same("producer", numbers, (0, producer.id, producer.epoch))?;
    same("state", seen.str("TransactionState"), "Ongoing")
}

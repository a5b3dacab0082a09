//! Fetch sessions (KIP-227): the broker remembers the partitions, answers name only what changed.

use pointsman_wire::{Struct, Value};

use super::conn::Conn;
use super::records::Batch;
use super::topic::{From, Topic, fetch_request, partitions, records};
use super::{Case, Context, check, each, same};

pub(crate) const CASES: &[Case] = &[
    ("session_full_and_incremental", full_and_incremental),
    ("session_forgotten", forgotten),
    ("session_wrong_epoch", wrong_epoch),
    ("session_unknown", unknown),
    ("session_closed", closed),
    ("session_of_another_connection", of_another_connection),
];

/// The versions with sessions.
const FIRST: i16 = 7;

/// One fetch of a session; the answer's error, session id and partitions.
fn step(
    conn: &mut Conn,
    version: i16,
    topic: &Topic,
    session: (i32, i32),
    from: &[From],
) -> Result<Struct, String> {
    let mut request = fetch_request(topic, from);
    request.set("SessionId", session.0);
    request.set("SessionEpoch", session.1);
    conn.call(1, version, &request)
}

fn indices(answer: &Struct) -> Vec<i32> {
    let mut found: Vec<i32> = partitions(answer, "Partitions").map(|p| p.i32("PartitionIndex")).collect();
    found.sort_unstable();
    found
}

/// Two partitions of which one broker leads both.
fn topic(context: &Context<'_>, name: &str) -> Result<(Topic, [i32; 2]), String> {
    let topic = context.topic(name, 6, 1, &[])?;
    let leader = context.place(&topic, 0)?.leader;
    for partition in 1..6 {
        if context.place(&topic, partition)?.leader == leader {
            return Ok((topic, [0, partition]));
        }
    }
    Err("six partitions of three brokers, and none leads two".to_owned())
}

fn full_and_incremental(context: &Context<'_>) -> Result<(), String> {
    let (topic, [one, two]) = topic(context, "session")?;
    let mut conn = context.leader(&topic, 0)?;
    each(FIRST..=context.newest(1), |version| {
        let end = conn.list_offset(context, &topic, two, -1, -1)?.int("Offset");
        let full = [From::offset(one, 0), From::offset(two, end)];
        let answer = step(&mut conn, version, &topic, (0, 0), &full)?;
        let id = answer.i32("SessionId");
        check(id != 0, || "no session".to_owned())?;
        same("a full answer names all", indices(&answer), vec![one, two])?;
        let answer = step(&mut conn, version, &topic, (id, 1), &[])?;
        same("nothing new", (answer.i16("ErrorCode"), answer.i32("SessionId")), (0, id))?;
        same("nothing changed", indices(&answer), Vec::new())?;
        conn.append(context, &topic, two, &Batch::of(&["a"]))?;
        let answer = step(&mut conn, version, &topic, (id, 2), &[])?;
        same("what changed", indices(&answer), vec![two])?;
        let mut found = partitions(&answer, "Partitions");
        check(found.all(|p| !records(p).is_empty()), || "no records".to_owned())?;
        // A partition with records is named again as long as it is not asked for at another offset.
        let answer = step(&mut conn, version, &topic, (id, 3), &[])?;
        same("the same again", indices(&answer), vec![two])?;
        let answer = step(&mut conn, version, &topic, (id, 4), &[From::offset(two, end + 1)])?;
        same("read on", indices(&answer), Vec::new())?;
        // A partition with an error is always named.
        let answer = step(&mut conn, version, &topic, (id, 5), &[From::offset(one, 99)])?;
        same("an error", indices(&answer), vec![one])?;
        let answer = step(&mut conn, version, &topic, (id, 6), &[])?;
        same("an error again", indices(&answer), vec![one])
    })
}

fn forgotten(context: &Context<'_>) -> Result<(), String> {
    let (topic, [one, two]) = topic(context, "session-forgotten")?;
    let mut conn = context.leader(&topic, 0)?;
    each(FIRST..=context.newest(1), |version| {
        let end = |conn: &mut Conn, p| conn.list_offset(context, &topic, p, -1, -1).map(|o| o.int("Offset"));
        let full = [From::offset(one, end(&mut conn, one)?), From::offset(two, end(&mut conn, two)?)];
        let id = step(&mut conn, version, &topic, (0, 0), &full)?.i32("SessionId");
        let forgotten = Struct::new()
            .with("Topic", topic.name.as_str())
            .with("TopicId", topic.id)
            .with("Partitions", vec![Value::from(two)]);
        let mut request = fetch_request(&topic, &[]);
        request.set("SessionId", id);
        request.set("SessionEpoch", 1);
        request.set("ForgottenTopicsData", vec![forgotten]);
        same("forgetting", conn.call(1, version, &request)?.i16("ErrorCode"), 0)?;
        conn.append(context, &topic, one, &Batch::of(&["a"]))?;
        conn.append(context, &topic, two, &Batch::of(&["b"]))?;
        same("what is left", indices(&step(&mut conn, version, &topic, (id, 2), &[])?), vec![one])
    })
}

/// The wrong epoch is answered with 71, without partitions and with session 0; the session goes on where it was.
fn wrong_epoch(context: &Context<'_>) -> Result<(), String> {
    let (topic, [one, _]) = topic(context, "session-epoch")?;
    let mut conn = context.leader(&topic, 0)?;
    each(FIRST..=context.newest(1), |version| {
        let id = step(&mut conn, version, &topic, (0, 0), &[From::offset(one, 0)])?.i32("SessionId");
        let answer = step(&mut conn, version, &topic, (id, 5), &[])?;
        same("error", (answer.i16("ErrorCode"), answer.i32("SessionId")), (71, 0))?;
        same("partitions", indices(&answer), Vec::new())?;
        same("the right epoch", step(&mut conn, version, &topic, (id, 1), &[])?.i16("ErrorCode"), 0)
    })
}

fn unknown(context: &Context<'_>) -> Result<(), String> {
    let (topic, [one, _]) = topic(context, "session-unknown")?;
    let mut conn = context.leader(&topic, 0)?;
    each(FIRST..=context.newest(1), |version| {
        let answer = step(&mut conn, version, &topic, (123_456_789, 3), &[From::offset(one, 0)])?;
        same("error", (answer.i16("ErrorCode"), answer.i32("SessionId")), (70, 0))?;
        same("partitions", indices(&answer), Vec::new())
    })
}

/// Epoch −1 ends the session and is a full fetch without one; epoch 0 under an old id ends it and begins a new one.
fn closed(context: &Context<'_>) -> Result<(), String> {
    let (topic, [one, _]) = topic(context, "session-closed")?;
    let mut conn = context.leader(&topic, 0)?;
    each(FIRST..=context.newest(1), |version| {
        let from = [From::offset(one, 0)];
        let id = step(&mut conn, version, &topic, (0, 0), &from)?.i32("SessionId");
        let answer = step(&mut conn, version, &topic, (id, -1), &from)?;
        same("the end", (answer.i16("ErrorCode"), answer.i32("SessionId")), (0, 0))?;
        same("still an answer", indices(&answer), vec![one])?;
        same("after the end", step(&mut conn, version, &topic, (id, 1), &[])?.i16("ErrorCode"), 70)?;
        let old = step(&mut conn, version, &topic, (0, 0), &from)?.i32("SessionId");
        let new = step(&mut conn, version, &topic, (old, 0), &from)?.i32("SessionId");
        check(new != 0 && new != old, || format!("session {old}, then {new}"))?;
        same("the old one", step(&mut conn, version, &topic, (old, 1), &[])?.i16("ErrorCode"), 70)?;
        same("the new one", step(&mut conn, version, &topic, (new, 1), &[])?.i16("ErrorCode"), 0)
    })
}

/// A session belongs to the broker, not to a connection.
fn of_another_connection(context: &Context<'_>) -> Result<(), String> {
    let (topic, [one, _]) = topic(context, "session-connection")?;
    let version = context.newest(1);
    let id = step(&mut context.leader(&topic, 0)?, version, &topic, (0, 0), &[From::offset(one, 0)])?;
    let answer = step(&mut context.leader(&topic, 0)?, version, &topic, (id.i32("SessionId"), 1), &[])?;
    same("error", answer.i16("ErrorCode"), 0)
}

//! ApiVersions, the order of answers, and requests that nobody knows.

use pointsman_wire::{Struct, encode_request};

use super::records::Batch;
use super::topic::{From, fetch_request, produce_request};
use super::{Case, Context, check, each, eventually, same};

pub(crate) const CASES: &[Case] = &[
    ("api_versions", api_versions),
    ("api_versions_too_new", api_versions_too_new),
    ("api_versions_without_a_name", api_versions_without_a_name),
    ("offered", offered),
    ("unknown_api_closes", unknown_api_closes),
    ("unknown_version_closes", unknown_version_closes),
    ("answers_in_order", answers_in_order),
    ("acks_0_has_no_answer", acks_0_has_no_answer),
    ("acks_0_then_close", acks_0_then_close),
    ("find_coordinator", find_coordinator),
    ("describe_cluster", describe_cluster),
];

const NAMED: [(&str, &str); 2] = [("ClientSoftwareName", "conformance"), ("ClientSoftwareVersion", "1.0")];

fn named() -> Struct {
    NAMED.into_iter().fold(Struct::new(), |request, (name, value)| request.with(name, value))
}

fn api_versions(context: &Context<'_>) -> Result<(), String> {
    each(context.versions(18), |version| {
        let answer = context.broker(0)?.call(18, version, &named())?;
        same("error", answer.i16("ErrorCode"), 0)?;
        let keys: Vec<i16> = answer.structs("ApiKeys").map(|api| api.i16("ApiKey")).collect();
        check(keys.is_sorted(), || format!("keys out of order: {keys:?}"))?;
        check([0, 1, 2, 3, 18].iter().all(|key| keys.contains(key)), || format!("only {keys:?}"))
    })
}

/// A version that the broker does not know is answered with 35 in the body of v0, which names the versions it knows.
fn api_versions_too_new(context: &Context<'_>) -> Result<(), String> {
    let mut conn = context.broker(0)?;
    let mut frame = encode_request(18, 3, 77, Some("conformance"), &named()).map_err(|e| e.to_string())?;
    frame[6..8].copy_from_slice(&99_i16.to_be_bytes());
    conn.write(&frame)?;
    let (id, answer) = conn.receive(18, 0)?;
    same("correlation id", id, 77)?;
    same("error", answer.i16("ErrorCode"), 35)?;
    let own =
        answer.structs("ApiKeys").find(|api| api.i16("ApiKey") == 18).ok_or("no entry of ApiVersions")?;
    same("newest version", own.i16("MaxVersion"), context.newest(18))?;
    // The connection stays usable.
    let answer = conn.call(18, 0, &Struct::new())?;
    same("error of v0", answer.i16("ErrorCode"), 0)
}

/// From v3 on the name and version of the client software are checked: empty ones are refused with 42.
fn api_versions_without_a_name(context: &Context<'_>) -> Result<(), String> {
    let answer = context.broker(0)?.call(18, 3, &Struct::new())?;
    same("error", answer.i16("ErrorCode"), 42)
}

/// The versions of Apache Kafka 4.3.1, of the apis that clients need. Produce is listed from 0 for old librdkafka, but
/// below 3 it is not served.
const OFFERED: &[(i16, i16, i16)] = &[
    (0, 0, 13),
    (1, 4, 18),
    (2, 1, 11),
    (3, 0, 13),
    (8, 2, 10),
    (9, 1, 10),
    (10, 0, 6),
    (11, 0, 9),
    (12, 0, 4),
    (13, 0, 5),
    (14, 0, 5),
    (15, 0, 6),
    (16, 0, 5),
    (18, 0, 4),
    (19, 2, 7),
    (20, 1, 6),
    (21, 0, 2),
    (22, 0, 5),
    (23, 2, 4),
    (32, 1, 4),
    (37, 0, 3),
    (42, 0, 2),
    (44, 0, 1),
    (60, 0, 2),
];

fn offered(context: &Context<'_>) -> Result<(), String> {
    let answer = context.broker(0)?.call(18, 0, &Struct::new())?;
    let seen: Vec<(i16, i16, i16)> = answer
        .structs("ApiKeys")
        .map(|api| (api.i16("ApiKey"), api.i16("MinVersion"), api.i16("MaxVersion")))
        .collect();
    let wrong: Vec<_> = OFFERED.iter().filter(|wanted| !seen.contains(wanted)).collect();
    check(wrong.is_empty(), || {
        let instead = |key| seen.iter().find(|(seen, ..)| *seen == key);
        let pairs: Vec<_> = wrong.iter().map(|wanted| (wanted, instead(wanted.0))).collect();
        format!("expected and offered (api, oldest, newest): {pairs:?}")
    })
}

fn unknown_api_closes(context: &Context<'_>) -> Result<(), String> {
    let mut conn = context.broker(0)?;
    let mut frame =
        encode_request(18, 0, 1, Some("conformance"), &Struct::new()).map_err(|e| e.to_string())?;
    frame[4..6].copy_from_slice(&999_i16.to_be_bytes());
    conn.write(&frame)?;
    check(conn.frame()?.is_none(), || "an answer to api 999".to_owned())
}

/// Only ApiVersions of an unknown version is answered.
fn unknown_version_closes(context: &Context<'_>) -> Result<(), String> {
    let mut conn = context.broker(0)?;
    let mut frame =
        encode_request(3, 9, 1, Some("conformance"), &Struct::new()).map_err(|e| e.to_string())?;
    frame[6..8].copy_from_slice(&99_i16.to_be_bytes());
    conn.write(&frame)?;
    check(conn.frame()?.is_none(), || "an answer to Metadata v99".to_owned())
}

/// A fetch that waits holds back the answers to what was sent after it.
fn answers_in_order(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("order", 1, 1, &[])?;
    let mut conn = context.leader(&topic, 0)?;
    let mut fetch = fetch_request(&topic, &[From::offset(0, 0)]);
    fetch.set("MaxWaitMs", 500);
    fetch.set("MinBytes", 1);
    let (fetched, versions, listed) = (context.newest(1), context.newest(18), context.newest(3));
    let sent = [
        conn.send(1, fetched, &fetch)?,
        conn.send(18, versions, &named())?,
        conn.send(3, listed, &Struct::new())?,
    ];
    let answered = [conn.receive(1, fetched)?.0, conn.receive(18, versions)?.0, conn.receive(3, listed)?.0];
    same("order of answers", answered, sent)
}

fn acks_0_has_no_answer(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("acks-0", 1, 3, &[])?;
    let mut conn = context.leader(&topic, 0)?;
    conn.send(0, context.newest(0), &produce_request(&topic, 0, 0, Batch::of(&["a"]).bytes()))?;
    // The answer that comes is the one to the request after it.
    conn.call(18, 0, &Struct::new())?;
    eventually(|| {
        same("high watermark", conn.fetch(context, &topic, From::offset(0, 0))?.int("HighWatermark"), 1)
    })?;
    // An error cannot be told either: the connection is closed.
    let broken = Batch::of(&["b"]).bytes();
    let unknown = super::topic::Topic { name: "raw-none".to_owned(), id: [9; 16] };
    conn.send(0, context.newest(0), &produce_request(&unknown, 0, 0, broken))?;
    check(conn.frame()?.is_none(), || "the connection stays open after a failed produce of acks=0".to_owned())
}

/// What has been sent is carried out although the client is gone (KAFKA-3703): nothing else tells a producer of acks=0.
fn acks_0_then_close(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("acks-0-close", 1, 1, &[])?;
    for _ in 0..20 {
        let mut conn = context.leader(&topic, 0)?;
        for _ in 0..5 {
            let request = produce_request(&topic, 0, 0, Batch::of(&["a"]).bytes());
            conn.send(0, context.newest(0), &request)?;
        }
    }
    eventually(|| {
        let fetched = context.leader(&topic, 0)?.fetch(context, &topic, From::offset(0, 0))?;
        same("high watermark", fetched.int("HighWatermark"), 100)
    })
}

/// v0 to v3 ask for one key, v4 and later for several; all name the same node.
fn find_coordinator(context: &Context<'_>) -> Result<(), String> {
    let node = super::group::coordinator(context, "raw-coordinator")?;
    each(context.versions(10), |version| {
        let request = match version {
            0..=3 => Struct::new().with("Key", "raw-coordinator"),
            _ => Struct::new().with(
                "CoordinatorKeys",
                vec!["raw-coordinator".into(), pointsman_wire::Value::from("raw-other")],
            ),
        };
        let answer = context.broker(1)?.call(10, version, &request)?;
        let found = if version < 4 { vec![&answer] } else { answer.structs("Coordinators").collect() };
        same("coordinators", found.len(), if version < 4 { 1 } else { 2 })?;
        same("error", found[0].i16("ErrorCode"), 0)?;
        check(version < 4 || found[0].str("Key") == "raw-coordinator", || {
            "keys in another order".to_owned()
        })?;
        same("node", context.index(found[0].i32("NodeId"))?, node)
    })
}

fn describe_cluster(context: &Context<'_>) -> Result<(), String> {
    let metadata = context.metadata(0, "none")?;
    let ids = |of: &Struct, name| -> Vec<i64> {
        let mut ids: Vec<i64> = of.structs("Brokers").map(|broker| broker.int(name)).collect();
        ids.sort_unstable();
        ids
    };
    each(context.versions(60), |version| {
        let answer = context.broker(0)?.call(60, version, &Struct::new())?;
        same("error", answer.i16("ErrorCode"), 0)?;
        same("cluster id", answer.str("ClusterId"), metadata.str("ClusterId"))?;
        same("brokers", ids(&answer, "BrokerId"), ids(&metadata, "NodeId"))
    })
}

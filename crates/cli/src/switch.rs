//! `pointsman switch`: asks a running process to switch, and waits until it has.

use crate::{args::SwitchArgs, http};
use pointsman_core::limits::CONSUMER_DRAIN_MAX;
use serde_json::{Value, json};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// A switch takes milliseconds; one whose connections do not follow, a quarter of a second; one that waits for a copy, up to 20 s, and
/// consumers may stay for longer.
const DONE: Duration = CONSUMER_DRAIN_MAX.saturating_add(Duration::from_secs(10));
const AGAIN: Duration = Duration::from_millis(20);

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// As wanted.
    Done(String),
    /// Nothing was changed.
    Refused(String),
    /// It was decided, but it is not known to have ended as wanted.
    Unsure(String),
}

/// Switches, or gives the decision back.
pub(crate) fn run(args: &SwitchArgs) -> ExitCode {
    match command(args) {
        Outcome::Done(words) => {
            println!("{words}");
            ExitCode::SUCCESS
        }
        Outcome::Refused(words) => {
            eprintln!("pointsman: {words}");
            ExitCode::FAILURE
        }
        Outcome::Unsure(words) => {
            eprintln!("pointsman: {words}");
            ExitCode::from(3)
        }
    }
}

fn command(args: &SwitchArgs) -> Outcome {
    let (what, body) = match &args.to {
        Some(to) => ("switch", json!({ "to": to, "force": args.force })),
        None => ("automatic", Value::Null),
    };
    let path = format!("/v1/virtual-clusters/{}/{what}", encoded(&args.virtual_cluster));
    let begun = Instant::now();
    let answer = http::post(&args.admin, &path, &body.to_string());
    let decided = match answer.and_then(|(code, body)| accepted(&args.admin, code, &body)) {
        Ok(decided) => decided,
        Err(words) => return Outcome::Refused(words),
    };
    let name = &args.virtual_cluster;
    if decided["to"].is_null() {
        let active = decided["from"].as_str().unwrap_or("no cluster");
        return Outcome::Done(format!("{name}: automatic again; {active} is active"));
    }
    loop {
        let seen = http::get(&args.admin, "/v1/status").map(|body| outcome(&body, name, &decided, begun));
        match seen {
            Ok(Some(outcome)) => return outcome,
            Ok(None) if begun.elapsed() < DONE => std::thread::sleep(AGAIN),
            Ok(None) => {
                return Outcome::Unsure(format!("{name}: no end of the switch within {DONE:?}; see the log"));
            }
            Err(error) => {
                return Outcome::Unsure(format!(
                    "{name}: decided, but what became of it is unknown: {error}"
                ));
            }
        }
    }
}

/// What was decided, or why not.
fn accepted(admin: &str, code: u16, body: &str) -> Result<Value, String> {
    let answer: Value = serde_json::from_str(body)
        .map_err(|_| format!("{admin} answered {code}, and not as an admin API does: {}", body.trim()))?;
    if code == 200 {
        return Ok(answer);
    }
    let error = answer["error"].as_str().unwrap_or("refused");
    Err(match answer["remedy"].as_str() {
        Some(remedy) => format!("{error}: {remedy}"),
        None => error.to_owned(),
    })
}

/// What the status says of the switch; `None`: it is still under way. The history has a switch when its cluster is active, and
/// that is after no connection uses anything older any more; consumers follow when nothing is drained.
fn outcome(status: &str, name: &str, decided: &Value, begun: Instant) -> Option<Outcome> {
    let status: Value = serde_json::from_str(status).unwrap_or_default();
    let virtual_cluster = status["virtual_clusters"].as_array()?.iter().find(|v| v["name"] == name)?;
    let of_decision = |s: &&Value| s["generation"].as_u64() >= decided["generation"].as_u64();
    let switch = virtual_cluster["switches"].as_array()?.iter().rev().find(of_decision)?;
    if !virtual_cluster["draining"].is_null() {
        return None;
    }
    let cluster = |key: &str| switch[key].as_str().unwrap_or("none").to_owned();
    let words =
        format!("{name}: {} → {}, generation {}", cluster("from"), cluster("to"), switch["generation"]);
    if switch["to"] == decided["to"] {
        let drain = drain_words(&switch["drain"]);
        return Some(Outcome::Done(format!("{words}, in {} ms{drain}", begun.elapsed().as_millis())));
    }
    let wanted = decided["to"].as_str().unwrap_or("none");
    let why = match switch["cause"].as_str() {
        Some("behind") => "it lacked records; see the log",
        _ => "it lost quorum meanwhile",
    };
    Some(Outcome::Unsure(format!("{words}, not {wanted}: {why}")))
}

/// How consumers followed, where they stayed for a while.
fn drain_words(drain: &Value) -> String {
    let Some(ended) = drain["ended"].as_str() else { return String::new() };
    let took = drain["took_ms"].as_f64().unwrap_or(0.0);
    format!("; consumers followed {took:.0} ms after produces ({ended})")
}

/// A name as one part of a path.
fn encoded(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(switches: &Value) -> String {
        json!({ "virtual_clusters": [{ "name": "main", "switches": switches }] }).to_string()
    }

    #[test]
    fn the_first_switch_of_the_decision_tells_how_it_ended() {
        let decided = json!({ "generation": 8, "from": "a", "to": "b" });
        let entry = |generation: u64, to: Value| json!({ "generation": generation, "from": "a", "to": to });
        let of = |switches: &Value| outcome(&status(switches), "main", &decided, Instant::now());

        assert_eq!(of(&json!([])), None);
        assert_eq!(of(&json!([entry(7, json!("a"))])), None, "an older one");
        let done = of(&json!([entry(12, json!("a")), entry(9, json!("b")), entry(2, json!("a"))]));
        assert!(matches!(done, Some(Outcome::Done(w)) if w.starts_with("main: a → b, generation 9, in ")));
        let behind = json!({ "generation": 9, "from": "a", "to": "a", "cause": "behind" });
        let words = "main: a → a, generation 9, not b: it lacked records; see the log";
        assert_eq!(of(&json!([behind])), Some(Outcome::Unsure(words.into())));
        let drained = json!({ "took_ms": 320.0, "ended": "complete" });
        let mut followed = entry(9, json!("b"));
        followed["drain"] = drained;
        let words = "ms; consumers followed 320 ms after produces (complete)";
        assert!(matches!(of(&json!([followed])), Some(Outcome::Done(w)) if w.ends_with(words)));
        let lost = of(&json!([entry(9, Value::Null)]));
        assert_eq!(
            lost,
            Some(Outcome::Unsure("main: a → none, generation 9, not b: it lost quorum meanwhile".into()))
        );
    }

    #[test]
    fn a_switch_is_not_over_while_consumers_stay() {
        let decided = json!({ "generation": 8, "from": "a", "to": "b" });
        let switches = json!([{ "generation": 9, "from": "a", "to": "b" }]);
        let draining = json!({ "cluster": "a", "leaving": false });
        let status =
            json!({ "virtual_clusters": [{ "name": "main", "switches": switches, "draining": draining }] });
        assert_eq!(outcome(&status.to_string(), "main", &decided, Instant::now()), None);
    }

    #[test]
    fn a_refusal_is_said_with_its_remedy() {
        let body = r#"{"error":"b has no quorum","code":"no_quorum","remedy":"see its brokers"}"#;
        assert_eq!(accepted("x:1", 409, body), Err("b has no quorum: see its brokers".into()));
        let error = accepted("x:1", 200, "<html>").expect_err("no JSON");
        assert_eq!(error, "x:1 answered 200, and not as an admin API does: <html>");
    }

    #[test]
    fn a_name_stays_one_part_of_the_path() {
        assert_eq!(encoded("main-1"), "main-1");
        assert_eq!(encoded("a/b c"), "a%2Fb%20c");
    }
}

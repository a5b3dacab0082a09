//! From answers of the admin API, one after the other, to models. Pure: time is an argument.

use super::{
    metrics::{Counters, counters},
    model::{Answer, Event, Model, Rates},
};
use crate::{
    screen::events::EventKind,
    status::{list, number, text},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Events of its own that it remembers; switches are in the status.
const EVENTS: usize = 200;

/// What is known so far.
pub(super) struct Monitor {
    model: Model,
    /// The counters of the last answer, and when it came.
    counted: Option<(BTreeMap<String, Counters>, Duration)>,
    /// What was seen to happen, as the status has no history of it.
    seen: VecDeque<Event>,
}

impl Monitor {
    pub(super) fn new(admin: &str) -> Self {
        let model = Model {
            admin: admin.into(),
            now_ms: 0,
            answer: Answer::Awaited,
            status: Arc::new(Value::Null),
            rates: BTreeMap::new(),
            events: Vec::new(),
        };
        Self { model, counted: None, seen: VecDeque::new() }
    }

    pub(super) fn admin(&self) -> &str {
        &self.model.admin
    }

    pub(super) fn model(&self) -> Model {
        self.model.clone()
    }

    /// Takes an answer: status and metrics, or why there is none. `at` is a clock that only goes forward.
    pub(super) fn tell(&mut self, asked: Result<(String, String), String>, now_ms: u64, at: Duration) {
        self.model.now_ms = now_ms;
        let read = asked.and_then(|(status, metrics)| {
            let status: Value =
                serde_json::from_str(&status).map_err(|error| format!("the status is no JSON: {error}"))?;
            Ok((status, metrics))
        });
        match read {
            Ok((status, metrics)) => self.answered(status, &metrics, at),
            Err(why) => self.missed(why),
        }
        self.model.events = events(&self.model.status, &self.seen);
    }

    fn answered(&mut self, status: Value, metrics: &str, at: Duration) {
        if matches!(self.model.answer, Answer::Missing { .. }) && !self.model.status.is_null() {
            self.note(EventKind::Recovery, "the admin API answers again".into());
        }
        self.model.answer = Answer::Good;
        let before = std::mem::replace(&mut self.model.status, Arc::new(status));
        let restarted = before["uptime_s"].as_f64() > self.model.status["uptime_s"].as_f64();
        if restarted {
            self.note(EventKind::Note, "the process was started anew".into());
        }
        let after = Arc::clone(&self.model.status);
        for (kind, words) in changes(&before, &after) {
            self.note(kind, words);
        }
        let now = counters(metrics);
        let then = self.counted.take().filter(|_| !restarted);
        self.model.rates =
            then.map(|(then, since)| rates(&then, &now, at.saturating_sub(since))).unwrap_or_default();
        self.counted = Some((now, at));
    }

    fn missed(&mut self, why: String) {
        self.counted = None;
        self.model.rates.clear();
        let since_ms = match &self.model.answer {
            Answer::Missing { since_ms, .. } => *since_ms,
            answer => {
                if *answer == Answer::Good {
                    self.note(EventKind::Problem, format!("no answer: {why}"));
                }
                self.model.now_ms
            }
        };
        self.model.answer = Answer::Missing { since_ms, why };
    }

    fn note(&mut self, kind: EventKind, text: String) {
        if self.seen.len() == EVENTS {
            self.seen.pop_front();
        }
        self.seen.push_back(Event { at_ms: self.model.now_ms, kind, text });
    }
}

/// What happened in a second between two answers. A counter that went back began anew.
fn rates(
    then: &BTreeMap<String, Counters>,
    now: &BTreeMap<String, Counters>,
    passed: Duration,
) -> BTreeMap<String, Rates> {
    let seconds = passed.as_secs_f64().max(0.001);
    let rate = |(name, now): (&String, &Counters)| {
        let then = then.get(name)?;
        let per = |now: f64, then: f64| (now - then).max(0.0) / seconds;
        let rates = Rates {
            received: per(now.received, then.received),
            sent: per(now.sent, then.sent),
            requests: per(now.requests, then.requests),
            accepted: per(now.accepted, then.accepted),
        };
        Some((name.clone(), rates))
    };
    now.iter().filter_map(rate).collect()
}

/// Brokers whose state is another one than before. That a broker is well once it has been asked at all is no change, and brokers
/// that are new say nothing.
fn changes(before: &Value, after: &Value) -> Vec<(EventKind, String)> {
    let states: BTreeMap<_, _> =
        brokers(before).map(|(place, broker)| (place, text(&broker["state"]))).collect();
    let changed = |(place, broker): ((&str, &str), &Value)| {
        let state = text(&broker["state"]);
        let changed = |before: &&str| *before != state && (*before, state) != ("unknown", "healthy");
        states.get(&place).is_some_and(changed).then(|| {
            let (cluster, address) = place;
            let why = broker["reason"].as_str().filter(|_| state != "healthy");
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let kind = match state {
                "healthy" => EventKind::Recovery,
                "unknown" => EventKind::Note,
                _ => EventKind::Fault,
            };
            (kind, format!("{cluster} {address} is {state}{why}"))
        })
    };
    brokers(after).filter_map(changed).collect()
}

/// Every broker by cluster and address.
fn brokers(status: &Value) -> impl Iterator<Item = ((&str, &str), &Value)> {
    list(&status["clusters"]).iter().flat_map(|cluster| {
        let name = text(&cluster["name"]);
        list(&cluster["brokers"]).iter().map(move |broker| ((name, text(&broker["address"])), broker))
    })
}

/// The switches of the status and what was seen, by time.
fn events(status: &Value, seen: &VecDeque<Event>) -> Vec<Event> {
    let chains = list(&status["virtual_clusters"]);
    let named = chains.len() > 1;
    let switch = |chain: &Value, switch: &Value| {
        let cluster = |key: &str| switch[key].as_str().unwrap_or("no cluster").to_owned();
        let name = if named { format!("{}: ", text(&chain["name"])) } else { String::new() };
        let took = switch["decided_in_ms"].as_f64().map_or(String::new(), |ms| format!(" in {ms:.0} ms"));
        let (from, to, reason) = (cluster("from"), cluster("to"), text(&switch["reason"]));
        Event {
            at_ms: number(&switch["at_ms"]),
            kind: EventKind::Switch,
            text: format!("{name}{from} → {to}{took}: {reason}"),
        }
    };
    let switches =
        chains.iter().flat_map(|chain| list(&chain["switches"]).iter().rev().map(move |s| switch(chain, s)));
    let mut all: Vec<Event> = switches.chain(seen.iter().cloned()).collect();
    all.sort_by_key(|event| event.at_ms);
    all
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    fn page(requests: u64, bytes: u64) -> String {
        format!(
            "pointsman_requests_total{{virtual_cluster=\"main\",api=\"Fetch\"}} {requests}\n\
             pointsman_sent_bytes_total{{virtual_cluster=\"main\"}} {bytes}\n"
        )
    }

    type Asked = Result<(String, String), &'static str>;

    fn told(answers: &[(Asked, u64)]) -> Model {
        let mut monitor = Monitor::new("127.0.0.1:9901");
        for (answer, second) in answers {
            let at = Duration::from_secs(*second);
            monitor.tell(answer.clone().map_err(str::to_owned), 1_000 * second, at);
        }
        monitor.model()
    }

    fn answer(status: &Value, metrics: String) -> Asked {
        Ok((status.to_string(), metrics))
    }

    #[test]
    fn rates_are_what_happened_between_two_answers() {
        let status = sample::status();
        let model = told(&[(answer(&status, page(100, 5_000)), 1), (answer(&status, page(300, 4_000)), 3)]);
        assert_eq!(model.rates["main"], Rates { requests: 100.0, ..Rates::default() }, "bytes began anew");
        assert_eq!(told(&[(answer(&status, page(100, 0)), 1)]).rates.len(), 0, "one answer has no rate");
    }

    #[test]
    fn a_broker_that_changes_its_state_is_an_event_beside_the_switches() {
        let mut before = sample::status();
        let after = before.clone();
        before["clusters"][0]["brokers"][0]["state"] = "healthy".into();
        before["clusters"][1]["brokers"][0]["state"] = "unhealthy".into();
        before["clusters"][1]["brokers"][1]["state"] = "unknown".into();
        let model = told(&[(answer(&before, String::new()), 90), (answer(&after, String::new()), 95)]);
        let words: Vec<(u64, &str)> = model.events.iter().map(|e| (e.at_ms, e.text.as_str())).collect();
        assert_eq!(
            words,
            [
                (61_000, "no cluster → primary: first start"),
                (
                    81_000,
                    "primary → secondary in 250 ms: primary lost quorum: 2 of 5 brokers are healthy, 3 needed"
                ),
                (95_000, "primary kafka-a0:9092 is unhealthy: connection refused"),
                (95_000, "secondary kafka-b0:9092 is healthy"),
            ]
        );
    }

    #[test]
    fn silence_keeps_what_was_known_and_says_since_when() {
        let status = sample::status();
        let lost = (Err("connection refused"), 5);
        let model = told(&[(answer(&status, page(1, 1)), 4), lost.clone(), (Err("still refused"), 9)]);
        assert_eq!(model.answer, Answer::Missing { since_ms: 5_000, why: "still refused".into() });
        assert_eq!((*model.status).clone(), status);
        assert!(model.rates.is_empty());
        assert!(model.events.iter().any(|e| e.text == "no answer: connection refused"));

        let model = told(&[(answer(&status, page(1, 1)), 4), lost, (answer(&status, page(1, 1)), 6)]);
        assert_eq!(model.answer, Answer::Good);
        assert!(model.events.iter().any(|e| e.text == "the admin API answers again"));
        assert!(model.rates.is_empty(), "what passed meanwhile is no rate");
    }

    #[test]
    fn a_new_process_and_an_answer_that_is_no_status_are_said() {
        let status = sample::status();
        let mut young = status.clone();
        young["uptime_s"] = 0.5.into();
        let model = told(&[(answer(&status, page(9, 9)), 1), (answer(&young, page(1, 1)), 2)]);
        assert!(model.events.iter().any(|e| e.text == "the process was started anew"));
        assert!(model.rates.is_empty());

        let model = told(&[(Ok(("<html>".into(), String::new())), 1)]);
        assert!(
            matches!(model.answer, Answer::Missing { why, .. } if why.starts_with("the status is no JSON"))
        );
    }
}

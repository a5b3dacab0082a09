//! ListTransactions: the transactional ids that this broker coordinates, filtered.

use super::{Answer, Call, array};
use crate::{
    errors::{INVALID_REGULAR_EXPRESSION, NONE},
    transactions::{Description, State},
    world::{Coordinated, now_ms},
};
use pointsman_wire::{Struct, Value};
use regex::Regex;

/// What is asked for.
struct Filter<'a> {
    states: Vec<&'a str>,
    producers: Vec<i64>,
    /// Open for at least so long; below zero: whatever.
    duration_ms: i64,
    pattern: Option<Regex>,
}

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let asked: Vec<&str> = call.request.array("StateFilters").iter().filter_map(Value::as_str).collect();
    let (known, unknown): (Vec<&str>, Vec<&str>) =
        asked.iter().partition(|state| State::NAMES.contains(state));
    let answer = Struct::new()
        .with("UnknownStateFilters", Value::Array(unknown.into_iter().map(Value::from).collect()));
    let Ok(pattern) = pattern(call) else {
        return Answer::Body(answer.with("ErrorCode", INVALID_REGULAR_EXPRESSION));
    };
    let filter = Filter {
        states: known,
        producers: call.request.array("ProducerIdFilters").iter().filter_map(Value::as_int).collect(),
        duration_ms: if call.version >= 1 { call.request.int("DurationFilter") } else { -1 },
        pattern,
    };
    // Only unknown states are asked for: nothing is in any of them.
    let nothing = filter.states.is_empty() && !asked.is_empty();
    let world = call.shared.lock();
    let now = now_ms();
    let listed = world
        .transactions
        .list()
        .filter(|of| !nothing && filter.takes(of, now))
        .filter(|of| world.serves(call.broker, Coordinated::Transactions, &of.id, false).is_ok())
        .map(|of| {
            Struct::new()
                .with("TransactionalId", of.id.as_str())
                .with("ProducerId", of.producer.0)
                .with("TransactionState", of.state.name())
        });
    let listed: Vec<Struct> = listed.collect();
    Answer::Body(answer.with("ErrorCode", NONE).with("TransactionStates", array(listed)))
}

/// The whole id must match.
fn pattern(call: &Call<'_>) -> Result<Option<Regex>, regex::Error> {
    let pattern =
        call.request.opt_str("TransactionalIdPattern").filter(|p| call.version >= 2 && !p.is_empty());
    pattern.map(crate::patterns::whole).transpose()
}

impl Filter<'_> {
    fn takes(&self, of: &Description, now: i64) -> bool {
        let running = if of.started_ms < 0 { -1 } else { now - of.started_ms };
        (self.states.is_empty() || self.states.contains(&of.state.name()))
            && (self.producers.is_empty() || self.producers.contains(&of.producer.0))
            && (self.duration_ms < 0 || running > self.duration_ms)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&of.id))
    }
}
